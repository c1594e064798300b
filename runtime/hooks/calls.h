/* Hooks that other hooks call, as the NF would: prototypes as in libc. */
#ifndef PALISADE_HOOKS_CALLS_H
#define PALISADE_HOOKS_CALLS_H

#include <stdio.h>
#include <time.h>

#include "hooks/memory.h"

int __palisade_clock_gettime(clockid_t clock, struct timespec *time);
int __palisade_close(int fd);
int __palisade_fprintf(FILE *stream, const char *format, ...);
unsigned int __palisade_if_nametoindex(const char *name);

#endif
