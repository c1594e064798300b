#include "held.h"

#include <errno.h>
#include <stdlib.h>

#include "assert.h"

struct held_block {
    struct held_block *next;
    uint32_t head, tail; /* bytes taken out, bytes put in */
    uint8_t bytes[HELD_BLOCK_BYTES];
};

static void block_read(const struct held_block *block, uint32_t at, struct packet_item *item)
{
    int taken = packet_item_read(block->bytes + at, block->tail - at, item);
    ASSERT(taken > 0);
}

static uint32_t item_bytes(const struct packet_item *item)
{
    return PACKET_ITEM_HEADER_BYTES + item->length;
}

static void block_free(struct held_pool *pool, struct held_block *block)
{
    if (pool->count == HELD_POOL_BLOCKS) {
        free(block);
        return;
    }
    block->next = pool->free;
    pool->free = block;
    pool->count++;
}

static struct held_block *block_take(struct held_pool *pool)
{
    struct held_block *block = pool->free;

    if (block == NULL)
        return malloc(sizeof(*block));
    pool->free = block->next;
    pool->count--;
    return block;
}

void held_pool_free(struct held_pool *pool)
{
    while (pool->free != NULL) {
        struct held_block *block = pool->free;
        pool->free = block->next;
        free(block);
    }
    pool->count = 0;
}

int held_push(struct held_pool *pool, struct held_packets *held, const struct packet_item *item)
{
    ASSERT(item->length <= PACKET_MAX_BYTES);
    struct held_block *last = held->last;

    if (last == NULL || last->tail + item_bytes(item) > HELD_BLOCK_BYTES) {
        struct held_block *block = block_take(pool);
        if (block == NULL)
            return -ENOMEM;
        block->next = NULL;
        block->head = block->tail = 0;
        if (last == NULL)
            held->first = block;
        else
            last->next = block;
        held->last = last = block;
    }
    uint32_t taken =
        packet_item_write(last->bytes + last->tail, HELD_BLOCK_BYTES - last->tail, item);
    ASSERT(taken == item_bytes(item));
    last->tail += taken;
    held->count++;
    return (int)taken;
}

bool held_peek(const struct held_packets *held, struct packet_item *item)
{
    if (held->count == 0)
        return false;
    block_read(held->first, held->first->head, item);
    return true;
}

uint32_t held_pop(struct held_pool *pool, struct held_packets *held)
{
    struct held_block *first = held->first;
    struct packet_item item;

    ASSERT(held->count > 0);
    block_read(first, first->head, &item);
    first->head += item_bytes(&item);
    held->count--;
    if (first->head == first->tail) {
        held->first = first->next;
        if (held->first == NULL)
            held->last = NULL;
        block_free(pool, first);
    }
    return item_bytes(&item);
}

size_t held_cut(struct held_pool *pool, struct held_packets *held, uint64_t last)
{
    struct held_packets kept = {0};
    struct held_block *block = held->first, *next;
    size_t freed = 0;

    for (; block != NULL; block = next) {
        struct packet_item item;
        uint32_t keep = block->head;

        next = block->next;
        for (uint32_t at = block->head; at < block->tail; at += item_bytes(&item)) {
            block_read(block, at, &item);
            if (item.number > last) {
                freed += item_bytes(&item);
                continue;
            }
            ASSERT(at == keep); /* numbers ascend */
            keep += item_bytes(&item);
            kept.count++;
        }
        block->tail = keep;
        block->next = NULL;
        if (block->head == block->tail) {
            block_free(pool, block);
            continue;
        }
        if (kept.last == NULL)
            kept.first = block;
        else
            kept.last->next = block;
        kept.last = block;
    }
    *held = kept;
    return freed;
}

/* ---- VORs: [last number, threads, position of each thread] ---- */

static uint64_t word_at(const struct vor_queue *queue, size_t at)
{
    return queue->words[at & (queue->capacity - 1)];
}

static void word_push(struct vor_queue *queue, uint64_t word)
{
    queue->words[queue->tail++ & (queue->capacity - 1)] = word;
}

static int vor_queue_grow(struct vor_queue *queue, size_t need)
{
    size_t used = queue->tail - queue->head;
    size_t capacity = queue->capacity ? queue->capacity : 256;

    while (capacity < used + need)
        capacity *= 2;
    if (capacity == queue->capacity)
        return 0;
    uint64_t *words = malloc(capacity * sizeof(*words));
    if (words == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < used; i++)
        words[i] = word_at(queue, queue->head + i);
    free(queue->words);
    *queue = (struct vor_queue){.words = words, .capacity = capacity, .tail = used};
    return 0;
}

void vor_queue_free(struct vor_queue *queue)
{
    free(queue->words);
    *queue = (struct vor_queue){0};
}

int vor_queue_push(struct vor_queue *queue, uint64_t last, const struct positions *vor)
{
    ASSERT(vor->threads <= THREADS_MAX && last > 0);
    if (vor_queue_grow(queue, 2 + vor->threads) < 0)
        return -ENOMEM;
    word_push(queue, last);
    word_push(queue, vor->threads);
    for (uint32_t t = 0; t < vor->threads; t++)
        word_push(queue, vor->at[t]);
    return 0;
}

uint64_t vor_queue_last(const struct vor_queue *queue)
{
    return queue->head == queue->tail ? 0 : word_at(queue, queue->head);
}

void vor_queue_peek(const struct vor_queue *queue, struct positions *vor)
{
    ASSERT(queue->head != queue->tail);
    vor->threads = (uint32_t)word_at(queue, queue->head + 1);
    for (uint32_t t = 0; t < vor->threads; t++)
        vor->at[t] = word_at(queue, queue->head + 2 + t);
}

void vor_queue_pop(struct vor_queue *queue)
{
    ASSERT(queue->head != queue->tail);
    queue->head += 2 + word_at(queue, queue->head + 1);
    ASSERT(queue->head <= queue->tail);
    if (queue->head == queue->tail)
        vor_queue_clear(queue);
}

void vor_queue_clear(struct vor_queue *queue)
{
    queue->head = queue->tail;
    if (queue->capacity > VOR_QUEUE_KEPT_WORDS)
        vor_queue_free(queue);
}
