/*
 * palisade-input-logger: takes every packet that enters a port, numbers it, keeps a copy and feeds
 * the reigning NF. The rules are core/input_log.h.
 *
 * Packets count from the first reign on: what arrives while no NF was ever there is dropped, as
 * a box that is switched off drops it. Between a master's death and its successor everything is
 * kept, and from the start on when the epoch on disk is open: its master may live, and have been
 * fed by the input logger before this one (R16).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "core/assert.h"
#include "core/input_log.h"
#include "epoch_file.h"
#include "logger.h"
#include "persist.h"
#include "stall_json.h"

#define FEED_FRAMES 64u   /* in one round */
#define OWES_NS 500000000 /* a full ring waits so long for the snapshot of a standby */

struct input_logger {
    struct input_log *log;
    struct epoch_file *epochs;
    uint64_t incarnation;
    struct peer *reigning; /* NULL: nobody is fed */
    struct peer *standby;  /* hot: gets a copy of everything; NULL: there is none */
    bool collecting;       /* somebody reigned, and did not end its reign */
    bool full;             /* the ring has no room for a batch: frames stay in the socket */
    bool wanted;           /* WANT_SNAPSHOT sent since the last TRUNCATE */
    struct stall ring_full, feed_waits, copy_waits;
    uint64_t dropped_idle, dropped_long, dropped_full, reigns, copies, stale, wants;
};

static enum status start(struct logger *logger, char *why)
{
    struct input_logger *il = calloc(1, sizeof *il);
    struct epoch_state epoch;

    if (!il) {
        snprintf(why, WHY_BYTES, "out of memory");
        return STATUS_MEMORY;
    }
    logger->state = il;
    enum status status = epoch_start(logger, &il->epochs, &epoch, why);
    if (status != STATUS_OK)
        return status;
    do {
        if (getrandom(&il->incarnation, sizeof il->incarnation, 0) < 0) {
            snprintf(why, WHY_BYTES, "no random numbers");
            return STATUS_KERNEL;
        }
    } while (!il->incarnation);
    il->log = input_log_create(logger->options.memory_bytes, epoch.number, il->incarnation);
    if (!il->log) {
        snprintf(why, WHY_BYTES, "out of memory: give less with --memory");
        return STATUS_MEMORY;
    }
    il->collecting = logger->reign_open = epoch.open;
    return STATUS_OK;
}

static void stop(struct logger *logger)
{
    struct input_logger *il = logger->state;

    input_log_destroy(il->log);
    epoch_file_close(il->epochs);
    free(il);
    logger->state = NULL;
}

/* ---- packets in ---- */

static void packet_take(struct input_logger *il, uint16_t port, const struct xsk_packet *packet)
{
    if (!il->collecting)
        il->dropped_idle++;
    else if (packet->length > PACKET_MAX_BYTES)
        il->dropped_long++;
    else if (!input_log_accept(il->log, port, packet->bytes, (uint16_t)packet->length))
        il->dropped_full++; /* never: input_log_has_room was asked before */
}

static uint32_t ports_receive(struct logger *logger)
{
    struct input_logger *il = logger->state;
    struct xsk_packet packets[LOGGER_BATCH];
    uint32_t work = 0;

    for (uint32_t p = 0; p < logger->options.port_count; p++) {
        struct port_device *port = &logger->ports[p];
        il->full = il->collecting && !input_log_has_room(il->log, LOGGER_BATCH);
        stall_note(&il->ring_full, il->full, logger->now_ns);
        if (port->gone || il->full)
            continue;
        uint32_t got = port->family->receive(port, packets, LOGGER_BATCH);
        for (uint32_t i = 0; i < got; i++)
            packet_take(il, (uint16_t)p, &packets[i]);
        port->family->release(port);
        work += got;
    }
    return work;
}

/* While the disk syncs, the ports must not overflow. */
static void ports_keep(struct logger *logger)
{
    for (int round = 0; round < 16 && ports_receive(logger); round++)
        ;
}

/* ---- who is fed ---- */

static uint32_t epoch_of(const struct input_logger *il)
{
    struct input_log_state state;
    input_log_state(il->log, &state);
    return state.epoch;
}

static int hello(struct logger *logger, struct peer *peer, struct message_welcome *welcome)
{
    struct input_logger *il = logger->state;

    (void)peer; /* whoever comes may listen; to be fed is another matter (REIGN) */
    welcome->epoch = epoch_of(il);
    welcome->incarnation = il->incarnation;
    return 0;
}

static void greeted(struct logger *logger, struct peer *peer)
{
    (void)logger;
    /* Only acknowledgements come back on this link: the session fences them well enough. */
    link_set_epoch(wire_link(peer->device->wire), epoch_of(logger->state), 0);
    fault_point(FAULT_IL_WELCOME);
}

static void copy_stop(struct input_logger *il, int64_t now_ns)
{
    il->standby = NULL;
    il->wanted = false; /* of the master now */
    input_log_copy_stop(il->log);
    stall_note(&il->copy_waits, false, now_ns);
}

static int reign(struct logger *logger, struct peer *peer, const struct message *message)
{
    struct input_logger *il = logger->state;
    struct input_log_state state;
    uint32_t epoch = message->epoch;

    input_log_state(il->log, &state);
    struct input_claim claim = message->reign.claim;
    if (!message->reign.claimant || message->reign.claimant != peer->claimant)
        return peer_refuse(logger, peer, STATUS_PROTOCOL, "REIGN for another than who said HELLO");
    int error = input_log_reign(il->log, epoch, message->reign.claimant, &claim);
    if (error == -ENODATA)
        return peer_refuse(logger, peer, STATUS_UNREACHABLE,
                           "the packets it needs died with the input logger before this one: the "
                           "state of the dead master cannot be recovered; to begin anew, start the "
                           "output logger again with --forget");
    if (error == -ERANGE)
        return peer_refuse(logger, peer, STATUS_FENCED,
                           "packets from %llu on are wanted, kept are %llu to %llu",
                           (unsigned long long)claim.from, (unsigned long long)state.oldest,
                           (unsigned long long)state.next);
    if (error)
        return peer_refuse(logger, peer, STATUS_FENCED,
                           "epoch %u is not the newest or has another master: %u reigns", epoch,
                           state.epoch);
    struct peer *before = il->reigning;
    il->reigning = NULL; /* until the disk has it, nobody is fed */
    if (before && before != peer && !before->leaving)
        peer_refuse(logger, before, STATUS_FENCED,
                    "this process lost its reign: epoch %u has begun", epoch);
    fault_point(FAULT_IL_REIGN);
    error = epoch_persist(logger, il->epochs, (struct epoch_state){.number = epoch, .open = true},
                          ports_keep);
    if (error)
        return peer_refuse(logger, peer, STATUS_DISK, "the epoch cannot be written to %s: %s",
                           logger->options.state, strerror(-error));
    fault_point(FAULT_IL_REIGN_WRITTEN);
    if (peer == il->standby)
        copy_stop(il, logger->now_ns);
    il->reigning = peer;
    il->collecting = logger->reign_open = true;
    il->wanted = false;
    il->reigns++;
    link_set_epoch(wire_link(peer->device->wire), epoch, 0);
    const struct message answer = {
        .kind = MESSAGE_REIGN,
        .epoch = epoch,
        .reign = {.claimant = peer->claimant, .claim = claim},
    };
    peer_send(logger, peer, &answer);
    journal_event(logger->journal, "reign", "{s:I,s:I,s:s}", "epoch", (json_int_t)epoch, "first",
                  (json_int_t)claim.from, "link", peer->device->name);
    fault_point(FAULT_IL_REIGN_ANSWERED);
    return 0;
}

/* A hot standby asks for what the master is fed, from its base on. */
static int copy(struct logger *logger, struct peer *peer, const struct message_reign *asked)
{
    struct input_logger *il = logger->state;

    if (asked->claimant != peer->claimant || peer == il->reigning)
        return peer_refuse(logger, peer, STATUS_PROTOCOL, "COPY makes no sense here");
    fault_point(FAULT_IL_COPY);
    if (il->standby && il->standby != peer && !il->standby->leaving)
        return peer_refuse(logger, peer, STATUS_BUSY, "another standby follows");
    if (input_log_copy(il->log, &asked->claim))
        return peer_refuse(logger, peer, STATUS_BEHIND,
                           "the packets from %llu on are no longer kept: start over from a newer "
                           "base",
                           (unsigned long long)asked->claim.from);
    il->standby = peer;
    il->copies++;
    journal_event(logger->journal, "copies", "{s:I,s:s}", "first", (json_int_t)asked->claim.from,
                  "link", peer->device->name);
    return 0;
}

/* The NF ends normally: what it was sent has done its work. */
static void reign_end(struct logger *logger)
{
    struct input_logger *il = logger->state;
    struct input_log_state state;

    input_log_state(il->log, &state);
    input_log_truncate(il->log, state.epoch, state.next);
    il->reigning = NULL;
    il->collecting = logger->reign_open = false;
    int error =
        epoch_persist(logger, il->epochs, (struct epoch_state){.number = state.epoch}, ports_keep);
    if (error)
        logger_say(logger, "the end of epoch %u cannot be written to %s: %s", state.epoch,
                   logger->options.state, strerror(-error));
    journal_event(logger->journal, "master_ended", "{s:I}", "epoch", (json_int_t)state.epoch);
}

static int message(struct logger *logger, struct peer *peer, const struct message *message)
{
    struct input_logger *il = logger->state;
    int error;

    switch (message->kind) {
    case MESSAGE_REIGN:
        return reign(logger, peer, message);
    case MESSAGE_COPY:
        return copy(logger, peer, &message->reign);
    case MESSAGE_TRUNCATE: /* the standby's when it makes the snapshots */
        error = peer == il->reigning || peer == il->standby
                    ? input_log_truncate(il->log, message->epoch, message->number.number)
                    : -ESTALE;
        il->stale += error == -ESTALE;
        il->wanted = il->wanted && error;
        fault_point(FAULT_IL_TRUNCATED);
        if (error && error != -ESTALE)
            return peer_refuse(logger, peer, STATUS_PROTOCOL, "TRUNCATE to %llu, not yet numbered",
                               (unsigned long long)message->number.number);
        return 0;
    case MESSAGE_REFUSE:
        journal_event(logger->journal, "peer_says", "{s:s,s:i,s:s}", "role", peer_role_name(peer),
                      "status", (int)message->refuse.status, "text", message->refuse.text);
        if (message->refuse.status == STATUS_OK && peer == il->reigning)
            reign_end(logger);
        return 0;
    default:
        return peer_refuse(logger, peer, STATUS_PROTOCOL, "%s to an input logger",
                           message_kind_name(message->kind));
    }
}

static void frame(struct logger *logger, struct peer *peer, const struct frame *frame,
                  const uint8_t *payload)
{
    (void)peer;
    (void)frame;
    (void)payload;
    logger->frames_unexpected++; /* an NF has nothing to say here but acknowledgements */
}

static void lost(struct logger *logger, struct peer *peer, int error)
{
    struct input_logger *il = logger->state;
    const char *cause = error == -EPIPE ? "closed" : error == -ETIMEDOUT ? "silent" : "refused";

    if (peer == il->standby)
        copy_stop(il, logger->now_ns);
    journal_event(logger->journal, peer == il->reigning ? "master_lost" : "backup_lost", "{s:s}",
                  "cause", cause);
    if (peer != il->reigning)
        return;
    il->reigning = NULL;
    stall_note(&il->feed_waits, false, logger->now_ns);
}

/* ---- the round ---- */

/* What is on its way to an NF: the reigning one, or its standby. */
struct feed {
    bool (*next)(const struct input_log *il, struct packet_item *item);
    void (*sent)(struct input_log *il);
};
static const struct feed feed_reigning = {input_log_next, input_log_sent};
static const struct feed feed_standby = {input_log_copy_next, input_log_copied};

/* Packs what the NF has not been sent into frames, as far as its window allows. */
static uint32_t feed(struct input_log *log, const struct feed *feed, struct peer *peer,
                     struct stall *waits, int64_t now_ns)
{
    struct link *link = wire_link(peer->device->wire);
    struct packet_item item;
    uint32_t frames = 0;

    while (frames < FEED_FRAMES && feed->next(log, &item)) {
        uint8_t *payload = link_reserve(link);
        if (!payload)
            break;
        uint32_t length = 0, wrote;
        while (feed->next(log, &item) &&
               (wrote = packet_item_write(payload + length, FRAME_PAYLOAD_MAX_BYTES - length,
                                          &item)) > 0) {
            length += wrote;
            feed->sent(log);
        }
        ASSERT(length > 0);
        link_commit(link, FRAME_INPUT, 0, 0, length);
        frames++;
    }
    stall_note(waits, link_window_full(link) && feed->next(log, &item), now_ns);
    return frames;
}

/*
 * What it needs was truncated: it stood still for as long as the ring is deep. Or the ring is full,
 * and no snapshot comes of it that would free it: then the master has to make one.
 */
static void standby_behind(struct logger *logger)
{
    struct input_logger *il = logger->state;
    struct input_log_state state;

    input_log_state(il->log, &state);
    int64_t full_ns = atomic_load_explicit(&il->ring_full.since_ns, memory_order_relaxed);
    if (state.uncopied == 0)
        peer_refuse(logger, il->standby, STATUS_BEHIND,
                    "this standby fell behind the packets that are kept");
    else if (il->wanted && il->full && logger->now_ns - full_ns >= OWES_NS)
        peer_refuse(logger, il->standby, STATUS_BEHIND,
                    "the input logger's ring is full, and this standby comes to no snapshot: the "
                    "master makes one");
}

/* Only a snapshot lets us forget; the NF makes none by itself for long, or never (snapshot_ms). */
static void want_snapshot(struct logger *logger)
{
    struct input_logger *il = logger->state;

    if (il->wanted || !input_log_wants_snapshot(il->log))
        return;
    const struct message want = {.kind = MESSAGE_WANT_SNAPSHOT, .epoch = epoch_of(il)};
    peer_send(logger, il->standby ? il->standby : il->reigning, &want);
    il->wanted = true;
    il->wants++;
}

static uint32_t step(struct logger *logger)
{
    struct input_logger *il = logger->state;
    uint32_t work = ports_receive(logger);

    if (work)
        fault_point(FAULT_IL_NUMBERED);
    if (il->reigning && !il->reigning->leaving) {
        work += feed(il->log, &feed_reigning, il->reigning, &il->feed_waits, logger->now_ns);
        want_snapshot(logger);
    }
    if (il->standby && !il->standby->leaving) {
        uint32_t copied =
            feed(il->log, &feed_standby, il->standby, &il->copy_waits, logger->now_ns);
        if (copied)
            fault_point(FAULT_IL_COPIES);
        work += copied;
        standby_behind(logger);
    }
    return work;
}

static bool wants_packets(struct logger *logger)
{
    return !((struct input_logger *)logger->state)->full;
}

static int64_t next_wake(struct logger *logger)
{
    (void)logger;
    return INT64_MAX;
}

static void counters(struct logger *logger, json_t *counters)
{
    const struct input_logger *il = logger->state;
    struct input_log_state state;

    input_log_state(il->log, &state);
    json_object_set_new(
        counters, "input_log",
        json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "epoch", (json_int_t)state.epoch, "oldest",
                  (json_int_t)state.oldest, "next", (json_int_t)state.next, "unsent",
                  (json_int_t)state.unsent, "accepted", (json_int_t)state.accepted, "refused_full",
                  (json_int_t)state.refused_full, "bytes_used", (json_int_t)state.bytes_used,
                  "bytes_total", (json_int_t)state.bytes_total));
    json_object_set_new(counters, "input",
                        json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:b,s:b}", "dropped_idle",
                                  (json_int_t)il->dropped_idle, "dropped_long",
                                  (json_int_t)il->dropped_long, "dropped_full",
                                  (json_int_t)il->dropped_full, "reigns", (json_int_t)il->reigns,
                                  "copies", (json_int_t)il->copies, "stale_truncates",
                                  (json_int_t)il->stale, "wants", (json_int_t)il->wants, "fed",
                                  il->reigning != NULL, "copied", il->standby != NULL));
    json_object_set_new(counters, "waits",
                        json_pack("{s:o,s:o,s:o}", "ring_full",
                                  stall_json(&il->ring_full, logger->now_ns), "feed",
                                  stall_json(&il->feed_waits, logger->now_ns), "copy",
                                  stall_json(&il->copy_waits, logger->now_ns)));
}

int main(int argc, char **argv)
{
    static const struct options_defaults defaults = {
        .program = "palisade-input-logger",
        .purpose = "Numbers and keeps every packet that enters a network function, and feeds it.",
        .control = 7601,
        .queue = 0,
        .faults = FAULT_IN_IL,
    };
    static const struct behaviour behaviour = {
        .defaults = &defaults,
        .side = PORT_RECEIVES,
        .start = start,
        .stop = stop,
        .hello = hello,
        .greeted = greeted,
        .message = message,
        .frame = frame,
        .lost = lost,
        .step = step,
        .wants_packets = wants_packets,
        .next_wake = next_wake,
        .counters = counters,
    };
    return logger_run(&behaviour, argc, argv);
}
