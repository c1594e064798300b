/*
 * Clocks. Live, a reading is taken from the system and logged, as the difference to this thread's
 * last one of that clock; in replay it comes from the log.
 *
 * After a takeover no clock goes back below what the NF has already seen: process.clock_offset_ns
 * (set at go-live) is added. CPU clocks belong to a process and to a thread: they go on from what
 * each thread saw last.
 */
#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/times.h>
#include <time.h>
#include <unistd.h>

#include "abi_internal.h"
#include "core/assert.h"
#include "hooks/values/value.h"
#include "replay/replay.h"

enum { SLOT_GETTIMEOFDAY = 13, SLOT_TIME = 14 };

static int64_t timespec_ns(const struct timespec *time)
{
    return time->tv_sec * 1000000000ll + time->tv_nsec;
}

/* The logged reading of `clock` under `slot`; `grain_ns` is what the caller can tell apart. */
static int64_t read_clock(struct nf_thread *thread, clockid_t clock, uint32_t slot,
                          int64_t grain_ns)
{
    int64_t ns;
    if (REPLAYED_ALONE(thread, "clock",
                       ev_clock_replay(&thread->core, &run_of(thread)->reader, slot, &ns))) {
        value_clock_seen(slot, ns);
        return ns;
    }
    struct timespec now;
    clock_gettime(clock, &now);
    ns = timespec_ns(&now) + process.clock_offset_ns[slot];
    ns -= ns % grain_ns;
    ev_clock_record(&thread->core, log_ready(thread), slot, ns);
    return ns;
}

/* CPU time: its own floor, per thread, for a successor's begins anew. */
static int64_t read_cpu_clock(struct nf_thread *thread, clockid_t clock)
{
    static int64_t behind[THREADS_MAX][2]; /* of this process; each thread its own */
    int64_t *offset = &behind[thread->core.index][clock == CLOCK_THREAD_CPUTIME_ID];
    int64_t *seen = &thread->values.cpu_seen_ns[clock == CLOCK_THREAD_CPUTIME_ID];
    int64_t ns = LOGGED(thread, "CPU clock", NOT_EXPECTED, ({
                            struct timespec now;
                            clock_gettime(clock, &now);
                            int64_t live = timespec_ns(&now) + *offset;
                            if (live < *seen) {
                                *offset += *seen - live;
                                live = *seen;
                            }
                            live;
                        }));
    *seen = ns;
    return ns;
}

static bool is_clock(clockid_t clock)
{
    return clock >= 0 && clock <= CLOCK_TAI && clock != 10; /* 10 was CLOCK_SGI_CYCLE */
}

/* A reading of any clock the NF may name; false: there is no such clock. */
static bool read_any(struct nf_thread *thread, clockid_t clock, int64_t *ns)
{
    if (!is_clock(clock))
        return false;
    if (clock == CLOCK_PROCESS_CPUTIME_ID || clock == CLOCK_THREAD_CPUTIME_ID)
        *ns = read_cpu_clock(thread, clock);
    else
        *ns = read_clock(thread, clock, (uint32_t)clock, 1);
    return true;
}

HOOK int __palisade_clock_gettime(clockid_t clock, struct timespec *out)
{
    SITE_HERE();
    if (nf_self == NULL)
        return clock_gettime(clock, out);
    int64_t ns;
    if (!read_any(nf_self, clock, &ns)) {
        errno = EINVAL;
        return -1;
    }
    out->tv_sec = ns / 1000000000;
    out->tv_nsec = ns % 1000000000;
    return 0;
}

HOOK int __palisade_timespec_get(struct timespec *out, int base)
{
    SITE_HERE();
    if (nf_self == NULL)
        return timespec_get(out, base);
    return base == TIME_UTC && __palisade_clock_gettime(CLOCK_REALTIME, out) == 0 ? base : 0;
}

HOOK int __palisade_clock_getres(clockid_t clock, struct timespec *out)
{
    SITE_HERE();
    if (nf_self == NULL)
        return clock_getres(clock, out);
    struct timespec resolution = {0};
    int64_t ns = VALUE_RESULT(nf_self, "clock_getres", ({
                                  int error = clock_getres(clock, &resolution);
                                  error ? -1 : timespec_ns(&resolution);
                              }));
    if (ns < 0)
        return -1;
    if (out)
        *out = (struct timespec){.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
    return 0;
}

/* The NF is one process; other processes' clocks are not its business. */
HOOK int __palisade_clock_getcpuclockid(pid_t pid, clockid_t *out)
{
    SITE_HERE();
    if (nf_self == NULL)
        return clock_getcpuclockid(pid, out);
    if (pid != 0 && pid != NF_PID)
        return ESRCH;
    *out = CLOCK_PROCESS_CPUTIME_ID;
    return 0;
}

HOOK int __palisade_pthread_getcpuclockid(pthread_t handle, clockid_t *out)
{
    SITE_HERE();
    if (nf_self == NULL)
        return pthread_getcpuclockid(handle, out);
    if (handle != nf_self->core.index + 1)
        process_fail(STATUS_UNMODELLED, "pthread_getcpuclockid of another thread cannot be "
                                        "replayed; let the thread read its own clock (G8)");
    *out = CLOCK_THREAD_CPUTIME_ID;
    return 0;
}

HOOK clock_t __palisade_clock(void)
{
    SITE_HERE();
    return nf_self ? read_cpu_clock(nf_self, CLOCK_PROCESS_CPUTIME_ID) / 1000 : clock();
}

HOOK clock_t __palisade_times(struct tms *out)
{
    SITE_HERE();
    if (nf_self == NULL)
        return times(out);
    struct {
        struct tms tms;
        clock_t now;
    } reading = {0};
    VALUE_BYTES(nf_self, "times", &reading, sizeof reading, reading.now = times(&reading.tms));
    if (out)
        *out = reading.tms;
    return reading.now;
}

HOOK int __palisade_getrusage(int who, struct rusage *out)
{
    SITE_HERE();
    if (nf_self == NULL)
        return getrusage(who, out);
    int result = (int)VALUE_RESULT(nf_self, "getrusage", getrusage(who, out));
    if (result == 0)
        VALUE_BYTES(nf_self, "getrusage", out, sizeof *out, getrusage(who, out));
    return result;
}

HOOK int __palisade_gettimeofday(struct timeval *restrict out, void *restrict zone)
{
    SITE_HERE();
    if (nf_self == NULL)
        return gettimeofday(out, zone);
    int64_t ns = read_clock(nf_self, CLOCK_REALTIME, SLOT_GETTIMEOFDAY, 1000);
    out->tv_sec = ns / 1000000000;
    out->tv_usec = ns % 1000000000 / 1000;
    return 0;
}

HOOK time_t __palisade_time(time_t *out)
{
    SITE_HERE();
    if (nf_self == NULL)
        return time(out);
    time_t seconds =
        (time_t)(read_clock(nf_self, CLOCK_REALTIME, SLOT_TIME, 1000000000) / 1000000000);
    if (out)
        *out = seconds;
    return seconds;
}

void value_clock_seen(uint32_t slot, int64_t ns)
{
    _Atomic int64_t *floor = (_Atomic int64_t *)&IMAGE->clock_floor_ns[slot];
    int64_t seen = atomic_load(floor);
    while (seen < ns && !atomic_compare_exchange_weak(floor, &seen, ns))
        ;
}

int64_t value_clock_now(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return timespec_ns(&now) + process.clock_offset_ns[clock];
}

static int64_t slot_now(uint32_t slot)
{
    struct timespec now;
    clockid_t clock = slot >= SLOT_GETTIMEOFDAY ? CLOCK_REALTIME : (clockid_t)slot;
    return clock_gettime(clock, &now) == 0 ? timespec_ns(&now) : 0;
}

void value_clocks_floor(void)
{
    for (uint32_t slot = 0; slot <= SLOT_TIME; slot++) /* CPU clocks do not use theirs */
        IMAGE->clock_floor_ns[slot] = slot_now(slot) + process.clock_offset_ns[slot];
}

static bool shows_realtime(uint32_t slot)
{
    return slot == CLOCK_REALTIME || slot == CLOCK_REALTIME_COARSE || slot >= SLOT_GETTIMEOFDAY;
}

void value_clocks_go_live(void)
{
    int64_t realtime = 0; /* its views must agree */
    for (uint32_t slot = 0; slot <= SLOT_TIME; slot++) {
        int64_t behind = IMAGE->clock_floor_ns[slot] - slot_now(slot);
        process.clock_offset_ns[slot] = behind > 0 ? behind : 0;
        if (shows_realtime(slot) && behind > realtime)
            realtime = behind;
    }
    for (uint32_t slot = 0; slot <= SLOT_TIME; slot++)
        if (shows_realtime(slot))
            process.clock_offset_ns[slot] = realtime;
}
