/*
 * The packet access log (PAL) of one thread, on its way out: a ring with one writer (the NF
 * thread) and one reader (whoever ships it: the runtime's I/O thread, the simulator).
 *
 * Order of stores (R1): bytes, head, position; only then may the event take effect. The reader
 * loads the position first and the head second, so the bytes it takes hold every record at or
 * below the position it names. They may hold records beyond it: harmless, replay stops at `to`.
 */
#ifndef PALISADE_CORE_LOG_H
#define PALISADE_CORE_LOG_H

#include <stdatomic.h>

#include "record.h"

struct log {
    /* written by the NF thread only */
    _Alignas(64) _Atomic uint64_t head; /* bytes ever written */
    _Atomic position published;         /* R1 */
    uint64_t tail_seen;                 /* writer's copy of tail */
    /* written by the reader only */
    _Alignas(64) _Atomic uint64_t tail; /* bytes ever taken */
    uint64_t taking;                    /* head of the take in progress */
    position taken;                     /* position of the last finished take */
    position taking_to;                 /* position the take in progress ends at */
    bool reset;                         /* next chunk starts a segment */
    bool boundary;                      /* log_reset was called ... */
    uint64_t boundary_head;             /* ... when that many bytes were written */
    position boundary_position;         /* ... at that position */
    /* read-only after log_init */
    _Alignas(64) uint8_t *bytes;
    uint64_t capacity;
};

/*
 * `bytes` has capacity + RECORD_MAX_BYTES bytes (a record is written contiguously past the end
 * and its overhang copied to the front); capacity is a power of two, at least
 * 4 * RECORD_MAX_BYTES. The log starts a segment at `start`. The caller owns `bytes`.
 */
void log_init(struct log *log, uint8_t *bytes, uint64_t capacity, position start);

/* Writer: room for RECORD_MAX_BYTES? When not, ship or wait: back-pressure, never loss. */
static inline bool log_has_room(struct log *log)
{
    uint64_t head = atomic_load_explicit(&log->head, memory_order_relaxed);
    if (__builtin_expect(head - log->tail_seen + RECORD_MAX_BYTES <= log->capacity, 1))
        return true;
    log->tail_seen = atomic_load_explicit(&log->tail, memory_order_acquire);
    return head - log->tail_seen + RECORD_MAX_BYTES <= log->capacity;
}

/* Writer: where the next record goes (RECORD_MAX_BYTES contiguous bytes). */
static inline uint8_t *log_space(struct log *log)
{
    return log->bytes +
           (atomic_load_explicit(&log->head, memory_order_relaxed) & (log->capacity - 1));
}

/* Writer: `length` bytes were written at log_space(); folds the overhang back. */
static inline void log_append(struct log *log, uint32_t length)
{
    uint64_t head = atomic_load_explicit(&log->head, memory_order_relaxed);
    uint64_t end = (head & (log->capacity - 1)) + length;
    if (__builtin_expect(end > log->capacity, 0))
        __builtin_memcpy(log->bytes, log->bytes + log->capacity, end - log->capacity);
    atomic_store_explicit(&log->head, head + length, memory_order_release);
}

/* Writer: everything up to `at` is in the log (R1). */
static inline void log_publish(struct log *log, position at)
{
    atomic_store_explicit(&log->published, at, memory_order_release);
}

static inline position log_published(const struct log *log)
{
    return atomic_load_explicit(&log->published, memory_order_acquire);
}

/* One piece of a thread's log as it travels (R3). */
struct log_chunk {
    position from;   /* contiguous position before it */
    position to;     /* after it; equal to `from` when more bytes of the same take follow */
    bool reset;      /* its first byte starts a segment: codec_reset(from) */
    uint32_t length; /* bytes; 0 when only predicted events were added */
};

/* Reader: is there something before the last log_reset that was not taken yet? */
bool log_before_boundary(const struct log *log);

/*
 * Reader: copies the next at most `room` bytes to `out` and describes them. False when there is
 * nothing new. Chunks of one take are cut anywhere, records included; only the last one
 * advances `to`.
 */
bool log_take(struct log *log, uint8_t *out, uint32_t room, struct log_chunk *chunk);

/*
 * Reader, while the writer is parked: a segment starts here. Bytes not yet taken stay in the old
 * segment; the chunk that ends it ends exactly at the writer's position. One at a time: the last
 * boundary must have been taken.
 */
void log_reset(struct log *log);

/* Reader: nobody will want what has been published so far; makes room (R16). The log has to be
 * restarted before anything is taken again. */
void log_discard(struct log *log);
/* Reader, while the writer is parked: nothing before is wanted, a segment starts here. */
void log_restart(struct log *log);

#endif
