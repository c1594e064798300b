/* The ring between an NF thread and whoever ships its log. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "log_race.h"

#define CAPACITY (4 * RECORD_MAX_BYTES)

static uint8_t *ring_create(struct log *log, position start)
{
    uint8_t *bytes = calloc(1, CAPACITY + RECORD_MAX_BYTES);
    log_init(log, bytes, CAPACITY, start);
    return bytes;
}

Test(log, a_reader_takes_what_a_writer_appends, .timeout = 120)
{
    for (uint64_t seed = 1; seed <= 20; seed++)
        log_race_run(seed);
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

    cr_assert(log_before_boundary(&log));
    cr_assert(log_take(&log, out, 5, &chunk));
    cr_assert(log_before_boundary(&log));
    cr_assert(!chunk.reset && chunk.from == 1 && chunk.to == 1 && chunk.length == 5);
    cr_assert(log_take(&log, out, sizeof out, &chunk));
    cr_assert(!log_before_boundary(&log));
    cr_assert(!chunk.reset && chunk.from == 1 && chunk.to == 7 && chunk.length == 17);
    cr_assert(log_take(&log, out, sizeof out, &chunk));
    cr_assert(chunk.reset && chunk.from == 7 && chunk.to == 8 && chunk.length == 32);
    log_reset(&log); /* with everything taken */
    cr_assert(!log_before_boundary(&log));
    cr_assert(!log_take(&log, out, sizeof out, &chunk));
    log_publish(&log, 9);
    cr_assert(log_take(&log, out, sizeof out, &chunk));
    cr_assert(chunk.reset && chunk.from == 8 && chunk.to == 9 && chunk.length == 0);
    free(ring);
}

Test(log, what_a_dead_output_logger_had_is_nobodys)
{
    struct log log;
    struct codec codec;
    struct log_chunk chunk;
    uint8_t out[64];
    uint8_t *bytes = ring_create(&log, 0);

    codec_reset(&codec, 0);
    append(&log, &codec, 100);
    cr_assert(log_take(&log, out, 10, &chunk), "half a take");
    log_reset(&log);
    for (int i = 0; i < 100; i++) { /* more than the ring holds */
        append(&log, &codec, 100);
        log_discard(&log);
    }
    position at = append(&log, &codec, 100);
    log_restart(&log);
    cr_assert_not(log_take(&log, out, sizeof out, &chunk));
    codec_reset(&codec, at);
    append(&log, &codec, 8);
    cr_assert(log_take(&log, out, sizeof out, &chunk));
    cr_assert(chunk.reset);
    cr_assert_eq(chunk.from, at);
    cr_assert_eq(chunk.to, at + 1);
    free(bytes);
}
