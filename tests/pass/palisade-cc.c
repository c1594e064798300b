// palisade-cc makes of a unit what plain clang makes with the documented flags, and of a program
// one that is linked with the runtime.
// RUN: rm -rf %t && mkdir -p %t/bin %t/lib && cp %palisade-cc %t/bin && ln -s %lib/PalisadePass.so %lib/llvm-* %t/lib/
// RUN: %clang -shared -fPIC %inputs/stub.c -o %t/lib/libpalisade.so -pthread

// One unit: the very same object.
// RUN: %t/bin/palisade-cc -O2 -c %s -o %t/cc.o
// RUN: %clang -O2 -g -fno-eliminate-unused-debug-types -fno-pie -pthread -fplugin=%plugin -fpass-plugin=%plugin -c %s -o %t/plain.o
// RUN: cmp %t/cc.o %t/plain.o

// A program, with a path that needs quoting; found by its own path; runs.
// RUN: mkdir -p "%t/a b" && cp %s "%t/a b/nf.c"
// RUN: %t/bin/palisade-cc -O2 -Wall -Werror "%t/a b/nf.c" -o "%t/a b/nf"
// RUN: "%t/a b/nf" > %t/out 2>&1
// RUN: FileCheck --check-prefix=SAID %s < %t/out
// RUN: llvm-readelf -hd "%t/a b/nf" | FileCheck --check-prefix=ELF %s
// RUN: %palisade report --json "%t/a b/nf" | FileCheck --check-prefix=WHOLE %s
// ELF: Type: EXEC
// ELF: libpalisade.so
// ELF: RUNPATH
// SAID: moved on
// SAID: stub: abi 1
// WHOLE: "whole_program": true

// RUN: %clang -c %inputs/other.c -o %t/empty.o
// As two steps, as several units, and with -x, the unit is not the whole program.
// RUN: %t/bin/palisade-cc -Werror %t/cc.o -o %t/two && %t/two > /dev/null 2>&1
// RUN: %palisade report --json %t/two | FileCheck --check-prefix=PART %s
// RUN: %t/bin/palisade-cc -Werror %s %inputs/other.c -o %t/three
// RUN: %palisade report --json %t/three | FileCheck --check-prefix=PART %s
// RUN: %t/bin/palisade-cc -Werror -x c %s -x none %t/empty.o -o %t/four
// RUN: %palisade report --json %t/four | FileCheck --check-prefix=PART %s
// PART-NOT: "whole_program": true
// PART: "whole_program": false

// What links nothing, or compiles nothing, goes through.
// RUN: %t/bin/palisade-cc -Werror -E %s | FileCheck --check-prefix=TEXT %s
// RUN: %t/bin/palisade-cc -Werror -MM %s | FileCheck --check-prefix=DEPENDS %s
// RUN: %t/bin/palisade-cc -Werror -S %s -o - | FileCheck --check-prefix=ASM %s
// RUN: %t/bin/palisade-cc -Werror -fsyntax-only %s
// RUN: %t/bin/palisade-cc --version | FileCheck --check-prefix=VERSION %s
// TEXT: moved on
// DEPENDS: palisade-cc.c
// ASM: __palisade_puts
// VERSION: clang version

// Another compiler, and what cannot work.
// RUN: env PALISADE_CLANG=no-such-clang not %t/bin/palisade-cc -c %s -o /dev/null
// RUN: not %t/bin/palisade-cc -static %s 2>&1 | FileCheck --check-prefix=STATIC %s
// RUN: not %t/bin/palisade-cc -pie %s 2>&1 | FileCheck --check-prefix=PIE %s
// RUN: not %t/bin/palisade-cc -c x.cpp 2>&1 | FileCheck --check-prefix=CPP %s
// RUN: not %t/bin/palisade-cc -fsanitize=thread %s 2>&1 | FileCheck --check-prefix=SANITIZE %s
// RUN: not %t/bin/palisade-cc no-such-file.c 2>&1 | FileCheck --check-prefix=MISSING %s
// STATIC: palisade-cc: -static is not supported: the runtime is a shared library
// PIE: palisade-cc: -pie is not supported: programs are linked at a fixed address, 64 bits
// CPP: palisade-cc: C++ is not supported: x.cpp: compile it with clang++, without Palisade; what it does is not replayed
// SANITIZE: palisade-cc: -fsanitize=thread is not supported
// MISSING: no such file or directory: 'no-such-file.c'
#include <stdio.h>
int main(void)
{
    puts("moved on");
    return 0;
}
