/*
 * Events on words that threads share without a lock: racy, volatile and atomic ones of 1 to 8
 * bytes, and wide ones of 16. Included by event.h.
 *
 *   load     predicted while value and version are those this thread saw last (R5), else LOAD: the
 *            value, and the store it depends on
 *   store    an acquisition of the word's assigned lock: ORDER, or nothing for its last owner
 *   RMW      one that changes the word is a store, whose new value is computed from memory when its
 *            turn has come; one that changes nothing (a compare-exchange that failed, a
 *            test-and-set that found the flag set) is a load (R6)
 *   mixed    a load of a word that somebody stores without a hook, under a lock or not: no version
 *            tells who, so it depends on all that was published (R10)
 *
 * Several words may share an assigned lock and a version. A store to one then makes a load of the
 * other unpredicted and depend on more than it must; the pair stays a valid determinant, for the
 * stores of one assigned lock are replayed in their order. A word must always have the same one.
 */
#ifndef PALISADE_CORE_EVENT_WORD_H
#define PALISADE_CORE_EVENT_WORD_H

struct word {
    uint64_t low, high; /* high: of a wide word, else 0 */
};

static inline bool word_same(struct word a, struct word b)
{
    return a.low == b.low && a.high == b.high;
}

/* What an RMW makes of a word that holds `old`. A function of its arguments only. */
typedef struct word word_update(const void *operation, struct word old);

/* ---- recording ---- */

/* Load that read (value, version) as a pair (R5). `address` keys the cache. */
void ev_load_record(struct thread_state *thread, struct log *log, uint64_t address, uint64_t value,
                    struct version version);
/* The same of a wide word: cached as two words of 8 bytes with one version. */
void ev_wide_load_record(struct thread_state *thread, struct log *log, uint64_t address,
                         struct word value, struct version version);
/* As ev_load_record, but only if the load is predicted; false: nothing happened. */
static inline bool ev_load_predicted(struct thread_state *thread, struct log *log, uint64_t address,
                                     uint64_t value, struct version version);
/*
 * The same without looking at the version: when `stamp`, which the caller changes with every store
 * to the word, is the one of this thread's last load, and the value is the same too, the load is
 * predicted. The value must be looked at: a store that no hook sees (a signal handler, a unit that
 * holds a lock: R10) leaves the stamp alone. False: nothing happened, take the long way.
 */
static inline bool ev_load_stamped(struct thread_state *thread, struct log *log, uint64_t address,
                                   uint64_t stamp, uint64_t value);
/* After ev_load_record: the word had this (value, version) under `stamp`, which is not 0. */
void ev_load_stamp(struct thread_state *thread, uint64_t address, uint64_t stamp);
/*
 * Store, or RMW that changes the word, under its assigned lock: the new value; returns the version
 * to install. An RMW that changes nothing is recorded as a load.
 */
static inline struct version ev_store_record(struct thread_state *thread, struct log *log,
                                             struct order *stripe, uint64_t address,
                                             uint64_t value);
struct version ev_wide_store_record(struct thread_state *thread, struct log *log,
                                    struct order *stripe, uint64_t address, struct word value);
/* Mixed load (R10). The positions are read from `logs` now, after the value was read. */
void ev_mixed_record(struct thread_state *thread, struct log *log, uint64_t value,
                     struct log *const *logs, uint32_t threads, struct positions *dependency);

/* ---- replaying ---- */

/* `positions` tells how far each thread has come: EVENT_WAIT until the writer has passed. */
enum event ev_load_replay(struct thread_state *thread, struct log_reader *reader, uint64_t address,
                          const struct positions *positions, uint64_t *value);
enum event ev_wide_load_replay(struct thread_state *thread, struct log_reader *reader,
                               uint64_t address, const struct positions *positions,
                               struct word *value);
enum event ev_store_replay(struct thread_state *thread, struct log_reader *reader,
                           struct order *stripe, uint64_t address, uint64_t value,
                           struct version *version);
enum event ev_wide_store_replay(struct thread_state *thread, struct log_reader *reader,
                                struct order *stripe, uint64_t address, struct word value,
                                struct version *version);
enum event ev_mixed_replay(struct thread_state *thread, struct log_reader *reader,
                           const struct positions *positions, uint64_t *value);

struct word_rmw {
    /* the question; nobody else may store to the word between asking and installing */
    uint64_t address;
    bool wide;
    struct word memory; /* what the word holds now */
    word_update *update;
    const void *operation;
    /* the answer, with EVENT_PASS */
    struct word old, new;
    bool stored; /* install `new` with `version` */
    struct version version;
};
enum event ev_rmw_replay(struct thread_state *thread, struct log_reader *reader,
                         struct order *stripe, const struct positions *positions,
                         struct word_rmw *rmw);

/* ---- inline ---- */

/* The cache of racy words is direct-mapped, so that eviction repeats itself (R5). */
static inline struct word_cache_entry *word_cache(struct thread_state *thread, uint64_t address)
{
    return &thread->words[address * 0x9E3779B97F4A7C15ull >> 58];
}
_Static_assert(WORD_CACHE_ENTRIES == 64, "word_cache takes the top 6 bits of the hash");

static inline bool ev_load_predicted(struct thread_state *thread, struct log *log, uint64_t address,
                                     uint64_t value, struct version version)
{
    const struct word_cache_entry *cached = word_cache(thread, address);
    if (cached->address != address || cached->value != value ||
        cached->version.writer != version.writer || cached->version.written != version.written)
        return false;
    log_publish(log, ev_step(thread));
    return true;
}

static inline bool ev_load_stamped(struct thread_state *thread, struct log *log, uint64_t address,
                                   uint64_t stamp, uint64_t value)
{
    const struct word_cache_entry *cached = word_cache(thread, address);
    if (cached->stamp != stamp || cached->value != value || cached->address != address)
        return false;
    log_publish(log, ev_step(thread));
    return true;
}

static inline void word_remember(struct thread_state *thread, uint64_t address, uint64_t value,
                                 struct version version)
{
    *word_cache(thread, address) =
        (struct word_cache_entry){.address = address, .value = value, .version = version};
}

static inline struct version ev_store_record(struct thread_state *thread, struct log *log,
                                             struct order *stripe, uint64_t address, uint64_t value)
{
    DEBUG_ASSERT(address != 0);
    position at = ev_order_step(thread, log, stripe);
    struct version version = {thread->index + 1, at};
    word_remember(thread, address, value, version);
    log_publish(log, at);
    return version;
}

#endif
