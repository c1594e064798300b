/*
 * AF_XDP through libxdp: a UMEM and its rings as the NF sees them.
 *
 * The rings lie in the NF's heap and no kernel is at their other end: a peek into an empty receive
 * ring is a receive (packets are copied into frames that the fill ring offers), a submit to the
 * transmit ring is a send, whose frames stand in the completion ring at once. All else is plain
 * memory. The inline functions of xsk.h are hooks (pass/inline.def).
 *
 *   xsk.c       sockets, UMEMs, the family of their descriptors
 *   xsk_ring.c  rings
 */
#ifndef PALISADE_HOOKS_XSK_H
#define PALISADE_HOOKS_XSK_H

#include <xdp/xsk.h>

#include "hooks/files/descriptor.h"

/* The NF's: what struct xsk_umem is in its memory. */
struct xsk_umem {
    uint8_t *area;
    uint64_t size;
    uint32_t frame_size, headroom; /* headroom: XDP_PACKET_HEADROOM included */
    uint32_t sockets;
    int fd;                     /* of its first socket; -1 */
    struct xsk_ring_prod *fill; /* what the first socket takes */
    struct xsk_ring_cons *completion;
};

struct xsk_socket {
    int fd;
    uint32_t port; /* index + 1 */
    struct xsk_umem *umem;
    struct nf_ring *fill, *completion;
    struct nf_ring *receive, *transmit; /* NULL: not asked for */
};

/* The memory of a ring; the NF's struct points to its members. */
struct nf_ring {
    uint32_t producer, consumer, flags, size;
    struct xsk_socket *receives, *transmits; /* which of a socket it is; else NULL */
    uint64_t entries[];                      /* addresses, or descriptors of 16 bytes */
};

static inline struct nf_ring *nf_ring_of(void *entries)
{
    return (struct nf_ring *)((uint8_t *)entries - offsetof(struct nf_ring, entries));
}

static inline uint32_t nf_ring_used(const struct nf_ring *ring)
{
    return ring->producer - ring->consumer;
}

/* Entries of entry.S, restartable. Receives up to `limit` packets into the ring; returns how many.
 */
uint32_t palisade_xsk_fetch_entry(struct nf_ring *ring, uint32_t limit);
/* Sends the first batch of the ring. */
void palisade_xsk_flush_entry(struct nf_ring *ring);

#endif
