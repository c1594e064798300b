/* Digest of what the NF sends or writes (G6): chained over messages, pieces and their bounds. */
#ifndef PALISADE_HOOKS_DIGEST_H
#define PALISADE_HOOKS_DIGEST_H

#include <stdint.h>
#include <sys/uio.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "process.h"

#define DIGEST_PRIME 0x9E3779B97F4A7C15ull
#define DIGEST_SHORT_BYTES 240u /* XXH3 has no use for vectors up to here */

/* XXH3_64bits by what this CPU has; the result is the same. */
extern uint64_t (*digest_long)(const void *bytes, size_t length) HIDDEN;
uint64_t digest_avx2(const void *bytes, size_t length);

static inline uint64_t digest_bytes(const void *bytes, size_t length)
{
    return length <= DIGEST_SHORT_BYTES ? XXH3_64bits(bytes, length) : digest_long(bytes, length);
}

/* `head`: what belongs to it and is no byte of it. Begins with 0. */
static inline uint64_t digest_message(uint64_t digest, uint64_t head, const struct iovec *pieces,
                                      uint32_t count)
{
    digest = (digest ^ head) * DIGEST_PRIME;
    for (uint32_t i = 0; i < count; i++)
        digest = (digest ^ digest_bytes(pieces[i].iov_base, pieces[i].iov_len)) * DIGEST_PRIME;
    return digest;
}

/* What a record carries: the half that every bit goes into. */
static inline uint32_t digest_end(uint64_t digest)
{
    return (uint32_t)(digest >> 32);
}

#endif
