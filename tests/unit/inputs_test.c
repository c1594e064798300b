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

    cr_assert_eq(inputs_waiting(NULL), 4);
    cr_assert_eq(inputs_waiting(ids), 4);
    cr_assert_eq(ids[0], 10);
    cr_assert_eq(ids[1], 12);
    cr_assert_eq(ids[2], 14);
    cr_assert_eq(ids[3], 16);
    cr_assert(inputs_next(&item));
    cr_assert_eq(item.number, 10);
    inputs_pop();
    cr_assert_eq(inputs_waiting(ids), 3);
    cr_assert_eq(ids[0], 12);
    cr_assert_eq(inputs_end(), 17);
}

Test(inputs, what_is_discarded_is_offered_no_more)
{
    struct packet_item item;

    cr_assert(inputs_next(&item));
    inputs_pop();
    cr_assert(inputs_kept());
    cr_assert_eq(inputs_discard(), 3);
    cr_assert_not(inputs_kept());
    cr_assert_eq(inputs_waiting(NULL), 0);
    cr_assert_not(inputs_next(&item));
    cr_assert_eq(inputs_discard(), 0);
}

Test(inputs, a_takeover_after_it_begins_anew)
{
    struct packet_item item;

    inputs_discard();
    inputs_begin(3, 3, NULL, 0);
    add(3, 4);
    cr_assert_eq(inputs_waiting(NULL), 2);
    cr_assert(inputs_next(&item));
    cr_assert_eq(item.number, 3);
}
