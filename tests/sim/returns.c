/*
 * Loggers die and come back (R16). A dead logger's memory is gone, its messages with it; what
 * lies in the networks stays there. Each process notices in its own time, and comes back.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/assert.h"
#include "world.h"

#define AWAY_STEPS_MAX 300u
#define NOTICE_PERCENT 10u
#define CONNECT_PERCENT 10u

static void images_forget(struct world *world)
{
    world_images_drop(world);
    free(world->base.nf);
    world->base = (struct image){0};
}

/* All that it had in memory is gone. */
static void output_forget(struct world *world)
{
    struct process *reigning = world->reigning, *dying = world->dying;
    const struct positions *recoverable = world_recoverable(world, world->ol_of);
    world->had_base[world->ol_of] = recoverable != NULL;
    if (recoverable != NULL)
        world->recoverable[world->ol_of] = *recoverable;
    output_log_destroy(world->ol);
    world->ol = NULL;
    world->ol_of = 0;
    images_forget(world);
    for (uint32_t i = 0; i < world->process_count; i++)
        connection_logger_dies(&world->process[i]->output);
    world->takeover_in = 0;
    if (dying != NULL && dying->mode == PROCESS_LIVE && !world->raised) {
        world->reigning = dying; /* nobody took its reign away, and the cut ends */
    } else if (reigning == NULL || reigning->mode == PROCESS_REPLAY) {
        if (reigning != NULL)
            process_kill(reigning); /* says that it cannot take over any more */
        world->reigning = NULL;
        world->state_lost = true;
    }
    world->dying = NULL;
    world->raised = false;
    world->output_bare = true;
    world_standby_output_forgotten(world);
}

void world_output_logger_dies(struct world *world)
{
    if (world->ol == NULL || world->ol_births + 1 == SIM_LOGGERS_MAX)
        return;
    output_forget(world);
    world->deaths++;
    world->totals->ol_deaths++;
    world->ol_back_in = 1 + random_below(&world->random, AWAY_STEPS_MAX);
}

void world_output_cut(struct world *world)
{
    if (world->ol == NULL || world->ol_births == 1 || world->base.mark.number != 0 ||
        world->reigning == NULL || world->ol_births + 1 == SIM_LOGGERS_MAX)
        return;
    output_forget(world);
    world->totals->ol_cuts++;
    world->ol_back_in = 1;
}

void world_input_logger_dies(struct world *world)
{
    if (world->il == NULL || world->il_births + 1 == SIM_LOGGERS_MAX)
        return;
    input_log_destroy(world->il);
    world->il = NULL;
    world->il_of = 0;
    world->il_peer = NULL;
    for (uint32_t i = 0; i < world->process_count; i++)
        connection_logger_dies(&world->process[i]->input);
    world->standby.copied = NULL;
    if (world->standby.process != NULL)
        connection_logger_dies(&world->standby.process->input);
    world->input_bare = true;
    world->deaths++;
    world->totals->il_deaths++;
    world->il_back_in = 1 + random_below(&world->random, AWAY_STEPS_MAX);
}

void world_input_cut(struct world *world)
{
    struct process *process = world->reigning;

    if (process == NULL || process->mode != PROCESS_LIVE || process->input.of != world->il_of)
        return;
    connection_logger_dies(&process->input);
    if (world->il_peer == process)
        world->il_peer = NULL;
    world->totals->il_cuts++;
}

/* A reign that did not end lies on the disk: its master may live, or its state is lost. */
static bool admits_fresh_master(struct world *world)
{
    uint32_t epoch;

    if (world->ol_epoch > 0)
        return false;
    return output_log_start(world->ol, &epoch) == 0;
}

void world_loggers_return(struct world *world)
{
    if (world->il_back_in > 0 && --world->il_back_in == 0)
        world_input_logger_begins(world);
    if (world->ol_back_in > 0 && --world->ol_back_in == 0) {
        world_output_logger_begins(world);
        if (world->state_lost)
            world_refuse(world, REFUSED_OUTPUT);
    }
    if (world->ol != NULL && world->ol_births > 1 && random_below(&world->random, 500) == 0) {
        world->totals->strangers++;
        if (admits_fresh_master(world))
            sim_violation("R16: a fresh master was let in where another one's reign is open");
    }
}

/* ---- the processes ---- */

/* A refusal that the process obeys: another one reigns. */
static void fenced(struct world *world, struct process *process, const char *who)
{
    if (process->oracle != NULL)
        sim_violation("G7: the %s fenced the reigning master", who);
    world->totals->fenced++;
    process_kill(process);
}

/* HELLO: the daemon compares epochs before it says WELCOME; RESUME is checked again by the core. */
static void hello_output(struct world *world, struct process *process)
{
    if (process->epoch > world->ol_epoch)
        sim_violation("R17: the OL's disk knows epoch %u, a master reigned under %u",
                      world->ol_epoch, process->epoch);
    if (process->epoch < world->ol_epoch && random_percent(&world->random, 50)) {
        fenced(world, process, "OL");
        return;
    }
    process_output_welcomed(process, world->ol_of);
}

static void mind_output(struct world *world, struct process *process)
{
    struct connection *output = &process->output;

    if (output->of != 0 && output->of != world->ol_of &&
        random_percent(&world->random, NOTICE_PERCENT))
        process_output_lost(process);
    if (output->of == 0 && world->ol != NULL && random_percent(&world->random, CONNECT_PERCENT))
        hello_output(world, process);
}

static void mind_input(struct world *world, struct process *process)
{
    struct connection *input = &process->input;
    bool lost = input->of != world->il_of || input->logger == NULL;

    if (input->of != 0 && lost && random_percent(&world->random, NOTICE_PERCENT)) {
        if (process->mode == PROCESS_REPLAY) {
            world_replay_ends(world); /* its inputs died: it says so */
            return;
        }
        process_input_lost(process);
    }
    if (input->of == 0 && world->il != NULL && random_percent(&world->random, CONNECT_PERCENT))
        process_input_connected(process, world->il_of);
}

void world_mind(struct world *world, struct process *process)
{
    if (process->mode != PROCESS_DEAD)
        mind_input(world, process);
    if (process->mode != PROCESS_LIVE)
        return;
    mind_output(world, process);
    if (process->mode == PROCESS_LIVE && random_percent(&world->random, 20)) {
        process_control_output(process);
        process_control_input(process);
    }
}
