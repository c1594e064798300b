/*
 * palisade-output-logger: stores the master's logs, holds its outputs until they may be released,
 * keeps the committed image, leads takeovers. The rules are core/output_log.h; this is the hands
 * and feet: links, lifelines, images, the epoch's disk.
 */
#include "output_logger.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "core/assert.h"
#include "counters.h"
#include "persist.h"

#define FLUSH_RETRY_NS 50000 /* a device that did not take everything is tried again */
/* A frame at a time out of what is kept back; the second half slowly, for a thread may keep a
 * barrier waiting for seconds. */
#define TRICKLE_NS 1000000
#define TRICKLE_SLOW_NS 10000000
#define EXHAUSTED_NS 1000000000

/* ---- actions of core/output_log.h ---- */

static void action_release(void *context, uint32_t thread, uint64_t number, uint16_t port,
                           const uint8_t *bytes, uint16_t length)
{
    struct output_logger *ol = context;

    held_time_released(ol->times, thread, number, ol->logger->now_ns);
    if (port >= ol->logger->options.port_count || !length) {
        ol->unexpected_frames++; /* checked at arrival; an older incarnation's cannot come here */
        return;
    }
    if (port_sender_send(&ol->senders[port], bytes, length)) {
        logger_say(ol->logger, "out of memory for packets that wait for port %s",
                   ol->logger->options.ports[port].name);
        logger_end(ol->logger, STATUS_MEMORY);
    }
}

static void ports_flush(struct logger *logger)
{
    struct output_logger *ol = logger->state;

    for (uint32_t i = 0; i < logger->options.port_count; i++)
        port_sender_flush(&ol->senders[i], logger);
}

static int epoch_write(struct output_logger *ol, struct epoch_state state)
{
    int error = epoch_persist(ol->logger, ol->epochs, state, ports_flush);

    if (!error) {
        ol->epoch = state.number;
        ol->open = state.open;
    }
    return error;
}

int output_epoch_write(struct output_logger *ol, bool open)
{
    return epoch_write(ol, (struct epoch_state){.number = ol->epoch, .open = open});
}

static int action_persist_epoch(void *context, uint32_t epoch)
{
    return epoch_write(context, (struct epoch_state){.number = epoch, .open = true});
}

static void action_committed(void *context, uint64_t number)
{
    struct output_logger *ol = context;
    uint64_t bytes = images_committed(ol->images, number);
    const struct message message = {
        .kind = MESSAGE_COMMITTED, .epoch = ol->epoch, .number = {.number = number}};

    fault_point(FAULT_OL_COMMITTED);
    if (ol->resumed)
        fault_point(FAULT_OL_RESUMED_BASE);
    ol->commits++;
    ol->wanted = ol->imaging = ol->resumed = false;
    standby_based(ol);
    if (ol->master)
        peer_send(ol->logger, ol->master, &message);
    fault_point(FAULT_OL_COMMITTED_MASTER);
    if (ol->standby.is.follows)
        peer_send(ol->logger, ol->backup, &message);
    journal_event(ol->logger->journal, "image_committed", "{s:I,s:I}", "number", (json_int_t)number,
                  "bytes", (json_int_t)bytes);
}

static const struct output_log_actions actions = {
    .release = action_release,
    .persist_epoch = action_persist_epoch,
    .committed = action_committed,
};

/* ---- start and end of a reign ---- */

static bool log_create(struct output_logger *ol)
{
    if (getrandom(&ol->incarnation, sizeof ol->incarnation, 0) < 0)
        return false;
    ol->log = output_log_create(ol->logger->options.memory_bytes, ol->epoch, ol->incarnation,
                                &actions, ol);
    return ol->log != NULL;
}

void output_reign_reset(struct output_logger *ol)
{
    output_log_destroy(ol->log);
    images_clear(ol->images);
    if (ol->backup)
        images_feed_start(ol->images);
    ol->master = NULL;
    ol->reign = REIGN_NONE;
    if (ol->open)
        return_await(ol);
    ol->ended = ol->wanted = ol->imaging = ol->resumed = false;
    ol->standby.is = (struct following){0};
    if (!log_create(ol)) {
        logger_say(ol->logger, "out of memory for the logs");
        logger_end(ol->logger, STATUS_MEMORY);
    }
}

void output_reign_end(struct output_logger *ol)
{
    int error = output_epoch_write(ol, false);

    if (error)
        logger_say(
            ol->logger,
            "the end of epoch %u cannot be written to %s (%s): should this logger die before "
            "the next master comes, start it with --forget",
            ol->epoch, ol->logger->options.state, strerror(-error));
    ol->open = false;
    protection_end(&ol->protection, ol->logger->now_ns);
    output_reign_reset(ol);
}

void output_unprotected(struct output_logger *ol, const char *cause)
{
    protection_lost(&ol->protection, ol->logger->journal, ol->logger->now_ns, cause);
}

static enum status start(struct logger *logger, char *why)
{
    struct output_logger *ol = calloc(1, sizeof *ol);

    if (!ol) {
        snprintf(why, WHY_BYTES, "out of memory");
        return STATUS_MEMORY;
    }
    logger->state = ol;
    ol->logger = logger;
    struct epoch_state epoch;
    enum status status = epoch_start(logger, &ol->epochs, &epoch, why);
    if (status != STATUS_OK)
        return status;
    ol->epoch = epoch.number;
    ol->open = epoch.open;
    if (ol->open) {
        logger->now_ns = logger_clock_ns();
        return_await(ol);
        output_unprotected(ol, "started");
    }
    for (uint32_t i = 0; i < logger->options.port_count; i++)
        ol->senders[i].port = &logger->ports[i];
    ol->images = images_create(logger->options.memory_bytes);
    ol->times = held_time_create();
    if (!ol->images || !ol->times || !log_create(ol)) {
        snprintf(why, WHY_BYTES, "out of memory: give less with --memory");
        return STATUS_MEMORY;
    }
    return STATUS_OK;
}

static void stop(struct logger *logger)
{
    struct output_logger *ol = logger->state;

    output_log_destroy(ol->log);
    images_destroy(ol->images);
    held_time_destroy(ol->times);
    epoch_file_close(ol->epochs);
    for (uint32_t i = 0; i < logger->options.port_count; i++)
        port_sender_free(&ol->senders[i]);
    free(ol);
    logger->state = NULL;
}

/* ---- who may come in ---- */

/* Identities can be long: both are shown from a little before they differ. */
static int refuse_identity(struct output_logger *ol, struct peer *peer, const char *ours)
{
    size_t same = 0;

    while (ours[same] && ours[same] == peer->identity[same])
        same++;
    size_t from = same > 40 ? same - 40 : 0;
    const char *dots = from ? "..." : "";
    return peer_refuse(ol->logger, peer, STATUS_IDENTITY,
                       "the backup is not what the master is: master \"%s%.180s\", backup "
                       "\"%s%.180s\"",
                       dots, ours + from, dots, peer->identity + from);
}

static bool is_fenced(const struct output_logger *ol, uint64_t claimant)
{
    for (uint32_t i = 0; i < ol->fenced_count; i++)
        if (ol->fenced[i] == claimant)
            return true;
    return false;
}

/* A master without a past. */
static int first_hello(struct output_logger *ol, struct peer *peer)
{
    uint32_t epoch;

    if (ol->reign == REIGN_MASTER || ol->reign == REIGN_RETURNS)
        return peer_refuse(ol->logger, peer, STATUS_BUSY,
                           "another master reigns under epoch %u: start this one as a backup",
                           ol->epoch);
    if (ol->reign == REIGN_ORPHAN)
        return peer_refuse(ol->logger, peer, STATUS_BUSY,
                           "the state of epoch %u died with the output logger before this one, "
                           "unless its master lives and comes back; to give it up, start this "
                           "logger again with --forget",
                           ol->epoch);
    if (ol->reign != REIGN_NONE)
        return peer_refuse(ol->logger, peer, STATUS_BUSY,
                           "the state of a dead master waits here: start this NF as a backup; to "
                           "give it up, start this logger again with --forget");
    int error = output_log_start(ol->log, &epoch);
    if (error)
        return peer_refuse(ol->logger, peer, error == -EBUSY ? STATUS_BUSY : STATUS_DISK,
                           "the epoch cannot be raised in %s: %s", ol->logger->options.state,
                           strerror(-error));
    ol->reign = REIGN_MASTER;
    output_unprotected(ol, "started");
    return 0;
}

static int master_hello(struct output_logger *ol, struct peer *peer)
{
    if (is_fenced(ol, peer->claimant))
        return peer_refuse(ol->logger, peer, STATUS_FENCED,
                           "this process lost its reign: epoch %u has begun", ol->epoch);
    int error = peer->epoch ? return_hello(ol, peer) : first_hello(ol, peer);
    if (error)
        return error;
    ol->master = peer;
    memcpy(ol->identity, peer->identity, sizeof ol->identity);
    if (ol->backup && strcmp(ol->backup->identity, ol->identity))
        refuse_identity(ol, ol->backup, ol->identity);
    return 0;
}

static int backup_hello(struct output_logger *ol, struct peer *peer)
{
    if (is_fenced(ol, peer->claimant))
        return peer_refuse(ol->logger, peer, STATUS_FENCED,
                           "this process lost its reign: epoch %u has begun", ol->epoch);
    bool known = ol->reign != REIGN_NONE && ol->reign != REIGN_ORPHAN;
    if (known && strcmp(ol->identity, peer->identity))
        return refuse_identity(ol, peer, ol->identity);
    if (ol->backup && !ol->backup->leaving)
        return peer_refuse(ol->logger, peer, STATUS_BUSY, "a backup is attached already");
    ol->backup = peer;
    images_feed_start(ol->images);
    return 0;
}

static int hello(struct logger *logger, struct peer *peer, struct message_welcome *welcome)
{
    struct output_logger *ol = logger->state;
    int error = peer->role == ROLE_MASTER ? master_hello(ol, peer) : backup_hello(ol, peer);

    welcome->epoch = ol->epoch;
    welcome->incarnation = ol->incarnation;
    return error;
}

static void greeted(struct logger *logger, struct peer *peer)
{
    struct output_logger *ol = logger->state;

    /* A backup's link hears everything until GO: it has nothing to say but acknowledgements. */
    if (peer == ol->master)
        link_set_epoch(wire_link(peer->device->wire), ol->epoch, ol->epoch);
    else
        fault_point(FAULT_OL_BACKUP_JOINED);
    if (ol->reign == REIGN_RETURNS && peer == ol->master) {
        link_set_credit(wire_link(peer->device->wire), 0); /* nothing before GO */
        fault_point(FAULT_OL_RETURNS);
    }
}

static void lost(struct logger *logger, struct peer *peer, int error)
{
    struct output_logger *ol = logger->state;
    const char *cause = error == -EPIPE ? "closed" : error == -ETIMEDOUT ? "silent" : "refused";

    if (peer == ol->backup) {
        standby_lost(ol);
        images_feed_stop(ol->images);
        stall_note(&ol->feed_waits, false, logger->now_ns);
        ol->backup = NULL;
        journal_event(logger->journal, "backup_lost", "{s:s}", "cause", cause);
        if (ol->reign != REIGN_NONE)
            output_unprotected(ol, "backup_lost");
        if (ol->reign == REIGN_REPLAY)
            takeover_again(ol);
    } else if (peer == ol->master && ol->ended) {
        logger_say(logger, "the master ended");
        journal_event(logger->journal, "master_ended", "{s:I}", "epoch", (json_int_t)ol->epoch);
        output_reign_end(ol);
        if (ol->backup)
            peer_refuse(logger, ol->backup, STATUS_OK, "the master ended: nothing to take over");
    } else if (peer == ol->master && ol->reign == REIGN_RETURNS) {
        return_lost(ol, cause);
    } else if (peer == ol->master) {
        takeover_drain(ol);
        if (ol->resumed) {
            return_lost(ol, cause);
            return;
        }
        if (error == -ETIMEDOUT) /* should it wake, it learns why */
            lifeline_send(peer->line, &(struct message){
                                          .kind = MESSAGE_REFUSE,
                                          .epoch = ol->epoch,
                                          .refuse = {.status = STATUS_FENCED,
                                                     .text = "it was silent: another one reigns"}});
        takeover_begin(ol, cause);
    }
}

static void frame(struct logger *logger, struct peer *peer, const struct frame *frame,
                  const uint8_t *payload)
{
    output_frame(logger->state, peer, frame, payload);
}

static int message(struct logger *logger, struct peer *peer, const struct message *message)
{
    return output_message(logger->state, peer, message);
}

/* ---- the round ---- */

/* What was kept back is used up, and no snapshot came: none can, unless it is already on its way.
 */
static void exhausted_note(struct output_logger *ol, bool exhausted)
{
    if (!exhausted)
        ol->exhausted_ns = 0;
    else if (!ol->exhausted_ns)
        ol->exhausted_ns = ol->logger->now_ns;
    if (!ol->exhausted_ns || ol->exhausted_said ||
        ol->logger->now_ns - ol->exhausted_ns < EXHAUSTED_NS)
        return;
    ol->exhausted_said = true;
    logger_say(ol->logger,
               "the network function stands still: logs fill --memory %llu MiB, and no snapshot "
               "comes that would free it; give more",
               (unsigned long long)(ol->logger->options.memory_bytes >> 20));
    journal_event(ol->logger->journal, "memory_exhausted", "{}");
}

/*
 * Frames the master may send beyond what was delivered: from the memory that is left. A quarter is
 * kept back until an image is under way, for the snapshot that frees memory needs the logs and
 * outputs before its barrier (R13). To come to that barrier a thread may have to write the rest of
 * what it is logging: so, while a snapshot is wanted, the quarter is given out by the frame, and a
 * thread that comes late to the barrier does not use it up. A standby gets half of it at most:
 * should it not come to its snapshot, the master has to.
 */
static void credit_set(struct output_logger *ol)
{
    struct link *link = wire_link(ol->master->device->wire);
    uint64_t received = link_counters(link)->received;
    size_t room = output_log_room(ol->log), queued = 0;
    int64_t now_ns = ol->logger->now_ns;

    for (uint32_t i = 0; i < ol->logger->options.port_count; i++)
        queued += ol->senders[i].queued_bytes;
    room = room > queued ? room - queued : 0;
    size_t kept = ol->imaging ? 0 : ol->logger->options.memory_bytes / 4;
    size_t frames = room > kept ? (room - kept) / OUTPUT_LOG_FRAME_BYTES : 0;

    stall_note(&ol->memory_full, frames == 0, now_ns);
    ol->trickle_wake_ns = INT64_MAX;
    if (ol->trickle_until > received + 1)
        ol->trickle_until = 0; /* of another master's link */
    exhausted_note(ol,
                   frames == 0 && ol->wanted && output_log_room(ol->log) < OUTPUT_LOG_FRAME_BYTES);
    bool low = room < ol->logger->options.memory_bytes / 8;
    bool trickles =
        ol->wanted && room >= OUTPUT_LOG_FRAME_BYTES && !(low && ol->standby.is.follows);
    if (frames == 0 && trickles) {
        if (received >= ol->trickle_until && now_ns >= ol->trickle_ns) {
            ol->trickle_ns = now_ns + (low ? TRICKLE_SLOW_NS : TRICKLE_NS);
            ol->trickle_until = received + 1;
        }
        if (received < ol->trickle_until)
            frames = 1;
        else
            ol->trickle_wake_ns = ol->trickle_ns;
    }
    uint32_t most = frames < LINK_WINDOW_FRAMES ? (uint32_t)frames : LINK_WINDOW_FRAMES;
    link_set_credit(link, standby_credit(ol, most, received));
}

static uint32_t step(struct logger *logger)
{
    struct output_logger *ol = logger->state;
    uint32_t work = 0;

    if (ol->reign == REIGN_MASTER && !ol->master->leaving) {
        work += standby_step(ol);
        credit_set(ol);
        if (!ol->wanted && output_log_wants_snapshot(ol->log)) {
            const struct message want = {.kind = MESSAGE_WANT_SNAPSHOT, .epoch = ol->epoch};
            peer_send(logger, ol->standby.is.follows ? ol->backup : ol->master, &want);
            ol->wanted = true;
            ol->wants++;
        }
    }
    if (ol->backup && !ol->backup->leaving && ol->backup->greeted && !ol->standby.is.follows) {
        int sent = images_feed(ol->images, ol->epoch, ol->backup->line);
        if (sent < 0 && sent != -EPIPE)
            peer_drop(ol->backup);
        work += sent > 0 ? (uint32_t)sent : 0;
        stall_note(&ol->feed_waits, lifeline_queued(ol->backup->line) > 0, logger->now_ns);
        if (ol->reign == REIGN_MASTER && ol->backup->standby == STANDBY_COLD &&
            !ol->standby.is.mistrusted && images_base(ol->images) && images_fed(ol->images))
            protection_gained(&ol->protection, logger->journal, logger->now_ns);
    }
    if (ol->reign == REIGN_LOST || ol->reign == REIGN_REPLAY)
        work += takeover_step(ol);
    return_step(ol);
    for (uint32_t i = 0; i < logger->options.port_count; i++)
        work += port_sender_flush(&ol->senders[i], logger);
    return work;
}

static int64_t next_wake(struct logger *logger)
{
    const struct output_logger *ol = logger->state;

    for (uint32_t i = 0; i < logger->options.port_count; i++)
        if (port_sender_waits(&ol->senders[i]))
            return logger->now_ns + FLUSH_RETRY_NS;
    if (ol->reign == REIGN_ORPHAN)
        return ol->orphan_told_ns;
    if (ol->reign == REIGN_MASTER) {
        int64_t standby_ns = standby_next_wake(ol);
        return ol->trickle_wake_ns < standby_ns ? ol->trickle_wake_ns : standby_ns;
    }
    return ol->reign == REIGN_LOST && !ol->raised ? ol->retry_ns : INT64_MAX;
}

static void counters(struct logger *logger, json_t *counters)
{
    const struct output_logger *ol = logger->state;
    static const char *const reigns[] = {"none", "orphan", "returns", "master", "lost", "replay"};
    json_t *ports = json_object();

    for (uint32_t i = 0; i < logger->options.port_count; i++) {
        const struct port_sender *sender = &ol->senders[i];
        json_object_set_new(ports, logger->options.ports[i].name,
                            json_pack("{s:I,s:I,s:I,s:I,s:I,s:o}", "sent", (json_int_t)sender->sent,
                                      "queued", (json_int_t)sender->queued, "queued_bytes",
                                      (json_int_t)sender->queued_bytes, "dropped_down",
                                      (json_int_t)sender->dropped_down, "dropped_invalid",
                                      (json_int_t)sender->dropped_invalid, "waits",
                                      stall_json(&sender->waits, logger->now_ns)));
    }
    json_object_set_new(counters, "senders", ports);
    json_object_set_new(counters, "output_log", counters_output_log(ol->log));
    json_object_set_new(counters, "standby", standby_json(ol));
    json_object_set_new(counters, "held_time", held_time_json(ol->times));
    json_object_set_new(counters, "waits",
                        json_pack("{s:o,s:o}", "memory_full",
                                  stall_json(&ol->memory_full, logger->now_ns), "feed",
                                  stall_json(&ol->feed_waits, logger->now_ns)));
    json_object_set_new(
        counters, "reign",
        json_pack("{s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:b,s:b,s:I}", "state", reigns[ol->reign],
                  "takeovers", (json_int_t)ol->takeovers, "commits", (json_int_t)ol->commits,
                  "wants", (json_int_t)ol->wants, "images_joined",
                  (json_int_t)images_joined(ol->images), "image_bytes",
                  (json_int_t)images_bytes(ol->images), "image_base",
                  (json_int_t)images_base(ol->images), "stale_frames", (json_int_t)ol->stale_frames,
                  "unexpected_frames", (json_int_t)ol->unexpected_frames, "backup",
                  ol->backup != NULL, "protected", ol->protection.protected, "unprotected_ns",
                  (json_int_t)protection_unprotected_ns(&ol->protection, logger->now_ns)));
}

int main(int argc, char **argv)
{
    static const struct options_defaults defaults = {
        .program = "palisade-output-logger",
        .purpose = "Stores the logs of a network function, holds its packets until they may leave, "
                   "and leads takeovers.",
        .control = 7602,
        .queue = 1,
        .output = true,
        .faults = FAULT_IN_OL,
    };
    static const struct behaviour behaviour = {
        .defaults = &defaults,
        .side = PORT_SENDS,
        .start = start,
        .stop = stop,
        .hello = hello,
        .greeted = greeted,
        .message = message,
        .frame = frame,
        .lost = lost,
        .step = step,
        .next_wake = next_wake,
        .counters = counters,
    };
    return logger_run(&behaviour, argc, argv);
}
