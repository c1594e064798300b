/* See event_word.h. */
#include "assert.h"
#include "event_parts.h"

/* Of two halves that share a place in the cache only the second stays: never predicted. */
static void wide_remember(struct thread_state *thread, uint64_t address, struct word value,
                          struct version version)
{
    word_remember(thread, address, value.low, version);
    word_remember(thread, address + 8, value.high, version);
}

static bool version_same(struct version a, struct version b)
{
    return a.writer == b.writer && a.written == b.written;
}

/* Both halves as they were seen together. */
static bool wide_cached(struct thread_state *thread, uint64_t address, struct word *value,
                        struct version *version)
{
    const struct word_cache_entry *low = word_cache(thread, address);
    const struct word_cache_entry *high = word_cache(thread, address + 8);
    if (low->address != address || high->address != address + 8 ||
        !version_same(low->version, high->version))
        return false;
    *value = (struct word){low->value, high->value};
    *version = low->version;
    return true;
}

/* ---- recording ---- */

void ev_load_record(struct thread_state *thread, struct log *log, uint64_t address, uint64_t value,
                    struct version version)
{
    ASSERT(address != 0);
    if (ev_load_predicted(thread, log, address, value, version))
        return;
    position at = ev_step(thread);
    uint32_t writer = version.writer == 0 ? NO_THREAD : version.writer - 1;
    log_append(log, record_load(&thread->codec, ev_space(log), at, value, writer, version.written));
    word_remember(thread, address, value, version);
    log_publish(log, at);
}

void ev_wide_load_record(struct thread_state *thread, struct log *log, uint64_t address,
                         struct word value, struct version version)
{
    ASSERT(address != 0);
    struct word known;
    struct version last;
    position at = ev_step(thread);
    if (!wide_cached(thread, address, &known, &last) || !word_same(known, value) ||
        !version_same(last, version)) {
        uint32_t writer = version.writer == 0 ? NO_THREAD : version.writer - 1;
        log_append(log, record_wide(&thread->codec, ev_space(log), at, value.low, value.high,
                                    writer, version.written));
        wide_remember(thread, address, value, version);
    }
    log_publish(log, at);
}

void ev_load_stamp(struct thread_state *thread, uint64_t address, uint64_t stamp)
{
    DEBUG_ASSERT(word_cache(thread, address)->address == address && stamp != 0);
    word_cache(thread, address)->stamp = stamp;
}

struct version ev_wide_store_record(struct thread_state *thread, struct log *log,
                                    struct order *stripe, uint64_t address, struct word value)
{
    ASSERT(address != 0);
    position at = ev_order_step(thread, log, stripe);
    struct version version = {thread->index + 1, at};
    wide_remember(thread, address, value, version);
    log_publish(log, at);
    return version;
}

void ev_mixed_record(struct thread_state *thread, struct log *log, uint64_t value,
                     struct log *const *logs, uint32_t threads, struct positions *dependency)
{
    ASSERT(thread->index < threads && threads <= THREADS_MAX);
    dependency->threads = threads;
    for (uint32_t t = 0; t < threads; t++)
        dependency->at[t] = log_published(logs[t]);
    position at = ev_step(thread);
    log_append(log, record_mixed(&thread->codec, ev_space(log), at, value, dependency));
    log_publish(log, at);
}

/* ---- replaying ---- */

/* The store that a logged load depends on. */
static enum event writer_passed(const struct thread_state *thread, const struct record *record,
                                const struct positions *positions)
{
    if (record->writer != NO_THREAD && record->writer != thread->index &&
        positions_get(positions, record->writer) < record->written)
        return EVENT_WAIT;
    return EVENT_PASS;
}

static struct version version_of(const struct record *record)
{
    return (struct version){record->writer + 1, record->written}; /* NO_THREAD -> 0 */
}

/* Leaves the event to be passed: an RMW looks at the value first. */
static enum event load_look(struct thread_state *thread, struct log_reader *reader,
                            uint64_t address, bool wide, const struct positions *positions,
                            struct word *value, struct version *version)
{
    switch (ev_next(thread, reader)) {
    case NEXT_END:
        return EVENT_END;
    case NEXT_BAD:
        return EVENT_DIVERGED;
    case NEXT_PREDICTED: {
        const struct word_cache_entry *known = word_cache(thread, address);
        bool seen = wide ? wide_cached(thread, address, value, version) : known->address == address;
        if (!seen)
            return ev_diverged(reader, "the log elides a load of a word never seen");
        if (!wide) {
            *value = (struct word){.low = known->value};
            *version = known->version;
        }
        return EVENT_PASS;
    }
    case NEXT_RECORD:
        break;
    }
    const struct record *record = &reader->next;
    if (record->kind != (wide ? RECORD_WIDE : RECORD_LOAD))
        return ev_diverged(reader, "the log holds another kind of event here");
    *value = (struct word){record->value, wide ? record->high : 0};
    *version = version_of(record);
    return writer_passed(thread, record, positions);
}

static enum event load_pass(struct thread_state *thread, struct log_reader *reader,
                            uint64_t address, bool wide, struct word value, struct version version)
{
    bool recorded = ev_next(thread, reader) == NEXT_RECORD;
    if (recorded && wide)
        wide_remember(thread, address, value, version);
    else if (recorded)
        word_remember(thread, address, value.low, version);
    return ev_pass(thread, reader);
}

enum event ev_load_replay(struct thread_state *thread, struct log_reader *reader, uint64_t address,
                          const struct positions *positions, uint64_t *value)
{
    struct word word;
    struct version version;
    enum event may = load_look(thread, reader, address, false, positions, &word, &version);
    if (may != EVENT_PASS)
        return may;
    *value = word.low;
    return load_pass(thread, reader, address, false, word, version);
}

enum event ev_wide_load_replay(struct thread_state *thread, struct log_reader *reader,
                               uint64_t address, const struct positions *positions,
                               struct word *value)
{
    struct version version;
    enum event may = load_look(thread, reader, address, true, positions, value, &version);
    return may == EVENT_PASS ? load_pass(thread, reader, address, true, *value, version) : may;
}

enum event ev_store_replay(struct thread_state *thread, struct log_reader *reader,
                           struct order *stripe, uint64_t address, uint64_t value,
                           struct version *version)
{
    enum event may = order_may(thread, reader, stripe);
    if (may != EVENT_PASS)
        return may;
    order_take(thread, reader, stripe);
    *version = (struct version){thread->index + 1, thread->position};
    word_remember(thread, address, value, *version);
    return EVENT_PASS;
}

enum event ev_wide_store_replay(struct thread_state *thread, struct log_reader *reader,
                                struct order *stripe, uint64_t address, struct word value,
                                struct version *version)
{
    enum event may = order_may(thread, reader, stripe);
    if (may != EVENT_PASS)
        return may;
    order_take(thread, reader, stripe);
    *version = (struct version){thread->index + 1, thread->position};
    wide_remember(thread, address, value, *version);
    return EVENT_PASS;
}

enum event ev_mixed_replay(struct thread_state *thread, struct log_reader *reader,
                           const struct positions *positions, uint64_t *value)
{
    enum event may = ev_need_record(thread, reader, RECORD_MIXED);
    if (may != EVENT_PASS)
        return may;
    const struct positions *needed = &reader->next.vector;
    for (uint32_t t = 0; t < needed->threads; t++)
        if (t != thread->index && positions_get(positions, t) < positions_get(needed, t))
            return EVENT_WAIT;
    *value = reader->next.value;
    return ev_pass(thread, reader);
}

/* Its turn has come: a store whose value memory tells. */
static enum event rmw_store(struct thread_state *thread, struct log_reader *reader,
                            struct order *stripe, struct word_rmw *rmw)
{
    enum event may = order_may(thread, reader, stripe);
    if (may != EVENT_PASS)
        return may;
    rmw->old = rmw->memory;
    rmw->new = rmw->update(rmw->operation, rmw->old);
    if (word_same(rmw->new, rmw->old))
        return ev_diverged(reader, "the log changes a word that the program leaves as it is");
    rmw->stored = true;
    return rmw->wide
               ? ev_wide_store_replay(thread, reader, stripe, rmw->address, rmw->new, &rmw->version)
               : ev_store_replay(thread, reader, stripe, rmw->address, rmw->new.low, &rmw->version);
}

static enum event rmw_load(struct thread_state *thread, struct log_reader *reader,
                           const struct positions *positions, struct word_rmw *rmw)
{
    struct version version;
    enum event may =
        load_look(thread, reader, rmw->address, rmw->wide, positions, &rmw->old, &version);
    if (may != EVENT_PASS)
        return may;
    rmw->new = rmw->update(rmw->operation, rmw->old);
    if (!word_same(rmw->new, rmw->old))
        return ev_diverged(reader, "the log leaves a word as it is that the program changes");
    rmw->stored = false;
    return load_pass(thread, reader, rmw->address, rmw->wide, rmw->old, version);
}

enum event ev_rmw_replay(struct thread_state *thread, struct log_reader *reader,
                         struct order *stripe, const struct positions *positions,
                         struct word_rmw *rmw)
{
    switch (ev_next(thread, reader)) {
    case NEXT_END:
        return EVENT_END;
    case NEXT_BAD:
        return EVENT_DIVERGED;
    case NEXT_RECORD:
        if (reader->next.kind == RECORD_ORDER)
            return rmw_store(thread, reader, stripe, rmw);
        return rmw_load(thread, reader, positions, rmw);
    case NEXT_PREDICTED:
        break;
    }
    /*
     * R6: an elided change is the owner's, and for the owner memory is as it was: a store by
     * somebody else would have needed a record to hand the lock over. All others changed nothing.
     */
    bool owner = stripe->owner == thread->index + 1;
    if (owner && !word_same(rmw->update(rmw->operation, rmw->memory), rmw->memory))
        return rmw_store(thread, reader, stripe, rmw);
    return rmw_load(thread, reader, positions, rmw);
}
