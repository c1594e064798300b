/*
 * Who touched which memory last: for each granule of 8 bytes up to four touches, each with its
 * bytes, its thread and how far that had come. A touch meets an earlier one when both concern a
 * byte, one of them writes, and the earlier is none that the later thread knows of (clocks.h).
 *
 * In ordinary memory of the process and bounded: when it is full, what was looked at first is
 * forgotten first, and counted. What is forgotten is not accused.
 */
#ifndef PALISADE_CHECK_SHADOW_H
#define PALISADE_CHECK_SHADOW_H

#include "abi.h"
#include "core/types.h"

struct touch {
    uint32_t thread;
    bool write;
    uint64_t clock; /* of the thread: clock_now */
    const struct palisade_site *site;
};

/* Room in MiB: an eighth of it is memory of the NF. False: there is no memory for it. Once. */
bool shadow_open(uint32_t mib);

/*
 * `now` happens at [address, address + bytes), by a thread that has seen `seen`. True when it
 * meets an earlier touch, the first of which is in *before; two logged ones do not meet. Any
 * thread for itself.
 */
bool shadow_touch(uint64_t address, uint64_t bytes, const struct touch *now, const uint64_t *seen,
                  struct touch *before);
/* The memory begins a new life: nobody has touched it. Any thread. */
void shadow_fresh(uint64_t address, uint64_t bytes);
/* Pieces of 512 bytes forgotten for want of room. Any thread. */
uint64_t shadow_forgotten(void);

#endif
