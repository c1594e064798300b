/*
 * Locks with the names and the meaning of DPDK's and concurrency kit's static-inline functions, so
 * that the torture needs neither library. What these bodies do is of no matter to an instrumented
 * program: calls go to the hooks.
 */
#ifndef PALISADE_TORTURE_FOREIGN_LOCKS_H
#define PALISADE_TORTURE_FOREIGN_LOCKS_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

static inline void foreign_take(volatile int *word)
{
    while (__sync_lock_test_and_set(word, 1))
        __builtin_ia32_pause();
}

typedef struct {
    volatile int locked;
} rte_spinlock_t;
#define RTE_SPINLOCK_INITIALIZER                                                                   \
    {                                                                                              \
        0                                                                                          \
    }
static inline void rte_spinlock_init(rte_spinlock_t *lock)
{
    lock->locked = 0;
}
static inline void rte_spinlock_lock(rte_spinlock_t *lock)
{
    foreign_take(&lock->locked);
}
static inline void rte_spinlock_unlock(rte_spinlock_t *lock)
{
    __sync_lock_release(&lock->locked);
}
static inline int rte_spinlock_trylock(rte_spinlock_t *lock)
{
    return __sync_lock_test_and_set(&lock->locked, 1) == 0;
}
static inline int rte_spinlock_is_locked(rte_spinlock_t *lock)
{
    return lock->locked;
}

typedef struct {
    rte_spinlock_t sl;
    volatile int user, count;
} rte_spinlock_recursive_t;
#define RTE_SPINLOCK_RECURSIVE_INITIALIZER                                                         \
    {                                                                                              \
        RTE_SPINLOCK_INITIALIZER, -1, 0                                                            \
    }
static inline void rte_spinlock_recursive_lock(rte_spinlock_recursive_t *lock)
{
    rte_spinlock_lock(&lock->sl);
}
static inline int rte_spinlock_recursive_trylock(rte_spinlock_recursive_t *lock)
{
    return rte_spinlock_trylock(&lock->sl);
}
static inline void rte_spinlock_recursive_unlock(rte_spinlock_recursive_t *lock)
{
    rte_spinlock_unlock(&lock->sl);
}

typedef struct {
    uint16_t current, next;
} rte_ticketlock_t;
static inline void rte_ticketlock_init(rte_ticketlock_t *lock)
{
    lock->current = lock->next = 0;
}
static inline void rte_ticketlock_lock(rte_ticketlock_t *lock)
{
    uint16_t me = __sync_fetch_and_add(&lock->next, 1);
    while (*(volatile uint16_t *)&lock->current != me)
        __builtin_ia32_pause();
}
static inline void rte_ticketlock_unlock(rte_ticketlock_t *lock)
{
    __sync_fetch_and_add(&lock->current, 1);
}
static inline int rte_ticketlock_trylock(rte_ticketlock_t *lock)
{
    rte_ticketlock_lock(lock);
    return 1;
}

typedef struct {
    volatile int32_t cnt;
} rte_rwlock_t;
static inline void rte_rwlock_init(rte_rwlock_t *lock)
{
    lock->cnt = 0;
}
static inline int rte_rwlock_read_trylock(rte_rwlock_t *lock)
{
    int32_t now = lock->cnt;
    return now >= 0 && __sync_bool_compare_and_swap(&lock->cnt, now, now + 1) ? 0 : -EBUSY;
}
static inline int rte_rwlock_write_trylock(rte_rwlock_t *lock)
{
    return __sync_bool_compare_and_swap(&lock->cnt, 0, -1) ? 0 : -EBUSY;
}
static inline void rte_rwlock_read_lock(rte_rwlock_t *lock)
{
    while (rte_rwlock_read_trylock(lock))
        __builtin_ia32_pause();
}
static inline void rte_rwlock_write_lock(rte_rwlock_t *lock)
{
    while (rte_rwlock_write_trylock(lock))
        __builtin_ia32_pause();
}
static inline void rte_rwlock_read_unlock(rte_rwlock_t *lock)
{
    __sync_fetch_and_sub(&lock->cnt, 1);
}
static inline void rte_rwlock_write_unlock(rte_rwlock_t *lock)
{
    lock->cnt = 0;
}

struct ck_spinlock_fas {
    volatile int value;
};
typedef struct ck_spinlock_fas ck_spinlock_fas_t;
static inline void ck_spinlock_fas_init(ck_spinlock_fas_t *lock)
{
    lock->value = 0;
}
static inline void ck_spinlock_fas_lock(ck_spinlock_fas_t *lock)
{
    foreign_take(&lock->value);
}
static inline bool ck_spinlock_fas_trylock(ck_spinlock_fas_t *lock)
{
    return __sync_lock_test_and_set(&lock->value, 1) == 0;
}
static inline void ck_spinlock_fas_unlock(ck_spinlock_fas_t *lock)
{
    __sync_lock_release(&lock->value);
}

#endif
