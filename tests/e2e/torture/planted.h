/*
 * What no log holds, for diverge.c: compiled without Palisade, and called pure by diverge.model,
 * which is a lie.
 */
#ifndef PALISADE_TORTURE_PLANTED_H
#define PALISADE_TORTURE_PLANTED_H

#include <stdint.h>

uint64_t planted_random(void);
/* $PALISADE_PLANTED of the process: another in the backup, as if its memory were. */
uint64_t planted_constant(void);
/* Does not return in the backup. */
void planted_stand(void);
/* One for all threads. */
void planted_count(void);
uint64_t planted_counted(void);

#endif
