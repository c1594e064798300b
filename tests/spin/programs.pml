/* What the two threads do: one small program a rule. v is the thread's own variable. */

#define LOCKED(l)                                                                                  \
    lock(l);                                                                                       \
    work_unlock(l)

/* Elision, trailing predicted events (thread 0 never sends), two outputs. */
#ifdef PROGRAM_LOCKS
#define PROGRAM_0                                                                                  \
    LOCKED(0);                                                                                     \
    lock(0);                                                                                       \
    idle();                                                                                        \
    work_unlock(0)
#define PROGRAM_1                                                                                  \
    LOCKED(0);                                                                                     \
    send();                                                                                        \
    LOCKED(0);                                                                                     \
    LOCKED(0);                                                                                     \
    send()
#endif

#ifdef PROGRAM_TRY
#define TRY                                                                                        \
    trylock(0, v);                                                                                 \
    if                                                                                             \
    :: v == 1 -> work_unlock(0)                                                                    \
    :: else                                                                                        \
    fi
#define PROGRAM_0                                                                                  \
    LOCKED(0);                                                                                     \
    LOCKED(0);                                                                                     \
    TRY;                                                                                           \
    send()
#define PROGRAM_1                                                                                  \
    TRY;                                                                                           \
    TRY;                                                                                           \
    send()
#endif

/* 0 -> 1 -> 0 under the eyes of a loader. */
#ifdef PROGRAM_WORD
#define PROGRAM_0                                                                                  \
    store(1);                                                                                      \
    store(0);                                                                                      \
    load();                                                                                        \
    send()
#define PROGRAM_1                                                                                  \
    load();                                                                                        \
    load();                                                                                        \
    store(2);                                                                                      \
    load();                                                                                        \
    send()
#endif

#ifdef PROGRAM_CAS
#define PROGRAM_0                                                                                  \
    store(2);                                                                                      \
    compare_exchange(1, 3, v);                                                                     \
    send()
#define PROGRAM_1                                                                                  \
    store(1);                                                                                      \
    compare_exchange(2, 3, v);                                                                     \
    compare_exchange(1, 2, v);                                                                     \
    load();                                                                                        \
    send()
#endif

#ifdef PROGRAM_RW
#define READING                                                                                    \
    read_lock();                                                                                   \
    read_unlock()
#define WRITING                                                                                    \
    write_lock();                                                                                  \
    write_unlock()
#define PROGRAM_0                                                                                  \
    WRITING;                                                                                       \
    WRITING;                                                                                       \
    READING;                                                                                       \
    send()
#define PROGRAM_1                                                                                  \
    READING;                                                                                       \
    READING;                                                                                       \
    WRITING;                                                                                       \
    send()
#endif

/* What thread 0 did beyond the cut need not happen again: its clock decides. */
#ifdef PROGRAM_TAKEOVER
#define PROGRAM_0                                                                                  \
    LOCKED(0);                                                                                     \
    value(v);                                                                                      \
    if                                                                                             \
    :: v == 1 ->                                                                                   \
       LOCKED(0);                                                                                  \
       send()                                                                                      \
    :: else                                                                                        \
    fi
#define PROGRAM_1                                                                                  \
    LOCKED(0);                                                                                     \
    send();                                                                                        \
    value(v);                                                                                      \
    send()
#endif

/* The same, shorter, for two crashes. */
#ifdef PROGRAM_TWICE
#define PROGRAM_0                                                                                  \
    value(v);                                                                                      \
    if                                                                                             \
    :: v == 1 -> LOCKED(0)                                                                         \
    :: else                                                                                        \
    fi
#define PROGRAM_1                                                                                  \
    LOCKED(0);                                                                                     \
    value(v);                                                                                      \
    send()
#endif
