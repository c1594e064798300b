/* Clocks across a takeover. */
#ifndef PALISADE_HOOKS_VALUE_H
#define PALISADE_HOOKS_VALUE_H

#include "process.h"

/* The NF has seen this reading in replay. NF threads. */
void value_clock_seen(uint32_t slot, int64_t ns);
/* At a snapshot barrier: no clock of a successor may show less than now. I/O thread. */
void value_clocks_floor(void);
/* At go-live: shift clocks that are behind what was seen. I/O thread. */
void value_clocks_go_live(void);

#endif
