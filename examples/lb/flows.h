/*
 * Which backend a flow belongs to. A bucket holds a few flows; a newcomer takes the place of the
 * one that was silent longest. A bucket's spin lock guards its flows: it is held for a few
 * comparisons.
 */
#ifndef FLOWS_H
#define FLOWS_H

#include "backends.h"
#include "spinlock.h"

#define FLOWS_A_BUCKET 8

/* The client's side of a flow; network order. No padding: keys are compared as bytes. */
struct flow_key {
    uint32_t client;
    uint16_t client_port, service_port;
    uint32_t protocol;
};
_Static_assert(sizeof(struct flow_key) == 12, "no padding");

struct flow {
    struct flow_key key;
    uint32_t backend; /* 0: free */
    uint8_t client_mac[ETH_ALEN];
    int64_t seen_s;
};

struct bucket {
    struct spinlock lock;
    struct flow entries[FLOWS_A_BUCKET];
};
static struct bucket *flow_buckets;
static unsigned flow_bucket_count; /* read-only once the workers run */

static bool flows_open(unsigned flows)
{
    flow_bucket_count = (flows + FLOWS_A_BUCKET - 1) / FLOWS_A_BUCKET;
    flow_buckets = calloc(flow_bucket_count, sizeof(*flow_buckets));
    return flow_buckets != NULL;
}

static uint32_t flow_hash(const struct flow_key *key)
{
    return hash_mix(key->client ^ hash_mix(((uint32_t)key->client_port << 16 | key->service_port) ^
                                           key->protocol * 0x9e3779b1u));
}

/* The bucket's lock is held. NULL: unknown, or silent for too long. */
static struct flow *flow_find(struct bucket *bucket, const struct flow_key *key, int64_t oldest_s)
{
    for (unsigned i = 0; i < FLOWS_A_BUCKET; i++) {
        struct flow *flow = &bucket->entries[i];
        if (flow->backend != 0 && flow->seen_s >= oldest_s &&
            memcmp(&flow->key, key, sizeof(*key)) == 0)
            return flow;
    }
    return NULL;
}

/* The bucket's lock is held. */
static struct flow *flow_create(struct bucket *bucket, const struct flow_key *key)
{
    struct flow *place = &bucket->entries[0];
    for (unsigned i = 1; i < FLOWS_A_BUCKET && place->backend != 0; i++)
        if (bucket->entries[i].backend == 0 || bucket->entries[i].seen_s < place->seen_s)
            place = &bucket->entries[i];
    *place = (struct flow){.key = *key};
    return place;
}

/*
 * A packet from a client: which backend gets it. Takes backends.lock for reading, then the
 * bucket's. `created` tells whether the flow is new. False: nobody takes it.
 */
static bool flow_to_backend(const struct flow_key *key, const uint8_t *client_mac, int64_t now_s,
                            unsigned idle_s, struct backend *backend, bool *created)
{
    uint32_t hash = flow_hash(key);
    struct bucket *bucket = &flow_buckets[hash % flow_bucket_count];

    *created = false;
    pthread_rwlock_rdlock(&backends.lock);
    spin_lock(&bucket->lock);
    struct flow *flow = flow_find(bucket, key, now_s - idle_s);
    struct backend *found = flow != NULL ? backend_find(flow->backend) : NULL;
    if (found == NULL) /* new, or its backend was taken away */
        found = backend_pick(hash);
    if (found != NULL) {
        *created = flow == NULL;
        if (flow == NULL)
            flow = flow_create(bucket, key);
        flow->backend = found->address;
        flow->seen_s = now_s;
        memcpy(flow->client_mac, client_mac, ETH_ALEN);
        *backend = *found;
    }
    spin_unlock(&bucket->lock);
    pthread_rwlock_unlock(&backends.lock);
    return found != NULL;
}

/* A packet from `backend`: true when it belongs to a flow of that one's. */
static bool flow_to_client(const struct flow_key *key, uint32_t backend, int64_t now_s,
                           unsigned idle_s, uint8_t *client_mac)
{
    struct bucket *bucket = &flow_buckets[flow_hash(key) % flow_bucket_count];

    spin_lock(&bucket->lock);
    struct flow *flow = flow_find(bucket, key, now_s - idle_s);
    bool ours = flow != NULL && flow->backend == backend;
    if (ours) {
        flow->seen_s = now_s;
        memcpy(client_mac, flow->client_mac, ETH_ALEN);
    }
    spin_unlock(&bucket->lock);
    return ours;
}

#endif
