/*
 * Timers: alarm, ITIMER_REAL, timer_create. They lie in the image, guarded by signals_lock, with
 * deadlines on CLOCK_MONOTONIC as the NF sees it, which a takeover does not set back. The I/O
 * thread says when one is due; that it expired is noted by the thread that gets the signal, as part
 * of that event, so that replay does it too. What was due during a takeover fires after it.
 */
#include <errno.h>
#include <stdint.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "abi_internal.h"
#include "hooks/sharing/lock.h"
#include "hooks/threads/signal.h"
#include "hooks/values/value.h"

#define TIMERS (IMAGE->values.timers)
#define SECOND_NS 1000000000ll

static int64_t posted_ns[TIMERS_MAX]; /* I/O thread: the deadline it last told of */

static int64_t timespec_ns(const struct timespec *time)
{
    return time->tv_sec * SECOND_NS + time->tv_nsec;
}

static struct timespec to_timespec(int64_t ns)
{
    return (struct timespec){.tv_sec = ns / SECOND_NS, .tv_nsec = ns % SECOND_NS};
}

static int64_t logged_now(struct nf_thread *thread, clockid_t clock)
{
    return LOGGED(thread, "timer", NOT_EXPECTED, value_clock_now(clock));
}

static int64_t left_of(const struct nf_timer *timer, int64_t now)
{
    int64_t left = timer->deadline_ns - now;
    if (timer->deadline_ns == 0)
        return 0;
    while (left <= 0 && timer->interval_ns > 0)
        left += (-left / timer->interval_ns + 1) * timer->interval_ns;
    return left > 0 ? left : 1;
}

/* Caller holds signals_lock; first_ns: from now, 0 disarms. Returns what was left. */
static int64_t arm(struct nf_timer *timer, int64_t now, int64_t first_ns, int64_t interval_ns)
{
    int64_t left = left_of(timer, now);
    timer->deadline_ns = first_ns > 0 ? now + first_ns : 0;
    timer->interval_ns = interval_ns;
    timer->overrun = 0;
    return left;
}

int64_t timers_round(int64_t now, void (*fire)(uint32_t timer))
{
    int64_t next = INT64_MAX, seen = now + process.clock_offset_ns[CLOCK_MONOTONIC];
    for (uint32_t t = 0; t < TIMERS_MAX; t++) {
        int64_t deadline = __atomic_load_n(&TIMERS[t].deadline_ns, __ATOMIC_RELAXED);
        if (deadline == 0 || TIMERS[t].signal == 0)
            continue;
        if (deadline > seen) {
            int64_t due = deadline - seen + now;
            next = due < next ? due : next;
        } else if (posted_ns[t] != deadline) {
            posted_ns[t] = deadline;
            fire(t);
        }
    }
    return next;
}

void timers_go_live(void)
{
    for (uint32_t t = 0; t < TIMERS_MAX; t++)
        posted_ns[t] = 0;
}

bool timer_expire(struct nf_thread *thread, uint32_t index)
{
    struct nf_timer *timer = &TIMERS[index];
    int64_t times = LOGGED(thread, "timer", 1, ({
                               int64_t late = value_clock_now(CLOCK_MONOTONIC) - timer->deadline_ns;
                               int64_t n = 1;
                               if (timer->deadline_ns == 0 || late < 0)
                                   n = 0; /* disarmed or set anew meanwhile */
                               else if (timer->interval_ns > 0)
                                   n = late / timer->interval_ns + 1;
                               n;
                           }));
    if (times == 0)
        return false;
    timer->overrun = (uint32_t)(times - 1);
    timer->deadline_ns = timer->interval_ns ? timer->deadline_ns + times * timer->interval_ns : 0;
    return true;
}

static void lock(void)
{
    ordered_lock(nf_self, &IMAGE->values.signals_lock);
}

static void unlock(void)
{
    ordered_unlock(&IMAGE->values.signals_lock);
    io_kick(); /* the next deadline may be another */
}

/* ---- alarm, setitimer: timer 0 ---- */

static int64_t set_alarm(int64_t first_ns, int64_t interval_ns, int64_t *old_interval_ns)
{
    lock();
    TIMERS[0].used = 1;
    TIMERS[0].signal = SIGALRM;
    *old_interval_ns = TIMERS[0].interval_ns;
    int64_t left = arm(&TIMERS[0], logged_now(nf_self, CLOCK_MONOTONIC), first_ns, interval_ns);
    unlock();
    return left;
}

HOOK unsigned int __palisade_alarm(unsigned int seconds)
{
    SITE_HERE();
    int64_t interval;
    if (nf_self == NULL)
        return alarm(seconds);
    int64_t left = set_alarm(seconds * SECOND_NS, 0, &interval);
    return (unsigned int)((left + SECOND_NS - 1) / SECOND_NS);
}

HOOK useconds_t __palisade_ualarm(useconds_t first_us, useconds_t interval_us)
{
    SITE_HERE();
    int64_t interval;
    if (nf_self == NULL)
        return ualarm(first_us, interval_us);
    return (useconds_t)(set_alarm(first_us * 1000ll, interval_us * 1000ll, &interval) / 1000);
}

static int64_t timeval_ns(const struct timeval *time)
{
    return time->tv_sec * SECOND_NS + time->tv_usec * 1000ll;
}

static struct timeval to_timeval(int64_t ns)
{
    return (struct timeval){.tv_sec = ns / SECOND_NS, .tv_usec = ns % SECOND_NS / 1000};
}

static void must_be_real(int which)
{
    if (which != ITIMER_REAL)
        process_fail(STATUS_UNMODELLED, "setitimer: timers on CPU time cannot be replayed; use "
                                        "ITIMER_REAL (G8)");
}

HOOK int __palisade_setitimer(__itimer_which_t which, const struct itimerval *value,
                              struct itimerval *old)
{
    SITE_HERE();
    if (nf_self == NULL)
        return setitimer(which, value, old);
    must_be_real(which);
    int64_t interval,
        left = set_alarm(timeval_ns(&value->it_value), timeval_ns(&value->it_interval), &interval);
    if (old)
        *old =
            (struct itimerval){.it_value = to_timeval(left), .it_interval = to_timeval(interval)};
    return 0;
}

HOOK int __palisade_getitimer(__itimer_which_t which, struct itimerval *out)
{
    SITE_HERE();
    if (nf_self == NULL)
        return getitimer(which, out);
    must_be_real(which);
    lock();
    int64_t left = left_of(&TIMERS[0], logged_now(nf_self, CLOCK_MONOTONIC));
    *out = (struct itimerval){.it_value = to_timeval(left),
                              .it_interval = to_timeval(TIMERS[0].interval_ns)};
    unlock();
    return 0;
}

/* ---- timer_create ---- */

static int fail(int error)
{
    errno = error;
    return -1;
}

/* Caller holds signals_lock. A timer_t is its number. */
static struct nf_timer *timer_of(timer_t handle)
{
    uintptr_t number = (uintptr_t)handle;
    return number >= 1 && number < TIMERS_MAX && TIMERS[number].used ? &TIMERS[number] : NULL;
}

HOOK int __palisade_timer_create(clockid_t clock, struct sigevent *event, timer_t *out)
{
    SITE_HERE();
    if (nf_self == NULL)
        return timer_create(clock, event, out);
    if (event && event->sigev_notify != SIGEV_SIGNAL && event->sigev_notify != SIGEV_NONE)
        process_fail(STATUS_UNMODELLED, "timer_create: only SIGEV_SIGNAL and SIGEV_NONE can be "
                                        "replayed; let a thread wait for the signal (G8)");
    if (clock != CLOCK_REALTIME && clock != CLOCK_MONOTONIC && clock != CLOCK_BOOTTIME)
        process_fail(STATUS_UNMODELLED,
                     "timer_create: a timer on clock %d cannot be replayed; use "
                     "CLOCK_MONOTONIC (G8)",
                     clock);
    int signal = event == NULL                         ? SIGALRM
                 : event->sigev_notify == SIGEV_SIGNAL ? event->sigev_signo
                                                       : 0;
    uint32_t number = 1;
    lock();
    while (number < TIMERS_MAX && TIMERS[number].used)
        number++;
    if (number < TIMERS_MAX)
        TIMERS[number] =
            (struct nf_timer){.used = 1,
                              .signal = signal,
                              .clock = clock,
                              .value = event ? (uint64_t)event->sigev_value.sival_ptr : number};
    unlock();
    if (number == TIMERS_MAX)
        return fail(EAGAIN);
    *out = (timer_t)(uintptr_t)number;
    return 0;
}

static void tell(const struct nf_timer *timer, int64_t left, struct itimerspec *out)
{
    *out = (struct itimerspec){.it_value = to_timespec(left),
                               .it_interval = to_timespec(timer->interval_ns)};
}

HOOK int __palisade_timer_settime(timer_t handle, int flags, const struct itimerspec *value,
                                  struct itimerspec *old)
{
    SITE_HERE();
    if (nf_self == NULL)
        return timer_settime(handle, flags, value, old);
    lock();
    struct nf_timer *timer = timer_of(handle);
    if (timer) {
        int64_t now = logged_now(nf_self, CLOCK_MONOTONIC), first = timespec_ns(&value->it_value);
        if (first > 0 && (flags & TIMER_ABSTIME)) {
            first -= timer->clock == CLOCK_MONOTONIC ? now : logged_now(nf_self, timer->clock);
            first = first > 0 ? first : 1; /* past: at once */
        }
        struct nf_timer before = *timer;
        int64_t left = arm(timer, now, first, timespec_ns(&value->it_interval));
        if (old)
            tell(&before, left, old);
    }
    unlock();
    return timer ? 0 : fail(EINVAL);
}

HOOK int __palisade_timer_gettime(timer_t handle, struct itimerspec *out)
{
    SITE_HERE();
    if (nf_self == NULL)
        return timer_gettime(handle, out);
    lock();
    struct nf_timer *timer = timer_of(handle);
    if (timer)
        tell(timer, left_of(timer, logged_now(nf_self, CLOCK_MONOTONIC)), out);
    unlock();
    return timer ? 0 : fail(EINVAL);
}

HOOK int __palisade_timer_getoverrun(timer_t handle)
{
    SITE_HERE();
    if (nf_self == NULL)
        return timer_getoverrun(handle);
    lock();
    struct nf_timer *timer = timer_of(handle);
    int overrun = timer ? (int)timer->overrun : 0;
    unlock();
    return timer ? overrun : fail(EINVAL);
}

HOOK int __palisade_timer_delete(timer_t handle)
{
    SITE_HERE();
    if (nf_self == NULL)
        return timer_delete(handle);
    lock();
    struct nf_timer *timer = timer_of(handle);
    if (timer)
        *timer = (struct nf_timer){0};
    unlock();
    return timer ? 0 : fail(EINVAL);
}
