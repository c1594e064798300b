/*
 * The journal of a daemon: JSON lines, each with "t_ns" (CLOCK_MONOTONIC) and "event", flushed line
 * by line so that it tells what happened up to a crash.
 */
#ifndef PALISADE_XDP_JOURNAL_H
#define PALISADE_XDP_JOURNAL_H

#include <jansson.h>

#include "core/status.h"

struct journal;

/* `path` NULL: everything is thrown away. `why` (256 bytes): STATUS_DISK, STATUS_MEMORY. */
enum status journal_open(struct journal **journal, const char *path, char *why);
void journal_close(struct journal *journal);

/* Further fields by a json_pack object format, e.g. "{s:I}", "number", (json_int_t)n. */
void journal_event(struct journal *journal, const char *event, const char *format, ...);
/* The same for a finished object, which is taken over. */
void journal_object(struct journal *journal, const char *event, json_t *fields);

#endif
