/*
 * The notes the pass leaves in a program: one per translation unit. Layout: docs/report.md, "Note".
 * The runtime reads them from its own process, `palisade report` from a file; both by this code,
 * which allocates nothing and reads no JSON.
 */
#ifndef PALISADE_NOTE_H
#define PALISADE_NOTE_H

#include "abi.h"

#include <stddef.h>

struct note {
    struct palisade_note_head head;
    const char *json;      /* head.json_bytes bytes, then a NUL */
    const char *defines;   /* functions the unit defines: NUL-terminated names, "" ends the list */
    const char *externals; /* functions without a row that the unit calls; the same form */
    const char *plan;      /* identity of the plan it was compiled with; "": none */
};

/* Returns 0 to go on; anything else stops the iteration and is returned by it. */
typedef int (*note_callback)(const struct note *note, void *context);

/*
 * Calls back for every note of ours among the ELF notes at [bytes, bytes + length). A note of
 * another format is called back with its head alone, the pointers NULL. Returns what the
 * callback returned, 0 at the end, -EBADMSG when the bytes are malformed. Any thread.
 */
int notes_read(const void *bytes, size_t length, note_callback callback, void *context);

/* The same over the running program's notes (not those of its libraries). Any thread. */
int notes_each(note_callback callback, void *context);

/* What stands in the way of running the program under Palisade (G8). */
struct notes_total {
    uint32_t units;
    uint32_t foreign;       /* notes of another format, or units built for another ABI */
    uint32_t unhandled;     /* items the units report */
    uint32_t missing;       /* external functions that no unit of the program defines */
    uint32_t planless;      /* units compiled without the plan of the first one, or with another */
    const char *first_plan; /* NULL before the first unit */
    const char *first_missing; /* the name of one; NULL when missing is 0 */
};
/* Sums the running program's notes. 0, or -EBADMSG when a note is malformed. Any thread. */
int notes_total(struct notes_total *out);

#endif
