/* The ring between an NF thread and whoever ships its log: one writer, one reader, for real. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "record_random.h"

#define CAPACITY (4 * RECORD_MAX_BYTES)

static uint8_t *ring_create(struct log *log, position start)
{
    uint8_t *bytes = calloc(1, CAPACITY + RECORD_MAX_BYTES);
    log_init(log, bytes, CAPACITY, start);
    return bytes;
}

/* What the reader puts together from chunks. */
struct taken {
    uint8_t *bytes;
    size_t length;
    position to;
};

/* ---- two threads ---- */

struct race {
    struct log log;
    uint64_t seed;
    position start;
    uint32_t records;
};

/* Record i of a seed, and the codec's state after it, follow from the seed alone. */
static void *race_write(void *context)
{
    struct race *race = context;
    struct random random = {race->seed};
    struct codec codec;
    struct record record;
    uint8_t value[RECORD_VALUE_MAX_BYTES];
    codec_reset(&codec, race->start);
    for (uint32_t i = 0; i < race->records; i++) {
        record_make(&random, codec.position, &record, value);
        record.position = codec.position + 1 + record.sequence % 9;
        for (position p = codec.position + 1; p < record.position; p++)
            log_publish(&race->log, p); /* predicted events */
        while (!log_has_room(&race->log))
            sched_yield();
        log_append(&race->log, record_put(&codec, log_space(&race->log), &record));
        log_publish(&race->log, record.position);
    }
    log_publish(&race->log, codec.position + 5); /* trailing predicted events (R3) */
    return NULL;
}

static void race_take(struct race *race, struct taken *taken)
{
    struct random random = {race->seed + 1};
    struct codec writer, reader;
    struct random again = {race->seed};
    uint8_t value[RECORD_VALUE_MAX_BYTES], piece[5000];
    position last = race->start;
    uint32_t seen = 0;
    size_t decoded = 0;
    codec_reset(&writer, race->start);
    codec_reset(&reader, race->start);
    taken->to = race->start;
    bool first = true;

    while (seen < race->records || taken->to < last + 5) {
        struct log_chunk chunk;
        uint32_t room = 1 + (uint32_t)random_below(&random, sizeof piece);
        if (!log_take(&race->log, piece, room, &chunk)) {
            sched_yield();
            continue;
        }
        cr_assert_eq(chunk.reset, first);
        first = false;
        cr_assert_leq(chunk.length, room);
        cr_assert_eq(chunk.from, taken->to);
        cr_assert_geq(chunk.to, chunk.from);
        memcpy(taken->bytes + taken->length, piece, chunk.length);
        taken->length += chunk.length;
        taken->to = chunk.to;

        struct record want, have;
        int length;
        while ((length = record_decode(&reader, taken->bytes + decoded, taken->length - decoded,
                                       &have)) > 0) {
            uint8_t skip[RECORD_MAX_BYTES];
            decoded += (size_t)length;
            record_make(&again, writer.position, &want, value);
            want.position = writer.position + 1 + want.sequence % 9;
            record_put(&writer, skip, &want);
            cr_assert(record_same(&want, &have), "record %u differs", seen);
            last = have.position;
            seen++;
        }
        cr_assert_eq(length, 0, "record %u is malformed", seen);
        /* R1: every record at or below the position has arrived: the next one lies beyond. */
        if (seen < race->records) {
            struct random peek = again;
            record_make(&peek, writer.position, &want, value);
            cr_assert_gt(writer.position + 1 + want.sequence % 9, chunk.to);
        }
    }
}

Test(log, a_reader_takes_what_a_writer_appends, .timeout = 120)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct race race = {.seed = seed, .start = seed * 1000, .records = 2000};
        uint8_t *ring = ring_create(&race.log, race.start);
        struct taken taken = {.bytes = malloc((size_t)race.records * RECORD_MAX_BYTES)};
        pthread_t writer;
        cr_assert_eq(pthread_create(&writer, NULL, race_write, &race), 0);
        race_take(&race, &taken);
        pthread_join(writer, NULL);
        struct log_chunk chunk;
        cr_assert(!log_take(&race.log, taken.bytes, 1, &chunk));
        free(taken.bytes);
        free(ring);
    }
}

/* ---- one thread ---- */

static position append(struct log *log, struct codec *codec, uint32_t bytes)
{
    uint8_t value[RECORD_VALUE_MAX_BYTES] = {0};
    position at = codec->position + 1;
    cr_assert(log_has_room(log));
    log_append(log, record_bytes(codec, log_space(log), at, value, bytes));
    log_publish(log, at);
    return at;
}

Test(log, refuses_more_than_it_can_hold)
{
    struct log log;
    struct codec codec;
    struct log_chunk chunk;
    uint8_t out[CAPACITY];
    uint8_t *ring = ring_create(&log, 0);
    codec_reset(&codec, 0);
    uint32_t records = 0;
    while (log_has_room(&log)) {
        append(&log, &codec, 1000);
        records++;
    }
    cr_assert(records >= 5 && records <= 8);
    cr_assert(log_take(&log, out, sizeof out, &chunk));
    cr_assert_eq(chunk.to, records);
    cr_assert(log_has_room(&log));
    free(ring);
}

Test(log, only_the_last_chunk_of_a_take_advances)
{
    struct log log;
    struct codec codec;
    struct log_chunk chunk;
    uint8_t out[64];
    uint8_t *ring = ring_create(&log, 10);
    codec_reset(&codec, 10);
    append(&log, &codec, 100); /* 103 bytes with its header */
    cr_assert(log_take(&log, out, 64, &chunk));
    cr_assert(chunk.reset && chunk.from == 10 && chunk.to == 10 && chunk.length == 64);
    append(&log, &codec, 1); /* belongs to the next take */
    cr_assert(log_take(&log, out, 64, &chunk));
    cr_assert(!chunk.reset && chunk.from == 10 && chunk.to == 11);
    cr_assert(log_take(&log, out, 64, &chunk));
    cr_assert(chunk.from == 11 && chunk.to == 12);
    log_publish(&log, 15);
    cr_assert(log_take(&log, out, 64, &chunk));
    cr_assert(chunk.from == 12 && chunk.to == 15 && chunk.length == 0);
    cr_assert(!log_take(&log, out, 64, &chunk));
    free(ring);
}

Test(log, a_boundary_splits_what_is_not_yet_taken)
{
    struct log log;
    struct codec codec;
    struct log_chunk chunk;
    uint8_t out[4096];
    uint8_t *ring = ring_create(&log, 0);
    codec_reset(&codec, 0);
    append(&log, &codec, 10);
    cr_assert(log_take(&log, out, sizeof out, &chunk));
    append(&log, &codec, 20);
    log_publish(&log, 7);
    log_reset(&log); /* at position 7, with a record and predicted events not yet taken */
    codec_reset(&codec, 7);
    append(&log, &codec, 30);

    cr_assert(log_take(&log, out, sizeof out, &chunk));
    cr_assert(!chunk.reset && chunk.from == 1 && chunk.to == 7 && chunk.length == 22);
    cr_assert(log_take(&log, out, sizeof out, &chunk));
    cr_assert(chunk.reset && chunk.from == 7 && chunk.to == 8 && chunk.length == 32);
    log_reset(&log); /* with everything taken */
    cr_assert(!log_take(&log, out, sizeof out, &chunk));
    log_publish(&log, 9);
    cr_assert(log_take(&log, out, sizeof out, &chunk));
    cr_assert(chunk.reset && chunk.from == 8 && chunk.to == 9 && chunk.length == 0);
    free(ring);
}
