// Locks that a library has as static-inline functions go to hooks though their bodies are there: at
// every level, through pointers, and where one calls another. Their atomics are then nobody's.
// RUN: %clang_pass -O0 %s %ir | FileCheck %s
// RUN: %clang_pass -O2 %s %ir | FileCheck %s
// RUN: %clang_pass -O0 %s %remarks 2>&1 | FileCheck --check-prefix=REMARK --allow-empty %s
// REMARK-NOT: atomic
typedef struct {
    volatile int locked;
} rte_spinlock_t;
static inline void rte_spinlock_lock(rte_spinlock_t *lock)
{
    while (__atomic_exchange_n(&lock->locked, 1, __ATOMIC_ACQUIRE))
        ;
}
static inline void rte_spinlock_unlock(rte_spinlock_t *lock)
{
    __atomic_store_n(&lock->locked, 0, __ATOMIC_RELEASE);
}
static inline __attribute__((always_inline)) _Bool rte_spinlock_trylock(rte_spinlock_t *lock)
{
    return !__atomic_exchange_n(&lock->locked, 1, __ATOMIC_ACQUIRE);
}
inline void rte_spinlock_lock_tm(rte_spinlock_t *lock) { rte_spinlock_lock(lock); }
// A body that only looks like one of DPDK's; its name has no row.
static inline int rte_spinlock_count(const int *count) { return *count; }

// CHECK-LABEL: define {{.*}}@use(
int use(rte_spinlock_t *lock, const int *count)
{
    // CHECK: call {{.*}}@__palisade_word_lock(
    rte_spinlock_lock(lock);
    // CHECK: call {{.*}}@__palisade_word_unlock(
    rte_spinlock_unlock(lock);
    // CHECK: call {{.*}}@__palisade_word_take(
    if (rte_spinlock_trylock(lock))
        // CHECK: call {{.*}}@__palisade_word_unlock(
        rte_spinlock_unlock(lock);
    // CHECK: call {{.*}}@__palisade_word_lock(
    rte_spinlock_lock_tm(lock);
    // CHECK-NOT: __palisade_rte
    return rte_spinlock_count(count);
}
void (*table[])(rte_spinlock_t *) = {rte_spinlock_unlock};
// CHECK-NOT: atomicrmw
