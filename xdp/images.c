/*
 * The chain: images[0] is the base once it is committed; images[1 ..] follow in order of arrival.
 * Only the last one may be open (not ended), and committed ones form a prefix. Each has a serial
 * number of our own, ascending, by which the feed remembers where it stands: numbers of snapshots
 * belong to the masters.
 *
 *   images:  [ base ][ committed ][ committed ][ ended ][ open ]
 *                        ^ merged into the base when the feed's serial is beyond it, and into
 *                          the committed one behind it while the feed has not come to it
 */
#include "images.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/assert.h"
#include "fault.h"
#include "lifeline.h"
#include "page_store.h"

#define FEED_QUEUE_BYTES ((size_t)8 << 20) /* bulk waiting in a lifeline at most */

_Static_assert(PAGE_STORE_PAGE_BYTES == IMAGE_PAGE_BYTES, "one size of pages");

struct image {
    uint64_t serial;
    struct snapshot_mark mark;
    bool whole, ended, committed;
    uint8_t *description;
    uint32_t description_bytes;
    struct page_store *pages;
    struct image *next;
};

struct images {
    struct image *first, *last;
    uint64_t serials, joined;
    size_t pages, pages_max; /* in all images */

    bool feeding;
    uint64_t fed;        /* serial of the last image sent with its COMMITTED */
    uint64_t current;    /* serial of the image being sent, 0: none */
    size_t current_page; /* entries of it sent */
    bool current_ended;  /* IMAGE_END sent */
    uint8_t run[IMAGE_PAGES_MAX * IMAGE_PAGE_BYTES];
};

static void image_destroy(struct image *image)
{
    page_store_destroy(image->pages);
    free(image->description);
    free(image);
}

struct images *images_create(size_t bytes)
{
    struct images *images = calloc(1, sizeof *images);
    if (images)
        images->pages_max = bytes / IMAGE_PAGE_BYTES;
    return images;
}

void images_destroy(struct images *images)
{
    if (!images)
        return;
    images_clear(images);
    free(images);
}

void images_clear(struct images *images)
{
    while (images->first) {
        struct image *next = images->first->next;
        image_destroy(images->first);
        images->first = next;
    }
    images->last = NULL;
    images->pages = 0;
    images->current = 0;
}

/* Drops every image that `keep` does not want; those are at the end of the chain. */
static void chain_cut(struct images *images, bool (*keep)(const struct image *))
{
    struct image **at = &images->first;

    images->last = NULL;
    while (*at && keep(*at)) {
        images->last = *at;
        at = &(*at)->next;
    }
    struct image *cut = *at;
    *at = NULL;
    while (cut) {
        struct image *next = cut->next;
        ASSERT(!keep(cut));
        if (images->current == cut->serial)
            images->current = 0;
        images->pages -= page_store_pages(cut->pages);
        image_destroy(cut);
        cut = next;
    }
}

static bool is_ended(const struct image *image)
{
    return image->ended;
}

static bool is_committed(const struct image *image)
{
    return image->committed;
}

const struct snapshot_mark *images_coming(const struct images *images)
{
    return images->last && !images->last->committed ? &images->last->mark : NULL;
}

void images_abandon(struct images *images)
{
    chain_cut(images, is_committed);
}

int images_begin(struct images *images, const struct message_image_begin *begin)
{
    chain_cut(images, is_ended);
    if (!images->first && !begin->whole)
        return -EBADMSG;
    struct image *image = calloc(1, sizeof *image);
    if (!image)
        return -ENOMEM;
    image->pages = page_store_create();
    image->description = malloc(begin->description_bytes + 1);
    if (!image->pages || !image->description) {
        image_destroy(image);
        return -ENOMEM;
    }
    memcpy(image->description, begin->description, begin->description_bytes);
    image->description_bytes = begin->description_bytes;
    image->mark = begin->mark;
    image->whole = begin->whole;
    image->serial = ++images->serials;
    if (images->last)
        images->last->next = image;
    else
        images->first = image;
    images->last = image;
    return 0;
}

int images_pages(struct images *images, const struct message_image_pages *pages)
{
    struct image *image = images->last;

    if (!image || image->ended || pages->address % IMAGE_PAGE_BYTES)
        return -EBADMSG;
    if (images->pages + pages->count > images->pages_max)
        return -ENOSPC;
    size_t before = page_store_pages(image->pages);
    int error = 0;
    for (uint32_t i = 0; i < pages->count && !error; i++)
        error = page_store_put(image->pages, pages->address + (uint64_t)i * IMAGE_PAGE_BYTES,
                               pages->bytes + (size_t)i * IMAGE_PAGE_BYTES);
    images->pages += page_store_pages(image->pages) - before;
    return error;
}

int images_end(struct images *images, uint64_t number, const struct snapshot_mark **mark)
{
    struct image *image = images->last;

    if (!image || image->ended || image->mark.number != number)
        return -EBADMSG;
    image->ended = true;
    *mark = &image->mark;
    return 0;
}

/* Makes the image behind `older` hold what both do, and lets `older` go, which `*at` points to.
 * False when memory is out: the chain serves as well, try again later. */
static bool merge(struct images *images, struct image **at)
{
    struct image *older = *at, *delta = older->next;

    if (delta->whole) {
        images->pages -= page_store_pages(older->pages);
    } else {
        size_t before = page_store_pages(older->pages) + page_store_pages(delta->pages);
        if (page_store_merge(older->pages, delta->pages))
            return false;
        page_store_destroy(delta->pages);
        delta->pages = older->pages;
        older->pages = NULL;
        images->pages -= before - page_store_pages(delta->pages);
        delta->whole = older->whole;
    }
    *at = delta;
    image_destroy(older);
    return true;
}

/* Merges what is committed and needed by no feed into the base, and what no feed has begun. */
static void chain_merge(struct images *images)
{
    while (images->first && images->first->next && images->first->next->committed) {
        if (images->feeding && images->fed < images->first->next->serial)
            break;
        if (!merge(images, &images->first))
            return;
    }
    struct image **at = &images->first;
    while (images->feeding && *at && (*at)->next && (*at)->next->committed) {
        uint64_t begun = images->current ? images->current : images->fed;
        if ((*at)->serial <= begun)
            at = &(*at)->next;
        else if (merge(images, at))
            images->joined++;
        else
            return;
    }
}

uint64_t images_committed(struct images *images, uint64_t number)
{
    struct image *found = images->first;

    while (found && !(found->ended && !found->committed && found->mark.number == number))
        found = found->next;
    if (!found)
        return 0;
    uint64_t bytes = (uint64_t)page_store_pages(found->pages) * IMAGE_PAGE_BYTES;
    for (struct image *image = images->first; image != found->next; image = image->next)
        image->committed = true;
    chain_merge(images);
    return bytes;
}

size_t images_bytes(const struct images *images)
{
    return images->pages * IMAGE_PAGE_BYTES;
}

uint64_t images_base(const struct images *images)
{
    uint64_t number = 0;

    for (const struct image *image = images->first; image && image->committed; image = image->next)
        number = image->mark.number;
    return number;
}

/* ---- the backup's feed ---- */

void images_feed_start(struct images *images)
{
    images->feeding = true;
    images->fed = images->current = 0;
}

void images_feed_stop(struct images *images)
{
    images->feeding = false;
    chain_merge(images);
}

static int send_begin(const struct image *image, uint32_t epoch, struct lifeline *line)
{
    const struct message begin = {
        .kind = MESSAGE_IMAGE_BEGIN,
        .epoch = epoch,
        .image_begin = {.mark = image->mark,
                        .whole = image->whole,
                        .description_bytes = image->description_bytes,
                        .description = image->description},
    };
    return lifeline_send(line, &begin);
}

static int send_number(enum message_kind kind, uint64_t number, uint32_t epoch,
                       struct lifeline *line)
{
    const struct message message = {.kind = kind, .epoch = epoch, .number = {.number = number}};
    return lifeline_send(line, &message);
}

/* Sends the next run of pages with ascending addresses as one message. */
static int send_run(struct images *images, const struct image *image, uint32_t epoch,
                    struct lifeline *line)
{
    size_t entries = page_store_entries(image->pages);
    uint64_t first = 0;
    uint32_t count = 0;

    while (images->current_page < entries && count < IMAGE_PAGES_MAX) {
        uint64_t address;
        const uint8_t *page = page_store_at(image->pages, images->current_page, &address);
        if (page) {
            if (count && address != first + (uint64_t)count * IMAGE_PAGE_BYTES)
                break;
            if (!count)
                first = address;
            memcpy(images->run + (size_t)count++ * IMAGE_PAGE_BYTES, page, IMAGE_PAGE_BYTES);
        }
        images->current_page++;
    }
    if (!count)
        return 0;
    const struct message message = {
        .kind = MESSAGE_IMAGE_PAGES,
        .epoch = epoch,
        .image_pages = {.address = first, .count = count, .bytes = images->run},
    };
    return lifeline_send(line, &message);
}

/* The image the feed stands at, or the next one to begin. */
static struct image *feed_image(const struct images *images)
{
    uint64_t after = images->current ? images->current - 1 : images->fed;

    for (struct image *image = images->first; image; image = image->next)
        if (image->serial > after)
            return image;
    return NULL;
}

/* One message. 1: sent, 0: nothing to send now, -errno. */
static int feed_one(struct images *images, uint32_t epoch, struct lifeline *line)
{
    struct image *image = feed_image(images);
    int error;

    if (!image)
        return 0;
    if (images->current != image->serial) {
        error = send_begin(image, epoch, line);
        images->current = image->serial;
        images->current_page = 0;
        images->current_ended = false;
    } else if (images->current_page < page_store_entries(image->pages)) {
        error = send_run(images, image, epoch, line);
        fault_point(FAULT_OL_FEED);
    } else if (image->ended && !images->current_ended) {
        error = send_number(MESSAGE_IMAGE_END, image->mark.number, epoch, line);
        images->current_ended = true;
    } else if (images->current_ended && image->committed) {
        error = send_number(MESSAGE_COMMITTED, image->mark.number, epoch, line);
        fault_point(FAULT_OL_COMMITTED_BACKUP);
        images->fed = image->serial;
        images->current = 0;
        chain_merge(images);
    } else {
        return 0;
    }
    return error ? error : 1;
}

int images_feed(struct images *images, uint32_t epoch, struct lifeline *line)
{
    int sent = 0;

    ASSERT(images->feeding);
    while (lifeline_queued(line) < FEED_QUEUE_BYTES) {
        int result = feed_one(images, epoch, line);
        if (result < 0)
            return result;
        if (result == 0)
            break;
        sent++;
    }
    return sent;
}

uint64_t images_joined(const struct images *images)
{
    return images->joined;
}

bool images_fed(const struct images *images)
{
    const struct image *image = feed_image(images);
    return !image || !image->committed;
}
