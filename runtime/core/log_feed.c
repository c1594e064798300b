/* See log_feed.h. Offsets of a stream count from the base at which the feed began. */
#include "log_feed.h"

#include <errno.h>

#include "assert.h"

#ifndef PIECE_BYTES /* the simulator has a smaller one */
#define PIECE_BYTES (256u << 10)
#endif
/* What a full ring holds goes beyond the next checkpoint: its reader may always use up some. */
_Static_assert(STREAM_RING_BYTES >= STORED_CHECKPOINT_BYTES + RECORD_MAX_BYTES, "ring");

void log_feed_begin(struct log_feed *feed, const struct output_log *log)
{
    *feed = (struct log_feed){.active = true};
    for (uint32_t t = 0; t < THREADS_MAX; t++) {
        const struct stored_log *stored = output_log_stored(log, t);
        feed->threads[t] = (struct log_feed_thread){.origin = stored->dropped,
                                                    .to = stored->base,
                                                    .replayed = stored->base,
                                                    .next_segment = stored->base};
    }
}

void log_feed_end(struct log_feed *feed)
{
    feed->active = false;
}

static uint64_t stream_length(const struct log_feed_thread *thread, const struct stored_log *stored)
{
    return stored->dropped + stored->length - thread->origin;
}

/* Bytes of events that were not yet received to their end need not be there: they might fill the
 * ring and never be used up. */
static bool up_to_date(const struct log_feed_thread *thread, const struct output_log *log,
                       uint32_t index)
{
    const struct stored_log *stored = output_log_stored(log, index);

    return thread->to >= stored->received && thread->held == output_log_arrived(log, index) &&
           thread->effects == output_log_effects_done(log, index);
}

/* Segments that begin within the piece, or at its end. */
static void add_segments(struct log_feed_thread *thread, const struct stored_log *stored,
                         struct message_stored_log *piece)
{
    uint64_t end = piece->offset + piece->length;

    for (size_t i = 0; i < stored->segment_count; i++) {
        uint64_t offset = stored->dropped + stored->segments[i].offset - thread->origin;
        position start = stored->segments[i].start;
        if (start < thread->next_segment || offset > end)
            continue;
        ASSERT(offset >= piece->offset);
        piece->segments[piece->segment_count++] =
            (struct log_segment){.offset = offset, .start = start};
        thread->next_segment = start + 1;
    }
}

/* The next piece of one thread; false when there is nothing to send, or no room for it there. */
static bool next_piece(struct log_feed *feed, const struct output_log *log, uint32_t index,
                       struct message_stored_log *piece)
{
    struct log_feed_thread *thread = &feed->threads[index];
    const struct stored_log *stored = output_log_stored(log, index);

    if (up_to_date(thread, log, index))
        return false;
    ASSERT(thread->origin + thread->sent >= stored->dropped);
    uint64_t left =
        thread->to < stored->received ? stream_length(thread, stored) - thread->sent : 0;
    uint64_t room = thread->consumed + STREAM_RING_BYTES - thread->sent;
    uint64_t length = left < room ? left : room;
    if (length == 0 && left > 0)
        return false;
    length = length < PIECE_BYTES ? length : PIECE_BYTES;
    size_t at = (size_t)(thread->origin + thread->sent - stored->dropped);
    *piece = (struct message_stored_log){
        .thread = index,
        .offset = thread->sent,
        .length = (uint32_t)length,
        .bytes = length ? stored->bytes + at : (const uint8_t *)"",
        .held = output_log_arrived(log, index),
        .effects = output_log_effects_done(log, index),
    };
    add_segments(thread, stored, piece);
    thread->sent += length;
    position reached = stored_log_reached(stored, at + length);
    if (thread->to < reached)
        thread->to = reached;
    piece->to = thread->to;
    thread->held = piece->held;
    thread->effects = piece->effects;
    feed->bytes += length;
    return true;
}

bool log_feed_next(struct log_feed *feed, const struct output_log *log,
                   struct message_stored_log *piece)
{
    for (uint32_t i = 0; i < THREADS_MAX; i++) {
        uint32_t thread = feed->turn++ % THREADS_MAX;
        if (next_piece(feed, log, thread, piece))
            return true;
    }
    return false;
}

int log_feed_progress(struct log_feed *feed, const struct message_progress *progress)
{
    for (uint32_t t = 0; t < progress->positions.threads; t++) {
        struct log_feed_thread *thread = &feed->threads[t];
        if (progress->consumed[t] < thread->consumed || progress->consumed[t] > thread->sent ||
            progress->positions.at[t] < thread->replayed || progress->positions.at[t] > thread->to)
            return -EBADMSG;
        thread->consumed = progress->consumed[t];
        thread->replayed = progress->positions.at[t];
    }
    return 0;
}

bool log_feed_done(const struct log_feed *feed, const struct output_log *log)
{
    for (uint32_t t = 0; t < THREADS_MAX; t++)
        if (!up_to_date(&feed->threads[t], log, t))
            return false;
    return true;
}

struct log_feed_lag log_feed_lag(const struct log_feed *feed, const struct output_log *log)
{
    struct log_feed_lag lag = {0};

    for (uint32_t t = 0; t < THREADS_MAX; t++) {
        const struct log_feed_thread *thread = &feed->threads[t];
        const struct stored_log *stored = output_log_stored(log, t);
        lag.bytes += stream_length(thread, stored) - thread->consumed;
        lag.unsent += stream_length(thread, stored) - thread->sent;
        lag.events += stored->received - thread->replayed;
    }
    uint64_t events = lag.events / LOG_FEED_EVENTS_A_BYTE;
    lag.size = lag.bytes > events ? lag.bytes : events;
    return lag;
}
