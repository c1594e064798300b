/*
 * The output logger's daemon, inside: output_logger.c (reign, release, the round),
 * output_intake.c (frames and messages), output_takeover.c (the master is lost: hand out, cut, go)
 * and output_return.c (a master outlived the output logger before this one).
 */
#ifndef PALISADE_XDP_OUTPUT_LOGGER_H
#define PALISADE_XDP_OUTPUT_LOGGER_H

#include "core/following.h"
#include "epoch_file.h"
#include "held_time.h"
#include "images.h"
#include "port_sender.h"
#include "protection.h"
#include "stall_json.h"

#define FENCED_MAX 16u

enum reign {
    REIGN_NONE,    /* nobody ever, or the last one ended cleanly */
    REIGN_ORPHAN,  /* the epoch is open, its state is not here: its master may come back (R16) */
    REIGN_RETURNS, /* `master` came back; waiting for its RESUME */
    REIGN_MASTER,  /* `master` reigns */
    REIGN_LOST,    /* the master is lost; waiting for a backup that has every committed page */
    REIGN_REPLAY,  /* `backup` got TAKEOVER and replays */
};

/* The backup, when it is hot: output_standby.c. */
struct output_standby {
    struct following is;
    bool skips;         /* what still comes of an image that the master had begun */
    uint32_t in_a_row;  /* departures */
    int64_t follow_ns;  /* not before */
    uint64_t lost_base; /* when one was lost last */
    int64_t lost_ns;
    bool progressed; /* it has told of any: the base is in place */
    struct log_feed_lag lag;
    struct log_feed_lag lag_most;        /* bytes and events, each since it follows */
    int64_t moved_ns;                    /* it replayed something */
    bool starves;                        /* ... or said that it could not */
    int64_t fed_ns, feed_wake_ns;        /* logs go together */
    int64_t trickle_ns, trickle_wake_ns; /* of frames beyond the bound */
    uint64_t trickle_until;
    uint64_t count, departures;
    struct stall lag_waits;
};

struct output_logger {
    struct logger *logger;
    struct output_log *log;
    struct images *images;
    struct held_time *times;
    struct epoch_file *epochs;
    struct port_sender senders[PORTS_MAX];
    uint32_t epoch; /* on disk ... */
    bool open;      /* ... and whether its reign has not ended */
    uint64_t incarnation;

    enum reign reign;
    struct peer *master, *backup;
    char identity[IDENTITY_MAX_BYTES]; /* of the reign */
    uint64_t fenced[FENCED_MAX];       /* claimants that lost their reign */
    uint32_t fenced_count;
    bool ended;             /* the master announced its normal end */
    bool wanted;            /* WANT_SNAPSHOT sent since the last commit */
    bool imaging;           /* an image is on its way, uncommitted */
    bool resumed;           /* the master came back, and no base of it is committed yet */
    bool disk_trouble;      /* the epoch could not be written: said once */
    int64_t retry_ns;       /* then: next attempt to take over */
    int64_t orphan_told_ns; /* REIGN_ORPHAN: when to say so */
    /* Memory is full but for what is kept back (credit_set): */
    uint64_t trickle_until;  /* the frame of the link up to which some was given out */
    int64_t trickle_ns;      /* when the next one may be */
    int64_t trickle_wake_ns; /* the same, INT64_MAX: nothing to wait for */
    int64_t exhausted_ns;    /* since when that is used up, too; 0: it is not */
    bool exhausted_said;

    /* REIGN_LOST, REIGN_REPLAY */
    bool raised; /* the epoch was raised for this takeover and nobody was given it yet */
    struct takeover takeover;
    struct log_feed feed;
    bool stored_end;

    struct output_standby standby;
    struct protection protection;
    uint64_t takeovers, commits, wants, stale_frames, unexpected_frames;
    struct stall memory_full, feed_waits;
};

/* Writes down whether the present epoch's reign is open. -errno: nothing changed. */
int output_epoch_write(struct output_logger *ol, bool open);
/* Nothing is kept. While the epoch is open only its master may come back. */
void output_reign_reset(struct output_logger *ol);
/* A reign is over without a takeover: the next master starts afresh. */
void output_reign_end(struct output_logger *ol);
/* From now on nobody could take over. */
void output_unprotected(struct output_logger *ol, const char *cause);

/* ---- output_standby.c ---- */

/* Once a round of a reign: begins to follow, feeds. Returns the messages sent. */
uint32_t standby_step(struct output_logger *ol);
/* The backup is lost. */
void standby_lost(struct output_logger *ol);
/* It says that its replay departs from the log. */
void standby_departed(struct output_logger *ol);
/* There is a new base. */
void standby_based(struct output_logger *ol);
int standby_progress(struct output_logger *ol, const struct message_progress *progress);
/* So many of `frames` may the master ship beyond `received`, so that the lag stays bounded. */
uint32_t standby_credit(struct output_logger *ol, uint32_t frames, uint64_t received);
/* When standby_step or standby_credit would do something by themselves. */
int64_t standby_next_wake(const struct output_logger *ol);
json_t *standby_json(const struct output_logger *ol);

/* ---- output_intake.c ---- */

/* One frame of the master (or of whom we drain after its end). */
void output_frame(struct output_logger *ol, struct peer *peer, const struct frame *frame,
                  const uint8_t *payload);
int output_message(struct output_logger *ol, struct peer *peer, const struct message *message);

/* ---- output_takeover.c ---- */

/* Takes what the master had sent before it was lost. */
void takeover_drain(struct output_logger *ol);
void takeover_begin(struct output_logger *ol, const char *cause);
/* The backup died while it replayed. */
void takeover_again(struct output_logger *ol);
/* Sends the backup what is stored and it has room for. Returns the messages sent. */
uint32_t output_feed_logs(struct output_logger *ol, uint32_t epoch);
/* Once a round in REIGN_LOST and REIGN_REPLAY. Returns the work done. */
uint32_t takeover_step(struct output_logger *ol);
int takeover_cut(struct output_logger *ol, struct peer *peer, const struct message *message);

/* ---- output_return.c ---- */

/* The epoch is open, and its master not here. */
void return_await(struct output_logger *ol);
/* HELLO of a master with an epoch: 0 and REIGN_RETURNS, or refused. */
int return_hello(struct output_logger *ol, struct peer *peer);
int return_resume(struct output_logger *ol, struct peer *peer, const struct message *message);
/* The master that came back is lost, in REIGN_RETURNS or before its base. */
void return_lost(struct output_logger *ol, const char *cause);
/* Once a round. */
void return_step(struct output_logger *ol);

#endif
