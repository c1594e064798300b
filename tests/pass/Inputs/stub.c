/* A runtime that only passes on: proves that retargeted programs compute what they did before. */
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static unsigned loads, stores, atomics, calls;

int __palisade_start(int argc, char **argv, char **envp, int (*nf_main)(int, char **, char **),
                     uint32_t abi)
{
    int status = nf_main(argc, argv, envp);
    fflush(stdout);
    fprintf(stderr, "stub: abi %u, loads %u, stores %u, %s, atomics %u\n", abi, loads, stores,
            calls ? "called" : "never called", atomics);
    return status;
}

void __palisade_constructors(const void *first, const void *end, const void *first_destructor,
                             const void *end_destructor, int argc, char **argv, char **envp)
{
    const struct {
        int64_t priority;
        void (*function)(int, char **, char **);
    } *at = first;
    (void)first_destructor, (void)end_destructor;
    for (; at != end; at++)
        at->function(argc, argv, envp);
}
/* One lock for all: the stub's plain loads and stores are only raced for where no test looks. */
static pthread_mutex_t words = PTHREAD_MUTEX_INITIALIZER;

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
    }                                                                                              \
    type __palisade_mixed##bytes(const type *address)                                              \
    {                                                                                              \
        return __palisade_load##bytes(address);                                                    \
    }                                                                                              \
    type __palisade_cas##bytes(type *address, type expected, type desired)                         \
    {                                                                                              \
        type old;                                                                                  \
        pthread_mutex_lock(&words);                                                                \
        atomics++;                                                                                 \
        old = *address;                                                                            \
        if (old == expected)                                                                       \
            *address = desired;                                                                    \
        pthread_mutex_unlock(&words);                                                              \
        return old;                                                                                \
    }                                                                                              \
    type __palisade_rmw##bytes(type *address, type operand, uint32_t operation)                    \
    {                                                                                              \
        type old, top = (type)1 << (bytes * 8 - 1);                                                \
        pthread_mutex_lock(&words);                                                                \
        atomics++;                                                                                 \
        old = *address;                                                                            \
        switch (operation) { /* enum palisade_rmw of runtime/abi.h */                              \
        case 0:                                                                                    \
            *address = operand;                                                                    \
            break;                                                                                 \
        case 1:                                                                                    \
            *address = old + operand;                                                              \
            break;                                                                                 \
        case 2:                                                                                    \
            *address = old - operand;                                                              \
            break;                                                                                 \
        case 3:                                                                                    \
            *address = old & operand;                                                              \
            break;                                                                                 \
        case 4:                                                                                    \
            *address = ~(old & operand);                                                           \
            break;                                                                                 \
        case 5:                                                                                    \
            *address = old | operand;                                                              \
            break;                                                                                 \
        case 6:                                                                                    \
            *address = old ^ operand;                                                              \
            break;                                                                                 \
        case 7:                                                                                    \
            *address = (type)(old ^ top) > (type)(operand ^ top) ? old : operand;                  \
            break;                                                                                 \
        case 8:                                                                                    \
            *address = (type)(old ^ top) < (type)(operand ^ top) ? old : operand;                  \
            break;                                                                                 \
        case 9:                                                                                    \
            *address = old > operand ? old : operand;                                              \
            break;                                                                                 \
        case 10:                                                                                   \
            *address = old < operand ? old : operand;                                              \
            break;                                                                                 \
        default:                                                                                   \
            abort();                                                                               \
        }                                                                                          \
        pthread_mutex_unlock(&words);                                                              \
        return old;                                                                                \
    }
HOOKS(1, uint8_t)
HOOKS(2, uint16_t)
HOOKS(4, uint32_t)
HOOKS(8, uint64_t)
HOOKS(16, unsigned __int128)

uint64_t __palisade_rdtsc(void)
{
    return 0x0000000500000007;
}
uint64_t __palisade_rdrand(void)
{
    return 0x1122334455667788;
}

int __palisade_pthread_rwlock_rdlock(pthread_rwlock_t *lock)
{
    return pthread_rwlock_rdlock(lock);
}

int __palisade_pthread_rwlock_unlock(pthread_rwlock_t *lock)
{
    return pthread_rwlock_unlock(lock);
}

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
