/*
 * What NF threads produced, into the link to the output logger: logs first, so that an output's
 * OUT record tends to be there when the output is. Every round begins with another thread, so that
 * one that fills the window keeps out nobody.
 *
 * All that lies before the barrier of a snapshot goes before all that lies behind: the output
 * logger needs it before the snapshot counts (R13), and may have no room for anything else until
 * then.
 */
#include <stdlib.h>
#include <string.h>

#include "core/assert.h"
#include "io/io.h"
#include "snapshot/snapshot.h"

#define IMAGE_QUEUE_BYTES (2u << 20)

/* Log frames on the wire, oldest first: when acknowledged, their positions are stable. */
struct in_flight {
    uint64_t number;
    uint32_t thread;
    position to;
};
static struct in_flight flights[LINK_WINDOW_FRAMES];
static uint32_t flight_head, flight_tail;

/* Number of the last output of each thread that went into a link, of whatever logger (R16). */
static uint64_t given[THREADS_MAX];

/* Outputs of replay that the output logger does not have: same layout as a ring. */
static struct {
    uint8_t *bytes;
    size_t length, room, sent;
} replayed[THREADS_MAX];

static uint32_t turn; /* who begins */

static uint32_t ship_log(struct link *link, uint32_t thread, bool to_barrier)
{
    struct log *log = process.logs[thread];
    uint32_t frames = 0;
    uint8_t *payload;
    struct log_chunk chunk;
    while ((!to_barrier || log_before_boundary(log)) && (payload = link_reserve(link)) != NULL &&
           log_take(log, payload + LOG_HEADER_BYTES, FRAME_PAYLOAD_MAX_BYTES - LOG_HEADER_BYTES,
                    &chunk)) {
        log_header_write(payload, chunk.from, chunk.to);
        uint64_t number =
            link_commit(link, FRAME_LOG, (uint16_t)thread, chunk.reset ? FRAME_RESET : 0,
                        LOG_HEADER_BYTES + chunk.length);
        ASSERT(flight_head - flight_tail < LINK_WINDOW_FRAMES);
        flights[flight_head++ % LINK_WINDOW_FRAMES] =
            (struct in_flight){.number = number, .thread = thread, .to = chunk.to};
        frames++;
    }
    return frames;
}

void ship_discard_logs(void)
{
    for (uint32_t t = 0; t < IMAGE->thread_count; t++)
        log_discard(process.logs[t]);
}

void ship_link_renewed(void)
{
    flight_tail = flight_head;
}

uint64_t ship_given(uint32_t thread)
{
    return given[thread];
}

static bool logs_before_barrier(void)
{
    for (uint32_t t = 0; t < IMAGE->thread_count; t++)
        if (log_before_boundary(process.logs[t]))
            return true;
    return false;
}

uint32_t ship_logs(void)
{
    struct link *link = wire_link(io.ol_wire);
    uint32_t frames = 0, threads = IMAGE->thread_count;
    bool to_barrier = logs_before_barrier();
    turn++;
    for (uint32_t i = 0; i < threads; i++)
        frames += ship_log(link, (turn + i) % threads, to_barrier);
    return frames;
}

void ship_update_stable(void)
{
    uint64_t acked = link_acked(wire_link(io.ol_wire));
    for (; flight_tail != flight_head && flights[flight_tail % LINK_WINDOW_FRAMES].number <= acked;
         flight_tail++) {
        const struct in_flight *flight = &flights[flight_tail % LINK_WINDOW_FRAMES];
        if (io.stable.threads <= flight->thread)
            io.stable.threads = flight->thread + 1;
        if (io.stable.at[flight->thread] < flight->to)
            io.stable.at[flight->thread] = flight->to;
    }
}

/* ---- outputs ---- */

/* The oldest entry of a thread's ring; NULL when empty. Skips padding. */
static const struct output *ring_first(struct output_ring *ring)
{
    uint64_t head = atomic_load_explicit(&ring->head, memory_order_acquire);
    for (;;) {
        uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
        if (tail == head)
            return NULL;
        const struct output *entry =
            (const struct output *)(ring->bytes + (tail & (OUTPUT_RING_BYTES - 1)));
        if (entry->port != UINT16_MAX)
            return entry;
        atomic_store_explicit(&ring->tail, tail + entry->total, memory_order_release);
    }
}

static void ring_pop(struct output_ring *ring, const struct output *entry)
{
    uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    atomic_store_explicit(&ring->tail, tail + entry->total, memory_order_release);
}

static const struct output *first_output(uint32_t thread)
{
    if (replayed[thread].sent < replayed[thread].length)
        return (const struct output *)(replayed[thread].bytes + replayed[thread].sent);
    return ring_first(&process.runs[thread].outputs);
}

static void pop_output(uint32_t thread, const struct output *entry)
{
    given[thread] = entry->number;
    if (replayed[thread].sent == replayed[thread].length) {
        ring_pop(&process.runs[thread].outputs, entry);
        return;
    }
    replayed[thread].sent += entry->total;
    if (replayed[thread].sent == replayed[thread].length) {
        free(replayed[thread].bytes);
        memset(&replayed[thread], 0, sizeof replayed[thread]);
    }
}

/* Outputs above `last` stay. */
static uint32_t ship_thread_outputs(struct link *link, uint32_t thread, uint64_t last)
{
    uint32_t frames = 0;
    const struct output *entry = first_output(thread);
    uint8_t *payload;
    while (entry && entry->number <= last && (payload = link_reserve(link)) != NULL) {
        uint32_t used = 0;
        while (entry && entry->number <= last) {
            struct packet_item item = {.number = entry->number,
                                       .port = entry->port,
                                       .length = entry->length,
                                       .bytes = (const uint8_t *)(entry + 1)};
            uint32_t wrote =
                packet_item_write(payload + used, FRAME_PAYLOAD_MAX_BYTES - used, &item);
            if (wrote == 0)
                break;
            used += wrote;
            pop_output(thread, entry);
            entry = first_output(thread);
        }
        ASSERT(used > 0);
        link_commit(link, FRAME_OUTPUT, (uint16_t)thread, 0, used);
        frames++;
    }
    return frames;
}

static bool outputs_before_barrier(const struct snapshot_mark *mark)
{
    for (uint32_t t = 0; mark && t < mark->threads; t++) {
        const struct output *entry = process.runs[t].outputs.bytes ? first_output(t) : NULL;
        if (entry && entry->number <= mark->outputs[t])
            return true;
    }
    return false;
}

uint32_t ship_outputs(void)
{
    struct link *link = wire_link(io.ol_wire);
    const struct snapshot_mark *mark = snapshot_pending();
    uint32_t frames = 0, threads = IMAGE->thread_count;
    bool to_barrier = outputs_before_barrier(mark);
    for (uint32_t i = 0; i < threads; i++) {
        uint32_t t = (turn + i) % threads;
        if (process.runs[t].outputs.bytes)
            frames += ship_thread_outputs(link, t, to_barrier ? mark->outputs[t] : UINT64_MAX);
    }
    return frames;
}

/* ---- images ---- */

bool ship_image(void)
{
    stall_note(&io.image_waits, lifeline_queued(io.ol_line) > IMAGE_QUEUE_BYTES, io.now_ns);
    if (stall_now(&io.image_waits))
        return false;
    snapshot_ship(IMAGE_QUEUE_BYTES, io_send_ol, NULL);
    if (snapshot_state() != SNAPSHOT_COMMITTING)
        return true;
    const struct snapshot_figures *figures = snapshot_figures();
    journal_event(io.journal, "snapshot", "{s:I,s:I,s:I,s:I,s:I,s:I}", "number",
                  (json_int_t)figures->number, "pause_ns", (json_int_t)figures->pause_ns, "copy_ns",
                  (json_int_t)figures->copy_ns, "bytes", (json_int_t)figures->bytes,
                  "shipped_bytes", (json_int_t)figures->shipped_bytes, "let_go",
                  (json_int_t)figures->let_go);
    return true;
}

/* ---- replay ---- */

/* What the output logger has by now need not be kept (R14). */
static void forget_held(uint32_t t)
{
    uint64_t held = __atomic_load_n(&process.held[t], __ATOMIC_RELAXED);
    while (replayed[t].sent < replayed[t].length) {
        const struct output *entry = (const struct output *)(replayed[t].bytes + replayed[t].sent);
        if (entry->number > held)
            break;
        replayed[t].sent += entry->total;
    }
    if (replayed[t].sent < replayed[t].length && replayed[t].sent < replayed[t].length / 2)
        return;
    replayed[t].length -= replayed[t].sent;
    if (replayed[t].length)
        memmove(replayed[t].bytes, replayed[t].bytes + replayed[t].sent, replayed[t].length);
    replayed[t].sent = 0;
}

void ship_collect_replayed(void)
{
    for (uint32_t t = 0; t < IMAGE->thread_count; t++) {
        struct output_ring *ring = &process.runs[t].outputs;
        const struct output *entry;
        forget_held(t);
        while (ring->bytes && (entry = ring_first(ring)) != NULL) {
            if (entry->number <= __atomic_load_n(&process.held[t], __ATOMIC_RELAXED)) {
                ring_pop(ring, entry);
                continue;
            }
            if (replayed[t].room - replayed[t].length < entry->total) {
                replayed[t].room = 2 * replayed[t].room + OUTPUT_RING_BYTES;
                replayed[t].bytes = realloc(replayed[t].bytes, replayed[t].room);
                if (replayed[t].bytes == NULL)
                    process_fail(STATUS_MEMORY, "no memory for the outputs of replay");
            }
            memcpy(replayed[t].bytes + replayed[t].length, entry, entry->total);
            replayed[t].length += entry->total;
            ring_pop(ring, entry);
        }
    }
}

void ship_go_live(void)
{
    ship_collect_replayed();
    for (uint32_t t = 0; t < IMAGE->thread_count; t++) {
        uint64_t outputs = IMAGE->threads[t].core.outputs; /* the logger deletes what lies beyond */
        given[t] = process.held[t] < outputs ? process.held[t] : outputs;
    }
}

bool ship_pending(void)
{
    for (uint32_t t = 0; t < IMAGE->thread_count; t++) {
        const struct thread_run *run = &process.runs[t];
        if (log_published(&run->log) != run->log.taken ||
            (run->outputs.bytes && atomic_load(&run->outputs.head) != run->outputs.tail))
            return true;
    }
    return false;
}
