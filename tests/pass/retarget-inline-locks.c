// Locks that a library has as static-inline functions go to hooks though their bodies are there: at
// every level, through pointers, and where one calls another. Their atomics are then nobody's.
// RUN: %clang_pass -O0 %s %ir | FileCheck %s
// RUN: %clang_pass -O2 %s %ir | FileCheck %s
// RUN: %clang_pass -O0 %s %remarks 2>&1 | FileCheck --check-prefix=REMARK --allow-empty %s
// REMARK-NOT: atomic
#include "Inputs/rte_spinlock.h"

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
