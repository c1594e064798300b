/* Seeded numbers for tests (splitmix64): a failing seed repeats its run on any machine. */
#ifndef PALISADE_TESTS_RANDOM_H
#define PALISADE_TESTS_RANDOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct random {
    uint64_t state;
};

static inline uint64_t random_next(struct random *random)
{
    uint64_t z = (random->state += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

/* 0 .. below - 1 */
static inline uint64_t random_below(struct random *random, uint64_t below)
{
    return random_next(random) % below;
}

static inline bool random_chance(struct random *random, unsigned per_mille)
{
    return random_below(random, 1000) < per_mille;
}

/* Any magnitude is as likely as any other: small numbers, huge ones, and those at the edges. */
static inline uint64_t random_magnitude(struct random *random)
{
    uint64_t bits = random_below(random, 65);
    return bits == 0 ? 0 : random_next(random) >> (64 - bits);
}

static inline void random_fill(struct random *random, void *bytes, size_t length)
{
    uint8_t *out = (uint8_t *)bytes;
    for (size_t i = 0; i < length; i += 8) {
        uint64_t word = random_next(random);
        memcpy(out + i, &word, length - i < 8 ? length - i : 8);
    }
}

#endif
