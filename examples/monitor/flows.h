/*
 * The flow table: what went by since a flow was last exported. A bucket's lock guards its chain and
 * all flows in it.
 */
#ifndef FLOWS_H
#define FLOWS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS 1024

/* Addresses and ports in network order. No padding: keys are compared as bytes. */
struct flow_key {
    uint32_t source, destination;
    uint16_t source_port, destination_port; /* zero for protocols without */
    uint8_t protocol, service;
    uint16_t interface; /* the first is 1 */
};
_Static_assert(sizeof(struct flow_key) == 16, "no padding");

struct flow {
    struct flow *next;
    struct flow_key key;
    uint8_t tcp_flags; /* all that were seen */
    uint32_t packets, bytes;
    int64_t first_ms, last_ms; /* of the packets above */
};

static struct {
    struct bucket {
        pthread_mutex_t lock;
        struct flow *first;
    } buckets[BUCKETS];
} flows;

static void flows_open(void)
{
    for (unsigned b = 0; b < BUCKETS; b++)
        pthread_mutex_init(&flows.buckets[b].lock, NULL);
}

static struct bucket *bucket_of(const struct flow_key *key)
{
    uint32_t hash = key->source * 0x9e3779b1u ^ key->destination * 0x85ebca6bu ^
                    ((uint32_t)key->source_port << 16 | key->destination_port) * 0xc2b2ae35u ^
                    (uint32_t)key->protocol << 8 ^ key->interface;
    return &flows.buckets[(hash ^ hash >> 16) % BUCKETS];
}

/* Counts one packet. Returns 1 when it is the first of its flow, 0 when not, -1 without memory. */
static int flow_count(const struct flow_key *key, uint32_t bytes, uint8_t tcp_flags, int64_t at_ms)
{
    struct bucket *bucket = bucket_of(key);
    int created = 0;

    pthread_mutex_lock(&bucket->lock);
    struct flow *flow = bucket->first;
    while (flow != NULL && memcmp(&flow->key, key, sizeof(*key)) != 0)
        flow = flow->next;
    if (flow == NULL && (flow = malloc(sizeof(*flow))) != NULL) {
        memset(flow, 0, sizeof(*flow));
        flow->key = *key;
        flow->next = bucket->first;
        bucket->first = flow;
        created = 1;
    }
    if (flow != NULL) {
        if (flow->packets == 0)
            flow->first_ms = at_ms;
        flow->last_ms = at_ms;
        flow->packets++;
        flow->bytes += bytes;
        flow->tcp_flags |= tcp_flags;
    }
    pthread_mutex_unlock(&bucket->lock);
    return flow == NULL ? -1 : created;
}

/*
 * Hands over what is to be exported of one bucket, up to `room` flows: those that began before
 * `active_before_ms`, whose counts start anew, and those silent since `idle_before_ms`, which end.
 * `*ended` grows by these. Returns how many; `room`: there may be more.
 */
static unsigned flows_collect(struct bucket *bucket, int64_t active_before_ms,
                              int64_t idle_before_ms, struct flow *collected, unsigned room,
                              unsigned *ended)
{
    unsigned count = 0;

    pthread_mutex_lock(&bucket->lock);
    for (struct flow **link = &bucket->first; *link != NULL && count < room;) {
        struct flow *flow = *link;
        bool idle = flow->last_ms < idle_before_ms;
        if (flow->packets > 0 && (idle || flow->first_ms < active_before_ms)) {
            collected[count++] = *flow;
            flow->packets = flow->bytes = 0;
            flow->tcp_flags = 0;
        }
        if (!idle) {
            link = &flow->next;
            continue;
        }
        *link = flow->next;
        free(flow);
        (*ended)++;
    }
    pthread_mutex_unlock(&bucket->lock);
    return count;
}

#endif
