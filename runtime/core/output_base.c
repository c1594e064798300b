/* Which snapshot is the base (R13); the reasoning is at the top of output_log.c. */
#include "output_log_parts.h"

#include <errno.h>

static bool mark_covered(const struct output_log *ol, const struct snapshot_mark *mark)
{
    for (uint32_t t = 0; t < mark->threads; t++) {
        const struct output_thread *thread = &ol->thread[t];
        if (thread->log.received < positions_get(&mark->positions, t))
            return false;
#ifndef PALISADE_BREAK_R13
        if (thread->arrived < mark->outputs[t] || thread->effects < mark->effects[t])
            return false;
#endif
    }
    return true;
}

bool output_log_mark_awaited(const struct output_log *ol)
{
    if (ol->pending_count == 0)
        return false;
    const struct snapshot_mark *mark = &ol->pending[ol->pending_count - 1];
    for (uint32_t t = 0; t < mark->threads; t++)
        if (ol->thread[t].log.received < positions_get(&mark->positions, t) ||
            ol->thread[t].arrived < mark->outputs[t])
            return true;
    return false;
}

static void base_install(struct output_log *ol, const struct snapshot_mark *mark)
{
    ol->base = *mark;
    for (uint32_t t = 0; t < mark->threads; t++) {
        struct output_thread *thread = &ol->thread[t];
        size_t before = thread->log.length;

        stored_log_drop(&thread->log, positions_get(&mark->positions, t), !mark->replayed);
        ol->log_bytes -= before - thread->log.length;
        if (thread->satisfied < mark->outputs[t])
            thread->satisfied = mark->outputs[t];
    }
}

/* A mark outside what a log holds cannot become a base: who made it is at fault. */
static bool mark_droppable(const struct output_log *ol, const struct snapshot_mark *mark)
{
    for (uint32_t t = 0; t < ol->threads; t++)
        if (!stored_log_can_drop(&ol->thread[t].log, positions_get(&mark->positions, t),
                                 !mark->replayed))
            return false;
    return true;
}

void output_log_commit_covered(struct output_log *ol)
{
    while (ol->pending_count > 0 && mark_covered(ol, &ol->pending[0])) {
        struct snapshot_mark mark = ol->pending[0];

        ol->pending_count--;
        for (uint32_t i = 0; i < ol->pending_count; i++)
            ol->pending[i] = ol->pending[i + 1];
        if (!mark_droppable(ol, &mark)) {
            ol->malformed++;
            continue;
        }
        base_install(ol, &mark);
        ol->actions.committed(ol->context, mark.number);
        output_log_release_all(ol);
    }
}

void output_log_marks_drop(struct output_log *ol)
{
    output_log_overdraw(ol);
    ol->pending_count = 0;
}

static bool mark_follows(const struct snapshot_mark *mark, const struct snapshot_mark *before)
{
    if (mark->number <= before->number)
        return false;
    if (mark->inputs_of == before->inputs_of && mark->inputs_from < before->inputs_from)
        return false; /* of another input logger they begin anew (R16) */
    for (uint32_t t = 0; t < before->threads; t++)
        if (positions_get(&mark->positions, t) < positions_get(&before->positions, t) ||
            mark->outputs[t] < before->outputs[t] || mark->effects[t] < before->effects[t])
            return false;
    return true;
}

int output_log_snapshot(struct output_log *ol, uint32_t epoch, const struct snapshot_mark *mark)
{
    int error = output_log_check_epoch(ol, epoch);
    if (error < 0)
        return error;
    const struct snapshot_mark *before =
        ol->pending_count > 0 ? &ol->pending[ol->pending_count - 1] : &ol->base;
    bool sane = mark->threads <= THREADS_MAX && mark->positions.threads <= mark->threads &&
                mark->threads >= before->threads;
    if (sane && ol->base.replayed && !mark->replayed && !mark_follows(mark, &ol->base))
        return -ECANCELED;
    if (!sane || !mark_follows(mark, before)) {
        ol->malformed++;
        return -EBADMSG;
    }
    if (ol->pending_count == MARKS_PENDING_MAX)
        return -ENOSPC;
    ol->pending[ol->pending_count++] = *mark;
    output_log_commit_covered(ol);
    return 0;
}
