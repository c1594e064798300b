/* Hooks that other hooks call, as the NF would: prototypes as in libc. */
#ifndef PALISADE_HOOKS_CALLS_H
#define PALISADE_HOOKS_CALLS_H

#include <stddef.h>
#include <stdio.h>
#include <time.h>

void *__palisade_malloc(size_t size);
void *__palisade_calloc(size_t count, size_t size);
void __palisade_free(void *block);
char *__palisade_strdup(const char *text);
int __palisade_clock_gettime(clockid_t clock, struct timespec *time);
int __palisade_close(int fd);
int __palisade_fprintf(FILE *stream, const char *format, ...);
unsigned int __palisade_if_nametoindex(const char *name);

#endif
