/*
 * What a dead process held is free a while after its death (an AF_XDP queue after 8-120 ms, later
 * on a busy machine), and a supervisor starts the next one at once. So who finds a thing held asks
 * again for BUSY_MAX_NS before saying so.
 */
#ifndef PALISADE_XDP_BUSY_H
#define PALISADE_XDP_BUSY_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>

#define BUSY_MAX_NS 2000000000
#define BUSY_WAIT_US 12000

/* False when the time is over; *since_ns, 0 before the first call, keeps when it began. */
static inline bool busy_wait(int64_t *since_ns)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    int64_t now_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;

    if (!*since_ns)
        *since_ns = now_ns;
    if (now_ns - *since_ns >= BUSY_MAX_NS)
        return false;
    usleep(BUSY_WAIT_US);
    return true;
}

#endif
