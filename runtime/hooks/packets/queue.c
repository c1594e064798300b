/* See queue.h. */
#include "hooks/packets/queue.h"

#include <linux/if_ether.h>
#include <stdlib.h>
#include <string.h>

#include "core/assert.h"
#include "hooks/packets/flow.h"

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

uint16_t packet_protocol(uint16_t port, const uint8_t *bytes, uint16_t length)
{
    if (process.ports[port].kind != PORT_TUN)
        return length >= ETH_HLEN ? (uint16_t)(bytes[12] << 8 | bytes[13]) : 0;
    uint8_t version = length ? bytes[0] >> 4 : 0;
    return version == 4 ? ETH_P_IP : version == 6 ? ETH_P_IPV6 : 0;
}

/* From the IP header on; of Ethernet ports only what an NF takes for IP without looking further. */
static uint32_t hash_of(uint16_t port, uint16_t protocol, const uint8_t *bytes, uint16_t length)
{
    if (process.ports[port].kind == PORT_TUN)
        return flow_hash(bytes, length);
    if (protocol == ETH_P_IP || protocol == ETH_P_IPV6)
        return flow_hash(bytes + ETH_HLEN, length - ETH_HLEN);
    return flow_hash(NULL, 0);
}

uint32_t queue_for(uint16_t port, const uint8_t *bytes, uint16_t length)
{
    if (port >= process.port_count)
        return QUEUES_MAX;
    uint16_t protocol = packet_protocol(port, bytes, length);
    uint32_t members[QUEUES_MAX], count = 0;
    for (uint32_t i = 0; i < QUEUES_MAX; i++) {
        const struct nf_queue *queue = &IMAGE->queues[i];
        if (queue->used && queue->reads && queue->port == port + 1u &&
            (queue->protocol == ETH_P_ALL || queue->protocol == protocol))
            members[count++] = i;
    }
    if (count == 0)
        return QUEUES_MAX;
    return members[count == 1 ? 0 : (uint64_t)hash_of(port, protocol, bytes, length) * count >> 32];
}

/* A second queue for the same port would get copies of each packet: not supported, said so. */
static void check_alone(uint32_t index)
{
    const struct nf_queue *own = &IMAGE->queues[index];
    for (uint32_t i = 0; i < QUEUES_MAX; i++) {
        const struct nf_queue *other = &IMAGE->queues[i];
        if (i != index && own->port && other->used && other->reads && own->port == other->port &&
            own->protocol && other->protocol && (!own->fanout || own->fanout != other->fanout))
            process_fail(STATUS_UNMODELLED,
                         "two sockets receive on port %s without a common PACKET_FANOUT group; "
                         "each would need its own copy, which is not supported (G8)",
                         process.ports[own->port - 1].name);
    }
}

void queue_nf_ready(void)
{
    if (atomic_load_explicit(&process.nf_ready, memory_order_relaxed))
        return;
    atomic_store(&process.nf_ready, 1);
    io_kick();
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
