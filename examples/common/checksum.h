/*
 * The Internet checksum, changed in place (RFC 1624): a packet whose checksum was wrong before
 * leaves wrong by the same amount, so that the receiver still notices.
 */
#ifndef CHECKSUM_H
#define CHECKSUM_H

#include <stdint.h>

/* The word `from`, which `sum` covers, becomes `to`. All three are in network order. */
static inline void checksum_change16(uint16_t *sum, uint16_t from, uint16_t to)
{
    uint32_t value = (uint16_t) ~*sum + (uint32_t)(uint16_t)~from + to;
    value = (value & 0xffff) + (value >> 16);
    value = (value & 0xffff) + (value >> 16);
    *sum = (uint16_t)~value;
}

static inline void checksum_change32(uint16_t *sum, uint32_t from, uint32_t to)
{
    checksum_change16(sum, (uint16_t)from, (uint16_t)to);
    checksum_change16(sum, (uint16_t)(from >> 16), (uint16_t)(to >> 16));
}

#endif
