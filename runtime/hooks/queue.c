/* See queue.h. */
#include "hooks/queue.h"

#include <net/ethernet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "core/assert.h"

uint32_t queue_claim(uint32_t protocol)
{
    for (uint32_t i = 0; i < QUEUES_MAX; i++)
        if (!IMAGE->queues[i].used) {
            IMAGE->queues[i] = (struct nf_queue){.used = 1, .protocol = protocol};
            queue_open(i);
            return i;
        }
    return QUEUES_MAX;
}

void queue_release(uint32_t index)
{
    IMAGE->queues[index] = (struct nf_queue){0};
}

void queue_open(uint32_t index)
{
    if (process.queues[index]) { /* of a queue released before */
        struct queue *old = process.queues[index];
        pthread_mutex_lock(&old->reading);
        atomic_store(&old->tail, atomic_load(&old->head));
        pthread_mutex_unlock(&old->reading);
        return;
    }
    struct queue *queue = aligned_alloc(64, sizeof *queue);
    struct slot *slots = malloc(sizeof *slots * process.options.queue_packets);
    if (queue == NULL || slots == NULL)
        process_fail(STATUS_MEMORY,
                     "no memory for a queue of %u packets; lower queue_packets in "
                     "PALISADE_OPTIONS",
                     (unsigned)process.options.queue_packets);
    memset(queue, 0, sizeof *queue);
    pthread_mutex_init(&queue->reading, NULL);
    queue->slots = slots;
    __atomic_store_n(&process.queues[index], queue, __ATOMIC_RELEASE);
}

bool queue_put(uint32_t index, packet_id id, uint16_t port, const uint8_t *bytes, uint16_t length)
{
    struct queue *queue = process.queues[index];
    uint64_t head = atomic_load_explicit(&queue->head, memory_order_relaxed);
    if (head - atomic_load_explicit(&queue->tail, memory_order_acquire) > queue_mask())
        return false;
    ASSERT(length <= PACKET_MAX_BYTES);
    struct slot *slot = &queue->slots[head & queue_mask()];
    slot->id = id;
    slot->port = port;
    slot->length = length;
    memcpy(slot->bytes, bytes, length);
    atomic_store_explicit(&queue->head, head + 1, memory_order_release);
    return true;
}

void queue_wake(struct queue *queue)
{
    atomic_thread_fence(memory_order_seq_cst);
    uint64_t waiters = atomic_load_explicit(&queue->waiters, memory_order_relaxed);
    while (waiters) {
        uint32_t thread = (uint32_t)__builtin_ctzll(waiters);
        waiters &= waiters - 1;
        atomic_fetch_and(&queue->waiters, ~(1ull << thread));
        thread_wake(thread);
    }
}

/* ---- which queue ---- */

/* Addresses and ports enter symmetrically: both directions of a flow hash alike. */
static uint32_t flow_hash(const uint8_t *bytes, uint16_t length)
{
    uint32_t hash = 0;
    if (length >= 34 && bytes[12] == 0x08 && bytes[13] == 0x00) {
        const uint8_t *ip = bytes + 14;
        uint32_t source, destination, header = (ip[0] & 15u) * 4u;
        memcpy(&source, ip + 12, 4);
        memcpy(&destination, ip + 16, 4);
        hash = source ^ destination ^ ip[9];
        bool fragment = ((ip[6] & 0x3f) | ip[7]) != 0;
        if (!fragment && (ip[9] == IPPROTO_TCP || ip[9] == IPPROTO_UDP) &&
            length >= 14 + header + 4) {
            uint16_t from, to;
            memcpy(&from, ip + header, 2);
            memcpy(&to, ip + header + 2, 2);
            hash ^= (uint32_t)(from ^ to) << 8;
        }
    }
    hash *= 0x9E3779B1u;
    return hash ^ hash >> 15;
}

uint32_t queue_for(uint16_t port, const uint8_t *bytes, uint16_t length)
{
    uint16_t protocol = length >= 14 ? (uint16_t)(bytes[12] << 8 | bytes[13]) : 0;
    uint32_t members[QUEUES_MAX], count = 0;
    for (uint32_t i = 0; i < QUEUES_MAX; i++) {
        const struct nf_queue *queue = &IMAGE->queues[i];
        if (queue->used && queue->reads && queue->port == port + 1u &&
            (queue->protocol == ETH_P_ALL || queue->protocol == protocol))
            members[count++] = i;
    }
    if (count == 0)
        return QUEUES_MAX;
    return members[count == 1 ? 0 : (uint64_t)flow_hash(bytes, length) * count >> 32];
}

/* A second queue for the same port would get copies of each packet: not supported, said so. */
static void check_alone(uint32_t index)
{
    const struct nf_queue *own = &IMAGE->queues[index];
    for (uint32_t i = 0; i < QUEUES_MAX; i++) {
        const struct nf_queue *other = &IMAGE->queues[i];
        if (i != index && other->used && other->reads && own->port == other->port &&
            own->protocol && other->protocol && (!own->fanout || own->fanout != other->fanout))
            process_fail(STATUS_UNMODELLED,
                         "two sockets receive on port %s without a common PACKET_FANOUT group; "
                         "each would need its own copy, which is not supported (G8)",
                         process.ports[own->port - 1].name);
    }
}

void queue_reads(uint32_t index)
{
    struct nf_queue *queue = &IMAGE->queues[index];
    if (queue->reads)
        return;
    queue->reads = 1;
    check_alone(index);
    atomic_store(&process.nf_ready, 1);
    io_kick();
}
