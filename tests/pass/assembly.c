// Assembly that a thread does alone stays; the time stamp counter becomes a hook in all its forms.
// RUN: %clang_whole -O0 -mrdrnd %s %ir | FileCheck %s
// RUN: %clang -shared -fPIC %inputs/stub.c -o %t.so -pthread
// RUN: %clang_whole -O2 -mrdrnd %s -no-pie %t.so -o %t.run -Wl,-rpath,/ && %t.run | FileCheck --check-prefix=OUT %s
// OUT: 7 5 7 0 21474836487 21474836487 0 1 1122334455667788
#include <stdio.h>
#include <x86intrin.h>

static void harmless(void)
{
    __asm__ volatile("" ::: "memory");
    __asm__ volatile("mfence" ::: "memory");
    __asm__ volatile("lfence" ::: "memory");
    __asm__ volatile("sfence" ::: "memory");
    __asm__ volatile("rep; nop" ::: "memory");
    __asm__ volatile("lock; addl $0, -128(%%rsp); " ::: "memory");
    __asm__ volatile("prefetcht0 (%0)" : : "r"(stdout));
    _mm_pause();
    _mm_mfence();
}

// CHECK-LABEL: define {{.*}}@__palisade_nf_main(
int main(void)
{
    unsigned low, high, low2, high2, cpu, number = 9;
    unsigned long long joined, wide = 0;
    harmless();
    // CHECK-NOT: asm{{.*}}rdtsc
    // CHECK: call i64 @__palisade_rdtsc()
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    // CHECK: call i64 @__palisade_rdtsc()
    __asm__ volatile("rdtscp" : "=a"(low2), "=d"(high2), "=c"(cpu));
    // CHECK: call i64 @__palisade_rdtsc()
    __asm__ volatile("lfence\n\trdtsc\n\tshl $32, %%rdx\n\tor %%rdx, %0"
                     : "=a"(joined)
                     :
                     : "rdx", "memory");
    // CHECK: call i64 @__palisade_rdtsc()
    unsigned long long cycles = __rdtscp(&number);
    // CHECK: call i64 @__palisade_rdrand()
    int done = _rdrand64_step(&wide);
    printf("%u %u %u %u %llu %llu %u %d %llx\n", low, high, low2, cpu, joined, cycles, number, done,
           wide);
    return (int)(__rdtsc() + high2) == 0;
}
