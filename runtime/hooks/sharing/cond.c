/*
 * Condition variables: own implementation, without a determinant of who was woken.
 *
 * POSIX lets every wait return spuriously, so a program re-checks its predicate, and that
 * predicate is protected by the mutex. What has to be replayed is therefore only the order of
 * re-acquisitions (an order event on the mutex) and, for a timed wait, whether it timed out (a
 * number event, 0 predicted). Signals are no events and do nothing in replay.
 *
 * A wait has phases that belong to the image, so that it can be restarted in the middle (R20):
 *   0  not waiting: unlock, then 1
 *   1  unlocked; a restored or newly live waiter goes on as if woken spuriously (R9)
 *   2  result known (wait_result), re-acquiring
 */
#include <errno.h>
#include <limits.h>

#include "abi_internal.h"
#include "hooks/sharing/lock.h"
#include "hooks/threads/signal.h"
#include "replay/replay.h"

HOOK int __palisade_pthread_cond_init(pthread_cond_t *native, const pthread_condattr_t *attr)
{
    if (process_mode() == MODE_OFF)
        return pthread_cond_init(native, attr);
    clockid_t clock = CLOCK_REALTIME;
    if (attr)
        pthread_condattr_getclock(attr, &clock);
    *(struct nf_cond *)native = (struct nf_cond){.clock = (uint32_t)clock};
    return 0;
}

HOOK int __palisade_pthread_cond_destroy(pthread_cond_t *native)
{
    return process_mode() == MODE_OFF ? pthread_cond_destroy(native) : 0;
}

/* Sleeps until signalled or `until`; live only. Returns 0 or ETIMEDOUT. */
static int wait_signal(struct nf_thread *thread, struct nf_cond *cond, uint32_t signals,
                       clockid_t clock, const struct timespec *until)
{
    int result = 0;
    while (atomic_load(&cond->signals) == signals) {
        int64_t left = until ? deadline_left_ns(clock, until) : -1;
        if (until && left <= 0) {
            result = ETIMEDOUT;
            break;
        }
        if (signal_waits(thread))
            break; /* its handler runs, and the wait ends as if woken spuriously */
        signal_wait(thread, &cond->signals, signals, left);
    }
    return result;
}

static int cond_wait(struct nf_thread *thread, struct nf_cond *cond, struct nf_mutex *mutex,
                     clockid_t clock, const struct timespec *until)
{
    safe_point(thread);
    if (thread->wait_phase == PHASE_NONE) {
        uint32_t signals = atomic_load(&cond->signals);
        thread->wait_phase = PHASE_WAITING;
        thread->wait_result = 0;
        atomic_fetch_add(&cond->waiters, 1);
        native_unlock(mutex);
        if (process_mode() == MODE_RECORD)
            thread->wait_result = wait_signal(thread, cond, signals, clock, until);
        atomic_fetch_sub(&cond->waiters, 1);
        if (process_mode() == MODE_RECORD)
            signal_check(thread, &signal_again);
    }
    if (thread->wait_phase == PHASE_WAITING) {
        int64_t result;
        if (until == NULL)
            thread->wait_result = 0;
        else if (REPLAYED_SAFE_ALONE(
                     thread, "pthread_cond_timedwait",
                     (signal_replay(thread, &signal_again),
                      ev_number_replay(&thread->core, &run_of(thread)->reader, 0, &result))))
            thread->wait_result = (int32_t)result;
        else
            ev_number_record(&thread->core, log_ready(thread), thread->wait_result, 0);
        thread->wait_phase = PHASE_RESULT;
    }
    if (!REPLAYED_SAFE(thread, "pthread_cond_wait",
                       (signal_replay(thread, &signal_again), lock_replay(thread, mutex)))) {
        native_lock(thread, mutex, true);
        lock_record(thread, log_ready(thread), mutex);
    }
    thread->wait_phase = PHASE_NONE;
    return thread->wait_result;
}

int palisade_cond_wait_restartable(pthread_cond_t *cond, pthread_mutex_t *mutex)
{
    if (nf_self == NULL)
        return pthread_cond_wait(cond, mutex);
    return cond_wait(nf_self, (struct nf_cond *)cond, (struct nf_mutex *)mutex, CLOCK_REALTIME,
                     NULL);
}

int palisade_cond_timedwait_restartable(pthread_cond_t *cond, pthread_mutex_t *mutex,
                                        const struct timespec *until)
{
    if (nf_self == NULL)
        return pthread_cond_timedwait(cond, mutex, until);
    return cond_wait(nf_self, (struct nf_cond *)cond, (struct nf_mutex *)mutex,
                     (clockid_t)((struct nf_cond *)cond)->clock, until);
}

int palisade_cond_clockwait_restartable(pthread_cond_t *cond, pthread_mutex_t *mutex,
                                        clockid_t clock, const struct timespec *until)
{
    if (nf_self == NULL)
        return pthread_cond_clockwait(cond, mutex, clock, until);
    if (clock != CLOCK_REALTIME && clock != CLOCK_MONOTONIC)
        return EINVAL;
    return cond_wait(nf_self, (struct nf_cond *)cond, (struct nf_mutex *)mutex, clock, until);
}

static int cond_signal(struct nf_cond *cond, int count)
{
    atomic_fetch_add(&cond->signals, 1);
    if (atomic_load(&cond->waiters) > 0)
        futex_wake(&cond->signals, count);
    return 0;
}

HOOK int __palisade_pthread_cond_signal(pthread_cond_t *cond)
{
    return process_mode() == MODE_OFF ? pthread_cond_signal(cond)
                                      : cond_signal((struct nf_cond *)cond, 1);
}

HOOK int __palisade_pthread_cond_broadcast(pthread_cond_t *cond)
{
    return process_mode() == MODE_OFF ? pthread_cond_broadcast(cond)
                                      : cond_signal((struct nf_cond *)cond, INT_MAX);
}
