/*
 * Values: clocks, randomness, sleeps. Live, the outcome is taken from the system and logged; in
 * replay it comes from the log.
 *
 * Clocks are coded as differences per clock and thread. After a takeover no clock goes back below
 * what the NF has already seen: process.clock_offset_ns (set at go-live) is added. A sleep is an
 * event with a predicted result, not to be repeated in replay, so that a loop of sleeps ends where
 * its log ends.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "abi_internal.h"
#include "core/assert.h"
#include "hooks/value.h"
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

HOOK int __palisade_clock_gettime(clockid_t clock, struct timespec *out)
{
    if (nf_self == NULL)
        return clock_gettime(clock, out);
    if (clock < 0 || clock >= SLOT_GETTIMEOFDAY)
        process_fail(STATUS_UNMODELLED,
                     "clock_gettime: clock %d cannot be replayed; use CLOCK_MONOTONIC (G8)", clock);
    int64_t ns = read_clock(nf_self, clock, (uint32_t)clock, 1);
    out->tv_sec = ns / 1000000000;
    out->tv_nsec = ns % 1000000000;
    return 0;
}

HOOK int __palisade_gettimeofday(struct timeval *restrict out, void *restrict zone)
{
    if (nf_self == NULL)
        return gettimeofday(out, zone);
    int64_t ns = read_clock(nf_self, CLOCK_REALTIME, SLOT_GETTIMEOFDAY, 1000);
    out->tv_sec = ns / 1000000000;
    out->tv_usec = ns % 1000000000 / 1000;
    return 0;
}

HOOK time_t __palisade_time(time_t *out)
{
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

static int64_t slot_now(uint32_t slot)
{
    struct timespec now;
    clockid_t clock = slot >= SLOT_GETTIMEOFDAY ? CLOCK_REALTIME : (clockid_t)slot;
    return clock_gettime(clock, &now) == 0 ? timespec_ns(&now) : 0;
}

void value_clocks_floor(void)
{
    for (uint32_t slot = 0; slot <= SLOT_TIME; slot++)
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

/* ---- numbers ---- */

#define NEVER_PREDICTED INT64_MIN

static int64_t number(struct nf_thread *thread, const char *what, int64_t (*draw)(void),
                      int64_t expected)
{
    int64_t value;
    if (REPLAYED_ALONE(thread, what,
                       ev_number_replay(&thread->core, &run_of(thread)->reader, expected, &value)))
        return value;
    value = draw ? draw() : expected;
    ev_number_record(&thread->core, log_ready(thread), value, expected);
    return value;
}

static int64_t draw_rand(void)
{
    return rand();
}
static int64_t draw_random(void)
{
    return random();
}

HOOK int __palisade_rand(void)
{
    return nf_self ? (int)number(nf_self, "rand", draw_rand, NEVER_PREDICTED) : rand();
}

HOOK long __palisade_random(void)
{
    return nf_self ? number(nf_self, "random", draw_random, NEVER_PREDICTED) : random();
}

HOOK int __palisade_rand_r(unsigned int *seed)
{
    return rand_r(seed); /* all state is the caller's */
}

HOOK void __palisade_srand(unsigned int seed)
{
    srand(seed);
}

HOOK void __palisade_srandom(unsigned int seed)
{
    srandom(seed);
}

HOOK int __palisade_getpid(void)
{
    /* One virtual process, whoever runs it. */
    return nf_self ? 2 : getpid();
}

HOOK char *__palisade_getenv(const char *name)
{
    /* From the image: a pointer into this process's own environment would dangle in the backup. */
    size_t length = strlen(name);
    if (nf_self == NULL)
        return getenv(name);
    for (char **at = IMAGE->environment; *at; at++)
        if (strncmp(*at, name, length) == 0 && (*at)[length] == '=')
            return *at + length + 1;
    return NULL;
}

HOOK ssize_t __palisade_getrandom(void *buffer, size_t length, unsigned int flags)
{
    struct nf_thread *thread = nf_self;
    if (thread == NULL)
        return getrandom(buffer, length, flags);
    uint32_t piece = length > 256 ? 256 : (uint32_t)length;
    if (REPLAYED_ALONE(thread, "getrandom",
                       ev_bytes_replay(&thread->core, &run_of(thread)->reader, buffer, piece)))
        return piece;
    for (uint32_t got = 0; got < piece;) {
        ssize_t more = getrandom((uint8_t *)buffer + got, piece - got, 0);
        if (more > 0)
            got += (uint32_t)more;
    }
    ev_bytes_record(&thread->core, log_ready(thread), buffer, piece);
    return piece;
}

/* ---- sleeps ---- */

static void sleep_event(struct nf_thread *thread, int64_t ns)
{
    int64_t value;
    safe_point(thread);
    if (REPLAYED_ALONE(thread, "sleep",
                       ev_number_replay(&thread->core, &run_of(thread)->reader, 0, &value)))
        return;
    int64_t until = now_ns() + ns;
    for (int64_t left = ns; left > 0; left = until - now_ns()) {
        uint32_t wake = atomic_load(&run_of(thread)->wake);
        safe_wait(thread, &run_of(thread)->wake, wake, left);
    }
    ev_number_record(&thread->core, log_ready(thread), 0, 0);
}

int palisade_nanosleep_restartable(const struct timespec *length, struct timespec *left)
{
    if (nf_self == NULL)
        return nanosleep(length, left);
    sleep_event(nf_self, timespec_ns(length));
    return 0;
}

int palisade_clock_nanosleep_restartable(clockid_t clock, int flags, const struct timespec *time,
                                         struct timespec *left)
{
    if (nf_self == NULL)
        return clock_nanosleep(clock, flags, time, left);
    if (clock < 0 || clock >= SLOT_GETTIMEOFDAY)
        return EINVAL;
    int64_t ns = timespec_ns(time);
    if (flags & TIMER_ABSTIME)
        ns -= slot_now((uint32_t)clock) + process.clock_offset_ns[clock];
    sleep_event(nf_self, ns);
    return 0;
}

int palisade_usleep_restartable(useconds_t us)
{
    if (nf_self == NULL)
        return usleep(us);
    sleep_event(nf_self, us * 1000ll);
    return 0;
}

unsigned int palisade_sleep_restartable(unsigned int seconds)
{
    if (nf_self == NULL)
        return sleep(seconds);
    sleep_event(nf_self, seconds * 1000000000ll);
    return 0;
}

/* Restartable: who spins until another thread does something must not keep a barrier up. */
int palisade_sched_yield_restartable(void)
{
    if (nf_self)
        safe_point(nf_self);
    sched_yield();
    if (nf_self) {
        number(nf_self, "sched_yield", NULL, 0);
    }
    return 0;
}
