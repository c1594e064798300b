/*
 * Queues of inputs: who of the NF receives which packet.
 *
 * The table of queues is in the image (struct nf_queue), what lies in them in the process. Each
 * input goes to exactly one queue: of its port, of a matching protocol, and within a fanout group
 * the one that the symmetric flow hash picks: the same in master and backup.
 */
#ifndef PALISADE_HOOKS_QUEUE_H
#define PALISADE_HOOKS_QUEUE_H

#include "process.h"

/*
 * A free queue for `protocol` (host order; 0: receives nothing), not bound to a port yet. Its
 * index, or QUEUES_MAX when all are taken. Under descriptors_lock. NF threads.
 */
uint32_t queue_claim(uint32_t protocol);
/* What lies in it is nobody's. Under descriptors_lock. NF threads. */
void queue_release(uint32_t index);

/* The process's side exists for every queue in use (after a restore: again). Any thread. */
void queue_open(uint32_t index);

/* EtherType of a packet, host order; of a TUN port as its IP version says. 0: none. */
uint16_t packet_protocol(uint16_t port, const uint8_t *bytes, uint16_t length);

/* Which queue an input belongs to; QUEUES_MAX when nobody wants it. I/O thread. */
uint32_t queue_for(uint16_t port, const uint8_t *bytes, uint16_t length);

static inline uint32_t queue_mask(void)
{
    return process.options.queue_packets - 1;
}

static inline uint32_t queue_used(struct queue *queue)
{
    return (uint32_t)(atomic_load_explicit(&queue->head, memory_order_acquire) -
                      atomic_load_explicit(&queue->tail, memory_order_acquire));
}

static inline bool queue_ready(struct queue *queue)
{
    return queue_used(queue) > 0;
}

/* The NF polled or received: from now on the queue wants packets. NF threads. */
void queue_reads(uint32_t index);

/* It waits for descriptors: from now on there may be snapshots, with or without a port. */
void queue_nf_ready(void);

/* Copies the input into the queue `index`; false when it is full. I/O thread. */
bool queue_put(uint32_t index, packet_id id, uint16_t port, const uint8_t *bytes, uint16_t length);
/* Wakes the threads asleep on `queue`, after a batch of queue_put. I/O thread. */
void queue_wake(struct queue *queue);

#endif
