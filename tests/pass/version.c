// A compiler of another LLVM gets one sentence and a clean failure.
// REQUIRES: clang-14
// RUN: not %old_clang -fpass-plugin=%plugin -c %s -o /dev/null 2>&1 | FileCheck %s
// RUN: not %old_clang -fplugin=%plugin -fpass-plugin=%plugin -c %s -o /dev/null 2>&1 | FileCheck %s
// CHECK: palisade: this plugin was built for LLVM 19 and another version loads it: use clang-19
// CHECK-NOT: Stack dump
int x;
