/*
 * The hot standby: a backup that replays while the master lives.
 *
 *   base in place, master reigns -> FOLLOW; the logs since the base, and all that follow
 *                                   master: STANDBY 1; its own snapshots end, what it had begun of
 *                                   one is dropped, for a new base would leave the standby behind
 *   images of the standby        -> the base, as the master's would be (R13)
 *   standby lost                 -> master: STANDBY 0; it makes snapshots again
 *   standby departs from the log -> it starts over; its snapshots are not trusted either: nobody
 *                                   follows before one of the master's is the base (G6)
 *
 * Its lag is bounded by the master's credit. A standby may need one thread's log to go on with
 * another's: so when it says that it stands still, by a PROGRESS of none, the master may ship a
 * little all the same.
 */
#include "output_logger.h"

#define FEED_NS 300000 /* logs go together, for each message wakes it */
#define FEED_AT_ONCE_BYTES (64u << 10)
#define OWES_NS 500000000 /* a full memory waits so long for its snapshot */
#define NEWER_NS 2000000000
#define LAG_FRAMES_LEAST 32u /* on their way, however small --lag is */
/* Should it stand still and not say so. */
#define STARVED_NS 500000000
#define TRICKLE_NS 10000000
#define STUCK_NS 5000000000
/* Who departs again and again costs the master a snapshot each time: a rest between, twice as long
 * as the one before, until one has followed calmly. */
#define REST_NS 100000000ll
#define CALM_NS 60000000000ll

static void tell_master(struct output_logger *ol, bool follows)
{
    const struct message message = {
        .kind = MESSAGE_STANDBY, .epoch = ol->epoch, .number = {.number = follows}};

    if (ol->reign == REIGN_MASTER && ol->master && !ol->master->leaving)
        peer_send(ol->logger, ol->master, &message);
}

/* After the loss of a standby the master makes a snapshot: following from the base before it would
 * stop that, which may free memory that the one before could not. */
static bool rested(const struct output_logger *ol)
{
    return images_base(ol->images) != ol->standby.lost_base ||
           (!stall_now(&ol->memory_full) && ol->logger->now_ns - ol->standby.lost_ns >= NEWER_NS);
}

static bool may_follow(const struct output_logger *ol)
{
    const struct peer *backup = ol->backup;

    return ol->reign == REIGN_MASTER && !ol->master->leaving && backup && !backup->leaving &&
           backup->greeted && backup->standby != STANDBY_COLD && rested(ol) &&
           ol->logger->now_ns >= ol->standby.follow_ns && images_fed(ol->images) &&
           following_may_begin(&ol->standby.is, ol->log, images_base(ol->images),
                               images_coming(ol->images));
}

static void follow(struct output_logger *ol)
{
    const struct message message = {
        .kind = MESSAGE_FOLLOW, .epoch = ol->epoch, .number = {.number = images_base(ol->images)}};

    following_begin(&ol->standby.is, ol->log, &ol->feed);
    images_abandon(ol->images);
    images_feed_stop(ol->images);
    stall_note(&ol->feed_waits, false, ol->logger->now_ns);
    ol->imaging = ol->wanted = false;
    ol->standby.skips = true;
    ol->standby.count++;
    ol->standby.moved_ns = ol->logger->now_ns;
    ol->standby.starves = ol->standby.progressed = false;
    ol->standby.lag_most = (struct log_feed_lag){0};
    peer_send(ol->logger, ol->backup, &message);
    fault_point(FAULT_OL_FOLLOW);
    tell_master(ol, true);
    fault_point(FAULT_OL_FOLLOW_MASTER);
    journal_event(ol->logger->journal, "follows", "{s:I,s:b}", "base",
                  (json_int_t)message.number.number, "check", ol->backup->standby == STANDBY_CHECK);
}

void standby_lost(struct output_logger *ol)
{
    if (!ol->standby.is.follows)
        return;
    following_lost(&ol->standby.is, ol->log);
    ol->standby.lost_base = images_base(ol->images);
    ol->standby.lost_ns = ol->logger->now_ns;
    stall_note(&ol->standby.lag_waits, false, ol->logger->now_ns);
    images_abandon(ol->images);
    ol->imaging = ol->wanted = false;
    fault_point(FAULT_OL_STANDBY_LOST);
    tell_master(ol, false);
}

void standby_departed(struct output_logger *ol)
{
    const struct message want = {.kind = MESSAGE_WANT_SNAPSHOT, .epoch = ol->epoch};

    peer_drop(ol->backup); /* it starts over */
    ol->standby.departures++;
    if (ol->logger->now_ns - ol->standby.follow_ns > CALM_NS)
        ol->standby.in_a_row = 0;
    int64_t rest = REST_NS << (ol->standby.in_a_row < 8 ? ol->standby.in_a_row++ : 8);
    ol->standby.follow_ns = ol->logger->now_ns + rest;
    if (ol->reign != REIGN_MASTER)
        return;
    standby_lost(ol);
    following_departed(&ol->standby.is, ol->log);
    output_unprotected(ol, "standby_departed");
    peer_send(ol->logger, ol->master, &want);
}

void standby_based(struct output_logger *ol)
{
    following_based(&ol->standby.is, ol->log);
}

int standby_progress(struct output_logger *ol, const struct message_progress *progress)
{
    struct output_standby *standby = &ol->standby;
    struct log_feed_lag before = log_feed_lag(&ol->feed, ol->log);
    int error = log_feed_progress(&ol->feed, progress);

    if (error)
        return error;
    standby->progressed = true;
    standby->lag = log_feed_lag(&ol->feed, ol->log);
    standby->starves = standby->lag.events == before.events && standby->lag.bytes == before.bytes;
    if (!standby->starves)
        standby->moved_ns = ol->logger->now_ns;
    if (ol->reign == REIGN_MASTER)
        fault_point(FAULT_OL_PROGRESS);
    return 0;
}

static uint32_t feed_logs(struct output_logger *ol)
{
    struct output_standby *standby = &ol->standby;
    int64_t now_ns = ol->logger->now_ns;

    standby->feed_wake_ns = INT64_MAX;
    if (now_ns - standby->fed_ns < FEED_NS && standby->lag.unsent < FEED_AT_ONCE_BYTES) {
        if (!log_feed_done(&ol->feed, ol->log))
            standby->feed_wake_ns = standby->fed_ns + FEED_NS;
        return 0;
    }
    uint32_t sent = output_feed_logs(ol, ol->epoch);
    if (sent)
        standby->fed_ns = now_ns;
    return sent;
}

/* The memory is full, and no snapshot comes of it: then the master has to make one. */
static bool owes_snapshot(const struct output_logger *ol)
{
    int64_t full_ns = atomic_load_explicit(&ol->memory_full.since_ns, memory_order_relaxed);

    return ol->wanted && !ol->imaging && full_ns && ol->logger->now_ns - full_ns >= OWES_NS;
}

/* It may have departed in a way that comes to no output, and waits for what will never be: the
 * master must not go at its pace. */
static bool stuck(const struct output_logger *ol)
{
    return ol->standby.lag.size > ol->logger->options.lag_bytes &&
           ol->logger->now_ns - ol->standby.moved_ns >= STUCK_NS;
}

uint32_t standby_step(struct output_logger *ol)
{
    if (may_follow(ol))
        follow(ol);
    if (!ol->standby.is.follows || ol->reign != REIGN_MASTER || ol->backup->leaving)
        return 0;
    if (owes_snapshot(ol)) {
        peer_refuse(ol->logger, ol->backup, STATUS_BEHIND,
                    "the output logger's memory is full, and this standby comes to no snapshot: "
                    "the master makes one");
        return 0;
    }
    ol->standby.lag = log_feed_lag(&ol->feed, ol->log);
    uint32_t sent = feed_logs(ol);
    if (ol->standby.lag.bytes > ol->standby.lag_most.bytes)
        ol->standby.lag_most.bytes = ol->standby.lag.bytes;
    if (ol->standby.lag.events > ol->standby.lag_most.events)
        ol->standby.lag_most.events = ol->standby.lag.events;
    if (stuck(ol)) {
        peer_refuse(ol->logger, ol->backup, STATUS_BEHIND,
                    "this standby has logs and does not go on: its replay must have departed from "
                    "them (G6)");
        standby_departed(ol);
        return sent;
    }
    if (ol->backup->standby == STANDBY_HOT && ol->standby.progressed &&
        ol->standby.lag.size <= ol->logger->options.lag_bytes)
        protection_gained(&ol->protection, ol->logger->journal, ol->logger->now_ns);
    return sent;
}

uint32_t standby_credit(struct output_logger *ol, uint32_t frames, uint64_t received)
{
    struct output_standby *standby = &ol->standby;
    uint64_t most = ol->logger->options.lag_bytes;
    int64_t now_ns = ol->logger->now_ns;
    bool lags = standby->is.follows && standby->lag.size > most;

    stall_note(&standby->lag_waits, lags, now_ns);
    standby->trickle_wake_ns = INT64_MAX;
    if (!standby->is.follows)
        return frames;
    if (!lags) {
        uint64_t room = (most - standby->lag.size) / FRAME_PAYLOAD_MAX_BYTES;
        room = room > LAG_FRAMES_LEAST ? room : LAG_FRAMES_LEAST;
        return frames < room ? frames : (uint32_t)room;
    }
    if (standby->trickle_until > received + 1)
        standby->trickle_until = 0; /* of another master's link */
    bool silent = now_ns - standby->moved_ns >= STARVED_NS && now_ns >= standby->trickle_ns;
    if (standby->starves || silent) {
        standby->starves = false;
        standby->trickle_ns = now_ns + TRICKLE_NS;
        standby->trickle_until = received + 1;
    }
    int64_t silent_ns = standby->moved_ns + STARVED_NS;
    standby->trickle_wake_ns = standby->trickle_ns > silent_ns ? standby->trickle_ns : silent_ns;
    return received < standby->trickle_until && frames ? 1 : 0;
}

int64_t standby_next_wake(const struct output_logger *ol)
{
    const struct output_standby *standby = &ol->standby;

    if (!standby->is.follows)
        return INT64_MAX;
    return standby->trickle_wake_ns < standby->feed_wake_ns ? standby->trickle_wake_ns
                                                            : standby->feed_wake_ns;
}

json_t *standby_json(const struct output_logger *ol)
{
    const struct output_standby *standby = &ol->standby;

    return json_pack("{s:b,s:b,s:I,s:I,s:I,s:I,s:I,s:I,s:o}", "follows", standby->is.follows,
                     "mistrusted", standby->is.mistrusted, "count", (json_int_t)standby->count,
                     "departures", (json_int_t)standby->departures, "lag_bytes",
                     (json_int_t)(standby->is.follows ? standby->lag.bytes : 0), "lag_events",
                     (json_int_t)(standby->is.follows ? standby->lag.events : 0), "lag_most_bytes",
                     (json_int_t)standby->lag_most.bytes, "lag_most_events",
                     (json_int_t)standby->lag_most.events, "waits",
                     stall_json(&standby->lag_waits, ol->logger->now_ns));
}
