/*
 * A reign that outlived the output logger it began under (R16). Its logs, packets and images died
 * with that process; the state lives on in its master, if that lives:
 *
 *   start with an open epoch   -> REIGN_ORPHAN: nobody but its master may come in as one
 *   HELLO under that epoch     -> REIGN_RETURNS: WELCOME without credit, so frames are not taken
 *   RESUME                     -> output_log_resume, GO, REIGN_MASTER: it ships, and makes a base
 *   lost before that base      -> REIGN_ORPHAN: nobody can recover it, but it may come back again
 *
 * Only a person gives the state up (--forget).
 */
#include <errno.h>
#include <string.h>

#include "core/assert.h"
#include "output_logger.h"

#define PATIENCE_NS 5000000000

void return_await(struct output_logger *ol)
{
    ol->reign = REIGN_ORPHAN;
    ol->orphan_told_ns = ol->logger->now_ns + PATIENCE_NS;
}

int return_hello(struct output_logger *ol, struct peer *peer)
{
    struct logger *logger = ol->logger;

    if (peer->epoch < ol->epoch)
        return peer_refuse(logger, peer, STATUS_FENCED,
                           "this process lost its reign: epoch %u has begun", ol->epoch);
    if (peer->epoch > ol->epoch)
        return peer_refuse(logger, peer, STATUS_DISK,
                           "the epoch on disk (%u) is older than yours (%u): is --state the "
                           "directory it was?",
                           ol->epoch, peer->epoch);
    if (ol->reign != REIGN_NONE && ol->reign != REIGN_ORPHAN)
        return peer_refuse(logger, peer, STATUS_BUSY, "epoch %u has its master here already",
                           ol->epoch);
    ol->reign = REIGN_RETURNS;
    return 0;
}

int return_resume(struct output_logger *ol, struct peer *peer, const struct message *message)
{
    struct logger *logger = ol->logger;
    const struct message go = {.kind = MESSAGE_GO, .epoch = ol->epoch};

    ASSERT(peer == ol->master);
    if (ol->reign != REIGN_RETURNS || message->epoch != ol->epoch)
        return peer_refuse(logger, peer, STATUS_PROTOCOL,
                           "RESUME under epoch %u by a master that had not to resume",
                           message->epoch);
    /* It had been forgotten, or died before its first base, as it seemed. */
    int error = ol->open ? 0 : output_epoch_write(ol, true);
    if (error)
        return peer_refuse(logger, peer, STATUS_DISK, "the epoch cannot be written to %s: %s",
                           logger->options.state, strerror(-error));
    error = output_log_resume(ol->log, message->epoch, &message->resume);
    if (error)
        return peer_refuse(logger, peer, STATUS_PROTOCOL, "RESUME contradicts itself");
    ol->reign = REIGN_MASTER;
    output_unprotected(ol, "started"); /* was forgotten */
    ol->resumed = true;
    ol->wanted = true; /* its image is on the way */
    link_set_epoch(wire_link(peer->device->wire), ol->epoch, ol->epoch);
    peer_send(logger, peer, &go);
    journal_event(logger->journal, "resumed", "{s:I,s:I}", "epoch", (json_int_t)ol->epoch,
                  "snapshot", (json_int_t)message->resume.mark.number);
    logger_say(logger, "the master on %s goes on under epoch %u", peer->device->name, ol->epoch);
    return 0;
}

void return_lost(struct output_logger *ol, const char *cause)
{
    struct logger *logger = ol->logger;
    bool resumed = ol->resumed;

    journal_event(logger->journal, "master_lost", "{s:s,s:I}", "cause", cause, "epoch",
                  (json_int_t)ol->epoch);
    output_reign_reset(ol);
    output_unprotected(ol, "master_lost");
    if (!resumed)
        return;
    ol->orphan_told_ns = INT64_MAX;
    journal_event(logger->journal, "state_lost", "{s:I}", "epoch", (json_int_t)ol->epoch);
    logger_say(
        logger,
        "the master that came back is lost before its snapshot was committed: unless it "
        "lives and comes back once more, the state of epoch %u is gone; to give it up, start "
        "this logger again with --forget",
        ol->epoch);
    if (logger->options.exit_without_backup)
        logger_end(logger, STATUS_NO_BACKUP);
}

void return_step(struct output_logger *ol)
{
    struct logger *logger = ol->logger;

    if (ol->reign != REIGN_ORPHAN || logger->now_ns < ol->orphan_told_ns)
        return;
    ol->orphan_told_ns = INT64_MAX;
    journal_event(logger->journal, "orphaned", "{s:I}", "epoch", (json_int_t)ol->epoch);
    logger_say(logger,
               "the master of epoch %u does not come back: its state died with the output logger "
               "before this one, unless it lives; to give it up, start this logger again with "
               "--forget",
               ol->epoch);
}
