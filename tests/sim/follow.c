/*
 * The logs as a backup gets them: pieces of streams that grow while they are replayed, told to the
 * OL as they are used up. All that a hot standby does beside replaying, and what a cold backup does
 * in a takeover.
 */
#include <stdlib.h>
#include <string.h>

#include "core/assert.h"
#include "process.h"

/* As stored_add of the runtime. */
static void stream_add(struct replay_thread *thread, const struct message_stored_log *piece)
{
    const uint64_t mask = STREAM_RING_BYTES - 1;

    if (piece->offset != thread->length || piece->to < thread->to)
        sim_violation("R3: thread %u: a piece at %lu up to event %lu where %lu and %lu were due",
                      piece->thread, piece->offset, piece->to, thread->length, thread->to);
    if (thread->length + piece->length - log_reader_consumed(&thread->reader) > STREAM_RING_BYTES ||
        thread->segment_count + piece->segment_count - log_reader_entered(&thread->reader) >
            STORED_SEGMENTS_MAX)
        sim_violation("thread %u: more was sent than the standby has room for", piece->thread);
    for (uint32_t i = 0; i < piece->length; i++) {
        uint64_t at = (thread->length + i) & mask;
        thread->ring[at] = thread->ring[at + STREAM_RING_BYTES] = piece->bytes[i];
    }
    for (uint32_t i = 0; i < piece->segment_count; i++)
        thread->segments[thread->segment_count++ % STORED_SEGMENTS_MAX] = piece->segments[i];
    thread->length += piece->length;
    thread->to = piece->to;
    log_reader_extend(&thread->reader, thread->length, thread->segment_count, thread->to);
}

/* R14: what the OL has need not be kept. */
static void forget_held(struct process *process, uint32_t t)
{
    struct output_ring *ring = &process->ring[t];

    while (ring->head != ring->tail &&
           ring->item[ring->head % SIM_RING_MAX].number <= process->replay->held[t])
        ring->head++;
}

/* R18: nor what the master has performed. */
static void forget_effects(struct process *process)
{
    uint32_t kept = process->effects_head;

    for (uint32_t i = process->effects_head; i != process->effects_tail; i++) {
        const struct effect *effect = &process->effects[i % SIM_EFFECTS_MAX];
        if (effect->number > process->replay->effects[effect->thread])
            process->effects[kept++ % SIM_EFFECTS_MAX] = *effect;
    }
    process->effects_tail = kept;
}

static void take_piece(struct process *process, const struct message_stored_log *piece)
{
    struct replay *replay = process->replay;
    uint32_t t = piece->thread;

    ASSERT(t < process->nf.threads);
    stream_add(&replay->thread[t], piece);
    if (replay->held[t] < piece->held)
        replay->held[t] = piece->held;
    if (replay->effects[t] < piece->effects)
        replay->effects[t] = piece->effects;
    forget_held(process, t);
    forget_effects(process);
}

/* Inputs below the base are of no use to anybody. */
static void take_committed(struct process *process, const struct snapshot_mark *mark)
{
    struct control *control = control_push(&process->input.to);

    process->replay->base = *mark;
    process->replay->open = false;
    control->kind = CONTROL_TRUNCATE;
    control->epoch = process->epoch;
    control->number = mark->inputs_from;
}

/* FOLLOW: the inputs from the base on are asked for. */
static void take_follow(struct process *process)
{
    struct control *control = control_push(&process->input.to);

    control->kind = CONTROL_COPY;
    control->epoch = process->epoch;
    control->claim = process->rejoin.inputs;
}

void process_control_replay(struct process *process)
{
    struct control *control = control_pop(&process->output.from);

    if (control == NULL)
        return;
    switch (control->kind) {
    case CONTROL_FOLLOW:
        take_follow(process);
        break;
    case CONTROL_STORED_LOG:
        take_piece(process, control->piece);
        break;
    default:
        ASSERT(control->kind == CONTROL_COMMITTED);
        take_committed(process, &control->resume.mark);
    }
    free(control->body);
    control->body = NULL;
}

void process_tell_progress(struct process *process)
{
    struct replay *replay = process->replay;
    struct message_progress progress = {.positions.threads = process->nf.threads};
    bool moved = false;

    for (uint32_t t = 0; t < process->nf.threads; t++) {
        progress.positions.at[t] = process->nf.thread[t].state.position;
        progress.consumed[t] = log_reader_consumed(&replay->thread[t].reader);
        moved |= progress.positions.at[t] != replay->thread[t].told;
        replay->thread[t].told = progress.positions.at[t];
    }
    if (!moved)
        return;
    struct control *control = control_push(&process->output.to);
    control->kind = CONTROL_PROGRESS;
    control->epoch = process->epoch;
    control->progress = malloc(sizeof(progress));
    ASSERT(control->progress != NULL);
    *control->progress = progress;
}

/* The oldest input that it has not consumed; what has not arrived was not. */
static packet_id inputs_needed(const struct process *process)
{
    packet_id id = process->replay->base.inputs_from;

    while (id < process->rejoin.inputs.from && toy_has_consumed(&process->nf, id))
        id++;
    return id;
}

bool process_standby_snapshot(struct process *process)
{
    struct replay *replay = process->replay;
    struct toy_nf *nf = &process->nf;
    struct snapshot_mark mark = {.threads = nf->threads, .replayed = true};

    for (uint32_t t = 0; t < nf->threads; t++)
        if (replay->thread[t].range_count > 0)
            return false;
    if (replay->number >> 32 != process->epoch)
        replay->number = (uint64_t)process->epoch << 32;
    mark.number = ++replay->number;
    mark.positions.threads = nf->threads;
    struct control *control = control_push(&process->output.to);
    control->image = malloc(sizeof(*nf));
    ASSERT(control->image != NULL);
    *control->image = *nf;
    for (uint32_t t = 0; t < nf->threads; t++) {
        const struct thread_state *state = &nf->thread[t].state;

        mark.positions.at[t] = state->position;
        mark.outputs[t] = state->outputs;
        mark.effects[t] = state->effects;
        log_reader_codec(&replay->thread[t].reader, &control->image->thread[t].state.codec);
    }
    mark.inputs_of = process->rejoin.inputs.of;
    mark.inputs_from = inputs_needed(process);
    control->kind = CONTROL_SNAPSHOT;
    control->epoch = process->epoch;
    control->resume.mark = mark;
    control->tainted = process->departed;
    replay->open = true;
    return true;
}
