/*
 * See word_lock.h. Hooks for spin locks (pthread_spin_*) and for foreign locks whose type has no
 * room for an order: DPDK's rte_spinlock, rte_ticketlock and rte_rwlock, concurrency kit's
 * ck_spinlock_*. Their static-inline functions become calls of the hooks below, so that all of the
 * program's code agrees on what the word means. Which order belongs to a word: struct word_order in
 * image_locks.h.
 */
#include "hooks/sharing/word_lock.h"

#include <errno.h>
#include <sched.h>

#include "abi_internal.h"
#include "check/check.h"

/* ---- the native lock ---- */

bool word_try(_Atomic uint32_t *word, bool shared)
{
    uint32_t value = atomic_load(word);
    while (!(value & WORD_HELD) && (shared || value < WORD_READER))
        if (atomic_compare_exchange_weak(word, &value,
                                         shared ? value + WORD_READER : value | WORD_HELD))
            return true;
    return false;
}

static bool is_free(uint32_t value, bool shared)
{
    return !(value & WORD_HELD) && (shared || value < WORD_READER);
}

void word_take(struct nf_thread *thread, _Atomic uint32_t *word, bool shared)
{
    for (uint32_t spins = 0;; spins++) {
        if (word_try(word, shared))
            return;
        if (spins < 64) {
            __builtin_ia32_pause();
            continue;
        }
        if (thread == NULL) {
            sched_yield();
            continue;
        }
        uint32_t value = atomic_load(word);
        if (is_free(value, shared))
            continue;
        if ((value & WORD_WAITED) ||
            atomic_compare_exchange_strong(word, &value, value | WORD_WAITED))
            safe_wait(thread, word, value | WORD_WAITED, -1);
    }
}

void word_recorded(_Atomic uint32_t *word, bool shared)
{
    atomic_fetch_add(word, shared ? WORD_READER_RECORDED : WORD_RECORDED);
}

bool word_is_recorded(uint32_t value, bool shared)
{
    return (value & WORD_RECORDED) || (!shared && value >= WORD_READER_RECORDED);
}

void word_release(_Atomic uint32_t *word)
{
    uint32_t value = atomic_load(word), next;
    if (value & WORD_HELD)
        check_release(word);
    else
        check_release_shared(word);
    do {
        next = 0; /* nobody is left: whoever waits looks again */
        uint32_t readers = value % WORD_READER_RECORDED / WORD_READER; /* recorded or not */
        if (!(value & WORD_HELD) && readers > 1)
            next = value - WORD_READER - WORD_READER_RECORDED;
    } while (!atomic_compare_exchange_weak(word, &value, next));
    if ((value & WORD_WAITED) && !(next & WORD_WAITED))
        futex_wake(word, INT32_MAX);
    if (__builtin_expect(process_mode() == MODE_REPLAY, 0))
        replay_passed();
}

enum event word_replay(struct nf_thread *thread, _Atomic uint32_t *word, struct order *order,
                       const void *object, bool shared, bool *failed)
{
    struct log_reader *reader = &run_of(thread)->reader;
    bool no = false;
    replay_object_lock(object);
    enum event event = EVENT_WAIT;
    if (failed && !is_free(atomic_load(word), shared)) {
        /* Only a failure may pass: look on copies. */
        struct thread_state state = thread->core;
        struct log_reader ahead = *reader;
        struct order copy = *order;
        event = ev_try_replay(&state, &ahead, &copy, &no);
        if (event == EVENT_PASS && !no)
            event = EVENT_WAIT;
        else
            event = ev_try_replay(&thread->core, reader, order, &no);
    } else if (is_free(atomic_load(word), shared)) {
        event = failed ? ev_try_replay(&thread->core, reader, order, &no)
                       : ev_order_replay(&thread->core, reader, order);
    }
    if (event == EVENT_PASS && !no) {
        word_try(word, shared);
        word_recorded(word, shared);
        if (shared)
            check_acquire(word);
        else
            check_acquire_alone(word);
    }
    replay_object_unlock(object);
    if (failed)
        *failed = no;
    return event;
}

/* ---- the order of a word ---- */

static struct word_order *order_of(const void *word)
{
    return &IMAGE->word_orders[(uint64_t)word * 0x9E3779B97F4A7C15ull >> 54];
}
_Static_assert(WORD_ORDERS == 1024, "order_of takes the top 10 bits of the hash");

static void record(struct nf_thread *thread, _Atomic uint32_t *word, bool shared)
{
    struct word_order *entry = order_of(word);
    struct log *log = log_ready(thread);
    assigned_lock(&entry->guard);
    ev_order_record(&thread->core, log, &entry->order);
    assigned_unlock(&entry->guard);
    word_recorded(word, shared);
}

/* At least the holder's sequence (R4): others share the entry. */
static uint64_t sequence_of(const void *word)
{
    struct word_order *entry = order_of(word);
    assigned_lock(&entry->guard);
    uint64_t sequence = entry->order.sequence;
    assigned_unlock(&entry->guard);
    return sequence;
}

static enum event turn(struct nf_thread *thread, _Atomic uint32_t *word, bool shared, bool *failed)
{
    struct word_order *entry = order_of(word);
    return word_replay(thread, word, &entry->order, entry, shared, failed);
}

static void lock(_Atomic uint32_t *word, bool shared)
{
    struct nf_thread *thread = nf_self;
    if (thread == NULL) {
        word_take(NULL, word, shared);
        word_recorded(word, shared);
        return;
    }
    safe_point(thread);
    if (REPLAYED_SAFE(thread, "spin lock", turn(thread, word, shared, NULL)))
        return;
    word_take(thread, word, shared);
    record(thread, word, shared);
}

static bool try_lock(_Atomic uint32_t *word, bool shared)
{
    struct nf_thread *thread = nf_self;
    bool failed = false;
    if (thread == NULL) {
        if (!word_try(word, shared))
            return false;
        word_recorded(word, shared);
        return true;
    }
    safe_point(thread);
    if (REPLAYED_SAFE(thread, "spin lock", turn(thread, word, shared, &failed)))
        return !failed;
    for (;;) {
        if (word_try(word, shared)) {
            record(thread, word, shared);
            return true;
        }
        if (word_is_recorded(atomic_load(word), shared)) {
            uint64_t sequence = sequence_of(word);
            ev_fail_record(&thread->core, log_ready(thread), sequence);
            return false;
        }
        __builtin_ia32_pause();
    }
}

/* ---- hooks: exclusive ---- */

HOOK int __palisade_word_init(_Atomic uint32_t *word)
{
    atomic_store(word, 0);
    return 0;
}

HOOK int __palisade_word_lock(_Atomic uint32_t *word)
{
    struct nf_thread *thread = nf_self;
    uint32_t free = 0;
    if (__builtin_expect(!recording_plainly() || thread == NULL ||
                             !atomic_compare_exchange_strong(word, &free, WORD_HELD),
                         0))
        __attribute__((musttail)) return palisade_word_lock_entry(word);
    site_is(thread, __builtin_return_address(0));
    record(thread, word, false);
    return 0;
}

int palisade_word_lock_restartable(_Atomic uint32_t *word)
{
    lock(word, false);
    return 0;
}

int palisade_word_trylock_restartable(_Atomic uint32_t *word)
{
    return try_lock(word, false) ? 0 : EBUSY;
}

/* The convention of DPDK's and concurrency kit's spin locks: 1 when it was taken. */
int palisade_word_take_restartable(_Atomic uint32_t *word)
{
    return try_lock(word, false);
}

HOOK int __palisade_word_unlock(_Atomic uint32_t *word)
{
    word_release(word);
    return 0;
}

/*
 * Whether it is held is a value; that an acquisition is seen makes it a dependency, so first an
 * event in the lock's order.
 */
static enum event look_turn(struct nf_thread *thread, const void *word)
{
    struct word_order *entry = order_of(word);
    replay_object_lock(entry);
    enum event event = ev_order_replay(&thread->core, &run_of(thread)->reader, &entry->order);
    if (event == EVENT_PASS)
        check_acquire(word);
    replay_object_unlock(entry);
    return event;
}

int palisade_word_is_locked_restartable(const _Atomic uint32_t *word)
{
    struct nf_thread *thread = nf_self;
    int64_t held;
    if (thread == NULL)
        return atomic_load(word) >= WORD_READER || (atomic_load(word) & WORD_HELD);
    safe_point(thread);
    if (!REPLAYED_SAFE(thread, "state of a spin lock", look_turn(thread, word))) {
        struct word_order *entry = order_of(word);
        struct log *log = log_ready(thread);
        uint32_t value = atomic_load(word);
        while ((value & WORD_HELD) && !(value & WORD_RECORDED))
            value = atomic_load(word);
        assigned_lock(&entry->guard);
        ev_order_record(&thread->core, log, &entry->order);
        assigned_unlock(&entry->guard);
        held = value & WORD_HELD;
        ev_number_record(&thread->core, log_ready(thread), held, 0);
        return (int)held;
    }
    if (!REPLAYED_ALONE(thread, "state of a spin lock",
                        ev_number_replay(&thread->core, &run_of(thread)->reader, 0, &held))) {
        held = atomic_load(word) & WORD_HELD;
        ev_number_record(&thread->core, log_ready(thread), held, 0);
    }
    return (int)held;
}

/* ---- hooks: DPDK's reader-writer lock, whose tries return 0 or -EBUSY ---- */

int palisade_word_rdlock_restartable(_Atomic uint32_t *word)
{
    lock(word, true);
    return 0;
}

int palisade_word_tryrdlock_restartable(_Atomic uint32_t *word)
{
    return try_lock(word, true) ? 0 : -EBUSY;
}

int palisade_word_trywrlock_restartable(_Atomic uint32_t *word)
{
    return try_lock(word, false) ? 0 : -EBUSY;
}

/* ---- hooks: DPDK's recursive locks: the word, the owner, the depth ---- */

struct recursive {
    _Atomic uint32_t word;
    int32_t user; /* thread index + 1; -1: nobody */
    int32_t count;
};

static int32_t me(void)
{
    return nf_self ? (int32_t)nf_self->core.index + 1 : 0;
}

static bool is_own(const struct recursive *recursive)
{
    return __atomic_load_n(&recursive->user, __ATOMIC_RELAXED) == me();
}

HOOK int __palisade_word_recursive_init(struct recursive *recursive)
{
    *recursive = (struct recursive){.user = -1};
    return 0;
}

int palisade_word_recursive_lock_restartable(struct recursive *recursive)
{
    if (!is_own(recursive)) {
        lock(&recursive->word, false);
        __atomic_store_n(&recursive->user, me(), __ATOMIC_RELAXED);
    }
    recursive->count++;
    return 0;
}

int palisade_word_recursive_take_restartable(struct recursive *recursive)
{
    if (!is_own(recursive)) {
        if (!try_lock(&recursive->word, false))
            return 0;
        __atomic_store_n(&recursive->user, me(), __ATOMIC_RELAXED);
    }
    recursive->count++;
    return 1;
}

HOOK int __palisade_word_recursive_unlock(struct recursive *recursive)
{
    if (--recursive->count == 0) {
        __atomic_store_n(&recursive->user, -1, __ATOMIC_RELAXED);
        word_release(&recursive->word);
    }
    return 0;
}
