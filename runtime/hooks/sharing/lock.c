/*
 * Mutexes: a futex lock inside the program's pthread_mutex_t, with the order beside it.
 *
 *   live    take the word, then sequence + 1, then a record unless this thread was the last owner,
 *           then publish, then return into the critical section (R1)
 *   replay  wait until the sequence is this thread's turn and the word is free
 *
 * A failed try names the holder's sequence (R4), which is read while `holder` is set: the sequence
 * was counted before holder was set, so (sequence, holder set, sequence again) is a held moment.
 *
 * Restartable entries (R20) are in entry.S; they jump to the *_restartable functions here. The
 * uncontended path needs no saved context and stays in plain C.
 */
#include "hooks/sharing/lock.h"

#include <errno.h>
#include <sched.h>

#include "abi_internal.h"
#include "check/check.h"
#include "core/assert.h"
#include "replay/replay.h"

static struct nf_mutex *nf_mutex_of(pthread_mutex_t *mutex)
{
    return (struct nf_mutex *)mutex;
}

void native_lock(struct nf_thread *thread, struct nf_mutex *mutex, bool restartable)
{
    for (uint32_t spins = 0; spins < 64; spins++) {
        if (native_try(mutex))
            return;
        __builtin_ia32_pause();
    }
    while (atomic_exchange_explicit(&mutex->word, 2, memory_order_acquire) != 0) {
        if (restartable)
            safe_wait(thread, &mutex->word, 2, -1);
        else
            futex_wait(&mutex->word, 2, -1);
    }
}

void native_unlock(struct nf_mutex *mutex)
{
    check_release(mutex);
    atomic_store_explicit(&mutex->holder, 0, memory_order_relaxed);
    if (__builtin_expect(atomic_exchange_explicit(&mutex->word, 0, memory_order_release) == 2, 0))
        futex_wake(&mutex->word, 1);
    if (__builtin_expect(process_mode() == MODE_REPLAY, 0))
        replay_passed();
}

enum event lock_replay(struct nf_thread *thread, struct nf_mutex *mutex)
{
    enum event event = EVENT_WAIT;
    replay_object_lock(mutex);
    if (atomic_load(&mutex->word) == 0)
        event = ev_order_replay(&thread->core, &run_of(thread)->reader, &mutex->order);
    if (event == EVENT_PASS) {
        atomic_store(&mutex->word, 1);
        atomic_store(&mutex->holder, thread->core.index + 1);
        check_acquire(mutex);
    }
    replay_object_unlock(mutex);
    return event;
}

int lock_reentry(const struct nf_thread *thread, struct nf_mutex *mutex, bool try)
{
    if (atomic_load_explicit(&mutex->holder, memory_order_relaxed) != thread->core.index + 1)
        return -1;
    if (mutex->kind == PTHREAD_MUTEX_RECURSIVE) {
        mutex->depth++;
        return 0;
    }
    if (try)
        return -1; /* a normal try that fails like anybody else's */
    return mutex->kind == PTHREAD_MUTEX_ERRORCHECK ? EDEADLK : -1;
}

int64_t deadline_left_ns(clockid_t clock, const struct timespec *until)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (until->tv_sec - now.tv_sec) * 1000000000ll + until->tv_nsec - now.tv_nsec -
           process.clock_offset_ns[clock];
}

void assigned_lock(_Atomic uint32_t *word)
{
    uint32_t spins = 0, free = 0;
    while (!atomic_compare_exchange_weak_explicit(word, &free, 1, memory_order_acquire,
                                                  memory_order_relaxed)) {
        free = 0;
        __builtin_ia32_pause();
        if (++spins % 256 == 0)
            sched_yield(); /* its holder was put aside */
    }
}

void assigned_unlock(_Atomic uint32_t *word)
{
    atomic_store_explicit(word, 0, memory_order_release);
}

void replay_positions(struct positions *passed)
{
    passed->threads = IMAGE->thread_count;
    for (uint32_t t = 0; t < passed->threads; t++)
        passed->at[t] = __atomic_load_n(&IMAGE->threads[t].core.position, __ATOMIC_ACQUIRE);
}

void ordered_lock(struct nf_thread *thread, struct nf_mutex *mutex)
{
    if (REPLAYED(thread, "runtime lock", lock_replay(thread, mutex)))
        return;
    struct log *log = log_ready(thread);
    native_lock(thread, mutex, false);
    lock_record(thread, log, mutex);
}

void ordered_unlock(struct nf_mutex *mutex)
{
    native_unlock(mutex);
}

/* ---- hooks ---- */

HOOK int __palisade_pthread_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attr)
{
    if (process_mode() == MODE_OFF)
        return pthread_mutex_init(mutex, attr);
    int kind = PTHREAD_MUTEX_NORMAL, shared = PTHREAD_PROCESS_PRIVATE, protocol = 0, robust = 0;
    if (attr) {
        pthread_mutexattr_gettype(attr, &kind);
        pthread_mutexattr_getpshared(attr, &shared);
        pthread_mutexattr_getprotocol(attr, &protocol);
        pthread_mutexattr_getrobust(attr, &robust);
    }
    if (shared != PTHREAD_PROCESS_PRIVATE || protocol != PTHREAD_PRIO_NONE || robust != 0)
        process_fail(STATUS_UNMODELLED, "pthread_mutex_init: process-shared, priority and robust "
                                        "mutexes cannot be replayed; use an ordinary one (G8)");
    *nf_mutex_of(mutex) = (struct nf_mutex){.kind = (uint32_t)kind};
    return 0;
}

HOOK int __palisade_pthread_mutex_destroy(pthread_mutex_t *mutex)
{
    if (process_mode() == MODE_OFF)
        return pthread_mutex_destroy(mutex);
    return atomic_load(&nf_mutex_of(mutex)->word) ? EBUSY : 0;
}

/* The word is ours; the order needs a record, for another thread had the lock last. */
static __attribute__((noinline)) int lock_changes_owner(pthread_mutex_t *native)
{
    lock_record(nf_self, log_ready(nf_self), nf_mutex_of(native));
    return 0;
}

/* Small on purpose: free, ordinary, recording, and mostly ours before: nothing is called. */
HOOK int __palisade_pthread_mutex_lock(pthread_mutex_t *native)
{
    struct nf_mutex *mutex = nf_mutex_of(native);
    struct nf_thread *thread = nf_self;
    if (__builtin_expect(
            !recording_plainly() || thread == NULL || mutex->kind != 0 || !native_try(mutex), 0))
        __attribute__((musttail)) return palisade_mutex_lock_entry(native);
    site_is(thread, __builtin_return_address(0));
    if (mutex->order.owner != thread->core.index + 1)
        __attribute__((musttail)) return lock_changes_owner(native);
    lock_record(thread, &run_of(thread)->log, mutex);
    return 0;
}

int palisade_mutex_lock_restartable(pthread_mutex_t *native)
{
    struct nf_mutex *mutex = nf_mutex_of(native);
    struct nf_thread *thread = nf_self;
    if (thread == NULL)
        return pthread_mutex_lock(native);
    safe_point(thread);
    int again = lock_reentry(thread, mutex, false);
    if (again >= 0)
        return again;
    if (REPLAYED_SAFE(thread, "pthread_mutex_lock", lock_replay(thread, mutex)))
        return 0;
    native_lock(thread, mutex, true);
    lock_record(thread, log_ready(thread), mutex);
    return 0;
}

/* Sequence of the holder at a moment it was held (R4); false when it is free by now. */
static bool held_sequence(struct nf_mutex *mutex, uint64_t *sequence)
{
    volatile uint64_t *counted = &mutex->order.sequence;
    while (atomic_load_explicit(&mutex->word, memory_order_acquire) != 0) {
        uint64_t before = *counted;
        bool held = atomic_load_explicit(&mutex->holder, memory_order_acquire) != 0;
        if (held && *counted == before) {
            *sequence = before;
            return true;
        }
        __builtin_ia32_pause();
    }
    return false;
}

static enum event try_replay(struct nf_thread *thread, struct nf_mutex *mutex, bool *failed)
{
    struct log_reader *reader = &run_of(thread)->reader;
    enum event event = EVENT_WAIT;
    replay_object_lock(mutex);
    bool held = atomic_load(&mutex->word) != 0;
    if (held) {
        /* Held: only a failed try may pass. Look on copies, a successful one must wait. */
        struct order order = mutex->order;
        struct thread_state state = thread->core;
        struct log_reader ahead = *reader;
        event = ev_try_replay(&state, &ahead, &order, failed);
    }
    if (!held || event != EVENT_PASS || *failed)
        event = ev_try_replay(&thread->core, reader, &mutex->order, failed);
    else
        event = EVENT_WAIT;
    if (event == EVENT_PASS && !*failed) {
        atomic_store(&mutex->word, 1);
        atomic_store(&mutex->holder, thread->core.index + 1);
        check_acquire(mutex);
    }
    replay_object_unlock(mutex);
    return event;
}

int palisade_mutex_trylock_restartable(pthread_mutex_t *native)
{
    struct nf_mutex *mutex = nf_mutex_of(native);
    struct nf_thread *thread = nf_self;
    if (thread == NULL)
        return pthread_mutex_trylock(native);
    safe_point(thread);
    int again = lock_reentry(thread, mutex, true);
    if (again >= 0)
        return again;
    bool failed;
    if (REPLAYED_SAFE(thread, "pthread_mutex_trylock", try_replay(thread, mutex, &failed)))
        return failed ? EBUSY : 0;
    struct log *log = log_ready(thread);
    uint64_t sequence;
    for (;;) {
        if (native_try(mutex)) {
            lock_record(thread, log, mutex);
            return 0;
        }
        if (held_sequence(mutex, &sequence)) {
            ev_fail_record(&thread->core, log, sequence);
            return EBUSY;
        }
    }
}

static int timed_lock(struct nf_thread *thread, struct nf_mutex *mutex, clockid_t clock,
                      const struct timespec *until)
{
    safe_point(thread);
    int again = lock_reentry(thread, mutex, false);
    if (again >= 0)
        return again;
    bool failed;
    if (REPLAYED_SAFE(thread, "pthread_mutex_timedlock", try_replay(thread, mutex, &failed)))
        return failed ? ETIMEDOUT : 0;
    for (bool waits = false;;) {
        /* Woken, it may have come in the place of another sleeper: 2, so that this one is woken. */
        if (waits ? atomic_exchange_explicit(&mutex->word, 2, memory_order_acquire) == 0
                  : native_try(mutex)) {
            lock_record(thread, log_ready(thread), mutex);
            return 0;
        }
        int64_t left_ns = deadline_left_ns(clock, until);
        uint64_t sequence;
        if (left_ns <= 0 && held_sequence(mutex, &sequence)) {
            ev_fail_record(&thread->core, log_ready(thread), sequence);
            return ETIMEDOUT;
        }
        if (left_ns > 0 && waits)
            safe_wait(thread, &mutex->word, 2, left_ns);
        waits = waits || left_ns > 0;
    }
}

int palisade_mutex_timedlock_restartable(pthread_mutex_t *native, const struct timespec *until)
{
    if (nf_self == NULL)
        return pthread_mutex_timedlock(native, until);
    return timed_lock(nf_self, nf_mutex_of(native), CLOCK_REALTIME, until);
}

int palisade_mutex_clocklock_restartable(pthread_mutex_t *native, clockid_t clock,
                                         const struct timespec *until)
{
    if (nf_self == NULL)
        return pthread_mutex_clocklock(native, clock, until);
    if (clock != CLOCK_REALTIME && clock != CLOCK_MONOTONIC)
        return EINVAL;
    return timed_lock(nf_self, nf_mutex_of(native), clock, until);
}

HOOK int __palisade_pthread_mutex_unlock(pthread_mutex_t *native)
{
    struct nf_mutex *mutex = nf_mutex_of(native);
    struct nf_thread *thread = nf_self;
    if (__builtin_expect(thread == NULL, 0))
        return pthread_mutex_unlock(native);
    if (__builtin_expect(mutex->kind != 0, 0)) {
        if (atomic_load_explicit(&mutex->holder, memory_order_relaxed) != thread->core.index + 1)
            return EPERM;
        if (mutex->depth > 0) {
            mutex->depth--;
            return 0;
        }
    }
    native_unlock(mutex);
    return 0;
}
