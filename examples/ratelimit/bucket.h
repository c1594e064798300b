/*
 * A token bucket. Its tokens are nanobytes, so that none is lost to rounding however often it is
 * filled: rate [bytes/s] x time [ns].
 */
#ifndef BUCKET_H
#define BUCKET_H

#include <stdbool.h>
#include <stdint.h>

#define SECOND_NS 1000000000ll

struct bucket {
    uint32_t rate;  /* bytes a second; 0: no limit */
    uint32_t burst; /* bytes; what it holds at most */
    int64_t tokens; /* nanobytes */
    int64_t filled_ns;
};

static void bucket_open(struct bucket *bucket, uint32_t rate, uint32_t burst, int64_t now_ns)
{
    *bucket = (struct bucket){rate, burst, burst * SECOND_NS, now_ns};
}

static void bucket_fill(struct bucket *bucket, int64_t now_ns)
{
    int64_t full = bucket->burst * SECOND_NS, elapsed_ns = now_ns - bucket->filled_ns;

    if (elapsed_ns <= 0)
        return;
    bucket->filled_ns = now_ns;
    if (bucket->rate == 0 || elapsed_ns >= (full - bucket->tokens) / bucket->rate)
        bucket->tokens = full;
    else
        bucket->tokens += elapsed_ns * bucket->rate;
}

/* Takes what a packet of `bytes` costs; false: not yet. */
static bool bucket_take(struct bucket *bucket, uint32_t bytes)
{
    int64_t cost = bytes * SECOND_NS;

    if (bucket->rate == 0)
        return true;
    if (bucket->tokens < cost)
        return false;
    bucket->tokens -= cost;
    return true;
}

/* When there will be tokens for a packet of `bytes`. */
static int64_t bucket_due_ns(const struct bucket *bucket, uint32_t bytes)
{
    int64_t missing = bytes * SECOND_NS - bucket->tokens;

    if (bucket->rate == 0 || missing <= 0)
        return bucket->filled_ns;
    return bucket->filled_ns + (missing + bucket->rate - 1) / bucket->rate;
}

#endif
