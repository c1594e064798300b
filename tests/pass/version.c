// A compiler of another LLVM gets one sentence and a clean failure.
// RUN: %python %inputs/versions.py %plugin %version %s | FileCheck %s
// CHECK: refused by {{.*}}clang-
int x;
