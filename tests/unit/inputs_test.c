/* The memory of inputs after replay: what a barrier that does not wait for it to empty must tell.
 */
#include <criterion/criterion.h>
#include <errno.h>

#include "replay/inputs.h"

static void add(packet_id from, packet_id to)
{
    static const uint8_t bytes[4];
    for (packet_id id = from; id <= to; id++) {
        struct packet_item item = {.number = id, .length = sizeof bytes, .bytes = bytes};
        cr_assert_eq(inputs_add(&item), 0);
    }
}

static void consume(packet_id id)
{
    uint16_t port, length;
    cr_assert_not_null(inputs_consume(id, &port, &length));
}

/* From 10 on; at the base 10 and 12 were pending, 11 was not. 13 and 15 are consumed in replay. */
static void setup(void)
{
    const packet_id pending[] = {10, 12};
    inputs_begin(10, 13, pending, 2);
    add(10, 16);
    consume(13);
    consume(15);
}

TestSuite(inputs, .init = setup);

Test(inputs, those_that_wait_are_told_by_id)
{
    packet_id ids[8] = {0};
    struct packet_item item;

    cr_assert_eq(inputs_waiting(UINT64_MAX, NULL), 4);
    cr_assert_eq(inputs_waiting(UINT64_MAX, ids), 4);
    cr_assert_eq(ids[0], 10);
    cr_assert_eq(ids[1], 12);
    cr_assert_eq(ids[2], 14);
    cr_assert_eq(ids[3], 16);
    cr_assert(inputs_next(&item));
    cr_assert_eq(item.number, 10);
    inputs_pop();
    cr_assert_eq(inputs_waiting(UINT64_MAX, ids), 3);
    cr_assert_eq(ids[0], 12);
    cr_assert_eq(inputs_end(), 17);
}

Test(inputs, a_base_of_this_moment_knows_what_was_consumed)
{
    packet_id ids[8] = {0}, next = 0;

    cr_assert(inputs_consumed_to(&next));
    cr_assert_eq(next, 16);
    cr_assert_eq(inputs_waiting(next, ids), 3); /* of 10, 12, 14, 16 */
    cr_assert_eq(ids[2], 14);
    consume(10);
    cr_assert(inputs_consumed_to(&next));
    cr_assert_eq(next, 16);
    consume(16);
    cr_assert(inputs_consumed_to(&next));
    cr_assert_eq(next, 17);
    cr_assert_eq(inputs_waiting(next, NULL), 2);
}

/* What was pending at the base is not all here: whether 12 waits cannot be told. */
Test(inputs, no_base_before_the_last_one_is_reached)
{
    const packet_id pending[] = {10, 12};
    packet_id next;

    inputs_begin(10, 13, pending, 2);
    cr_assert_not(inputs_consumed_to(&next));
    add(10, 11);
    cr_assert_not(inputs_consumed_to(&next));
    add(12, 12);
    cr_assert(inputs_consumed_to(&next));
    cr_assert_eq(next, 13);
    cr_assert_eq(inputs_waiting(next, NULL), 2);
}

Test(inputs, what_is_discarded_is_offered_no_more)
{
    struct packet_item item;

    cr_assert(inputs_next(&item));
    inputs_pop();
    cr_assert(inputs_kept());
    cr_assert_eq(inputs_discard(), 3);
    cr_assert_not(inputs_kept());
    cr_assert_eq(inputs_waiting(UINT64_MAX, NULL), 0);
    cr_assert_not(inputs_next(&item));
    cr_assert_eq(inputs_discard(), 0);
}

Test(inputs, a_takeover_after_it_begins_anew)
{
    struct packet_item item;

    inputs_discard();
    inputs_begin(3, 3, NULL, 0);
    add(3, 4);
    cr_assert_eq(inputs_waiting(UINT64_MAX, NULL), 2);
    cr_assert(inputs_next(&item));
    cr_assert_eq(item.number, 3);
}

Test(inputs, what_will_never_come_is_passed_over)
{
    struct packet_item item;
    inputs_begin(5, 5, NULL, 0);
    add(5, 6);
    inputs_skip(9);
    inputs_skip(8); /* nothing to skip */
    add(9, 9);
    cr_assert_eq(inputs_waiting(UINT64_MAX, NULL), 3);
    consume(5);
    inputs_done(5);
    consume(6);
    inputs_done(6);
    inputs_trim();
    cr_assert(inputs_next(&item));
    cr_assert_eq(item.number, 9);
    inputs_discard();
}
