/* The seeded source of everything that is random in a simulated run (splitmix64). */
#ifndef PALISADE_SIM_RANDOM_H
#define PALISADE_SIM_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

struct random {
    uint64_t state;
};

static inline uint64_t mix64(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static inline uint64_t hash2(uint64_t a, uint64_t b)
{
    return mix64(mix64(a) ^ (b * 0xff51afd7ed558ccdu));
}

static inline uint64_t random_next(struct random *random)
{
    random->state += 0x9e3779b97f4a7c15u;
    return mix64(random->state);
}

/* 0 .. below - 1 */
static inline uint32_t random_below(struct random *random, uint32_t below)
{
    return (uint32_t)((random_next(random) >> 16) % below);
}

/* low .. high */
static inline uint32_t random_range(struct random *random, uint32_t low, uint32_t high)
{
    return low + random_below(random, high - low + 1);
}

static inline bool random_percent(struct random *random, uint32_t percent)
{
    return random_below(random, 100) < percent;
}

#endif
