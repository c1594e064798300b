/* Pages by address: the last put wins, a walk meets every page once, merging moves. */
#include <criterion/criterion.h>
#include <string.h>

#include "page_store.h"

static uint8_t *page_of(uint8_t value)
{
    static uint8_t page[PAGE_STORE_PAGE_BYTES];
    memset(page, value, sizeof page);
    return page;
}

static uint64_t address_of(uint64_t page)
{
    return 0x7f0000000000 + page * PAGE_STORE_PAGE_BYTES;
}

Test(page_store, returns_what_was_put)
{
    struct page_store *store = page_store_create();

    cr_assert_null(page_store_get(store, address_of(0)));
    cr_assert_eq(page_store_put(store, address_of(0), page_of(1)), 0);
    cr_assert_eq(page_store_put(store, address_of(7), page_of(2)), 0);
    cr_assert_eq(page_store_pages(store), 2);
    cr_assert_arr_eq(page_store_get(store, address_of(0)), page_of(1), PAGE_STORE_PAGE_BYTES);
    cr_assert_arr_eq(page_store_get(store, address_of(7)), page_of(2), PAGE_STORE_PAGE_BYTES);
    cr_assert_null(page_store_get(store, address_of(1)));
    page_store_destroy(store);
}

Test(page_store, address_zero_is_an_address)
{
    struct page_store *store = page_store_create();

    cr_assert_eq(page_store_put(store, 0, page_of(9)), 0);
    cr_assert_arr_eq(page_store_get(store, 0), page_of(9), PAGE_STORE_PAGE_BYTES);
    page_store_destroy(store);
}

Test(page_store, a_replaced_page_moves_to_the_end_of_the_walk)
{
    struct page_store *store = page_store_create();
    uint64_t address;

    page_store_put(store, address_of(1), page_of(1));
    page_store_put(store, address_of(2), page_of(2));
    page_store_put(store, address_of(1), page_of(3));
    cr_assert_eq(page_store_pages(store), 2);
    cr_assert_eq(page_store_entries(store), 3);
    cr_assert_null(page_store_at(store, 0, &address));
    cr_assert_not_null(page_store_at(store, 1, &address));
    const uint8_t *last = page_store_at(store, 2, &address);
    cr_assert_eq(address, address_of(1));
    cr_assert_eq(last[0], 3);
    cr_assert_eq(page_store_get(store, address_of(1))[0], 3);
    page_store_destroy(store);
}

Test(page_store, grows_and_keeps_everything)
{
    struct page_store *store = page_store_create();
    const uint64_t count = 5000;

    for (uint64_t i = 0; i < count; i++)
        cr_assert_eq(page_store_put(store, address_of(i * 3), page_of((uint8_t)(i * 7))), 0);
    cr_assert_eq(page_store_pages(store), count);
    for (uint64_t i = 0; i < count; i++) {
        cr_assert_eq(page_store_get(store, address_of(i * 3))[100], (uint8_t)(i * 7));
        cr_assert_null(page_store_get(store, address_of(i * 3 + 1)));
    }
    page_store_destroy(store);
}

Test(page_store, merging_moves_new_over_old)
{
    struct page_store *base = page_store_create(), *delta = page_store_create();

    for (uint64_t i = 0; i < 400; i++)
        page_store_put(base, address_of(i), page_of(1));
    for (uint64_t i = 200; i < 1000; i++)
        page_store_put(delta, address_of(i), page_of(2));
    page_store_put(delta, address_of(200), page_of(3)); /* leaves a hole in the delta */
    cr_assert_eq(page_store_merge(base, delta), 0);
    cr_assert_eq(page_store_pages(base), 1000);
    cr_assert_eq(page_store_pages(delta), 0);
    cr_assert_null(page_store_get(delta, address_of(999)));
    for (uint64_t i = 0; i < 1000; i++)
        cr_assert_eq(page_store_get(base, address_of(i))[0], i < 200 ? 1 : i == 200 ? 3 : 2);
    /* The emptied one is usable again. */
    cr_assert_eq(page_store_put(delta, address_of(5), page_of(5)), 0);
    cr_assert_eq(page_store_get(delta, address_of(5))[0], 5);
    page_store_destroy(base);
    page_store_destroy(delta);
}
