// An opaque lock of a library: the pass puts the library's calls between hooks, pointers to them too.
// RUN: echo 'lib_lock opaque lock 1' > %t.model
// RUN: echo 'lib_unlock opaque unlock 0' >> %t.model
// RUN: %clang_whole -O0 %s %ir -mllvm -palisade-model=%t.model | FileCheck %s
// RUN: %clang_whole -O0 %s %remarks -mllvm -palisade-model=%t.model 2>&1 | FileCheck --check-prefix=REMARK %s
// RUN: echo 'lib_lock opaque lock 0' > %t.bad
// RUN: not %clang_whole -c -o /dev/null %s -mllvm -palisade-model=%t.bad 2>&1 | FileCheck --check-prefix=BAD %s
// BAD: error: palisade: model file '{{.*}}.bad': argument 0 of lib_lock is not a pointer
#include <pthread.h>

struct lib_lock;
int lib_lock(int patience, struct lib_lock *lock);
void lib_unlock(struct lib_lock *lock);
extern struct lib_lock the_lock;
static long counter;
void (*unlock)(struct lib_lock *) = lib_unlock;
// CHECK: @unlock = {{.*}}@__palisade_opaque_lib_unlock

static void *worker(void *argument)
{
    // CHECK: call {{.*}}@__palisade_opaque_lib_lock(i32 noundef 3, ptr noundef @the_lock)
    lib_lock(3, &the_lock);
    // REMARK: store to counter elided: covered by the_lock
    counter++;
    lib_unlock(&the_lock);
    return argument;
}

int main(void)
{
    pthread_t thread;
    for (int i = 0; i < 2; i++)
        pthread_create(&thread, 0, worker, 0);
}
// CHECK: define internal {{.*}}@__palisade_opaque_lib_unlock(
// CHECK-NEXT: call void @lib_unlock(
// CHECK-NEXT: call void @__palisade_opaque_unlock(
// CHECK: define internal {{.*}}@__palisade_opaque_lib_lock(
// CHECK-NEXT: call void @__palisade_opaque_lock(ptr %1)
// CHECK-NEXT: call i32 @lib_lock(
