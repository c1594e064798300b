// Constructors and destructors leave the loader's lists for sections that nf_main hands over.
// RUN: %clang_pass -O2 %s %ir | FileCheck %s
// RUN: mkdir -p %t && %clang -shared -fPIC %inputs/stub.c -o %t/libpalisade.so -pthread
// RUN: %clang_whole -O2 %s -no-pie -pthread -o %t/run -L%t -lpalisade -Wl,-rpath,%t
// RUN: %t/run > %t/out 2>&1
// RUN: FileCheck --check-prefix=RAN %s < %t/out
// CHECK-DAG: { i64 101, ptr @early }, section "palisade_constructors"
// CHECK-DAG: { i64 65535, ptr @late }, section "palisade_destructors"
// CHECK-NOT: @llvm.global_ctors
// CHECK-NOT: @llvm.global_dtors
// CHECK: call void @__palisade_constructors(
// RAN: built 1
#include <stdio.h>

static int built;
__attribute__((constructor(101))) static void early(void) { built++; }
__attribute__((destructor)) static void late(void) { built--; }

int main(void)
{
    printf("built %d\n", built);
    return 0;
}
