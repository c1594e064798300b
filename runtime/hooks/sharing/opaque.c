/*
 * Locks of a library that is not instrumented: `opaque` rows of a model file. The pass puts these
 * calls around the program's calls of the library's function:
 *
 *   lock    __palisade_opaque_lock(address)     then the library's
 *   unlock  the library's                       then __palisade_opaque_unlock(address)
 *
 * So whoever has to wait waits here, in the safe state, where a barrier may find it, and in replay
 * until it is its turn. The library's lock is then free: its function returns at once. That holds
 * as long as the library takes the lock nowhere else.
 */
#include "hooks/sharing/word_lock.h"

#include "abi_internal.h"

/* The lock's own entry: one that is shared could be held twice by one thread. */
static struct opaque_lock *entry_of(const void *lock)
{
    uint64_t address = (uint64_t)lock, hash = address * 0x9E3779B97F4A7C15ull >> 40;
    for (uint32_t probe = 0; probe < OPAQUE_LOCKS_MAX; probe++) {
        struct opaque_lock *entry = &IMAGE->opaque_locks[(hash + probe) & (OPAQUE_LOCKS_MAX - 1)];
        uint64_t found = atomic_load_explicit(&entry->address, memory_order_acquire);
        if (found == 0 && atomic_compare_exchange_strong(&entry->address, &found, address))
            return entry;
        if (found == address)
            return entry;
    }
    process_fail(STATUS_MEMORY,
                 "more than %u locks of libraries (opaque rows of the model file); raise "
                 "OPAQUE_LOCKS_MAX",
                 OPAQUE_LOCKS_MAX);
}

static void lock(void *address, bool shared)
{
    struct nf_thread *thread = nf_self;
    if (thread == NULL)
        return; /* role=off, or a thread that makes no events: the library's lock is enough */
    struct opaque_lock *entry = entry_of(address);
    safe_point(thread);
    if (REPLAYED_SAFE(thread, "lock of a library",
                      word_replay(thread, &entry->word, &entry->order, entry, shared, NULL)))
        return;
    word_take(thread, &entry->word, shared);
    ev_order_record(&thread->core, log_ready(thread), &entry->order);
    word_recorded(&entry->word, shared);
}

void palisade_opaque_lock_restartable(void *address)
{
    lock(address, false);
}

HOOK void __palisade_opaque_unlock(void *address)
{
    SITE_HERE();
    if (nf_self)
        word_release(&entry_of(address)->word);
}
