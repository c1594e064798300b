/*
 * Replay inside the NF process: threads wait for their turn until none can go on.
 *
 * A hook in MODE_REPLAY asks the core whether its event may happen (ev_*_replay). If not, it waits
 * here until another thread has passed something, and asks again; one whose log ends waits for more
 * of it. When the logs are all there and every living thread waits, that is the maximal cut (G3).
 * The threads stay where they are; after the output logger has committed the cut the mode becomes
 * MODE_RECORD, all wake up, and each goes on live from the very hook it stands in.
 */
#ifndef PALISADE_REPLAY_H
#define PALISADE_REPLAY_H

#include "process.h"

/* Taken before asking the core; makes it impossible to miss progress in between. NF threads. */
uint64_t replay_look(void);
/*
 * May a snapshot be taken while a thread waits here? Safe: it could wait in the safe state here,
 * were it live (process.h): the hook is restartable and before its first event, or its phase lies
 * in the image (R20). Inside: it has done what a restart would repeat, or its registers were not
 * saved.
 */
enum replay_place { REPLAY_INSIDE, REPLAY_SAFE };

/* Waits for progress since `look`; a departure (G6) is told as one of `what`. */
void replay_wait(struct nf_thread *thread, uint64_t look, enum event event, const char *what,
                 enum replay_place place);
/*
 * Waits until the thread's log goes on, or all is live: a safe place, for calls whose first event
 * is none. They must be sure to come to an event: nothing but events may be kept waiting (G3).
 */
void replay_wait_log(struct nf_thread *thread);
/* This thread passed something others may wait for. NF threads; I/O thread for inputs. */
void replay_passed(void);

/*
 * Serialises attempts on one object: between "it is my turn" and "I hold it" nobody else may look.
 * Spins; hold it for a few instructions only. NF threads.
 */
void replay_object_lock(const void *object);
void replay_object_unlock(const void *object);

/*
 * Around attempts that may wait for positions of other threads, whatever event brings them there
 * (+1 before, -1 after): meanwhile everybody's events are told. NF threads.
 */
void replay_watch(int change);
extern _Atomic int32_t replay_watchers HIDDEN;
static inline void replay_passed_alone(void)
{
    atomic_thread_fence(memory_order_seq_cst); /* the position before, the watchers behind */
    if (__builtin_expect(atomic_load_explicit(&replay_watchers, memory_order_relaxed), 0))
        replay_passed();
}

/* An event of the thread has passed. */
static inline void replay_trail(struct nf_thread *thread)
{
    struct trail *trail = &run_of(thread)->trail;
    uint32_t place = trail->count++ % TRAIL_SITES;
    trail->site[place] = thread->core.site;
    trail->at[place] = thread->core.position;
}

/* Thread births and deaths during replay. */
void replay_thread_born(void);
void replay_thread_gone(void);

/* ---- I/O thread ---- */

void replay_begin(uint32_t living);
/* More of the thread's log is there. */
void replay_log_grown(uint32_t thread);
/* All logs are there to their ends. */
void replay_final(void);
/* True once all logs are there and every living thread waits. */
bool replay_quiescent(void);
/* Are all threads at the end of their logs? Does none move, though some are not? More of the logs
 * may help both. */
bool replay_idle(void);
bool replay_starves(void);
/* MODE_RECORD and wake everybody. */
void replay_go_live(void);

/*
 * Runs `attempt` (an expression of type enum event) until it passes or the process goes live;
 * true when it passed in replay, false when the caller must perform the event live.
 *
 * What waits in replay waits for acquisitions and stores (their order), releases, and exits. Those
 * events use REPLAYED, which makes everybody ask again; REPLAYED_ALONE is for the others, the great
 * majority, that only a REPLAYED_WATCHING can be waiting for: one that may depend on all threads'
 * positions. Those named SAFE, and REPLAYED_WATCHING, wait in a safe place, the others inside.
 */
#define REPLAYED(thread, what, attempt)                                                            \
    REPLAYED_AND(thread, what, REPLAY_INSIDE, attempt, replay_passed())
#define REPLAYED_SAFE(thread, what, attempt)                                                       \
    REPLAYED_AND(thread, what, REPLAY_SAFE, attempt, replay_passed())
#define REPLAYED_ALONE(thread, what, attempt)                                                      \
    REPLAYED_AND(thread, what, REPLAY_INSIDE, attempt, replay_passed_alone())
#define REPLAYED_SAFE_ALONE(thread, what, attempt)                                                 \
    REPLAYED_AND(thread, what, REPLAY_SAFE, attempt, replay_passed_alone())
#define REPLAYED_WATCHING(thread, what, attempt)                                                   \
    ({                                                                                             \
        bool watches_ = process_mode() == MODE_REPLAY;                                             \
        if (watches_)                                                                              \
            replay_watch(1);                                                                       \
        bool done_ = REPLAYED_SAFE(thread, what, attempt);                                         \
        if (watches_)                                                                              \
            replay_watch(-1);                                                                      \
        done_;                                                                                     \
    })
#define REPLAYED_AND(thread, what, place, attempt, tell)                                           \
    ({                                                                                             \
        bool passed_ = false;                                                                      \
        while (__builtin_expect(process_mode() == MODE_REPLAY, 0)) {                               \
            uint64_t look_ = replay_look();                                                        \
            enum event event_ = (attempt);                                                         \
            if (event_ == EVENT_PASS) {                                                            \
                passed_ = true;                                                                    \
                replay_trail(thread);                                                              \
                tell;                                                                              \
                break;                                                                             \
            }                                                                                      \
            replay_wait(thread, look_, event_, what, place);                                       \
        }                                                                                          \
        passed_;                                                                                   \
    })

#endif
