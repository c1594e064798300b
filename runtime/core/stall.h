/*
 * Times that something was full, or had to wait for room, and how long. One thread writes; another
 * may read, and sees each number whole. Times are passed in.
 */
#ifndef PALISADE_CORE_STALL_H
#define PALISADE_CORE_STALL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct stall {
    _Atomic uint64_t times;
    _Atomic int64_t ns;       /* of those that are over */
    _Atomic int64_t since_ns; /* of the present one; 0: none */
};

/* Is it full now? Only a change counts, so call it as often as convenient. */
static inline void stall_note(struct stall *stall, bool full, int64_t now_ns)
{
    int64_t since = atomic_load_explicit(&stall->since_ns, memory_order_relaxed);
    if (__builtin_expect(full == (since != 0), 1))
        return;
    if (full) {
        uint64_t times = atomic_load_explicit(&stall->times, memory_order_relaxed);
        atomic_store_explicit(&stall->times, times + 1, memory_order_relaxed);
        atomic_store_explicit(&stall->since_ns, now_ns, memory_order_relaxed);
    } else {
        int64_t ns = atomic_load_explicit(&stall->ns, memory_order_relaxed);
        atomic_store_explicit(&stall->ns, ns + now_ns - since, memory_order_relaxed);
        atomic_store_explicit(&stall->since_ns, 0, memory_order_relaxed);
    }
}

static inline bool stall_now(const struct stall *stall)
{
    return atomic_load_explicit(&stall->since_ns, memory_order_relaxed) != 0;
}

static inline uint64_t stall_times(const struct stall *stall)
{
    return atomic_load_explicit(&stall->times, memory_order_relaxed);
}

/* The present one included. */
static inline int64_t stall_ns(const struct stall *stall, int64_t now_ns)
{
    int64_t since = atomic_load_explicit(&stall->since_ns, memory_order_relaxed);
    return atomic_load_explicit(&stall->ns, memory_order_relaxed) + (since ? now_ns - since : 0);
}

#endif
