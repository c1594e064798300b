/* Waiting for room, as a JSON object: {"times", "ns"}, the present wait included. */
#ifndef PALISADE_STALL_JSON_H
#define PALISADE_STALL_JSON_H

#include <jansson.h>

#include "core/stall.h"

/* A new object; the caller owns it. Any thread. */
json_t *stall_json(const struct stall *stall, int64_t now_ns);

#endif
