/*
 * Reader-writer locks: an own lock inside the program's pthread_rwlock_t, with the order beside it
 * (R7, core/event_rw.h).
 *
 * A failed try names what made it fail, at a moment when that was recorded (R4): the writer, by its
 * sequence, while `holder` is set; or some reader, when fewer reads are done than recorded.
 *
 * Readers do not wait for writers that wait. A lock of the kind that prefers writers lets each
 * reader pause for a moment instead, which is a matter of timing only: nothing about it is
 * repeated.
 */
#include <errno.h>
#include <limits.h>

#include "abi_internal.h"
#include "check/check.h"
#include "hooks/sharing/lock.h"

#define PREFER_PAUSE_NS 1000000

static struct nf_rwlock *nf_rwlock_of(pthread_rwlock_t *native)
{
    return (struct nf_rwlock *)native;
}

/* ---- the native lock ---- */

static bool read_try(struct nf_rwlock *lock)
{
    uint32_t word = atomic_load(&lock->word);
    while (!(word & RW_WRITER))
        if (atomic_compare_exchange_weak(&lock->word, &word, word + 1))
            return true;
    return false;
}

static bool write_try(struct nf_rwlock *lock)
{
    uint32_t free = 0;
    return atomic_compare_exchange_strong(&lock->word, &free, RW_WRITER);
}

/* Who waits says so and looks again; who releases does it the other way round. */
static void wake_all(struct nf_rwlock *lock)
{
    if (atomic_load(&lock->waited) != 0 && atomic_exchange(&lock->waited, 0) != 0) {
        atomic_fetch_add(&lock->releases, 1);
        futex_wake(&lock->releases, INT_MAX);
    }
}

typedef bool (*take_fn)(struct nf_rwlock *);

/* Takes the native lock, waiting in the safe state; false: `until` has passed. */
static bool take(struct nf_thread *thread, struct nf_rwlock *lock, take_fn try, clockid_t clock,
                 const struct timespec *until)
{
    for (uint32_t spins = 0; spins < 64; spins++) {
        if (try(lock))
            return true;
        __builtin_ia32_pause();
    }
    for (;;) {
        uint32_t seen = atomic_load(&lock->releases);
        int64_t left = until ? deadline_left_ns(clock, until) : -1;
        if (try(lock))
            return true;
        if (until && left <= 0)
            return false;
        atomic_store(&lock->waited, 1);
        if (try(lock))
            return true;
        safe_wait(thread, &lock->releases, seen, left);
    }
}

/* ---- recording ---- */

static void read_record(struct nf_thread *thread, struct nf_rwlock *lock)
{
    ev_read_record(&thread->core, log_ready(thread), &lock->order, (uint64_t)lock);
}

static void write_record(struct nf_thread *thread, struct nf_rwlock *lock)
{
    ev_write_record(&thread->core, log_ready(thread), &lock->order, (uint64_t)lock);
    atomic_store_explicit(&lock->holder, thread->core.index + 1, memory_order_release);
}

enum hold { HOLD_NONE, HOLD_WRITER, HOLD_READERS };

/* Who has it, at a moment when that was recorded; HOLD_NONE: it may be free by now. */
static enum hold who_holds(struct nf_rwlock *lock, bool for_reading, uint64_t *sequence)
{
    volatile uint64_t *counted = &lock->order.sequence;
    for (;;) {
        uint32_t word = atomic_load(&lock->word);
        uint64_t before = *counted;
        if (word == 0 || (for_reading && !(word & RW_WRITER)))
            return HOLD_NONE;
        *sequence = before;
        if (word & RW_WRITER) {
            if (atomic_load(&lock->holder) != 0 && *counted == before)
                return HOLD_WRITER;
        } else {
            uint64_t done = atomic_load(&lock->order.reads_done);
            uint64_t reads = atomic_load(&lock->order.reads);
            if (reads > done && atomic_load(&lock->order.reads_done) == done && *counted == before)
                return HOLD_READERS;
        }
        __builtin_ia32_pause();
    }
}

/* The attempt may fail: does, and is recorded as such, unless the lock has become free. */
static bool fail_record(struct nf_thread *thread, struct nf_rwlock *lock, bool for_reading)
{
    uint64_t sequence;
    switch (who_holds(lock, for_reading, &sequence)) {
    case HOLD_NONE:
        return false;
    case HOLD_WRITER:
        ev_fail_record(&thread->core, log_ready(thread), sequence);
        return true;
    default:
        ev_fail_readers_record(&thread->core, log_ready(thread), sequence, process.logs,
                               IMAGE->thread_count);
        return true;
    }
}

/* ---- replay: event and native half together ---- */

static enum event read_replay(struct nf_thread *thread, struct nf_rwlock *lock, bool *failed)
{
    replay_object_lock(lock);
    enum event event = ev_read_replay(&thread->core, &run_of(thread)->reader, &lock->order,
                                      (uint64_t)lock, !(lock->word & RW_WRITER), failed);
    if (event == EVENT_PASS && !(failed && *failed)) {
        atomic_fetch_add(&lock->word, 1);
        check_acquire(lock);
    }
    replay_object_unlock(lock);
    return event;
}

static enum event write_replay(struct nf_thread *thread, struct nf_rwlock *lock, bool *failed)
{
    struct positions passed;
    replay_positions(&passed);
    replay_object_lock(lock);
    enum event event =
        ev_write_replay(&thread->core, &run_of(thread)->reader, &lock->order, (uint64_t)lock,
                        atomic_load(&lock->word) == 0, &passed, failed);
    if (event == EVENT_PASS && !(failed && *failed)) {
        atomic_store(&lock->word, RW_WRITER);
        atomic_store(&lock->holder, thread->core.index + 1);
        check_acquire_alone(lock);
    }
    replay_object_unlock(lock);
    return event;
}

/* ---- hooks ---- */

HOOK int __palisade_pthread_rwlock_init(pthread_rwlock_t *native, const pthread_rwlockattr_t *attr)
{
    int kind = PTHREAD_RWLOCK_DEFAULT_NP, shared = PTHREAD_PROCESS_PRIVATE;
    if (process_mode() == MODE_OFF)
        return pthread_rwlock_init(native, attr);
    if (attr) {
        pthread_rwlockattr_getkind_np(attr, &kind);
        pthread_rwlockattr_getpshared(attr, &shared);
    }
    if (shared != PTHREAD_PROCESS_PRIVATE)
        process_fail(STATUS_UNMODELLED, "pthread_rwlock_init: process-shared locks cannot be "
                                        "replayed; use an ordinary one (G8)");
    *nf_rwlock_of(native) = (struct nf_rwlock){.kind = (uint32_t)kind};
    return 0;
}

HOOK int __palisade_pthread_rwlock_destroy(pthread_rwlock_t *native)
{
    if (process_mode() == MODE_OFF)
        return pthread_rwlock_destroy(native);
    return atomic_load(&nf_rwlock_of(native)->word) ? EBUSY : 0;
}

static bool is_own(const struct nf_thread *thread, const struct nf_rwlock *lock)
{
    return atomic_load_explicit(&lock->holder, memory_order_relaxed) == thread->core.index + 1;
}

static int read_lock(struct nf_thread *thread, struct nf_rwlock *lock, clockid_t clock,
                     const struct timespec *until)
{
    bool failed = false;
    safe_point(thread);
    if (is_own(thread, lock))
        return EDEADLK;
    if (REPLAYED_SAFE(thread, "read lock", read_replay(thread, lock, until ? &failed : NULL)))
        return failed ? ETIMEDOUT : 0;
    if (lock->kind == PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP && atomic_load(&lock->waited))
        safe_wait(thread, &lock->releases, atomic_load(&lock->releases), PREFER_PAUSE_NS);
    do {
        if (take(thread, lock, read_try, clock, until)) {
            read_record(thread, lock);
            return 0;
        }
    } while (!fail_record(thread, lock, true));
    return ETIMEDOUT;
}

static int write_lock(struct nf_thread *thread, struct nf_rwlock *lock, clockid_t clock,
                      const struct timespec *until)
{
    bool failed = false;
    safe_point(thread);
    if (is_own(thread, lock))
        return EDEADLK;
    if (until ? REPLAYED_WATCHING(thread, "write lock", write_replay(thread, lock, &failed))
              : REPLAYED_SAFE(thread, "write lock", write_replay(thread, lock, NULL)))
        return failed ? ETIMEDOUT : 0;
    do {
        if (take(thread, lock, write_try, clock, until)) {
            write_record(thread, lock);
            return 0;
        }
    } while (!fail_record(thread, lock, false));
    return ETIMEDOUT;
}

HOOK int __palisade_pthread_rwlock_rdlock(pthread_rwlock_t *native)
{
    struct nf_rwlock *lock = nf_rwlock_of(native);
    struct nf_thread *thread = nf_self;
    if (__builtin_expect(
            !recording_plainly() || thread == NULL || lock->kind != 0 || !read_try(lock), 0))
        __attribute__((musttail)) return palisade_rwlock_rdlock_entry(native);
    site_is(thread, __builtin_return_address(0));
    read_record(thread, lock);
    return 0;
}

HOOK int __palisade_pthread_rwlock_wrlock(pthread_rwlock_t *native)
{
    struct nf_rwlock *lock = nf_rwlock_of(native);
    struct nf_thread *thread = nf_self;
    if (__builtin_expect(!recording_plainly() || thread == NULL || !write_try(lock), 0))
        __attribute__((musttail)) return palisade_rwlock_wrlock_entry(native);
    site_is(thread, __builtin_return_address(0));
    write_record(thread, lock);
    return 0;
}

int palisade_rwlock_rdlock_restartable(pthread_rwlock_t *native)
{
    return nf_self ? read_lock(nf_self, nf_rwlock_of(native), 0, NULL)
                   : pthread_rwlock_rdlock(native);
}

int palisade_rwlock_wrlock_restartable(pthread_rwlock_t *native)
{
    return nf_self ? write_lock(nf_self, nf_rwlock_of(native), 0, NULL)
                   : pthread_rwlock_wrlock(native);
}

int palisade_rwlock_tryrdlock_restartable(pthread_rwlock_t *native)
{
    struct nf_rwlock *lock = nf_rwlock_of(native);
    struct nf_thread *thread = nf_self;
    bool failed;
    if (thread == NULL)
        return pthread_rwlock_tryrdlock(native);
    safe_point(thread);
    if (REPLAYED_SAFE(thread, "pthread_rwlock_tryrdlock", read_replay(thread, lock, &failed)))
        return failed ? EBUSY : 0;
    do {
        if (read_try(lock)) {
            read_record(thread, lock);
            return 0;
        }
    } while (!fail_record(thread, lock, true));
    return EBUSY;
}

int palisade_rwlock_trywrlock_restartable(pthread_rwlock_t *native)
{
    struct nf_rwlock *lock = nf_rwlock_of(native);
    struct nf_thread *thread = nf_self;
    bool failed;
    if (thread == NULL)
        return pthread_rwlock_trywrlock(native);
    safe_point(thread);
    if (REPLAYED_WATCHING(thread, "pthread_rwlock_trywrlock", write_replay(thread, lock, &failed)))
        return failed ? EBUSY : 0;
    do {
        if (write_try(lock)) {
            write_record(thread, lock);
            return 0;
        }
    } while (!fail_record(thread, lock, false));
    return EBUSY;
}

static bool bad(clockid_t clock, const struct timespec *until)
{
    return (clock != CLOCK_REALTIME && clock != CLOCK_MONOTONIC) || until->tv_nsec < 0 ||
           until->tv_nsec >= 1000000000;
}

int palisade_rwlock_clockrdlock_restartable(pthread_rwlock_t *native, clockid_t clock,
                                            const struct timespec *until)
{
    if (nf_self == NULL)
        return pthread_rwlock_clockrdlock(native, clock, until);
    return bad(clock, until) ? EINVAL : read_lock(nf_self, nf_rwlock_of(native), clock, until);
}

int palisade_rwlock_clockwrlock_restartable(pthread_rwlock_t *native, clockid_t clock,
                                            const struct timespec *until)
{
    if (nf_self == NULL)
        return pthread_rwlock_clockwrlock(native, clock, until);
    return bad(clock, until) ? EINVAL : write_lock(nf_self, nf_rwlock_of(native), clock, until);
}

int palisade_rwlock_timedrdlock_restartable(pthread_rwlock_t *native, const struct timespec *until)
{
    return palisade_rwlock_clockrdlock_restartable(native, CLOCK_REALTIME, until);
}

int palisade_rwlock_timedwrlock_restartable(pthread_rwlock_t *native, const struct timespec *until)
{
    return palisade_rwlock_clockwrlock_restartable(native, CLOCK_REALTIME, until);
}

HOOK int __palisade_pthread_rwlock_unlock(pthread_rwlock_t *native)
{
    struct nf_rwlock *lock = nf_rwlock_of(native);
    if (nf_self == NULL)
        return pthread_rwlock_unlock(native);
    if (atomic_load(&lock->word) & RW_WRITER) {
        check_release(lock);
        atomic_store(&lock->holder, 0);
        atomic_store(&lock->word, 0);
    } else {
        check_release_shared(lock);
        ev_read_done(&lock->order);
        atomic_fetch_sub(&lock->word, 1);
    }
    wake_all(lock);
    if (__builtin_expect(process_mode() == MODE_REPLAY, 0))
        replay_passed();
    return 0;
}
