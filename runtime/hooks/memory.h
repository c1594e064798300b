/* The NF's heap, for hooks that return memory to the program. */
#ifndef PALISADE_HOOKS_MEMORY_H
#define PALISADE_HOOKS_MEMORY_H

#include <stddef.h>

void *__palisade_malloc(size_t size);
void *__palisade_calloc(size_t count, size_t size);
void *__palisade_realloc(void *block, size_t size);
void *__palisade_aligned_alloc(size_t alignment, size_t size);
void __palisade_free(void *block);
char *__palisade_strdup(const char *text);

#endif
