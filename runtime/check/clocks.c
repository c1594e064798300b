/* See clocks.h. */
#include "check/clocks.h"

#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#define OBJECTS 8192u /* a power of two: 4 MiB, of which those that are used exist */

static uint64_t seen[THREADS_MAX][THREADS_MAX]; /* [t] belongs to thread t */
static struct {
    _Atomic uint32_t lock;
    uint64_t seen[THREADS_MAX]; /* guarded by lock */
} objects[OBJECTS];

static uint32_t object_of(uint64_t object)
{
    return (uint32_t)(object * 0x9E3779B97F4A7C15ull >> 51);
}
_Static_assert(OBJECTS == 1u << 13, "object_of takes the top 13 bits of the hash");

static void object_lock(uint32_t object)
{
    for (uint32_t spins = 1; atomic_exchange(&objects[object].lock, 1); spins++)
        if (spins % 64 == 0)
            sched_yield();
}

static void object_unlock(uint32_t object)
{
    atomic_store(&objects[object].lock, 0);
}

static void join(uint64_t *to, const uint64_t *from)
{
    for (uint32_t t = 0; t < THREADS_MAX; t++)
        to[t] = from[t] > to[t] ? from[t] : to[t];
}

void clocks_begin(void)
{
    memset(seen, 0, sizeof seen);
    memset(objects, 0, sizeof objects);
    for (uint32_t t = 0; t < THREADS_MAX; t++)
        seen[t][t] = 1;
}

uint64_t clock_now(uint32_t thread)
{
    return seen[thread][thread];
}

const uint64_t *clock_seen(uint32_t thread)
{
    return seen[thread];
}

void clock_release(uint32_t thread, uint64_t object)
{
    uint32_t at = object_of(object);
    object_lock(at);
    join(objects[at].seen, seen[thread]);
    object_unlock(at);
    seen[thread][thread]++;
}

void clock_acquire(uint32_t thread, uint64_t object)
{
    uint32_t at = object_of(object);
    object_lock(at);
    join(seen[thread], objects[at].seen);
    object_unlock(at);
}

void clock_born(uint32_t parent, uint32_t child)
{
    join(seen[child], seen[parent]);
    seen[parent][parent]++;
}
