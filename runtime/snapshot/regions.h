/*
 * What memory a snapshot consists of: tables, used heap, live stacks, the program's own writable
 * segments. Found anew at each barrier, in the same order in master and backup.
 */
#ifndef PALISADE_SNAPSHOT_REGIONS_H
#define PALISADE_SNAPSHOT_REGIONS_H

#include "process.h"

struct region {
    uint64_t start, end; /* whole pages */
};

/* Reads the program's segments and the exceptions in them; once, at start. */
void regions_init(void);
/* From the first to behind the last writable byte of the program, whole pages. */
struct region regions_program(void);
/* At a barrier; returns how many (at most `room`). Fails the process when there are more. */
uint32_t regions_collect(struct region *out, uint32_t room);

/*
 * Writes a page of an image into place, sparing what belongs to this process: objects that the
 * linker copied out of libc (stdout, environ ...) and relocated read-only data.
 */
void regions_apply_page(uint64_t address, const uint8_t *bytes);

/* The program's thread-local variables between a TCB and the image. Barrier; restore. */
void regions_tls_gather(uint32_t thread, const uint8_t *tcb);
void regions_tls_restore(uint32_t thread, uint8_t *tcb);

#endif
