/* The feed of stored logs to a backup: credit, what a piece completes, bases that move meanwhile.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "core/following.h"

#define MEMORY_BYTES (64u << 20)
#define INPUTS_OF 9u

static struct output_log *ol;
static uint32_t epoch;
static struct log_feed feed;
static struct message_stored_log piece;

static void on_release(void *context, uint32_t thread, uint64_t number, uint16_t port,
                       const uint8_t *bytes, uint16_t length)
{
    (void)context, (void)thread, (void)number, (void)port, (void)bytes, (void)length;
}
static int on_persist(void *context, uint32_t raised)
{
    (void)context, (void)raised;
    return 0;
}
static void on_committed(void *context, uint64_t number)
{
    (void)context, (void)number;
}
static const struct output_log_actions actions = {
    .release = on_release, .persist_epoch = on_persist, .committed = on_committed};

/* The master's end of a log of numbers, each its position. */
static struct codec writer[2];
static position published[2];

static void snapshot(uint64_t number, position at0, position at1, bool replayed, uint64_t inputs_of)
{
    struct snapshot_mark mark = {.number = number,
                                 .threads = 2,
                                 .positions = {.threads = 2, .at = {at0, at1}},
                                 .inputs_of = inputs_of,
                                 .inputs_from = 1,
                                 .replayed = replayed};
    cr_assert_eq(output_log_snapshot(ol, epoch, &mark), 0);
}

static void setup(void)
{
    const struct log_chunk none = {.reset = true};

    ol = output_log_create(MEMORY_BYTES, 0, 7, &actions, NULL);
    cr_assert_eq(output_log_start(ol, &epoch), 0);
    for (uint32_t t = 0; t < 2; t++) {
        codec_reset(&writer[t], 0);
        cr_assert_eq(output_log_chunk(ol, epoch, t, &none, (const uint8_t *)""), 0);
    }
    snapshot(1, 0, 0, false, INPUTS_OF);
    cr_assert_eq(output_log_base(ol)->number, 1);
    log_feed_begin(&feed, ol);
}
static void teardown(void)
{
    output_log_destroy(ol);
}
TestSuite(log_feed, .init = setup, .fini = teardown);
TestSuite(following, .init = setup, .fini = teardown);

/* `records` more events, each with its record; `to` says whether the take ends there. */
static void ship(uint32_t t, uint32_t records, bool barrier, bool ends)
{
    static uint8_t bytes[65536];
    struct log_chunk chunk = {.from = published[t], .to = published[t], .reset = barrier};

    if (barrier)
        codec_reset(&writer[t], published[t]);
    position at = writer[t].position > published[t] ? writer[t].position : published[t];
    for (uint32_t i = 0; i < records; i++) {
        at++;
        chunk.length += record_number(&writer[t], bytes + chunk.length, at, (int64_t)at);
        cr_assert_lt(chunk.length, sizeof bytes - RECORD_MAX_BYTES);
    }
    if (ends)
        chunk.to = published[t] = at;
    cr_assert_eq(output_log_chunk(ol, epoch, t, &chunk, bytes), 0);
}

/* A backup that uses up all that it is told is there, through a ring. */
struct backup {
    uint8_t ring[2][2 * STREAM_RING_BYTES];
    struct log_segment segments[2][STORED_SEGMENTS_MAX];
    struct log_reader reader[2];
    struct thread_state thread[2];
    uint64_t length[2], segment_count[2], pieces;
};
static struct backup *backup;

static void backup_begin(void)
{
    backup = calloc(1, sizeof *backup);
    for (uint32_t t = 0; t < 2; t++) {
        const struct stored_log *log = output_log_stored(ol, t);
        backup->thread[t].position = log->base;
        log_reader_open(&backup->reader[t], backup->ring[t], STREAM_RING_BYTES, backup->segments[t],
                        &log->base_codec, log->base);
    }
}

static bool backup_takes(void)
{
    if (!log_feed_next(&feed, ol, &piece))
        return false;
    uint32_t t = piece.thread;
    cr_assert_eq(piece.offset, backup->length[t]);
    cr_assert_leq(backup->length[t] + piece.length - log_reader_consumed(&backup->reader[t]),
                  STREAM_RING_BYTES);
    for (uint32_t i = 0; i < piece.length; i++) {
        uint64_t at = (backup->length[t] + i) % STREAM_RING_BYTES;
        backup->ring[t][at] = backup->ring[t][at + STREAM_RING_BYTES] = piece.bytes[i];
    }
    for (uint32_t i = 0; i < piece.segment_count; i++)
        backup->segments[t][backup->segment_count[t]++ % STORED_SEGMENTS_MAX] = piece.segments[i];
    backup->length[t] += piece.length;
    backup->pieces++;
    log_reader_extend(&backup->reader[t], backup->length[t], backup->segment_count[t], piece.to);
    return true;
}

static void backup_replays(uint32_t t)
{
    int64_t number;
    enum event event;

    while ((event = ev_number_replay(&backup->thread[t], &backup->reader[t], -1, &number)) ==
           EVENT_PASS)
        cr_assert_eq(number, (int64_t)backup->thread[t].position);
    cr_assert_eq(event, EVENT_END, "%s", backup->reader[t].why);
}

static void backup_tells(void)
{
    struct message_progress progress = {.positions.threads = 2};

    for (uint32_t t = 0; t < 2; t++) {
        progress.positions.at[t] = backup->thread[t].position;
        progress.consumed[t] = log_reader_consumed(&backup->reader[t]);
    }
    cr_assert_eq(log_feed_progress(&feed, &progress), 0);
}

static void backup_catches_up(void)
{
    for (uint32_t round = 0; !log_feed_done(&feed, ol); round++) {
        cr_assert_lt(round, 10000, "it stands still");
        while (backup_takes())
            ;
        backup_replays(0);
        backup_replays(1);
        backup_tells();
    }
    for (uint32_t t = 0; t < 2; t++)
        backup_replays(t);
    backup_tells();
    cr_assert_eq(backup->thread[0].position, published[0]);
    cr_assert_eq(backup->thread[1].position, published[1]);
    cr_assert_eq(log_feed_lag(&feed, ol).events, 0);
    cr_assert_eq(log_feed_lag(&feed, ol).bytes, 0);
}

Test(log_feed, a_lag_is_as_large_as_its_bytes_or_many_events)
{
    struct log_chunk spins = {.from = 0, .to = 1000};

    cr_assert_eq(output_log_chunk(ol, epoch, 0, &spins, (const uint8_t *)""), 0);
    cr_assert_eq(log_feed_lag(&feed, ol).bytes, 0);
    cr_assert_eq(log_feed_lag(&feed, ol).size, 250, "events without a record");
    published[0] = spins.to;
    while (output_log_stored(ol, 1)->length < 5000)
        ship(1, 1, false, false);
    cr_assert_gt(log_feed_lag(&feed, ol).bytes, log_feed_lag(&feed, ol).events);
    cr_assert_eq(log_feed_lag(&feed, ol).size, log_feed_lag(&feed, ol).bytes);
}

Test(log_feed, a_log_longer_than_the_ring_is_used_up_as_it_comes)
{
    while (output_log_stored(ol, 0)->length < 3 * STREAM_RING_BYTES)
        ship(0, 5000, false, true);
    ship(1, 10, false, true);
    backup_begin();
    backup_catches_up();
}

Test(log_feed, nothing_is_sent_that_has_no_room)
{
    while (output_log_stored(ol, 0)->length < 2 * STREAM_RING_BYTES)
        ship(0, 5000, false, true);
    backup_begin();
    while (backup_takes())
        ;
    cr_assert_eq(backup->length[0], STREAM_RING_BYTES);
    cr_assert_not(log_feed_done(&feed, ol));
    ship(1, 3, false, true);
    cr_assert(backup_takes(), "another thread's ring has room");
    cr_assert_eq(piece.thread, 1);
}

Test(log_feed, a_take_that_never_ends_is_not_waited_for)
{
    backup_begin();
    ship(0, 100, false, true);
    position received = published[0];
    while (output_log_stored(ol, 0)->length < 2 * STREAM_RING_BYTES)
        ship(0, 5000, false, false);
    for (uint32_t round = 0; !log_feed_done(&feed, ol); round++) {
        cr_assert_lt(round, 100);
        while (backup_takes())
            ;
        backup_replays(0);
        backup_tells();
    }
    cr_assert_eq(backup->thread[0].position, received, "nor replayed");
    ship(0, 1, false, true); /* it does end */
    backup_catches_up();
}

Test(log_feed, a_piece_does_not_say_that_what_comes_later_is_there)
{
    ship(0, 1, false, true);
    while (output_log_stored(ol, 0)->length < 2 * STORED_CHECKPOINT_BYTES + 1000000)
        ship(0, 5000, false, true);
    cr_assert(log_feed_next(&feed, ol, &piece));
    cr_assert_eq(piece.thread, 0);
    cr_assert_lt(piece.length, output_log_stored(ol, 0)->length);
    cr_assert_lt(piece.to, published[0]);
    cr_assert_gt(piece.to, 0);
}

Test(log_feed, a_base_of_the_standby_moves_under_it)
{
    backup_begin();
    for (uint64_t number = 2; number < 40; number++) {
        ship(0, 3000, number % 5 == 0, true);
        ship(1, 7, number % 3 == 0, true);
        while (backup_takes())
            ;
        backup_replays(0);
        ship(1, 2, false, true); /* behind where it stands */
        snapshot(number, backup->thread[0].position, backup->thread[1].position, true, INPUTS_OF);
        cr_assert_eq(output_log_base(ol)->number, number);
        backup_replays(1);
        backup_tells();
    }
    backup_catches_up();
}

Test(log_feed, progress_neither_goes_back_nor_beyond)
{
    struct message_progress progress = {.positions = {.threads = 1, .at = {0}}};

    ship(0, 10, false, true);
    cr_assert(log_feed_next(&feed, ol, &piece));
    progress.positions.at[0] = 11;
    cr_assert_eq(log_feed_progress(&feed, &progress), -EBADMSG);
    progress.positions.at[0] = 10;
    progress.consumed[0] = piece.length + 1;
    cr_assert_eq(log_feed_progress(&feed, &progress), -EBADMSG);
    progress.consumed[0] = piece.length;
    cr_assert_eq(log_feed_progress(&feed, &progress), 0);
    progress.positions.at[0] = 9;
    cr_assert_eq(log_feed_progress(&feed, &progress), -EBADMSG);
}

Test(log_feed, outputs_and_effects_are_told_without_any_log)
{
    const struct packet_item item = {.number = 1, .length = 3, .bytes = (const uint8_t *)"abc"};

    cr_assert_eq(output_log_packet(ol, epoch, 1, &item), 0);
    cr_assert(log_feed_next(&feed, ol, &piece));
    cr_assert_eq(piece.thread, 1);
    cr_assert_eq(piece.length, 0);
    cr_assert_eq(piece.held, 1);
    cr_assert_not(log_feed_next(&feed, ol, &piece), "once");
    cr_assert_eq(output_log_effects(ol, epoch, 0, 4), 0);
    cr_assert(log_feed_next(&feed, ol, &piece));
    cr_assert_eq(piece.effects, 4);
    cr_assert(log_feed_done(&feed, ol));
}

/* ---- who may follow ---- */

static struct following following;

Test(following, only_the_base_that_is_in_place)
{
    cr_assert(following_may_begin(&following, ol, 1, NULL));
    cr_assert_not(following_may_begin(&following, ol, 0, NULL));
    cr_assert_not(following_may_begin(&following, ol, 2, NULL));
    following_begin(&following, ol, &feed);
    cr_assert(feed.active);
    cr_assert_not(following_may_begin(&following, ol, 1, NULL), "one at a time");
}

Test(following, what_the_master_had_begun_is_dropped)
{
    const struct packet_item item = {.number = 1, .length = 1, .bytes = (const uint8_t *)"a"};
    struct snapshot_mark mark = {.number = 2,
                                 .threads = 2,
                                 .outputs = {1},
                                 .inputs_of = INPUTS_OF,
                                 .inputs_from = 1,
                                 .positions.threads = 2};

    cr_assert_eq(output_log_snapshot(ol, epoch, &mark), 0, "it waits for its output");
    following_begin(&following, ol, &feed);
    cr_assert_eq(output_log_packet(ol, epoch, 0, &item), 0);
    cr_assert_eq(output_log_base(ol)->number, 1);
    cr_assert_not(following_takes_image(&following, false));
    cr_assert(following_takes_image(&following, true));
    following_lost(&following, ol);
    cr_assert(following_takes_image(&following, false));
    cr_assert_not(following_takes_image(&following, true));
}

Test(following, what_is_needed_is_waited_for)
{
    struct snapshot_mark coming = *output_log_base(ol);

    coming.number++;
    cr_assert(following_may_begin(&following, ol, 1, &coming));
    coming.inputs_of++;
    cr_assert_not(following_may_begin(&following, ol, 1, &coming), "a new input logger's first");
    coming.inputs_of--;
    for (uint32_t i = 0; i < STORED_SEGMENTS_MAX / 2 + 1; i++)
        ship(0, 1, true, true);
    cr_assert_not(following_may_begin(&following, ol, 1, &coming), "many barriers");
    cr_assert(following_may_begin(&following, ol, 1, NULL), "nothing would be dropped");
}

Test(following, one_that_departed_leaves_nothing_to_trust)
{
    following_begin(&following, ol, &feed);
    ship(0, 5, false, true);
    snapshot(2, 3, 0, true, INPUTS_OF);
    following_based(&following, ol);
    cr_assert(following_may_take_over(&following, ol));
    following_departed(&following, ol);
    cr_assert_not(following_may_begin(&following, ol, 2, NULL));
    cr_assert_not(following_may_take_over(&following, ol));
    ship(0, 1, true, true);
    snapshot(3, 5, 0, false, INPUTS_OF);
    following_based(&following, ol);
    cr_assert(following_may_begin(&following, ol, 3, NULL));
    cr_assert(following_may_take_over(&following, ol));
}

Test(following, a_snapshot_of_the_master_that_was_overtaken_is_no_fault)
{
    struct snapshot_mark late = {.number = 3,
                                 .threads = 2,
                                 .inputs_of = INPUTS_OF,
                                 .inputs_from = 1,
                                 .positions = {.threads = 2, .at = {2, 0}}};

    ship(0, 2, false, true);
    ship(0, 5, true, true);
    following_begin(&following, ol, &feed);
    snapshot(2, 6, 0, true, INPUTS_OF);
    following_lost(&following, ol);
    cr_assert_eq(output_log_snapshot(ol, epoch, &late), -ECANCELED);
    late.replayed = true;
    cr_assert_eq(output_log_snapshot(ol, epoch, &late), -EBADMSG);
}
