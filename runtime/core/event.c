/* See event.h. Recording is short because it is what the NF pays; replay is careful. */
#include "core/event.h"

#include <errno.h>
#include <string.h>

#include "core/assert.h"

/* ---- recording ---- */

/* A predicted event: the position alone. */
static inline void pass(struct thread_state *thread, struct log *log)
{
    log_publish(log, ++thread->position);
}

/* An event whose record of `length` bytes stands at log_space(). */
static inline void pass_with(struct thread_state *thread, struct log *log, uint32_t length)
{
    log_append(log, length);
    log_publish(log, thread->position);
}

void ev_order_record(struct thread_state *thread, struct log *log, struct order *order)
{
    if (ev_order_elided(thread, log, order))
        return;
    order->sequence++;
    order->owner = thread->index + 1;
    thread->position++;
    pass_with(thread, log,
              record_order(&thread->codec, log_space(log), thread->position, order->sequence));
}

void ev_fail_record(struct thread_state *thread, struct log *log, uint64_t sequence)
{
    thread->position++;
    pass_with(thread, log, record_fail(&thread->codec, log_space(log), thread->position, sequence));
}

void ev_number_record(struct thread_state *thread, struct log *log, int64_t value,
                      int64_t expected)
{
    if (value == expected) {
        pass(thread, log);
        return;
    }
    thread->position++;
    pass_with(thread, log, record_number(&thread->codec, log_space(log), thread->position, value));
}

void ev_bytes_record(struct thread_state *thread, struct log *log, const void *bytes,
                     uint32_t length)
{
    thread->position++;
    pass_with(thread, log,
              record_bytes(&thread->codec, log_space(log), thread->position, bytes, length));
}

void ev_clock_record(struct thread_state *thread, struct log *log, uint32_t slot, int64_t ns)
{
    thread->position++;
    pass_with(thread, log,
              record_clock(&thread->codec, log_space(log), thread->position, slot, ns));
}

void ev_receive_record(struct thread_state *thread, struct log *log, uint32_t queue,
                       const struct id_range *ranges, uint32_t count)
{
    if (count == 0) {
        pass(thread, log);
        return;
    }
    thread->position++;
    pass_with(thread, log,
              record_receive(&thread->codec, log_space(log), thread->position, queue, ranges,
                             count));
}

uint64_t ev_out_record(struct thread_state *thread, struct log *log, uint32_t packets,
                       struct log *const *logs, uint32_t threads, struct positions *vor)
{
    DEBUG_ASSERT(thread->index < threads && threads <= THREADS_MAX);
    uint64_t first = thread->outputs + 1;
    thread->position++;
    thread->outputs += packets;
    vor->threads = threads;
    for (uint32_t t = 0; t < threads; t++)
        vor->at[t] = log_published(logs[t]);
    vor->at[thread->index] = thread->position;
    pass_with(thread, log,
              record_out(&thread->codec, log_space(log), thread->position, packets, vor));
    return first;
}

/* ---- racy words (R5, R6) ---- */

static void cache_put(struct thread_state *thread, uint64_t address, uint64_t value,
                      struct version version)
{
    *word_cache(thread, address) =
        (struct word_cache_entry){.address = address, .value = value, .version = version};
}

void ev_load_record(struct thread_state *thread, struct log *log, uint64_t address,
                    uint64_t value, struct version version)
{
    const struct word_cache_entry *cached = word_cache(thread, address);
    if (cached->address == address && cached->value == value &&
        cached->version.writer == version.writer && cached->version.written == version.written) {
        pass(thread, log);
        return;
    }
    cache_put(thread, address, value, version);
    thread->position++;
    uint32_t writer = version.writer ? version.writer - 1 : NO_THREAD;
    pass_with(thread, log,
              record_load(&thread->codec, log_space(log), thread->position, value, writer,
                          version.written));
}

void ev_load_stamp(struct thread_state *thread, uint64_t address, uint64_t stamp)
{
    DEBUG_ASSERT(word_cache(thread, address)->address == address && stamp != 0);
    word_cache(thread, address)->stamp = stamp;
}

struct version ev_store_record(struct thread_state *thread, struct log *log, struct order *stripe,
                               uint64_t address, uint64_t value)
{
    ev_order_record(thread, log, stripe);
    struct version version = {.writer = thread->index + 1, .written = thread->position};
    cache_put(thread, address, value, version);
    return version;
}

/* ---- replaying ---- */

void log_reader_init(struct log_reader *reader, const uint8_t *bytes, size_t length,
                     const struct log_segment *segments, size_t segment_count, position end)
{
    memset(reader, 0, sizeof *reader);
    reader->bytes = bytes;
    reader->length = length;
    reader->segments = segments;
    reader->segment_count = segment_count;
    reader->end = end;
}

enum peeked { PEEK_RECORD, PEEK_PREDICTED, PEEK_END, PEEK_BAD };

/* What the log says about the thread's next event. PEEK_RECORD: it is reader->next. */
static enum peeked peek(const struct thread_state *thread, struct log_reader *reader)
{
    if (thread->position >= reader->end)
        return PEEK_END;
    if (!reader->have) {
        while (reader->segment < reader->segment_count &&
               reader->segments[reader->segment].offset == reader->offset)
            codec_reset(&reader->codec, reader->segments[reader->segment++].start);
        int took = record_decode(&reader->codec, reader->bytes + reader->offset,
                                 reader->length - reader->offset, &reader->next);
        if (took < 0) {
            reader->why = "the log is malformed";
            return PEEK_BAD;
        }
        if (took == 0)
            return PEEK_PREDICTED; /* only predicted events up to reader->end */
        reader->offset += (size_t)took;
        reader->have = true;
    }
    if (reader->next.position <= thread->position) {
        reader->why = "the program made fewer events than the log has records";
        return PEEK_BAD;
    }
    return reader->next.position == thread->position + 1 ? PEEK_RECORD : PEEK_PREDICTED;
}

static enum event diverged(struct log_reader *reader, const char *why)
{
    reader->why = why;
    return EVENT_DIVERGED;
}

/* The event is done: advance past it, and past its record if it had one. */
static enum event passed(struct thread_state *thread, struct log_reader *reader)
{
    if (reader->have && reader->next.position == thread->position + 1)
        reader->have = false;
    __atomic_store_n(&thread->position, thread->position + 1, __ATOMIC_RELEASE);
    return EVENT_PASS;
}

#define PEEK_OR_RETURN(peeked, thread, reader)                                                     \
    enum peeked peeked = peek(thread, reader);                                                     \
    if (peeked == PEEK_END)                                                                        \
        return EVENT_END;                                                                          \
    if (peeked == PEEK_BAD)                                                                        \
    return EVENT_DIVERGED

enum event ev_order_replay(struct thread_state *thread, struct log_reader *reader,
                           struct order *order)
{
    PEEK_OR_RETURN(peeked, thread, reader);
    if (peeked == PEEK_PREDICTED) {
        if (order->owner != thread->index + 1)
            return diverged(reader, "the log predicts the last owner, but another thread is");
    } else {
        if (reader->next.kind != RECORD_ORDER)
            return diverged(reader, "the log has no acquisition here");
        if (order->sequence >= reader->next.sequence)
            return diverged(reader, "the lock was acquired more often than the log says");
        if (order->sequence + 1 != reader->next.sequence)
            return EVENT_WAIT;
    }
    order->sequence++;
    order->owner = thread->index + 1;
    return passed(thread, reader);
}

enum event ev_try_replay(struct thread_state *thread, struct log_reader *reader,
                         struct order *order, bool *failed)
{
    PEEK_OR_RETURN(peeked, thread, reader);
    *failed = peeked == PEEK_RECORD && reader->next.kind == RECORD_FAIL;
    if (!*failed)
        return ev_order_replay(thread, reader, order);
    if (order->sequence < reader->next.sequence)
        return EVENT_WAIT; /* R4 */
    return passed(thread, reader);
}

enum event ev_number_replay(struct thread_state *thread, struct log_reader *reader,
                            int64_t expected, int64_t *value)
{
    PEEK_OR_RETURN(peeked, thread, reader);
    if (peeked == PEEK_RECORD && reader->next.kind != RECORD_NUMBER)
        return diverged(reader, "the log has no number here");
    *value = peeked == PEEK_RECORD ? reader->next.number : expected;
    return passed(thread, reader);
}

enum event ev_bytes_replay(struct thread_state *thread, struct log_reader *reader, void *bytes,
                           uint32_t length)
{
    PEEK_OR_RETURN(peeked, thread, reader);
    if (peeked != PEEK_RECORD || reader->next.kind != RECORD_BYTES)
        return diverged(reader, "the log has no bytes here");
    if (reader->next.count != length)
        return diverged(reader, "the log has another number of bytes here");
    memcpy(bytes, reader->next.bytes, length);
    return passed(thread, reader);
}

enum event ev_clock_replay(struct thread_state *thread, struct log_reader *reader, uint32_t slot,
                           int64_t *ns)
{
    PEEK_OR_RETURN(peeked, thread, reader);
    if (peeked != PEEK_RECORD || reader->next.kind != RECORD_CLOCK)
        return diverged(reader, "the log has no clock reading here");
    if (reader->next.slot != slot)
        return diverged(reader, "the log has a reading of another clock here");
    *ns = reader->next.number;
    return passed(thread, reader);
}

enum event ev_receive_replay(struct thread_state *thread, struct log_reader *reader,
                             uint32_t queue, struct id_range *ranges, uint32_t *count)
{
    PEEK_OR_RETURN(peeked, thread, reader);
    *count = 0;
    if (peeked == PEEK_RECORD) {
        if (reader->next.kind != RECORD_RECEIVE)
            return diverged(reader, "the log has no receive here");
        if (reader->next.slot != queue)
            return diverged(reader, "the log has a receive from another socket here");
        *count = reader->next.count;
        memcpy(ranges, reader->next.ranges, *count * sizeof *ranges);
    }
    return passed(thread, reader);
}

enum event ev_out_replay(struct thread_state *thread, struct log_reader *reader, uint32_t packets,
                         uint64_t *first)
{
    PEEK_OR_RETURN(peeked, thread, reader);
    if (peeked != PEEK_RECORD || reader->next.kind != RECORD_OUT)
        return diverged(reader, "the log has no send here");
    if (reader->next.count != packets)
        return diverged(reader, "the log has a send of another number of packets here");
    *first = thread->outputs + 1;
    thread->outputs += packets;
    return passed(thread, reader);
}

enum event ev_load_replay(struct thread_state *thread, struct log_reader *reader,
                          uint64_t address, const struct positions *positions, uint64_t *value)
{
    PEEK_OR_RETURN(peeked, thread, reader);
    if (peeked == PEEK_PREDICTED) {
        const struct word_cache_entry *cached = word_cache(thread, address);
        if (cached->address != address)
            return diverged(reader, "the log predicts a load of a word never seen");
        *value = cached->value;
        return passed(thread, reader);
    }
    const struct record *record = &reader->next;
    if (record->kind != RECORD_LOAD)
        return diverged(reader, "the log has no load here");
    if (record->writer != NO_THREAD && record->writer != thread->index &&
        positions_get(positions, record->writer) < record->written)
        return EVENT_WAIT;
    struct version version = {.writer = record->writer == NO_THREAD ? 0 : record->writer + 1,
                              .written = record->written};
    *value = record->value;
    cache_put(thread, address, *value, version);
    return passed(thread, reader);
}

enum event ev_store_replay(struct thread_state *thread, struct log_reader *reader,
                           struct order *stripe, uint64_t address, uint64_t value,
                           struct version *version)
{
    enum event event = ev_order_replay(thread, reader, stripe);
    if (event != EVENT_PASS)
        return event;
    *version = (struct version){.writer = thread->index + 1, .written = thread->position};
    cache_put(thread, address, value, *version);
    return EVENT_PASS;
}

void thread_state_segment(struct thread_state *thread)
{
    codec_reset(&thread->codec, thread->position);
}
