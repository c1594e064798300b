/*
 * An array of entries in order of arrival and a hash table (open addressing, linear probing, at
 * most half full) from address to entry. Nothing is ever taken out of the table but all at once.
 */
#include "page_store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/assert.h"

#define ENTRIES_START 256u /* power of two */

struct entry {
    uint64_t address;
    uint8_t *page; /* owned; NULL: replaced by a later entry */
};

struct page_store {
    struct entry *entries;
    size_t count, room; /* room: power of two */
    uint32_t *table;    /* 2 * room places: entry index + 1, 0 = free */
    size_t pages;
};

static size_t place_first(const struct page_store *store, uint64_t address)
{
    /* Fibonacci hashing of the page number. */
    return (size_t)(((address / PAGE_STORE_PAGE_BYTES) * 0x9E3779B97F4A7C15u) >> 32) &
           (2 * store->room - 1);
}

/* The place of `address` in the table, or the free one where it belongs. */
static uint32_t *place_find(const struct page_store *store, uint64_t address)
{
    size_t mask = 2 * store->room - 1;

    for (size_t at = place_first(store, address);; at = (at + 1) & mask)
        if (!store->table[at] || store->entries[store->table[at] - 1].address == address)
            return &store->table[at];
}

/* Room for `count` entries in all. */
static int reserve(struct page_store *store, size_t count)
{
    if (count <= store->room)
        return 0;
    size_t room = store->room;
    while (room < count)
        room *= 2;
    if (room > UINT32_MAX / 2)
        return -ENOMEM;
    uint32_t *table = calloc(2 * room, sizeof *table);
    if (!table)
        return -ENOMEM;
    struct entry *entries = realloc(store->entries, room * sizeof *entries);
    if (!entries) {
        free(table);
        return -ENOMEM;
    }
    free(store->table);
    store->entries = entries;
    store->table = table;
    store->room = room;
    for (size_t i = 0; i < store->count; i++)
        if (entries[i].page)
            *place_find(store, entries[i].address) = (uint32_t)i + 1;
    return 0;
}

struct page_store *page_store_create(void)
{
    struct page_store *store = calloc(1, sizeof *store);
    if (!store)
        return NULL;
    store->room = ENTRIES_START;
    store->entries = malloc(store->room * sizeof *store->entries);
    store->table = calloc(2 * store->room, sizeof *store->table);
    if (!store->entries || !store->table) {
        page_store_destroy(store);
        return NULL;
    }
    return store;
}

void page_store_destroy(struct page_store *store)
{
    if (!store)
        return;
    for (size_t i = 0; i < store->count; i++)
        free(store->entries[i].page);
    free(store->entries);
    free(store->table);
    free(store);
}

int page_store_put(struct page_store *store, uint64_t address, const uint8_t *bytes)
{
    ASSERT(address % PAGE_STORE_PAGE_BYTES == 0);
    if (reserve(store, store->count + 1))
        return -ENOMEM;
    uint8_t *page = malloc(PAGE_STORE_PAGE_BYTES);
    if (!page)
        return -ENOMEM;
    memcpy(page, bytes, PAGE_STORE_PAGE_BYTES);

    uint32_t *place = place_find(store, address);
    if (*place) {
        struct entry *old = &store->entries[*place - 1];
        free(old->page);
        old->page = NULL;
        store->pages--;
    }
    store->entries[store->count] = (struct entry){.address = address, .page = page};
    *place = (uint32_t)++store->count;
    store->pages++;
    return 0;
}

const uint8_t *page_store_get(const struct page_store *store, uint64_t address)
{
    uint32_t place = *place_find(store, address);
    return place ? store->entries[place - 1].page : NULL;
}

int page_store_merge(struct page_store *base, struct page_store *delta)
{
    ASSERT(base != delta);
    if (reserve(base, base->count + delta->pages))
        return -ENOMEM;
    for (size_t i = 0; i < delta->count; i++) {
        struct entry *moved = &delta->entries[i];
        if (!moved->page)
            continue;
        uint32_t *place = place_find(base, moved->address);
        if (*place) {
            struct entry *old = &base->entries[*place - 1];
            free(old->page);
            old->page = moved->page;
        } else {
            base->entries[base->count] = *moved;
            *place = (uint32_t)++base->count;
            base->pages++;
        }
        moved->page = NULL;
    }
    delta->count = delta->pages = 0;
    memset(delta->table, 0, 2 * delta->room * sizeof *delta->table);
    return 0;
}

size_t page_store_entries(const struct page_store *store)
{
    return store->count;
}

const uint8_t *page_store_at(const struct page_store *store, size_t index, uint64_t *address)
{
    ASSERT(index < store->count);
    *address = store->entries[index].address;
    return store->entries[index].page;
}

size_t page_store_pages(const struct page_store *store)
{
    return store->pages;
}
