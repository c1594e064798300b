/* Death and takeover, step by step in the order of R12. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/assert.h"
#include "world.h"

void world_master_dies(struct world *world)
{
    struct process *process = world->reigning;

    if (process == NULL)
        return;
    if (process->mode == PROCESS_LIVE && random_percent(&world->random, 30)) {
        world->totals->cut_off++; /* it lives on and does not know */
    } else {
        if (process->mode == PROCESS_REPLAY)
            world->totals->backups_killed++;
        process_kill(process);
    }
    world->dying = process;
    world->reigning = NULL;
    world->takeover_in = 1 + random_below(&world->random, 60);
}

/* The old master's claims and frames are worth nothing from here on (G5, R17). */
static void fence(struct world *world, struct process *old, uint32_t epoch)
{
    if (old->mode == PROCESS_LIVE) {
        /* It may see no acknowledgement any more, or it would perform effects (R18). */
        link_set_epoch(old->output.logger, epoch, epoch);
        old->oracle = NULL;
    }
    world->dying = NULL;
}

static void claim_inputs(struct world *world, struct process *backup, const struct process *old,
                         struct input_claim claim)
{
    int error = input_log_reign(world->il, backup->epoch, backup->claimant, &claim);
    if (error < 0)
        sim_violation("the IL refused the backup: %s", strerror(-error));
    world->il_peer = backup;
    if (input_log_reign(world->il, old->epoch, old->claimant, &claim) != -ESTALE)
        sim_violation("R17: the IL let an older master claim the inputs");
    if (input_log_reign(world->il, backup->epoch, backup->claimant + 1000, &claim) != -ESTALE)
        sim_violation("R17: the IL let two masters of one epoch claim the inputs");
}

void world_takeover(struct world *world)
{
    struct takeover takeover;
    struct process *old = world->dying;
    int error = output_log_takeover(world->ol, &takeover);

    if (error == -EIO) {
        world->takeover_in = 10; /* the disk refused: the old epoch still stands */
        return;
    }
    if (error == -ENOENT && world->base.mark.number == 0) {
        world->refused = true;
        return;
    }
    if (error < 0)
        sim_violation("takeover refused: %s", strerror(-error));
    if (takeover.base.number != world->base.mark.number || takeover.epoch <= old->epoch)
        sim_violation("R12: takeover under epoch %u of base %lx", takeover.epoch,
                      takeover.base.number);
    fence(world, old, takeover.epoch);
    for (uint32_t i = 0; i < world->image_count; i++)
        free(world->image[i].nf);
    world->image_count = 0;
    struct process *backup = world_process_add(world, takeover.epoch);
    claim_inputs(world, backup, old,
                 (struct input_claim){takeover.base.inputs_of, takeover.base.inputs_from});
    process_replay_begin(backup, &takeover, world->ol, world->base.nf);
    world->reigning = backup;
    world->totals->takeovers++;
}

static void cut(struct world *world, struct process *backup)
{
    struct positions cut = {.threads = backup->nf.threads};
    uint64_t outputs[THREADS_MAX] = {0}, effects[THREADS_MAX] = {0};
    struct replay *replay = backup->replay;

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
    oracle_cut(world->oracle, &replay->takeover.end, &cut, outputs, effects);
    if (output_log_cut(world->ol, backup->epoch - 1, &cut, outputs, effects) != -ESTALE)
        sim_violation("G5: the OL let an older epoch name the cut");
    int error = output_log_cut(world->ol, backup->epoch, &cut, outputs, effects);
    if (error < 0)
        sim_violation("the OL refused the cut: %s", strerror(-error));
    process_go_live(backup);
}

void world_replay(struct world *world)
{
    struct process *backup = world->reigning;

    for (uint32_t i = random_below(&world->random, 30); i > 0; i--)
        process_replay_step(backup, random_below(&world->random, backup->nf.threads));
    if (random_percent(&world->random, 10) && process_replay_at_rest(backup))
        cut(world, backup);
}
