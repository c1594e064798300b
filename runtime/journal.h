/*
 * The journal: one JSON object per line and event, for people and tests to read afterwards:
 * {"t_ns": CLOCK_MONOTONIC, "event": "...", key: number or text, ...}. Rare events only: a call
 * allocates and makes a system call.
 */
#ifndef PALISADE_JOURNAL_H
#define PALISADE_JOURNAL_H

#include <stddef.h>
#include <stdint.h>

struct journal_field {
    const char *key;  /* NULL ends a list */
    int64_t number;   /* unless there is text */
    const char *text; /* NULL: a number */
};

/* A line goes out by one write to a file opened for appending: threads and processes may share it
 * without a lock, and nothing is lost when the process dies. */
struct journal {
    int fd; /* -1: no journal */
};

/* `path` NULL or empty: every later call does nothing. 0 or negative errno. */
int journal_open(struct journal *journal, const char *path);
void journal_close(struct journal *journal);

/* `fields` ends with a NULL key, or is NULL. Any thread. 0 or negative errno. */
int journal_event(const struct journal *journal, const char *event,
                  const struct journal_field *fields);

/* JOURNAL(&journal, "go_live", JOURNAL_NUMBER("epoch", 3), JOURNAL_TEXT("standby", "cold")) */
#define JOURNAL(journal, event, ...)                                                               \
    journal_event(                                                                                 \
        journal, event,                                                                            \
        (const struct journal_field[]){__VA_ARGS__ __VA_OPT__(, ) JOURNAL_NUMBER(NULL, 0)})
#define JOURNAL_NUMBER(k, n) ((struct journal_field){.key = (k), .number = (int64_t)(n)})
#define JOURNAL_TEXT(k, t) ((struct journal_field){.key = (k), .text = (t)})

#endif
