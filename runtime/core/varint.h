/* LEB128 varints and zigzag, as records use them. */
#ifndef PALISADE_CORE_VARINT_H
#define PALISADE_CORE_VARINT_H

#include <stddef.h>
#include <stdint.h>

#define VARINT_MAX_BYTES 10u

static inline uint8_t *varint_write(uint8_t *out, uint64_t value)
{
    while (value >= 0x80) {
        *out++ = (uint8_t)value | 0x80;
        value >>= 7;
    }
    *out++ = (uint8_t)value;
    return out;
}

static inline uint64_t zigzag(int64_t value)
{
    return ((uint64_t)value << 1) ^ (uint64_t)(value >> 63);
}

static inline int64_t unzigzag(uint64_t value)
{
    return (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
}

/* A reader that remembers why it stopped: `at` NULL after the end, `bad` after nonsense. */
struct varint_reader {
    const uint8_t *at, *end;
    int bad;
};

static inline uint64_t varint_read(struct varint_reader *reader)
{
    uint64_t value = 0;
    for (uint32_t i = 0; reader->at; i++) {
        if (reader->at == reader->end) {
            reader->at = NULL;
            break;
        }
        uint8_t byte = *reader->at++;
        if (i == VARINT_MAX_BYTES - 1 && byte > 1) {
            reader->bad = 1;
            reader->at = NULL;
            break;
        }
        value |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (!(byte & 0x80))
            return value;
    }
    return 0;
}

#endif
