/* The input logger's protocol: numbering, bounds, who reigns (R15, R16, R17). */
#include <errno.h>
#include <string.h>

#include <criterion/criterion.h>

#include "core/input_log.h"

#define RING_BYTES 4096u
#define INCARNATION 77u

static struct input_log *il;

static void setup(void)
{
    il = input_log_create(RING_BYTES, 0, INCARNATION);
}
static void teardown(void)
{
    input_log_destroy(il);
}
static int claim(struct input_log *log, uint32_t epoch, uint64_t claimant, packet_id from)
{
    return input_log_reign(log, epoch, claimant, &(struct input_claim){INCARNATION, from});
}

TestSuite(input_log, .init = setup, .fini = teardown);

static packet_id accept_packet(uint16_t length, uint8_t fill)
{
    uint8_t bytes[PACKET_MAX_BYTES];

    memset(bytes, fill, sizeof(bytes));
    return input_log_accept(il, 3, bytes, length);
}

static packet_id next_id(void)
{
    struct packet_item item;

    return input_log_next(il, &item) ? item.number : 0;
}

Test(input_log, numbers_from_one_and_keeps_the_bytes)
{
    struct packet_item item;

    cr_assert_eq(accept_packet(60, 0xaa), 1);
    cr_assert_eq(accept_packet(61, 0xbb), 2);
    cr_assert_eq(claim(il, 1, 7, 1), 0);
    cr_assert(input_log_next(il, &item));
    cr_assert_eq(item.number, 1);
    cr_assert_eq(item.port, 3);
    cr_assert_eq(item.length, 60);
    cr_assert_eq(item.bytes[59], 0xaa);
    input_log_sent(il);
    cr_assert(input_log_next(il, &item));
    cr_assert_eq(item.length, 61);
    cr_assert_eq(item.bytes[0], 0xbb);
    input_log_sent(il);
    cr_assert_not(input_log_next(il, &item));
}

Test(input_log, nobody_is_fed_before_somebody_reigns)
{
    accept_packet(60, 1);
    cr_assert_eq(next_id(), 0);
}

Test(input_log, a_full_ring_refuses_and_counts)
{
    struct input_log_state state;
    uint32_t kept = 0;

    while (accept_packet(1000, 1) != 0)
        kept++;
    input_log_state(il, &state);
    cr_assert_eq(kept, RING_BYTES / (1000 + PACKET_ITEM_HEADER_BYTES));
    cr_assert_eq(state.refused_full, 1);
    cr_assert_eq(state.next, kept + 1);
    cr_assert_leq(state.bytes_used, state.bytes_total);
}

Test(input_log, tiny_packets_fill_the_index_first)
{
    uint32_t kept = 0;

    while (accept_packet(0, 1) != 0)
        kept++;
    cr_assert_eq(kept, 64);
}

Test(input_log, room_for_a_batch_is_room_whatever_its_lengths)
{
    struct input_log *large = input_log_create(64 * RING_BYTES, 0, INCARNATION);
    uint8_t bytes[PACKET_MAX_BYTES] = {0};
    packet_id id = 0, kept = 1;

    cr_assert_eq(claim(large, 1, 7, 1), 0);
    for (uint32_t lap = 0; lap < 50; lap++) { /* the place of the ring's end differs each time */
        while (input_log_has_room(large, 64))
            for (uint32_t i = 0; i < 64; i++, id++) {
                uint64_t length = lap % 3 ? (id * 37 + lap) % PACKET_MAX_BYTES : 0;
                cr_assert_eq(input_log_accept(large, 0, bytes, (uint16_t)length), id + 1);
            }
        cr_assert_gt(id, kept, "and there was some");
        kept = id + 1 - lap % 2;
        cr_assert_eq(input_log_truncate(large, 1, kept), 0);
    }
    input_log_destroy(large);
}

Test(input_log, a_snapshot_is_wanted_when_it_would_free_something)
{
    packet_id id;

    while ((id = accept_packet(500, 1)) != 0)
        cr_assert_not(input_log_wants_snapshot(il), "nobody reigns");
    cr_assert_eq(claim(il, 1, 7, 1), 0);
    cr_assert_not(input_log_wants_snapshot(il), "nobody was fed");
    input_log_sent(il);
    cr_assert(input_log_wants_snapshot(il));
    while (next_id())
        input_log_sent(il);
    struct input_log_state state;
    input_log_state(il, &state);
    cr_assert_eq(input_log_truncate(il, 1, state.next - 2), 0);
    cr_assert_not(input_log_wants_snapshot(il));
    cr_assert_eq(input_log_truncate(il, 1, state.next), 0);
    for (uint32_t i = 0; i < 32; i++) { /* the index is half full, the bytes are not */
        cr_assert_not(input_log_wants_snapshot(il));
        cr_assert_neq(accept_packet(1, 1), 0);
        input_log_sent(il);
    }
    cr_assert(input_log_wants_snapshot(il));
}

Test(input_log, truncation_makes_room_across_the_end_of_the_ring)
{
    struct packet_item item;

    cr_assert_eq(claim(il, 1, 7, 1), 0);
    for (packet_id id = 1; id < 500; id++) {
        uint16_t length = (uint16_t)(40 + id * 37 % 1200);
        cr_assert_eq(accept_packet(length, (uint8_t)id), id);
        cr_assert(input_log_next(il, &item));
        cr_assert_eq(item.number, id);
        cr_assert_eq(item.length, length);
        cr_assert_eq(item.bytes[length - 1], (uint8_t)id);
        input_log_sent(il);
        cr_assert_eq(input_log_truncate(il, 1, id + 1 - id % 2), 0);
    }
}

Test(input_log, an_empty_ring_has_room_for_any_packet)
{
    struct input_log *least =
        input_log_create(PACKET_MAX_BYTES + PACKET_ITEM_HEADER_BYTES, 0, INCARNATION);
    uint8_t bytes[PACKET_MAX_BYTES] = {0};

    cr_assert_eq(claim(least, 1, 7, 1), 0);
    for (packet_id id = 1; id < 20; id++) {
        uint16_t length = (uint16_t)(id % 2 ? 1000 : PACKET_MAX_BYTES);
        cr_assert_eq(input_log_accept(least, 0, bytes, length), id);
        cr_assert_eq(input_log_accept(least, 0, bytes, length), 0);
        cr_assert_eq(input_log_truncate(least, 1, id + 1), 0);
    }
    input_log_destroy(least);
}

Test(input_log, older_epochs_and_second_claimants_are_refused)
{
    struct input_log_state state;

    accept_packet(60, 1);
    cr_assert_eq(claim(il, 0, 7, 1), -ESTALE);
    cr_assert_eq(claim(il, 2, 7, 1), 0);
    cr_assert_eq(claim(il, 1, 7, 1), -ESTALE);
    cr_assert_eq(claim(il, 2, 8, 1), -ESTALE);
    cr_assert_eq(claim(il, 2, 7, 1), 0, "a second claim of the same master");
    input_log_state(il, &state);
    cr_assert_eq(state.epoch, 2);
}

Test(input_log, the_epoch_on_disk_outlives_the_process)
{
    struct input_log *again = input_log_create(RING_BYTES, 5, INCARNATION);

    cr_assert_eq(claim(again, 4, 7, 1), -ESTALE);
    cr_assert_eq(claim(again, 5, 7, 1), 0, "the reigning master comes back");
    input_log_destroy(again);
}

Test(input_log, a_takeover_is_fed_again_from_where_it_asks)
{
    struct packet_item item;

    for (uint32_t i = 0; i < 10; i++)
        accept_packet(60, 1);
    cr_assert_eq(claim(il, 1, 7, 1), 0);
    while (input_log_next(il, &item))
        input_log_sent(il);
    cr_assert_eq(input_log_truncate(il, 1, 4), 0);
    cr_assert_eq(claim(il, 2, 8, 3), -ERANGE, "no longer kept");
    cr_assert_eq(claim(il, 2, 8, 12), -ERANGE, "never numbered");
    cr_assert_eq(next_id(), 0, "a refused claim changes nothing");
    cr_assert_eq(claim(il, 2, 8, 4), 0);
    cr_assert_eq(next_id(), 4);
}

Test(input_log, only_the_reigning_epoch_truncates)
{
    struct input_log_state state;

    accept_packet(60, 1);
    accept_packet(60, 1);
    cr_assert_eq(input_log_truncate(il, 0, 2), -ESTALE, "nobody reigns");
    cr_assert_eq(claim(il, 2, 7, 1), 0);
    cr_assert_eq(input_log_truncate(il, 1, 2), -ESTALE);
    cr_assert_eq(input_log_truncate(il, 2, 4), -ERANGE);
    cr_assert_eq(input_log_truncate(il, 2, 3), 0);
    cr_assert_eq(input_log_truncate(il, 2, 2), 0, "late: nothing happens");
    input_log_state(il, &state);
    cr_assert_eq(state.oldest, 3);
    cr_assert_eq(state.bytes_used, 0);
    cr_assert_eq(state.unsent, 3);
}

Test(input_log, another_incarnation_has_other_inputs)
{
    struct input_claim dead = {.of = INCARNATION + 1, .from = 1}, all = {0};

    for (int i = 0; i < 3; i++)
        accept_packet(60, 0);
    cr_assert_eq(input_log_reign(il, 1, 7, &dead), -ENODATA);
    cr_assert_eq(next_id(), 0, "a refused claim feeds nobody");
    cr_assert_eq(claim(il, 1, 7, 2), 0);
    cr_assert_eq(input_log_truncate(il, 1, 2), 0);
    cr_assert_eq(input_log_reign(il, 1, 7, &all), 0, "whatever it has");
    cr_assert_eq(all.of, INCARNATION);
    cr_assert_eq(all.from, 2);
}

Test(input_log, a_newcomer_is_not_fed_what_another_was)
{
    struct input_claim first = {0}, second = {0};

    for (int i = 0; i < 3; i++)
        accept_packet(60, 0);
    cr_assert_eq(input_log_reign(il, 1, 7, &first), 0);
    cr_assert_eq(first.from, 1);
    input_log_sent(il);
    input_log_sent(il);
    cr_assert_eq(input_log_reign(il, 2, 8, &second), 0);
    cr_assert_eq(second.of, INCARNATION);
    cr_assert_eq(second.from, 3);
}

/* ---- a hot standby ---- */

static packet_id next_copy(void)
{
    struct packet_item item;

    return input_log_copy_next(il, &item) ? item.number : 0;
}

Test(input_log, a_standby_is_copied_what_the_master_is_fed_whoever_is_faster)
{
    struct input_claim from = {.of = INCARNATION, .from = 2};
    struct input_log_state state;

    for (int i = 0; i < 3; i++)
        accept_packet(60, 0);
    cr_assert_eq(next_copy(), 0, "nobody asked");
    cr_assert_eq(input_log_copy(il, &from), 0);
    cr_assert_eq(next_copy(), 2, "the master need not be fed");
    input_log_copied(il);
    cr_assert_eq(claim(il, 1, 7, 1), 0);
    cr_assert_eq(next_id(), 1);
    input_log_sent(il);
    cr_assert_eq(next_copy(), 3);
    input_log_copied(il);
    cr_assert_eq(next_copy(), 0, "all copied");
    cr_assert_eq(next_id(), 2, "which the master does not notice");
    accept_packet(60, 0);
    cr_assert_eq(next_copy(), 4);
    input_log_state(il, &state);
    cr_assert_eq(state.uncopied, 4);
    input_log_copy_stop(il);
    cr_assert_eq(next_copy(), 0);
}

Test(input_log, a_standby_is_not_copied_what_is_not_kept)
{
    struct input_claim dead = {.of = INCARNATION + 1, .from = 1};
    struct input_claim old = {.of = INCARNATION, .from = 1}, beyond = {INCARNATION, 6};
    struct input_log_state state;

    for (int i = 0; i < 4; i++)
        accept_packet(60, 0);
    cr_assert_eq(claim(il, 1, 7, 1), 0);
    cr_assert_eq(input_log_copy(il, &dead), -ENODATA);
    cr_assert_eq(input_log_copy(il, &beyond), -ERANGE);
    cr_assert_eq(input_log_copy(il, &old), 0);
    input_log_copied(il);
    cr_assert_eq(input_log_truncate(il, 1, 2), 0, "it has that");
    cr_assert_eq(next_copy(), 2);
    cr_assert_eq(input_log_truncate(il, 1, 4), 0);
    cr_assert_eq(next_copy(), 0, "it fell behind");
    input_log_state(il, &state);
    cr_assert_eq(state.uncopied, 0);
    cr_assert_eq(input_log_copy(il, &old), -ERANGE);
}

Test(input_log, copies_go_around_the_ring)
{
    struct input_claim from = {.of = INCARNATION, .from = 1};
    struct packet_item item;
    packet_id accepted = 0;

    cr_assert_eq(claim(il, 1, 7, 1), 0);
    cr_assert_eq(input_log_copy(il, &from), 0);
    for (packet_id copied = 1; copied < 500; copied++) {
        while (input_log_has_room(il, 1)) {
            accept_packet((uint16_t)(60 + accepted % 700), 0);
            accepted++;
        }
        cr_assert(input_log_copy_next(il, &item));
        cr_assert_eq(item.number, copied);
        cr_assert_eq(item.length, 60 + (copied - 1) % 700);
        input_log_copied(il);
        cr_assert_eq(input_log_truncate(il, 1, copied + 1), 0);
    }
}
