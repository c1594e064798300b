#include "log.h"

#include <string.h>

#include "assert.h"

void log_init(struct log *log, uint8_t *bytes, uint64_t capacity, position start)
{
    ASSERT(capacity >= 4 * RECORD_MAX_BYTES && (capacity & (capacity - 1)) == 0);
    memset(log, 0, sizeof *log);
    log->bytes = bytes;
    log->capacity = capacity;
    atomic_init(&log->published, start);
    log->taken = start;
    log->taking_to = start;
    log->reset = true;
}

/*
 * A take fixes (position, head) once and then hands out everything up to that head: later bytes
 * of a busy writer wait for the next take, so that every take ends and `to` advances.
 */
static bool take_begin(struct log *log)
{
    position to = atomic_load_explicit(&log->published, memory_order_acquire);
    ASSERT(to >= log->taken);
    if (to == log->taken)
        return false; /* bytes without a position, if any, are about to be published */
    log->taking_to = to;
    log->taking = atomic_load_explicit(&log->head, memory_order_acquire);
    return true;
}

bool log_take(struct log *log, uint8_t *out, uint32_t room, struct log_chunk *chunk)
{
    if (log->taking_to == log->taken && !take_begin(log))
        return false;

    uint64_t tail = atomic_load_explicit(&log->tail, memory_order_relaxed);
    uint64_t left = log->taking - tail;
    uint32_t length = left < room ? (uint32_t)left : room;
    ASSERT(left <= log->capacity);
    ASSERT(length > 0 || left == 0);

    uint64_t at = tail & (log->capacity - 1);
    uint64_t straight = log->capacity - at;
    if (straight > length)
        straight = length;
    memcpy(out, log->bytes + at, straight);
    memcpy(out + straight, log->bytes, length - straight);
    atomic_store_explicit(&log->tail, tail + length, memory_order_release);

    chunk->from = log->taken;
    chunk->length = length;
    chunk->reset = log->reset;
    log->reset = false;
    if (length == left)
        log->taken = log->taking_to;
    chunk->to = log->taken;
    return true;
}

void log_reset(struct log *log)
{
    ASSERT(log->taking_to == log->taken);
    ASSERT(log->taken == log_published(log));
    ASSERT(atomic_load_explicit(&log->tail, memory_order_relaxed) ==
           atomic_load_explicit(&log->head, memory_order_acquire));
    log->reset = true;
}
