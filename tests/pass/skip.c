// Hooks that a mutant test leaves out: everything else stays as it is, the report says so, and a
// name that nothing meets is an error.
// RUN: %clang_pass -O1 -g %s %ir -mllvm -palisade-skip=time,load,rdtsc | FileCheck %s
// RUN: not %clang_pass -O1 %s %ir -mllvm -palisade-skip=time,poll 2>&1 | FileCheck %s --check-prefix=VAIN
// VAIN: palisade: -palisade-skip: nothing here meets the hook 'poll'
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
_Atomic long word;
// CHECK-LABEL: define {{.*}} @use(
// CHECK-DAG: call i64 @time(
// CHECK-DAG: call i32 @__palisade_rand(
// CHECK-DAG: load atomic i64, ptr @word
// CHECK-DAG: call void @__palisade_store8(
// CHECK-NOT: __palisade_rdtsc
// CHECK-LABEL: define
long use(void)
{
    unsigned low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    word = time(NULL) + rand() + low + high;
    return word;
}
int main(void)
{
    return (int)use();
}
