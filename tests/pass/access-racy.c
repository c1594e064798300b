// A named global that threads share without a lock is a relaxed atomic: every load and store of 1,
// 2, 4 or 8 bytes meets a hook.
// RUN: %clang_pass -O0 %s %ir | FileCheck %s
// RUN: %clang_pass -O2 %s %ir | FileCheck %s
// RUN: %clang_pass -O0 %s %ir | FileCheck --check-prefix=MAIN %s
// RUN: %clang_pass -O0 %s %remarks 2>&1 | FileCheck --check-prefix=REMARK %s
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

static bool stop;
static int8_t byte;
static uint16_t half;
static int word;
static uint64_t dozen;
static float real;
static double wide;
static void *pointer;

// CHECK-LABEL: define internal {{.*}}@worker(
// CHECK: call zeroext i8 @__palisade_load1(ptr {{.*}}@stop)
// REMARK: access-racy.c:[[@LINE+4]]:{{.*}} remark: load of stop logged: no lock is held at {{.*}}access-racy.c:
static void *worker(void *argument)
{
    (void)argument;
    if (!stop) {
        // CHECK: call zeroext i8 @__palisade_load1(ptr {{.*}}@byte)
        // CHECK: call void @__palisade_store1(ptr {{.*}}@byte, i8 zeroext
        byte++;
        // CHECK: call zeroext i16 @__palisade_load2(ptr {{.*}}@half)
        // CHECK: call void @__palisade_store2(ptr {{.*}}@half, i16 zeroext
        half++;
        // CHECK: call i32 @__palisade_load4(ptr {{.*}}@word)
        // CHECK: call void @__palisade_store4(ptr {{.*}}@word, i32
        // REMARK: [[@LINE+2]]:{{.*}} remark: load of word logged
        // REMARK: [[@LINE+1]]:{{.*}} remark: store to word logged
        word++;
        // CHECK: call i64 @__palisade_load8(ptr {{.*}}@dozen)
        // CHECK: call void @__palisade_store8(ptr {{.*}}@dozen, i64
        dozen++;
        // CHECK: [[REAL:%[0-9]+]] = {{.*}}call i32 @__palisade_load4(ptr {{.*}}@real)
        // CHECK: bitcast i32 [[REAL]] to float
        // CHECK: call void @__palisade_store4(ptr {{.*}}@real, i32
        real = real + 1;
        // CHECK: call i64 @__palisade_load8(ptr {{.*}}@wide)
        // CHECK: call void @__palisade_store8(ptr {{.*}}@wide, i64
        wide = wide + 1;
        // CHECK: call i64 @__palisade_load8(ptr {{.*}}@pointer)
        // CHECK: call void @__palisade_store8(ptr {{.*}}@pointer, i64
        pointer = (char *)pointer + 1;
    }
    return 0;
}

int main(void)
{
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], 0, worker, 0);
    // MAIN: call void @__palisade_store1(ptr {{.*}}@stop, i8 zeroext 1)
    stop = true;
}
