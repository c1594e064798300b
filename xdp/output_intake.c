/*
 * What the master sends: frames of logs and packets, images, effects. Each goes to
 * core/output_log.h or images.h; a sender that makes no sense is refused, for its link has
 * acknowledged the frame and nobody would send it again.
 */
#include <errno.h>
#include <string.h>

#include "output_logger.h"

static int packets_take(struct output_logger *ol, const struct frame *frame, const uint8_t *payload)
{
    uint32_t at = 0;

    while (at < frame->length) {
        struct packet_item item;
        int taken = packet_item_read(payload + at, frame->length - at, &item);
        if (taken <= 0 || item.port >= ol->logger->options.port_count || !item.length)
            return -EBADMSG;
        held_time_arrived(ol->times, frame->thread, item.number, ol->logger->now_ns);
        int error = output_log_packet(ol->log, frame->epoch, frame->thread, &item);
        if (error)
            return error;
        at += (uint32_t)taken;
    }
    return 0;
}

static int chunk_take(struct output_logger *ol, const struct frame *frame, const uint8_t *payload)
{
    struct log_chunk chunk = {.reset = frame->flags & FRAME_RESET};
    int taken = log_header_read(payload, frame->length, &chunk.from, &chunk.to);

    if (taken < 0)
        return taken;
    chunk.length = frame->length - (uint32_t)taken;
    return output_log_chunk(ol->log, frame->epoch, frame->thread, &chunk, payload + taken);
}

void output_frame(struct output_logger *ol, struct peer *peer, const struct frame *frame,
                  const uint8_t *payload)
{
    int error = -EBADMSG;

    if (peer != ol->master || ol->reign != REIGN_MASTER) {
        ol->unexpected_frames++;
        return;
    }
    if (frame->thread < THREADS_MAX && frame->kind == FRAME_LOG)
        error = chunk_take(ol, frame, payload);
    else if (frame->thread < THREADS_MAX && frame->kind == FRAME_OUTPUT)
        error = packets_take(ol, frame, payload);
    if (!error)
        return;
    if (error == -ESTALE) {
        ol->stale_frames++; /* G5: counted, not heard */
        return;
    }
    /* The link acknowledged the frame, so nobody will send it again: its sender must not go on. */
    if (error == -ENOSPC || error == -ENOMEM)
        peer_refuse(ol->logger, peer, STATUS_MEMORY,
                    "logs and held packets need more than --memory %llu MiB",
                    (unsigned long long)(ol->logger->options.memory_bytes >> 20));
    else
        peer_refuse(ol->logger, peer, STATUS_PROTOCOL,
                    "frame %llu of thread %u is malformed or not the next of its log",
                    (unsigned long long)frame->number, frame->thread);
}

static int image_pages(struct output_logger *ol, const struct message *message)
{
    int error = images_pages(ol->images, &message->image_pages);

    /* A backup that cannot follow makes us keep several images: it goes before the master does. */
    if (error == -ENOSPC && ol->backup && !images_fed(ol->images)) {
        struct peer *backup = ol->backup;
        peer_refuse(ol->logger, backup, STATUS_MEMORY,
                    "the backup takes images more slowly than the master makes them, and --memory "
                    "is used up");
        images_feed_stop(ol->images);
        ol->backup = NULL;
        output_unprotected(ol, "backup_lost");
        error = images_pages(ol->images, &message->image_pages);
    }
    return error;
}

/* Until there is a base the logs alone make nothing stable; this image will, with them (R16). */
static void image_stored(struct output_logger *ol, struct peer *peer, uint64_t number)
{
    const struct message stored = {
        .kind = MESSAGE_IMAGE_STORED, .epoch = ol->epoch, .number = {.number = number}};

    if (images_base(ol->images))
        return;
    peer_send(ol->logger, peer, &stored);
    fault_point(FAULT_OL_IMAGE_STORED);
}

/* What the master had under way when a standby began to follow, which makes the snapshots now. */
static bool image_skipped(struct output_logger *ol, enum message_kind kind)
{
    bool takes = following_takes_image(&ol->standby.is, false);

    if (takes && kind == MESSAGE_IMAGE_BEGIN)
        ol->standby.skips = false;
    return !takes || ol->standby.skips;
}

static int image_message(struct output_logger *ol, struct peer *peer, const struct message *message)
{
    const struct snapshot_mark *mark;
    int error;

    if (peer == ol->master && image_skipped(ol, message->kind))
        return 0;
    if (message->epoch != ol->epoch)
        return peer_refuse(ol->logger, peer, STATUS_FENCED, "image of epoch %u, the present is %u",
                           message->epoch, ol->epoch);
    switch (message->kind) {
    case MESSAGE_IMAGE_BEGIN:
        error = images_begin(ol->images, &message->image_begin);
        ol->imaging = true;
        fault_point(FAULT_OL_IMAGE_BEGIN);
        break;
    case MESSAGE_IMAGE_PAGES:
        error = image_pages(ol, message);
        break;
    default:
        error = images_end(ol->images, message->number.number, &mark);
        fault_point(FAULT_OL_IMAGE);
        if (!error)
            error = output_log_snapshot(ol->log, message->epoch, mark);
        if (!error)
            image_stored(ol, peer, message->number.number);
        if (error == -ECANCELED) { /* told STANDBY 0 the master makes another one */
            images_abandon(ol->images);
            ol->imaging = false;
            error = 0;
        }
        break;
    }
    if (error == -ENOSPC || error == -ENOMEM)
        return peer_refuse(ol->logger, peer, STATUS_MEMORY,
                           "the NF's image needs more than --memory %llu MiB",
                           (unsigned long long)(ol->logger->options.memory_bytes >> 20));
    if (error)
        return peer_refuse(ol->logger, peer, STATUS_PROTOCOL, "%s makes no sense here",
                           message_kind_name(message->kind));
    return 0;
}

static bool of_image(enum message_kind kind)
{
    return kind == MESSAGE_IMAGE_BEGIN || kind == MESSAGE_IMAGE_PAGES || kind == MESSAGE_IMAGE_END;
}

static int master_message(struct output_logger *ol, struct peer *peer,
                          const struct message *message)
{
    if (of_image(message->kind) && ol->reign == REIGN_MASTER)
        return image_message(ol, peer, message);
    switch (message->kind) {
    case MESSAGE_RESUME:
        return return_resume(ol, peer, message);
    case MESSAGE_EFFECTS:
        if (message->number.thread >= THREADS_MAX)
            return peer_refuse(ol->logger, peer, STATUS_PROTOCOL, "effects of thread %u",
                               message->number.thread);
        if (ol->reign == REIGN_MASTER) /* else RESUME will tell them all */
            output_log_effects(ol->log, message->epoch, message->number.thread,
                               message->number.number);
        return 0;
    case MESSAGE_REFUSE:
        ol->ended = message->refuse.status == STATUS_OK;
        return 0;
    default:
        return peer_refuse(ol->logger, peer, STATUS_PROTOCOL, "%s from a master",
                           message_kind_name(message->kind));
    }
}

int output_message(struct output_logger *ol, struct peer *peer, const struct message *message)
{
    struct logger *logger = ol->logger;

    if (message->kind == MESSAGE_REFUSE)
        journal_event(logger->journal, "peer_says", "{s:s,s:i,s:s}", "role", peer_role_name(peer),
                      "status", (int)message->refuse.status, "text", message->refuse.text);
    if (peer == ol->master)
        return master_message(ol, peer, message);
    if (message->kind == MESSAGE_PROGRESS && ol->feed.active) {
        if (standby_progress(ol, &message->progress))
            return peer_refuse(logger, peer, STATUS_PROTOCOL,
                               "PROGRESS beyond what this backup was sent");
        return 0;
    }
    if (message->kind == MESSAGE_CUT)
        return takeover_cut(ol, peer, message);
    if (of_image(message->kind) && peer == ol->backup &&
        following_takes_image(&ol->standby.is, true))
        return ol->reign == REIGN_MASTER ? image_message(ol, peer, message) : 0;
    if (message->kind == MESSAGE_REFUSE) {
        if (message->refuse.status == STATUS_DIVERGED && peer == ol->backup)
            standby_departed(ol);
        return 0;
    }
    return peer_refuse(logger, peer, STATUS_PROTOCOL, "%s from a backup",
                       message_kind_name(message->kind));
}
