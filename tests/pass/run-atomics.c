// Atomic programs compute what they did before, by way of the stub's hooks.
// RUN: mkdir -p %t && %clang -shared -fPIC -mcx16 %inputs/stub.c -o %t/libpalisade.so -pthread
// RUN: %clang_whole -O0 %s -no-pie -pthread -o %t/run0 -L%t -lpalisade -Wl,-rpath,%t
// RUN: %clang_whole -O2 %s -no-pie -pthread -o %t/run2 -L%t -lpalisade -Wl,-rpath,%t
// RUN: %t/run0 > %t/out 2>&1 && FileCheck %s < %t/out
// RUN: %t/run2 > %t/out 2>&1 && FileCheck %s < %t/out
// CHECK: words -1 -4 2 200 9 3 -1 6
// CHECK: results 1 0 5 -3
// CHECK: pointer 3, real 1.5, wide 123456789abcdef1 3, struct 4 5
// CHECK: stub: {{.*}} atomics {{[1-9][0-9]*}}
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

static atomic_schar add, subtract, minimum;
static _Atomic unsigned char maximum, unsigned_maximum, unsigned_minimum;
static atomic_int nand, exclusive;
static _Atomic(int *) pointer;
static _Atomic float real;
static __int128 wide;
static volatile struct {
    int first;
    long second;
} block, other;
static int array[4], results[4];

static void *worker(void *argument)
{
    int one = 1, five = 5;
    add--;
    subtract -= 4;
    __atomic_fetch_min((signed char *)&minimum, 2, 5);
    __atomic_fetch_min((signed char *)&minimum, 7, 5);
    __atomic_fetch_max((unsigned char *)&maximum, 200, 5);
    __atomic_fetch_max((unsigned char *)&unsigned_maximum, 9, 5);
    __atomic_fetch_min((unsigned char *)&unsigned_minimum, 3, 5);
    __atomic_fetch_nand((int *)&nand, 7, 5);
    exclusive ^= 6;
    results[0] = atomic_compare_exchange_strong(&exclusive, &(int){6}, 6);
    results[1] = atomic_compare_exchange_strong(&exclusive, &five, one);
    results[2] = five - one;
    results[3] = __sync_val_compare_and_swap((signed char *)&subtract, -4, -4) + 1;
    atomic_store(&pointer, array);
    __atomic_fetch_add((long *)&pointer, 3 * sizeof *array, 5);
    real += 1.5f;
    __int128 seen = 0, next = (__int128)3 << 64 | 0x123456789abcdef0;
    __atomic_compare_exchange_n(&wide, &seen, next, 0, 5, 5);
    __atomic_fetch_add(&wide, 1, 5);
    block.first = 4;
    block.second = 5;
    other = block;
    return argument;
}

int main(void)
{
    pthread_t thread;
    minimum = 5;
    unsigned_minimum = 200;
    pthread_create(&thread, NULL, worker, NULL);
    pthread_join(thread, NULL);
    printf("words %d %d %d %d %d %d %d %d\n", add, subtract, minimum, maximum, unsigned_maximum,
           unsigned_minimum, nand, exclusive);
    printf("results %d %d %d %d\n", results[0], results[1], results[2], results[3]);
    __int128 sum = __atomic_load_n(&wide, 5);
    printf("pointer %d, real %g, wide %lx %d, struct %d %ld\n", (int)((int *)pointer - array), (double)real,
           (unsigned long)sum, (int)(sum >> 64), other.first, other.second);
    return 0;
}
