/*
 * The backends, and the ring of points that spreads new flows over them in proportion to their
 * weights: when one comes or goes, only its share moves (consistent hashing). The workers read
 * under the reader's side of the lock, the main thread replaces all under the writer's; so does a
 * worker that learns a hardware address.
 */
#ifndef BACKENDS_H
#define BACKENDS_H

#include <net/ethernet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "config.h"

#define BACKENDS_MAX 32
#define WEIGHT_MAX 64
#define POINTS_PER_WEIGHT 16
#define POINTS_MAX (BACKENDS_MAX * WEIGHT_MAX * POINTS_PER_WEIGHT)

struct backend {
    uint32_t address; /* network order */
    unsigned weight;
    bool resolved; /* mac is known */
    uint8_t mac[ETH_ALEN];
};

struct point {
    uint32_t hash;
    unsigned backend;
};

static struct {
    pthread_rwlock_t lock;
    unsigned count, point_count;
    struct backend entries[BACKENDS_MAX];
    struct point points[POINTS_MAX]; /* ascending */
} backends;

static uint32_t hash_mix(uint32_t hash)
{
    hash = (hash ^ hash >> 16) * 0x7feb352du;
    hash = (hash ^ hash >> 15) * 0x846ca68bu;
    return hash ^ hash >> 16;
}

static int point_compare(const void *a, const void *b)
{
    const struct point *left = a, *right = b;
    return left->hash < right->hash ? -1 : left->hash > right->hash;
}

/* These four: the lock is held, by points_build's caller for writing. */

static void points_build(void)
{
    backends.point_count = 0;
    for (unsigned b = 0; b < backends.count; b++)
        for (unsigned i = 0; i < backends.entries[b].weight * POINTS_PER_WEIGHT; i++)
            backends.points[backends.point_count++] =
                (struct point){hash_mix(backends.entries[b].address ^ hash_mix(i + 1)), b};
    qsort(backends.points, backends.point_count, sizeof(struct point), point_compare);
}

static struct backend *backend_find(uint32_t address)
{
    for (unsigned b = 0; b < backends.count; b++)
        if (backends.entries[b].address == address)
            return &backends.entries[b];
    return NULL;
}

/* The owner of the first point at or behind `hash`; NULL when nobody takes new flows. */
static struct backend *backend_pick(uint32_t hash)
{
    unsigned low = 0, high = backends.point_count;

    if (high == 0)
        return NULL;
    while (low < high) {
        unsigned middle = low + (high - low) / 2;
        if (backends.points[middle].hash < hash)
            low = middle + 1;
        else
            high = middle;
    }
    return &backends.entries[backends.points[low % backends.point_count].backend];
}

static bool backend_unresolved(unsigned *next, uint32_t *address)
{
    for (; *next < backends.count; ++*next)
        if (!backends.entries[*next].resolved) {
            *address = backends.entries[(*next)++].address;
            return true;
        }
    return false;
}

/* Takes the lock. True: it was news. */
static bool backend_learn(uint32_t address, const uint8_t *mac)
{
    pthread_rwlock_rdlock(&backends.lock);
    const struct backend *backend = backend_find(address);
    bool news = backend != NULL &&
                (!backend->resolved || memcmp(backend->mac, mac, sizeof(backend->mac)) != 0);
    pthread_rwlock_unlock(&backends.lock);
    if (!news)
        return false;

    pthread_rwlock_wrlock(&backends.lock);
    struct backend *entry = backend_find(address);
    if (entry != NULL) { /* it may be gone meanwhile */
        memcpy(entry->mac, mac, sizeof(entry->mac));
        entry->resolved = true;
    }
    pthread_rwlock_unlock(&backends.lock);
    return entry != NULL;
}

/* One line of the file, without its newline. False: it is neither a backend nor a comment. */
static bool backend_parse(char *line, struct backend *backend, bool *nothing)
{
    line[strcspn(line, "#\r")] = '\0';
    line += strspn(line, " \t");
    *nothing = *line == '\0';
    if (*nothing)
        return true;
    char *weight = line + strcspn(line, " \t"), *end;
    if (*weight == '\0')
        return false;
    *weight++ = '\0';
    weight += strspn(weight, " \t");
    unsigned long value = strtoul(weight, &end, 10);
    end += strspn(end, " \t");
    if (*weight < '0' || *weight > '9' || *end != '\0' || value > WEIGHT_MAX)
        return false;
    *backend = (struct backend){.weight = (unsigned)value};
    return inet_pton(AF_INET, line, &backend->address) == 1;
}

/*
 * Replaces the backends by those of `text`, which it destroys; takes the lock. Hardware addresses
 * stay. Returns the number of the wrong line, and then changes nothing; 0: done, with `*listed`.
 */
static unsigned backends_replace(char *text, unsigned *listed)
{
    static struct backend entries[BACKENDS_MAX]; /* main thread */
    unsigned count = 0, number = 0;

    for (char *line = text, *next; line != NULL && *line != '\0'; line = next) {
        bool nothing;
        number++;
        next = strchr(line, '\n');
        if (next != NULL)
            *next++ = '\0';
        if (count == BACKENDS_MAX || !backend_parse(line, &entries[count], &nothing))
            return number;
        count += !nothing;
    }
    pthread_rwlock_wrlock(&backends.lock);
    for (unsigned b = 0; b < count; b++) {
        const struct backend *old = backend_find(entries[b].address);
        if (old != NULL && old->resolved) {
            entries[b].resolved = true;
            memcpy(entries[b].mac, old->mac, sizeof(old->mac));
        }
    }
    backends.count = count;
    memcpy(backends.entries, entries, count * sizeof(entries[0]));
    points_build();
    pthread_rwlock_unlock(&backends.lock);
    *listed = count;
    return 0;
}

#endif
