// Units for other machines (eBPF programs of the same project) are left alone.
// RUN: %clang_pass -O2 -target bpf %s %ir | FileCheck %s
// CHECK-NOT: palisade
// CHECK: call {{.*}}@time(
// CHECK-NOT: palisade
long time(long *);
long now(void) { return time(0); }
