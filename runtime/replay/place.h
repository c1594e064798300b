/*
 * Places in the program, for a person to read: from a site (core/event.h) to function, file and
 * line, by the program's own debug information. Slow; for what is said once, before the end.
 */
#ifndef PALISADE_PLACE_H
#define PALISADE_PLACE_H

#include <stddef.h>
#include <stdint.h>

struct place {
    uint32_t site;     /* the question */
    uint64_t address;  /* of the call; 0: the site lies in nothing that is loaded */
    char object[64];   /* program or library, without its folder */
    char function[64]; /* "": not known */
    char file[128];    /* "": not known, and no line */
    int line;
};

/*
 * Fills the rest. Lines are found by libdw (of elfutils), which is loaded now, and not needed
 * before; without it, or without debug information, address and object are all. Any thread: the
 * work is done by one of its own, with a stack of libc's.
 */
void places_find(struct place *places, size_t count);

/* "nf.c:42 (forward)", or as much as is known. Returns `out`. */
const char *place_text(const struct place *place, char *out, size_t length);

#endif
