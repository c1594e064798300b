/*
 * How a run ends: the links heal, and everything converges to the same state as if nothing had
 * happened, but for packets that were in flight at a dead logger (G7); or, where two deaths met,
 * it was refused, and stays refused.
 */
#include <errno.h>
#include <string.h>

#include "core/assert.h"
#include "world.h"

#define DRAIN_STEPS_MAX 400000u
#define REFUSED_STEPS 300u

/* Would the death of any one process cost nothing but packets in flight (G7)? */
bool world_protected(const struct world *world)
{
    const struct process *master = world->reigning;

    return master != NULL && master->mode == PROCESS_LIVE && world->ol != NULL &&
           world->il != NULL && world->base.mark.inputs_of == world->il_of &&
           master->output.of == world->ol_of && master->input.of == world->il_of &&
           master->rejoin.output == OUTPUT_SERVES && master->rejoin.input == INPUT_SERVES &&
           world_backup_ready(world);
}

/* Has the standby all that the master has? */
static bool caught_up(const struct world *world)
{
    const struct process *standby = world->standby.process, *master = world->reigning;

    if (standby == NULL)
        return true;
    for (uint32_t t = 0; t < master->nf.threads; t++)
        if (standby->nf.thread[t].state.position != master->nf.thread[t].state.position ||
            standby->ring[t].head != standby->ring[t].tail)
            return false;
    return true;
}

static bool drained(const struct world *world)
{
    const struct process *master = world->reigning;
    struct input_log_state inputs;

    if (!world_protected(world) || !process_quiet(master) || !caught_up(world))
        return false;
    for (uint32_t t = 0; t < master->nf.threads; t++)
        if (world->oracle->released[t] != master->nf.thread[t].state.outputs)
            return false;
    input_log_state(world->il, &inputs);
    if (master->queue_count >= SIM_QUEUE_INPUTS - 2 * SIM_FRAME_PACKETS)
        return true; /* no thread receives any more: the rest waits at the IL */
    return inputs.unsent == inputs.next && master->rejoin.inputs.from == inputs.next;
}

static bool is_queued(const struct process *master, struct input_name input)
{
    for (uint32_t i = 0; i < master->queue_count; i++)
        if (master->queue[i].of == input.of && master->queue[i].id == input.id)
            return true;
    return false;
}

/* Each input once: of the living IL all that arrived; of dead ones those in flight are lost. */
static void check_inputs(struct world *world)
{
    const struct process *master = world->reigning;
    struct input_name input;

    for (input.of = 1; input.of <= world->oracle->input_loggers; input.of++) {
        bool alive = input.of == world->il_of;
        packet_id end = alive ? master->rejoin.inputs.from : world->oracle->inputs[input.of] + 1;
        for (input.id = 1; input.id < end; input.id++) {
            bool consumed = oracle_consumption(world->oracle, input)->thread != 0;
            bool queued = is_queued(master, input);
            if (alive && consumed != toy_has_consumed(&master->nf, input.id))
                sim_violation("R15: NF and oracle disagree about input %lu", input.id);
            if ((alive && consumed == queued) || (!alive && queued))
                sim_violation("R15: input %lu of %lu is %s", input.id, input.of,
                              queued ? "offered again" : "lost");
            world->totals->lost_inputs += !alive && !consumed;
        }
    }
}

static void check_end(struct world *world)
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
    check_inputs(world);
    if (world->output_bare || world->input_bare)
        sim_violation("G7: protection did not come back");
    if (nf->items > 0 && nf->waiters != 0 && nf->woken == 0)
        sim_violation("R9: lost wake-up: items and waiters %x, nobody woken", nf->waiters);
}

static void describe_standby(const struct world *world)
{
    const struct process *standby = world->standby.process, *master = world->reigning;
    struct log_feed_lag lag = log_feed_lag(&world->standby.feed, world->ol);
    struct input_log_state inputs;

    input_log_state(world->il, &inputs);
    for (uint32_t t = 0; t < master->nf.threads; t++) {
        const struct replay_thread *thread = &standby->replay->thread[t];
        if (standby->nf.thread[t].state.position != master->nf.thread[t].state.position)
            sim_violation(
                "R3: stuck: standby's thread %u at %lu of %lu, told %lu, stream %lu used "
                "%lu of %lu, input %lu, copied %lu; lag %lu bytes, %lu events; departed %d",
                t, standby->nf.thread[t].state.position, master->nf.thread[t].state.position,
                thread->to, thread->told, log_reader_consumed(&thread->reader), thread->length,
                standby->rejoin.inputs.from, inputs.uncopied, lag.bytes, lag.events,
                standby->departed);
    }
    for (uint32_t t = 0; t < master->nf.threads; t++)
        if (standby->ring[t].head != standby->ring[t].tail)
            sim_violation("R14: stuck: the standby keeps output %lu of thread %u, the OL has %lu, "
                          "told %lu",
                          standby->ring[t].item[standby->ring[t].head % SIM_RING_MAX].number, t,
                          output_log_arrived(world->ol, t), standby->replay->held[t]);
}

static void describe_stuck(const struct world *world)
{
    const struct process *master = world->reigning;
    struct output_log_state state;
    struct input_log_state inputs;

    if (world->ol == NULL || world->il == NULL)
        sim_violation("R3: stuck without a logger");
    output_log_state(world->ol, &state);
    input_log_state(world->il, &inputs);
    if (master == NULL || master->mode != PROCESS_LIVE)
        sim_violation("R3: stuck in takeover");
    if (!world_protected(world))
        sim_violation("R16: stuck: output side %d, input side %d, base %lx of inputs of %lu, "
                      "IL %lu, backup there %d of %lu fed %lx; barrier %d, held %lu, effects %u",
                      master->rejoin.output, master->rejoin.input, world->base.mark.number,
                      world->base.mark.inputs_of, world->il_of, world->backup.there,
                      world->backup.of, world->backup.fed.mark.number, master->barrier, state.held,
                      master->effects_tail - master->effects_head);
    for (uint32_t t = 0; t < master->nf.threads; t++)
        if (world->oracle->released[t] != master->nf.thread[t].state.outputs ||
            !process_thread_idle(master, t))
            sim_violation("R3: stuck: thread %u sent %lu, released %lu, step %u; base %lx, held "
                          "%lu, R %lu of %lu",
                          t, master->nf.thread[t].state.outputs, world->oracle->released[t],
                          master->step[t].phase, state.base, state.held,
                          positions_get(&state.received, t), master->nf.thread[t].state.position);
    if (!caught_up(world))
        describe_standby(world);
    sim_violation("R3: stuck: inputs %lu of %lu arrived, %lu sent, %u queued; quiet %d, frames %lu "
                  "of %lu acknowledged, input frames %lu of %lu",
                  master->rejoin.inputs.from, inputs.next, inputs.unsent, master->queue_count,
                  process_quiet(master), link_acked(master->output.own), master->output.committed,
                  link_acked(master->input.logger), master->input.logger_committed);
}

void world_drain(struct world *world, void (*step)(struct world *world))
{
    world->draining = true;
    world->step_max_ns = 200000; /* time-outs, not steps, are what is waited for */
    for (uint32_t i = 0; i < DRAIN_STEPS_MAX; i++) {
        if (world->reigning != NULL)
            world->reigning->draining = true;
        step(world);
        if (world->refused)
            return;
        if (i % 16 == 0 && drained(world)) {
            world->totals->drain_steps += i;
            check_end(world);
            return;
        }
    }
    describe_stuck(world);
}

/* ---- refused ---- */

static uint64_t released(const struct world *world)
{
    uint64_t sum = 0;

    for (uint32_t t = 0; t < world->oracle->threads; t++)
        sum += world->oracle->released[t];
    return sum;
}

/* Was it right to refuse? One death alone never ends anything (G7). */
static void check_refusal(const struct world *world, enum refusal refusal)
{
    switch (refusal) {
    case REFUSED_UNBORN:
        if (released(world) != 0)
            sim_violation("R16: outputs were released and nothing can be recovered");
        return;
    case REFUSED_OUTPUT:
        if (!world->output_bare)
            sim_violation("G7: the OL has no state, though none died since its base");
        break;
    case REFUSED_DEPARTED:
    case REFUSED_UNSEEN:
        if (world->plant_rate == 0 && !world->input_bare)
            sim_violation("G6: refused, though nothing departed from the log");
        return;
    default:
        if (!world->input_bare || world->takeover.base.inputs_of == world->il_of)
            sim_violation("G7: inputs of a living IL were refused");
    }
    if (world->deaths < 2 || (world->careful && world->deaths_at_once == 0))
        sim_violation("G7: refused after one death");
}

void world_refuse(struct world *world, enum refusal refusal)
{
    check_refusal(world, refusal);
    world->refused = refusal;
    world->released_then = released(world);
    for (uint32_t i = 0; i < world->process_count; i++)
        if (world->process[i]->mode == PROCESS_DEAD)
            connection_lost(&world->process[i]->output); /* what it said was heard before */
    world->dying = world->reigning = NULL;
    world->takeover_in = 0;
}

/* Whoever comes afterwards, nobody goes on from there. */
void world_stays_refused(struct world *world, void (*step)(struct world *world))
{
    struct takeover takeover;
    struct input_claim claim = {world->takeover.base.inputs_of, world->takeover.base.inputs_from};

    world->draining = true;
    for (uint32_t i = 0; i < REFUSED_STEPS; i++)
        step(world);
    if (released(world) != world->released_then)
        sim_violation("R16: released after it was refused");
    if (world->refused == REFUSED_INPUT &&
        (input_log_reign(world->il, world->takeover.epoch + 1, 1u << 30, &claim) != -ENODATA))
        sim_violation("R16: inputs of a dead IL were refused once, and then not");
    if (world->refused == REFUSED_OUTPUT && output_log_takeover(world->ol, &takeover) != -ENOENT)
        sim_violation("R16: a state that was lost is there again");
}
