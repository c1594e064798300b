; A function that nothing calls is not looked into.
; RUN: %clang_pass -Wno-override-module -c %s -o %t.o
; RUN: not %palisade report %t.o | FileCheck %s
; CHECK: would be refused: 1 place cannot be replayed
; CHECK: : system()
; CHECK-NOT: fence
; CHECK-NOT: fork
target triple = "x86_64-pc-linux-gnu"

declare i32 @system(ptr)
declare i32 @fork()

define internal i32 @dead() {
  fence seq_cst
  %1 = call i32 @fork()
  ret i32 %1
}

define i32 @live() {
  %1 = call i32 @system(ptr null)
  ret i32 %1
}
