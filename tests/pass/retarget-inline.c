// Inline functions of a library's header go to their hooks; the program's own of such a name do not.
// RUN: %clang_whole -O1 %ir %s | FileCheck %s
// RUN: %clang_whole -O0 %ir %s | FileCheck %s
// RUN: %clang_whole -O1 -DOWN %ir %s | FileCheck --check-prefix=OWN %s
#ifdef OWN
struct xsk_ring_cons {
    unsigned *producer;
};
static inline unsigned xsk_ring_cons__peek(struct xsk_ring_cons *ring, unsigned count, unsigned *at)
{
    *at = *ring->producer;
    return count;
}
#else
#include <xdp/xsk.h>
#endif

// CHECK-LABEL: @look
// CHECK: call {{.*}} @__palisade_xsk_ring_cons__peek(
// OWN-LABEL: @look
// OWN-NOT: @__palisade_xsk_ring_cons__peek
unsigned look(struct xsk_ring_cons *ring)
{
    unsigned index = 0;
    return xsk_ring_cons__peek(ring, 8, &index) + index;
}

int main(void)
{
    return 0;
}
