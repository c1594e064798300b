// Full LTO: each unit has its own copy of a library's inline function; all of them go to the hook.
// RUN: sh %inputs/program/build.sh %t %lib %palisade-cc %clang
// RUN: cd %t && %t/bin/palisade-cc -flto -I%inputs -O2 -c %s -o one.o
// RUN: cd %t && %t/bin/palisade-cc -flto -I%inputs -O2 -DOTHER -c %s -o two.o
// RUN: cd %t && %clang -O2 -DHOOK -c %s -o hook.o
// RUN: cd %t && %t/bin/palisade-cc -flto one.o two.o hook.o -o nf
// RUN: llvm-objdump -d --no-show-raw-insn %t/nf | FileCheck %s
// CHECK-COUNT-2: {{call|jmp}}{{.*}}<__palisade_xsk_ring_cons__peek
// RUN: llvm-nm %t/nf | FileCheck --check-prefix=NAMES %s
// NAMES-NOT: {{[tTU]}} xsk_ring_cons__peek
#ifdef HOOK
unsigned __palisade_xsk_ring_cons__peek(void *ring, unsigned count, unsigned *index)
{
    *index = 0;
    return ring ? count : 0;
}
#else
#include "ring.h"

unsigned other(struct xsk_ring_cons *ring);

#ifdef OTHER
__attribute__((noinline)) unsigned other(struct xsk_ring_cons *ring)
{
    unsigned index = 0;
    return xsk_ring_cons__peek(ring, 4, &index) + index;
}
#else
int main(int argc, char **argv)
{
    unsigned index = 0;
    struct xsk_ring_cons *ring = (struct xsk_ring_cons *)argv;
    return argc + (int)(other(ring) + xsk_ring_cons__peek(ring, 8, &index));
}
#endif
#endif
