/* Random records, for tests of the codec, the log and the fuzzers. */
#ifndef PALISADE_TESTS_RECORD_RANDOM_H
#define PALISADE_TESTS_RECORD_RANDOM_H

#include <string.h>

#include "core/record.h"
#include "random.h"

static inline void positions_make(struct random *random, struct positions *vector)
{
    vector->threads = (uint32_t)random_below(random, THREADS_MAX + 1);
    for (uint32_t t = 0; t < vector->threads; t++)
        vector->at[t] = random_magnitude(random);
}

/* Any valid record after `last`; `value` (RECORD_VALUE_MAX_BYTES) holds the bytes of BYTES. */
static inline void record_make(struct random *random, position last, struct record *record,
                               uint8_t *value)
{
    memset(record, 0, sizeof *record);
    record->kind = (enum record_kind)(1 + random_below(random, RECORD_KINDS - 1));
    position skip =
        random_chance(random, 700) ? random_below(random, 40) : random_magnitude(random) >> 8;
    record->position = skip < UINT64_MAX - last - 1 ? last + 1 + skip : last + 1;
    record->sequence = random_magnitude(random);
    record->reads = random_magnitude(random);
    record->number = (int64_t)random_magnitude(random);
    if (random_chance(random, 500))
        record->number = (int64_t)(0 - (uint64_t)record->number);
    record->value = random_magnitude(random);
    record->writer =
        random_chance(random, 300) ? NO_THREAD : (uint32_t)random_below(random, THREADS_MAX);
    record->written = random_magnitude(random);
    positions_make(random, &record->vector);
    record->digests =
        (struct digests){(uint32_t)random_next(random), (uint32_t)random_next(random)};

    switch (record->kind) {
    case RECORD_CLOCK:
        record->slot = (uint32_t)random_below(random, RECORD_CLOCKS);
        break;
    case RECORD_RECEIVE:
        record->slot = (uint32_t)random_magnitude(random);
        record->count = 1 + (uint32_t)random_below(random, RECORD_RANGES_MAX);
        for (uint32_t i = 0; i < record->count; i++) {
            record->ranges[i].first = random_magnitude(random) >> 1;
            record->ranges[i].count = 1 + (uint32_t)(random_magnitude(random) >> 33);
        }
        break;
    case RECORD_BYTES:
        record->count = (uint32_t)random_below(random, RECORD_VALUE_MAX_BYTES + 1);
        random_fill(random, value, record->count);
        record->bytes = value;
        break;
    case RECORD_OUT:
    case RECORD_SIGNAL:
        record->count = (uint32_t)random_magnitude(random);
        break;
    default:
        break;
    }
}

static inline uint32_t record_put(struct codec *codec, uint8_t *out, const struct record *record)
{
    position at = record->position;
    switch (record->kind) {
    case RECORD_ORDER:
        return record_order(codec, out, at, record->sequence);
    case RECORD_FAIL:
        return record_fail(codec, out, at, record->sequence);
    case RECORD_NUMBER:
        return record_number(codec, out, at, record->number);
    case RECORD_BYTES:
        return record_bytes(codec, out, at, record->bytes, record->count);
    case RECORD_CLOCK:
        return record_clock(codec, out, at, record->slot, record->number);
    case RECORD_RECEIVE:
        return record_receive(codec, out, at, record->slot, record->ranges, record->count);
    case RECORD_OUT:
        return record_out(codec, out, at, record->count, &record->vector, record->digests);
    case RECORD_LOAD:
        return record_load(codec, out, at, record->value, record->writer, record->written);
    case RECORD_READ:
        return record_read(codec, out, at, record->sequence);
    case RECORD_WRITE:
        return record_write(codec, out, at, record->sequence, record->reads);
    case RECORD_MIXED:
        return record_mixed(codec, out, at, record->value, &record->vector);
    case RECORD_SIGNAL:
        return record_signal(codec, out, at, record->count, record->number);
    case RECORD_WIDE:
        return record_wide(codec, out, at, record->value, record->high, record->writer,
                           record->written);
    case RECORD_EFFECT:
        return record_effect(codec, out, at, record->digests);
    case RECORD_KINDS:
        break;
    }
    return 0;
}

static inline bool vector_same(const struct positions *a, const struct positions *b)
{
    return a->threads == b->threads && memcmp(a->at, b->at, a->threads * sizeof a->at[0]) == 0;
}

static inline bool digests_same(struct digests a, struct digests b)
{
    return a.path == b.path && a.sent == b.sent;
}

/* Compares the fields that the kind has. */
static inline bool record_same(const struct record *a, const struct record *b)
{
    if (a->kind != b->kind || a->position != b->position)
        return false;
    switch (a->kind) {
    case RECORD_ORDER:
    case RECORD_FAIL:
    case RECORD_READ:
        return a->sequence == b->sequence;
    case RECORD_WRITE:
        return a->sequence == b->sequence && a->reads == b->reads;
    case RECORD_NUMBER:
        return a->number == b->number;
    case RECORD_BYTES:
        return a->count == b->count && memcmp(a->bytes, b->bytes, a->count) == 0;
    case RECORD_CLOCK:
        return a->slot == b->slot && a->number == b->number;
    case RECORD_RECEIVE:
        for (uint32_t i = 0; i < a->count && a->count == b->count; i++)
            if (a->ranges[i].first != b->ranges[i].first ||
                a->ranges[i].count != b->ranges[i].count)
                return false;
        return a->slot == b->slot && a->count == b->count;
    case RECORD_OUT:
        return a->count == b->count && vector_same(&a->vector, &b->vector) &&
               digests_same(a->digests, b->digests);
    case RECORD_LOAD:
        return a->value == b->value && a->writer == b->writer && a->written == b->written;
    case RECORD_WIDE:
        return a->value == b->value && a->high == b->high && a->writer == b->writer &&
               a->written == b->written;
    case RECORD_MIXED:
        return a->value == b->value && vector_same(&a->vector, &b->vector);
    case RECORD_SIGNAL:
        return a->count == b->count && a->number == b->number;
    case RECORD_EFFECT:
        return digests_same(a->digests, b->digests);
    case RECORD_KINDS:
        break;
    }
    return false;
}

#endif
