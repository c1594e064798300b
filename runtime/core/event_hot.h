/*
 * The recording functions of the NF's fast path, inline; included by event.h only. A predicted
 * event is a few additions, a compare and one release store.
 */
#ifndef PALISADE_CORE_EVENT_HOT_H
#define PALISADE_CORE_EVENT_HOT_H

#include "assert.h"

static inline uint8_t *ev_space(struct log *log)
{
    ASSERT(log_has_room(log));
    return log_space(log);
}

/* Every event: on by one position, and the way by one site. */
static inline position ev_step(struct thread_state *thread)
{
    thread->path = path_step(thread->path, thread->site);
    return ++thread->position;
}

/* The order part of a lock, store or semaphore step; does not publish. */
static inline position ev_order_step(struct thread_state *thread, struct log *log,
                                     struct order *order)
{
    position at = ev_step(thread);
    uint64_t sequence = ++order->sequence;
    uint32_t me = thread->index + 1;
    if (__builtin_expect(order->owner != me, 0)) {
        log_append(log, record_order(&thread->codec, ev_space(log), at, sequence));
        order->owner = me;
    }
    return at;
}

static inline void ev_order_record(struct thread_state *thread, struct log *log,
                                   struct order *order)
{
    log_publish(log, ev_order_step(thread, log, order));
}

static inline void ev_number_record(struct thread_state *thread, struct log *log, int64_t value,
                                    int64_t expected)
{
    position at = ev_step(thread);
    if (__builtin_expect(value != expected, 0))
        log_append(log, record_number(&thread->codec, ev_space(log), at, value));
    log_publish(log, at);
}

static inline void ev_clock_record(struct thread_state *thread, struct log *log, uint32_t slot,
                                   int64_t ns)
{
    position at = ev_step(thread);
    log_append(log, record_clock(&thread->codec, ev_space(log), at, slot, ns));
    log_publish(log, at);
}

static inline void ev_receive_record(struct thread_state *thread, struct log *log, uint32_t queue,
                                     const struct id_range *ranges, uint32_t count)
{
    position at = ev_step(thread);
    if (count > 0)
        log_append(log, record_receive(&thread->codec, ev_space(log), at, queue, ranges, count));
    log_publish(log, at);
}

#endif
