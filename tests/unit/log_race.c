/* See log_race.h. */
#include "log_race.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/assert.h"
#include "core/log.h"
#include "record_random.h"

#define CAPACITY (4 * RECORD_MAX_BYTES)

/* What the reader puts together from chunks. */
struct taken {
    uint8_t *bytes;
    size_t length;
    position to;
};

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
        ASSERT(chunk.reset == first);
        first = false;
        ASSERT(chunk.length <= room);
        ASSERT(chunk.from == taken->to);
        ASSERT(chunk.to >= chunk.from);
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
            ASSERT(record_same(&want, &have));
            last = have.position;
            seen++;
        }
        ASSERT(length == 0); /* not malformed */
        /* R1: every record at or below the position has arrived: the next one lies beyond. */
        if (seen < race->records) {
            struct random peek = again;
            record_make(&peek, writer.position, &want, value);
            ASSERT(writer.position + 1 + want.sequence % 9 > chunk.to);
        }
    }
}

void log_race_run(uint64_t seed)
{
    struct race race = {.seed = seed, .start = seed * 1000, .records = 2000};
    uint8_t *ring = calloc(1, CAPACITY + RECORD_MAX_BYTES);
    struct taken taken = {.bytes = malloc((size_t)race.records * RECORD_MAX_BYTES)};
    struct log_chunk chunk;
    pthread_t writer;
    log_init(&race.log, ring, CAPACITY, race.start);
    ASSERT(pthread_create(&writer, NULL, race_write, &race) == 0);
    race_take(&race, &taken);
    pthread_join(writer, NULL);
    ASSERT(!log_take(&race.log, taken.bytes, 1, &chunk));
    free(taken.bytes);
    free(ring);
}
