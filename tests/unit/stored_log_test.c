/* Stored logs: a base at any position, and how far a prefix reaches. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "core/stored_log.h"
#include "random.h"
#include "stream_race.h"

#define RECORDS 3000u

/* A log of numbers whose value is their position; some events between are predicted. */
static struct stored_log stored;
static struct codec writer;
static struct random dice;
static position last;

static int ignore(void *context, const struct record *record, int bytes)
{
    (void)context;
    (void)bytes;
    cr_assert_eq(record->number, (int64_t)record->position);
    return 0;
}

static void setup(void)
{
    stored_log_init(&stored);
    codec_reset(&writer, 0);
    dice.state = 5;
    last = 0;
}

static void teardown(void)
{
    stored_log_free(&stored);
}
TestSuite(stored_log, .init = setup, .fini = teardown);

/* One record, whole; `barrier`: a segment begins before it. */
static void append(bool barrier)
{
    uint8_t bytes[RECORD_MAX_BYTES];
    struct log_chunk chunk = {.from = last, .reset = barrier || last == 0};

    if (chunk.reset)
        codec_reset(&writer, last);
    position at = last + 1 + random_below(&dice, 5);
    chunk.length = record_number(&writer, bytes, at, (int64_t)at);
    chunk.to = last = at + random_below(&dice, 4);
    cr_assert_eq(stored_log_append(&stored, &chunk, bytes, ignore, NULL), 0);
}

/* Decodes all from the base on, as one would who has its codec and the segments. */
static uint32_t decode_all(void)
{
    struct codec codec = stored.base_codec;
    struct record record;
    size_t offset = 0, segment = 0;
    uint32_t records = 0;
    position before = stored.base;

    while (offset < stored.length) {
        for (; segment < stored.segment_count && stored.segments[segment].offset == offset;
             segment++)
            codec_reset(&codec, stored.segments[segment].start);
        int taken = record_decode(&codec, stored.bytes + offset, stored.length - offset, &record);
        cr_assert_gt(taken, 0);
        cr_assert_gt(record.position, before, "%lu", record.position);
        cr_assert_eq(record.number, (int64_t)record.position);
        before = record.position;
        offset += (size_t)taken;
        records++;
    }
    return records;
}

Test(stored_log, a_base_at_any_position)
{
    uint32_t records = 0;

    for (uint32_t i = 0; i < RECORDS; i++) {
        append(stored.segment_count < STORED_SEGMENTS_MAX / 2 && random_chance(&dice, 30));
        records++;
        if (!random_chance(&dice, 20))
            continue;
        position base = stored.base + random_below(&dice, last - stored.base + 1);
        cr_assert(stored_log_can_drop(&stored, base, false));
        stored_log_drop(&stored, base, false);
        cr_assert_eq(stored.base, base);
        uint32_t left = decode_all();
        cr_assert_leq(left, records);
        records = left;
    }
    stored_log_drop(&stored, last, false);
    cr_assert_eq(decode_all(), 0);
    append(false); /* the stream goes on */
    cr_assert_eq(decode_all(), 1);
}

Test(stored_log, a_barrier_behind_a_base_stays_one)
{
    append(false);
    append(false);
    position base = last;
    append(false);
    append(true);
    position barrier = stored.segments[stored.segment_count - 1].start;
    append(false);
    stored_log_drop(&stored, base, false);
    cr_assert_eq(stored.segment_count, 1);
    cr_assert_eq(decode_all(), 3);
    cr_assert(stored_log_can_drop(&stored, barrier, true));
    stored_log_drop(&stored, barrier, true);
    cr_assert_eq(decode_all(), 2);
    cr_assert_not(stored_log_can_drop(&stored, base, false), "behind the base");
}

Test(stored_log, a_base_outside_is_none)
{
    append(false);
    append(true);
    cr_assert_not(stored_log_can_drop(&stored, last + 1, false));
    stored_log_drop(&stored, last, false);
    cr_assert_not(stored_log_can_drop(&stored, last - 1, false));
}

/* All records at or below what a prefix reaches lie in it; the next checkpoint is never far. */
Test(stored_log, a_prefix_reaches_what_is_whole_in_it)
{
    static position at[200000]; /* of the record that ends at an offset; 0: none does */
    size_t length = 0;

    while (stored.length < 5 * STORED_CHECKPOINT_BYTES) {
        append(stored.segment_count < STORED_SEGMENTS_MAX && random_chance(&dice, 1));
        length = stored.length;
        at[length] = stored.codec.position;
    }
    position whole = 0;
    size_t end = 0;
    for (size_t offset = 0; offset < length; offset++) {
        if (at[offset] != 0) {
            whole = at[offset];
            end = offset;
        }
        position reached = stored_log_reached(&stored, offset);
        cr_assert_leq(reached, whole, "at %zu: %lu of %lu, whole to %zu", offset, reached, whole,
                      end);
        if (offset >= STORED_CHECKPOINT_BYTES + RECORD_MAX_BYTES)
            cr_assert_gt(reached, 0, "at %zu", offset);
    }
    cr_assert_eq(stored_log_reached(&stored, length), last);
}

/* Bytes of a take that has not ended reach no further than what was received. */
Test(stored_log, an_unfinished_take_is_not_reached)
{
    uint8_t bytes[RECORD_MAX_BYTES];

    append(false);
    position received = last;
    while (stored.length < 3 * STORED_CHECKPOINT_BYTES) {
        position at = writer.position + 1;
        struct log_chunk chunk = {.from = received, .to = received};
        if (at <= received)
            at = received + 1;
        chunk.length = record_number(&writer, bytes, at, (int64_t)at);
        cr_assert_eq(stored_log_append(&stored, &chunk, bytes, ignore, NULL), 0);
    }
    cr_assert_eq(stored_log_reached(&stored, stored.length - 1), received);
    cr_assert_eq(stored_log_reached(&stored, stored.length), received);
}

Test(stream, grows_while_it_is_replayed)
{
    for (uint64_t seed = 1; seed <= 10; seed++)
        stream_race_run(seed);
}

/* A record that was decoded, but whose event has yet to happen, still needs its bytes. */
Test(stream, what_was_decoded_is_not_used_up)
{
    static uint8_t ring[RECORD_MAX_BYTES * 4];
    struct log_segment segments[STORED_SEGMENTS_MAX];
    struct thread_state thread = {0};
    struct log_reader reader;
    struct codec start, codec;
    uint8_t bytes[5];
    int64_t number;

    codec_reset(&start, 0);
    codec = start;
    uint32_t length = record_bytes(&codec, ring, 2, "bytes", 5);
    log_reader_open(&reader, ring, RECORD_MAX_BYTES * 2, segments, &start, 0);
    log_reader_extend(&reader, length, 0, 2);
    cr_assert_eq(ev_number_replay(&thread, &reader, 8, &number), EVENT_PASS, "predicted");
    cr_assert(reader.have);
    cr_assert_eq(log_reader_consumed(&reader), 0);
    cr_assert_eq(ev_bytes_replay(&thread, &reader, bytes, 5), EVENT_PASS);
    cr_assert_eq(log_reader_consumed(&reader), length);
}
