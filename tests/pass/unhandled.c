// What replay cannot repeat is named with file, line and advice; what is harmless is not.
// RUN: %clang_pass -O0 %s -c -o %t.o
// RUN: not %palisade report %t.o | FileCheck %s
// RUN: %clang_pass -O2 %s -c -o %t.2.o
// RUN: not %palisade report %t.2.o | FileCheck %s
// RUN: %clang_pass -O0 %s %remarks 2>&1 | FileCheck --check-prefix=REMARK %s
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <x86intrin.h>

_Atomic float real;
long double *odd;
int plain;
void nobody_knows(int);

// CHECK: would be refused: 8 places
// CHECK: What to change
// CHECK-NEXT: unhandled.c: fmemopen()
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
    // CHECK: unhandled.c:[[@LINE+3]]: fgetpos()
    // CHECK-NEXT: not modelled: use fopen
    // REMARK: [[@LINE+1]]:{{.*}} remark: call fgetpos is not modelled: not modelled: use fopen
    fgetpos(stdin, NULL);
    // CHECK: unhandled.c:[[@LINE+2]]: tmpfile()
    // CHECK-NEXT: a file without a name cannot be found again
    if (tmpfile())
        nobody_knows(plain);
    *device = 1;
}

FILE *(*pointer)(void *, size_t, const char *) = fmemopen;

// Unused code of headers does not count.
static inline FILE *unused(void) { return tmpfile(); }
static inline FILE *unused_too(void) { return unused(); }

// CHECK: nobody_knows()
// CHECK-NEXT: compile the unit that defines it with palisade-cc
// CHECK: Shared variables
