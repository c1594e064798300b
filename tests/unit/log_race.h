/*
 * One thread appends random records with random predicted gaps, the other takes chunks with random
 * room, decodes and compares. Without Criterion, which does not run under ThreadSanitizer.
 */
#ifndef PALISADE_TESTS_LOG_RACE_H
#define PALISADE_TESTS_LOG_RACE_H

#include <stdint.h>

/* Aborts when anything differs. */
void log_race_run(uint64_t seed);

#endif
