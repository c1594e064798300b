// Full LTO: each unit has its own copy of a library's inline function; all of them go to the hook.
// RUN: sh %inputs/program/build.sh %t %lib %palisade-cc %clang
// RUN: cd %t && %t/bin/palisade-cc -flto -O2 -c %s -o one.o
// RUN: cd %t && %t/bin/palisade-cc -flto -O2 -DOTHER -c %s -o two.o
// RUN: cd %t && %t/bin/palisade-cc -flto one.o two.o -o nf.bc -Wl,--plugin-opt=emit-llvm
// RUN: llvm-dis %t/nf.bc -o - | FileCheck %s
// CHECK-NOT: call {{.*}}@xsk_ring_cons__peek
// CHECK-COUNT-2: call {{.*}}@__palisade_xsk_ring_cons__peek(
// CHECK-NOT: call {{.*}}@xsk_ring_cons__peek
#include <xdp/xsk.h>

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
