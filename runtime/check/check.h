/*
 * standby=check: what the report promises of accesses that are not logged, looked at while a
 * backup replays. The pass tells of each before it happens (-palisade-check-private), the hooks
 * tell of the events that put threads in order, the heap of memory that begins a new life. Two
 * accesses to the same byte by two threads, one of them a write, with no event between them, are
 * named: once for each pair of sites.
 *
 * That is what replay relies on: it repeats the events and nothing else. So an order by an event
 * of the runtime's own (a descriptor, a birth) counts as well as one by the program's locks.
 *
 * Everywhere else, in a master above all, each of these is one look at a flag.
 */
#ifndef PALISADE_CHECK_H
#define PALISADE_CHECK_H

#include "process.h"

/* Before a backup replays; at other times nothing. */
void check_open(void);

struct check_figures {
    uint64_t accesses;  /* looked at */
    uint64_t shared;    /* pairs of sites that were named, or would have been if there were room */
    uint64_t forgotten; /* pieces of 512 bytes whose past was dropped for want of memory */
};
struct check_figures check_figures(void);

static inline bool checking(void)
{
    return __builtin_expect(atomic_load_explicit(&process.checks, memory_order_relaxed), 0);
}

/* ---- events, by the thread that passes them ---- */

void check_released(uint64_t object);
void check_acquired(uint64_t object);
void check_started(uint32_t child);

/* The words that one assigned lock orders (hooks/sharing/word.h) are one object; the readers of a
 * lock are another than its writers. */
static inline uint64_t check_word(const void *address)
{
    return ((uint64_t)address & ~15ull) + 1;
}
static inline uint64_t check_readers(const void *lock)
{
    return (uint64_t)lock + 2;
}

/* Before others can see it. */
static inline void check_release(const void *object)
{
    if (checking())
        check_released((uint64_t)object);
}
/* After it was seen. */
static inline void check_acquire(const void *object)
{
    if (checking())
        check_acquired((uint64_t)object);
}
/* A thread is there that does not run yet. */
static inline void check_start(uint32_t child)
{
    if (checking())
        check_started(child);
}
/* The same, of a lock with readers. */
static inline void check_release_shared(const void *lock)
{
    if (checking())
        check_released(check_readers(lock));
}
static inline void check_acquire_alone(const void *lock)
{
    if (checking()) {
        check_acquired((uint64_t)lock);
        check_acquired(check_readers(lock));
    }
}

/* ---- memory that begins a new life ---- */

void check_memory(const void *block, size_t bytes);

#endif
