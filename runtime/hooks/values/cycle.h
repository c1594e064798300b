/* The time stamp counter across a takeover. */
#ifndef PALISADE_HOOKS_CYCLE_H
#define PALISADE_HOOKS_CYCLE_H

/* At a snapshot barrier: no successor may show less than now. I/O thread. */
void cycle_floor(void);
/* At go-live: shift the counter when it is behind what was seen. I/O thread. */
void cycle_go_live(void);

#endif
