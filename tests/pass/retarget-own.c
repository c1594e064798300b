// A program's own function that is called like one of libc stays its own.
// RUN: %clang_pass -O0 -fno-builtin %s %ir | FileCheck %s
// CHECK-LABEL: define {{.*}} @use(
// CHECK: call i32 @send(i32 noundef 1)
// CHECK: call i32 @poll(i32 noundef 2)
// CHECK-NOT: __palisade_send
// CHECK-NOT: __palisade_poll
static int send(int value) { return value; }
int poll(int value) { return value; }
int use(void) { return send(1) + poll(2); }
