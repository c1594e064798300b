/*
 * The images an output logger keeps: the committed base (every page) and, behind it in order, the
 * images that arrived later, each with the pages that changed. A later image is merged into the
 * base once it is committed (R13) and the backup's feed has passed it.
 *
 * The feed is what one backup has been sent: the base whole, then image by image as they arrive,
 * each followed by COMMITTED when it is. A new backup starts a new feed. Committed images that a
 * slow backup has not come to are joined into one, so that the chain stays short whatever it does.
 * One thread at a time.
 */
#ifndef PALISADE_XDP_IMAGES_H
#define PALISADE_XDP_IMAGES_H

#include "core/message.h"

struct images;
struct lifeline;

/* `bytes` bounds all pages together. NULL: out of memory. */
struct images *images_create(size_t bytes);
void images_destroy(struct images *images);

/*
 * From the master. 0; -EBADMSG: out of order (pages without a begin, an unended image, another
 * number, a first image that is not whole); -ENOSPC: over `bytes`; -ENOMEM. A begin abandons an
 * image that was not ended.
 */
int images_begin(struct images *images, const struct message_image_begin *begin);
int images_pages(struct images *images, const struct message_image_pages *pages);
/* *mark is valid until the next images_* call. */
int images_end(struct images *images, uint64_t number, const struct snapshot_mark **mark);

/* Snapshot `number` was committed: it and all before it. Returns the bytes of its own pages. */
uint64_t images_committed(struct images *images, uint64_t number);
/* The master is gone: what was not committed never will be. */
void images_abandon(struct images *images);
/* Forgets everything (a reign ended without a takeover). */
void images_clear(struct images *images);

size_t images_bytes(const struct images *images);
uint64_t images_base(const struct images *images); /* number of the last committed one, or 0 */
/* Of the last one that began and is not committed; NULL: there is none. */
const struct snapshot_mark *images_coming(const struct images *images);

/* ---- the backup's feed ---- */

void images_feed_start(struct images *images);
void images_feed_stop(struct images *images);
/* Sends what fits into the lifeline's queue now. Returns messages sent, or -errno of the line. */
int images_feed(struct images *images, uint32_t epoch, struct lifeline *line);
/* Images that were joined to the one before, because the feed had not come to that yet. */
uint64_t images_joined(const struct images *images);
/* Everything committed was sent. */
bool images_fed(const struct images *images);

#endif
