/*
 * The analysis of the whole program over the summaries that the pass left of each unit
 * (docs/report.md, "Summary"). It repeats what pass/Flow.cpp and pass/Analysis.cpp do within one
 * unit, with the callers of every function known: what no unit, library or libc calls cannot run.
 */
#ifndef PALISADE_MERGE_H
#define PALISADE_MERGE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum merge_kind {
    MERGE_LOCK,
    MERGE_UNLOCK,
    MERGE_CALL,
    MERGE_START,
    MERGE_USE,
    MERGE_RDLOCK,
    MERGE_FIND
};

#define MERGE_ANY SIZE_MAX           /* any lock; anyone whose address is taken */
#define MERGE_OUTSIDE (SIZE_MAX - 1) /* a function that no unit defines */

struct merge_event {
    enum merge_kind kind;
    size_t what; /* index of a lock, function or variable; FIND: number in its function */
    bool write, is_volatile, is_atomic, block, own, fresh, loop;
    size_t *found, found_count; /* USE: by these FINDs */
    const char *file;
    unsigned line;
};

/*
 * A set of threads or locks: `words` of the merge. In the flow a lock is two bits: HELD at all, and
 * HELD_ALONE, which is what covers a store.
 */
typedef uint64_t *merge_set;

#define HELD(lock) (2 * (lock))
#define HELD_ALONE(lock) (2 * (lock) + 1)

struct merge_state {
    bool reached, threaded; /* another thread may exist */
    merge_set held;
};

struct merge_block {
    struct merge_event *events;
    size_t event_count;
    size_t *next, next_count;
    bool returns, calls_back;
    struct merge_state at;
};

struct merge_function {
    const char *name;
    size_t unit;
    bool external, taken, open; /* open: called by code without a note */
    struct merge_block *blocks;
    size_t block_count;
    merge_set *finds; /* locks held there */
    size_t find_count;
    /* what a call does */
    merge_set unlocks, gains;
    bool unlocks_any, creates, indirect;
    /* who calls */
    struct merge_state entry;
    merge_set threads;
    size_t sites; /* calls in functions that run */
    const struct merge_function *caller;
    bool caller_loops;
};

struct merge_thread {
    size_t function; /* MERGE_ANY: code without a note */
    bool many;
    const char *file;
    unsigned line;
};

struct merge_variable {
    const char *name;
    const char *part;    /* as much of the name as every unit knows: fields without debug
                            information have numbers */
    size_t unit;         /* of a static one; else MERGE_ANY */
    bool heap, open;     /* open: code without a note may access it */
    bool shown;          /* its address goes elsewhere than into accesses */
    const char **begins; /* heap: "(struct NAME)" that the object begins with */
    size_t begin_count;
};

/* An access in a function that runs, with what was found there. */
struct merge_access {
    size_t variable, function;
    const struct merge_event *event;
    bool threaded, guarded;  /* guarded: under a lock of its object's own */
    merge_set held, threads; /* held: a bit a lock that covers this access */
};

struct merge {
    json_t *names;                                        /* owns the strings */
    json_t *lock_index, *variable_index, *function_index; /* key -> index */
    const char **units;                                   /* source files */
    size_t unit_count;
    const char **locks; /* as shown */
    size_t *lock_units; /* of a static one; else MERGE_ANY */
    size_t lock_count;
    struct merge_variable *variables;
    size_t variable_count;
    struct merge_function *functions;
    size_t function_count;
    struct merge_thread *threads; /* the last: code without a note */
    size_t thread_count;
    struct merge_access *accesses;
    size_t access_count;
    size_t words;  /* of a set */
    void **memory; /* everything that merge_free gives back */
    size_t memory_count;
};

/*
 * Reads the summaries of `units` (array of a note's JSON). `exported`: names that shared libraries
 * may use; `open`: there is code without a note, which may use everything that is not static.
 * False when a unit has no summary, or a malformed one. merge_free() in any case. One thread.
 */
bool merge_load(struct merge *out, const json_t *units, const json_t *exported, bool open);
void merge_solve(struct merge *merge);
void merge_free(struct merge *merge);

/* Zeroed memory that merge_free gives back. */
void *merge_memory(struct merge *merge, size_t count, size_t bytes);

merge_set merge_set_new(struct merge *merge);
static inline bool set_has(const uint64_t *set, size_t bit)
{
    return (set[bit / 64] >> bit % 64 & 1) != 0;
}
static inline void set_add(merge_set set, size_t bit)
{
    set[bit / 64] |= UINT64_C(1) << bit % 64;
}
static inline void set_drop(merge_set set, size_t bit)
{
    set[bit / 64] &= ~(UINT64_C(1) << bit % 64);
}

/* ---- what follows for the variables ---- */

struct merge_verdict {
    const char *class_;                /* as in a unit's report */
    size_t lock;                       /* that covers it; MERGE_ANY: none */
    bool meet;                         /* several threads access it */
    bool blind;                        /* written where no hook sees it */
    const struct merge_access *strict; /* one that is atomic or volatile */
    const struct merge_access *bare;   /* an access while threads exist without a lock for it */
    const struct merge_access *locked; /* one under a lock */
};
struct merge_verdict merge_judge(const struct merge *merge, size_t variable);

/*
 * Accesses that no unit logs because it believes in a lock or in its own thread, while another unit
 * accesses the same without that lock: array of {variable, block, sides: [access, access]}.
 */
json_t *merge_disagreements(const struct merge *merge);

#endif
