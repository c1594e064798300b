/*
 * Named globals accessed without a lock: relaxed atomics with a version (R5, R6).
 *
 * A store takes the assigned lock of its stripe (an ordered lock whose order event is part of the
 * store's), then writes version and value under the word's seqlock. A load reads the pair and adds
 * no bytes to the log while neither changed since this thread looked last.
 */
#include <string.h>

#include "abi_internal.h"
#include "core/assert.h"
#include "hooks/lock.h"
#include "replay/replay.h"

static uint32_t hash_address(uint64_t address)
{
    return (uint32_t)((address * 0x9E3779B97F4A7C15ull) >> 40);
}

/* The word's own entry; no two words share one. */
static struct word_version *version_of(uint64_t address)
{
    for (uint32_t probe = 0; probe < VERSIONS_MAX; probe++) {
        struct word_version *entry =
            &IMAGE->versions[(hash_address(address) + probe) & (VERSIONS_MAX - 1)];
        uint64_t found = atomic_load_explicit(&entry->address, memory_order_acquire);
        if (found == 0 && atomic_compare_exchange_strong(&entry->address, &found, address))
            return entry;
        if (found == address)
            return entry;
    }
    process_fail(STATUS_MEMORY, "more than %u racy words; raise VERSIONS_MAX", VERSIONS_MAX);
}

static uint64_t read_word(const void *address, uint32_t bytes)
{
    switch (bytes) {
    case 1:
        return *(const volatile uint8_t *)address;
    case 2:
        return *(const volatile uint16_t *)address;
    case 4:
        return *(const volatile uint32_t *)address;
    default:
        return *(const volatile uint64_t *)address;
    }
}

static void write_word(void *address, uint64_t value, uint32_t bytes)
{
    switch (bytes) {
    case 1:
        *(volatile uint8_t *)address = (uint8_t)value;
        break;
    case 2:
        *(volatile uint16_t *)address = (uint16_t)value;
        break;
    case 4:
        *(volatile uint32_t *)address = (uint32_t)value;
        break;
    default:
        *(volatile uint64_t *)address = value;
    }
}

static enum event load_replay(struct nf_thread *thread, uint64_t address, uint64_t *value)
{
    struct positions passed = {.threads = IMAGE->thread_count};
    for (uint32_t t = 0; t < passed.threads; t++)
        passed.at[t] = __atomic_load_n(&IMAGE->threads[t].core.position, __ATOMIC_ACQUIRE);
    return ev_load_replay(&thread->core, &run_of(thread)->reader, address, &passed, value);
}

static uint64_t load(const void *address, uint32_t bytes)
{
    struct nf_thread *thread = nf_self;
    uint64_t value, key = (uint64_t)address;
    if (thread == NULL)
        return read_word(address, bytes);
    if (REPLAYED_ALONE(thread, "racy load", load_replay(thread, key, &value)))
        return value;
    struct log *log = log_ready(thread);
    struct word_version *entry = version_of(key);
    struct version version;
    uint32_t before;
    for (;;) {
        before = atomic_load_explicit(&entry->lock, memory_order_acquire);
        version = entry->version;
        value = read_word(address, bytes);
        atomic_thread_fence(memory_order_acquire);
        if (!(before & 1) && atomic_load_explicit(&entry->lock, memory_order_relaxed) == before)
            break;
        __builtin_ia32_pause();
    }
    ev_load_record(&thread->core, log, key, value, version);
    if (before != 0)
        ev_load_stamp(&thread->core, key, before);
    return value;
}

static void install(void *address, uint64_t value, uint32_t bytes, struct version version)
{
    struct word_version *entry = version_of((uint64_t)address);
    uint32_t lock = atomic_load_explicit(&entry->lock, memory_order_relaxed);
    atomic_store_explicit(&entry->lock, lock + 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
    entry->version = version;
    write_word(address, value, bytes);
    atomic_store_explicit(&entry->lock, lock + 2, memory_order_release);
}

/* Turn, version and value are one step: the next writer must find them all. */
static enum event store_replay(struct nf_thread *thread, struct nf_mutex *stripe, void *address,
                               uint64_t value, uint32_t bytes)
{
    struct version version;
    replay_object_lock(stripe);
    enum event event = ev_store_replay(&thread->core, &run_of(thread)->reader, &stripe->order,
                                       (uint64_t)address, value, &version);
    if (event == EVENT_PASS)
        install(address, value, bytes, version);
    replay_object_unlock(stripe);
    return event;
}

static void store(void *address, uint64_t value, uint32_t bytes)
{
    struct nf_thread *thread = nf_self;
    if (thread == NULL) {
        write_word(address, value, bytes);
        return;
    }
    struct nf_mutex *stripe = &IMAGE->stripes[hash_address((uint64_t)address) % STRIPES];
    if (REPLAYED(thread, "racy store", store_replay(thread, stripe, address, value, bytes)))
        return;
    struct log *log = log_ready(thread);
    native_lock(thread, stripe, false);
    struct version version =
        ev_store_record(&thread->core, log, &stripe->order, (uint64_t)address, value);
    install(address, value, bytes, version);
    native_unlock(stripe);
}

/*
 * The common case, in line: recording, the word is where its hash says, and its seqlock did not
 * move since this thread looked last, nor did the value. The lock is odd while a store is under way
 * and even, 2 at least, after the first: a stamp.
 */
static inline bool load_unchanged(const void *address, uint32_t bytes, uint64_t *value)
{
    struct nf_thread *thread = nf_self;
    if (__builtin_expect(!recording_plainly() || thread == NULL, 0))
        return false;
    const struct word_version *entry =
        &IMAGE->versions[hash_address((uint64_t)address) & (VERSIONS_MAX - 1)];
    uint32_t lock = atomic_load_explicit(&entry->lock, memory_order_acquire);
    *value = read_word(address, bytes);
    return lock != 0 &&
           atomic_load_explicit(&entry->address, memory_order_relaxed) == (uint64_t)address &&
           ev_load_stamped(&thread->core, &run_of(thread)->log, (uint64_t)address, lock, *value);
}

/* Looking again and again may be how the program waits for a thread that is stopped already: so a
 * load stops at a barrier too, by way of its restartable entry. */
#define LOAD(type, bytes)                                                                          \
    type palisade_load##bytes##_entry(const type *address);                                        \
    type palisade_load##bytes##_restartable(const type *address)                                   \
    {                                                                                              \
        if (nf_self)                                                                               \
            safe_point(nf_self);                                                                   \
        return (type)load(address, bytes);                                                         \
    }                                                                                              \
    HOOK type __palisade_load##bytes(const type *address)                                          \
    {                                                                                              \
        uint64_t value;                                                                            \
        if (__builtin_expect(barrier_up(), 0))                                                     \
            __attribute__((musttail)) return palisade_load##bytes##_entry(address);                \
        return (type)(load_unchanged(address, bytes, &value) ? value : load(address, bytes));      \
    }

LOAD(uint8_t, 1)
LOAD(uint16_t, 2)
LOAD(uint32_t, 4)
LOAD(uint64_t, 8)

HOOK void __palisade_store1(uint8_t *address, uint8_t value)
{
    store(address, value, 1);
}
HOOK void __palisade_store2(uint16_t *address, uint16_t value)
{
    store(address, value, 2);
}
HOOK void __palisade_store4(uint32_t *address, uint32_t value)
{
    store(address, value, 4);
}
HOOK void __palisade_store8(uint64_t *address, uint64_t value)
{
    store(address, value, 8);
}
