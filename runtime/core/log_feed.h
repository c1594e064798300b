/*
 * The stored logs on their way to one backup: from the base on, in pieces, as they become stable.
 * Cold, that is all of a dead master's at once; hot, it goes on for as long as the standby follows.
 *
 * A thread whose stream ring at the backup is full waits by itself: replay of one thread may depend
 * on any other's log. One thread at a time.
 */
#ifndef PALISADE_CORE_LOG_FEED_H
#define PALISADE_CORE_LOG_FEED_H

#include "message.h"

struct log_feed_thread {
    uint64_t origin; /* of the stream, in bytes of the whole log */
    uint64_t sent, consumed;
    position to, replayed, next_segment;
    uint64_t held, effects; /* told */
};

struct log_feed {
    bool active;
    uint32_t turn;  /* thread whose piece is next: none keeps out the others */
    uint64_t bytes; /* sent since it began */
    struct log_feed_thread threads[THREADS_MAX];
};

/* From the present base of `log` on. */
void log_feed_begin(struct log_feed *feed, const struct output_log *log);
void log_feed_end(struct log_feed *feed);
/*
 * The next piece to send, which counts as sent; false when there is nothing, or no room at the
 * backup. Its bytes are valid until the next output_log_* call.
 */
bool log_feed_next(struct log_feed *feed, const struct output_log *log,
                   struct message_stored_log *piece);
/* -EBADMSG: it has consumed what it was not sent, or goes back. */
int log_feed_progress(struct log_feed *feed, const struct message_progress *progress);
/* Is everything that is stored sent? */
bool log_feed_done(const struct log_feed *feed, const struct output_log *log);

/* What the backup has still to replay: bytes of log and events. Its size is that of the bytes, or of
 * the events where threads spin, which makes events without bytes. */
#define LOG_FEED_EVENTS_A_BYTE 4 /* of who moves packets, about three */
struct log_feed_lag {
    uint64_t bytes, events, size;
    uint64_t unsent; /* of these bytes */
};
struct log_feed_lag log_feed_lag(const struct log_feed *feed, const struct output_log *log);

#endif
