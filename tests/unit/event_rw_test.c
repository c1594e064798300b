/* Reader-writer locks (R7, R4): what is recorded, what replay waits for, and disagreements (G6). */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "core/event_rw.h"

#define CAPACITY (1u << 20)
#define LOCK 0x1000u

struct hand {
    struct thread_state thread;
    struct log log;
    struct log_reader reader;
    struct codec codec;
    struct log_segment segment;
    uint8_t *ring;
    uint8_t bytes[4 * RECORD_MAX_BYTES];
    size_t length;
};

static struct hand *hand_create(void)
{
    struct hand *hand = calloc(1, sizeof *hand);
    hand->thread.index = 1;
    hand->ring = malloc(CAPACITY + RECORD_MAX_BYTES);
    log_init(&hand->log, hand->ring, CAPACITY, 0);
    return hand;
}

static void hand_destroy(struct hand *hand)
{
    free(hand->ring);
    free(hand);
}

#define HAND(hand, kind, ...)                                                                      \
    ((hand)->length += record_##kind(&(hand)->codec, (hand)->bytes + (hand)->length, __VA_ARGS__))

static void hand_read(struct hand *hand, position end)
{
    log_reader_init(&hand->reader, hand->bytes, hand->length, &hand->segment, 1, end);
}

static uint64_t grown(struct hand *hand, uint64_t *head)
{
    uint64_t before = *head;
    *head = hand->log.head;
    return *head - before;
}

Test(event_rw, reads_are_elided_until_somebody_writes)
{
    struct hand *hand = hand_create();
    struct rworder order = {.sequence = 4, .owner = 1};
    uint64_t head = 0;
    ev_read_record(&hand->thread, &hand->log, &order, LOCK);
    cr_assert_gt(grown(hand, &head), 0);
    ev_read_done(&order);
    ev_read_record(&hand->thread, &hand->log, &order, LOCK);
    cr_assert_eq(grown(hand, &head), 0);
    ev_read_done(&order);
    cr_assert(order.reads == 2 && order.reads_done == 2 && order.other_reads);
    order.sequence = 5;
    ev_read_record(&hand->thread, &hand->log, &order, LOCK);
    cr_assert_gt(grown(hand, &head), 0);
    cr_assert_eq(log_published(&hand->log), 3);
    hand_destroy(hand);
}

Test(event_rw, a_write_is_elided_while_nobody_else_reads)
{
    struct hand *hand = hand_create();
    struct thread_state other = {.index = 2};
    struct rworder order = {.sequence = 4, .owner = 1};
    uint64_t head = 0;
    ev_write_record(&hand->thread, &hand->log, &order, LOCK);
    cr_assert_gt(grown(hand, &head), 0);
    ev_read_record(&hand->thread, &hand->log, &order, LOCK); /* its own read: elided, harmless */
    ev_read_done(&order);
    ev_write_record(&hand->thread, &hand->log, &order, LOCK);
    cr_assert_eq(grown(hand, &head), 0);
    cr_assert(order.sequence == 6 && order.reads == 0);
    struct log log;
    uint8_t *ring = malloc(CAPACITY + RECORD_MAX_BYTES);
    log_init(&log, ring, CAPACITY, 0);
    ev_read_record(&other, &log, &order, LOCK);
    ev_read_done(&order);
    ev_write_record(&hand->thread, &hand->log, &order, LOCK);
    cr_assert_gt(grown(hand, &head), 0);
    free(ring);
    hand_destroy(hand);
}

Test(event_rw, a_read_waits_for_its_write_and_no_other)
{
    struct hand *hand = hand_create();
    struct rworder order = {.sequence = 2};
    HAND(hand, read, 1, 3);
    hand_read(hand, 2);
    cr_assert_eq(ev_read_replay(&hand->thread, &hand->reader, &order, LOCK, true, NULL),
                 EVENT_WAIT);
    order.sequence = 3;
    cr_assert_eq(ev_read_replay(&hand->thread, &hand->reader, &order, LOCK, false, NULL),
                 EVENT_WAIT);
    cr_assert_eq(ev_read_replay(&hand->thread, &hand->reader, &order, LOCK, true, NULL),
                 EVENT_PASS);
    cr_assert_eq(order.reads, 1);
    order.sequence = 4; /* the next is predicted: under 3, which is gone */
    cr_assert_eq(ev_read_replay(&hand->thread, &hand->reader, &order, LOCK, true, NULL),
                 EVENT_DIVERGED);
    cr_assert_not_null(strstr(hand->reader.why, "ran past"));
    hand_destroy(hand);
}

Test(event_rw, a_write_waits_for_all_reads_before_it)
{
    struct hand *hand = hand_create();
    struct positions passed = {.threads = 0};
    struct rworder order = {.sequence = 2, .owner = 1};
    HAND(hand, write, 1, 3, 2);
    hand_read(hand, 2);
    cr_assert_eq(ev_write_replay(&hand->thread, &hand->reader, &order, LOCK, true, &passed, NULL),
                 EVENT_WAIT);
    order.reads = 2;
    order.reads_done = 1;
    cr_assert_eq(ev_write_replay(&hand->thread, &hand->reader, &order, LOCK, true, &passed, NULL),
                 EVENT_WAIT);
    order.reads_done = 2;
    cr_assert_eq(ev_write_replay(&hand->thread, &hand->reader, &order, LOCK, false, &passed, NULL),
                 EVENT_WAIT);
    cr_assert_eq(ev_write_replay(&hand->thread, &hand->reader, &order, LOCK, true, &passed, NULL),
                 EVENT_PASS);
    cr_assert(order.sequence == 3 && order.owner == 2 && order.reads == 0 && !order.other_reads);
    cr_assert_eq(ev_write_replay(&hand->thread, &hand->reader, &order, LOCK, true, &passed, NULL),
                 EVENT_PASS); /* elided */
    cr_assert_eq(ev_write_replay(&hand->thread, &hand->reader, &order, LOCK, true, &passed, NULL),
                 EVENT_END);
    hand_destroy(hand);
}

Test(event_rw, failed_attempts_wait_for_who_made_them_fail)
{
    struct hand *hand = hand_create();
    struct positions seen = {.threads = 3, .at = {4, 9, 6}}, passed = {.threads = 3, .at = {4}};
    struct rworder order = {.sequence = 2, .owner = 1};
    bool failed = false;
    HAND(hand, fail, 1, 3);
    HAND(hand, fail, 2, 3);
    HAND(hand, mixed, 3, 3, &seen);
    hand_read(hand, 3);
    struct thread_state *thread = &hand->thread;
    struct log_reader *reader = &hand->reader;
    cr_assert_eq(ev_read_replay(thread, reader, &order, LOCK, false, &failed), EVENT_WAIT);
    order.sequence = 3;
    cr_assert_eq(ev_read_replay(thread, reader, &order, LOCK, false, NULL), EVENT_DIVERGED);
    cr_assert_eq(ev_read_replay(thread, reader, &order, LOCK, false, &failed), EVENT_PASS);
    cr_assert(failed);
    cr_assert_eq(ev_write_replay(thread, reader, &order, LOCK, false, &passed, &failed),
                 EVENT_PASS);
    cr_assert(failed);
    cr_assert_eq(ev_write_replay(thread, reader, &order, LOCK, false, &passed, &failed),
                 EVENT_WAIT); /* thread 2 has not come to 6 */
    passed.at[2] = 6;
    cr_assert_eq(ev_write_replay(thread, reader, &order, LOCK, false, &passed, &failed),
                 EVENT_PASS);
    cr_assert(failed && order.sequence == 3);
    hand_destroy(hand);
}

Test(event_rw, a_failure_because_of_readers_depends_on_all_that_was_published)
{
    struct hand *hand = hand_create();
    struct log other;
    uint8_t *ring = malloc(CAPACITY + RECORD_MAX_BYTES);
    log_init(&other, ring, CAPACITY, 7);
    struct log *logs[2] = {&other, &hand->log};
    ev_fail_readers_record(&hand->thread, &hand->log, 5, logs, 2);
    struct record record;
    cr_assert_gt(record_decode(&hand->codec, hand->ring, (size_t)hand->log.head, &record), 0);
    cr_assert(record.kind == RECORD_MIXED && record.value == 5 && record.vector.at[0] == 7);
    free(ring);
    hand_destroy(hand);
}

#define DIVERGES(call, text)                                                                       \
    do {                                                                                           \
        cr_assert_eq(call, EVENT_DIVERGED);                                                        \
        cr_assert_not_null(strstr(hand->reader.why, text), "%s", hand->reader.why);                \
        cr_assert_eq(hand->thread.position, 0);                                                    \
    } while (0)

Test(event_rw, a_log_that_disagrees_is_named)
{
    struct hand *hand = hand_create();
    struct positions passed = {.threads = 0};
    struct rworder order = {.sequence = 6, .owner = 1};
    struct thread_state *thread = &hand->thread;
    struct log_reader *reader = &hand->reader;
    HAND(hand, write, 1, 6, 0);
    hand_read(hand, 9);
    DIVERGES(ev_write_replay(thread, reader, &order, LOCK, true, &passed, NULL), "ran past");
    DIVERGES(ev_read_replay(thread, reader, &order, LOCK, true, NULL), "another kind");
    order = (struct rworder){.sequence = 5, .owner = 1, .reads = 1, .reads_done = 1};
    DIVERGES(ev_write_replay(thread, reader, &order, LOCK, true, &passed, NULL), "more reads");

    hand->length = 0;
    codec_reset(&hand->codec, 0);
    HAND(hand, read, 5, 6);
    hand_read(hand, 9); /* so the first four events are predicted */
    DIVERGES(ev_write_replay(thread, reader, &order, LOCK, true, &passed, NULL),
             "another thread owns");
    DIVERGES(ev_read_replay(thread, reader, &order, LOCK, true, NULL), "never taken");
    hand_destroy(hand);
}
