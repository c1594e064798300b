#include "world.h"

#include <stdlib.h>
#include <string.h>

#include "core/assert.h"

#define DEATHS_MAX 48u
#define STEPS_MANY 40000u
#define DEATH_RETRY_STEPS 50u
#define RECOVERY_STEPS 300u

struct process *world_process_create(struct world *world, uint32_t epoch)
{
    struct process *process =
        process_create(&world->random, &world->now_ns, &world->faults, epoch, ++world->claims);
    process->oracle = process->judge = world->oracle;
    process->output.of = world->ol_of;
    process->input.of = world->il_of;
    return process;
}

struct process *world_process_add(struct world *world, struct process *process)
{
    ASSERT(world->process_count < WORLD_PROCESSES_MAX);
    world->process[world->process_count++] = process;
    return process;
}

static void world_create(struct world *world, uint64_t seed)
{
    static const uint32_t steps_ns[] = {2000, 20000, 200000};
    static const uint32_t hot[] = {0, 50, 100, 100}, standby_percent[] = {3, 40, 90, 90};
    static const uint64_t lags[] = {512, 3000, UINT64_MAX, UINT64_MAX};
    struct random *random = &world->random;

    random->state = mix64(seed);
    world->step_max_ns = steps_ns[random_below(random, 3)];
    if (random_percent(random, 70))
        world->faults = (struct faults){.drop_percent = random_below(random, 16),
                                        .double_percent = random_below(random, 16),
                                        .corrupt_percent = random_below(random, 11)};
    world->faults.delay_max_ns = (int64_t)random_below(random, 400000);
    world->partition_rate = random_percent(random, 30) ? random_range(random, 1, 4) : 0;
    world->input_percent = random_range(random, 1, 12);
    world->snapshot_permille = random_range(random, 1, 12);
    world->others_percent = random_percent(random, 85) ? 15 : 60;
    world->ship_percent = random_range(random, 2, 20);
    world->hot_percent = hot[random_below(random, 4)];
    world->standby_percent = standby_percent[random_below(random, 4)];
    world->notice_permille = random_percent(random, 30) ? 2 : 50;
    world->lag_bytes = lags[random_below(random, 4)];
    world->plant_rate = random_percent(random, 12) ? random_range(random, 1, 30) : 0;

    uint32_t epoch, threads = random_range(random, 2, SIM_THREADS_MAX);
    oracle_reset(world->oracle, threads);
    world_loggers_create(world);
    int error = output_log_start(world->ol, &epoch);
    ASSERT(error == 0 && epoch == 1);
    struct process *master = world_process_add(world, world_process_create(world, epoch));
    toy_create(&master->nf, threads, random);
    struct input_claim all = {0};
    error = input_log_reign(world->il, epoch, master->claimant, &all);
    ASSERT(error == 0);
    rejoin_init(&master->rejoin, all);
    process_go_live(master);
    world->il_epoch = epoch;
    world->reigning = world->il_peer = master;
    world->backup.joins_in = 1 + random_below(random, 200);
}

static void world_destroy(struct world *world)
{
    for (uint32_t i = 0; i < world->process_count; i++)
        process_destroy(world->process[i]);
    for (uint32_t i = 0; i < world->image_count; i++)
        free(world->image[i].nf);
    free(world->base.nf);
    free(world->backup.fed.nf);
    process_destroy(world->standby.process);
    input_log_destroy(world->il);
    output_log_destroy(world->ol);
}

static bool wants_snapshot(struct world *world, struct process *process)
{
    struct random *random = &world->random;

    if ((process != world->reigning && process->oracle != NULL) ||
        !rejoin_may_snapshot(&process->rejoin) ||
        process->snapshots - process->settled >= SIM_SNAPSHOTS_OPEN)
        return false;
    if (process->standby)
        return process_wants_snapshot(process);
    if (random_below(random, 1000) < world->snapshot_permille && !world->draining &&
        world->image_count < 2 && process->output.to.head == process->output.to.tail)
        return true;
    if (process->due)
        return true;
    if (random_percent(random, 2) && world->ol != NULL && output_log_wants_snapshot(world->ol))
        return true;
    return process_wants_snapshot(process);
}

/* What one process does in one step. */
static void process_act(struct world *world, struct process *process)
{
    struct random *random = &world->random;

    if (process->mode == PROCESS_LIVE) {
        uint32_t act = random_below(random, 100);
        if (act < world->ship_percent)
            process_ship(process);
        else if (act < world->ship_percent + 6)
            process_perform_effects(process, world_recoverable(world, process->output.of));
        else if (process->barrier && act > 60)
            process_snapshot(process);
        else
            process_record_step(process, random_below(random, process->nf.threads));
        if (!process->barrier && wants_snapshot(world, process))
            process->barrier = true;
    }
    if (process->mode != PROCESS_DEAD && random_percent(random, 50)) {
        process_receive_input(process);
        process_receive_output(process);
        process_transmit(process);
    }
}

static void world_step(struct world *world)
{
    struct random *random = &world->random;
    struct process *process = world->process[world->process_count - 1];

    world->now_ns += random_below(random, world->step_max_ns);
    if (random_percent(
            random,
            world->others_percent)) /* the dead still have frames under way, the cut off live */
        process = world->process[random_below(random, world->process_count)];
    world_mind(world, process);
    if (process == world->reigning && process->mode == PROCESS_REPLAY)
        world_replay(world);
    process_act(world, process);
    if (random_percent(random, 40))
        world_serve_output(world, process);
    if (random_percent(random, 40))
        world_serve_input(world, process);
    if (random_percent(random, 10))
        world_control_output(world, process);
    if (random_percent(random, 10))
        world_control_input(world, process);
    if (!world->draining && random_percent(random, world->input_percent))
        world_accept_input(world);
    if (!world->draining && random_below(random, 4000) < world->partition_rate) {
        process->partition_until_ns = world->now_ns + random_below(random, 20000000);
        world->totals->partitions++;
    }
    world_backup_step(world);
    world_standby_step(world);
    world_loggers_return(world);
    if (world->takeover_in > 0 && --world->takeover_in == 0)
        world_takeover(world);
}

static void add_up(struct world *world)
{
    struct totals *totals = world->totals;
    struct output_log_state state = {0};

    if (world->ol != NULL)
        output_log_state(world->ol, &state);
    totals->stale_frames += state.stale_frames;
    totals->runs++;
    totals->unborn += world->refused == REFUSED_UNBORN;
    totals->refused_output += world->refused == REFUSED_OUTPUT;
    totals->refused_input += world->refused == REFUSED_INPUT;
    totals->refused_departed += world->refused == REFUSED_DEPARTED;
    totals->unseen += world->refused == REFUSED_UNSEEN;
    totals->lost_outputs += world->oracle->lost_outputs;
    if (totals->most_takeovers < world->takeovers)
        totals->most_takeovers = world->takeovers;
    for (uint32_t t = 0; t < world->oracle->threads; t++) {
        totals->events += world->oracle->last[t];
        totals->effects += world->oracle->effects[t];
    }
    for (uint32_t of = 1; of <= world->oracle->input_loggers; of++)
        totals->input_barriers += world->oracle->ended[of];
    for (uint32_t i = 0; i < world->process_count; i++) {
        const struct process *process = world->process[i];
        totals->waits_log += process->waits_log;
        totals->waits_ring += process->waits_ring;
        if (process->output.logger != NULL) {
            const struct link_counters *counters = link_counters(process->output.logger);
            totals->dropped += counters->dropped_duplicate + counters->dropped_gap;
            totals->no_credit += counters->dropped_no_credit;
        }
        if (process->output.own != NULL)
            totals->resent += link_counters(process->output.own)->resent;
    }
}

/* ---- who dies when ---- */

enum death {
    DEATH_MASTER,
    DEATH_BACKUP,
    DEATH_IL,
    DEATH_OL,
    DEATH_IL_CUT,
    DEATH_OL_CUT,
    DEATH_STANDBY_IL_CUT,
    DEATH_STANDBY_OL_CUT
};

struct plan {
    uint32_t count;
    bool early; /* may die before the first base */
    struct {
        uint32_t step;
        bool twice; /* two at once, or the other while the first is being recovered from */
        bool follows;
        enum death death, other;
    } at[2 * DEATHS_MAX];
};

static enum death any_death(struct random *random)
{
    static const enum death deaths[] = {
        DEATH_MASTER,
        DEATH_MASTER,
        DEATH_MASTER,
        DEATH_MASTER,
        DEATH_BACKUP,
        DEATH_IL,
        DEATH_IL,
        DEATH_OL,
        DEATH_OL,
        DEATH_IL_CUT,
        DEATH_OL_CUT,
        DEATH_BACKUP,
        DEATH_STANDBY_IL_CUT,
        DEATH_STANDBY_OL_CUT,
    };
    return deaths[random_below(random, sizeof(deaths) / sizeof(*deaths))];
}

/* Most runs have a few deaths, some very many. */
static void plan_make(struct plan *plan, struct world *world, uint32_t steps, bool many)
{
    struct random *random = &world->random;
    uint32_t twice = random_percent(random, 50) ? random_below(random, 40) : 0;

    *plan = (struct plan){0};
    plan->early = random_percent(random, 4);
    plan->count = random_below(random, many ? DEATHS_MAX + 1 : 6);
    world->careful = many || random_percent(random, 50);
    for (uint32_t i = 0; i < plan->count; i++) {
        plan->at[i].step = random_below(random, steps);
        plan->at[i].death = any_death(random);
        plan->at[i].other = any_death(random);
        plan->at[i].twice = random_percent(random, twice);
    }
}

static void die(struct world *world, enum death death)
{
    switch (death) {
    case DEATH_MASTER:
        world_master_dies(world);
        break;
    case DEATH_BACKUP:
        world_backup_dies(world);
        break;
    case DEATH_IL:
        world_input_logger_dies(world);
        break;
    case DEATH_OL:
        world_output_logger_dies(world);
        break;
    case DEATH_IL_CUT:
        world_input_cut(world);
        break;
    case DEATH_OL_CUT:
        world_output_cut(world);
        break;
    case DEATH_STANDBY_IL_CUT:
        world_standby_input_cut(world);
        break;
    case DEATH_STANDBY_OL_CUT:
        world_standby_output_cut(world);
        break;
    }
}

static void plan_carry_out(struct plan *plan, struct world *world, uint32_t step)
{
    for (uint32_t i = 0; i < plan->count && !world->refused; i++) {
        if (plan->at[i].step != step)
            continue;
        bool wait = world->careful ? !world_protected(world) : !world->born && !plan->early;
        if (wait && !plan->at[i].follows) {
            plan->at[i].step += DEATH_RETRY_STEPS;
            continue;
        }
        die(world, plan->at[i].death);
        if (plan->at[i].follows || !plan->at[i].twice)
            continue;
        uint32_t other = plan->count++;
        bool later = random_percent(&world->random, 50);
        plan->at[other].step = step + (later ? random_below(&world->random, RECOVERY_STEPS) : 0);
        plan->at[other].follows = true;
        plan->at[other].death = plan->at[i].other;
        world->deaths_at_once++;
        world->totals->twice++;
    }
}

void world_run(uint64_t seed, struct oracle *oracle, struct totals *totals)
{
    static struct world world;
    static struct plan plan;
    static const uint32_t lengths[] = {600, 2000, 6000, 20000};

    world = (struct world){.oracle = oracle, .totals = totals};
    world_create(&world, seed);
    bool many = random_percent(&world.random, 3);
    uint32_t steps = many ? STEPS_MANY : lengths[random_below(&world.random, 4)];
    plan_make(&plan, &world, steps, many);
    for (uint32_t step = 0; step < steps && !world.refused; step++) {
        world_step(&world);
        plan_carry_out(&plan, &world, step);
    }
    if (!world.refused)
        world_drain(&world, world_step);
    if (world.refused)
        world_stays_refused(&world, world_step);
    add_up(&world);
    world_destroy(&world);
}
