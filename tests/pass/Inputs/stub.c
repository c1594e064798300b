/* A runtime that only passes on: proves that retargeted programs compute what they did before. */
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static unsigned loads, stores, calls;

int __palisade_start(int argc, char **argv, char **envp, int (*nf_main)(int, char **, char **),
                     uint32_t abi)
{
    int status = nf_main(argc, argv, envp);
    fflush(stdout);
    fprintf(stderr, "stub: abi %u, loads %u, stores %u, %s\n", abi, loads, stores,
            calls ? "called" : "never called");
    return status;
}

#define HOOKS(bytes, type)                                                                         \
    type __palisade_load##bytes(const type *address)                                               \
    {                                                                                              \
        __atomic_add_fetch(&loads, 1, __ATOMIC_RELAXED);                                           \
        return *address;                                                                           \
    }                                                                                              \
    void __palisade_store##bytes(type *address, type value)                                        \
    {                                                                                              \
        __atomic_add_fetch(&stores, 1, __ATOMIC_RELAXED);                                          \
        *address = value;                                                                          \
    }
HOOKS(1, uint8_t)
HOOKS(2, uint16_t)
HOOKS(4, uint32_t)
HOOKS(8, uint64_t)

int __palisade_pthread_mutex_lock(pthread_mutex_t *mutex)
{
    __atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED);
    return pthread_mutex_lock(mutex);
}
int __palisade_pthread_mutex_unlock(pthread_mutex_t *mutex)
{
    return pthread_mutex_unlock(mutex);
}
int __palisade_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                              void *(*start)(void *), void *argument)
{
    return pthread_create(thread, attributes, start, argument);
}
int __palisade_pthread_join(pthread_t thread, void **result)
{
    return pthread_join(thread, result);
}
void *__palisade_calloc(size_t count, size_t bytes)
{
    return calloc(count, bytes);
}
int __palisade_printf(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int count = vprintf(format, arguments);
    va_end(arguments);
    return count;
}
int __palisade_puts(const char *text)
{
    return puts(text);
}
