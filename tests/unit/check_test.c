/* Who meets whom: the shadow of memory and the clocks of threads, without a runtime around them. */
#include <criterion/criterion.h>
#include <pthread.h>

#include "check/clocks.h"
#include "check/shadow.h"

static const struct palisade_site store = {"nf.c", "store", 1, PALISADE_SITE_PRIVATE, 1};
static const struct palisade_site load = {"nf.c", "load", 2, PALISADE_SITE_PRIVATE, 0};
static const struct palisade_site logged = {"nf.c", "logged", 3, PALISADE_SITE_LOGGED, 1};

#define PLACE 0xa0200001000ull
#define LOCK 0xa0200009000ull
#define OTHER 0xa0200009100ull

static struct touch met;

static bool touch_at(uint32_t thread, const struct palisade_site *site, uint64_t address,
                     uint64_t bytes)
{
    struct touch now = {thread, site->write, clock_now(thread), site};
    return shadow_touch(address, bytes, &now, clock_seen(thread), &met);
}

static bool touch(uint32_t thread, const struct palisade_site *site)
{
    return touch_at(thread, site, PLACE, 8);
}

static void hand_over(uint32_t from, uint32_t to, uint64_t object)
{
    clock_release(from, object);
    clock_acquire(to, object);
}

static void begin(void)
{
    clocks_begin();
    cr_assert(shadow_open(8));
}

TestSuite(check, .init = begin);

Test(check, two_threads_without_an_order_meet)
{
    cr_assert(!touch(1, &store));
    cr_assert(touch(2, &load));
    cr_assert(met.thread == 1 && met.write && met.site == &store && met.clock == 1);
    cr_assert(touch(3, &store), "after a read, too");
}

Test(check, one_thread_alone_meets_nobody)
{
    for (int i = 0; i < 10; i++)
        cr_assert(!touch(1, i % 3 ? &load : &store));
}

Test(check, readers_do_not_meet)
{
    for (uint32_t t = 0; t < 10; t++)
        cr_assert(!touch(t, &load));
    cr_assert(touch(20, &store));
    cr_assert(!met.write);
}

Test(check, what_is_handed_over_is_no_meeting)
{
    cr_assert(!touch(1, &store));
    hand_over(1, 2, LOCK);
    cr_assert(!touch(2, &store));
    hand_over(2, 3, OTHER);
    cr_assert(!touch(3, &load), "1 is known by way of 2");
    cr_assert(!touch(3, &store));
    cr_assert(touch(1, &load), "who gave it away must not look");
    cr_assert(met.thread == 3);
}

Test(check, who_goes_on_after_handing_over_meets)
{
    cr_assert(!touch(1, &store));
    clock_release(1, LOCK);
    cr_assert(!touch(1, &store));
    clock_acquire(2, LOCK);
    cr_assert(touch(2, &load));
}

Test(check, another_lock_orders_nothing)
{
    cr_assert(!touch(1, &store));
    clock_release(1, LOCK);
    clock_acquire(2, OTHER);
    cr_assert(touch(2, &store));
}

Test(check, a_thread_knows_what_its_creator_did)
{
    cr_assert(!touch(1, &store));
    clock_born(1, 7);
    cr_assert(!touch(7, &store));
    cr_assert(touch(1, &store), "not the other way round");
}

Test(check, neighbours_in_a_granule_do_not_meet)
{
    cr_assert(!touch_at(1, &store, PLACE, 1));
    cr_assert(!touch_at(2, &store, PLACE + 1, 1));
    cr_assert(!touch_at(3, &store, PLACE + 2, 2));
    cr_assert(!touch_at(4, &store, PLACE + 4, 4));
    cr_assert(touch_at(5, &load, PLACE + 3, 1));
    cr_assert(met.thread == 3);
    cr_assert(!touch_at(5, &load, PLACE + 8, 8));
}

Test(check, blocks_meet_wherever_they_overlap)
{
    cr_assert(!touch_at(1, &store, PLACE + 3, 4096));
    cr_assert(!touch_at(2, &load, PLACE, 3));
    cr_assert(!touch_at(2, &load, PLACE + 3 + 4096, 100));
    for (uint64_t at = PLACE + 3; at < PLACE + 3 + 4096; at += 97)
        cr_assert(touch_at(2, &load, at, 1), "byte %lu", (unsigned long)(at - PLACE));
}

Test(check, logged_accesses_do_not_meet_but_others_meet_them)
{
    cr_assert(!touch(1, &logged));
    cr_assert(!touch(2, &logged));
    cr_assert(touch(3, &load));
    cr_assert(met.site == &logged);
}

/* The fifth thread takes the place of a reader, never of the only writer. */
Test(check, a_writer_is_kept)
{
    cr_assert(!touch(1, &store));
    for (uint32_t t = 2; t < 30; t++) {
        hand_over(1, t, LOCK);
        cr_assert(!touch(t, &load));
    }
    cr_assert(touch(40, &load));
    cr_assert(met.thread == 1);
}

Test(check, a_new_life_begins_with_nobody)
{
    cr_assert(!touch_at(1, &store, PLACE, 2048));
    shadow_fresh(PLACE + 64, 1024);
    cr_assert(!touch_at(2, &store, PLACE + 64, 1024));
    cr_assert(touch_at(2, &load, PLACE + 56, 8));
    cr_assert(touch_at(2, &load, PLACE + 64 + 1024, 8));
    shadow_fresh(0, 1ull << 47); /* more than there is room for */
    cr_assert(!touch_at(3, &store, PLACE, 2048));
}

/* 8 MiB watch 1 MiB. */
Test(check, what_is_too_much_is_forgotten_and_counted)
{
    cr_assert(!touch(1, &store));
    cr_assert_eq(shadow_forgotten(), 0);
    for (uint64_t at = 1; at < 8192; at++)
        cr_assert(!touch_at(1, &store, PLACE + at * 512, 8));
    cr_assert_geq(shadow_forgotten(), 8192 - 2048);
    cr_assert(!touch(2, &load), "the oldest");
    cr_assert(touch_at(2, &load, PLACE + 8191 * 512, 8), "the newest");
}

/* Each thread for itself, and all together at one counter behind a lock. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static _Atomic uint32_t meetings;

static void *work(void *argument)
{
    uint32_t thread = (uint32_t)(uintptr_t)argument;
    struct touch before, now;
    for (uint32_t i = 0; i < 20000; i++) {
        now = (struct touch){thread, true, clock_now(thread), &store};
        meetings += shadow_touch(PLACE + 4096 + thread * 8, 8, &now, clock_seen(thread), &before);
        pthread_mutex_lock(&mutex);
        clock_acquire(thread, LOCK);
        now.clock = clock_now(thread);
        meetings += shadow_touch(PLACE, 8, &now, clock_seen(thread), &before);
        clock_release(thread, LOCK);
        pthread_mutex_unlock(&mutex);
    }
    return NULL;
}

Test(check, threads_at_once)
{
    pthread_t threads[4];
    for (uintptr_t t = 0; t < 4; t++)
        pthread_create(&threads[t], NULL, work, (void *)t);
    for (int t = 0; t < 4; t++)
        pthread_join(threads[t], NULL);
    cr_assert_eq(meetings, 0);
    cr_assert(touch(9, &load));
}
