/* Death and takeover, step by step in the order of R12; and the backup that waits for it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/assert.h"
#include "world.h"

#define JOIN_STEPS_MAX 300u
#define FEED_PERCENT 10u

/* ---- the backup ---- */

static void backup_forget(struct backup *backup)
{
    free(backup->fed.nf);
    backup->fed = (struct image){0};
}

void world_backup_next(struct world *world)
{
    backup_forget(&world->backup);
    world->backup = (struct backup){.joins_in = 1 + random_below(&world->random, JOIN_STEPS_MAX),
                                    .hot = random_percent(&world->random, world->hot_percent)};
}

void world_backup_dies(struct world *world)
{
    if (world->reigning != NULL && world->reigning->mode == PROCESS_REPLAY) {
        world_replay_ends(world);
    } else if (world->standby.process != NULL) {
        world_standby_ends(world);
        world->totals->backups_waiting_killed++;
    } else if (world->backup.there && !world->standby.following.follows) {
        world_backup_next(world);
        world->totals->backups_waiting_killed++;
    } else {
        return;
    }
    world->deaths++;
}

void world_backup_step(struct world *world)
{
    struct backup *backup = &world->backup;

    if (world->standby.process != NULL || world->standby.following.follows) {
        backup_forget(backup); /* it has gone beyond what it was fed */
        return;
    }
    if (!backup->there) {
        backup->there = backup->joins_in > 0 && --backup->joins_in == 0;
        return;
    }
    if (backup->of != world->ol_of)
        backup_forget(backup); /* what it has belongs to another OL's base */
    if (world->ol == NULL || !random_percent(&world->random, FEED_PERCENT))
        return;
    backup->of = world->ol_of;
    if (backup->fed.mark.number == world->base.mark.number)
        return;
    if (backup->fed.nf == NULL)
        backup->fed.nf = malloc(sizeof(*backup->fed.nf));
    ASSERT(backup->fed.nf != NULL);
    *backup->fed.nf = *world->base.nf;
    backup->fed.mark = world->base.mark;
    backup->fed.tainted = world->base.tainted;
}

bool world_backup_ready(const struct world *world)
{
    const struct backup *backup = &world->backup;
    const struct process *standby = world->standby.process;

    if (world->ol != NULL && !following_may_take_over(&world->standby.following, world->ol))
        return false;
    if (world->standby.following.follows)
        return standby != NULL && standby->output.of == world->ol_of &&
               standby->output.logger != NULL && standby->input.of == world->il_of &&
               standby->input.logger != NULL && !standby->noticed;
    return backup->there && backup->of == world->ol_of && world->base.mark.number != 0 &&
           backup->fed.mark.number == world->base.mark.number;
}

/* ---- death ---- */

void world_replay_ends(struct world *world)
{
    struct process *process = world->reigning;

    ASSERT(process != NULL && process->mode == PROCESS_REPLAY);
    world->totals->backups_killed++;
    process_kill(process);
    world_backup_next(world);
    world->dying = process;
    world->reigning = NULL;
    world->takeover_in = 1 + random_below(&world->random, 60);
}

void world_master_dies(struct world *world)
{
    struct process *process = world->reigning;

    if (process == NULL || world->process_count == WORLD_PROCESSES_MAX)
        return;
    world->deaths++;
    if (process->mode == PROCESS_REPLAY) {
        world_replay_ends(world);
        return;
    }
    /* Without a base the OL waits for a master whose connection broke. */
    if (world->base.mark.number != 0 && random_percent(&world->random, 30))
        world->totals->cut_off++; /* it lives on and does not know */
    else
        process_kill(process);
    world->reigning = NULL;
    if (world->ol == NULL) {
        world->state_lost = true;
        return;
    }
    world->dying = process;
    world->takeover_in = 1 + random_below(&world->random, 60);
}

/* ---- takeover ---- */

/* The old master's claims and frames are worth nothing from here on (G5, R17). */
static void fence(struct process *old, uint32_t epoch)
{
    if (old->mode == PROCESS_LIVE) {
        /* It may see no acknowledgement any more, or it would perform effects (R18). */
        link_set_epoch(old->output.logger, epoch, epoch);
        old->oracle = NULL;
    }
}

/* The OL begins: from here on nobody but the one it chooses may speak. */
static bool raise(struct world *world)
{
    struct process *old = world->dying;
    int error = output_log_takeover(world->ol, &world->takeover);

    if (error == -EIO) {
        world->takeover_in = 10; /* the disk refused: the old epoch still stands */
        return false;
    }
    if (error == -ENOENT && world->base.mark.number == 0) {
        world_refuse(world, world->ol_births == 1 ? REFUSED_UNBORN : REFUSED_OUTPUT);
        return false;
    }
    if (error < 0)
        sim_violation("takeover refused: %s", strerror(-error));
    if (world->takeover.base.number != world->base.mark.number ||
        world->takeover.epoch <= old->epoch)
        sim_violation("R12: takeover under epoch %u of base %lx", world->takeover.epoch,
                      world->takeover.base.number);
    fence(old, world->takeover.epoch);
    world_images_drop(world);
    world->raised = true;
    return true;
}

/* False: the inputs that the base needs died with another IL, and this one says so. */
static bool claim_inputs(struct world *world, uint32_t epoch, uint64_t claimant,
                         struct input_claim *claim)
{
    const struct process *old = world->dying;
    bool dead = claim->of != world->il_of;
    int error = input_log_reign(world->il, epoch, claimant, claim);

    if (dead && error == -ENODATA)
        return false;
    if (dead)
        sim_violation("R16: IL %lu answered a claim of the dead IL %lu's inputs: %s", world->il_of,
                      claim->of, strerror(-error));
    if (error < 0)
        sim_violation("the IL refused the backup: %s", strerror(-error));
    world->il_epoch = epoch;
    struct input_claim other = {0};
    if (input_log_reign(world->il, old->epoch, old->claimant, &other) != -ESTALE)
        sim_violation("R17: the IL let an older master claim the inputs");
    if (input_log_reign(world->il, epoch, claimant + 1000, &other) != -ESTALE)
        sim_violation("R17: the IL let two masters of one epoch claim the inputs");
    return true;
}

/* It has the base in place, and nothing since. */
static struct process *cold(struct world *world, struct input_claim inputs)
{
    const struct image *fed = &world->backup.fed;
    struct process *backup = world_process_create(world, world->takeover.epoch);

    if (world->standby.distrust && fed->mark.replayed)
        sim_violation("G6: a takeover from base %lx, which may be of a standby that departed",
                      fed->mark.number);
    process_replay_begin(backup, &fed->mark, fed->nf, inputs);
    backup->departed = fed->tainted;
    log_feed_begin(&world->standby.feed, world->ol);
    return backup;
}

/* The standby goes on from where it stands. */
static struct process *hot(struct world *world)
{
    struct process *backup = world->standby.process;

    world_copy_stop(world, backup);
    world->standby.process = NULL;
    following_lost(&world->standby.following, world->ol);
    link_set_epoch(backup->output.logger, world->takeover.epoch, 0);
    link_set_epoch(backup->input.logger, world->takeover.epoch, 0);
    world->totals->hot_takeovers++;
    return backup;
}

void world_takeover(struct world *world)
{
    if (!world->raised && !raise(world))
        return;
    if (!following_may_take_over(&world->standby.following, world->ol)) {
        world_refuse(world, REFUSED_DEPARTED);
        return;
    }
    if (!world_backup_ready(world) || world->il == NULL) {
        world->takeover_in = 5;
        return;
    }
    struct takeover *takeover = &world->takeover;
    bool follows = world->standby.following.follows;
    struct input_claim claim = {takeover->base.inputs_of, takeover->base.inputs_from};
    if (follows)
        claim = world->standby.process->rejoin.inputs;
    uint64_t claimant = follows ? world->standby.process->claimant : ++world->claims;
    if (!claim_inputs(world, takeover->epoch, claimant, &claim)) {
        world_refuse(world, REFUSED_INPUT);
        return;
    }
    struct process *backup = world_process_add(world, follows ? hot(world) : cold(world, claim));
    backup->claimant = claimant;
    world->il_peer = backup;
    process_replay_take_over(backup, takeover);
    backup_forget(&world->backup);
    world->backup = (struct backup){0};
    world->reigning = backup;
    world->dying = NULL;
    world->raised = false;
    world->takeovers++;
    world->totals->takeovers++;
}

static void cut(struct world *world, struct process *backup)
{
    struct positions cut = {.threads = backup->nf.threads};
    uint64_t outputs[THREADS_MAX] = {0}, effects[THREADS_MAX] = {0};
    struct replay *replay = backup->replay;

    if (backup->departed) {
        world_refuse(world, REFUSED_UNSEEN);
        return;
    }
    for (uint32_t t = 0; t < cut.threads; t++) {
        const struct thread_state *state = &backup->nf.thread[t].state;

        cut.at[t] = state->position;
        outputs[t] = state->outputs;
        effects[t] = state->effects;
        if (replay->takeover.held[t] > outputs[t])
            world->totals->held_beyond += replay->takeover.held[t] - outputs[t];
        world->totals->replayed_outputs += backup->ring[t].tail;
        world->totals->undone_events += world->oracle->last[t] - cut.at[t];
    }
    oracle_cut(world->oracle, &replay->takeover.end, &cut, outputs, effects, replay->takeover.held);
    if (output_log_cut(world->ol, backup->epoch - 1, &cut, outputs, effects) != -ESTALE)
        sim_violation("G5: the OL let an older epoch name the cut");
    int error = output_log_cut(world->ol, backup->epoch, &cut, outputs, effects);
    if (error < 0)
        sim_violation("the OL refused the cut: %s", strerror(-error));
    log_feed_end(&world->standby.feed);
    process_go_live(backup);
    world_backup_next(world);
}

void world_replay(struct world *world)
{
    struct process *backup = world->reigning;

    if (random_percent(&world->random, 60))
        world_feed_logs(world, backup);
    if (random_percent(&world->random, 60))
        process_control_replay(backup);
    for (uint32_t i = random_below(&world->random, 30); i > 0 && !backup->noticed; i--)
        process_replay_step(backup, random_below(&world->random, backup->nf.threads));
    if (random_percent(&world->random, 30))
        process_tell_progress(backup);
    if (random_percent(&world->random, 10) && !backup->noticed && process_replay_at_rest(backup) &&
        !backup->noticed)
        cut(world, backup);
    if (backup->noticed) { /* G6: it says so, and never goes live */
        world->totals->departures++;
        following_departed(&world->standby.following, world->ol);
        world->standby.distrust = true;
        world_replay_ends(world);
    }
}
