// Pointers to modelled functions, in tables or passed on, point to the hooks.
// RUN: %clang_pass -O0 %s %ir | FileCheck %s
// RUN: %clang_pass -O2 %s %ir | FileCheck %s
#include <poll.h>
#include <stdlib.h>
#include <sys/types.h>

extern int __poll_chk(struct pollfd *, nfds_t, int, size_t);

// CHECK: @allocator = {{.*}}global %struct.allocator { ptr @__palisade_malloc, ptr @__palisade_free }
struct allocator {
    void *(*take)(size_t);
    void (*give)(void *);
} allocator = {malloc, free};

// CHECK: @checked = {{.*}}global ptr @__palisade_thunk___poll_chk
int (*checked)(struct pollfd *, nfds_t, int, size_t) = __poll_chk;

// CHECK-LABEL: define {{.*}} @choose(
// CHECK: @__palisade_calloc
void *(*choose(void))(size_t, size_t) { return calloc; }

// CHECK: define internal i32 @__palisade_thunk___poll_chk(
// CHECK: call i32 @__palisade_poll(
