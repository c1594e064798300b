/*
 * How long outputs wait in the output logger, from the packet's arrival to its release: the price
 * of waiting for other threads' logs (G1). Log2 histogram.
 */
#ifndef PALISADE_XDP_HELD_TIME_H
#define PALISADE_XDP_HELD_TIME_H

#include <jansson.h>

#include "core/types.h"

struct held_time;

struct held_time *held_time_create(void); /* NULL: out of memory */
void held_time_destroy(struct held_time *times);

void held_time_arrived(struct held_time *times, uint32_t thread, uint64_t number, int64_t now_ns);
void held_time_released(struct held_time *times, uint32_t thread, uint64_t number, int64_t now_ns);

/* {"count", "p50_ns", "p99_ns", "max_ns", "log2_ns": [...]}; a percentile is its bucket's upper
 * end. */
json_t *held_time_json(const struct held_time *times);

#endif
