/* Digest of what the NF sends or writes (G6): chained over messages, pieces and their bounds. */
#ifndef PALISADE_HOOKS_DIGEST_H
#define PALISADE_HOOKS_DIGEST_H

#include <stdint.h>
#include <sys/uio.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define DIGEST_PRIME 0x9E3779B97F4A7C15ull

/* `head`: what belongs to it and is no byte of it. Begins with 0. */
static inline uint64_t digest_message(uint64_t digest, uint64_t head, const struct iovec *pieces,
                                      uint32_t count)
{
    digest = (digest ^ head) * DIGEST_PRIME;
    for (uint32_t i = 0; i < count; i++)
        digest = (digest ^ XXH3_64bits(pieces[i].iov_base, pieces[i].iov_len)) * DIGEST_PRIME;
    return digest;
}

/* What a record carries: the half that every bit goes into. */
static inline uint32_t digest_end(uint64_t digest)
{
    return (uint32_t)(digest >> 32);
}

#endif
