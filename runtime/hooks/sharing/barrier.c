/*
 * Barriers and pthread_once: what happens at most once a round, and everybody else waits for it.
 *
 * An arrival is an event in the barrier's assigned order, so the same thread is the last one and
 * gets PTHREAD_BARRIER_SERIAL_THREAD again. Going on when the round is over has no outcome to
 * choose and is no event, like a join. A call of pthread_once is an event whose value tells who
 * runs the routine (0 is predicted); the others wait until it has run.
 *
 * Both keep their phase in the image (R20): a restored thread that arrived already only waits.
 */
#include <errno.h>
#include <limits.h>

#include "abi_internal.h"
#include "check/check.h"
#include "hooks/sharing/lock.h"

/* Until `*word` is `value` (or, with `not`, something else); both modes. */
static void wait_for(struct nf_thread *thread, _Atomic uint32_t *word, uint32_t value, bool not,
                     const char *what)
{
    for (;;) {
        uint64_t look = replay_look();
        uint32_t now = atomic_load(word);
        if ((now == value) != not )
            return;
        if (process_mode() == MODE_REPLAY)
            replay_wait(thread, look, EVENT_WAIT, what, REPLAY_SAFE);
        else
            safe_wait(thread, word, now, -1);
    }
}

/* ---- barriers ---- */

HOOK int __palisade_pthread_barrier_init(pthread_barrier_t *native,
                                         const pthread_barrierattr_t *attr, unsigned count)
{
    SITE_HERE();
    int shared = PTHREAD_PROCESS_PRIVATE;
    if (process_mode() == MODE_OFF)
        return pthread_barrier_init(native, attr, count);
    if (attr)
        pthread_barrierattr_getpshared(attr, &shared);
    if (shared != PTHREAD_PROCESS_PRIVATE)
        process_fail(STATUS_UNMODELLED, "pthread_barrier_init: process-shared barriers cannot be "
                                        "replayed; use an ordinary one (G8)");
    if (count == 0)
        return EINVAL;
    /* No more than THREADS_MAX can ever arrive. */
    *(struct nf_barrier *)native =
        (struct nf_barrier){.needed = (uint16_t)(count < UINT16_MAX ? count : UINT16_MAX)};
    return 0;
}

/* What the threads of one round are ordered by: the next may begin before all have left. */
static const void *round_of(const struct nf_barrier *barrier, uint32_t round)
{
    return (const uint8_t *)barrier + round % sizeof *barrier;
}

/* The order says who is the last; what the others wait for is shown only when that is recorded. */
static bool arrive(struct nf_thread *thread, struct nf_barrier *barrier)
{
    bool last = ++barrier->arrived == barrier->needed;
    thread->wait_round = atomic_load(&barrier->round);
    thread->wait_result = last ? PTHREAD_BARRIER_SERIAL_THREAD : 0;
    atomic_fetch_add(&barrier->leaving, 1);
    if (last) {
        barrier->arrived = 0;
        atomic_fetch_add(&barrier->round, 1);
    }
    return last;
}

static enum event arrive_replay(struct nf_thread *thread, struct nf_barrier *barrier)
{
    replay_object_lock(barrier);
    enum event event = ev_order_replay(&thread->core, &run_of(thread)->reader, &barrier->order);
    if (event == EVENT_PASS) {
        check_release(round_of(barrier, atomic_load(&barrier->round)));
        arrive(thread, barrier);
    }
    replay_object_unlock(barrier);
    return event;
}

int palisade_barrier_wait_restartable(pthread_barrier_t *native)
{
    struct nf_barrier *barrier = (struct nf_barrier *)native;
    struct nf_thread *thread = nf_self;
    if (thread == NULL)
        return pthread_barrier_wait(native);
    safe_point(thread);
    if (thread->wait_phase == PHASE_NONE) {
        if (!REPLAYED_SAFE(thread, "pthread_barrier_wait", arrive_replay(thread, barrier))) {
            struct log *log = log_ready(thread);
            assigned_lock(&barrier->word);
            ev_order_record(&thread->core, log, &barrier->order);
            bool last = arrive(thread, barrier);
            assigned_unlock(&barrier->word);
            if (last)
                futex_wake(&barrier->round, INT_MAX);
        }
        thread->wait_phase = PHASE_BARRIER;
    }
    wait_for(thread, &barrier->round, thread->wait_round, true, "pthread_barrier_wait");
    check_acquire(round_of(barrier, thread->wait_round));
    thread->wait_phase = PHASE_NONE;
    int result = thread->wait_result;
    if (atomic_fetch_sub(&barrier->leaving, 1) == 1)
        futex_wake(&barrier->leaving, INT_MAX); /* only an address: the barrier may be gone */
    if (process_mode() == MODE_REPLAY)
        replay_passed();
    return result;
}

/* Whoever still leaves looks at the barrier's round: its memory must stay until then. */
int palisade_barrier_destroy_restartable(pthread_barrier_t *native)
{
    struct nf_barrier *barrier = (struct nf_barrier *)native;
    if (nf_self == NULL)
        return process_mode() == MODE_OFF ? pthread_barrier_destroy(native) : 0;
    safe_point(nf_self);
    if (barrier->arrived != 0)
        return EBUSY;
    wait_for(nf_self, &barrier->leaving, 0, false, "pthread_barrier_destroy");
    return 0;
}

/* ---- once: glibc's states, so that initialisers and libc agree ---- */

enum { ONCE_NEW, ONCE_RUNNING, ONCE_DONE };

/*
 * One place for record and replay: the routine's last call may be a jump to a hook, which then
 * returns here, and the site of its event is this place (G6). In line there might be two.
 */
static __attribute__((noinline)) void once_run(_Atomic uint32_t *state, void (*routine)(void))
{
    routine();
    check_release(state);
    atomic_store(state, ONCE_DONE);
    futex_wake(state, INT_MAX);
}

int palisade_once_restartable(pthread_once_t *native, void (*routine)(void))
{
    _Atomic uint32_t *state = (_Atomic uint32_t *)native;
    struct nf_thread *thread = nf_self;
    if (thread == NULL)
        return pthread_once(native, routine);
    safe_point(thread);
    if (thread->wait_phase == PHASE_NONE) {
        int64_t runs = 0;
        if (REPLAYED_SAFE_ALONE(
                thread, "pthread_once",
                ev_number_replay(&thread->core, &run_of(thread)->reader, 0, &runs))) {
            if (runs)
                atomic_store(state, ONCE_RUNNING);
        } else {
            struct log *log = log_ready(thread);
            uint32_t fresh = ONCE_NEW;
            runs = atomic_compare_exchange_strong(state, &fresh, ONCE_RUNNING);
            ev_number_record(&thread->core, log, runs, 0);
        }
        if (runs) {
            once_run(state, routine);
            if (process_mode() == MODE_REPLAY)
                replay_passed();
            return 0;
        }
        thread->wait_phase = PHASE_ONCE;
    }
    wait_for(thread, state, ONCE_DONE, false, "pthread_once");
    check_acquire(state);
    thread->wait_phase = PHASE_NONE;
    return 0;
}
