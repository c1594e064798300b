/*
 * Events: one function a class to record it, one to replay it. The hooks and the simulator's
 * toy NF call these, so that what is simulated is what runs.
 *
 * Recording (R1): the caller performs the event natively, calls ev_*_record, and only then lets
 * the effect out (unlocks, wakes, returns to the NF). Every ev_*_record advances the position by
 * one and the way by the site (G6), writes a record unless the outcome is predicted, and publishes.
 *
 * Replaying: ev_*_replay looks whether the event may happen now. EVENT_PASS: it happened, state
 * and position have advanced. EVENT_WAIT: another thread must pass something first; ask again.
 * EVENT_END: the log of this thread ends here (maximal cut, G3, or wait for more). EVENT_DIVERGED:
 * the log says otherwise than the program (G6); `why` in the reader names it.
 *
 * Words (racy, atomic, volatile) have a header of their own, event_word.h, which this one includes.
 *
 * Rules: R1, R2, R4, R5, R6, R7, R8, R10 of DESIGN section 6 = docs/architecture.md "Rules".
 */
#ifndef PALISADE_CORE_EVENT_H
#define PALISADE_CORE_EVENT_H

#include "log.h"

enum event { EVENT_PASS, EVENT_WAIT, EVENT_END, EVENT_DIVERGED };

/* ---- shadow state: part of the snapshot (R11) ---- */

/* Order of one lock, semaphore or assigned lock (stripe). Guarded by that lock. */
struct order {
    uint64_t sequence; /* acquisitions so far */
    uint32_t owner;    /* last owner + 1; 0 = nobody yet */
};

/* Version of a racy or atomic word: who wrote it last. Pair with the value by a seqlock (R5). */
struct version {
    uint32_t writer; /* thread + 1; 0 = nobody yet */
    position written;
};

#define WORD_CACHE_ENTRIES 64u
struct word_cache_entry {
    uint64_t address; /* 0 = empty */
    uint64_t value;
    struct version version;
    uint64_t stamp; /* the recorder's own proof that (value, version) still hold; 0 = none */
};

#define READ_CACHE_ENTRIES 16u
/* The write sequence this thread read a reader-writer lock under at last (R7): event_rw.h. */
struct read_cache_entry {
    uint64_t address; /* 0 = empty */
    uint64_t sequence;
};

/* What one NF thread carries: lives in the image, one writer (the thread itself). */
struct thread_state {
    uint32_t index;
    uint32_t site; /* where in the NF it is: low half of the last hook's return address */
    position position;
    uint64_t outputs;   /* packets sent: number of the last one */
    uint64_t effects;   /* effects performed (R18): number of the last one */
    uint32_t path;      /* digest of the sites of all its events (G6) */
    struct codec codec; /* for recording; replay uses the reader's */
    struct word_cache_entry words[WORD_CACHE_ENTRIES]; /* direct-mapped, deterministic (R5) */
    struct read_cache_entry reads[READ_CACHE_ENTRIES]; /* the same (R7) */
};

/* The digest of a way that goes on by an event at `site`. Of a new thread it is 0. */
static inline uint32_t path_step(uint32_t path, uint32_t site)
{
    return (path ^ site) * 0x9E3779B1u; /* odd: two ways that differ once stay apart */
}

/*
 * ---- recording ----
 * The caller has made sure, before the native event, that log_has_room(log): one event writes at
 * most one record. The inline ones are defined in event_hot.h.
 */

/* Lock, successful try, store's or RMW's assigned lock, semaphore step: call holding it. */
static inline void ev_order_record(struct thread_state *thread, struct log *log,
                                   struct order *order);
/* A try or timed lock that failed; `sequence` is the holder's, read while it was held (R4). */
void ev_fail_record(struct thread_state *thread, struct log *log, uint64_t sequence);
/* Any value; a predicted one (equal to `expected`) adds no bytes. */
static inline void ev_number_record(struct thread_state *thread, struct log *log, int64_t value,
                                    int64_t expected);
void ev_bytes_record(struct thread_state *thread, struct log *log, const void *bytes,
                     uint32_t length);
static inline void ev_clock_record(struct thread_state *thread, struct log *log, uint32_t slot,
                                   int64_t ns);
/* Receive of `count` ranges from `queue`; count 0 is the predicted empty receive. */
static inline void ev_receive_record(struct thread_state *thread, struct log *log, uint32_t queue,
                                     const struct id_range *ranges, uint32_t count);
/*
 * Send of `packets` packets. The VOR is read from `logs[0 .. threads)` (R2), the thread's own
 * entry is this event. `sent` is a digest of the packets (G6). Returns the number of the first one;
 * the VOR is left in *vor.
 */
uint64_t ev_out_record(struct thread_state *thread, struct log *log, uint32_t packets,
                       uint32_t sent, struct log *const *logs, uint32_t threads,
                       struct positions *vor);
/*
 * An effect (R18): one that takes place (value 0), with the digest of its bytes, or one that the
 * program is told has failed.
 */
void ev_effect_record(struct thread_state *thread, struct log *log, int64_t value, uint32_t sent);
/* A signal is delivered here: `what` and what was left of the wait that it ends (R19). */
void ev_signal_record(struct thread_state *thread, struct log *log, uint32_t what, int64_t left);

/* ---- replaying ---- */

/* Where a segment starts in a stored log: codec_reset(start) before the byte at `offset`. */
struct log_segment {
    uint64_t offset;
    position start;
};

#define STORED_SEGMENTS_MAX 64u /* in one stored log, or not yet entered by its reader */

/*
 * A stream of bytes from the base on, which may grow while it is read: one thread extends it,
 * another replays. The fields of the first group belong to the former.
 */
struct log_reader {
    const uint8_t *bytes; /* owned by the caller; byte n lies at n & mask */
    const struct log_segment
        *segments; /* owned by the caller; the n-th at n % STORED_SEGMENTS_MAX */
    uint64_t mask;
    uint64_t length;
    uint64_t segment_count;
    position end; /* E: replay stops here (R3, `to` of the last chunk) */

    uint64_t consumed; /* bytes before this one are not needed again; read by the extender */
    uint64_t offset;
    uint64_t segment;    /* number of the next segment to enter */
    struct codec codec;  /* of the stream, not of the thread */
    struct codec before; /* the same before `next`, its vor only when `next` changed it */
    bool have;           /* `next` holds a decoded record not yet consumed */
    struct record next;
    const char *why; /* static text, set with EVENT_DIVERGED */
};

/* A log that is all there: the first segment lies at offset 0 and says where it begins. */
void log_reader_init(struct log_reader *reader, const uint8_t *bytes, size_t length,
                     const struct log_segment *segments, size_t segment_count, position end);
/*
 * A log that will come: nothing of it is there, and `start` is the codec of its first byte, as the
 * image has it. `bytes` is mapped so that RECORD_MAX_BYTES from any place on are contiguous;
 * `ring` is its size, a power of two.
 */
void log_reader_open(struct log_reader *reader, const uint8_t *bytes, uint64_t ring,
                     const struct log_segment *segments, const struct codec *start, position end);
/*
 * More is there: up to `length` bytes and `segment_count` segments in all, `end` as above. None may
 * shrink. `length` minus `consumed` is at most the ring, and no segment is overwritten that the
 * reader has not entered. Any thread, one at a time, while others replay.
 */
void log_reader_extend(struct log_reader *reader, uint64_t length, uint64_t segment_count,
                       position end);
uint64_t log_reader_consumed(const struct log_reader *reader);
/* Segments entered: those below may be overwritten. */
uint64_t log_reader_entered(const struct log_reader *reader);
/* The codec that the bytes behind the thread's position are to be decoded with: what a snapshot
 * of a replaying thread carries (R11). While nobody replays this log. */
void log_reader_codec(const struct log_reader *reader, struct codec *out);

enum event ev_order_replay(struct thread_state *thread, struct log_reader *reader,
                           struct order *order);
/*
 * A try: *failed tells which way it went. On EVENT_PASS with !*failed the caller takes the native
 * lock (it must be free: the caller checks that before and treats a held one as EVENT_WAIT).
 */
enum event ev_try_replay(struct thread_state *thread, struct log_reader *reader,
                         struct order *order, bool *failed);
enum event ev_number_replay(struct thread_state *thread, struct log_reader *reader,
                            int64_t expected, int64_t *value);
/* `bytes` has room for `length`; another length in the log is a divergence. */
enum event ev_bytes_replay(struct thread_state *thread, struct log_reader *reader, void *bytes,
                           uint32_t length);
enum event ev_clock_replay(struct thread_state *thread, struct log_reader *reader, uint32_t slot,
                           int64_t *ns);
/* `ranges` has RECORD_RANGES_MAX entries; *count 0 is the empty receive. */
enum event ev_receive_replay(struct thread_state *thread, struct log_reader *reader, uint32_t queue,
                             struct id_range *ranges, uint32_t *count);
/* *first: number of the first packet. Diverges when the packets, or the way to here, are not the
 * master's (G6). */
enum event ev_out_replay(struct thread_state *thread, struct log_reader *reader, uint32_t packets,
                         uint32_t sent, uint64_t *first);
enum event ev_effect_replay(struct thread_state *thread, struct log_reader *reader, uint32_t sent,
                            int64_t *value);
/*
 * EVENT_PASS: a signal was delivered here. EVENT_WAIT: the log holds another event, and nothing
 * happened: the caller goes on to that one.
 */
enum event ev_signal_replay(struct thread_state *thread, struct log_reader *reader, uint32_t *what,
                            int64_t *left);

/*
 * Live again after replay (R12) or a new segment at a snapshot barrier: the log codec restarts at
 * the thread's position. The caller also calls log_reset / log_init.
 */
void thread_state_segment(struct thread_state *thread);

#include "event_hot.h"
#include "event_word.h"

#endif
