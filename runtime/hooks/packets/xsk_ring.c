/*
 * See xsk.h. What the NF calls only reckons in its own rings, like the inline functions it stands
 * for, and loops like code of the NF (see pcap_loop.c); the two entries below receive and send.
 */
#include <linux/if_ether.h>
#include <linux/if_xdp.h>
#include <string.h>

#include "abi_internal.h"
#include "hooks/packets/packets.h"
#include "hooks/packets/xsk.h"

/* ---- receive ---- */

struct filling {
    struct nf_ring *ring;
    struct xsk_umem *umem;
    struct nf_ring *fill;
};

/* The next frame that the NF offers; entries that point outside the UMEM are skipped. */
static bool next_frame(struct xsk_umem *umem, struct nf_ring *fill, uint64_t *frame)
{
    while (nf_ring_used(fill) > 0) {
        uint64_t address = fill->entries[fill->consumer++ & (fill->size - 1)];
        *frame = address & ~(uint64_t)(umem->frame_size - 1);
        if (address < umem->size)
            return true;
    }
    return false;
}

/* As the kernel does: what does not fit a frame is dropped. */
static void fill_frame(void *context, uint32_t n, uint16_t port, const uint8_t *bytes,
                       uint16_t length)
{
    struct filling *filling = context;
    struct nf_ring *ring = filling->ring;
    uint64_t frame;
    (void)n;
    (void)port;
    if (length > filling->umem->frame_size - filling->umem->headroom ||
        !next_frame(filling->umem, filling->fill, &frame))
        return;
    frame += filling->umem->headroom;
    memcpy(filling->umem->area + frame, bytes, length);
    ((struct xdp_desc *)ring->entries)[ring->producer++ & (ring->size - 1)] =
        (struct xdp_desc){.addr = frame, .len = length};
}

uint32_t palisade_xsk_fetch_restartable(struct nf_ring *ring, uint32_t limit)
{
    struct xsk_socket *socket = ring->receives;
    struct filling filling = {.ring = ring, .umem = socket->umem, .fill = socket->fill};
    uint32_t free = ring->size - nf_ring_used(ring), offered = nf_ring_used(socket->fill);
    limit = limit < free ? limit : free;
    limit = limit < offered ? limit : offered;
    safe_point(nf_self);
    if (limit == 0)
        return 0; /* packets stay in the queue until there are frames */
    packets_receive(nf_self, descriptor_queue(descriptor_index(socket->fd)), limit, 0,
                    &signal_again, fill_frame, &filling);
    return nf_ring_used(ring);
}

HOOK __u32 __palisade_xsk_cons_nb_avail(struct xsk_ring_cons *ring, __u32 wanted)
{
    SITE_HERE();
    uint32_t there = ring->cached_prod - ring->cached_cons;
    if (there == 0 && nf_self) {
        struct nf_ring *own = nf_ring_of(ring->ring);
        if (own->receives && nf_ring_used(own) == 0)
            palisade_xsk_fetch_entry(own, wanted);
    }
    if (there == 0) {
        ring->cached_prod = __atomic_load_n(ring->producer, __ATOMIC_ACQUIRE);
        there = ring->cached_prod - ring->cached_cons;
    }
    return there > wanted ? wanted : there;
}

HOOK __u32 __palisade_xsk_ring_cons__peek(struct xsk_ring_cons *ring, __u32 wanted, __u32 *index)
{
    SITE_HERE();
    uint32_t there = __palisade_xsk_cons_nb_avail(ring, wanted);
    if (there > 0) {
        *index = ring->cached_cons;
        ring->cached_cons += there;
    }
    return there;
}

HOOK void __palisade_xsk_ring_cons__cancel(struct xsk_ring_cons *ring, __u32 count)
{
    ring->cached_cons -= count;
}

HOOK void __palisade_xsk_ring_cons__release(struct xsk_ring_cons *ring, __u32 count)
{
    __atomic_store_n(ring->consumer, *ring->consumer + count, __ATOMIC_RELEASE);
}

/* ---- send ---- */

/* False when the kernel would drop the descriptor: it goes to the completion ring unsent. */
static bool check(const struct xsk_socket *socket, const struct xdp_desc *descriptor)
{
    const struct xsk_umem *umem = socket->umem;
    return descriptor->addr < umem->size && descriptor->len <= umem->size - descriptor->addr &&
           descriptor->len >= sizeof(struct ethhdr) &&
           descriptor->len <= port_frame_limit(socket->port - 1);
}

void palisade_xsk_flush_restartable(struct nf_ring *ring)
{
    struct xsk_socket *socket = ring->transmits;
    struct nf_ring *completion = socket->completion;
    struct xdp_desc *descriptors = (struct xdp_desc *)ring->entries;
    struct iovec pieces[PACKETS_BATCH_MAX];
    struct outgoing packets[PACKETS_BATCH_MAX];
    uint32_t count = nf_ring_used(ring), good = 0;
    count = count < PACKETS_BATCH_MAX ? count : PACKETS_BATCH_MAX;
    safe_point(nf_self);
    for (uint32_t i = 0; i < count; i++) {
        const struct xdp_desc *descriptor = &descriptors[(ring->consumer + i) & (ring->size - 1)];
        if (!check(socket, descriptor))
            continue;
        pieces[good] = (struct iovec){.iov_base = socket->umem->area + descriptor->addr,
                                      .iov_len = descriptor->len};
        packets[good] = (struct outgoing){.port = (uint16_t)(socket->port - 1),
                                          .length = (uint16_t)descriptor->len,
                                          .pieces = 1,
                                          .iov = &pieces[good]};
        good++;
    }
    if (good > 0)
        packets_send(nf_self, packets, good);
    for (uint32_t i = 0; i < count; i++, ring->consumer++)
        if (nf_ring_used(completion) < completion->size)
            completion->entries[completion->producer++ & (completion->size - 1)] =
                descriptors[ring->consumer & (ring->size - 1)].addr;
}

HOOK __u32 __palisade_xsk_prod_nb_free(struct xsk_ring_prod *ring, __u32 wanted)
{
    uint32_t free = ring->cached_cons - ring->cached_prod;
    if (free >= wanted)
        return free;
    ring->cached_cons = __atomic_load_n(ring->consumer, __ATOMIC_ACQUIRE) + ring->size;
    return ring->cached_cons - ring->cached_prod;
}

HOOK __u32 __palisade_xsk_ring_prod__reserve(struct xsk_ring_prod *ring, __u32 wanted, __u32 *index)
{
    if (__palisade_xsk_prod_nb_free(ring, wanted) < wanted)
        return 0;
    *index = ring->cached_prod;
    ring->cached_prod += wanted;
    return wanted;
}

HOOK void __palisade_xsk_ring_prod__submit(struct xsk_ring_prod *ring, __u32 count)
{
    SITE_HERE();
    __atomic_store_n(ring->producer, *ring->producer + count, __ATOMIC_RELEASE);
    if (nf_self == NULL)
        return;
    struct nf_ring *own = nf_ring_of(ring->ring);
    while (own->transmits && nf_ring_used(own) > 0)
        palisade_xsk_flush_entry(own);
}

HOOK int __palisade_xsk_ring_prod__needs_wakeup(const struct xsk_ring_prod *ring)
{
    return *ring->flags & XDP_RING_NEED_WAKEUP;
}
