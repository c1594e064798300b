/*
 * Two ends of a link over a network that drops, doubles, delays, reorders and corrupts, in
 * simulated time. Every run is repeated by its seed.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "core/link.h"
#include "random.h"

#define SESSION 7u
#define US 1000ll
#define MS 1000000ll
#define FLIGHT_MAX 8192u
#define PAYLOAD_MAX 96u

static const uint8_t macs[2][6] = {{2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2}};

struct packet {
    int64_t due_ns;
    uint32_t length;
    uint8_t bytes[FRAME_ETHERNET_BYTES + FRAME_HEADER_BYTES + PAYLOAD_MAX];
};

/* Chances are per mille. */
struct faults {
    unsigned drop, twice, late, corrupt;
};

/* What is under way to one end: ascending by due_ns, from `first` on. */
struct flight {
    uint32_t first, count;
    struct packet *packets[2 * FLIGHT_MAX];
};

struct network {
    struct random random;
    struct faults faults;
    int64_t latency_ns;
    struct flight to[2];
};

struct end {
    struct link *link;
    uint64_t offered, committed, delivered; /* frames to send; sent; received */
    bool wrong;
};

struct pair {
    int64_t now_ns;
    struct network network;
    struct end ends[2];
};

/* ---- the network ---- */

static void flight_add(struct flight *flight, struct packet *packet)
{
    cr_assert_lt(flight->count, FLIGHT_MAX, "the links flood the network");
    if (flight->first + flight->count == 2 * FLIGHT_MAX) {
        memmove(flight->packets, &flight->packets[flight->first],
                flight->count * sizeof flight->packets[0]);
        flight->first = 0;
    }
    uint32_t at = flight->first + flight->count++;
    for (; at > flight->first && flight->packets[at - 1]->due_ns > packet->due_ns; at--)
        flight->packets[at] = flight->packets[at - 1];
    flight->packets[at] = packet;
}

/* Removes the nth packet under way. */
static struct packet *flight_remove(struct flight *flight, uint32_t n)
{
    struct packet **place = &flight->packets[flight->first + n];
    struct packet *packet = *place;
    flight->count--;
    if (n == 0)
        flight->first++;
    else
        memmove(place, place + 1, (flight->count - n) * sizeof *place);
    return packet;
}

static void network_add(struct pair *pair, uint8_t to, const uint8_t *bytes, uint32_t length)
{
    struct network *network = &pair->network;
    struct packet *packet = malloc(sizeof *packet);
    packet->length = length;
    memcpy(packet->bytes, bytes, length);
    packet->due_ns = pair->now_ns + network->latency_ns;
    if (random_chance(&network->random, network->faults.late))
        packet->due_ns += (int64_t)random_below(&network->random, 4 * MS);
    if (random_chance(&network->random, network->faults.corrupt))
        packet->bytes[random_below(&network->random, length)] ^=
            (uint8_t)(1 + random_below(&network->random, 255));
    flight_add(&network->to[to], packet);
}

static void network_send(struct pair *pair, uint8_t to, const uint8_t *bytes, uint32_t length)
{
    struct network *network = &pair->network;
    if (random_chance(&network->random, network->faults.drop))
        return;
    network_add(pair, to, bytes, length);
    if (random_chance(&network->random, network->faults.twice))
        network_add(pair, to, bytes, length);
}

/* The earliest packet that is due for `to`; NULL when none is. */
static struct packet *network_take(struct pair *pair, uint8_t to)
{
    struct flight *flight = &pair->network.to[to];
    if (flight->count == 0 || flight->packets[flight->first]->due_ns > pair->now_ns)
        return NULL;
    return flight_remove(flight, 0);
}

static uint32_t network_count(const struct pair *pair)
{
    return pair->network.to[0].count + pair->network.to[1].count;
}

/* ---- the ends ---- */

static struct pair *pair_start(uint64_t seed)
{
    struct pair *pair = calloc(1, sizeof *pair);
    pair->network.random.state = seed;
    pair->network.latency_ns = 20 * US;
    for (int e = 0; e < 2; e++) {
        pair->ends[e].link = link_create(SESSION, 1);
        cr_assert_not_null(pair->ends[e].link);
        link_set_addresses(pair->ends[e].link, macs[e], macs[1 - e]);
    }
    return pair;
}

static void pair_stop(struct pair *pair)
{
    for (int e = 0; e < 2; e++) {
        while (pair->network.to[e].count > 0)
            free(flight_remove(&pair->network.to[e], 0));
        link_destroy(pair->ends[e].link);
    }
    free(pair);
}

/* The payload tells its number, so that the receiver knows what it must be. */
static uint32_t payload_of(uint8_t from, uint64_t number, uint8_t *out)
{
    struct random random = {number * 2 + from};
    uint32_t length = (uint32_t)random_below(&random, PAYLOAD_MAX + 1);
    random_fill(&random, out, length);
    return length;
}

static void end_offer(struct pair *pair, uint8_t e)
{
    struct end *end = &pair->ends[e];
    while (end->committed < end->offered) {
        uint8_t *payload = link_reserve(end->link);
        if (payload == NULL)
            return;
        cr_assert_eq(payload, link_reserve(end->link));
        uint32_t length = payload_of(e, end->committed + 1, payload);
        uint64_t number = link_commit(end->link, FRAME_LOG, 0, 0, length);
        cr_assert_eq(number, ++end->committed);
    }
}

static void end_receive(struct pair *pair, uint8_t e)
{
    struct end *end = &pair->ends[e];
    struct packet *packet;
    while ((packet = network_take(pair, e)) != NULL) {
        struct frame header;
        const uint8_t *payload;
        uint8_t expected[PAYLOAD_MAX];
        if (link_receive(end->link, pair->now_ns, packet->bytes, packet->length, &header,
                         &payload)) {
            uint32_t length = payload_of(1 - e, ++end->delivered, expected);
            if (header.number != end->delivered || header.length != length ||
                memcmp(payload, expected, length) != 0)
                end->wrong = true;
        }
        free(packet);
    }
}

static void end_transmit(struct pair *pair, uint8_t e)
{
    const uint8_t *bytes;
    uint32_t length;
    for (int n = 0; (length = link_transmit(pair->ends[e].link, pair->now_ns, &bytes)) > 0; n++) {
        cr_assert_lt(n, 2 * (int)LINK_WINDOW_FRAMES, "link_transmit never ends");
        network_send(pair, 1 - e, bytes, length);
    }
}

static void end_step(struct pair *pair, uint8_t e)
{
    end_receive(pair, e);
    end_offer(pair, e);
    end_transmit(pair, e);
}

static bool pair_drained(const struct pair *pair)
{
    for (int e = 0; e < 2; e++) {
        const struct end *end = &pair->ends[e];
        if (end->delivered < pair->ends[1 - e].offered || link_acked(end->link) < end->offered)
            return false;
    }
    return true;
}

/* To the next moment at which anything happens. */
static void pair_advance(struct pair *pair)
{
    int64_t next = INT64_MAX;
    for (int e = 0; e < 2; e++) {
        const struct flight *flight = &pair->network.to[e];
        if (flight->count > 0 && flight->packets[flight->first]->due_ns < next)
            next = flight->packets[flight->first]->due_ns;
        if (link_next_wake(pair->ends[e].link) < next)
            next = link_next_wake(pair->ends[e].link);
    }
    cr_assert_lt(next, INT64_MAX, "both ends wait for ever");
    pair->now_ns = next > pair->now_ns ? next : pair->now_ns + 1;
}

static void pair_run(struct pair *pair, int64_t until_ns)
{
    while (!pair_drained(pair) && pair->now_ns < until_ns) {
        end_step(pair, 0);
        end_step(pair, 1);
        if (!pair_drained(pair))
            pair_advance(pair);
    }
    end_step(pair, 0);
    end_step(pair, 1);
}

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
    struct packet *swap = place[0];
    place[0] = place[1];
    place[1] = swap;
    pair_run(pair, 1000 * MS);
    cr_assert(pair_drained(pair));
    cr_assert_leq(resent(pair, 0), 200, "%lu resent", resent(pair, 0));
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

Test(link, a_slow_peer_is_not_flooded)
{
    struct pair *pair = pair_start(1);
    pair_launch(pair, 1000);
    for (int i = 0; i < 100; i++) { /* the peer sleeps for 50 ms */
        pair->now_ns += MS / 2;
        end_step(pair, 0);
    }
    cr_assert_leq(resent(pair, 0), 40, "%lu resent while the peer slept", resent(pair, 0));
    pair_run(pair, 1000 * MS);
    cr_assert(pair_drained(pair));
    cr_assert_leq(resent(pair, 0), 100, "%lu resent", resent(pair, 0));
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
    link_destroy(link);
}

/* ---- what is dropped, and where it is counted ---- */

static uint32_t forge(uint8_t *bytes, uint32_t session, uint32_t epoch, uint64_t number)
{
    struct frame frame = {
        .kind = FRAME_LOG, .epoch = epoch, .session = session, .number = number, .length = 0};
    return frame_encode(bytes, macs[0], macs[1], &frame);
}

Test(link, drops_another_session_and_an_older_epoch)
{
    uint8_t bytes[FRAME_MAX_BYTES];
    struct frame header;
    const uint8_t *payload;
    struct link *link = link_create(SESSION, 5);
    const struct link_counters *counters = link_counters(link);
    link_set_epoch(link, 5, 5);

    uint32_t length = forge(bytes, SESSION + 1, 5, 1);
    cr_assert(!link_receive(link, 0, bytes, length, &header, &payload));
    cr_assert_eq(counters->dropped_session, 1);

    length = forge(bytes, SESSION, 4, 1);
    cr_assert(!link_receive(link, 0, bytes, length, &header, &payload));
    cr_assert_eq(counters->dropped_epoch, 1);

    length = forge(bytes, SESSION, 6, 1); /* the older frame did not use up its number */
    cr_assert(link_receive(link, 0, bytes, length, &header, &payload));
    cr_assert(!link_receive(link, 0, bytes, length, &header, &payload));
    cr_assert_eq(counters->dropped_duplicate, 1);

    length = forge(bytes, SESSION, 5, 3);
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
    uint32_t length = forge(good, SESSION, 1, 1);

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
