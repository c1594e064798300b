/*
 * A log grows in a small ring while another thread replays it: pieces cut anywhere, segments,
 * records across the ring's end, threads that wait for each other's progress. Without Criterion, as
 * log_race.
 */
#ifndef PALISADE_TESTS_STREAM_RACE_H
#define PALISADE_TESTS_STREAM_RACE_H

#include <stdint.h>

/* Aborts when anything differs. */
void stream_race_run(uint64_t seed);

#endif
