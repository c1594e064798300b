/*
 * Waiting for time or for a signal. A sleep is an event with a predicted result, not to be
 * repeated in replay, so that a loop of sleeps ends where its log ends. A signal that ends one is
 * the event instead, and its record says what was left.
 */
#include <errno.h>
#include <sched.h>
#include <time.h>
#include <unistd.h>

#include "abi_internal.h"
#include "hooks/threads/signal.h"
#include "hooks/values/value.h"

#define SECOND_NS 1000000000ll

static struct timespec to_timespec(int64_t ns)
{
    return (struct timespec){.tv_sec = ns / SECOND_NS, .tv_nsec = ns % SECOND_NS};
}

static bool valid(const struct timespec *time)
{
    return time->tv_sec >= 0 && time->tv_nsec >= 0 && time->tv_nsec < SECOND_NS;
}

/* A signal ended the sleep: tells what was left, runs the handler. Returns when there is none. */
static void interrupted(struct nf_thread *thread, const struct signal_taken *taken,
                        struct timespec *left, struct signal_call call)
{
    if (left)
        *left = to_timespec(taken->left_ns);
    if (call.result > 0 && call.error == 0) /* sleep: whole seconds */
        call.result = (taken->left_ns + SECOND_NS / 2) / SECOND_NS;
    signal_run(thread, taken, &call);
}

static enum event sleep_replay(struct nf_thread *thread, struct timespec *left,
                               struct signal_call call)
{
    int64_t value;
    struct signal_taken taken;
    while (signal_take_replay(thread, &taken) == EVENT_PASS)
        interrupted(thread, &taken, left, call);
    return ev_number_replay(&thread->core, &run_of(thread)->reader, 0, &value);
}

static void sleep_event(struct nf_thread *thread, int64_t ns, struct timespec *left,
                        struct signal_call call)
{
    struct signal_taken taken;
    struct thread_run *run = run_of(thread);
    safe_point(thread);
    if (REPLAYED_SAFE_ALONE(thread, "sleep", sleep_replay(thread, left, call)))
        return;
    int64_t until = now_ns() + ns;
    for (int64_t rest = ns; rest > 0; rest = until - now_ns()) {
        uint32_t wake = atomic_load(&run->wake);
        while (signal_take(thread, signal_unblocked(thread), rest, &taken))
            interrupted(thread, &taken, left, call);
        signal_wait(thread, &run->wake, wake, rest);
    }
    ev_number_record(&thread->core, log_ready(thread), 0, 0);
}

int palisade_nanosleep_restartable(const struct timespec *length, struct timespec *left)
{
    if (nf_self == NULL)
        return nanosleep(length, left);
    if (!valid(length)) {
        errno = EINVAL;
        return -1;
    }
    sleep_event(nf_self, length->tv_sec * SECOND_NS + length->tv_nsec, left, signal_eintr);
    return 0;
}

int palisade_clock_nanosleep_restartable(clockid_t clock, int flags, const struct timespec *time,
                                         struct timespec *left)
{
    static const struct signal_call error_result = {CALL_RETURNS, EINTR, 0};
    if (nf_self == NULL)
        return clock_nanosleep(clock, flags, time, left);
    if (clock < 0 || clock > CLOCK_TAI || clock == CLOCK_THREAD_CPUTIME_ID ||
        clock == CLOCK_PROCESS_CPUTIME_ID || !valid(time))
        return EINVAL;
    int64_t ns = time->tv_sec * SECOND_NS + time->tv_nsec;
    if (flags & TIMER_ABSTIME)
        ns -= value_clock_now(clock);
    struct signal_call call = error_result;
    call.error = EINTR; /* POSIX leaves errno open; so is told from sleep's result */
    sleep_event(nf_self, ns, flags & TIMER_ABSTIME ? NULL : left, call);
    return 0;
}

int palisade_usleep_restartable(useconds_t us)
{
    if (nf_self == NULL)
        return usleep(us);
    sleep_event(nf_self, us * 1000ll, NULL, signal_eintr);
    return 0;
}

unsigned int palisade_sleep_restartable(unsigned int seconds)
{
    static const struct signal_call seconds_left = {CALL_RETURNS, 1, 0};
    if (nf_self == NULL)
        return sleep(seconds);
    sleep_event(nf_self, seconds * SECOND_NS, NULL, seconds_left);
    return 0;
}

/* Restartable: who spins until another thread does something must not keep a barrier up. */
int palisade_sched_yield_restartable(void)
{
    struct nf_thread *thread = nf_self;
    if (thread == NULL)
        return sched_yield();
    int64_t value;
    safe_point(thread);
    if (REPLAYED_SAFE_ALONE(thread, "sched_yield",
                            (signal_replay(thread, &signal_again),
                             ev_number_replay(&thread->core, &run_of(thread)->reader, 0, &value))))
        return 0;
    signal_check(thread, &signal_again);
    sched_yield();
    ev_number_record(&thread->core, log_ready(thread), 0, 0);
    return 0;
}

/* ---- until a signal comes ---- */

/* Replay: only a signal can come next. */
static enum event wait_replay(struct nf_thread *thread, struct signal_taken *taken)
{
    enum event event = signal_take_replay(thread, taken);
    if (event == EVENT_WAIT) {
        run_of(thread)->reader.why = "the log holds no signal here";
        return EVENT_DIVERGED;
    }
    return event;
}

/* Until a handler has run: never returns but through it. */
__attribute__((noreturn)) static void wait_handler(struct nf_thread *thread)
{
    struct signal_taken taken;
    struct thread_run *run = run_of(thread);
    safe_point(thread);
    for (;;) {
        if (REPLAYED_SAFE_ALONE(thread, "pause", wait_replay(thread, &taken))) {
            signal_run(thread, &taken, &signal_eintr);
            continue;
        }
        uint32_t wake = atomic_load(&run->wake);
        signal_check(thread, &signal_eintr);
        signal_wait(thread, &run->wake, wake, -1);
    }
}

int palisade_pause_restartable(void)
{
    if (nf_self == NULL)
        return pause();
    wait_handler(nf_self);
}

int palisade_sigsuspend_restartable(const sigset_t *mask)
{
    if (nf_self == NULL)
        return sigsuspend(mask);
    signal_mask_swap(nf_self, mask);
    wait_handler(nf_self);
}

/* A signal of `set`, without a handler; 0: time is over. Others run their handlers: EINTR. */
static int wait_signal(struct nf_thread *thread, const sigset_t *set, siginfo_t *info,
                       int64_t timeout_ns)
{
    uint64_t accept = signal_bits(set);
    struct signal_taken taken;
    struct thread_run *run = run_of(thread);
    int64_t until = timeout_ns < 0 ? -1 : now_ns() + timeout_ns, over;
    safe_point(thread);
    for (;;) {
        bool timed = false;
        if (REPLAYED_SAFE_ALONE(thread, "sigwait", ({
                                    enum event event_ = signal_take_replay(thread, &taken);
                                    if (event_ == EVENT_WAIT) {
                                        timed = true;
                                        event_ =
                                            ev_number_replay(&thread->core, &run->reader, 0, &over);
                                    }
                                    event_;
                                }))) {
            if (timed)
                return 0;
        } else {
            uint32_t wake = atomic_load(&run->wake);
            if (!signal_take(thread, accept | signal_unblocked(thread), 0, &taken)) {
                int64_t left = until < 0 ? -1 : until - now_ns();
                if (until >= 0 && left <= 0) {
                    ev_number_record(&thread->core, log_ready(thread), 0, 0);
                    return 0;
                }
                signal_wait_for(thread, accept | signal_unblocked(thread), &run->wake, wake, left);
                continue;
            }
        }
        if (accept >> ((taken.what & 0xff) - 1) & 1) {
            int signal = signal_accept(thread, &taken, info);
            if (signal)
                return signal;
        } else {
            signal_run(thread, &taken, &signal_eintr);
        }
    }
}

int palisade_sigwait_restartable(const sigset_t *set, int *out)
{
    if (nf_self == NULL)
        return sigwait(set, out);
    *out = wait_signal(nf_self, set, NULL, -1);
    return 0;
}

int palisade_sigwaitinfo_restartable(const sigset_t *set, siginfo_t *info)
{
    return nf_self ? wait_signal(nf_self, set, info, -1) : sigwaitinfo(set, info);
}

int palisade_sigtimedwait_restartable(const sigset_t *set, siginfo_t *info,
                                      const struct timespec *timeout)
{
    if (nf_self == NULL)
        return sigtimedwait(set, info, timeout);
    int signal = wait_signal(nf_self, set, info,
                             timeout ? timeout->tv_sec * SECOND_NS + timeout->tv_nsec : -1);
    if (signal == 0)
        errno = EAGAIN;
    return signal ? signal : -1;
}
