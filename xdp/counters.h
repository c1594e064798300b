/*
 * Counters as JSON: for the journal, at the end and at SIGUSR1.
 */
#ifndef PALISADE_XDP_COUNTERS_H
#define PALISADE_XDP_COUNTERS_H

#include <jansson.h>

#include "core/output_log.h"
#include "xsk.h"

json_t *counters_xsk(const struct xsk_counters *xsk);
json_t *counters_output_log(const struct output_log *log);

#endif
