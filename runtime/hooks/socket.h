/*
 * Virtual AF_PACKET sockets: what the NF's socket calls see instead of the kernel.
 *
 * The table of sockets is in the image (struct nf_socket), their queues in the process. A
 * descriptor is SOCKET_FD_BASE + index, so it means the same in the backup. Each input goes to
 * exactly one socket: bound to its port, of a matching protocol, and within a fanout group the one
 * that the symmetric flow hash picks: the same in master and backup.
 */
#ifndef PALISADE_HOOKS_SOCKET_H
#define PALISADE_HOOKS_SOCKET_H

#include "process.h"

static inline bool socket_is(int fd)
{
    uint32_t index = (uint32_t)(fd - SOCKET_FD_BASE);
    return index < SOCKETS_MAX && IMAGE->sockets[index].used;
}

static inline uint32_t socket_index(int fd)
{
    return (uint32_t)(fd - SOCKET_FD_BASE);
}

/* Refuses `call` on a socket that is there for interface ioctls only (G8). NF threads. */
static inline void socket_must_carry(int fd, const char *call)
{
    if (__builtin_expect(IMAGE->sockets[socket_index(fd)].asks_only, 0))
        process_fail(STATUS_UNMODELLED, "%s: UDP sockets cannot be replayed yet (G8)", call);
}

/* Queues exist for every socket in the table (after a restore: again). Any thread. */
void socket_queue_open(uint32_t index);

/* Which socket an input belongs to; SOCKETS_MAX when nobody wants it. I/O thread. */
uint32_t socket_for(uint16_t port, const uint8_t *bytes, uint16_t length);

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

/* The NF polled or received: from now on the socket wants packets. NF threads. */
void socket_reads(uint32_t index);

/* Copies the input into the queue of `index`; false when it is full. I/O thread. */
bool queue_put(uint32_t index, packet_id id, uint16_t port, const uint8_t *bytes, uint16_t length);
/* Wakes the threads asleep on `queue`, after a batch of queue_put. I/O thread. */
void queue_wake(struct queue *queue);

#endif
