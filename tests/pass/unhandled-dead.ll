; A function that nothing calls is not looked into.
; RUN: %clang_pass -Wno-override-module -c %s -o %t.o
; RUN: not %palisade report %t.o | FileCheck %s
; CHECK: would be refused: 1 place cannot be replayed
; CHECK: : tmpfile()
; CHECK-NOT: fence
; CHECK-NOT: popen
target triple = "x86_64-pc-linux-gnu"

declare ptr @tmpfile()
declare ptr @popen(ptr, ptr)

define internal i32 @dead() {
  fence seq_cst
  %1 = call ptr @popen(ptr null, ptr null)
  ret i32 0
}

define ptr @live() {
  %1 = call ptr @tmpfile()
  ret ptr %1
}
