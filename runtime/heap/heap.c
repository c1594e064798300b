/*
 * How the heap keeps its addresses a function of the recorded order.
 *
 * Private part: per thread and size class a list of free blocks, a spare list, and a run of pages
 * being carved. A freed block joins the *freeing* thread's list, so what a thread allocates next
 * depends on its own calls alone: no lock, no determinant.
 *
 * Shared part, under the caller's ordered lock: whole lists ("batches") that threads gave away, a
 * stack per class; and pages (extents.h) for runs and for blocks beyond CLASS_MAX_BYTES. Whether a
 * call needs it is decided from private state and arguments, so replay locks exactly where the
 * recording did. A thread that has its list and its spare full gives the spare away: producer and
 * consumer threads cannot hoard, and the transfer costs O(1) under the lock.
 *
 * Every call is: decide, lock if need be, change. Nothing changes before the lock (heap.h), and
 * nothing needs it twice; therefore realloc does both its halves under one lock.
 *
 * Pages of a run never return to the page level; a fragmented class stays that class's.
 */
#include "heap/heap.h"

#include <stdio.h>
#include <string.h>

#include "core/assert.h"
#include "heap/classes.h"
#include "heap/extents.h"

#define PAGE EXTENT_PAGE_BYTES
#define HEADER_BYTES 16u
#define RUN_FIRST_BYTES 4096u /* a thread's first run of a class; doubles ... */
#define RUN_DOUBLINGS 4u      /* ... up to 64 KiB */
#define RUN_BLOCKS_MIN 4u
#define BATCH_BYTES 32768u /* a list is full at about this much ... */
#define BATCH_BLOCKS_MIN 4u
#define BATCH_BLOCKS_MAX 128u /* ... or this many blocks */

#define CLASS_LARGE 0xfffeu
#define CLASS_ALIGNED 0xfffdu
#define CHECK_LIVE 0x6c697665u
#define CHECK_FREE 0x66726565u

/* Stands before every block. `check` is bound to the address: a copied header does not pass. */
struct header {
    uint32_t check;
    uint16_t class;
    uint16_t count; /* in the first block of a batch: its blocks */
    uint64_t bytes; /* usable; CLASS_ALIGNED: distance to the real block below */
};
_Static_assert(sizeof(struct header) == HEADER_BYTES, "blocks are 16-byte aligned");

struct block { /* what a free block holds */
    struct block *next;
    struct block *next_batch;
};

struct cache { /* one thread's, one class's */
    struct block *list;
    struct block *spare; /* NULL or a full list */
    uint32_t count;      /* blocks in `list`, at most `full` */
    uint16_t full;       /* batch_blocks(class): no division on the fast path */
    uint16_t doublings;  /* of the run size so far */
    uintptr_t run, run_end;
};

struct heap {
    uintptr_t start, limit;
    /* guarded by the order lock */
    _Alignas(64) struct extents extents;
    struct block *batches[CLASS_COUNT];
    struct {
        _Alignas(64) struct cache of[CLASS_COUNT];
    } threads[THREADS_MAX];
};

static uint32_t check_word(uint32_t state, const void *block)
{
    return state ^ (uint32_t)((uintptr_t)block >> 4);
}

static struct header *header_of(const void *block)
{
    return (struct header *)((uintptr_t)block - HEADER_BYTES);
}

static uint32_t block_stride(uint32_t class)
{
    return class_bytes(class) + HEADER_BYTES;
}

static uint32_t batch_blocks(uint32_t class)
{
    uint32_t blocks = BATCH_BYTES / block_stride(class);
    return blocks < BATCH_BLOCKS_MIN   ? BATCH_BLOCKS_MIN
           : blocks > BATCH_BLOCKS_MAX ? BATCH_BLOCKS_MAX
                                       : blocks;
}

__attribute__((noreturn, cold)) static void heap_fault(const void *block, const char *what)
{
    char text[128];
    snprintf(text, sizeof text, "heap block %p: %s", block, what);
    assert_failed(__FILE__, __LINE__, text);
}

__attribute__((noreturn, cold)) static void heap_fault_freed(const struct heap *heap,
                                                             const void *block)
{
    if ((uintptr_t)block % HEADER_BYTES != 0 || !heap_owns(heap, block))
        heap_fault(block, "wild free: this is not the address of a block");
    if (header_of(block)->check == check_word(CHECK_FREE, block))
        heap_fault(block, "double free");
    heap_fault(block, "wild free, or the header before the block was overwritten");
}

/* Checks what a caller hands back; returns the real block under an aligned one. */
static void *block_resolve(const struct heap *heap, const void *block)
{
    if ((uintptr_t)block % HEADER_BYTES != 0 || !heap_owns(heap, block))
        heap_fault_freed(heap, block);
    const struct header *header = header_of(block);
    if (header->check != check_word(CHECK_LIVE, block))
        heap_fault_freed(heap, block);
    if (header->class != CLASS_ALIGNED)
        return (void *)block;
    void *real = (void *)((uintptr_t)block - header->bytes);
    if (!heap_owns(heap, real) || header_of(real)->check != check_word(CHECK_LIVE, real))
        heap_fault_freed(heap, block);
    return real;
}

static size_t real_usable(const void *real)
{
    const struct header *header = header_of(real);
    ASSERT(header->class == CLASS_LARGE || header->class < CLASS_COUNT);
    return header->bytes;
}

/* ---- order ---- */

static void order_lock(const struct heap_order *order, uint32_t thread)
{
    if (order)
        order->lock(order->ctx, thread);
}

static void order_unlock(const struct heap_order *order, uint32_t thread)
{
    if (order)
        order->unlock(order->ctx, thread);
}

/* ---- small blocks ---- */

static bool cache_ready(const struct cache *cache)
{
    return cache->list || cache->spare || cache->run < cache->run_end;
}

static struct block *cache_pop(struct cache *cache, uint32_t class)
{
    struct block *block = cache->list;
    struct header *header = header_of(block);
    if (__builtin_expect(header->check != check_word(CHECK_FREE, block) || header->class != class,
                         0))
        heap_fault(block, "written to after its free, or overrun by the block before it");
    header->check = check_word(CHECK_LIVE, block);
    cache->list = block->next;
    cache->count--;
    return block;
}

static void *run_carve(struct cache *cache, uint32_t class)
{
    void *block = (void *)(cache->run + HEADER_BYTES);
    *header_of(block) =
        (struct header){check_word(CHECK_LIVE, block), (uint16_t) class, 0, class_bytes(class)};
    cache->run += block_stride(class);
    return block;
}

/* Pages for `blocks` blocks become the cache's run. Under the order lock. */
static bool run_take(struct heap *heap, struct cache *cache, uint32_t class, uint32_t blocks)
{
    bool fresh;
    size_t bytes = (size_t)blocks * block_stride(class);
    void *pages = extents_take(&heap->extents, (bytes + PAGE - 1) / PAGE, &fresh);
    if (!pages)
        return false;
    size_t fit = (bytes + PAGE - 1) / PAGE * PAGE / block_stride(class);
    cache->run = (uintptr_t)pages;
    cache->run_end = cache->run + fit * block_stride(class);
    return true;
}

/* Under the order lock: a batch, else a run, else one as small as can be. */
static bool cache_refill(struct heap *heap, struct cache *cache, uint32_t class)
{
    struct block *batch = heap->batches[class];
    if (batch) {
        heap->batches[class] = batch->next_batch;
        cache->list = batch;
        cache->count = header_of(batch)->count;
        return true;
    }
    uint32_t blocks = (RUN_FIRST_BYTES << cache->doublings) / block_stride(class);
    if (blocks < RUN_BLOCKS_MIN)
        blocks = RUN_BLOCKS_MIN;
    if (run_take(heap, cache, class, blocks)) {
        if (cache->doublings < RUN_DOUBLINGS)
            cache->doublings++;
        return true;
    }
    return run_take(heap, cache, class, 1);
}

/* Under the order lock unless cache_ready(). NULL when the arena is exhausted. */
static void *small_take(struct heap *heap, struct cache *cache, uint32_t class)
{
    if (!cache_ready(cache) && !cache_refill(heap, cache, class))
        return NULL;
    if (!cache->list && cache->spare) {
        cache->list = cache->spare;
        cache->count = cache->full;
        cache->spare = NULL;
    }
    return cache->list ? cache_pop(cache, class) : run_carve(cache, class);
}

static bool cache_full(const struct cache *cache)
{
    return cache->count >= cache->full && cache->spare;
}

static void batch_push(struct heap *heap, uint32_t class, struct block *list, uint32_t count)
{
    header_of(list)->count = (uint16_t)count;
    list->next_batch = heap->batches[class];
    heap->batches[class] = list;
}

/* Under the order lock if cache_full(). */
static void small_give(struct heap *heap, struct cache *cache, uint32_t class, void *real)
{
    if (__builtin_expect(cache->count >= cache->full, 0)) {
        if (cache->spare)
            batch_push(heap, class, cache->spare, cache->full);
        cache->spare = cache->list;
        cache->list = NULL;
        cache->count = 0;
    }
    struct block *block = real;
    header_of(block)->check = check_word(CHECK_FREE, block);
    block->next = cache->list;
    cache->list = block;
    cache->count++;
}

/* ---- large blocks, all under the order lock ---- */

static size_t large_pages(size_t size)
{
    return (size + HEADER_BYTES + PAGE - 1) / PAGE;
}

static void large_mark(void *block, size_t pages)
{
    *header_of(block) =
        (struct header){check_word(CHECK_LIVE, block), CLASS_LARGE, 0, pages * PAGE - HEADER_BYTES};
}

static void *large_take(struct heap *heap, size_t size, bool *fresh)
{
    size_t pages = large_pages(size);
    void *start = extents_take(&heap->extents, pages, fresh);
    if (!start)
        return NULL;
    void *block = (void *)((uintptr_t)start + HEADER_BYTES);
    large_mark(block, pages);
    return block;
}

static void large_give(struct heap *heap, void *block)
{
    struct header *header = header_of(block);
    header->check = check_word(CHECK_FREE, block);
    extents_give(&heap->extents, (uintptr_t)header, (header->bytes + HEADER_BYTES) / PAGE);
}

/* In place; false when the block has to move. */
static bool large_resize(struct heap *heap, void *block, size_t size)
{
    uintptr_t start = (uintptr_t)header_of(block);
    size_t have = (header_of(block)->bytes + HEADER_BYTES) / PAGE, want = large_pages(size);
    if (want > have && !extents_take_at(&heap->extents, start + have * PAGE, want - have))
        return false;
    if (want < have)
        extents_give(&heap->extents, start + want * PAGE, have - want);
    large_mark(block, want);
    return true;
}

/* ---- both ---- */

static bool take_needs_order(const struct heap *heap, uint32_t thread, size_t size)
{
    return size > CLASS_MAX_BYTES || !cache_ready(&heap->threads[thread].of[class_of(size)]);
}

static bool give_needs_order(const struct heap *heap, uint32_t thread, const void *real)
{
    uint32_t class = header_of(real)->class;
    return class == CLASS_LARGE || cache_full(&heap->threads[thread].of[class]);
}

/* Both under the order lock if *_needs_order(). */
static void *take(struct heap *heap, uint32_t thread, size_t size, bool *fresh)
{
    *fresh = false;
    if (size > CLASS_MAX_BYTES)
        return large_take(heap, size, fresh);
    uint32_t class = class_of(size);
    return small_take(heap, &heap->threads[thread].of[class], class);
}

static void give(struct heap *heap, uint32_t thread, void *block, void *real)
{
    uint32_t class = header_of(real)->class;
    if (block != real)
        header_of(block)->check = check_word(CHECK_FREE, block);
    if (class == CLASS_LARGE)
        large_give(heap, real);
    else
        small_give(heap, &heap->threads[thread].of[class], class, real);
}

/* More than the arena can ever hold: NULL without an event. */
static bool size_absurd(const struct heap *heap, size_t size)
{
    return size >= heap->limit - heap->start;
}

__attribute__((noinline)) static void *alloc_slow(struct heap *heap, uint32_t thread, size_t size,
                                                  const struct heap_order *order, bool *fresh)
{
    *fresh = false;
    if (size_absurd(heap, size))
        return NULL;
    if (!take_needs_order(heap, thread, size))
        return take(heap, thread, size, fresh);
    order_lock(order, thread);
    void *block = take(heap, thread, size, fresh);
    order_unlock(order, thread);
    return block;
}

struct heap *heap_create(void *arena, size_t bytes)
{
    ASSERT((uintptr_t)arena % PAGE == 0);
    struct heap *heap = arena;
    uintptr_t limit = ((uintptr_t)arena + bytes) / PAGE * PAGE;
    uintptr_t first = ((uintptr_t)arena + sizeof *heap + PAGE - 1) / PAGE * PAGE;
    if (limit <= first)
        return NULL;
    ASSERT(heap->limit == 0); /* fresh: all of it zero */
    heap->start = first;
    heap->limit = limit;
    extents_init(&heap->extents, first, limit);
    for (uint32_t thread = 0; thread < THREADS_MAX; thread++)
        for (uint32_t class = 0; class < CLASS_COUNT; class ++)
            heap->threads[thread].of[class].full = (uint16_t)batch_blocks(class);
    return heap;
}

void *heap_alloc(struct heap *heap, uint32_t thread, size_t size, const struct heap_order *order)
{
    ASSERT(thread < THREADS_MAX);
    if (__builtin_expect(size <= CLASS_MAX_BYTES, 1)) {
        uint32_t class = class_of(size);
        struct cache *cache = &heap->threads[thread].of[class];
        if (__builtin_expect(cache->list != NULL, 1))
            return cache_pop(cache, class);
    }
    bool fresh;
    return alloc_slow(heap, thread, size, order, &fresh);
}

void *heap_calloc(struct heap *heap, uint32_t thread, size_t count, size_t size,
                  const struct heap_order *order)
{
    ASSERT(thread < THREADS_MAX);
    size_t bytes;
    bool fresh;
    if (__builtin_mul_overflow(count, size, &bytes))
        return NULL;
    void *block = alloc_slow(heap, thread, bytes, order, &fresh);
    return block && !fresh ? memset(block, 0, bytes) : block;
}

void *heap_alloc_aligned(struct heap *heap, uint32_t thread, size_t alignment, size_t size,
                         const struct heap_order *order)
{
    ASSERT(thread < THREADS_MAX);
    ASSERT(alignment > 0 && (alignment & (alignment - 1)) == 0);
    if (alignment <= HEADER_BYTES)
        return heap_alloc(heap, thread, size, order);
    if (size_absurd(heap, size) || size_absurd(heap, alignment))
        return NULL;
    bool fresh;
    void *real = alloc_slow(heap, thread, size + alignment - HEADER_BYTES, order, &fresh);
    void *block = (void *)(((uintptr_t)real + alignment - 1) & ~(alignment - 1));
    if (block != real) /* at least 16 bytes apart: room for a header that points back */
        *header_of(block) = (struct header){check_word(CHECK_LIVE, block), CLASS_ALIGNED, 0,
                                            (uintptr_t)block - (uintptr_t)real};
    return block;
}

void heap_free(struct heap *heap, uint32_t thread, void *block, const struct heap_order *order)
{
    ASSERT(thread < THREADS_MAX);
    if (!block)
        return;
    void *real = block_resolve(heap, block);
    bool ordered = give_needs_order(heap, thread, real);
    if (__builtin_expect(ordered, 0))
        order_lock(order, thread);
    give(heap, thread, block, real);
    if (__builtin_expect(ordered, 0))
        order_unlock(order, thread);
}

void *heap_realloc(struct heap *heap, uint32_t thread, void *block, size_t size,
                   const struct heap_order *order)
{
    ASSERT(thread < THREADS_MAX);
    if (!block)
        return heap_alloc(heap, thread, size, order);
    if (size_absurd(heap, size))
        return NULL;
    void *real = block_resolve(heap, block);
    bool large = header_of(real)->class == CLASS_LARGE;
    size_t usable = heap_usable_size(heap, block);
    if (size <= usable && (usable <= 64 || size > usable / 2) && size + PAGE > usable)
        return block; /* fits, and moving would not save much */

    bool ordered = take_needs_order(heap, thread, size) || give_needs_order(heap, thread, real);
    if (ordered)
        order_lock(order, thread);
    void *moved = block;
    if (!(large && block == real && size > CLASS_MAX_BYTES && large_resize(heap, block, size))) {
        bool fresh;
        moved = take(heap, thread, size, &fresh);
        if (moved) {
            memcpy(moved, block, size < usable ? size : usable);
            give(heap, thread, block, real);
        } else if (size <= usable) {
            moved = block; /* shrinking never fails */
        }
    }
    if (ordered)
        order_unlock(order, thread);
    return moved;
}

void heap_thread_exit(struct heap *heap, uint32_t thread, const struct heap_order *order)
{
    ASSERT(thread < THREADS_MAX);
    order_lock(order, thread);
    for (uint32_t class = 0; class < CLASS_COUNT; class ++) {
        struct cache *cache = &heap->threads[thread].of[class];
        if (cache->list)
            batch_push(heap, class, cache->list, cache->count);
        if (cache->spare)
            batch_push(heap, class, cache->spare, cache->full);
        cache->list = cache->spare = NULL;
        cache->count = 0;
    }
    order_unlock(order, thread);
}

size_t heap_usable_size(const struct heap *heap, const void *block)
{
    if (!block)
        return 0;
    const void *real = block_resolve(heap, block);
    return real_usable(real) - ((uintptr_t)block - (uintptr_t)real);
}

bool heap_owns(const struct heap *heap, const void *p)
{
    return (uintptr_t)p - heap->start < heap->limit - heap->start;
}

void *heap_used_end(const struct heap *heap)
{
    return (void *)heap->extents.end;
}

bool heap_extent_next(const struct heap *heap, uintptr_t from, struct heap_extent *extent)
{
    const struct extents *extents = &heap->extents;
    if (from < (uintptr_t)heap)
        from = (uintptr_t)heap;
    from = from / PAGE * PAGE;
    /* The first page of a free extent holds its node: used. The rest is a hole. */
    const struct extent *hole = extents_before(extents, from);
    if (hole && from < (uintptr_t)hole + hole->pages * PAGE)
        from = (uintptr_t)hole + hole->pages * PAGE;
    if (from >= extents->end)
        return false;
    hole = extents_next(extents, from);
    while (hole && hole->pages == 1)
        hole = extents_next(extents, (uintptr_t)hole + 1);
    *extent = (struct heap_extent){from, hole ? (uintptr_t)hole + PAGE : extents->end};
    return true;
}
