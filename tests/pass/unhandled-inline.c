// Inline functions become the unit's own: their body is looked into when it may run, and only
// then, and it is the instrumented one that runs.
// RUN: %clang_pass -O2 -c %s -o %t.o
// RUN: not %palisade report %t.o | FileCheck %s
// CHECK: would be refused: 1 place cannot be replayed
// CHECK: unhandled-inline.c:[[#BODY:]]: tmpfile()
// RUN: %clang_pass -O2 -mllvm -opt-bisect-limit=0 %s %ir 2>/dev/null | FileCheck --check-prefix=IR %s
// IR: define internal {{.*}}@used(
#include <stdio.h>
extern inline __attribute__((gnu_inline)) FILE *used(void) { return tmpfile(); }
static FILE *unused(void) { return tmpfile(); }
static FILE *(*const table[])(void) = {unused};
extern inline __attribute__((gnu_inline)) FILE *unused_too(void) { return table[0](); }
FILE *call(void) { return used(); }
