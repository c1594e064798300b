/*
 * The NF's heap: a deterministic allocator inside one memory range (the arena).
 *
 * All state lies in the arena, which the caller maps at a fixed address: copying [arena,
 * heap_used_end) away and back copies the heap away and back. Addresses depend only on each
 * thread's own calls and on the order in which threads passed heap_order.lock, so replaying that
 * order repeats every address (DESIGN 6b, R20).
 *
 * Which threads: every function may be called by any thread for its own index `thread` (below
 * THREADS_MAX), never for another's; no signal handlers. Functions without `thread` say so.
 */
#ifndef PALISADE_HEAP_H
#define PALISADE_HEAP_H

#include "core/types.h"

struct heap; /* lies at the start of the arena */

/*
 * The ordered lock around what threads share. lock() is one event of the caller (recorded or
 * replayed) plus mutual exclusion. A heap call locks at most once, and before it changed anything:
 * a thread stopped in lock() may be restored by repeating its heap call (R20).
 */
struct heap_order {
    void (*lock)(void *ctx, uint32_t thread);
    void (*unlock)(void *ctx, uint32_t thread);
    void *ctx;
};

/*
 * Builds an empty heap in [arena, arena + bytes). The arena is page-aligned and zero (fresh mmap);
 * a restore must leave zero what lies beyond heap_used_end. NULL when `bytes` is too small (1 MiB
 * always suffices). After a restore use the arena's address itself; do not create again.
 */
struct heap *heap_create(void *arena, size_t bytes);

/*
 * Blocks are 16-byte aligned; NULL when the arena is exhausted (nothing changed then). A size of 0
 * gives a block. `order` may be NULL while only one thread runs.
 */
void *heap_alloc(struct heap *heap, uint32_t thread, size_t size, const struct heap_order *order);
/* `alignment` is a power of two. */
void *heap_alloc_aligned(struct heap *heap, uint32_t thread, size_t alignment, size_t size,
                         const struct heap_order *order);
/* Zeroed; NULL also when count * size overflows. */
void *heap_calloc(struct heap *heap, uint32_t thread, size_t count, size_t size,
                  const struct heap_order *order);
/* `block` may be NULL (alloc). On NULL the old block stays. Keeps 16-byte alignment only. */
void *heap_realloc(struct heap *heap, uint32_t thread, void *block, size_t size,
                   const struct heap_order *order);
/* `block` may be NULL. Aborts with a message on a double or wild free. */
void heap_free(struct heap *heap, uint32_t thread, void *block, const struct heap_order *order);
/* Hands the free blocks of a thread that ends to the others; indices are never reused (R19). */
void heap_thread_exit(struct heap *heap, uint32_t thread, const struct heap_order *order);

/* Bytes the owner of `block` may use. Any thread that may use the block. */
size_t heap_usable_size(const struct heap *heap, const void *block);
/* Whether `p` lies in the arena: if not, it is libc's to free. Any thread, no lock. */
bool heap_owns(const struct heap *heap, const void *p);

/* ---- for snapshots: only while no thread is inside a heap call ---- */

/* One past the highest page ever handed out. */
void *heap_used_end(const struct heap *heap);
/*
 * The first used extent (whole pages) that ends above `from`, clipped to start at `from` or
 * later; false when there is none. Starts with the heap's own state. Leaving out what lies between
 * extents keeps addresses exact, but recycled memory then has other (uninitialised) bytes.
 */
struct heap_extent {
    uintptr_t start, end;
};
bool heap_extent_next(const struct heap *heap, uintptr_t from, struct heap_extent *extent);

#endif
