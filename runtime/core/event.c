/* See event.h. Recording is short because it is what the NF pays; replay is careful. */
#include "event.h"

#include <string.h>

#include "assert.h"
#include "event_parts.h"

void thread_state_segment(struct thread_state *thread)
{
    codec_reset(&thread->codec, thread->position);
}

/* ---- recording ---- */

void ev_fail_record(struct thread_state *thread, struct log *log, uint64_t sequence)
{
    position at = ++thread->position;
    log_append(log, record_fail(&thread->codec, ev_space(log), at, sequence));
    log_publish(log, at);
}

void ev_bytes_record(struct thread_state *thread, struct log *log, const void *bytes,
                     uint32_t length)
{
    position at = ++thread->position;
    log_append(log, record_bytes(&thread->codec, ev_space(log), at, bytes, length));
    log_publish(log, at);
}

void ev_signal_record(struct thread_state *thread, struct log *log, uint32_t what, int64_t left)
{
    position at = ++thread->position;
    log_append(log, record_signal(&thread->codec, ev_space(log), at, what, left));
    log_publish(log, at);
}

uint64_t ev_out_record(struct thread_state *thread, struct log *log, uint32_t packets,
                       struct log *const *logs, uint32_t threads, struct positions *vor)
{
    ASSERT(thread->index < threads && threads <= THREADS_MAX);
    position at = ++thread->position;
    vor->threads = threads;
    for (uint32_t t = 0; t < threads; t++)
        vor->at[t] = log_published(logs[t]);
    vor->at[thread->index] = at;
    log_append(log, record_out(&thread->codec, ev_space(log), at, packets, vor));
    log_publish(log, at);
    uint64_t first = thread->outputs + 1;
    thread->outputs += packets;
    return first;
}

/* ---- reading a stored log ---- */

void log_reader_init(struct log_reader *reader, const uint8_t *bytes, size_t length,
                     const struct log_segment *segments, size_t segment_count, position end)
{
    ASSERT(length == 0 || (segment_count > 0 && segments[0].offset == 0));
    memset(reader, 0, sizeof *reader);
    reader->bytes = bytes;
    reader->length = length;
    reader->segments = segments;
    reader->segment_count = segment_count;
    reader->end = end;
}

enum event ev_diverged(struct log_reader *reader, const char *why)
{
    reader->why = why;
    return EVENT_DIVERGED;
}

/* Decodes the next record, if a whole one is there; crosses into the next segment on the way. */
static bool reader_fill(struct log_reader *reader)
{
    while (reader->segment < reader->segment_count &&
           reader->segments[reader->segment].offset <= reader->offset) {
        if (reader->segments[reader->segment].offset < reader->offset) {
            reader->why = "a segment of the log starts inside a record";
            return false;
        }
        codec_reset(&reader->codec, reader->segments[reader->segment++].start);
    }
    bool last = reader->segment == reader->segment_count;
    size_t limit = last ? reader->length : reader->segments[reader->segment].offset;
    if (limit > reader->length)
        limit = reader->length;
    int taken = record_decode(&reader->codec, reader->bytes + reader->offset,
                              limit - reader->offset, &reader->next);
    if (taken < 0 || (taken == 0 && !last)) {
        reader->why = taken < 0 ? "the log is malformed" : "a segment ends inside a record";
        return false;
    }
    reader->offset += (size_t)taken;
    reader->have = taken > 0;
    return true;
}

enum next ev_next(const struct thread_state *thread, struct log_reader *reader)
{
    position at = thread->position + 1;
    if (at > reader->end)
        return NEXT_END;
    if (!reader->have && !reader_fill(reader))
        return NEXT_BAD;
    if (!reader->have || reader->next.position > reader->end || reader->next.position > at)
        return NEXT_PREDICTED;
    if (reader->next.position == at)
        return NEXT_RECORD;
    reader->why = "a record lies before the thread's position";
    return NEXT_BAD;
}

enum event ev_pass(struct thread_state *thread, struct log_reader *reader)
{
    position at = thread->position + 1;
    if (reader->have && reader->next.position == at)
        reader->have = false;
    __atomic_store_n(&thread->position, at, __ATOMIC_RELEASE);
    return EVENT_PASS;
}

enum event ev_need_record(const struct thread_state *thread, struct log_reader *reader,
                          enum record_kind kind)
{
    switch (ev_next(thread, reader)) {
    case NEXT_END:
        return EVENT_END;
    case NEXT_BAD:
        return EVENT_DIVERGED;
    case NEXT_PREDICTED:
        return ev_diverged(reader, "the program performs an event that the log does not hold");
    case NEXT_RECORD:
        break;
    }
    if (reader->next.kind != kind)
        return ev_diverged(reader, "the log holds another kind of event here");
    return EVENT_PASS;
}

/* ---- replaying ---- */

enum event order_may(const struct thread_state *thread, struct log_reader *reader,
                     const struct order *order)
{
    switch (ev_next(thread, reader)) {
    case NEXT_END:
        return EVENT_END;
    case NEXT_BAD:
        return EVENT_DIVERGED;
    case NEXT_PREDICTED:
        if (order->owner != thread->index + 1)
            return ev_diverged(reader, "the log elides an acquisition, but another thread owns it");
        return EVENT_PASS;
    case NEXT_RECORD:
        break;
    }
    if (reader->next.kind != RECORD_ORDER)
        return ev_diverged(reader, "the log holds another kind of event here");
    if (order->sequence >= reader->next.sequence)
        return ev_diverged(reader, "the sequence ran past the recorded acquisition");
    return order->sequence + 1 == reader->next.sequence ? EVENT_PASS : EVENT_WAIT;
}

enum event order_take(struct thread_state *thread, struct log_reader *reader, struct order *order)
{
    order->sequence++;
    order->owner = thread->index + 1;
    return ev_pass(thread, reader);
}

enum event ev_order_replay(struct thread_state *thread, struct log_reader *reader,
                           struct order *order)
{
    enum event may = order_may(thread, reader, order);
    return may == EVENT_PASS ? order_take(thread, reader, order) : may;
}

enum event ev_try_replay(struct thread_state *thread, struct log_reader *reader,
                         struct order *order, bool *failed)
{
    *failed = false;
    if (ev_next(thread, reader) != NEXT_RECORD || reader->next.kind != RECORD_FAIL)
        return ev_order_replay(thread, reader, order);
    if (order->sequence < reader->next.sequence)
        return EVENT_WAIT; /* R4 */
    *failed = true;
    return ev_pass(thread, reader);
}

enum event ev_number_replay(struct thread_state *thread, struct log_reader *reader,
                            int64_t expected, int64_t *value)
{
    switch (ev_next(thread, reader)) {
    case NEXT_END:
        return EVENT_END;
    case NEXT_BAD:
        return EVENT_DIVERGED;
    case NEXT_PREDICTED:
        *value = expected;
        return ev_pass(thread, reader);
    case NEXT_RECORD:
        break;
    }
    if (reader->next.kind != RECORD_NUMBER)
        return ev_diverged(reader, "the log holds another kind of event here");
    *value = reader->next.number;
    return ev_pass(thread, reader);
}

enum event ev_bytes_replay(struct thread_state *thread, struct log_reader *reader, void *bytes,
                           uint32_t length)
{
    enum event may = ev_need_record(thread, reader, RECORD_BYTES);
    if (may != EVENT_PASS)
        return may;
    if (reader->next.count != length)
        return ev_diverged(reader, "the log holds a value of another length");
    if (length > 0)
        memcpy(bytes, reader->next.bytes, length);
    return ev_pass(thread, reader);
}

enum event ev_clock_replay(struct thread_state *thread, struct log_reader *reader, uint32_t slot,
                           int64_t *ns)
{
    enum event may = ev_need_record(thread, reader, RECORD_CLOCK);
    if (may != EVENT_PASS)
        return may;
    if (reader->next.slot != slot)
        return ev_diverged(reader, "the log holds a reading of another clock");
    *ns = reader->next.number;
    return ev_pass(thread, reader);
}

enum event ev_receive_replay(struct thread_state *thread, struct log_reader *reader, uint32_t queue,
                             struct id_range *ranges, uint32_t *count)
{
    switch (ev_next(thread, reader)) {
    case NEXT_END:
        return EVENT_END;
    case NEXT_BAD:
        return EVENT_DIVERGED;
    case NEXT_PREDICTED:
        *count = 0;
        return ev_pass(thread, reader);
    case NEXT_RECORD:
        break;
    }
    if (reader->next.kind != RECORD_RECEIVE)
        return ev_diverged(reader, "the log holds another kind of event here");
    if (reader->next.slot != queue)
        return ev_diverged(reader, "the log holds a receive from another queue");
    *count = reader->next.count;
    memcpy(ranges, reader->next.ranges, *count * sizeof *ranges);
    return ev_pass(thread, reader);
}

enum event ev_out_replay(struct thread_state *thread, struct log_reader *reader, uint32_t packets,
                         uint64_t *first)
{
    enum event may = ev_need_record(thread, reader, RECORD_OUT);
    if (may != EVENT_PASS)
        return may;
    if (reader->next.count != packets)
        return ev_diverged(reader, "the log holds a send of another number of packets");
    *first = thread->outputs + 1;
    thread->outputs += packets;
    return ev_pass(thread, reader);
}

enum event ev_signal_replay(struct thread_state *thread, struct log_reader *reader, uint32_t *what,
                            int64_t *left)
{
    switch (ev_next(thread, reader)) {
    case NEXT_END:
        return EVENT_END;
    case NEXT_BAD:
        return EVENT_DIVERGED;
    case NEXT_PREDICTED:
        return EVENT_WAIT;
    case NEXT_RECORD:
        break;
    }
    if (reader->next.kind != RECORD_SIGNAL)
        return EVENT_WAIT;
    *what = reader->next.count;
    *left = reader->next.number;
    return ev_pass(thread, reader);
}
