/* A link's counters as a JSON object: the same words from loggers and NF processes. */
#ifndef PALISADE_LINK_JSON_H
#define PALISADE_LINK_JSON_H

#include <jansson.h>

#include "core/link.h"

/* A new object; the caller owns it. Any thread that may read the counters. */
json_t *link_json(const struct link_counters *link);

#endif
