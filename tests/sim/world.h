/*
 * One simulated run: the loggers, the masters that follow one another, a faulty network between
 * them and a clock, all moved by one seeded scheduler. The master dies at random points, or is
 * only cut off and goes on as if nothing had happened (G5); a backup takes over as R12 says.
 */
#ifndef PALISADE_SIM_WORLD_H
#define PALISADE_SIM_WORLD_H

#include "core/input_log.h"
#include "process.h"

#define WORLD_PROCESSES_MAX 8u
#define WORLD_IMAGES_MAX 8u

struct image {
    struct snapshot_mark mark;
    struct toy_nf *nf;
};

struct totals {
    uint64_t runs, refused, takeovers, cut_off, backups_killed, persist_failed, commits, events,
        outputs, inputs, effects, stale_frames, resent, dropped, il_full, waits_log, waits_ring,
        window_full, no_credit, held_beyond, partitions, replayed_outputs, undone_events,
        drain_steps;
};

struct world {
    struct random random;
    int64_t now_ns;
    uint32_t step_max_ns;
    struct faults faults;
    struct oracle *oracle;
    struct totals *totals;

    struct input_log *il;
    struct output_log *ol;
    size_t memory;
    uint32_t credit;
    struct process *process[WORLD_PROCESSES_MAX]; /* in order of birth */
    uint32_t process_count;
    struct process *reigning; /* NULL: dead, nobody has taken over yet */
    struct process *dying;    /* cut off, but the OL does not know yet */
    struct process *il_peer;

    struct image image[WORLD_IMAGES_MAX]; /* not yet committed */
    uint32_t image_count;
    struct image base;

    uint32_t takeover_in; /* steps until the death is noticed; 0: none is due */
    bool refused;         /* died before any base: nothing can be recovered */
    bool draining;
    uint32_t partition_rate, input_percent, snapshot_permille, ship_percent, barrier_slow;
    uint64_t claims;
};

/* Runs one seed to the end; violations end it through sim_violation. */
void world_run(uint64_t seed, struct oracle *oracle, struct totals *totals);

/* Between the parts of a world: loggers.c and takeover.c. */
void world_serve_output(struct world *world, struct process *process);
void world_serve_input(struct world *world, struct process *process);
void world_control_output(struct world *world, struct process *process);
void world_control_input(struct world *world, struct process *process);
void world_accept_input(struct world *world);
void world_loggers_create(struct world *world);
void world_master_dies(struct world *world);
void world_takeover(struct world *world);
void world_replay(struct world *world);
struct process *world_process_add(struct world *world, uint32_t epoch);

#endif
