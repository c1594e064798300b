// A try of DPDK's kind holds the lock where it returned something else than 0; C11 threads count.
// RUN: %clang_whole -O0 %s %remarks 2>&1 | FileCheck %s
#include <threads.h>

#include "Inputs/rte_spinlock.h"

static rte_spinlock_t lock;
static long taken, missed;

static int worker(void *argument)
{
    (void)argument;
    if (rte_spinlock_trylock(&lock)) {
        // CHECK-NOT: unhandled
        // CHECK: store to taken elided: covered by lock
        taken++;
        rte_spinlock_unlock(&lock);
    } else {
        // CHECK: store to missed logged
        missed++;
    }
    return 0;
}

int main(void)
{
    thrd_t thread;
    for (int i = 0; i < 2; i++)
        thrd_create(&thread, worker, 0);
}
