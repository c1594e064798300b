// What replay cannot repeat is named with file, line and advice; what is harmless is not.
// RUN: %clang_pass -O0 %s -c -o %t.o
// RUN: not %palisade report %t.o | FileCheck %s
// RUN: %clang_pass -O2 %s -c -o %t.2.o
// RUN: not %palisade report %t.2.o | FileCheck %s
// RUN: %clang_pass -O0 %s %remarks 2>&1 | FileCheck --check-prefix=REMARK %s
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include <x86intrin.h>

_Atomic int count;
int plain;
void nobody_knows(int);

// CHECK: would be refused: 15 places
// CHECK: What to change
// CHECK-NEXT: unhandled.c: popen()
void atomics(int *at)
{
    // CHECK: unhandled.c:[[@LINE+1]]: atomic add of count
    count++;
    // CHECK: unhandled.c:[[@LINE+1]]: atomic load of count
    int seen = count;
    // CHECK: unhandled.c:[[@LINE+1]]: atomic compare-exchange of count
    atomic_compare_exchange_strong(&count, &seen, 3);
    // CHECK: unhandled.c:[[@LINE+1]]: atomic store
    __atomic_store_n(at, 1, __ATOMIC_RELEASE);
    // CHECK: unhandled.c:[[@LINE+2]]: memory fence
    // CHECK-NEXT: guard it with a pthread mutex
    __sync_synchronize();
    atomic_signal_fence(memory_order_seq_cst);
}

unsigned long long assembly(int *at)
{
    unsigned low, high;
    // CHECK: unhandled.c:[[@LINE+2]]: assembly: rdtsc
    // CHECK-NEXT: use clock_gettime(CLOCK_MONOTONIC)
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    // CHECK: unhandled.c:[[@LINE+1]]: assembly that writes memory: lock incl
    __asm__ volatile("lock incl %0" : "+m"(*at));
    // CHECK: unhandled.c:[[@LINE+1]]: assembly that writes memory: mfence
    __asm__ volatile("mfence" ::: "memory");
    __asm__ volatile("" ::: "memory");
    __asm__ volatile("pause");
    __asm__("bswap %0" : "+r"(low));
    // CHECK: unhandled.c:[[@LINE+1]]: reads the time stamp counter
    return low + __rdtsc();
}

void calls(volatile int *device)
{
    // CHECK: unhandled.c:[[@LINE+3]]: mlockall()
    // CHECK-NEXT: the backup needs head room
    // REMARK: [[@LINE+1]]:{{.*}} remark: call mlockall is not modelled: the backup needs
    mlockall(MCL_CURRENT);
    // CHECK: unhandled.c:[[@LINE+2]]: fork()
    // CHECK-NEXT: a second process cannot be replayed
    if (fork() == 0)
        nobody_knows(plain);
    // CHECK: unhandled.c:[[@LINE+1]]: volatile access through a pointer
    *device = 1;
}

FILE *(*pointer)(const char *, const char *) = popen;

sem_t *semaphore(void)
{
    // CHECK: unhandled.c:[[@LINE+2]]: sem_open()
    // CHECK-NEXT: named semaphores are shared between processes: use sem_init
    return sem_open("/name", 0);
}

// Unused code of headers does not count.
static inline int unused(void) { return system("true"); }
static inline int unused_too(void) { return unused(); }

// CHECK: nobody_knows()
// CHECK-NEXT: compile the unit that defines it with palisade-cc
// CHECK: Shared variables
