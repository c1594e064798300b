/*
 * Loads and stores of words that threads share without a lock: relaxed atomics with a version (R5,
 * R6). How a word, its lock and its version hang together: hooks/sharing/word.h.
 *
 * A load adds no bytes to the log while neither value nor version changed since this thread looked
 * last. Looking again and again may be how the program waits for a thread that is stopped already:
 * so every hook stops at a barrier, by way of its restartable entry.
 */
#include <sched.h>

#include "abi_internal.h"
#include "check/check.h"
#include "core/assert.h"
#include "hooks/sharing/word.h"

void slot_pause(uint32_t *turns)
{
    if (++*turns % 64 == 0)
        sched_yield();
    else
        __builtin_ia32_pause();
}

struct positions word_positions(void)
{
    struct positions passed;
    passed.threads = __atomic_load_n(&IMAGE->thread_count, __ATOMIC_ACQUIRE);
    for (uint32_t t = 0; t < passed.threads; t++)
        passed.at[t] = __atomic_load_n(&IMAGE->threads[t].core.position, __ATOMIC_ACQUIRE);
    return passed;
}

/* ---- loads ---- */

static enum event load_replay(struct nf_thread *thread, const void *address, uint32_t bytes,
                              struct word *value)
{
    struct positions passed = word_positions();
    struct log_reader *reader = &run_of(thread)->reader;
    value->high = 0;
    if (bytes == 16)
        return ev_wide_load_replay(&thread->core, reader, (uint64_t)address, &passed, value);
    return ev_load_replay(&thread->core, reader, (uint64_t)address, &passed, &value->low);
}

struct looked word_look(const void *address, uint32_t bytes)
{
    const struct word_slot *slot = slot_of(address);
    struct looked looked;
    for (uint32_t turns = 0;; slot_pause(&turns)) {
        looked.lock = atomic_load_explicit(&slot->lock, memory_order_acquire);
        looked.version = slot_version(slot);
        looked.value = word_read(address, bytes);
        atomic_thread_fence(memory_order_acquire);
        if (!(looked.lock & 1) &&
            atomic_load_explicit(&slot->lock, memory_order_relaxed) == looked.lock)
            return looked;
    }
}

void word_load_record(struct nf_thread *thread, struct log *log, const void *address,
                      uint32_t bytes, const struct looked *looked)
{
    uint64_t key = (uint64_t)address;
    if (bytes == 16) {
        ev_wide_load_record(&thread->core, log, key, looked->value, looked->version);
        return;
    }
    ev_load_record(&thread->core, log, key, looked->value.low, looked->version);
    ev_load_stamp(&thread->core, key, looked->lock + 1);
}

/* Whoever stored it says so under the lock, a moment after its position moved. */
static void word_acquire(const void *address)
{
    if (!checking())
        return;
    replay_object_lock(slot_of(address));
    check_acquired(check_word(address));
    replay_object_unlock(slot_of(address));
}

struct word word_load(struct nf_thread *thread, const void *address, uint32_t bytes)
{
    struct word value;
    if (REPLAYED_SAFE_ALONE(thread, "load", load_replay(thread, address, bytes, &value))) {
        word_acquire(address);
        return value;
    }
    struct log *log = log_ready(thread);
    struct looked looked = word_look(address, bytes);
    word_load_record(thread, log, address, bytes, &looked);
    return looked.value;
}

/*
 * The common case, in line: recording, and neither the slot's lock nor the value moved since this
 * thread looked last. The stamp is the lock and one: never 0, and even, which no cache holds, while
 * a store is under way.
 */
static inline __attribute__((always_inline)) bool
load_unchanged(const void *site, const void *address, uint32_t bytes, uint64_t *value)
{
    struct nf_thread *thread = nf_self;
    if (__builtin_expect(!recording_plainly() || thread == NULL, 0))
        return false;
    site_is(thread, site);
    /* The value first: when the lock has not moved by then, no store had begun. The other way round
     * a value that came back could be a later one, and what was published with it be seen too
     * early. */
    *value = word_read(address, bytes).low;
    atomic_thread_fence(memory_order_acquire);
    uint64_t lock = atomic_load_explicit(&slot_of(address)->lock, memory_order_acquire);
    return ev_load_stamped(&thread->core, &run_of(thread)->log, (uint64_t)address, lock + 1,
                           *value);
}

#define LOAD(type, bytes)                                                                          \
    type palisade_load##bytes##_entry(const type *address);                                        \
    type palisade_load##bytes##_restartable(const type *address)                                   \
    {                                                                                              \
        if (nf_self == NULL)                                                                       \
            return __atomic_load_n(address, __ATOMIC_SEQ_CST);                                     \
        safe_point(nf_self);                                                                       \
        return (type)word_load(nf_self, address, bytes).low;                                       \
    }                                                                                              \
    HOOK type __palisade_load##bytes(const type *address)                                          \
    {                                                                                              \
        uint64_t value;                                                                            \
        if (load_unchanged(__builtin_return_address(0), address, bytes, &value))                   \
            return (type)value;                                                                    \
        __attribute__((musttail)) return palisade_load##bytes##_entry(address);                    \
    }

LOAD(uint8_t, 1)
LOAD(uint16_t, 2)
LOAD(uint32_t, 4)
LOAD(uint64_t, 8)

/* ---- mixed loads (R10) ---- */

static enum event mixed_replay(struct nf_thread *thread, uint64_t *value)
{
    struct positions passed = word_positions();
    return ev_mixed_replay(&thread->core, &run_of(thread)->reader, &passed, value);
}

static uint64_t mixed(struct nf_thread *thread, const void *address, uint32_t bytes)
{
    struct positions needed;
    uint64_t value;
    if (REPLAYED_WATCHING(thread, "mixed load", mixed_replay(thread, &value))) {
        word_acquire(address);
        return value;
    }
    struct log *log = log_ready(thread);
    value = word_read(address, bytes).low;
    atomic_thread_fence(memory_order_acquire);
    ev_mixed_record(&thread->core, log, value, process.logs,
                    __atomic_load_n(&IMAGE->thread_count, __ATOMIC_ACQUIRE), &needed);
    return value;
}

#define MIXED(type, bytes)                                                                         \
    type palisade_mixed##bytes##_restartable(const type *address)                                  \
    {                                                                                              \
        if (nf_self == NULL)                                                                       \
            return __atomic_load_n(address, __ATOMIC_SEQ_CST);                                     \
        safe_point(nf_self);                                                                       \
        return (type)mixed(nf_self, address, bytes);                                               \
    }

MIXED(uint8_t, 1)
MIXED(uint16_t, 2)
MIXED(uint32_t, 4)
MIXED(uint64_t, 8)

/* ---- stores ---- */

static inline __attribute__((always_inline)) void
store_live(struct nf_thread *thread, void *address, struct word value, uint32_t bytes)
{
    struct log *log = log_ready(thread);
    struct word_slot *slot = slot_of(address);
    uint64_t key = (uint64_t)address, lock = slot_take(slot);
    struct version version =
        bytes == 16 ? ev_wide_store_record(&thread->core, log, &slot->order, key, value)
                    : ev_store_record(&thread->core, log, &slot->order, key, value.low);
    slot->written = version.written;
    word_write(address, value, bytes);
    slot_give(slot, lock + 2);
}

/* Turn, version and value are one step: the next writer must find them all. */
static enum event store_replay(struct nf_thread *thread, void *address, struct word value,
                               uint32_t bytes)
{
    struct word_slot *slot = slot_of(address);
    struct log_reader *reader = &run_of(thread)->reader;
    uint64_t key = (uint64_t)address;
    struct version version;
    replay_object_lock(slot);
    enum event event =
        bytes == 16
            ? ev_wide_store_replay(&thread->core, reader, &slot->order, key, value, &version)
            : ev_store_replay(&thread->core, reader, &slot->order, key, value.low, &version);
    if (event == EVENT_PASS) {
        slot->written = version.written;
        word_write(address, value, bytes);
        slot_give(slot, slot->lock + 2);
        if (checking())
            check_released(check_word(address));
    }
    replay_object_unlock(slot);
    return event;
}

void word_store(struct nf_thread *thread, void *address, struct word value, uint32_t bytes)
{
    if (REPLAYED_SAFE(thread, "store", store_replay(thread, address, value, bytes)))
        return;
    store_live(thread, address, value, bytes);
}

#define STORE(type, bytes)                                                                         \
    void palisade_store##bytes##_entry(type *address, type value);                                 \
    void palisade_store##bytes##_restartable(type *address, type value)                            \
    {                                                                                              \
        if (nf_self == NULL) {                                                                     \
            __atomic_store_n(address, value, __ATOMIC_SEQ_CST);                                    \
            return;                                                                                \
        }                                                                                          \
        safe_point(nf_self);                                                                       \
        word_store(nf_self, address, (struct word){value, 0}, bytes);                              \
    }                                                                                              \
    HOOK void __palisade_store##bytes(type *address, type value)                                   \
    {                                                                                              \
        struct nf_thread *thread = nf_self;                                                        \
        if (__builtin_expect(!recording_plainly() || thread == NULL, 0))                           \
            __attribute__((musttail)) return palisade_store##bytes##_entry(address, value);        \
        site_is(thread, __builtin_return_address(0));                                              \
        store_live(thread, address, (struct word){value, 0}, bytes);                               \
    }

STORE(uint8_t, 1)
STORE(uint16_t, 2)
STORE(uint32_t, 4)
STORE(uint64_t, 8)
