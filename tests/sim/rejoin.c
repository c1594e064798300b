/*
 * The process's side of a logger that died and came back (R16): what core/rejoin.h asks for, and
 * the messages that go with it.
 */
#include <stdlib.h>
#include <string.h>

#include "core/assert.h"
#include "process.h"

#define PATIENCE_MAX 400u

/* ---- output logger ---- */

/* Nobody will commit what was made so far. */
static void process_snapshots_void(struct process *process)
{
    process->settled = process->snapshots;
}

void process_output_lost(struct process *process)
{
    rejoin_output_lost(&process->rejoin);
    connection_lost(&process->output);
    process->shipped_head = process->shipped_tail;
    process->based = BASED_NOT;
    process->barrier = false;
    process->standby = process->due = false;
    process_snapshots_void(process);
}

void process_output_welcomed(struct process *process, uint64_t of)
{
    uint32_t session = (uint32_t)random_next(process->random) | 1;

    connection_renew(&process->output, session, process->epoch, of);
    rejoin_output_welcomed(&process->rejoin);
}

void process_discard(struct process *process)
{
    for (uint32_t t = 0; t < process->nf.threads; t++)
        log_discard(&process->log[t]);
}

void process_resume(struct process *process, const struct snapshot_mark *mark)
{
    struct control *control = control_push(&process->output.to);

    control->kind = CONTROL_RESUME;
    control->epoch = process->epoch;
    control->resume.mark = *mark;
    for (uint32_t t = 0; t < process->nf.threads; t++) {
        control->resume.shipped[t] = process->given[t];
        control->resume.performed[t] = process->performed[t];
    }
    process->acked = mark->positions;
}

/* The input logger may forget what a base no longer needs: its own ids only. */
static void truncate_inputs(struct process *process, const struct snapshot_mark *mark)
{
    if (mark->inputs_of != process->input.of || process->rejoin.input != INPUT_SERVES)
        return;
    struct control *control = control_push(&process->input.to);
    control->kind = CONTROL_TRUNCATE;
    control->epoch = process->epoch;
    control->number = mark->inputs_from;
}

/* A standby's: it has the input logger forget; our numbers come after. */
static void on_committed(struct process *process, const struct snapshot_mark *mark)
{
    uint32_t number = (uint32_t)mark->number;

    if (mark->number >> 32 != process->epoch)
        return;
    if (process->settled < number)
        process->settled = number;
    if (process->snapshots < number)
        process->snapshots = number;
    if (!mark->replayed)
        truncate_inputs(process, mark);
}

void process_control_output(struct process *process)
{
    struct control *control = control_pop(&process->output.from);

    if (control == NULL)
        return;
    switch (control->kind) {
    case CONTROL_GO:
        rejoin_output_go(&process->rejoin);
        break;
    case CONTROL_IMAGE_STORED:
        if (process->based == BASED)
            break;
        process->based = BASED_STORED;
        process->stored = control->resume.mark;
        break;
    case CONTROL_COMMITTED:
        process->based = BASED;
        on_committed(process, &control->resume.mark);
        break;
    case CONTROL_STANDBY:
        process->standby = control->number != 0;
        process->due |= !process->standby;
        process_snapshots_void(process);
        break;
    default:
        ASSERT(control->kind == CONTROL_STORED_LOG); /* it went live without */
        free(control->body);
        control->body = NULL;
    }
}

/* ---- input logger ---- */

void process_input_lost(struct process *process)
{
    rejoin_input_lost(&process->rejoin);
    connection_lost(&process->input);
}

void process_input_connected(struct process *process, uint64_t of)
{
    uint32_t session = (uint32_t)random_next(process->random) | 1;

    connection_renew(&process->input, session, process->epoch, of);
    struct control *control = control_push(&process->input.to);
    control->kind = CONTROL_REIGN;
    control->epoch = process->epoch;
    control->claim = rejoin_input_claim(&process->rejoin, of);
}

void process_control_input(struct process *process)
{
    const struct control *control = control_pop(&process->input.from);

    if (control == NULL)
        return;
    ASSERT(control->kind == CONTROL_REIGN);
    rejoin_input_claimed(&process->rejoin, control->claim);
    process->patience = random_below(process->random, PATIENCE_MAX);
}

/* ---- at the barrier ---- */

/* Is nothing of the dead input logger left, or did we wait long enough? */
static bool inputs_empty(const struct process *process)
{
    return process->queue_count == 0 || process->patience == 0;
}

bool process_wants_snapshot(struct process *process)
{
    if (process->patience > 0)
        process->patience--;
    return rejoin_wants_snapshot(&process->rejoin, inputs_empty(process));
}

struct rejoin_barrier process_rejoin_barrier(struct process *process)
{
    uint64_t of = process->rejoin.inputs.of;
    struct rejoin_barrier barrier = rejoin_at_barrier(&process->rejoin, inputs_empty(process));

    if (barrier.inputs_discard) {
        if (process->oracle != NULL)
            oracle_inputs_end(process->oracle, of);
        process->queue_count = 0;
        memset(process->nf.consumed, 0, sizeof(process->nf.consumed));
    }
    return barrier;
}
