/*
 * Named fault points: places where a process kills itself, as kill -9 would, when its environment
 * says so: PALISADE_OPTIONS=fault=NAME, or fault=NAME@N for the N-th time it comes by. Nothing is
 * flushed and nobody is told; the journal has a line {"event": "fault", "name": NAME}.
 *
 * The list is fault.def. What belongs to another kind of process is ignored, so that one choice may
 * be set for all. A point is one compare of a variable that never changes: for paths that are
 * taken once a message or a snapshot, not for each packet.
 */
#ifndef PALISADE_FAULT_H
#define PALISADE_FAULT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "core/status.h"

struct journal;

enum fault {
    FAULT_NONE,
#define FAULT(name, who, what) FAULT_##name,
#include "fault.def"
#undef FAULT
    FAULT_COUNT
};

/* The program that a process runs. */
enum fault_program { FAULT_IN_NF, FAULT_IN_OL, FAULT_IN_IL };

struct fault_choice {
    enum fault fault;
    uint32_t passage; /* 1: the first */
};

#define FAULT_NAME_BYTES 32u
#define FAULT_WHY_BYTES 512u

/* The name as people write it. */
void fault_name(enum fault fault, char name[FAULT_NAME_BYTES]);
/* "NAME" or "NAME@N". STATUS_OK, or STATUS_USAGE with one sentence in `why`. */
enum status fault_parse(const char *text, struct fault_choice *choice, char *why);
/* A program that has a command line of its own: PALISADE_OPTIONS, of which it knows `fault` only.
 * STATUS_OK also for fault=help, then with *help. */
enum status fault_parse_options(const char *options, struct fault_choice *choice, bool *help,
                                char *why);
void fault_print_help(FILE *stream);

/* Before the first point. `journal` must live as long as the process. */
void fault_arm(const struct fault_choice *choice, enum fault_program program,
               struct journal *journal);

extern enum fault fault_armed;
void fault_passed(void);

/* Any thread. */
static inline void fault_point(enum fault fault)
{
    if (__builtin_expect(fault == fault_armed, 0))
        fault_passed();
}

#endif
