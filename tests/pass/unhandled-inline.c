// Inline functions become the unit's own: their body is looked into when it may run, and only
// then, and it is the instrumented one that runs.
// RUN: %clang_pass -O2 -c %s -o %t.o
// RUN: not %palisade report %t.o | FileCheck %s
// CHECK: would be refused: 1 place cannot be replayed
// CHECK: unhandled-inline.c:[[#BODY:]]: system()
// RUN: %clang_pass -O2 -mllvm -opt-bisect-limit=0 %s %ir 2>/dev/null | FileCheck --check-prefix=IR %s
// IR: define internal {{.*}}@used(
#include <stdlib.h>
extern inline __attribute__((gnu_inline)) int used(void) { return system("true"); }
static int unused(void) { return system("false"); }
static int (*const table[])(void) = {unused};
extern inline __attribute__((gnu_inline)) int unused_too(void) { return table[0](); }
int call(void) { return used(); }
