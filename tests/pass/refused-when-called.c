// What can never be repeated is no obstacle as long as it is not called: the call tells the runtime.
// RUN: %clang_pass -O2 -c %s -o %t.o
// RUN: %palisade report %t.o | FileCheck %s
// RUN: %clang_pass -O0 -S -emit-llvm %s -o - | FileCheck --check-prefix=IR %s
// CHECK: can be protected
// CHECK: Good to know
#include <stdio.h>
#include <unistd.h>

int daemonise(void)
{
    // CHECK: refused-when-called.c:[[@LINE+2]]: daemon()
    // CHECK-NEXT: ends the program, status 65, when it is called: run it in the foreground
    return daemon(1, 0);
}

FILE *(*volatile pointer)(const char *, const char *) = popen; // in a table
// IR: @pointer = {{.*}}@__palisade_refuse_popen
// IR: call void @__palisade_refused(

int run(const char *path, const char *word)
{
    return execl(path, path, word, (char *)NULL); // variable arguments are handed on
}
// IR: musttail call i32 (ptr, ptr, ...) @execl(ptr {{.*}}, ptr {{.*}}, ...)
