/*
 * The sources whose addresses fall to one releasing thread: their token buckets, and the packets
 * that wait for tokens, in the order they came. `lock` guards all of it; `wanted` tells the
 * releasing thread that a packet came for a source that had none.
 *
 * Only the releasing thread hands packets out, so those of one source never overtake each other.
 */
#ifndef SHARD_H
#define SHARD_H

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "bucket.h"
#include "config.h"

#define CHAINS 256
#define SOURCES_MAX 4096 /* a shard */

struct packet {
    struct packet *next;
    uint32_t length;
    uint8_t bytes[];
};

struct source {
    struct source *next;         /* of the same hash */
    struct source *next_waiting; /* in the round of those with packets */
    uint32_t address;
    struct bucket bucket;
    struct packet *first, **last;         /* waiting packets */
    uint32_t queued;                      /* bytes of them */
    uint64_t accepted, released, dropped; /* packets */
    uint64_t released_bytes;
};

struct shard {
    pthread_mutex_t lock;
    pthread_cond_t wanted;
    struct source *chains[CHAINS];
    unsigned source_count;
    struct source *round, **round_last; /* sources with packets, in turn */
    uint64_t no_memory;                 /* packets dropped for lack of it */
};

static void shard_open(struct shard *shard)
{
    pthread_condattr_t attributes;

    pthread_mutex_init(&shard->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&shard->wanted, &attributes);
    pthread_condattr_destroy(&attributes);
    shard->round_last = &shard->round;
}

static uint32_t source_hash(uint32_t address)
{
    uint32_t hash = ntohl(address) * 0x9e3779b1u;
    return hash ^ hash >> 15;
}

/* All below: the lock is held. */

/* Makes room: forgets a source whose bucket is full and who has nothing waiting. */
static void source_forget(struct shard *shard, int64_t now_ns)
{
    for (unsigned c = 0; c < CHAINS; c++) {
        for (struct source **link = &shard->chains[c]; *link != NULL; link = &(*link)->next) {
            struct source *source = *link;
            bucket_fill(&source->bucket, now_ns);
            if (source->first != NULL || source->bucket.tokens < source->bucket.burst * SECOND_NS)
                continue;
            *link = source->next;
            free(source);
            shard->source_count--;
            return;
        }
    }
}

/* Finds or creates; NULL: too many, or no memory. */
static struct source *source_of(struct shard *shard, const struct config *config, uint32_t address,
                                int64_t now_ns)
{
    struct source **chain = &shard->chains[source_hash(address) / SHARDS_MAX % CHAINS];
    unsigned rate = config->limits[0].rate;

    for (struct source *source = *chain; source != NULL; source = source->next)
        if (source->address == address)
            return source;
    if (shard->source_count == SOURCES_MAX)
        source_forget(shard, now_ns);
    struct source *source = shard->source_count < SOURCES_MAX ? calloc(1, sizeof(*source)) : NULL;
    if (source == NULL)
        return NULL;
    for (unsigned l = 1; l < config->limit_count; l++)
        if (config->limits[l].source == address)
            rate = config->limits[l].rate;
    source->address = address;
    source->last = &source->first;
    bucket_open(&source->bucket, rate, config->burst, now_ns);
    source->next = *chain;
    *chain = source;
    shard->source_count++;
    return source;
}

static void source_join_round(struct shard *shard, struct source *source)
{
    source->next_waiting = NULL;
    *shard->round_last = source;
    shard->round_last = &source->next_waiting;
}

/* Takes a packet in. True: its source had none waiting, so the releasing thread must look. */
static bool shard_accept(struct shard *shard, const struct config *config, const uint8_t *bytes,
                         uint32_t length, uint32_t address, int64_t now_ns)
{
    struct source *source = source_of(shard, config, address, now_ns);
    if (source == NULL) {
        shard->no_memory++;
        return false;
    }
    source->accepted++;
    if (source->queued + length > config->queue) {
        source->dropped++;
        return false;
    }
    struct packet *packet = malloc(sizeof(*packet) + length);
    if (packet == NULL) {
        shard->no_memory++;
        return false;
    }
    packet->next = NULL;
    packet->length = length;
    memcpy(packet->bytes, bytes, length);
    bool first = source->first == NULL;
    *source->last = packet;
    source->last = &packet->next;
    source->queued += length;
    if (first)
        source_join_round(shard, source);
    return first;
}

/*
 * Hands out the next packet that has its tokens: one of each source in turn. NULL: none has;
 * `*due_ns` is then when the first one will, INT64_MAX when nothing waits.
 */
static struct packet *shard_release(struct shard *shard, int64_t now_ns, int64_t *due_ns)
{
    struct source *stop = NULL;

    *due_ns = INT64_MAX;
    while (shard->round != NULL && shard->round != stop) {
        struct source *source = shard->round;
        struct packet *packet = source->first;
        shard->round = source->next_waiting;
        if (shard->round == NULL)
            shard->round_last = &shard->round;

        bucket_fill(&source->bucket, now_ns);
        if (!bucket_take(&source->bucket, packet->length)) {
            int64_t at_ns = bucket_due_ns(&source->bucket, packet->length);
            if (at_ns < *due_ns)
                *due_ns = at_ns;
            if (stop == NULL)
                stop = source;
            source_join_round(shard, source);
            continue;
        }
        source->first = packet->next;
        source->queued -= packet->length;
        source->released++;
        source->released_bytes += packet->length;
        if (source->first == NULL)
            source->last = &source->first;
        else
            source_join_round(shard, source);
        return packet;
    }
    return NULL;
}

#endif
