/*
 * The malloc family: the NF's blocks come from the heap in the image (heap/heap.h). What crosses
 * threads inside the heap goes through one ordered lock, so addresses replay. Blocks that libc
 * handed out itself (getline, ...) are given back to libc.
 */
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "abi_internal.h"
#include "check/check.h"
#include "heap/heap.h"
#include "hooks/sharing/lock.h"
#include "hooks/threads/thread.h"

static void order_lock(void *context, uint32_t thread)
{
    (void)context;
    ordered_lock(&IMAGE->threads[thread], &IMAGE->heap_lock);
}

static void order_unlock(void *context, uint32_t thread)
{
    (void)context;
    (void)thread;
    ordered_unlock(&IMAGE->heap_lock);
}

static const struct heap_order order = {.lock = order_lock, .unlock = order_unlock};

/* Who touched the first `kept` bytes is still true. */
static void *fresh(void *block, size_t kept)
{
    if (block && checking()) {
        size_t bytes = heap_usable_size(process.heap, block);
        if (bytes > kept)
            check_memory((uint8_t *)block + kept, bytes - kept);
    }
    return block;
}

static void *result(void *block)
{
    if (block == NULL)
        errno = ENOMEM;
    return fresh(block, 0);
}

static bool foreign(const void *block)
{
    return process.heap == NULL || !heap_owns(process.heap, block);
}

HOOK void *__palisade_malloc(size_t size)
{
    SITE_HERE();
    if (nf_self == NULL)
        return malloc(size);
    return result(heap_alloc(process.heap, nf_self->core.index, size, &order));
}

HOOK void *__palisade_calloc(size_t count, size_t size)
{
    SITE_HERE();
    if (nf_self == NULL)
        return calloc(count, size);
    return result(heap_calloc(process.heap, nf_self->core.index, count, size, &order));
}

HOOK void __palisade_free(void *block)
{
    SITE_HERE();
    if (block == NULL)
        return;
    if (nf_self == NULL || foreign(block)) {
        free(block);
        return;
    }
    int saved = errno;
    heap_free(process.heap, nf_self->core.index, block, &order);
    errno = saved;
}

HOOK void *__palisade_realloc(void *block, size_t size)
{
    SITE_HERE();
    if (nf_self == NULL || (block && foreign(block)))
        return realloc(block, size);
    size_t kept = block && checking() ? heap_usable_size(process.heap, block) : 0;
    void *moved = heap_realloc(process.heap, nf_self->core.index, block, size, &order);
    if (moved == NULL || moved != block)
        return result(moved);
    return fresh(moved, kept);
}

HOOK void *__palisade_reallocarray(void *block, size_t count, size_t size)
{
    SITE_HERE();
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes))
        return result(NULL);
    return __palisade_realloc(block, bytes);
}

HOOK void *__palisade_aligned_alloc(size_t alignment, size_t size)
{
    SITE_HERE();
    if (nf_self == NULL)
        return aligned_alloc(alignment, size);
    return result(heap_alloc_aligned(process.heap, nf_self->core.index, alignment, size, &order));
}

HOOK int __palisade_posix_memalign(void **out, size_t alignment, size_t size)
{
    SITE_HERE();
    if (nf_self == NULL)
        return posix_memalign(out, alignment, size);
    if (alignment < sizeof(void *) || (alignment & (alignment - 1)))
        return EINVAL;
    void *block = heap_alloc_aligned(process.heap, nf_self->core.index, alignment, size, &order);
    if (block == NULL)
        return ENOMEM;
    *out = fresh(block, 0);
    return 0;
}

HOOK void *__palisade_valloc(size_t size)
{
    SITE_HERE();
    return nf_self ? __palisade_aligned_alloc(4096, size) : valloc(size);
}

HOOK void *__palisade_pvalloc(size_t size)
{
    SITE_HERE();
    return nf_self ? __palisade_aligned_alloc(4096, (size + 4095) & ~4095ul) : pvalloc(size);
}

HOOK size_t __palisade_malloc_usable_size(void *block)
{
    if (block == NULL)
        return 0;
    return nf_self && !foreign(block) ? heap_usable_size(process.heap, block)
                                      : malloc_usable_size(block);
}

HOOK char *__palisade_strndup(const char *text, size_t limit)
{
    SITE_HERE();
    size_t length = strnlen(text, limit);
    char *copy = __palisade_malloc(length + 1);
    if (copy) {
        memcpy(copy, text, length);
        copy[length] = '\0';
    }
    return copy;
}

HOOK char *__palisade_strdup(const char *text)
{
    SITE_HERE();
    return __palisade_strndup(text, strlen(text));
}

void memory_thread_exit(struct nf_thread *thread)
{
    heap_thread_exit(process.heap, thread->core.index, &order);
}
