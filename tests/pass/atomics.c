// Every atomic operation and volatile access of memory that threads may share meets a hook, whatever
// its size and type; what stays in one function does not, nor does what comes before the threads.
// RUN: %clang_whole -O0 %s %ir | FileCheck %s
// RUN: %clang_whole -O0 %s -mcx16 %ir | FileCheck %s
// RUN: %clang_whole -O0 %s %ir | FileCheck --check-prefix=MAIN %s
// RUN: %clang_whole -O0 %s -c -o %t.o && %palisade report %t.o | FileCheck --check-prefix=NOTE %s
// NOTE: can be protected
// NOTE: counter {{.*}}: it is atomic
// NOTE: device {{.*}}: it is volatile
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

static atomic_int counter;
static atomic_flag flag;
static _Atomic bool truth;
static _Atomic(char *) place;
static _Atomic double real;
static unsigned char byte;
static short half;
static __int128 wide;
static volatile struct {
    int low : 3, high : 13;
    long field;
} device, copy;
struct node {
    atomic_uint references;
    struct node *next;
};

// CHECK-LABEL: define internal {{.*}}@worker(
// MAIN-LABEL: define {{.*}}@__palisade_nf_main(
static void *worker(void *argument)
{
    struct node *node = argument;
    // CHECK: call i32 @__palisade_rmw4(ptr {{.*}}@counter, i32 {{.*}}, i32 1)
    atomic_fetch_add(&counter, 3);
    // CHECK: call i32 @__palisade_rmw4(ptr {{.*}}@counter, i32 1, i32 2)
    __sync_fetch_and_sub((int *)&counter, 1);
    // CHECK: call i32 @__palisade_load4(ptr {{.*}}@counter)
    int seen = atomic_load_explicit(&counter, memory_order_relaxed);
    // CHECK: [[OLD:%[0-9]+]] = call i32 @__palisade_cas4(ptr {{.*}}@counter, i32 [[EXPECTED:%[0-9]+]], i32 {{.*}})
    // CHECK: icmp eq i32 [[OLD]], [[EXPECTED]]
    atomic_compare_exchange_weak(&counter, &seen, 9);
    // CHECK: call void @__palisade_store4(ptr {{.*}}@counter, i32 {{.*}})
    atomic_store(&counter, 5);
    // CHECK: call zeroext i8 @__palisade_rmw1(ptr {{.*}}@flag, i8 zeroext {{.*}}, i32 0)
    while (atomic_flag_test_and_set(&flag))
        ;
    // CHECK: call void @__palisade_store1(ptr {{.*}}@flag, i8 zeroext {{.*}})
    atomic_flag_clear(&flag);
    // CHECK: call zeroext i8 @__palisade_load1(ptr {{.*}}@truth)
    // CHECK: call void @__palisade_store1(ptr {{.*}}@truth, i8 zeroext
    truth = !truth;
    // CHECK: call i64 @__palisade_load8(ptr {{.*}}@place)
    // CHECK: call i64 @__palisade_cas8(ptr {{.*}}@place, i64
    place++;
    // CHECK: call i64 @__palisade_load8(ptr {{.*}}@real)
    // CHECK: call i64 @__palisade_cas8(ptr {{.*}}@real, i64
    real *= 2;
    // CHECK: call zeroext i8 @__palisade_rmw1(ptr {{.*}}@byte, i8 zeroext {{.*}}, i32 4)
    __atomic_fetch_nand(&byte, 7, __ATOMIC_ACQ_REL);
    // CHECK: call zeroext i16 @__palisade_rmw2(ptr {{.*}}@half, i16 zeroext {{.*}}, i32 7)
    __atomic_fetch_max(&half, -2, __ATOMIC_RELAXED);
    // CHECK: call i128 @__palisade_load16(ptr {{.*}}@wide)
    __int128 old = __atomic_load_n(&wide, __ATOMIC_ACQUIRE);
    // CHECK: call i128 @__palisade_cas16(ptr {{.*}}@wide, i128
    __sync_bool_compare_and_swap(&wide, old, old + 1);
    // CHECK: call i128 @__palisade_rmw16(ptr {{.*}}@wide, i128
    __atomic_exchange_n(&wide, 4, __ATOMIC_SEQ_CST);
    // CHECK: call void @__palisade_store16(ptr {{.*}}@wide, i128
    __atomic_store_n(&wide, 4, __ATOMIC_SEQ_CST);
    // CHECK: fence seq_cst
    atomic_thread_fence(memory_order_seq_cst);
    // CHECK: call zeroext i16 @__palisade_load2(ptr {{.*}}@device)
    // CHECK: call void @__palisade_store2(ptr {{.*}}@device, i16
    device.low = 1;
    // CHECK: call i64 @__palisade_load8(ptr {{.*}}@device)
    // CHECK: call i64 @__palisade_load8(ptr {{.*}}@device
    // CHECK: call void @__palisade_store8(ptr {{.*}}@copy, i64
    // CHECK: call void @__palisade_store8(ptr {{.*}}@copy
    copy = device;
    // CHECK: call i32 @__palisade_rmw4(ptr {{.*}}, i32 1, i32 1)
    node->references++;
    // CHECK: call i32 @__palisade_load4(ptr
    return (void *)(uintptr_t) * (volatile unsigned *)argument;
}

int main(int argc, char **argv)
{
    pthread_t thread;
    volatile int own = argc;
    volatile atomic_int known = 1;
    // MAIN-NOT: call {{.*}}@__palisade_rmw4
    // MAIN-NOT: call {{.*}}@__palisade_store4
    counter += own;
    struct node *node = malloc(sizeof *node);
    atomic_init(&node->references, 1);
    // MAIN: call i32 @__palisade_pthread_create(
    pthread_create(&thread, 0, worker, node);
    // MAIN-NOT: call {{.*}}@__palisade_store4
    own = 2;
    struct node *fresh = malloc(sizeof *fresh);
    atomic_init(&fresh->references, 1);
    atomic_store(&fresh->references, 1);
    // MAIN: call i32 @__palisade_pthread_create(
    pthread_create(&thread, 0, worker, fresh);
    // MAIN: call i32 @__palisade_rmw4(ptr
    fresh->references++;
    // MAIN: call i32 @__palisade_pthread_create(
    pthread_create(&thread, 0, worker, (void *)&known);
    // MAIN: call i32 @__palisade_rmw4(ptr
    known++;
    return argv == 0;
}
