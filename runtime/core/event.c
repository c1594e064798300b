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
    position at = ev_step(thread);
    log_append(log, record_fail(&thread->codec, ev_space(log), at, sequence));
    log_publish(log, at);
}

void ev_bytes_record(struct thread_state *thread, struct log *log, const void *bytes,
                     uint32_t length)
{
    position at = ev_step(thread);
    log_append(log, record_bytes(&thread->codec, ev_space(log), at, bytes, length));
    log_publish(log, at);
}

void ev_signal_record(struct thread_state *thread, struct log *log, uint32_t what, int64_t left)
{
    position at = ev_step(thread);
    log_append(log, record_signal(&thread->codec, ev_space(log), at, what, left));
    log_publish(log, at);
}

uint64_t ev_out_record(struct thread_state *thread, struct log *log, uint32_t packets,
                       uint32_t sent, struct log *const *logs, uint32_t threads,
                       struct positions *vor)
{
    ASSERT(thread->index < threads && threads <= THREADS_MAX);
    position at = ev_step(thread);
    vor->threads = threads;
    for (uint32_t t = 0; t < threads; t++)
        vor->at[t] = log_published(logs[t]);
    vor->at[thread->index] = at;
    log_append(log, record_out(&thread->codec, ev_space(log), at, packets, vor,
                               (struct digests){thread->path, sent}));
    log_publish(log, at);
    uint64_t first = thread->outputs + 1;
    thread->outputs += packets;
    return first;
}

void ev_effect_record(struct thread_state *thread, struct log *log, int64_t value, uint32_t sent)
{
    position at = ev_step(thread);
    struct digests digests = {thread->path, sent};
    log_append(log, value ? record_number(&thread->codec, ev_space(log), at, value)
                          : record_effect(&thread->codec, ev_space(log), at, digests));
    log_publish(log, at);
}

/* ---- reading a stored log ---- */

void log_reader_init(struct log_reader *reader, const uint8_t *bytes, size_t length,
                     const struct log_segment *segments, size_t segment_count, position end)
{
    ASSERT(length == 0 || (segment_count > 0 && segments[0].offset == 0));
    ASSERT(segment_count <= STORED_SEGMENTS_MAX);
    memset(reader, 0, sizeof *reader);
    reader->bytes = bytes;
    reader->mask = UINT64_MAX;
    reader->length = length;
    reader->segments = segments;
    reader->segment_count = segment_count;
    reader->end = end;
}

void log_reader_open(struct log_reader *reader, const uint8_t *bytes, uint64_t ring,
                     const struct log_segment *segments, const struct codec *start, position end)
{
    ASSERT(ring >= RECORD_MAX_BYTES && (ring & (ring - 1)) == 0);
    memset(reader, 0, sizeof *reader);
    reader->bytes = bytes;
    reader->mask = ring - 1;
    reader->segments = segments;
    reader->codec = *start;
    reader->end = end;
}

void log_reader_extend(struct log_reader *reader, uint64_t length, uint64_t segment_count,
                       position end)
{
    /* The reader looks in the opposite order: what it learns first implies what it looks at next.
     */
    __atomic_store_n(&reader->segment_count, segment_count, __ATOMIC_RELEASE);
    __atomic_store_n(&reader->length, length, __ATOMIC_RELEASE);
    __atomic_store_n(&reader->end, end, __ATOMIC_RELEASE);
}

uint64_t log_reader_consumed(const struct log_reader *reader)
{
    return __atomic_load_n(&reader->consumed, __ATOMIC_ACQUIRE);
}

uint64_t log_reader_entered(const struct log_reader *reader)
{
    return __atomic_load_n(&reader->segment, __ATOMIC_ACQUIRE);
}

static bool codes_vector(enum record_kind kind)
{
    return kind == RECORD_OUT || kind == RECORD_MIXED;
}

/* What `record_decode` changes; the vector, which is long, only if this record does. */
static void codec_remember(struct codec *before, const struct codec *codec, uint8_t first)
{
    memcpy(before, codec, offsetof(struct codec, vor));
    if (codes_vector((enum record_kind)(first & ((1u << RECORD_KIND_BITS) - 1))))
        before->vor = codec->vor;
}

void log_reader_codec(const struct log_reader *reader, struct codec *out)
{
    *out = reader->codec;
    if (!reader->have)
        return;
    memcpy(out, &reader->before, offsetof(struct codec, vor));
    if (codes_vector(reader->next.kind))
        out->vor = reader->before.vor;
}

enum event ev_diverged(struct log_reader *reader, const char *why)
{
    reader->why = why;
    return EVENT_DIVERGED;
}

static const struct log_segment *segment_at(const struct log_reader *reader, uint64_t number)
{
    return &reader->segments[number % STORED_SEGMENTS_MAX];
}

/*
 * Decodes the next record, if a whole one is there; crosses into the next segment on the way. Not
 * beyond a segment that starts after `end`: that may be a later one's codec than a snapshot of this
 * moment has to carry.
 */
static bool reader_fill(struct log_reader *reader, position end)
{
    uint64_t length = __atomic_load_n(&reader->length, __ATOMIC_ACQUIRE);
    uint64_t segments = __atomic_load_n(&reader->segment_count, __ATOMIC_ACQUIRE);
    while (reader->segment < segments &&
           segment_at(reader, reader->segment)->offset <= reader->offset) {
        if (segment_at(reader, reader->segment)->offset < reader->offset) {
            reader->why = "a segment of the log starts inside a record";
            return false;
        }
        if (segment_at(reader, reader->segment)->start > end)
            return true;
        codec_reset(&reader->codec, segment_at(reader, reader->segment)->start);
        __atomic_store_n(&reader->segment, reader->segment + 1, __ATOMIC_RELEASE);
    }
    bool last = reader->segment == segments;
    uint64_t limit = last ? length : segment_at(reader, reader->segment)->offset;
    if (limit > length)
        limit = length;
    if (limit == reader->offset)
        return true;
    const uint8_t *bytes = reader->bytes + (reader->offset & reader->mask);
    codec_remember(&reader->before, &reader->codec, *bytes);
    uint64_t left = limit - reader->offset;
    if (left > RECORD_MAX_BYTES)
        left = RECORD_MAX_BYTES;
    int taken = record_decode(&reader->codec, bytes, left, &reader->next);
    if (taken < 0 || (taken == 0 && !last)) {
        reader->why = taken < 0 ? "the log is malformed" : "a segment ends inside a record";
        return false;
    }
    reader->offset += (uint64_t)taken;
    reader->have = taken > 0;
    return true;
}

enum next ev_next(const struct thread_state *thread, struct log_reader *reader)
{
    position at = thread->position + 1, end = __atomic_load_n(&reader->end, __ATOMIC_ACQUIRE);
    if (at > end)
        return NEXT_END;
    if (!reader->have && !reader_fill(reader, end))
        return NEXT_BAD;
    if (!reader->have || reader->next.position > end || reader->next.position > at)
        return NEXT_PREDICTED;
    if (reader->next.position == at)
        return NEXT_RECORD;
    reader->why = "a record lies before the thread's position";
    return NEXT_BAD;
}

enum event ev_pass(struct thread_state *thread, struct log_reader *reader)
{
    position at = thread->position + 1;
    if (reader->have && reader->next.position == at) {
        reader->have = false;
        __atomic_store_n(&reader->consumed, reader->offset, __ATOMIC_RELEASE);
    }
    thread->path = path_step(thread->path, thread->site);
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

/* G6. The way first: when another one led here, other bytes are no wonder. */
static enum event output_same(const struct thread_state *thread, struct log_reader *reader,
                              uint32_t sent, bool packets)
{
    const struct digests *digests = &reader->next.digests;
    if (digests->path != path_step(thread->path, thread->site))
        return ev_diverged(reader, "another path led here");
    if (digests->sent != sent)
        return ev_diverged(reader, packets ? "the packets sent are not the master's"
                                           : "the bytes written are not the master's");
    return EVENT_PASS;
}

enum event ev_out_replay(struct thread_state *thread, struct log_reader *reader, uint32_t packets,
                         uint32_t sent, uint64_t *first)
{
    enum event may = ev_need_record(thread, reader, RECORD_OUT);
    if (may != EVENT_PASS)
        return may;
    if (reader->next.count != packets)
        return ev_diverged(reader, "the log holds a send of another number of packets");
    if (output_same(thread, reader, sent, true) != EVENT_PASS)
        return EVENT_DIVERGED;
    *first = thread->outputs + 1;
    thread->outputs += packets;
    return ev_pass(thread, reader);
}

enum event ev_effect_replay(struct thread_state *thread, struct log_reader *reader, uint32_t sent,
                            int64_t *value)
{
    *value = 0;
    if (ev_next(thread, reader) == NEXT_RECORD && reader->next.kind == RECORD_NUMBER) {
        *value = reader->next.number;
        return ev_pass(thread, reader);
    }
    enum event may = ev_need_record(thread, reader, RECORD_EFFECT);
    if (may != EVENT_PASS || output_same(thread, reader, sent, false) != EVENT_PASS)
        return may != EVENT_PASS ? may : EVENT_DIVERGED;
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
