/*
 * The record encoders of the NF's fast path, inline; included by record.h only. Varints are
 * LEB128 in their shortest form: the decoder refuses any other, so a record has one encoding.
 */
#ifndef PALISADE_CORE_RECORD_HOT_H
#define PALISADE_CORE_RECORD_HOT_H

#include "assert.h"
#include "wire_bytes.h"

#define RECORD_KIND_BITS 4u
#define RECORD_SKIP_LONG 15u

static inline uint8_t *varint_write(uint8_t *out, uint64_t value)
{
    while (value >= 0x80) {
        *out++ = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    *out++ = (uint8_t)value;
    return out;
}

/* Small magnitudes of either sign become small numbers: 0, -1, 1, -2, ... -> 0, 1, 2, 3, ... */
static inline uint64_t zigzag(int64_t value)
{
    return ((uint64_t)value << 1) ^ (uint64_t)(value >> 63);
}

static inline uint8_t *record_head(struct codec *codec, uint8_t *out, enum record_kind kind,
                                   position at)
{
    DEBUG_ASSERT(at > codec->position);
    uint64_t skip = at - codec->position - 1;
    codec->position = at;
    if (__builtin_expect(skip < RECORD_SKIP_LONG, 1)) {
        *out++ = (uint8_t)(kind | skip << RECORD_KIND_BITS);
        return out;
    }
    *out++ = (uint8_t)(kind | RECORD_SKIP_LONG << RECORD_KIND_BITS);
    return varint_write(out, skip - RECORD_SKIP_LONG);
}

/* Deltas are modulo 2^64: positions only grow, so they are small, but any vector survives. */
static inline uint8_t *record_vector(struct codec *codec, uint8_t *out,
                                     const struct positions *vector)
{
    ASSERT(vector->threads <= THREADS_MAX);
    out = varint_write(out, vector->threads);
    for (uint32_t t = 0; t < vector->threads; t++) {
        out = varint_write(out, vector->at[t] - codec->vor.at[t]);
        codec->vor.at[t] = vector->at[t];
    }
    codec->vor.threads = vector->threads;
    return out;
}

/* Any 32 bits are as likely as others: no varint. */
static inline uint8_t *record_digests(uint8_t *out, struct digests digests)
{
    put_le32(out, digests.path);
    put_le32(out + 4, digests.sent);
    return out + 8;
}

static inline uint32_t record_order(struct codec *codec, uint8_t *out, position at,
                                    uint64_t sequence)
{
    uint8_t *end = record_head(codec, out, RECORD_ORDER, at);
    return (uint32_t)(varint_write(end, sequence) - out);
}

static inline uint32_t record_clock(struct codec *codec, uint8_t *out, position at, uint32_t slot,
                                    int64_t ns)
{
    ASSERT(slot < RECORD_CLOCKS);
    uint8_t *end = record_head(codec, out, RECORD_CLOCK, at);
    end = varint_write(end, slot);
    end = varint_write(end, zigzag((int64_t)((uint64_t)ns - (uint64_t)codec->clock_ns[slot])));
    codec->clock_ns[slot] = ns;
    return (uint32_t)(end - out);
}

static inline uint32_t record_receive(struct codec *codec, uint8_t *out, position at,
                                      uint32_t queue, const struct id_range *ranges, uint32_t count)
{
    ASSERT(count >= 1 && count <= RECORD_RANGES_MAX);
    uint8_t *end = record_head(codec, out, RECORD_RECEIVE, at);
    end = varint_write(end, queue);
    end = varint_write(end, count);
    for (uint32_t i = 0; i < count; i++) {
        DEBUG_ASSERT(ranges[i].count >= 1);
        end = varint_write(end, zigzag((int64_t)(ranges[i].first - codec->next_id)));
        end = varint_write(end, ranges[i].count);
        codec->next_id = ranges[i].first + ranges[i].count;
    }
    return (uint32_t)(end - out);
}

static inline uint32_t record_out(struct codec *codec, uint8_t *out, position at, uint32_t packets,
                                  const struct positions *vor, struct digests digests)
{
    uint8_t *end = record_head(codec, out, RECORD_OUT, at);
    end = varint_write(end, packets);
    end = record_vector(codec, end, vor);
    return (uint32_t)(record_digests(end, digests) - out);
}

#endif
