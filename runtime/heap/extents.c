#include "heap/extents.h"

#include "core/assert.h"

static uint64_t address_hash(uintptr_t address)
{
    uint64_t hash = address * 0x9e3779b97f4a7c15ull;
    hash ^= hash >> 32;
    return hash * 0xd6e8feb86659fd93ull;
}

/* Also the node's checksum: a write to freed memory is seen before it corrupts the tree. */
static uint64_t priority(const struct extent *node)
{
    ASSERT(node->check == address_hash((uintptr_t)node)); /* else: written to after its free */
    return node->check;
}

static uintptr_t extent_end(const struct extent *node)
{
    return (uintptr_t)node + node->pages * EXTENT_PAGE_BYTES;
}

static size_t largest(const struct extent *node)
{
    return node ? node->largest : 0;
}

static void update(struct extent *node)
{
    size_t below = largest(node->left);
    if (largest(node->right) > below)
        below = largest(node->right);
    node->largest = node->pages > below ? node->pages : below;
}

/* *low: the nodes below `address`; *high: the others. */
static void split(struct extent *node, uintptr_t address, struct extent **low, struct extent **high)
{
    if (!node) {
        *low = *high = NULL;
        return;
    }
    if ((uintptr_t)node < address) {
        split(node->right, address, &node->right, high);
        *low = node;
    } else {
        split(node->left, address, low, &node->left);
        *high = node;
    }
    update(node);
}

/* All of `low` lies below all of `high`. */
static struct extent *join(struct extent *low, struct extent *high)
{
    if (!low)
        return high;
    if (!high)
        return low;
    struct extent *top;
    if (priority(low) > priority(high)) {
        low->right = join(low->right, high);
        top = low;
    } else {
        high->left = join(low, high->left);
        top = high;
    }
    update(top);
    return top;
}

static void insert(struct extents *extents, uintptr_t address, size_t pages)
{
    struct extent *node = (struct extent *)address, *low, *high;
    node->pages = node->largest = pages;
    node->left = node->right = NULL;
    node->check = address_hash(address);
    split(extents->root, address, &low, &high);
    extents->root = join(join(low, node), high);
}

static void extract(struct extents *extents, struct extent *node)
{
    struct extent *low, *middle, *high;
    split(extents->root, (uintptr_t)node, &low, &high);
    split(high, (uintptr_t)node + 1, &middle, &high);
    ASSERT(middle == node);
    extents->root = join(low, high);
    node->check = 0;
}

struct extent *extents_before(const struct extents *extents, uintptr_t address)
{
    struct extent *found = NULL;
    for (struct extent *node = extents->root; node;) {
        if ((uintptr_t)node < address) {
            found = node;
            node = node->right;
        } else {
            node = node->left;
        }
    }
    return found;
}

const struct extent *extents_next(const struct extents *extents, uintptr_t from)
{
    const struct extent *found = NULL;
    for (const struct extent *node = extents->root; node;) {
        if ((uintptr_t)node >= from) {
            found = node;
            node = node->left;
        } else {
            node = node->right;
        }
    }
    return found;
}

void extents_init(struct extents *extents, uintptr_t start, uintptr_t limit)
{
    ASSERT(start % EXTENT_PAGE_BYTES == 0 && limit % EXTENT_PAGE_BYTES == 0 && start <= limit);
    *extents = (struct extents){.end = start, .limit = limit};
}

void *extents_take(struct extents *extents, size_t pages, bool *fresh)
{
    ASSERT(pages > 0);
    *fresh = false;
    struct extent *node = extents->root;
    if (largest(node) >= pages) {
        for (;;) {
            if (largest(node->left) >= pages)
                node = node->left;
            else if (node->pages < pages)
                node = node->right;
            else
                break;
        }
        size_t rest = node->pages - pages;
        extract(extents, node);
        if (rest > 0)
            insert(extents, (uintptr_t)node + pages * EXTENT_PAGE_BYTES, rest);
        return node;
    }
    /* Nothing fits below `end`: grow there, from the free extent that touches it if there is. */
    struct extent *last = extents_before(extents, extents->end);
    size_t have = last && extent_end(last) == extents->end ? last->pages : 0;
    if ((extents->limit - extents->end) / EXTENT_PAGE_BYTES < pages - have)
        return NULL;
    uintptr_t start = extents->end - have * EXTENT_PAGE_BYTES;
    if (have > 0)
        extract(extents, last);
    extents->end = start + pages * EXTENT_PAGE_BYTES;
    *fresh = have == 0;
    return (void *)start;
}

bool extents_take_at(struct extents *extents, uintptr_t address, size_t pages)
{
    ASSERT(address % EXTENT_PAGE_BYTES == 0 && address <= extents->end);
    const struct extent *next = extents_next(extents, address);
    size_t have = (uintptr_t)next == address ? next->pages : 0;
    uintptr_t free_end = address + have * EXTENT_PAGE_BYTES;
    if (have < pages && (free_end != extents->end ||
                         (extents->limit - free_end) / EXTENT_PAGE_BYTES < pages - have))
        return false;
    if (have > 0)
        extract(extents, (struct extent *)address);
    if (have > pages)
        insert(extents, address + pages * EXTENT_PAGE_BYTES, have - pages);
    else
        extents->end += (pages - have) * EXTENT_PAGE_BYTES;
    return true;
}

void extents_give(struct extents *extents, uintptr_t address, size_t pages)
{
    uintptr_t end = address + pages * EXTENT_PAGE_BYTES;
    ASSERT(pages > 0 && address % EXTENT_PAGE_BYTES == 0 && end <= extents->end);
    struct extent *before = extents_before(extents, address);
    struct extent *after = (struct extent *)extents_next(extents, address);
    ASSERT(!before || extent_end(before) <= address);
    ASSERT(!after || (uintptr_t)after >= end);
    if (after && (uintptr_t)after == end) {
        pages += after->pages;
        extract(extents, after);
    }
    if (before && extent_end(before) == address) {
        address = (uintptr_t)before;
        pages += before->pages;
        extract(extents, before);
    }
    insert(extents, address, pages);
}
