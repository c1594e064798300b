/*
 * See packets.h. One batch sent is an OUT record with the count of packets and the VOR (R2). The
 * record is published before the packets become visible to the I/O thread (R1). The thread first
 * makes sure of room for the whole batch, so nothing has to be undone. In replay a packet is kept
 * only if the output logger does not have it yet (R14).
 */
#include "hooks/packets/packets.h"

#include <string.h>

#include "hooks/digest.h"

/* ---- waiting ---- */

void packets_wait(struct nf_thread *thread, const uint32_t *queues, uint32_t count,
                  int64_t until_ns, const struct signal_call *call)
{
    struct thread_run *run = run_of(thread);
    for (uint32_t spin = 0; spin < process.options.spin; spin++) {
        for (uint32_t i = 0; i < count; i++)
            if (queue_ready(process.queues[queues[i]]))
                return;
        __builtin_ia32_pause();
    }
    uint32_t seen = atomic_load(&run->wake);
    bool ready = false;
    for (uint32_t i = 0; i < count; i++) {
        atomic_fetch_or(&process.queues[queues[i]]->waiters, 1ull << thread->core.index);
        ready |= queue_ready(process.queues[queues[i]]);
    }
    int64_t left = until_ns < 0 ? -1 : until_ns - now_ns();
    signal_check(thread, call);
    if (!ready && (until_ns < 0 || left > 0))
        signal_wait(thread, &run->wake, seen, left);
    else
        safe_point(thread);
}

/* ---- send ---- */

static uint32_t entry_bytes(uint32_t length)
{
    return (uint32_t)((sizeof(struct output) + length + 7) & ~7ul);
}

static bool room_for(struct output_ring *ring, uint32_t bytes)
{
    uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    if (head - ring->tail_seen + bytes <= OUTPUT_RING_BYTES)
        return true;
    ring->tail_seen = atomic_load_explicit(&ring->tail, memory_order_acquire);
    return head - ring->tail_seen + bytes <= OUTPUT_RING_BYTES;
}

static void wait_room(struct nf_thread *thread, uint32_t needed)
{
    struct thread_run *run = run_of(thread);
    stall_note(&run->outputs_full, true, now_ns());
    while (!room_for(&run->outputs, needed)) {
        uint32_t seen = atomic_load(&run->wake);
        if (!room_for(&run->outputs, needed))
            safe_wait(thread, &run->wake, seen, 1000000);
    }
    stall_note(&run->outputs_full, false, now_ns());
}

/* Where the entry at `head` goes; skips the ring's end when it does not fit in one piece. */
static uint64_t place(struct output_ring *ring, uint64_t head, uint32_t bytes)
{
    uint32_t at = head & (OUTPUT_RING_BYTES - 1);
    if (at + bytes <= OUTPUT_RING_BYTES)
        return head;
    struct output *padding = (struct output *)(ring->bytes + at);
    padding->port = UINT16_MAX;
    padding->total = OUTPUT_RING_BYTES - at;
    return head + padding->total;
}

static inline uint64_t put(struct output_ring *ring, uint64_t head, uint64_t number,
                           const struct outgoing *packet)
{
    uint32_t total = entry_bytes(packet->length);
    head = place(ring, head, total);
    struct output *entry = (struct output *)(ring->bytes + (head & (OUTPUT_RING_BYTES - 1)));
    entry->number = number;
    entry->port = packet->port;
    entry->length = packet->length;
    entry->total = total;
    uint8_t *bytes = (uint8_t *)(entry + 1);
    for (uint32_t i = 0; i < packet->pieces; i++) {
        memcpy(bytes, packet->iov[i].iov_base, packet->iov[i].iov_len);
        bytes += packet->iov[i].iov_len;
    }
    return head + total;
}

/*
 * The next batch will want these lines, and the I/O thread's core has them: ask for them now, so
 * that its stores do not wait.
 */
static void prefetch(const struct output_ring *ring, uint64_t head, uint64_t bytes)
{
    for (uint64_t at = head; at < head + bytes; at += 64)
        __builtin_prefetch(ring->bytes + (at & (OUTPUT_RING_BYTES - 1)), 1);
}

static uint32_t packets_digest(const struct outgoing *packets, uint32_t count)
{
    uint64_t digest = 0;
    for (uint32_t i = 0; i < count; i++)
        digest = digest_message(digest, (uint64_t)packets[i].port << 16 | packets[i].length,
                                packets[i].iov, packets[i].pieces);
    return digest_end(digest);
}

/* *skip: so many of them the output logger has already. False: the caller sends live. */
static bool send_replayed(struct nf_thread *thread, const struct outgoing *packets, uint32_t count,
                          uint32_t sent, uint64_t *first, uint64_t *skip)
{
    struct thread_run *run = run_of(thread);
    run->sending = (struct sending){packets->iov, packets->pieces, packets->port};
    bool replayed = REPLAYED_SAFE_ALONE(
        thread, "send", ev_out_replay(&thread->core, &run->reader, count, sent, first));
    run->sending.pieces = NULL;
    if (!replayed)
        return false;
    run->trail.count = 0;
    uint64_t held = __atomic_load_n(&process.held[thread->core.index], __ATOMIC_RELAXED);
    *skip = held >= *first ? held - *first + 1 : 0;
    return true;
}

void packets_send(struct nf_thread *thread, const struct outgoing *packets, uint32_t count)
{
    struct thread_run *run = run_of(thread);
    uint32_t needed = entry_bytes(PACKET_MAX_BYTES); /* what the ring's end may waste */
    ASSERT(count > 0 && count <= PACKETS_BATCH_MAX);
    for (uint32_t i = 0; i < count; i++)
        needed += entry_bytes(packets[i].length);
    if (__builtin_expect(!room_for(&run->outputs, needed), 0))
        wait_room(thread, needed);
    uint64_t first, skip = 0;
    uint32_t sent = packets_digest(packets, count);
    if (__builtin_expect(process_mode() != MODE_REPLAY, 1) ||
        !send_replayed(thread, packets, count, sent, &first, &skip)) {
        struct positions vor;
        first = ev_out_record(&thread->core, log_ready(thread), count, sent, process.logs,
                              IMAGE->thread_count, &vor);
    }
    if (process.memory_io) {
        for (uint32_t i = 0; i < count; i++)
            memory_io_send(packets[i].port, packets[i].iov, packets[i].pieces);
        return;
    }
    uint64_t begin = atomic_load_explicit(&run->outputs.head, memory_order_relaxed), head = begin;
    for (uint32_t i = 0; i < count; i++)
        if (i >= skip)
            head = put(&run->outputs, head, first + i, &packets[i]);
    atomic_store_explicit(&run->outputs.head, head, memory_order_release);
    prefetch(&run->outputs, head, head - begin);
    io_kick();
}
