/* See event_rw.h. */
#include "event_rw.h"

#include "event_parts.h"

static struct read_cache_entry *read_cache(struct thread_state *thread, uint64_t address)
{
    return &thread->reads[address * 0x9E3779B97F4A7C15ull >> 60];
}
_Static_assert(READ_CACHE_ENTRIES == 16, "read_cache takes the top 4 bits of the hash");

static void read_remember(struct thread_state *thread, uint64_t address, uint64_t sequence)
{
    *read_cache(thread, address) = (struct read_cache_entry){address, sequence};
}

/* ---- what both modes do to the order ---- */

static void order_read(const struct thread_state *thread, struct rworder *order)
{
    if (order->owner != thread->index + 1)
        atomic_store_explicit(&order->other_reads, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&order->reads, 1, memory_order_release);
}

static void order_write(struct thread_state *thread, struct rworder *order, uint64_t address)
{
    order->sequence++;
    order->owner = thread->index + 1;
    atomic_store_explicit(&order->other_reads, 0, memory_order_relaxed);
    atomic_store_explicit(&order->reads, 0, memory_order_relaxed);
    atomic_store_explicit(&order->reads_done, 0, memory_order_relaxed);
    read_remember(thread, address, order->sequence);
}

void ev_read_done(struct rworder *order)
{
    atomic_fetch_add_explicit(&order->reads_done, 1, memory_order_release);
}

/* ---- recording ---- */

void ev_read_record(struct thread_state *thread, struct log *log, struct rworder *order,
                    uint64_t address)
{
    position at = ev_step(thread);
    const struct read_cache_entry *known = read_cache(thread, address);
    if (known->address != address || known->sequence != order->sequence) {
        log_append(log, record_read(&thread->codec, ev_space(log), at, order->sequence));
        read_remember(thread, address, order->sequence);
    }
    log_publish(log, at);
    order_read(thread, order); /* after it: a failed try counts on published reads (R4) */
}

void ev_write_record(struct thread_state *thread, struct log *log, struct rworder *order,
                     uint64_t address)
{
    position at = ev_step(thread);
    if (order->owner != thread->index + 1 ||
        atomic_load_explicit(&order->other_reads, memory_order_relaxed) != 0)
        log_append(log, record_write(&thread->codec, ev_space(log), at, order->sequence + 1,
                                     atomic_load(&order->reads)));
    order_write(thread, order, address);
    log_publish(log, at);
}

void ev_fail_readers_record(struct thread_state *thread, struct log *log, uint64_t sequence,
                            struct log *const *logs, uint32_t threads)
{
    struct positions seen = {.threads = threads};
    position at = ev_step(thread);
    for (uint32_t t = 0; t < threads; t++)
        seen.at[t] = log_published(logs[t]);
    log_append(log, record_mixed(&thread->codec, ev_space(log), at, sequence, &seen));
    log_publish(log, at);
}

/* ---- replaying ---- */

static enum event read_take(struct thread_state *thread, struct log_reader *reader,
                            struct rworder *order, uint64_t address)
{
    read_remember(thread, address, order->sequence);
    order_read(thread, order);
    return ev_pass(thread, reader);
}

/* The failure was one of a holder for writing, whose sequence must have come (R4). */
static enum event fail_replay(struct thread_state *thread, struct log_reader *reader,
                              const struct rworder *order, bool *failed)
{
    if (order->sequence < reader->next.sequence)
        return EVENT_WAIT;
    *failed = true;
    return ev_pass(thread, reader);
}

enum event ev_read_replay(struct thread_state *thread, struct log_reader *reader,
                          struct rworder *order, uint64_t address, bool free, bool *failed)
{
    const struct read_cache_entry *known = read_cache(thread, address);
    uint64_t wanted = known->sequence;
    if (failed)
        *failed = false;
    switch (ev_next(thread, reader)) {
    case NEXT_END:
        return EVENT_END;
    case NEXT_BAD:
        return EVENT_DIVERGED;
    case NEXT_PREDICTED:
        if (known->address != address)
            return ev_diverged(reader, "the log elides a read lock that was never taken");
        break;
    case NEXT_RECORD:
        if (failed && reader->next.kind == RECORD_FAIL)
            return fail_replay(thread, reader, order, failed);
        if (reader->next.kind != RECORD_READ)
            return ev_diverged(reader, "the log holds another kind of event here");
        wanted = reader->next.sequence;
    }
    if (order->sequence > wanted)
        return ev_diverged(reader, "the sequence ran past the recorded read lock");
    if (order->sequence < wanted || !free)
        return EVENT_WAIT;
    return read_take(thread, reader, order, address);
}

/* Every thread has come as far as when the readers were seen. */
static bool all_passed(const struct thread_state *thread, const struct positions *seen,
                       const struct positions *passed)
{
    for (uint32_t t = 0; t < seen->threads; t++)
        if (t != thread->index && positions_get(passed, t) < seen->at[t])
            return false;
    return true;
}

enum event ev_write_replay(struct thread_state *thread, struct log_reader *reader,
                           struct rworder *order, uint64_t address, bool free,
                           const struct positions *passed, bool *failed)
{
    const struct record *record = &reader->next;
    if (failed)
        *failed = false;
    switch (ev_next(thread, reader)) {
    case NEXT_END:
        return EVENT_END;
    case NEXT_BAD:
        return EVENT_DIVERGED;
    case NEXT_PREDICTED:
        if (order->owner != thread->index + 1)
            return ev_diverged(reader, "the log elides a write lock, but another thread owns it");
        if (!free)
            return EVENT_WAIT;
        order_write(thread, order, address);
        return ev_pass(thread, reader);
    case NEXT_RECORD:
        break;
    }
    if (failed && record->kind == RECORD_FAIL)
        return fail_replay(thread, reader, order, failed);
    if (failed && record->kind == RECORD_MIXED) {
        if (!all_passed(thread, &record->vector, passed))
            return EVENT_WAIT;
        *failed = true;
        return ev_pass(thread, reader);
    }
    if (record->kind != RECORD_WRITE)
        return ev_diverged(reader, "the log holds another kind of event here");
    if (order->sequence >= record->sequence)
        return ev_diverged(reader, "the sequence ran past the recorded write lock");
    if (order->sequence + 1 < record->sequence)
        return EVENT_WAIT;
    uint64_t done = atomic_load(&order->reads_done);
    if (done > record->reads)
        return ev_diverged(reader, "more reads lie before the write lock than were recorded");
    if (done < record->reads || !free)
        return EVENT_WAIT;
    order_write(thread, order, address);
    return ev_pass(thread, reader);
}
