/* The takeover (R12); the reasoning is at the top of output_log.c. */
#include "output_log_parts.h"

#include <errno.h>

#include "assert.h"

int output_log_takeover(struct output_log *ol, struct takeover *out)
{
    if (ol->base.number == 0)
        return -ENOENT;
    int error = output_log_raise_epoch(ol);
    if (error < 0)
        return error;
    ol->phase = PHASE_TAKEOVER;
    ol->pending_count = 0; /* their images end with the master that made them */
    *out = (struct takeover){.epoch = ol->epoch, .base = ol->base, .end = ol->received};
    for (uint32_t t = 0; t < ol->threads; t++) {
        out->held[t] = ol->thread[t].arrived;
        out->effects[t] = ol->thread[t].effects;
    }
    return 0;
}

const struct stored_log *output_log_stored(const struct output_log *ol, uint32_t thread)
{
    ASSERT(thread < THREADS_MAX);
    return &ol->thread[thread].log;
}

uint64_t output_log_arrived(const struct output_log *ol, uint32_t thread)
{
    return ol->thread[thread].arrived;
}

uint64_t output_log_effects_done(const struct output_log *ol, uint32_t thread)
{
    return ol->thread[thread].effects;
}

const struct snapshot_mark *output_log_base(const struct output_log *ol)
{
    return &ol->base;
}

/* The cut of one thread against its log: within what is stored, and the same outputs counted. */
static int check_cut(const struct output_log *ol, uint32_t index, position cut, uint64_t outputs,
                     size_t *offset)
{
    const struct output_thread *thread = &ol->thread[index];
    uint64_t packets;

    if (cut < thread->log.base || cut > thread->log.received)
        return -EBADMSG;
    if (stored_log_find(&thread->log, cut, offset, &packets) < 0)
        return -EBADMSG;
    uint64_t base = index < ol->base.threads ? ol->base.outputs[index] : 0;
    if (base + packets != outputs || outputs < thread->released)
        return -EBADMSG;
    return 0;
}

static void apply_cut(struct output_log *ol, uint32_t index, position cut, size_t offset,
                      uint64_t outputs, uint64_t effects)
{
    struct output_thread *thread = &ol->thread[index];

    ol->log_bytes -= thread->log.length;
    stored_log_cut(&thread->log, cut, offset);
    ol->log_bytes += thread->log.length;
    ol->received.at[index] = cut;
#ifndef PALISADE_BREAK_HELD
    uint64_t before = thread->held.count;
    ol->held_bytes -= held_cut(&ol->pool, &thread->held, outputs);
    ol->held -= before - thread->held.count;
    if (thread->arrived > outputs)
        thread->arrived = outputs;
#endif
    if (thread->effects > effects)
        thread->effects = effects;
    vor_queue_clear(&thread->vors);
    output_thread_forget_wait(thread);
    thread->logged = outputs;
    thread->satisfied = outputs;
}

int output_log_cut(struct output_log *ol, uint32_t epoch, const struct positions *cut,
                   const uint64_t *outputs, const uint64_t *effects)
{
    size_t offset[THREADS_MAX];

    if (epoch != ol->epoch) {
        ol->stale++;
        return -ESTALE;
    }
    if (ol->phase != PHASE_TAKEOVER)
        return -EBADMSG;
    for (uint32_t t = 0; t < ol->threads; t++)
        if (check_cut(ol, t, positions_get(cut, t), outputs[t], &offset[t]) < 0)
            return -EBADMSG;
    for (uint32_t t = 0; t < ol->threads; t++)
        apply_cut(ol, t, positions_get(cut, t), offset[t], outputs[t], effects[t]);
    ol->phase = PHASE_REIGN;
    output_log_release_all(ol);
    return 0;
}
