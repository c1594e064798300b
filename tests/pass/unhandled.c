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

_Atomic float real;
long double *odd;
int plain;
void nobody_knows(int);

// CHECK: would be refused: 9 places
// CHECK: What to change
// CHECK-NEXT: unhandled.c: popen()
struct __attribute__((packed)) crooked {
    char byte;
    int word;
};

void words(volatile struct crooked *at)
{
    // CHECK: unhandled.c:[[@LINE+1]]: volatile access that may not be aligned
    at->word = 1;
    // CHECK: unhandled.c:[[@LINE+2]]: volatile access of a type that is no word
    // CHECK-NEXT: use aligned integers
    *(volatile long double *)odd = 1;
    volatile long double own = 1; // nobody else's
    __atomic_store_n(&plain, own > 0, __ATOMIC_RELEASE);
    __sync_synchronize();
}

unsigned long long assembly(int *at)
{
    unsigned low, high;
    // CHECK: unhandled.c:[[@LINE+2]]: assembly: cpuid rdtsc
    // CHECK-NEXT: use clock_gettime(CLOCK_MONOTONIC)
    __asm__ volatile("cpuid\nrdtsc" : "=a"(low), "=d"(high) : : "ebx", "ecx");
    // CHECK: unhandled.c:[[@LINE+1]]: assembly that writes memory: lock incl
    __asm__ volatile("lock incl %0" : "+m"(*at));
    __asm__("bswap %0" : "+r"(low));
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
