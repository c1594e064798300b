/*
 * Packets in and out, whatever the family: one receive is one event, one batch sent is one event.
 *
 * Live, packets come from a queue and the event names their ids; in replay the ids come from the
 * log and the bytes from the memory of inputs (replay/inputs.h). An empty receive is the predicted
 * outcome and adds no bytes. So that an idle polling NF logs almost nothing, "nothing there" is
 * told at most once per tick.
 *
 * packets_receive is inline so that a family's way to store a packet is compiled into the loop.
 */
#ifndef PALISADE_HOOKS_PACKETS_H
#define PALISADE_HOOKS_PACKETS_H

#include <sys/uio.h>

#include "core/assert.h"
#include "hooks/packets/memory_io.h"
#include "hooks/packets/queue.h"
#include "hooks/threads/signal.h"
#include "replay/inputs.h"
#include "replay/replay.h"

#define TICK_NS 50000
#define PACKETS_BATCH_MAX 64u

_Static_assert(PACKETS_BATCH_MAX <= RECORD_RANGES_MAX, "a batch must fit one record");

/*
 * Sleeps until one of `queues` may be readable or `until_ns` (absolute; -1: no limit). A signal
 * that is delivered meanwhile leaves the hook as `call` says.
 */
void packets_wait(struct nf_thread *thread, const uint32_t *queues, uint32_t count,
                  int64_t until_ns, const struct signal_call *call);

/* ---- receive ---- */

/* Stores packet number `n` of a batch; in replay the same calls come again. */
typedef void packet_sink(void *context, uint32_t n, uint16_t port, const uint8_t *bytes,
                         uint16_t length);

/* The ids of one batch, as ranges. */
struct packets_batch {
    uint32_t count;
    packet_id next; /* one past the last */
    struct id_range ranges[RECORD_RANGES_MAX];
};

/* The ranges stay as they are: large, and only what is used is written. */
static inline void batch_start(struct packets_batch *batch)
{
    batch->count = 0;
    batch->next = 0; /* no id */
}

static inline void batch_add(struct packets_batch *batch, packet_id id)
{
    if (id == batch->next)
        batch->ranges[batch->count - 1].count++;
    else
        batch->ranges[batch->count++] = (struct id_range){.first = id, .count = 1};
    batch->next = id + 1;
}

/* io=memory: the same work, from the plug-in's packets. */
static inline __attribute__((always_inline)) uint32_t
packets_take_memory(struct nf_thread *thread, struct log *log, uint32_t index, uint32_t limit,
                    packet_sink *sink, void *context)
{
    struct memory_packet packets[PACKETS_BATCH_MAX];
    struct packets_batch batch;
    batch_start(&batch);
    uint16_t port = (uint16_t)(IMAGE->queues[index].port - 1);
    uint32_t taken = memory_io_next(index, packets, limit);
    for (uint32_t i = 0; i < taken; i++) {
        sink(context, i, port, packets[i].bytes, packets[i].length);
        batch_add(&batch, packets[i].id);
    }
    ev_receive_record(&thread->core, log, index, batch.ranges, batch.count);
    return taken;
}

/* Live. That there are none is an event unless the caller will `wait` for some. */
static inline __attribute__((always_inline)) uint32_t packets_take(struct nf_thread *thread,
                                                                   struct log *log, uint32_t index,
                                                                   uint32_t limit, bool wait,
                                                                   packet_sink *sink, void *context)
{
    struct queue *queue = process.queues[index];
    struct packets_batch batch;
    batch_start(&batch);
    uint32_t taken = 0;
    pthread_mutex_lock(&queue->reading);
    uint64_t tail = atomic_load_explicit(&queue->tail, memory_order_relaxed);
    uint64_t head = atomic_load_explicit(&queue->head, memory_order_acquire);
    for (; taken < limit && tail != head; taken++, tail++) {
        const struct slot *slot = &queue->slots[tail & queue_mask()];
        sink(context, taken, slot->port, slot->bytes, slot->length);
        batch_add(&batch, slot->id);
    }
    /* The event before the slots are free: what is consumed is in the log (R1, R15). */
    if (taken > 0 || !wait)
        ev_receive_record(&thread->core, log, index, batch.ranges, batch.count);
    atomic_store_explicit(&queue->tail, tail, memory_order_release);
    pthread_mutex_unlock(&queue->reading);
    if (taken > 0)
        io_kick();
    return taken;
}

static inline __attribute__((always_inline)) enum event
packets_replay(struct nf_thread *thread, uint32_t index, uint32_t limit, packet_sink *sink,
               void *context, uint32_t *received)
{
    struct id_range ranges[RECORD_RANGES_MAX];
    struct log_reader *reader = &run_of(thread)->reader;
    uint32_t count;
    enum event event = ev_receive_replay(&thread->core, reader, index, ranges, &count);
    if (event != EVENT_PASS)
        return event;
    *received = 0;
    for (uint32_t r = 0; r < count; r++)
        for (uint32_t i = 0; i < ranges[r].count; i++) {
            uint16_t port, length;
            const uint8_t *bytes = inputs_consume(ranges[r].first + i, &port, &length);
            if (bytes == NULL || *received >= limit) {
                reader->why = bytes ? "more packets in the log than the program takes"
                                    : "an input in the log that the input logger does not have";
                return EVENT_DIVERGED;
            }
            sink(context, *received, port, bytes, length);
            inputs_done(ranges[r].first + i);
            ++*received;
        }
    return EVENT_PASS;
}

/*
 * Up to `limit` packets (at least 1) of a queue into `sink`. Waits for the first one `wait_ns`: -1
 * for ever, else as long, a tick at least. Returns how many, 0 when the time is over. `call`: what
 * a signal does to the hook. Restartable hooks of NF threads.
 */
static inline __attribute__((always_inline)) uint32_t
packets_receive(struct nf_thread *thread, uint32_t index, uint32_t limit, int64_t wait_ns,
                const struct signal_call *call, packet_sink *sink, void *context)
{
    uint32_t received;
    if (limit > PACKETS_BATCH_MAX)
        limit = PACKETS_BATCH_MAX;
    safe_point(thread);
    queue_reads(index);
    if (REPLAYED_SAFE_ALONE(thread, "receive",
                            (signal_replay(thread, call),
                             packets_replay(thread, index, limit, sink, context, &received))))
        return received;
    struct log *log = log_ready(thread);
    if (process.memory_io)
        return packets_take_memory(thread, log, index, limit, sink, context);
    int64_t until_ns = -1;
    for (;;) {
        if (!queue_ready(process.queues[index])) {
            if (wait_ns >= 0 && until_ns < 0)
                until_ns = now_ns() + (wait_ns > TICK_NS ? wait_ns : TICK_NS);
            packets_wait(thread, &index, 1, until_ns, call);
        }
        bool last = until_ns >= 0 && now_ns() >= until_ns;
        received = packets_take(thread, log, index, limit, !last, sink, context);
        if (received > 0 || last)
            return received; /* else another reader of the queue was faster, or a false alarm */
    }
}

/*
 * What lies in the queue by now, without waiting: for hooks that have waited already, and are past
 * an event. NF threads.
 */
static inline __attribute__((always_inline)) uint32_t
packets_receive_now(struct nf_thread *thread, uint32_t index, uint32_t limit, packet_sink *sink,
                    void *context)
{
    uint32_t received;
    if (limit > PACKETS_BATCH_MAX)
        limit = PACKETS_BATCH_MAX;
    if (REPLAYED_ALONE(thread, "receive",
                       packets_replay(thread, index, limit, sink, context, &received)))
        return received;
    struct log *log = log_ready(thread);
    return process.memory_io ? packets_take_memory(thread, log, index, limit, sink, context)
                             : packets_take(thread, log, index, limit, false, sink, context);
}

/* Is there something in the queue? Live. */
static inline bool packets_ready(uint32_t index)
{
    return process.memory_io ? memory_io_ready(index) : queue_ready(process.queues[index]);
}

/* ---- send ---- */

struct outgoing {
    uint16_t port;   /* index, below process.port_count */
    uint16_t length; /* at most PACKET_MAX_BYTES and what the port carries */
    uint32_t pieces;
    const struct iovec *iov;
};

/* Longest frame, Ethernet header included, that port `index` carries; 0 when there is no such port.
 */
static inline uint32_t port_frame_limit(uint32_t index)
{
    if (index >= process.port_count)
        return 0;
    uint32_t limit = process.ports[index].mtu + 18u;
    return limit < PACKET_MAX_BYTES ? limit : PACKET_MAX_BYTES;
}

/*
 * Sends 1 to PACKETS_BATCH_MAX packets as one event. Waits for room: that is the back-pressure of
 * the output logger. Restartable hooks of NF threads.
 */
void packets_send(struct nf_thread *thread, const struct outgoing *packets, uint32_t count);

#endif
