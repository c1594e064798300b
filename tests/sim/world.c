#include "world.h"

#include <stdlib.h>
#include <string.h>

#include "core/assert.h"

#define CRASHES_MAX 4u
#define DRAIN_STEPS_MAX 400000u

struct process *world_process_add(struct world *world, uint32_t epoch)
{
    ASSERT(world->process_count < WORLD_PROCESSES_MAX);
    struct process *process =
        process_create(&world->random, &world->now_ns, &world->faults, epoch, ++world->claims);
    process->oracle = process->judge = world->oracle;
    world->process[world->process_count++] = process;
    return process;
}

static void world_create(struct world *world, uint64_t seed)
{
    static const uint32_t steps_ns[] = {2000, 20000, 200000};
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
    world->ship_percent = random_range(random, 2, 20);
    world_loggers_create(world);

    uint32_t epoch, threads = random_range(random, 2, SIM_THREADS_MAX);
    oracle_reset(world->oracle, threads);
    int error = output_log_start(world->ol, &epoch);
    ASSERT(error == 0 && epoch == 1);
    struct process *master = world_process_add(world, epoch);
    toy_create(&master->nf, threads, random);
    process_go_live(master);
    struct input_claim all = {0};
    error = input_log_reign(world->il, epoch, master->claimant, &all);
    ASSERT(error == 0);
    world->reigning = world->il_peer = master;
}

static void world_destroy(struct world *world)
{
    for (uint32_t i = 0; i < world->process_count; i++)
        process_destroy(world->process[i]);
    for (uint32_t i = 0; i < world->image_count; i++)
        free(world->image[i].nf);
    free(world->base.nf);
    input_log_destroy(world->il);
    output_log_destroy(world->ol);
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
            process_perform_effects(process);
        else if (process->barrier && act > 60)
            process_snapshot(process);
        else
            process_record_step(process, random_below(random, process->nf.threads));
        if (!process->barrier && (process == world->reigning || process->oracle == NULL) &&
            ((random_below(random, 1000) < world->snapshot_permille && !world->draining &&
              world->image_count < 2 && process->to_output.head == process->to_output.tail) ||
             (random_percent(random, 2) && output_log_wants_snapshot(world->ol))))
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
    if (random_percent(random, 15)) /* the dead still have frames under way, the cut off live */
        process = world->process[random_below(random, world->process_count)];
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
    if (world->takeover_in > 0 && --world->takeover_in == 0)
        world_takeover(world);
}

static bool drained(const struct world *world)
{
    const struct process *master = world->reigning;
    struct input_log_state inputs;

    if (master == NULL || master->mode != PROCESS_LIVE || !process_quiet(master))
        return false;
    for (uint32_t t = 0; t < master->nf.threads; t++)
        if (world->oracle->released[t] != master->nf.thread[t].state.outputs)
            return false;
    input_log_state(world->il, &inputs);
    if (master->queue_count >= SIM_QUEUE_INPUTS - 2 * SIM_FRAME_PACKETS)
        return true; /* no thread receives any more: the rest waits at the IL */
    return inputs.unsent == inputs.next && master->arrived == inputs.next;
}

static void check_end(const struct world *world)
{
    const struct process *master = world->reigning;
    const struct toy_nf *nf = &master->nf;
    struct output_log_state state;

    output_log_state(world->ol, &state);
    if (state.held != 0)
        sim_violation("G4: %lu outputs are still held at the end", state.held);
    for (uint32_t t = 0; t < nf->threads; t++)
        if (world->oracle->effects[t] != nf->thread[t].state.effects)
            sim_violation("R18: thread %u performed %lu effects of %lu", t,
                          world->oracle->effects[t], nf->thread[t].state.effects);
    for (packet_id id = 1; id < master->arrived; id++) {
        bool queued = false;
        for (uint32_t i = 0; i < master->queue_count; i++)
            queued |= master->queue[i] == id;
        bool consumed = world->oracle->consumed[id].thread != 0;
        if (consumed != toy_has_consumed(nf, id))
            sim_violation("R15: NF and oracle disagree about input %lu", id);
        if (consumed == queued)
            sim_violation("R15: input %lu is %s", id, consumed ? "offered again" : "lost");
    }
    if (nf->items > 0 && nf->waiters != 0 && nf->woken == 0)
        sim_violation("R9: lost wake-up: items and waiters %x, nobody woken", nf->waiters);
}

static void describe_stuck(const struct world *world)
{
    const struct process *master = world->reigning;
    struct output_log_state state;
    struct input_log_state inputs;

    output_log_state(world->ol, &state);
    input_log_state(world->il, &inputs);
    if (master == NULL || master->mode != PROCESS_LIVE)
        sim_violation("R3: stuck in takeover");
    for (uint32_t t = 0; t < master->nf.threads; t++)
        if (world->oracle->released[t] != master->nf.thread[t].state.outputs ||
            !process_thread_idle(master, t))
            sim_violation("R3: stuck: thread %u sent %lu, released %lu, step %u; base %lx, held "
                          "%lu, R %lu of %lu",
                          t, master->nf.thread[t].state.outputs, world->oracle->released[t],
                          master->step[t].phase, state.base, state.held,
                          positions_get(&state.received, t), master->nf.thread[t].state.position);
    sim_violation("R3: stuck: inputs %lu of %lu arrived, %lu sent, %u queued; quiet %d, frames %lu "
                  "of %lu acknowledged, input frames %lu of %lu",
                  master->arrived, inputs.next, inputs.unsent, master->queue_count,
                  process_quiet(master), link_acked(master->output.own), master->output.committed,
                  link_acked(master->input.logger), master->input.logger_committed);
}

static void drain(struct world *world)
{
    world->draining = true;
    world->step_max_ns = 200000; /* time-outs, not steps, are what is waited for */
    for (uint32_t step = 0; step < DRAIN_STEPS_MAX; step++) {
        if (world->reigning != NULL)
            world->reigning->draining = true;
        world_step(world);
        if (world->refused)
            return;
        if (step % 16 == 0 && drained(world)) {
            world->totals->drain_steps += step;
            check_end(world);
            return;
        }
    }
    describe_stuck(world);
}

static void add_up(struct world *world)
{
    struct totals *totals = world->totals;
    struct output_log_state state;

    output_log_state(world->ol, &state);
    totals->stale_frames += state.stale_frames;
    totals->runs++;
    totals->refused += world->refused;
    for (uint32_t t = 0; t < world->oracle->threads; t++) {
        totals->events += world->oracle->last[t];
        totals->effects += world->oracle->effects[t];
    }
    for (uint32_t i = 0; i < world->process_count; i++) {
        const struct process *process = world->process[i];
        totals->waits_log += process->waits_log;
        totals->waits_ring += process->waits_ring;
        const struct link_counters *counters = link_counters(process->output.logger);
        totals->dropped += counters->dropped_duplicate + counters->dropped_gap;
        totals->no_credit += counters->dropped_no_credit;
        if (process->output.own != NULL)
            totals->resent += link_counters(process->output.own)->resent;
    }
}

void world_run(uint64_t seed, struct oracle *oracle, struct totals *totals)
{
    static struct world world;
    static const uint32_t lengths[] = {600, 2000, 6000, 20000};

    world = (struct world){.oracle = oracle, .totals = totals};
    world_create(&world, seed);
    struct random *random = &world.random;
    uint32_t steps = lengths[random_below(random, 4)];
    bool early = random_percent(random, 4); /* may die before the first base */
    uint32_t crash[CRASHES_MAX], crashes = random_below(random, CRASHES_MAX + 1);
    for (uint32_t i = 0; i < crashes; i++)
        crash[i] = random_below(random, steps);
    for (uint32_t step = 0; step < steps && !world.refused; step++) {
        world_step(&world);
        for (uint32_t i = 0; i < crashes; i++) {
            if (crash[i] != step)
                continue;
            if (early || world.base.mark.number != 0)
                world_master_dies(&world);
            else
                crash[i] += 50;
        }
    }
    if (!world.refused)
        drain(&world);
    if (world.refused)
        for (uint32_t t = 0; t < oracle->threads; t++)
            if (oracle->released[t] != 0)
                sim_violation("R16: outputs were released and nothing can be recovered");
    add_up(&world);
    world_destroy(&world);
}
