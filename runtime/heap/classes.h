/*
 * Size classes: multiples of 16 up to 256 bytes, then four a doubling up to 32 KiB: at most a
 * quarter of a block is lost to rounding.
 */
#ifndef PALISADE_HEAP_CLASSES_H
#define PALISADE_HEAP_CLASSES_H

#include <stddef.h>
#include <stdint.h>

#define CLASS_COUNT 44u
#define CLASS_MAX_BYTES 32768u

/* The smallest class whose blocks hold `size` bytes; size at most CLASS_MAX_BYTES. */
static inline uint32_t class_of(size_t size)
{
    size_t last = size - (size != 0);
    if (last < 256)
        return (uint32_t)(last >> 4);
    uint32_t log2 = 63u - (uint32_t)__builtin_clzl(last);
    return 16 + (log2 - 8) * 4 + ((last >> (log2 - 2)) & 3);
}

static inline uint32_t class_bytes(uint32_t class)
{
    if (class < 16)
        return (class + 1) * 16;
    uint32_t doubling = (class - 16) / 4, quarter = (class - 16) % 4;
    return (256u << doubling) + (quarter + 1) * (64u << doubling);
}

#endif
