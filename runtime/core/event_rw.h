/*
 * Events of reader-writer locks (R7, R4), as event.h has them for the rest.
 *
 * Readers do not advance the sequence, so that they need no order among themselves. A read is
 * predicted while this thread's cache holds the current write sequence; else its record names it,
 * and in replay it waits for exactly that one. A write is predicted if this thread wrote last and
 * nobody else read since; else its record names the sequence and how many reads lie between it and
 * the write before, and in replay it waits until so many are done.
 *
 * `address` keys the cache: the lock's address. A lock made anew in the same place starts at
 * sequence 0, which does no harm: a read waits for the number it was predicted to have, whatever
 * lock had it before.
 */
#ifndef PALISADE_CORE_EVENT_RW_H
#define PALISADE_CORE_EVENT_RW_H

#include "event.h"

/*
 * Order of one reader-writer lock: part of the snapshot (R11). Sequence and owner change only while
 * it is held for writing; the others also under read locks, by several threads at once.
 */
struct rworder {
    uint64_t sequence;            /* write acquisitions so far */
    uint32_t owner;               /* last writer + 1; 0 = nobody yet */
    _Atomic uint32_t other_reads; /* nonzero: a thread other than owner read since */
    _Atomic uint64_t reads;       /* read acquisitions since the last write that are recorded */
    _Atomic uint64_t reads_done;  /* and of these, how many have been given back */
};

/* ---- recording ---- */

/* Call holding it for reading. */
void ev_read_record(struct thread_state *thread, struct log *log, struct rworder *order,
                    uint64_t address);
/* Before the native release of a read lock, also in replay. No event. */
void ev_read_done(struct rworder *order);
/* Call holding it for writing. */
void ev_write_record(struct thread_state *thread, struct log *log, struct rworder *order,
                     uint64_t address);
/*
 * An attempt to write that failed because of readers. Which of them is not known, so it depends on
 * all that was published by then. (Because of a writer: ev_fail_record with its sequence.)
 */
void ev_fail_readers_record(struct thread_state *thread, struct log *log, uint64_t sequence,
                            struct log *const *logs, uint32_t threads);

/* ---- replaying ---- */

/*
 * `free`: the native lock could be taken now; when it could not, an acquisition waits. `failed`
 * tells which way a try or timed attempt went; NULL: this one cannot fail. `passed` as in
 * ev_load_replay, for attempts that can.
 */
enum event ev_read_replay(struct thread_state *thread, struct log_reader *reader,
                          struct rworder *order, uint64_t address, bool free, bool *failed);
enum event ev_write_replay(struct thread_state *thread, struct log_reader *reader,
                           struct rworder *order, uint64_t address, bool free,
                           const struct positions *passed, bool *failed);

#endif
