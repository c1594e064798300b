/*
 * What happened before what, as vector clocks: seen[t] of a thread is how far thread t had come
 * when the last event was released that this thread knows of, by whatever chain. Events release
 * and acquire at an object: a lock, a word, a thread that ends.
 *
 * Objects share clocks by a hash of their address. Two that do seem ordered where they are not,
 * which hides something now and then, and never accuses anybody.
 */
#ifndef PALISADE_CHECK_CLOCKS_H
#define PALISADE_CHECK_CLOCKS_H

#include "core/types.h"

/* Nothing has happened yet. While no other function here runs. */
void clocks_begin(void);

/* All by the thread itself, or by its creator before it runs. */
uint64_t clock_now(uint32_t thread); /* from 1; one more after each release */
const uint64_t *clock_seen(uint32_t thread);
void clock_release(uint32_t thread, uint64_t object);
void clock_acquire(uint32_t thread, uint64_t object);
/* `child` knows what `parent` knows now. */
void clock_born(uint32_t parent, uint32_t child);

#endif
