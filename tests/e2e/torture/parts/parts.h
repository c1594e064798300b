/*
 * parts: tortured as a program of several units and a library. build.sh builds it each unit for
 * itself (parts), with a plan (parts-plan) and by LTO (parts-lto). What a unit alone has to log:
 *
 *   ledger           in three units, under the library's lock, which they take by its functions
 *   marks            of the lan thread alone, written by the library
 *   limits           set by main before the threads
 *   clock_us, turns  without a lock, written by one thread, and by two: logged in any case
 */
#ifndef PALISADE_TORTURE_PARTS_H
#define PALISADE_TORTURE_PARTS_H

#include "../answers.h"

#define ENTRIES 8

struct ledger {
    uint64_t entries[ENTRIES], total;
};

extern struct ledger ledger;
extern uint64_t marks[ENTRIES], limits[ENTRIES], clock_us, turns;

void *serve_lan(void *lan); /* lanes.c */
void *serve_wan(void *wan);
void *tell_time(void *nothing); /* ticks.c */

/* libledger.a */
void ledger_take(void);
void ledger_give(void);
uint64_t ledger_add(uint64_t number); /* between the two */
uint64_t marks_set(uint64_t number);

#endif
