/*
 * The journal: one JSON object per line and event, for people and tests to read afterwards:
 * {"t_ns": CLOCK_MONOTONIC, "event": "...", ...}. Rare events only: a call allocates and makes a
 * system call.
 *
 * A line goes out by one write to a file opened for appending: threads and processes may share it
 * without a lock, and what happened up to a crash is there.
 */
#ifndef PALISADE_JOURNAL_H
#define PALISADE_JOURNAL_H

#include <jansson.h>

#include "core/status.h"

struct journal;

/*
 * `path` NULL or empty: everything is thrown away. STATUS_OK, or STATUS_DISK, STATUS_MEMORY with
 * one sentence in `why` (256 bytes).
 */
enum status journal_open(struct journal **journal, const char *path, char *why);
/* No thread may use it any more. NULL is allowed. */
void journal_close(struct journal *journal);

/* Any thread. Further fields by a json_pack object format, e.g. "{s:I}", "number", (json_int_t)n.
 */
void journal_event(struct journal *journal, const char *event, const char *format, ...);
/* Any thread. The same for a finished object, which is taken over. */
void journal_object(struct journal *journal, const char *event, json_t *fields);

#endif
