/*
 * The input logger's ring.
 *
 * Packets lie in one ring of bytes as packet items (frame.h), never across its end; `index` maps
 * an id to its place. Places are counted in bytes ever written, so that "full" is a subtraction.
 *
 *      oldest           unsent            next
 *        |  sent, kept    |  to be sent     |  free
 *
 * Only a committed snapshot moves `oldest`, only the reigning NF moves `unsent` (R15, R17).
 */
#include "input_log.h"

#include <errno.h>
#include <stdlib.h>

#include "assert.h"

/* Packets are seldom shorter than this with their header; shorter ones fill the index first. */
#define INDEX_ITEM_BYTES 64u

struct input_log {
    uint8_t *ring;
    uint64_t size;
    uint64_t written; /* bytes ever, padding at the ring's end included */
    uint64_t dropped; /* place of `oldest` */
    uint64_t *index;  /* place of id at [id & index_mask] */
    uint64_t index_mask;
    packet_id oldest, unsent, next;
    packet_id uncopied; /* 0: no standby */
    uint64_t incarnation;
    uint32_t epoch;
    uint64_t claimant; /* 0 = nobody since this process began */
    uint64_t accepted, refused_full;
};

struct input_log *input_log_create(size_t bytes, uint32_t epoch, uint64_t incarnation)
{
    ASSERT(bytes >= PACKET_MAX_BYTES + PACKET_ITEM_HEADER_BYTES && incarnation != 0);
    struct input_log *il = calloc(1, sizeof(*il));
    if (il == NULL)
        return NULL;
    uint64_t entries = 64;
    while (entries < bytes / INDEX_ITEM_BYTES)
        entries *= 2;
    il->ring = malloc(bytes);
    il->index = malloc(entries * sizeof(*il->index));
    if (il->ring == NULL || il->index == NULL) {
        input_log_destroy(il);
        return NULL;
    }
    il->size = bytes;
    il->index_mask = entries - 1;
    il->oldest = il->unsent = il->next = 1;
    il->epoch = epoch;
    il->incarnation = incarnation;
    return il;
}

void input_log_destroy(struct input_log *il)
{
    if (il == NULL)
        return;
    free(il->ring);
    free(il->index);
    free(il);
}

packet_id input_log_accept(struct input_log *il, uint16_t port, const uint8_t *bytes,
                           uint16_t length)
{
    ASSERT(length <= PACKET_MAX_BYTES);
    uint64_t need = PACKET_ITEM_HEADER_BYTES + (uint64_t)length;
    uint64_t place = il->written % il->size;
    uint64_t padding = place + need > il->size ? il->size - place : 0;

    if (il->oldest == il->next)
        il->dropped = il->written + padding; /* an empty ring has room for any packet */
    if (il->written + padding + need - il->dropped > il->size ||
        il->next - il->oldest > il->index_mask) {
        il->refused_full++;
        return 0;
    }
    struct packet_item item = {.number = il->next, .port = port, .length = length, .bytes = bytes};
    il->written += padding;
    place = il->written % il->size;
    uint32_t taken = packet_item_write(il->ring + place, (uint32_t)need, &item);
    ASSERT(taken == need);
    il->index[il->next & il->index_mask] = il->written;
    il->written += need;
    il->accepted++;
    return il->next++;
}

bool input_log_has_room(const struct input_log *il, uint32_t packets)
{
    uint64_t longest = PACKET_MAX_BYTES + PACKET_ITEM_HEADER_BYTES;

    /* One more than asked for: the padding at the ring's end is shorter than a packet. */
    return il->written - il->dropped + (packets + 1) * longest <= il->size &&
           il->next - il->oldest + packets <= il->index_mask + 1;
}

bool input_log_wants_snapshot(const struct input_log *il)
{
    return il->claimant != 0 && il->unsent != il->oldest &&
           (il->written - il->dropped > il->size / 2 || il->next - il->oldest > il->index_mask / 2);
}

int input_log_reign(struct input_log *il, uint32_t epoch, uint64_t claimant,
                    struct input_claim *claim)
{
    ASSERT(claimant != 0);
    bool other = il->claimant != 0 && il->claimant != claimant;

    if (epoch == 0 || epoch < il->epoch || (epoch == il->epoch && other))
        return -ESTALE;
    if (claim->of != 0 && claim->of != il->incarnation)
        return -ENODATA;
    packet_id from = claim->of != 0 ? claim->from : il->oldest;
    if (claim->of == 0 && other)
        from = il->unsent; /* what another was sent may be in the world already */
    if (from < il->oldest && il->claimant == claimant)
        from = il->oldest; /* its standby has shown that it needs none before */
    if (from < il->oldest || from > il->next)
        return -ERANGE;
    il->epoch = epoch;
    il->claimant = claimant;
    il->unsent = from;
    *claim = (struct input_claim){.of = il->incarnation, .from = from};
    return 0;
}

/* The kept packet `id`. */
static void item_at(const struct input_log *il, packet_id id, struct packet_item *item)
{
    uint64_t place = il->index[id & il->index_mask] % il->size;
    uint32_t room = PACKET_ITEM_HEADER_BYTES + PACKET_MAX_BYTES;

    if (room > il->size - place)
        room = (uint32_t)(il->size - place);
    int taken = packet_item_read(il->ring + place, room, item);
    ASSERT(taken > 0 && item->number == id);
}

bool input_log_next(const struct input_log *il, struct packet_item *item)
{
    if (il->claimant == 0 || il->unsent == il->next)
        return false;
    item_at(il, il->unsent, item);
    return true;
}

void input_log_sent(struct input_log *il)
{
    ASSERT(il->unsent < il->next);
    il->unsent++;
}

int input_log_copy(struct input_log *il, const struct input_claim *claim)
{
    if (claim->of != il->incarnation)
        return -ENODATA;
    if (claim->from < il->oldest || claim->from > il->next)
        return -ERANGE;
    il->uncopied = claim->from;
    return 0;
}

bool input_log_copy_next(const struct input_log *il, struct packet_item *item)
{
    if (il->uncopied == 0 || il->uncopied == il->next)
        return false;
    item_at(il, il->uncopied, item);
    return true;
}

void input_log_copied(struct input_log *il)
{
    ASSERT(il->uncopied != 0 && il->uncopied < il->next);
    il->uncopied++;
}

void input_log_copy_stop(struct input_log *il)
{
    il->uncopied = 0;
}

int input_log_truncate(struct input_log *il, uint32_t epoch, packet_id first)
{
    if (epoch != il->epoch || il->claimant == 0)
        return -ESTALE;
    if (first > il->next)
        return -ERANGE;
    if (first <= il->oldest)
        return 0;
    il->oldest = first;
    il->dropped = first == il->next ? il->written : il->index[first & il->index_mask];
    if (il->unsent < first)
        il->unsent = first;
    if (il->uncopied < first)
        il->uncopied = 0;
    ASSERT(il->dropped <= il->written);
    return 0;
}

void input_log_state(const struct input_log *il, struct input_log_state *out)
{
    *out = (struct input_log_state){
        .incarnation = il->incarnation,
        .epoch = il->epoch,
        .oldest = il->oldest,
        .next = il->next,
        .unsent = il->unsent,
        .uncopied = il->uncopied,
        .accepted = il->accepted,
        .refused_full = il->refused_full,
        .bytes_used = il->written - il->dropped,
        .bytes_total = il->size,
    };
}
