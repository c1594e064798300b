/*
 * Two ends of a link over a network that drops, doubles, delays, reorders and corrupts, in
 * simulated time. Every run is repeated by its seed.
 */
#include "link_pair.h"

/* ---- any mixture of faults ---- */

/* An end that is not looked at for a while, or that offers no credit. */
static void disturb(struct pair *pair, struct random *random, bool asleep[2])
{
    for (uint8_t e = 0; e < 2; e++) {
        asleep[e] = random_chance(random, 100);
        if (random_chance(random, 100))
            link_set_credit(pair->ends[e].link,
                            random_chance(random, 400)
                                ? 0
                                : (uint32_t)random_below(random, LINK_WINDOW_FRAMES + 1));
    }
}

static void run_seed(uint64_t seed)
{
    struct pair *pair = pair_start(seed);
    struct random *random = &pair->network.random;
    unsigned worst = random_chance(random, 200) ? 0 : 250;
    pair->network.faults = (struct faults){
        (unsigned)random_below(random, worst + 1), (unsigned)random_below(random, worst + 1),
        (unsigned)random_below(random, worst + 1), (unsigned)random_below(random, worst + 1)};
    bool asleep[2] = {false, false};
    bool disturbed = random_chance(random, 500);
    pair->ends[0].offered = 1 + random_below(random, 1500);
    pair->ends[1].offered = random_chance(random, 500) ? random_below(random, 700) : 0;

    int64_t next_disturbance = 0;
    while (!pair_drained(pair) && pair->now_ns < 200000 * MS) {
        if (disturbed && pair->now_ns >= next_disturbance) {
            next_disturbance = pair->now_ns + (int64_t)random_below(random, 15 * MS);
            disturb(pair, random, asleep);
        }
        for (uint8_t e = 0; e < 2; e++)
            if (!asleep[e])
                end_step(pair, e);
        if (asleep[0] || asleep[1])
            pair->now_ns += 100 * US;
        else if (!pair_drained(pair))
            pair_advance(pair);
    }
    cr_assert(pair_drained(pair), "seed %lu: stuck, %lu of %lu and %lu of %lu delivered", seed,
              pair->ends[1].delivered, pair->ends[0].offered, pair->ends[0].delivered,
              pair->ends[1].offered);
    cr_assert(!pair->ends[0].wrong && !pair->ends[1].wrong, "seed %lu: wrong content or order",
              seed);

    /* Let everything under way arrive: nothing more is delivered, and the ends come to rest. */
    pair->network.faults = (struct faults){0, 0, 0, 0};
    for (int i = 0; i < 100000 &&
                    (network_count(pair) > 0 || link_next_wake(pair->ends[0].link) != INT64_MAX ||
                     link_next_wake(pair->ends[1].link) != INT64_MAX);
         i++) {
        pair_advance(pair);
        end_step(pair, 0);
        end_step(pair, 1);
    }
    for (int e = 0; e < 2; e++) {
        cr_assert_eq(link_next_wake(pair->ends[e].link), INT64_MAX, "seed %lu: no rest", seed);
        cr_assert_eq(pair->ends[e].delivered, pair->ends[1 - e].offered, "seed %lu", seed);
        cr_assert_eq(link_counters(pair->ends[e].link)->received, pair->ends[e].delivered);
    }
    pair_stop(pair);
}

Test(link, delivers_in_order_exactly_once_whatever_the_network_does)
{
    for (uint64_t seed = 1; seed <= 300; seed++)
        run_seed(seed);
}

/* ---- one trouble at a time ---- */

static uint64_t resent(const struct pair *pair, int e)
{
    return link_counters(pair->ends[e].link)->resent;
}

Test(link, nothing_is_resent_on_a_good_network)
{
    struct pair *pair = pair_start(1);
    pair->ends[0].offered = 5000;
    pair->ends[1].offered = 300;
    pair_run(pair, 1000 * MS);
    cr_assert(pair_drained(pair));
    cr_assert_eq(resent(pair, 0), 0);
    cr_assert_eq(resent(pair, 1), 0);
    cr_assert_eq(link_counters(pair->ends[1].link)->dropped_gap, 0);
    pair_stop(pair);
}

/* Runs until `offered` frames of end 0 are under way, none of them received yet. */
static void pair_launch(struct pair *pair, uint64_t frames)
{
    pair->network.spacing_ns = 500;
    pair->ends[0].offered = 1; /* both ends learn what the other offers */
    pair_run(pair, 100 * MS);
    cr_assert(pair_drained(pair));
    while (network_count(pair) > 0) {
        pair_advance(pair);
        end_step(pair, 0);
        end_step(pair, 1);
    }
    pair->now_ns += 50 * MS;
    end_step(pair, 0);
    end_step(pair, 1);
    pair->ends[0].offered += frames;
    end_step(pair, 0);
    cr_assert_eq(network_count(pair), frames);
}

Test(link, two_frames_in_the_wrong_order_cost_one_resend_of_the_flight)
{
    struct pair *pair = pair_start(1);
    pair_launch(pair, 200);
    struct packet **place = &pair->network.to[1].packets[pair->network.to[1].first + 50];
    struct packet *later = place[1];
    place[1] = place[0];
    place[0] = later;
    int64_t due_ns = place[0]->due_ns;
    place[0]->due_ns = place[1]->due_ns;
    place[1]->due_ns = due_ns;
    pair_run(pair, 1000 * MS);
    cr_assert(pair_drained(pair));
    uint64_t once = resent(pair, 0);
    cr_assert_leq(once, 200, "%lu resent", once);
    pair->now_ns += 50 * MS;
    pair->ends[0].offered += 2000;
    pair_run(pair, pair->now_ns + 1000 * MS);
    cr_assert(pair_drained(pair));
    cr_assert_eq(resent(pair, 0), once); /* the gap is forgotten */
    pair_stop(pair);
}

Test(link, a_lost_frame_is_resent_before_the_time_out)
{
    struct pair *pair = pair_start(1);
    pair_launch(pair, 200);
    int64_t started = pair->now_ns;
    free(flight_remove(&pair->network.to[1], 100));
    pair_run(pair, 1000 * MS);
    cr_assert(pair_drained(pair));
    cr_assert_lt(pair->now_ns - started, 1 * MS);
    cr_assert_leq(resent(pair, 0), 150, "%lu resent", resent(pair, 0));
    pair_stop(pair);
}

Test(link, a_loss_is_reported_even_by_an_end_that_always_sends)
{
    struct pair *pair = pair_start(1);
    pair_launch(pair, 200);
    int64_t started = pair->now_ns;
    free(flight_remove(&pair->network.to[1], 100));
    while (link_acked(pair->ends[0].link) < pair->ends[0].offered) {
        pair->ends[1].offered++;
        end_step(pair, 0);
        end_step(pair, 1);
        pair_advance(pair);
    }
    cr_assert_lt(pair->now_ns - started, 1 * MS);
    pair_stop(pair);
}

Test(link, a_small_credit_is_renewed_in_time)
{
    struct pair *pair = pair_start(1);
    link_set_credit(pair->ends[1].link, 8);
    pair->ends[0].offered = 1000;
    pair_run(pair, 1000 * MS);
    cr_assert(pair_drained(pair));
    cr_assert_lt(pair->now_ns, 15 * MS); /* half of it every round trip of 40 us */
    pair_stop(pair);
}

Test(link, a_slow_peer_is_not_flooded)
{
    struct pair *pair = pair_start(1);
    pair_launch(pair, 1000);
    for (int i = 0; i < 100; i++) { /* the peer sleeps for 50 ms */
        pair->now_ns += MS / 2;
        end_step(pair, 0);
    }
    struct flight *flight = &pair->network.to[1]; /* then it takes one by one */
    for (uint32_t i = 0; i < flight->count; i++)
        flight->packets[flight->first + i]->due_ns = pair->now_ns + i * US;
    cr_assert_leq(resent(pair, 0), 5, "%lu resent while the peer slept", resent(pair, 0));
    pair_run(pair, 1000 * MS);
    cr_assert(pair_drained(pair));
    cr_assert_leq(resent(pair, 0), 10, "%lu resent", resent(pair, 0));
    pair_stop(pair);
}

Test(link, acks_that_bring_no_news_resend_nothing)
{
    struct pair *pair = pair_start(1);
    link_set_credit(pair->ends[1].link, 8);
    pair->ends[0].offered = 2000;
    for (int i = 0; !pair_drained(pair) && i < 100000; i++) { /* credit changes all the time */
        link_set_credit(pair->ends[1].link, 1 + (uint32_t)i * 37 % LINK_WINDOW_FRAMES);
        end_step(pair, 0);
        end_step(pair, 1);
        pair->now_ns += 7 * US;
    }
    cr_assert(pair_drained(pair));
    cr_assert_eq(resent(pair, 0), 0, "%lu resent", resent(pair, 0));
    pair_stop(pair);
}

Test(link, a_lost_ack_is_asked_for_again)
{
    struct pair *pair = pair_start(1);
    pair_launch(pair, 10);
    pair->now_ns += MS;
    end_receive(pair, 1);
    pair->now_ns += MS;
    pair->network.faults.drop = 1000; /* the only ack */
    end_transmit(pair, 1);
    pair->network.faults.drop = 0;
    cr_assert_eq(pair->ends[1].delivered, 11);
    pair_run(pair, 1000 * MS);
    cr_assert(pair_drained(pair));
    cr_assert_eq(pair->ends[1].delivered, 11);
    cr_assert_geq(link_counters(pair->ends[1].link)->dropped_duplicate, 1);
    pair_stop(pair);
}

/* End 1 takes no frames until it is told otherwise. */
static struct pair *pair_shut(void)
{
    struct pair *pair = pair_start(1);
    link_set_credit(pair->ends[1].link, 1);
    pair->ends[0].offered = 1;
    pair_run(pair, 100 * MS);
    cr_assert(pair_drained(pair));
    link_set_credit(pair->ends[1].link, 0);
    pair->ends[0].offered = 100;
    for (int i = 0; i < 200; i++) {
        end_step(pair, 0);
        end_step(pair, 1);
        pair->now_ns += MS / 4;
    }
    cr_assert_eq(pair->ends[1].delivered, 1);
    return pair;
}

Test(link, credit_that_returns_is_used_at_once)
{
    struct pair *pair = pair_shut();
    link_set_credit(pair->ends[1].link, 40);
    int64_t opened = pair->now_ns;
    pair_run(pair, 1000 * MS);
    cr_assert(pair_drained(pair));
    cr_assert_lt(pair->now_ns - opened, 4 * MS);
    pair_stop(pair);
}

Test(link, a_lost_credit_update_does_not_stop_it_for_ever)
{
    struct pair *pair = pair_shut();
    pair->network.faults.drop = 1000;
    link_set_credit(pair->ends[1].link, 40);
    end_step(pair, 1);
    pair->network.faults.drop = 0;
    pair_run(pair, 2000 * MS);
    cr_assert(pair_drained(pair));
    pair_stop(pair);
}

Test(link, an_end_that_never_had_credit_asks_for_it)
{
    struct pair *pair = pair_start(1);
    link_set_credit(pair->ends[1].link, 0);
    for (int i = 0; i < 10; i++) {
        end_step(pair, 1);
        end_step(pair, 0);
        pair->now_ns += MS;
    }
    pair->ends[0].offered = 100;
    pair->network.faults.drop = 1000; /* what is announced meanwhile */
    end_step(pair, 0);
    link_set_credit(pair->ends[1].link, 40);
    end_step(pair, 1);
    pair->network.faults.drop = 0;
    pair_run(pair, 1000 * MS);
    cr_assert(pair_drained(pair));
    pair_stop(pair);
}

Test(link, without_credit_little_is_sent)
{
    struct pair *pair = pair_shut();
    uint64_t before = link_counters(pair->ends[0].link)->sent + resent(pair, 0);
    for (int i = 0; i < 4000; i++) { /* one second */
        end_step(pair, 0);
        end_step(pair, 1);
        pair->now_ns += MS / 4;
    }
    uint64_t frames = link_counters(pair->ends[0].link)->sent + resent(pair, 0) - before;
    cr_assert_leq(frames, 1000, "%lu frames in a second of no credit", frames);
    cr_assert_eq(pair->ends[1].delivered, 1);
    pair_stop(pair);
}

static uint32_t forge(uint8_t *bytes, uint32_t session, uint32_t epoch, uint64_t number,
                      uint64_t ack, uint32_t credit)
{
    struct frame frame = {.kind = FRAME_LOG,
                          .epoch = epoch,
                          .session = session,
                          .number = number,
                          .ack = ack,
                          .credit = credit};
    return frame_encode(bytes, macs[0], macs[1], &frame);
}

Test(link, refuses_frames_when_its_window_is_full)
{
    struct link *link = link_create(SESSION, 1);
    for (uint32_t i = 0; i < LINK_WINDOW_FRAMES; i++) {
        cr_assert(!link_window_full(link));
        cr_assert_not_null(link_reserve(link));
        cr_assert_eq(link_commit(link, FRAME_OUTPUT, 0, 0, 10), i + 1);
    }
    cr_assert(link_window_full(link));
    cr_assert_null(link_reserve(link));
    cr_assert_eq(link_counters(link)->window_full, 1);
    link_destroy(link);
}

Test(link, wakes_at_once_when_frames_wait)
{
    struct link *link = link_create(SESSION, 1);
    const uint8_t *frame;
    while (link_transmit(link, 5, &frame) > 0)
        ;
    cr_assert_eq(link_next_wake(link), INT64_MAX);
    link_reserve(link);
    link_commit(link, FRAME_LOG, 0, 0, 0);
    cr_assert_leq(link_next_wake(link), 5);
    cr_assert_gt(link_transmit(link, 5, &frame), 0);
    cr_assert_gt(link_next_wake(link), 5);
    cr_assert_lt(link_next_wake(link), INT64_MAX);

    uint8_t bytes[FRAME_MAX_BYTES];
    struct frame header;
    const uint8_t *payload;
    uint32_t length = forge(bytes, SESSION, 1, 1, 0, 10);
    cr_assert(link_receive(link, 5, bytes, length, &header, &payload));
    cr_assert_gt(link_next_wake(link), 5); /* an ack may wait */
    cr_assert(!link_receive(link, 5, bytes, length, &header, &payload));
    cr_assert_leq(link_next_wake(link), 5); /* but not after a duplicate */
    cr_assert_gt(link_transmit(link, 5, &frame), 0);
    link_reserve(link);
    link_commit(link, FRAME_LOG, 0, 0, 0);
    cr_assert_leq(link_next_wake(link), 5); /* frame 2 of 10, while 1 is under way */
    link_destroy(link);
}

Test(link, an_ack_of_what_was_never_sent_is_ignored)
{
    uint8_t bytes[FRAME_MAX_BYTES];
    struct frame header;
    const uint8_t *payload, *frame;
    struct link *link = link_create(SESSION, 1);
    link_reserve(link);
    link_commit(link, FRAME_LOG, 0, 0, 0);
    cr_assert(link_receive(link, 0, bytes, forge(bytes, SESSION, 1, 1, 1, 10), &header, &payload));
    cr_assert_eq(link_acked(link), 0); /* committed, not yet transmitted */
    cr_assert_gt(link_transmit(link, 0, &frame), 0);
    cr_assert(link_receive(link, 0, bytes, forge(bytes, SESSION, 1, 2, 1, 10), &header, &payload));
    cr_assert_eq(link_acked(link), 1);
    cr_assert(link_receive(link, 0, bytes, forge(bytes, SESSION, 1, 3, 0, 10), &header, &payload));
    cr_assert_eq(link_acked(link), 1);
    link_destroy(link);
}

/* ---- what is dropped, and where it is counted ---- */

Test(link, drops_another_session_and_an_older_epoch)
{
    uint8_t bytes[FRAME_MAX_BYTES];
    struct frame header;
    const uint8_t *payload;
    struct link *link = link_create(SESSION, 5);
    const struct link_counters *counters = link_counters(link);
    link_set_epoch(link, 5, 5);

    uint32_t length = forge(bytes, SESSION + 1, 5, 1, 0, 1);
    cr_assert(!link_receive(link, 0, bytes, length, &header, &payload));
    cr_assert_eq(counters->dropped_session, 1);

    length = forge(bytes, SESSION, 4, 1, 0, 1);
    cr_assert(!link_receive(link, 0, bytes, length, &header, &payload));
    cr_assert_eq(counters->dropped_epoch, 1);

    length = forge(bytes, SESSION, 6, 1, 0, 1); /* the older frame did not use up its number */
    cr_assert(link_receive(link, 0, bytes, length, &header, &payload));
    cr_assert(!link_receive(link, 0, bytes, length, &header, &payload));
    cr_assert_eq(counters->dropped_duplicate, 1);

    length = forge(bytes, SESSION, 5, 3, 0, 1);
    cr_assert(!link_receive(link, 0, bytes, length, &header, &payload));
    cr_assert_eq(counters->dropped_gap, 1);
    link_destroy(link);
}

Test(link, a_raised_epoch_reaches_frames_already_sent)
{
    struct pair *pair = pair_start(1);
    pair_launch(pair, 20);
    link_set_epoch(pair->ends[1].link, 2, 2); /* the receiver hears of it first */
    pair->now_ns += MS;
    end_step(pair, 1);
    cr_assert_eq(pair->ends[1].delivered, 1);
    cr_assert_eq(link_counters(pair->ends[1].link)->dropped_epoch, 20);
    link_set_epoch(pair->ends[0].link, 2, 2);
    pair_run(pair, 1000 * MS);
    cr_assert(pair_drained(pair));
    cr_assert_eq(pair->ends[1].delivered, 21);
    pair_stop(pair);
}

Test(link, counts_every_kind_of_nonsense)
{
    uint8_t good[FRAME_MAX_BYTES], bytes[FRAME_MAX_BYTES];
    struct frame header;
    const uint8_t *payload;
    struct link *link = link_create(SESSION, 1);
    uint32_t length = forge(good, SESSION, 1, 1, 0, 1);

    struct {
        uint32_t at;
        uint32_t length;
        enum frame_error error;
    } cases[] = {
        {0, 10, FRAME_TRUNCATED},
        {0, length - 1, FRAME_TRUNCATED},
        {12, length, FRAME_FOREIGN},
        {FRAME_ETHERNET_BYTES, length, FRAME_BAD_VERSION},
        {FRAME_ETHERNET_BYTES + 20, length, FRAME_BAD_CHECKSUM},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        memcpy(bytes, good, length);
        bytes[cases[i].at] ^= 0x40;
        uint64_t before = link_counters(link)->dropped_error[cases[i].error];
        cr_assert(!link_receive(link, 0, bytes, cases[i].length, &header, &payload));
        cr_assert_eq(link_counters(link)->dropped_error[cases[i].error], before + 1);
    }
    cr_assert(link_receive(link, 0, good, length, &header, &payload));
    link_destroy(link);
}
