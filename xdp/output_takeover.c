/*
 * The takeover (R12) as the daemon carries it out. The rules are in core/output_log.c; here is
 * who gets which message when:
 *
 *   master lost   -> epoch raised on disk, its frames refused, uncommitted images dropped
 *   backup ready  (attached, every committed page sent)
 *                 -> TAKEOVER, STORED_LOG ..., STORED_END
 *   CUT           -> output_log_cut, GO: it is the master
 *   backup dies   -> epoch raised again, wait for another
 *
 * Until GO nothing is released but what was already releasable.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/assert.h"
#include "output_logger.h"

#define FEED_QUEUE_BYTES ((size_t)8 << 20)
#define RETRY_NS 500000000

static void no_backup(struct output_logger *ol)
{
    struct logger *logger = ol->logger;

    journal_event(logger->journal, "no_backup", "{s:I}", "epoch", (json_int_t)ol->epoch);
    if (logger->options.exit_without_backup) {
        logger_say(logger, "the master died and no backup is attached: nobody can take over");
        logger_end(logger, STATUS_NO_BACKUP);
        return;
    }
    logger_say(logger,
               "the master died and no backup is attached: start one; until then everything "
               "is kept and nothing is released");
}

/* Raises the epoch: from here on nobody but the one we choose may speak. */
static void raise_epoch(struct output_logger *ol)
{
    struct logger *logger = ol->logger;
    fault_point(FAULT_OL_MASTER_LOST);
    int error = output_log_takeover(ol->log, &ol->takeover);

    ol->raised = error == 0;
    if (error == -ENOENT) {
        logger_say(logger, "the master died before its first snapshot was committed: nothing was "
                           "released, nothing can be recovered; start a master");
        journal_event(logger->journal, "nothing_to_recover", "{}");
        output_reign_end(ol);
        if (logger->options.exit_without_backup)
            logger_end(logger, STATUS_NO_BACKUP);
        return;
    }
    ol->reign = REIGN_LOST;
    if (error) {
        if (!ol->disk_trouble)
            logger_say(logger, "the epoch cannot be written to %s (%s): no takeover until it can",
                       logger->options.state, strerror(-error));
        ol->disk_trouble = true;
        ol->retry_ns = logger->now_ns + RETRY_NS;
        return;
    }
    fault_point(FAULT_OL_EPOCH);
    ol->disk_trouble = false;
    ol->takeovers++;
    journal_event(logger->journal, "takeover", "{s:I,s:I}", "epoch", (json_int_t)ol->takeover.epoch,
                  "base", (json_int_t)ol->takeover.base.number);
    if (!ol->backup || ol->backup->leaving)
        no_backup(ol);
}

struct draining {
    struct output_logger *ol;
    struct peer *peer;
};

static void drain_frame(void *context, const struct frame *frame, const uint8_t *payload)
{
    const struct draining *draining = context;
    output_frame(draining->ol, draining->peer, frame, payload);
}

/* What it had sent is at our socket: the more of its log, the longer the cut (G3). Bounded, for a
 * master that is only silent may still be sending. */
void takeover_drain(struct output_logger *ol)
{
    struct draining draining = {.ol = ol, .peer = ol->master};

    for (int round = 0; round < 64; round++)
        if (!wire_receive(ol->master->device->wire, ol->logger->now_ns, LOGGER_BATCH, drain_frame,
                          &draining))
            break;
}

void takeover_begin(struct output_logger *ol, const char *cause)
{
    struct peer *lost = ol->master;

    ASSERT(ol->reign == REIGN_MASTER && lost);
    journal_event(ol->logger->journal, "master_lost", "{s:s,s:I}", "cause", cause, "epoch",
                  (json_int_t)ol->epoch);
    logger_say(ol->logger, "the master is lost (%s)", cause);
    output_unprotected(ol, "master_lost");
    if (ol->fenced_count == FENCED_MAX) {
        memmove(ol->fenced, ol->fenced + 1, (FENCED_MAX - 1) * sizeof *ol->fenced);
        ol->fenced_count--;
    }
    ol->fenced[ol->fenced_count++] = lost->claimant;
    ol->master = NULL;
    ol->imaging = false;
    images_abandon(ol->images);
    if (ol->backup && ol->backup->standby == STANDBY_CHECK)
        peer_refuse(ol->logger, ol->backup, STATUS_NO_BACKUP,
                    "the master is lost, and standby=check takes nothing over");
    raise_epoch(ol);
}

void takeover_again(struct output_logger *ol)
{
    ASSERT(ol->reign == REIGN_REPLAY);
    raise_epoch(ol);
}

static void handout_begin(struct output_logger *ol)
{
    const struct message message = {
        .kind = MESSAGE_TAKEOVER,
        .epoch = ol->takeover.epoch,
        .takeover = ol->takeover,
    };
    ol->reign = REIGN_REPLAY;
    ol->raised = false;
    ol->stored_end = false;
    if (!ol->standby.is.follows)
        log_feed_begin(&ol->feed, ol->log);
    link_set_epoch(wire_link(ol->backup->device->wire), ol->takeover.epoch, 0);
    peer_send(ol->logger, ol->backup, &message);
    fault_point(FAULT_OL_TAKEOVER);
}

uint32_t output_feed_logs(struct output_logger *ol, uint32_t epoch)
{
    struct message message = {.kind = MESSAGE_STORED_LOG, .epoch = epoch};
    uint32_t sent = 0;

    while (!ol->backup->leaving && lifeline_queued(ol->backup->line) < FEED_QUEUE_BYTES &&
           log_feed_next(&ol->feed, ol->log, &message.stored_log)) {
        peer_send(ol->logger, ol->backup, &message);
        fault_point(FAULT_OL_LOGS);
        sent++;
    }
    return sent;
}

uint32_t takeover_step(struct output_logger *ol)
{
    uint32_t work = 0;

    if (ol->reign == REIGN_LOST) {
        if (!ol->raised && ol->logger->now_ns >= ol->retry_ns)
            raise_epoch(ol);
        if (ol->raised && ol->backup && !ol->backup->leaving &&
            ol->backup->standby != STANDBY_CHECK &&
            (ol->standby.is.follows || images_fed(ol->images))) {
            handout_begin(ol);
            work++;
        }
    }
    if (ol->reign != REIGN_REPLAY || ol->stored_end || ol->backup->leaving)
        return work;
    work += output_feed_logs(ol, ol->takeover.epoch);
    if (log_feed_done(&ol->feed, ol->log)) {
        const struct message end = {.kind = MESSAGE_STORED_END, .epoch = ol->takeover.epoch};
        peer_send(ol->logger, ol->backup, &end);
        fault_point(FAULT_OL_STORED_END);
        ol->stored_end = true;
        journal_event(ol->logger->journal, "logs_sent", "{s:I}", "bytes",
                      (json_int_t)ol->feed.bytes);
    }
    return work;
}

static json_t *cut_json(const struct message_cut *cut)
{
    json_t *positions = json_array(), *outputs = json_array();

    for (uint32_t t = 0; t < cut->cut.threads; t++) {
        json_array_append_new(positions, json_integer((json_int_t)cut->cut.at[t]));
        json_array_append_new(outputs, json_integer((json_int_t)cut->outputs[t]));
    }
    return json_pack("{s:o,s:o}", "positions", positions, "outputs", outputs);
}

int takeover_cut(struct output_logger *ol, struct peer *peer, const struct message *message)
{
    struct logger *logger = ol->logger;

    if (ol->reign != REIGN_REPLAY || peer != ol->backup || !ol->stored_end)
        return peer_refuse(logger, peer, STATUS_PROTOCOL, "CUT outside a takeover");
    fault_point(FAULT_OL_CUT);
    int error = output_log_cut(ol->log, message->epoch, &message->cut.cut, message->cut.outputs,
                               message->cut.effects);
    if (error == -ESTALE)
        return peer_refuse(logger, peer, STATUS_FENCED, "CUT of epoch %u, the present one is %u",
                           message->epoch, ol->takeover.epoch);
    if (error)
        return peer_refuse(logger, peer, STATUS_DIVERGED,
                           "the cut contradicts the logs or leaves out released packets");
    journal_object(logger->journal, "cut", cut_json(&message->cut));
    fault_point(FAULT_OL_CUT_APPLIED);

    peer->role = ROLE_MASTER;
    ol->master = peer;
    ol->backup = NULL;
    ol->reign = REIGN_MASTER;
    following_lost(&ol->standby.is, ol->log);
    log_feed_end(&ol->feed);
    ol->ended = ol->wanted = ol->imaging = false;
    images_feed_stop(ol->images);
    link_set_epoch(wire_link(peer->device->wire), ol->takeover.epoch, ol->takeover.epoch);
    const struct message go = {.kind = MESSAGE_GO, .epoch = ol->takeover.epoch};
    peer_send(logger, peer, &go);
    fault_point(FAULT_OL_GO);
    journal_event(logger->journal, "go", "{s:I}", "epoch", (json_int_t)ol->takeover.epoch);
    logger_say(logger, "the backup on %s reigns under epoch %u", peer->device->name,
               ol->takeover.epoch);
    return 0;
}
