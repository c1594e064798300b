/*
 * What the output logger holds of one thread: its packets, and the VORs of its OUT records, each
 * a FIFO in the thread's output numbers. Either may run ahead of the other.
 *
 * Packets lie as packet items (frame.h) in blocks taken from a pool that all threads share and
 * that keeps some free ones: nothing is allocated per packet in steady state.
 */
#ifndef PALISADE_CORE_HELD_H
#define PALISADE_CORE_HELD_H

#include "frame.h"

#define HELD_BLOCK_BYTES 16384u
#define HELD_POOL_BLOCKS 64u /* free ones that are kept: a peak is given back */

struct held_block;

struct held_pool {
    struct held_block *free;
    uint32_t count;
};

struct held_packets {
    struct held_block *first, *last;
    uint64_t count;
};

void held_pool_free(struct held_pool *pool);

/* Bytes the packet takes (to be counted against the memory bound), or -ENOMEM. */
int held_push(struct held_pool *pool, struct held_packets *held, const struct packet_item *item);
/* The oldest packet; *item points into the block until held_pop. False when empty. */
bool held_peek(const struct held_packets *held, struct packet_item *item);
/* Bytes given back. */
uint32_t held_pop(struct held_pool *pool, struct held_packets *held);
/* Deletes the packets numbered above `last`. Bytes given back. */
size_t held_cut(struct held_pool *pool, struct held_packets *held, uint64_t last);

/* VORs of OUT records whose packets are not all released: a growing ring of words. */
struct vor_queue {
    uint64_t *words;
    size_t capacity;   /* power of two */
    size_t head, tail; /* counted in words ever */
};

void vor_queue_free(struct vor_queue *queue);
/* `last`: number of the last packet the VOR stands for. 0 or -ENOMEM. */
int vor_queue_push(struct vor_queue *queue, uint64_t last, const struct positions *vor);
/* Number of the last packet of the oldest VOR; 0 when there is none. */
uint64_t vor_queue_last(const struct vor_queue *queue);
/* The oldest VOR; the queue is not empty. */
void vor_queue_peek(const struct vor_queue *queue, struct positions *vor);
void vor_queue_pop(struct vor_queue *queue);
void vor_queue_clear(struct vor_queue *queue);
#define VOR_QUEUE_KEPT_WORDS 4096u /* an empty queue that is larger is given back */
static inline size_t vor_queue_bytes(const struct vor_queue *queue)
{
    return (queue->tail - queue->head) * sizeof(*queue->words);
}

#endif
