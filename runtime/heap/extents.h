/*
 * Page-granular memory: address-ordered first fit over the free extents of one range.
 *
 * The free extents form a treap keyed by address, each node lying in the first page of the extent
 * it describes and knowing the largest extent below it: finding, splitting and joining take
 * logarithmic time, and nothing but the free memory itself is needed. Priorities are hashes of
 * addresses: the same calls in the same order give the same addresses. Beyond `end` everything is
 * fresh: never handed out, still zero. Not thread-safe: the caller holds the order lock.
 */
#ifndef PALISADE_HEAP_EXTENTS_H
#define PALISADE_HEAP_EXTENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EXTENT_PAGE_BYTES 4096u

struct extent {
    uint8_t kept[16]; /* the header of the block that lay here: a second free is seen */
    size_t pages;
    size_t largest; /* pages of the largest extent in this subtree */
    struct extent *left, *right;
    uint64_t check;
};

struct extents {
    struct extent *root;
    uintptr_t end;   /* one past the highest page ever taken */
    uintptr_t limit; /* end of the range */
};

/* `start` and `limit` are page-aligned. */
void extents_init(struct extents *extents, uintptr_t start, uintptr_t limit);
/* NULL when nothing fits. *fresh: all of it is zero. */
void *extents_take(struct extents *extents, size_t pages, bool *fresh);
/* The `pages` pages right at `address`, to grow what ends there; false when not all are free. */
bool extents_take_at(struct extents *extents, uintptr_t address, size_t pages);
void extents_give(struct extents *extents, uintptr_t address, size_t pages);
/* The free extent with the highest start below `address`; NULL when there is none. */
struct extent *extents_before(const struct extents *extents, uintptr_t address);
/* The free extent with the lowest start at or above `from`; NULL when there is none. */
const struct extent *extents_next(const struct extents *extents, uintptr_t from);

#endif
