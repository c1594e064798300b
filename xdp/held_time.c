#include "held_time.h"

#include <stdlib.h>

#include "core/assert.h"

#define RING 16384u /* outputs of one thread whose arrival is remembered */
#define BUCKETS 40u /* bucket b: below 2^b ns; the last is open */

struct arrival {
    uint64_t number;
    int64_t at_ns;
};

struct held_time {
    struct arrival *rings[THREADS_MAX]; /* allocated when a thread first sends */
    uint64_t buckets[BUCKETS];
    uint64_t count;
    int64_t max_ns;
};

struct held_time *held_time_create(void)
{
    return calloc(1, sizeof(struct held_time));
}

void held_time_destroy(struct held_time *times)
{
    if (!times)
        return;
    for (uint32_t t = 0; t < THREADS_MAX; t++)
        free(times->rings[t]);
    free(times);
}

void held_time_arrived(struct held_time *times, uint32_t thread, uint64_t number, int64_t now_ns)
{
    ASSERT(thread < THREADS_MAX);
    if (!times->rings[thread])
        times->rings[thread] = calloc(RING, sizeof(struct arrival));
    if (!times->rings[thread])
        return; /* a figure less */
    struct arrival *arrival = &times->rings[thread][number % RING];
    if (arrival->number != number) /* a doubled packet keeps its first arrival */
        *arrival = (struct arrival){.number = number, .at_ns = now_ns};
}

void held_time_released(struct held_time *times, uint32_t thread, uint64_t number, int64_t now_ns)
{
    ASSERT(thread < THREADS_MAX);
    if (!times->rings[thread])
        return;
    struct arrival *arrival = &times->rings[thread][number % RING];
    if (arrival->number != number)
        return;
    int64_t held_ns = now_ns - arrival->at_ns;
    uint32_t bucket = held_ns > 0 ? 64 - (uint32_t)__builtin_clzll((uint64_t)held_ns) : 0;
    times->buckets[bucket < BUCKETS ? bucket : BUCKETS - 1]++;
    times->count++;
    if (held_ns > times->max_ns)
        times->max_ns = held_ns;
    arrival->number = 0;
}

static int64_t percentile(const struct held_time *times, double share)
{
    uint64_t wanted = (uint64_t)(share * (double)times->count), seen = 0;

    for (uint32_t b = 0; b < BUCKETS; b++) {
        seen += times->buckets[b];
        if (seen > wanted || seen == times->count)
            return b ? (int64_t)1 << b : 0;
    }
    return times->max_ns;
}

json_t *held_time_json(const struct held_time *times)
{
    json_t *buckets = json_array();
    uint32_t used = BUCKETS;

    while (used && !times->buckets[used - 1])
        used--;
    for (uint32_t b = 0; b < used; b++)
        json_array_append_new(buckets, json_integer((json_int_t)times->buckets[b]));
    return json_pack("{s:I,s:I,s:I,s:I,s:o}", "count", (json_int_t)times->count, "p50_ns",
                     (json_int_t)percentile(times, 0.5), "p99_ns",
                     (json_int_t)percentile(times, 0.99), "max_ns", (json_int_t)times->max_ns,
                     "log2_ns", buckets);
}
