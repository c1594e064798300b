/* Atomic, wide and mixed words: logs written by hand (R5, R6, R10). */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "core/event.h"

#define CAPACITY (1u << 16)
#define WORD 0x1000u

struct hand {
    struct thread_state thread; /* thread 1 replays */
    struct log_reader reader;
    struct codec codec;
    struct log_segment segment;
    struct order order;
    struct positions passed;
    uint8_t bytes[RECORD_MAX_BYTES];
    size_t length;
};

static void hand_init(struct hand *hand)
{
    memset(hand, 0, sizeof *hand);
    hand->thread.index = 1;
    hand->passed.threads = 3;
}
#define HAND(hand, kind, ...)                                                                      \
    ((hand)->length += record_##kind(&(hand)->codec, (hand)->bytes + (hand)->length, __VA_ARGS__))

static void hand_read(struct hand *hand, position end)
{
    log_reader_init(&hand->reader, hand->bytes, hand->length, &hand->segment, 1, end);
}

struct exchange {
    struct word expected, desired;
};

static struct word exchange(const void *operation, struct word old)
{
    const struct exchange *compare = operation;
    return word_same(old, compare->expected) ? compare->desired : old;
}

/* A compare-exchange of 0 by 1 on a word that memory has as `low`. */
static enum event compare(struct hand *hand, uint64_t low, struct word_rmw *rmw)
{
    static const struct exchange zero_by_one = {{0, 0}, {1, 0}};
    *rmw = (struct word_rmw){
        .address = WORD, .memory = {low, 0}, .update = exchange, .operation = &zero_by_one};
    return ev_rmw_replay(&hand->thread, &hand->reader, &hand->order, &hand->passed, rmw);
}

Test(event_word, a_recorded_change_waits_for_its_turn_and_takes_memory)
{
    struct hand hand;
    struct word_rmw rmw;
    hand_init(&hand);
    HAND(&hand, order, 1, 3);
    hand_read(&hand, 1);
    hand.order = (struct order){.sequence = 1, .owner = 1};
    cr_assert_eq(compare(&hand, 7, &rmw), EVENT_WAIT); /* whatever memory holds by now */
    hand.order.sequence = 2;
    cr_assert_eq(compare(&hand, 0, &rmw), EVENT_PASS);
    cr_assert(rmw.stored && rmw.old.low == 0 && rmw.new.low == 1);
    cr_assert(rmw.version.writer == 2 && rmw.version.written == 1 && hand.order.owner == 2);
    cr_assert_eq(compare(&hand, 1, &rmw), EVENT_END);
}

Test(event_word, an_elided_compare_exchange_is_judged_by_memory_for_the_owner_only)
{
    struct hand hand;
    struct word_rmw rmw;
    hand_init(&hand);
    HAND(&hand, load, 1, 5, 2, 4);
    hand_read(&hand, 4);
    hand.passed.at[2] = 4;
    cr_assert_eq(compare(&hand, 5, &rmw), EVENT_PASS);
    cr_assert(!rmw.stored && rmw.old.low == 5);
    /* Another thread has run ahead and set the word to 0: this one still fails with 5. */
    hand.order = (struct order){.sequence = 9, .owner = 3};
    cr_assert_eq(compare(&hand, 0, &rmw), EVENT_PASS);
    cr_assert(!rmw.stored && rmw.old.low == 5);
    hand.order.owner = 2;
    cr_assert_eq(compare(&hand, 0, &rmw), EVENT_PASS);
    cr_assert(rmw.stored && rmw.new.low == 1 && hand.order.sequence == 10);
    cr_assert_eq(compare(&hand, 1, &rmw), EVENT_PASS); /* its own store is what it sees next */
    cr_assert(!rmw.stored && rmw.old.low == 1);
}

Test(event_word, an_rmw_that_disagrees_is_named)
{
    struct hand hand;
    struct word_rmw rmw;
    hand_init(&hand);
    HAND(&hand, order, 1, 3);
    hand_read(&hand, 1);
    hand.order = (struct order){.sequence = 2, .owner = 1};
    cr_assert_eq(compare(&hand, 5, &rmw), EVENT_DIVERGED);
    cr_assert_not_null(strstr(hand.reader.why, "leaves as it is"));

    hand_init(&hand);
    HAND(&hand, load, 1, 0, NO_THREAD, 0);
    hand_read(&hand, 1);
    cr_assert_eq(compare(&hand, 0, &rmw), EVENT_DIVERGED);
    cr_assert_not_null(strstr(hand.reader.why, "program changes"));

    hand_init(&hand);
    hand_read(&hand, 1);
    cr_assert_eq(compare(&hand, 0, &rmw), EVENT_DIVERGED);
    cr_assert_not_null(strstr(hand.reader.why, "never seen"));
}

Test(event_word, a_mixed_load_waits_for_all_that_was_published)
{
    struct hand hand;
    struct positions needed = {.threads = 3, .at = {6, 50, 9}}; /* its own entry does not count */
    uint64_t value = 0;
    hand_init(&hand);
    HAND(&hand, mixed, 1, 42, &needed);
    hand_read(&hand, 2);
    hand.passed.at[0] = 6;
    hand.passed.at[2] = 8;
    cr_assert_eq(ev_mixed_replay(&hand.thread, &hand.reader, &hand.passed, &value), EVENT_WAIT);
    hand.passed.at[2] = 9;
    cr_assert_eq(ev_mixed_replay(&hand.thread, &hand.reader, &hand.passed, &value), EVENT_PASS);
    cr_assert_eq(value, 42);
    cr_assert_eq(ev_mixed_replay(&hand.thread, &hand.reader, &hand.passed, &value), EVENT_DIVERGED);
}

Test(event_word, a_wide_load_is_predicted_as_a_whole_only)
{
    struct thread_state recorder = {.index = 1};
    struct log log;
    struct log_chunk chunk;
    uint8_t *ring = malloc(CAPACITY + RECORD_MAX_BYTES);
    struct hand hand;
    struct version old = {1, 5}, new = {1, 9};
    struct word value = {7, 8}, seen;
    hand_init(&hand);
    log_init(&log, ring, CAPACITY, 0);
    ev_wide_load_record(&recorder, &log, WORD, value, old);
    uint64_t head = log.head;
    ev_wide_load_record(&recorder, &log, WORD, value, old);
    cr_assert_eq(log.head, head);
    ev_load_record(&recorder, &log, WORD + 8, value.high, new); /* one half, seen anew */
    head = log.head;
    ev_wide_load_record(&recorder, &log, WORD, value, new);
    cr_assert_gt(log.head, head);

    cr_assert(log_take(&log, hand.bytes, sizeof hand.bytes, &chunk));
    hand.length = chunk.length;
    hand_read(&hand, chunk.to);
    hand.passed.at[0] = 8;
    uint64_t half;
    for (int i = 0; i < 2; i++)
        cr_assert_eq(ev_wide_load_replay(&hand.thread, &hand.reader, WORD, &hand.passed, &seen),
                     EVENT_PASS);
    cr_assert(word_same(seen, value));
    cr_assert_eq(ev_load_replay(&hand.thread, &hand.reader, WORD + 8, &hand.passed, &half),
                 EVENT_WAIT);
    hand.passed.at[0] = 9;
    cr_assert_eq(ev_load_replay(&hand.thread, &hand.reader, WORD + 8, &hand.passed, &half),
                 EVENT_PASS);
    cr_assert_eq(ev_wide_load_replay(&hand.thread, &hand.reader, WORD, &hand.passed, &seen),
                 EVENT_PASS);
    cr_assert(word_same(seen, value));
    free(ring);
}
