/* Images: what is committed is kept, what is not is forgotten, and a backup that joins at any
 * moment ends with exactly the committed pages. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "images.h"
#include "lifeline.h"

#define MS 1000000ll
#define PAGES 64u

static struct images *images;
static struct lifeline *near, *far; /* the OL's end, the backup's end */
static int listener;

/* The backup's view: what a restore would see. */
static uint8_t committed[PAGES], staged[PAGES];
static uint64_t committed_number, staged_number;
static bool staged_ended;

static void setup(void)
{
    char why[256];
    uint16_t port = 0;

    for (int try = 0; try < 100; try++) {
        port = (uint16_t)(20000 + (getpid() * 7 + try * 131) % 20000);
        if (lifeline_listen(&listener, "127.0.0.1", port, why) == STATUS_OK)
            break;
    }
    cr_assert_eq(lifeline_connect(&near, "127.0.0.1", port, 1000, why), STATUS_OK, "%s", why);
    for (int try = 0; !far && try < 1000; try++) {
        far = lifeline_accept(listener);
        usleep(1000);
    }
    images = images_create(PAGES * 4 * IMAGE_PAGE_BYTES);
    cr_assert_not_null(images);
}

static void teardown(void)
{
    images_destroy(images);
    lifeline_close(near);
    lifeline_close(far);
    close(listener);
}

TestSuite(images, .init = setup, .fini = teardown, .timeout = 20);

static int backup(void *context, const struct message *message)
{
    (void)context;
    switch (message->kind) {
    case MESSAGE_IMAGE_BEGIN:
        if (message->image_begin.whole)
            memset(staged, 0, sizeof staged);
        else
            memcpy(staged, committed, sizeof staged);
        staged_number = message->image_begin.mark.number;
        staged_ended = false;
        cr_assert_eq(message->image_begin.description_bytes, 5);
        cr_assert_arr_eq(message->image_begin.description, "about", 5);
        break;
    case MESSAGE_IMAGE_PAGES:
        cr_assert(!staged_ended);
        for (uint32_t i = 0; i < message->image_pages.count; i++)
            staged[message->image_pages.address / IMAGE_PAGE_BYTES + i] =
                message->image_pages.bytes[(size_t)i * IMAGE_PAGE_BYTES];
        break;
    case MESSAGE_IMAGE_END:
        cr_assert_eq(message->number.number, staged_number);
        staged_ended = true;
        break;
    case MESSAGE_COMMITTED:
        cr_assert_eq(message->number.number, staged_number);
        cr_assert(staged_ended);
        memcpy(committed, staged, sizeof committed);
        committed_number = staged_number;
        break;
    default:
        cr_assert_fail("unexpected message");
    }
    return 0;
}

/* Until the feed has nothing to say and the backup has heard it. */
static void feed_all(void)
{
    for (int quiet = 0; quiet < 5; quiet++) {
        int sent = images_feed(images, 1, near);
        cr_assert_geq(sent, 0);
        if (sent)
            quiet = 0;
        cr_assert_eq(lifeline_service(near, MS, backup, NULL), 0);
        cr_assert_eq(lifeline_service(far, MS, backup, NULL), 0);
        usleep(500);
    }
}

static int begin(uint64_t number, bool whole)
{
    return images_begin(images, &(struct message_image_begin){
                                    .mark = {.number = number},
                                    .whole = whole,
                                    .description = (const uint8_t *)"about",
                                    .description_bytes = 5,
                                });
}

/* Pages [first, first + count) filled with `value`. */
static int pages(uint64_t first, uint32_t count, uint8_t value)
{
    static uint8_t bytes[PAGES * IMAGE_PAGE_BYTES];
    memset(bytes, value, (size_t)count * IMAGE_PAGE_BYTES);
    return images_pages(images, &(struct message_image_pages){.address = first * IMAGE_PAGE_BYTES,
                                                              .count = count,
                                                              .bytes = bytes});
}

static int end(uint64_t number)
{
    const struct snapshot_mark *mark;
    int error = images_end(images, number, &mark);
    if (!error)
        cr_assert_eq(mark->number, number);
    return error;
}

static void image(uint64_t number, bool whole, uint64_t first, uint32_t count, uint8_t value)
{
    cr_assert_eq(begin(number, whole), 0);
    cr_assert_eq(pages(first, count, value), 0);
    cr_assert_eq(end(number), 0);
}

Test(images, order_is_checked)
{
    cr_assert_eq(begin(1, false), -EBADMSG, "the first image must be whole");
    cr_assert_eq(pages(0, 1, 1), -EBADMSG);
    cr_assert_eq(end(1), -EBADMSG);
    cr_assert_eq(begin(1, true), 0);
    cr_assert_eq(end(2), -EBADMSG, "another number");
    cr_assert_eq(end(1), 0);
    cr_assert_eq(pages(0, 1, 1), -EBADMSG, "after its end");
}

Test(images, memory_is_bounded)
{
    cr_assert_eq(begin(1, true), 0);
    for (int i = 0; i < 4; i++)
        cr_assert_eq(pages((uint64_t)i * PAGES, PAGES, 1), 0);
    cr_assert_eq(pages(4 * PAGES, 1, 1), -ENOSPC);
    images_abandon(images);
    cr_assert_eq(images_bytes(images), 0);
}

Test(images, a_backup_from_the_start_follows)
{
    images_feed_start(images);
    image(1, true, 0, PAGES, 1);
    feed_all();
    cr_assert_eq(committed_number, 0, "not before it is committed");
    cr_assert_eq(images_committed(images, 1), PAGES * IMAGE_PAGE_BYTES);
    cr_assert(!images_fed(images));
    feed_all();
    cr_assert(images_fed(images));
    cr_assert_eq(committed_number, 1);
    for (uint64_t n = 2; n < 30; n++) {
        image(n, false, n % PAGES, 3, (uint8_t)n);
        images_committed(images, n);
        feed_all();
        cr_assert_eq(committed_number, n);
    }
    cr_assert_eq(committed[0], 1);
    cr_assert_eq(committed[5], 5);
    cr_assert_eq(committed[31], 29);
    cr_assert_eq(images_bytes(images), PAGES * IMAGE_PAGE_BYTES, "deltas were merged");
    cr_assert_eq(images_base(images), 29);
}

Test(images, a_backup_that_joins_later_gets_the_base_whole)
{
    image(1, true, 0, PAGES, 1);
    images_committed(images, 1);
    image(2, false, 10, 5, 2);
    images_committed(images, 2);
    image(3, false, 12, 1, 3); /* pending while it joins */
    images_feed_start(images);
    feed_all();
    cr_assert_eq(committed_number, 2);
    cr_assert_eq(committed[12], 2);
    images_committed(images, 3);
    feed_all();
    cr_assert_eq(committed_number, 3);
    cr_assert_eq(committed[9], 1);
    cr_assert_eq(committed[11], 2);
    cr_assert_eq(committed[12], 3);
}

Test(images, commits_while_the_base_is_walked_do_not_disturb_the_walk)
{
    image(1, true, 0, PAGES, 1);
    images_committed(images, 1);
    images_feed_start(images);
    cr_assert_geq(images_feed(images, 1, near), 1); /* some or all of it is on its way */
    image(2, false, 0, PAGES, 2);
    images_committed(images, 2);
    image(3, false, 0, PAGES / 2, 3);
    images_committed(images, 3);
    feed_all();
    cr_assert_eq(committed_number, 3);
    cr_assert_eq(committed[0], 3);
    cr_assert_eq(committed[PAGES - 1], 2);
}

/* Without that every commit would lengthen the chain, until the backup had to go. */
Test(images, what_a_slow_backup_has_not_come_to_is_joined)
{
    image(1, true, 0, PAGES, 1);
    images_committed(images, 1);
    images_feed_start(images);
    cr_assert_geq(images_feed(images, 1, near), 1); /* all of the base */
    image(2, false, 0, 4, 2);
    cr_assert_geq(images_feed(images, 1, near), 1); /* begun: stays by itself */
    images_committed(images, 2);
    for (uint64_t n = 3; n < 100; n++) {
        image(n, false, n % 8, 4, (uint8_t)n);
        images_committed(images, n);
        cr_assert_leq(images_bytes(images), (PAGES + 4 + 11) * IMAGE_PAGE_BYTES);
    }
    cr_assert_eq(images_joined(images), 96);
    image(100, false, 40, 1, 100);
    feed_all();
    cr_assert_eq(committed_number, 99);
    cr_assert_eq(committed[0], 96);
    cr_assert_eq(committed[3], 99);
    cr_assert_eq(committed[6], 99);
    cr_assert_eq(committed[11], 1);
    images_committed(images, 100);
    feed_all();
    cr_assert_eq(committed_number, 100);
    cr_assert_eq(committed[40], 100);
    cr_assert_eq(images_bytes(images), PAGES * IMAGE_PAGE_BYTES);
}

Test(images, what_was_not_committed_is_abandoned)
{
    images_feed_start(images);
    image(1, true, 0, PAGES, 1);
    images_committed(images, 1);
    image(2, false, 0, 4, 2);
    cr_assert_eq(begin(3, false), 0);
    cr_assert_eq(pages(4, 4, 3), 0);
    feed_all();
    images_abandon(images);
    cr_assert(images_fed(images));
    cr_assert_eq(images_base(images), 1);
    /* The next master's numbers may be the same again for all we care. */
    image(2, false, 8, 4, 9);
    images_committed(images, 2);
    feed_all();
    cr_assert_eq(committed_number, 2);
    cr_assert_eq(committed[0], 1);
    cr_assert_eq(committed[4], 1);
    cr_assert_eq(committed[8], 9);
}

Test(images, a_begin_abandons_an_image_without_end)
{
    image(1, true, 0, PAGES, 1);
    images_committed(images, 1);
    images_feed_start(images);
    cr_assert_eq(begin(2, false), 0);
    cr_assert_eq(pages(0, 4, 2), 0);
    feed_all();
    image(3, false, 4, 4, 3);
    images_committed(images, 3);
    feed_all();
    cr_assert_eq(committed_number, 3);
    cr_assert_eq(committed[0], 1);
    cr_assert_eq(committed[4], 3);
}
