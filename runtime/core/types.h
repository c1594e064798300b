/*
 * Bounds and small types that every room shares. Words: docs/architecture.md, "Words".
 *
 * Nothing in runtime/core makes a system call, starts a thread or reads a clock: the daemons,
 * the runtime inside the NF and the simulator in tests/sim run the very same functions.
 */
#ifndef PALISADE_CORE_TYPES_H
#define PALISADE_CORE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define THREADS_MAX 64u        /* threads an NF may ever create; indices are never reused (R19) */
#define PORTS_MAX 16u          /* world-facing interfaces of one NF */
#define PACKET_MAX_BYTES 1600u /* one packet, Ethernet header included */
#define NO_THREAD UINT32_MAX

/* Count of events of one thread; the first event has position 1, 0 means "before everything". */
typedef uint64_t position;

/* n of an input's id (incarnation of the input logger, n), from 1. What names inputs for longer
 * than one connection carries the incarnation beside it (R16). */
typedef uint64_t packet_id;

/* A vector of positions, one a thread: a VOR, a cut C, or what the OL holds (R). */
struct positions {
    uint32_t threads; /* entries in use, at most THREADS_MAX; absent ones count as 0 */
    position at[THREADS_MAX];
};

static inline position positions_get(const struct positions *vector, uint32_t thread)
{
    return thread < vector->threads ? vector->at[thread] : 0;
}

/* True when `have` covers `need` in every entry: the release condition of G1. */
static inline bool positions_cover(const struct positions *have, const struct positions *need)
{
    for (uint32_t t = 0; t < need->threads; t++)
        if (positions_get(have, t) < need->at[t])
            return false;
    return true;
}

#endif
