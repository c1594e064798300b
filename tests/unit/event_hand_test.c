/* Replay of one thread's log, written by hand: waits, ends, and each way to disagree (G6). */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "core/event.h"

#define CAPACITY (1u << 20)

struct hand {
    struct thread_state thread; /* replays */
    struct log_reader reader;
    struct codec codec;
    struct log_segment segment;
    uint8_t bytes[4 * RECORD_MAX_BYTES];
    size_t length;
};

static struct hand *hand_create(void)
{
    struct hand *hand = calloc(1, sizeof *hand);
    hand->thread.index = 1;
    return hand;
}
#define HAND(hand, kind, ...)                                                                      \
    ((hand)->length += record_##kind(&(hand)->codec, (hand)->bytes + (hand)->length, __VA_ARGS__))

static void hand_read(struct hand *hand, position end)
{
    log_reader_init(&hand->reader, hand->bytes, hand->length, &hand->segment, 1, end);
}

Test(event, an_acquisition_waits_for_its_turn)
{
    struct hand *hand = hand_create();
    struct order order = {.sequence = 3, .owner = 1};
    HAND(hand, order, 1, 6);
    hand_read(hand, 2);
    cr_assert_eq(ev_order_replay(&hand->thread, &hand->reader, &order), EVENT_WAIT);
    cr_assert_eq(hand->thread.position, 0);
    order.sequence = 5;
    cr_assert_eq(ev_order_replay(&hand->thread, &hand->reader, &order), EVENT_PASS);
    cr_assert(order.sequence == 6 && order.owner == 2 && hand->thread.position == 1);
    cr_assert_eq(ev_order_replay(&hand->thread, &hand->reader, &order), EVENT_PASS); /* elided */
    cr_assert(order.sequence == 7 && hand->thread.position == 2);
    cr_assert_eq(ev_order_replay(&hand->thread, &hand->reader, &order), EVENT_END);
    cr_assert(order.sequence == 7 && hand->thread.position == 2);
    free(hand);
}

Test(event, a_record_beyond_the_end_counts_as_none)
{
    struct hand *hand = hand_create();
    int64_t value = 0;
    HAND(hand, number, 2, 5);
    hand_read(hand, 1);
    cr_assert_eq(ev_number_replay(&hand->thread, &hand->reader, 9, &value), EVENT_PASS);
    cr_assert_eq(value, 9);
    cr_assert_eq(ev_number_replay(&hand->thread, &hand->reader, 9, &value), EVENT_END);
    hand->reader.end = 2; /* a hot standby: more has arrived */
    cr_assert_eq(ev_number_replay(&hand->thread, &hand->reader, 9, &value), EVENT_PASS);
    cr_assert_eq(value, 5);
    free(hand);
}

Test(event, a_failed_try_waits_for_the_holder)
{
    struct hand *hand = hand_create();
    struct order order = {.sequence = 3, .owner = 1};
    bool failed = false;
    HAND(hand, fail, 1, 4);
    HAND(hand, order, 2, 5);
    hand_read(hand, 2);
    cr_assert_eq(ev_try_replay(&hand->thread, &hand->reader, &order, &failed), EVENT_WAIT);
    order.sequence = 4;
    cr_assert_eq(ev_try_replay(&hand->thread, &hand->reader, &order, &failed), EVENT_PASS);
    cr_assert(failed && order.sequence == 4 && order.owner == 1);
    cr_assert_eq(ev_try_replay(&hand->thread, &hand->reader, &order, &failed), EVENT_PASS);
    cr_assert(!failed && order.sequence == 5 && order.owner == 2);
    free(hand);
}

Test(event, a_load_waits_for_the_writer)
{
    struct hand *hand = hand_create();
    struct positions passed = {.threads = 3, .at = {0, 0, 9}};
    uint64_t value = 0;
    HAND(hand, load, 1, 42, 2, 10);
    hand_read(hand, 2);
    cr_assert_eq(ev_load_replay(&hand->thread, &hand->reader, 8, &passed, &value), EVENT_WAIT);
    passed.at[2] = 10;
    cr_assert_eq(ev_load_replay(&hand->thread, &hand->reader, 8, &passed, &value), EVENT_PASS);
    cr_assert_eq(value, 42);
    value = 0;
    cr_assert_eq(ev_load_replay(&hand->thread, &hand->reader, 8, &passed, &value), EVENT_PASS);
    cr_assert_eq(value, 42); /* predicted: from the cache */
    free(hand);
}

Test(event, the_same_value_of_another_version_is_logged)
{
    struct thread_state thread = {.index = 0};
    struct log log;
    uint8_t *ring = malloc(CAPACITY + RECORD_MAX_BYTES);
    log_init(&log, ring, CAPACITY, 0);
    struct version old = {2, 5}, new = {2, 9};
    ev_load_record(&thread, &log, 8, 0, old);
    uint64_t head = log.head;
    ev_load_record(&thread, &log, 8, 0, old);
    cr_assert_eq(log.head, head);
    ev_load_record(&thread, &log, 8, 0, new); /* 0 -> 1 -> 0 */
    cr_assert_gt(log.head, head);
    cr_assert_eq(log_published(&log), 3);
    free(ring);
}

/* ---- disagreements (G6) ---- */

#define DIVERGES(call, text)                                                                       \
    do {                                                                                           \
        cr_assert_eq(call, EVENT_DIVERGED);                                                        \
        cr_assert_not_null(strstr(hand->reader.why, text), "%s", hand->reader.why);                \
        cr_assert_eq(hand->thread.position, 0);                                                    \
    } while (0)

Test(event, a_log_that_disagrees_is_named)
{
    struct hand *hand = hand_create();
    struct order order = {.sequence = 6, .owner = 1};
    struct positions passed = {.threads = 0};
    struct id_range ranges[RECORD_RANGES_MAX];
    uint32_t count;
    int64_t number;
    uint64_t value;
    uint8_t bytes[8];
    bool failed;

    HAND(hand, order, 1, 6);
    hand_read(hand, 9);
    struct thread_state *thread = &hand->thread;
    struct log_reader *reader = &hand->reader;
    DIVERGES(ev_order_replay(thread, reader, &order), "ran past");
    DIVERGES(ev_try_replay(thread, reader, &order, &failed), "ran past");
    DIVERGES(ev_number_replay(thread, reader, 0, &number), "another kind");
    DIVERGES(ev_bytes_replay(thread, reader, bytes, 8), "another kind");
    DIVERGES(ev_clock_replay(thread, reader, 0, &number), "another kind");
    DIVERGES(ev_receive_replay(thread, reader, 0, ranges, &count), "another kind");
    DIVERGES(ev_out_replay(thread, reader, 1, 0, &value), "another kind");
    DIVERGES(ev_effect_replay(thread, reader, 0, &number), "another kind");
    DIVERGES(ev_load_replay(thread, reader, 8, &passed, &value), "another kind");

    hand->length = 0;
    codec_reset(&hand->codec, 0);
    HAND(hand, bytes, 5, "seven..", 7);
    hand_read(hand, 9); /* so the first four events are predicted */
    DIVERGES(ev_order_replay(thread, reader, &order), "another thread owns");
    DIVERGES(ev_bytes_replay(thread, reader, bytes, 8), "does not hold");
    DIVERGES(ev_clock_replay(thread, reader, 0, &number), "does not hold");
    DIVERGES(ev_out_replay(thread, reader, 1, 0, &value), "does not hold");
    DIVERGES(ev_effect_replay(thread, reader, 0, &number), "does not hold");
    DIVERGES(ev_load_replay(thread, reader, 8, &passed, &value), "never seen");
    free(hand);
}

Test(event, a_record_with_other_arguments_is_named)
{
    struct hand *hand = hand_create();
    struct thread_state *thread = &hand->thread;
    struct log_reader *reader = &hand->reader;
    struct positions vor = {.threads = 2};
    struct id_range ranges[RECORD_RANGES_MAX] = {{1, 1}};
    uint32_t count;
    int64_t number;
    uint64_t value;
    uint8_t bytes[8];

    HAND(hand, bytes, 1, "seven..", 7);
    hand_read(hand, 1);
    DIVERGES(ev_bytes_replay(thread, reader, bytes, 8), "another length");
    hand->length = 0;
    codec_reset(&hand->codec, 0);
    HAND(hand, clock, 1, 3, 5);
    hand_read(hand, 1);
    DIVERGES(ev_clock_replay(thread, reader, 2, &number), "another clock");
    hand->length = 0;
    codec_reset(&hand->codec, 0);
    HAND(hand, receive, 1, 3, ranges, 1);
    hand_read(hand, 1);
    DIVERGES(ev_receive_replay(thread, reader, 2, ranges, &count), "another queue");
    hand->length = 0;
    codec_reset(&hand->codec, 0);
    HAND(hand, out, 1, 3, &vor, (struct digests){0});
    hand_read(hand, 1);
    DIVERGES(ev_out_replay(thread, reader, 2, 0, &value), "another number of packets");
    free(hand);
}

Test(event, an_output_of_another_way_or_other_bytes_is_named)
{
    struct hand *hand = hand_create();
    struct thread_state *thread = &hand->thread;
    struct log_reader *reader = &hand->reader;
    struct positions vor = {.threads = 2};
    uint32_t way = path_step(0, 0x401000);
    uint64_t first;
    int64_t failed;

    HAND(hand, out, 1, 3, &vor, (struct digests){way, 77});
    HAND(hand, effect, 2, (struct digests){path_step(way, 0x402000), 78});
    HAND(hand, number, 3, -5);
    hand_read(hand, 3);
    thread->site = 0x401004;
    DIVERGES(ev_out_replay(thread, reader, 3, 77, &first), "another path");
    thread->site = 0x401000;
    DIVERGES(ev_out_replay(thread, reader, 3, 76, &first), "packets sent are not the master's");
    thread->path = 1; /* an event before was elsewhere */
    DIVERGES(ev_out_replay(thread, reader, 3, 77, &first), "another path");
    thread->path = 0;
    cr_assert_eq(ev_out_replay(thread, reader, 3, 77, &first), EVENT_PASS);
    cr_assert_eq(thread->path, way);

    thread->site = 0x402000;
    cr_assert_eq(ev_effect_replay(thread, reader, 77, &failed), EVENT_DIVERGED);
    cr_assert_not_null(strstr(reader->why, "bytes written are not"), "%s", reader->why);
    cr_assert_eq(ev_effect_replay(thread, reader, 78, &failed), EVENT_PASS);
    cr_assert_eq(failed, 0);
    cr_assert_eq(ev_effect_replay(thread, reader, 0, &failed), EVENT_PASS); /* it failed: a value */
    cr_assert_eq(failed, -5);
    free(hand);
}

Test(event, a_broken_log_is_named)
{
    struct hand *hand = hand_create();
    struct thread_state *thread = &hand->thread;
    struct log_reader *reader = &hand->reader;
    int64_t number;

    hand->bytes[0] = 0x0F;
    hand->length = 1;
    hand_read(hand, 1);
    DIVERGES(ev_number_replay(thread, reader, 0, &number), "malformed");

    hand->length = 0;
    codec_reset(&hand->codec, 0);
    HAND(hand, number, 1, 1000);
    HAND(hand, number, 2, 1000);
    struct log_segment segments[2] = {{0, 0}, {hand->length / 2 + 1, 1}};
    log_reader_init(reader, hand->bytes, hand->length, segments, 2, 2);
    cr_assert_eq(ev_number_replay(thread, reader, 0, &number), EVENT_PASS);
    cr_assert_eq(ev_number_replay(thread, reader, 0, &number), EVENT_DIVERGED);
    cr_assert_not_null(strstr(reader->why, "segment ends inside"));

    thread->position = 0;
    segments[1].offset = 1;
    log_reader_init(reader, hand->bytes, hand->length, segments, 2, 2);
    DIVERGES(ev_number_replay(thread, reader, 0, &number), "segment ends inside");

    log_reader_init(reader, hand->bytes, hand->length, segments, 1, 2);
    thread->position = 1;
    cr_assert_eq(ev_number_replay(thread, reader, 0, &number), EVENT_DIVERGED);
    cr_assert_not_null(strstr(reader->why, "before the thread's position"));
    free(hand);
}

Test(event, a_signal_comes_where_it_came_and_nowhere_else)
{
    struct hand *hand = hand_create();
    uint32_t what = 0;
    int64_t left = 0, value = 0;
    HAND(hand, signal, 2, 15, 700);
    HAND(hand, number, 3, 5);
    hand_read(hand, 3);
    cr_assert_eq(ev_signal_replay(&hand->thread, &hand->reader, &what, &left), EVENT_WAIT);
    cr_assert_eq(hand->thread.position, 0, "a look is no event");
    cr_assert_eq(ev_number_replay(&hand->thread, &hand->reader, 9, &value), EVENT_PASS);
    cr_assert_eq(value, 9);
    cr_assert_eq(ev_signal_replay(&hand->thread, &hand->reader, &what, &left), EVENT_PASS);
    cr_assert(what == 15 && left == 700 && hand->thread.position == 2);
    cr_assert_eq(ev_signal_replay(&hand->thread, &hand->reader, &what, &left), EVENT_WAIT);
    cr_assert_eq(ev_number_replay(&hand->thread, &hand->reader, 9, &value), EVENT_PASS);
    cr_assert_eq(value, 5);
    cr_assert_eq(ev_signal_replay(&hand->thread, &hand->reader, &what, &left), EVENT_END);
    free(hand);
}

Test(event, a_signal_in_place_of_another_event_is_a_divergence)
{
    struct hand *hand = hand_create();
    int64_t value = 0;
    HAND(hand, signal, 1, 15, 0);
    hand_read(hand, 1);
    cr_assert_eq(ev_number_replay(&hand->thread, &hand->reader, 0, &value), EVENT_DIVERGED);
    free(hand);
}
