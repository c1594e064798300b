/*
 * Pages of an image: address -> 4096 bytes. One store holds one image's pages (a delta, or the
 * whole committed base); merging moves a delta's pages into the base without copying.
 * One thread at a time.
 */
#ifndef PALISADE_XDP_PAGE_STORE_H
#define PALISADE_XDP_PAGE_STORE_H

#include <stddef.h>
#include <stdint.h>

#define PAGE_STORE_PAGE_BYTES 4096u /* IMAGE_PAGE_BYTES of core/message.h */

struct page_store;

struct page_store *page_store_create(void); /* NULL: out of memory */
void page_store_destroy(struct page_store *store);

/*
 * Copies a page in; `address` is page-aligned. An earlier page of the address is replaced and the
 * new one stands at the end of the order, so that a reader walking behind the writer meets it.
 * -ENOMEM leaves the store as it was.
 */
int page_store_put(struct page_store *store, uint64_t address, const uint8_t *bytes);
const uint8_t *page_store_get(const struct page_store *store, uint64_t address); /* or NULL */

/* Moves all pages of `delta` into `base`, where they replace older ones; `delta` is empty then.
 * -ENOMEM leaves both as they were. */
int page_store_merge(struct page_store *base, struct page_store *delta);

/* A walk: index 0 .. page_store_entries - 1; NULL where a page was replaced later. */
size_t page_store_entries(const struct page_store *store);
const uint8_t *page_store_at(const struct page_store *store, size_t index, uint64_t *address);

size_t page_store_pages(const struct page_store *store); /* pages it holds */

#endif
