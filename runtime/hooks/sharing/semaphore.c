/*
 * Semaphores: the count changes under the object's assigned order (R8). Every operation is one
 * event there, and what it finds follows from its place in the order: a wait that timed out is one
 * that found 0, so no result needs to be logged, and replay never waits for a post as such.
 */
#include <errno.h>
#include <limits.h>
#include <semaphore.h>

#include "abi_internal.h"
#include "check/check.h"
#include "hooks/sharing/lock.h"

enum act { ACT_TAKE, ACT_POST, ACT_LOOK };

/* What `act` does at its turn; the result, or an error. */
static int perform(struct nf_sem *sem, enum act act)
{
    switch (act) {
    case ACT_TAKE:
        if (sem->value == 0)
            return EAGAIN;
        sem->value--;
        return 0;
    case ACT_POST:
        if (sem->value == INT_MAX)
            return EOVERFLOW;
        sem->value++;
        return 0;
    default:
        return (int)sem->value;
    }
}

static enum event act_replay(struct nf_thread *thread, struct nf_sem *sem, enum act act,
                             int *result)
{
    replay_object_lock(sem);
    enum event event = ev_order_replay(&thread->core, &run_of(thread)->reader, &sem->order);
    if (event == EVENT_PASS) {
        *result = perform(sem, act);
        if (act == ACT_POST)
            check_release(sem);
        else
            check_acquire(sem);
    }
    replay_object_unlock(sem);
    return event;
}

/* `sem->word` is held. */
static int act_record(struct nf_thread *thread, struct nf_sem *sem, enum act act)
{
    int result = perform(sem, act);
    ev_order_record(&thread->core, &run_of(thread)->log, &sem->order);
    return result;
}

static int act_now(struct nf_thread *thread, struct nf_sem *sem, enum act act,
                   enum replay_place place)
{
    int result;
    if (REPLAYED_AND(thread, "semaphore", place, act_replay(thread, sem, act, &result),
                     replay_passed()))
        return result;
    log_ready(thread);
    assigned_lock(&sem->word);
    result = act_record(thread, sem, act);
    bool wake = act == ACT_POST && sem->waited;
    if (wake)
        sem->waited = 0;
    if (act == ACT_POST)
        atomic_fetch_add(&sem->posts, 1);
    assigned_unlock(&sem->word);
    if (wake)
        futex_wake(&sem->posts, INT_MAX);
    return result;
}

/* 0, or ETIMEDOUT. */
static int wait_until(struct nf_thread *thread, struct nf_sem *sem, clockid_t clock,
                      const struct timespec *until)
{
    int result;
    safe_point(thread);
    if (REPLAYED_SAFE(thread, "sem_wait", act_replay(thread, sem, ACT_TAKE, &result))) {
        if (result != 0 && until == NULL)
            process_fail(STATUS_DIVERGED,
                         "replay departs from the log: thread %u, position %llu, sem_wait: the "
                         "semaphore is at 0 (G6)",
                         thread->core.index, (unsigned long long)thread->core.position);
        return result ? ETIMEDOUT : 0;
    }
    for (;;) {
        log_ready(thread);
        uint32_t seen = atomic_load(&sem->posts);
        int64_t left = until ? deadline_left_ns(clock, until) : -1;
        assigned_lock(&sem->word);
        if (sem->value > 0 || (until && left <= 0)) {
            result = act_record(thread, sem, ACT_TAKE);
            assigned_unlock(&sem->word);
            return result ? ETIMEDOUT : 0;
        }
        sem->waited = 1;
        assigned_unlock(&sem->word);
        safe_wait(thread, &sem->posts, seen, left);
    }
}

static int told(int error)
{
    if (error == 0)
        return 0;
    errno = error;
    return -1;
}

/* libc's semaphore is another one: a thread that makes no events must not touch ours. */
static bool is_outside(const char *name)
{
    if (nf_self)
        return false;
    if (process_mode() != MODE_OFF)
        process_fail(STATUS_UNMODELLED,
                     "%s outside of the program's threads (a signal handler?) cannot be replayed; "
                     "set a flag that a thread polls (G8)",
                     name);
    return true;
}

/* ---- hooks ---- */

/* Nothing is shared with other processes, whatever `shared` says: that would need fork or shared
 * memory, and both are refused. */
HOOK int __palisade_sem_init(sem_t *native, int shared, unsigned value)
{
    SITE_HERE();
    if (process_mode() == MODE_OFF)
        return sem_init(native, shared, value);
    if (value > INT_MAX)
        return told(EINVAL);
    *(struct nf_sem *)native = (struct nf_sem){.value = value};
    return 0;
}

HOOK int __palisade_sem_destroy(sem_t *native)
{
    SITE_HERE();
    return process_mode() == MODE_OFF ? sem_destroy(native) : 0;
}

HOOK int __palisade_sem_post(sem_t *native)
{
    SITE_HERE();
    if (is_outside("sem_post"))
        return sem_post(native);
    return told(act_now(nf_self, (struct nf_sem *)native, ACT_POST, REPLAY_INSIDE));
}

int palisade_sem_wait_restartable(sem_t *native)
{
    if (is_outside("sem_wait"))
        return sem_wait(native);
    return wait_until(nf_self, (struct nf_sem *)native, 0, NULL);
}

int palisade_sem_trywait_restartable(sem_t *native)
{
    if (is_outside("sem_trywait"))
        return sem_trywait(native);
    safe_point(nf_self);
    return told(act_now(nf_self, (struct nf_sem *)native, ACT_TAKE, REPLAY_SAFE));
}

int palisade_sem_clockwait_restartable(sem_t *native, clockid_t clock, const struct timespec *until)
{
    if (is_outside("sem_clockwait"))
        return sem_clockwait(native, clock, until);
    if ((clock != CLOCK_REALTIME && clock != CLOCK_MONOTONIC) || until->tv_nsec < 0 ||
        until->tv_nsec >= 1000000000)
        return told(EINVAL);
    return told(wait_until(nf_self, (struct nf_sem *)native, clock, until));
}

int palisade_sem_timedwait_restartable(sem_t *native, const struct timespec *until)
{
    return palisade_sem_clockwait_restartable(native, CLOCK_REALTIME, until);
}

int palisade_sem_getvalue_restartable(sem_t *native, int *value)
{
    if (is_outside("sem_getvalue"))
        return sem_getvalue(native, value);
    safe_point(nf_self);
    *value = act_now(nf_self, (struct nf_sem *)native, ACT_LOOK, REPLAY_SAFE);
    return 0;
}
