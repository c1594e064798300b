/*
 * One simulated run: the loggers, the masters that follow one another, the backup that waits, a
 * faulty network between them and a clock, all moved by one seeded scheduler. Anybody may die at
 * any step, also two at once; a master may only be cut off and go on as if nothing had happened
 * (G5); loggers come back with nothing but what lies on their disks (R16).
 */
#ifndef PALISADE_SIM_WORLD_H
#define PALISADE_SIM_WORLD_H

#include "core/following.h"
#include "core/input_log.h"
#include "process.h"

#define WORLD_PROCESSES_MAX 40u
#define WORLD_IMAGES_MAX 8u

struct image {
    struct snapshot_mark mark;
    struct toy_nf *nf;
    bool tainted; /* of a standby that had departed from the log */
};

struct totals {
    uint64_t runs, unborn, refused_output, refused_input, takeovers, most_takeovers, cut_off,
        backups_killed, backups_waiting_killed, persist_failed, il_deaths, ol_deaths, il_cuts,
        ol_cuts, twice, resumes, input_barriers, lost_outputs, lost_inputs, fenced, strangers,
        commits, events, outputs, inputs, effects, stale_frames, resent, dropped, il_full,
        waits_log, waits_ring, no_credit, held_beyond, partitions, replayed_outputs, undone_events,
        drain_steps, follows, hot_takeovers, pieces, standby_images, standby_cuts, behind, planted,
        departures, refused_departed, unseen, overtaken, stood_still;
};

/* What ended the run before its time, for good: nobody may ever go on from there. */
enum refusal {
    REFUSED_NOT,
    REFUSED_UNBORN,   /* the first master died before any base: nothing had left */
    REFUSED_OUTPUT,   /* the OL that had the state died, and its master */
    REFUSED_INPUT,    /* the IL that had the inputs died, and the master */
    REFUSED_DEPARTED, /* the master died, and the base is of a standby that departed (G6) */
    REFUSED_UNSEEN    /* one that departed went live, and no output since told of it */
};

/* The next to take over: it collects what the OL has committed. */
struct backup {
    bool there, hot;
    uint32_t joins_in; /* steps until another one joins */
    uint64_t of;       /* the OL it is attached to; 0: none */
    struct image fed;
};

/* A hot one that follows. */
struct hot_standby {
    struct process *process; /* not among the world's before it takes over; NULL: none lives */
    /* the OL's */
    struct following following;
    struct log_feed feed; /* a cold backup's, too, in a takeover */
    uint32_t noticed_in;  /* steps until it notices that the standby is gone; 0: it is not */
    bool departed;        /* that said that it departed */
    int64_t moved_ns;     /* it told of progress, or had nothing to do */
    /* the IL's */
    struct process *copied;
    /* nobody's: a standby departed, and no snapshot of the master became the base since */
    bool distrust;
};

struct world {
    struct random random;
    int64_t now_ns;
    uint32_t step_max_ns;
    struct faults faults;
    struct oracle *oracle;
    struct totals *totals;

    struct input_log *il; /* NULL: dead */
    struct output_log *ol;
    uint64_t il_of, ol_of; /* incarnations; 0: dead */
    uint32_t il_births, ol_births;
    uint32_t il_back_in, ol_back_in; /* steps */
    uint32_t il_epoch, ol_epoch;     /* on their disks; the reign there is never ended */
    size_t memory, il_bytes;
    uint32_t credit;
    struct process *process[WORLD_PROCESSES_MAX]; /* in order of birth */
    uint32_t process_count;
    struct process *reigning; /* NULL: dead, nobody has taken over yet */
    struct process *dying;    /* cut off or dead, but the OL does not know yet */
    struct process *il_peer;
    struct backup backup;
    struct hot_standby standby;

    struct image image[WORLD_IMAGES_MAX]; /* not yet committed */
    uint32_t image_count;
    struct image base;
    /* What each dead OL could have recovered. */
    bool had_base[SIM_LOGGERS_MAX];
    struct positions recoverable[SIM_LOGGERS_MAX];

    uint32_t takeover_in; /* steps until the death is noticed, or the next try; 0: none is due */
    bool raised;          /* the OL has begun the takeover, no backup has it yet */
    struct takeover takeover;
    bool state_lost; /* the OL died with a state that no master has */
    enum refusal refused;
    uint64_t released_then; /* when it was refused */

    bool born; /* a base was committed once */
    uint32_t deaths, deaths_at_once;
    bool careful;                 /* nobody dies but where all are protected */
    bool output_bare, input_bare; /* a logger died, and no base of its successor yet (G7) */
    bool draining;
    uint32_t hot_percent, standby_percent, notice_permille, plant_rate; /* of 10,000 */
    uint64_t lag_bytes;
    uint32_t partition_rate, input_percent, snapshot_permille, ship_percent,
        others_percent; /* steps of others than the last who came */
    uint64_t claims, takeovers;
};

/* Runs one seed to the end; violations end it through sim_violation. */
void world_run(uint64_t seed, struct oracle *oracle, struct totals *totals);

/* Between the parts of a world: loggers.c, */
void world_serve_output(struct world *world, struct process *process);
void world_serve_input(struct world *world, struct process *process);
void world_control_output(struct world *world, struct process *process);
void world_control_input(struct world *world, struct process *process);
void world_accept_input(struct world *world);
void world_loggers_create(struct world *world);
void world_input_logger_begins(struct world *world);
void world_output_logger_begins(struct world *world);
/* What would survive the death of a master of the OL `of` now, or did when that died; NULL:
 * nothing. */
const struct positions *world_recoverable(const struct world *world, uint64_t of);
/* To the master, if it is connected; NULL: it is not. */
struct control *world_tell(struct world *world, enum control_kind kind);
/* Images that are not the base, and never will be. */
void world_images_drop(struct world *world);
/* standby.c, */
void world_standby_step(struct world *world);
void world_feed_logs(struct world *world, struct process *process);
void world_standby_progress(struct world *world, const struct process *process,
                            const struct control *control);
void world_standby_image(struct world *world, const struct process *process,
                         struct control *control);
bool world_standby_lags(struct world *world);
void world_standby_lost(struct world *world, bool departed);
void world_standby_output_forgotten(struct world *world);
void world_standby_ends(struct world *world);
void world_standby_output_cut(struct world *world);
void world_standby_input_cut(struct world *world);
void world_copy_stop(struct world *world, const struct process *process);
void world_copy_begin(struct world *world, struct process *process, const struct control *control);
bool world_copy_goes_on(struct world *world);
/* takeover.c, */
/* Another backup joins by and by. */
void world_backup_next(struct world *world);
void world_master_dies(struct world *world);
void world_takeover(struct world *world);
void world_replay(struct world *world);
/* The process that was to take over ends. */
void world_replay_ends(struct world *world);
void world_backup_dies(struct world *world);
void world_backup_step(struct world *world);
bool world_backup_ready(const struct world *world);
/* returns.c, */
void world_input_logger_dies(struct world *world);
void world_output_logger_dies(struct world *world);
/* The connection breaks, nobody dies. An OL with a base takes that for the master's death; one that
 * has none yet begins anew, and the master may come back once more. */
void world_input_cut(struct world *world);
void world_output_cut(struct world *world);
void world_loggers_return(struct world *world);
/* What `process` notices of its loggers, and does about it. */
void world_mind(struct world *world, struct process *process);
/* ending.c. */
bool world_protected(const struct world *world);
void world_refuse(struct world *world, enum refusal refusal);
void world_drain(struct world *world, void (*step)(struct world *world));
void world_stays_refused(struct world *world, void (*step)(struct world *world));
/* One that knows both loggers; it is not yet among the world's. */
struct process *world_process_create(struct world *world, uint32_t epoch);
struct process *world_process_add(struct world *world, struct process *process);

#endif
