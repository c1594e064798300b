/* See log.h. */
#include "core/log.h"

#include <string.h>

#include "core/assert.h"

void log_init(struct log *log, uint8_t *bytes, uint64_t capacity, position start)
{
    ASSERT(capacity >= 4 * RECORD_MAX_BYTES && (capacity & (capacity - 1)) == 0);
    memset(log, 0, sizeof *log);
    log->bytes = bytes;
    log->capacity = capacity;
    log->reset = true;
    log->taken = log->taking_to = start;
    log_publish(log, start);
}

bool log_before_boundary(const struct log *log)
{
    return log->boundary &&
           (atomic_load_explicit(&log->tail, memory_order_relaxed) != log->boundary_head ||
            log->taken != log->boundary_position);
}

/* The boundary has been taken when all before it has; the next chunk starts the segment. */
static void pass_boundary(struct log *log, uint64_t tail)
{
    if (log->boundary && tail == log->boundary_head && log->taken == log->boundary_position) {
        log->boundary = false;
        log->reset = true;
    }
}

void log_reset(struct log *log)
{
    pass_boundary(log, atomic_load_explicit(&log->tail, memory_order_relaxed));
    ASSERT(!log->boundary);
    log->boundary = true;
    log->boundary_head = atomic_load_explicit(&log->head, memory_order_acquire);
    log->boundary_position = log_published(log);
}

/* Decides what the next take covers; false when there is nothing. */
static bool begin_take(struct log *log, uint64_t tail)
{
    pass_boundary(log, tail);
    position to = log_published(log); /* before head: see log.h */
    uint64_t head = atomic_load_explicit(&log->head, memory_order_acquire);
    if (log->boundary) {
        to = log->boundary_position;
        head = log->boundary_head;
    }
    if (to == log->taken)
        return false; /* bytes beyond a published position wait for it */
    log->taking = head;
    log->taking_to = to;
    return true;
}

bool log_take(struct log *log, uint8_t *out, uint32_t room, struct log_chunk *chunk)
{
    uint64_t tail = atomic_load_explicit(&log->tail, memory_order_relaxed);
    if (log->taking_to == log->taken && !begin_take(log, tail))
        return false;
    uint64_t left = log->taking - tail;
    uint32_t length = left < room ? (uint32_t)left : room;
    uint64_t at = tail & (log->capacity - 1);
    uint64_t first = log->capacity - at < length ? log->capacity - at : length;
    memcpy(out, log->bytes + at, first);
    memcpy(out + first, log->bytes, length - first);
    *chunk = (struct log_chunk){.from = log->taken, .to = log->taken, .length = length};
    chunk->reset = log->reset;
    log->reset = false;
    if (length == left)
        chunk->to = log->taken = log->taking_to;
    atomic_store_explicit(&log->tail, tail + length, memory_order_release);
    return true;
}

void log_discard(struct log *log)
{
    log->taken = log->taking_to = log_published(log); /* before head: see log.h */
    uint64_t head = atomic_load_explicit(&log->head, memory_order_acquire);
    atomic_store_explicit(&log->tail, head, memory_order_release);
    log->boundary = false;
}

void log_restart(struct log *log)
{
    log_discard(log);
    log->reset = true;
}
