/* A test-and-test-and-set lock for a few instructions. Who waits long lets others run. */
#ifndef SPINLOCK_H
#define SPINLOCK_H

#include <sched.h>
#include <stdatomic.h>

#define SPINS_MAX 100

struct spinlock {
    atomic_int held;
};

static inline void spin_lock(struct spinlock *lock)
{
    while (atomic_exchange_explicit(&lock->held, 1, memory_order_acquire) != 0) {
        for (unsigned spins = 0; atomic_load_explicit(&lock->held, memory_order_relaxed) != 0;) {
            __builtin_ia32_pause();
            if (++spins == SPINS_MAX) {
                sched_yield();
                spins = 0;
            }
        }
    }
}

static inline void spin_unlock(struct spinlock *lock)
{
    atomic_store_explicit(&lock->held, 0, memory_order_release);
}

#endif
