/* Two ends of a link and the faulty network between them, in simulated time; for link_test.c. */
#ifndef PALISADE_TESTS_LINK_PAIR_H
#define PALISADE_TESTS_LINK_PAIR_H

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
    int64_t spacing_ns; /* between two frames to one end: else a whole flight arrives as one */
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
    struct flight *flight = &network->to[to];
    if (network->spacing_ns > 0 && flight->count > 0) {
        int64_t last_ns = flight->packets[flight->first + flight->count - 1]->due_ns;
        if (packet->due_ns < last_ns + network->spacing_ns)
            packet->due_ns = last_ns + network->spacing_ns;
    }
    if (random_chance(&network->random, network->faults.late))
        packet->due_ns += (int64_t)random_below(&network->random, 4 * MS);
    if (random_chance(&network->random, network->faults.corrupt))
        packet->bytes[random_below(&network->random, length)] ^=
            (uint8_t)(1 + random_below(&network->random, 255));
    flight_add(flight, packet);
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

#endif
