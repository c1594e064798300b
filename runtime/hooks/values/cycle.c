/*
 * The time stamp counter and the CPU's random numbers, which programs read by instructions. Which
 * CPU it was is nobody's business after a takeover: the pass makes it number 0.
 *
 * The counter is a clock of its own slot, coded as differences, in cycles. It never goes back after
 * a takeover: the offset is set at go-live, like those of the other clocks (hooks/values/value.c).
 */
#include <sys/random.h>
#include <x86intrin.h>

#include "abi_internal.h"
#include "core/assert.h"
#include "hooks/values/cycle.h"
#include "hooks/values/value.h"
#include "replay/replay.h"

enum { SLOT_CYCLES = 15 };
_Static_assert(SLOT_CYCLES < RECORD_CLOCKS, "a clock's slot");

static int64_t cycles_now(void)
{
    return (int64_t)__rdtsc() + process.clock_offset_ns[SLOT_CYCLES];
}

void cycle_floor(void)
{
    IMAGE->clock_floor_ns[SLOT_CYCLES] = cycles_now();
}

void cycle_go_live(void)
{
    int64_t behind = IMAGE->clock_floor_ns[SLOT_CYCLES] - (int64_t)__rdtsc();
    process.clock_offset_ns[SLOT_CYCLES] = behind > 0 ? behind : 0;
}

static uint64_t read_cycles(struct nf_thread *thread)
{
    int64_t cycles;
    if (REPLAYED_SAFE_ALONE(
            thread, "rdtsc",
            ev_clock_replay(&thread->core, &run_of(thread)->reader, SLOT_CYCLES, &cycles))) {
        value_clock_seen(SLOT_CYCLES, cycles);
        return (uint64_t)cycles;
    }
    cycles = cycles_now();
    ev_clock_record(&thread->core, log_ready(thread), SLOT_CYCLES, cycles);
    return (uint64_t)cycles;
}

/* A program may wait by looking at the counter: so it stops at a barrier (R20). */
uint64_t palisade_rdtsc_restartable(void)
{
    if (nf_self == NULL)
        return __rdtsc();
    safe_point(nf_self);
    return read_cycles(nf_self);
}

HOOK uint64_t __palisade_rdrand(void)
{
    SITE_HERE();
    struct nf_thread *thread = nf_self;
    int64_t value;
    if (thread != NULL &&
        REPLAYED_ALONE(thread, "rdrand",
                       ev_number_replay(&thread->core, &run_of(thread)->reader, 0, &value)))
        return (uint64_t)value;
    if (getrandom(&value, sizeof value, 0) != sizeof value)
        process_fail(STATUS_KERNEL, "getrandom gave no random numbers");
    if (thread != NULL)
        ev_number_record(&thread->core, log_ready(thread), value, 0);
    return (uint64_t)value;
}
