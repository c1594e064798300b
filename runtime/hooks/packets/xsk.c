/* See xsk.h: UMEMs, sockets, and their descriptors' family. Made while starting. */
#include "hooks/packets/xsk.h"

#include <linux/if_xdp.h>
#include <net/ethernet.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>

#include "abi_internal.h"
#include "hooks/calls.h"
#include "hooks/packets/packets.h"
#include "hooks/sharing/lock.h"

#define KERNEL_HEADROOM 256 /* XDP_PACKET_HEADROOM: programs may rely on it */
#define FANOUT 0x10001u     /* sockets of a port share its packets; above PACKET_FANOUT's groups */
#define UNALIGNED (1u << 0) /* XDP_UMEM_UNALIGNED_CHUNK_FLAG */

/* ---- rings ---- */

/* NULL when there is no memory, or `size` is no power of two. */
static struct nf_ring *new_ring(uint32_t size, size_t entry_bytes)
{
    if (size == 0 || (size & (size - 1)))
        return NULL;
    struct nf_ring *ring = __palisade_calloc(1, sizeof *ring + size * entry_bytes);
    if (ring)
        ring->size = size;
    return ring;
}

static struct nf_ring *open_producer(struct xsk_ring_prod *out, uint32_t size, size_t entry_bytes)
{
    struct nf_ring *ring = new_ring(size, entry_bytes);
    if (ring)
        *out = (struct xsk_ring_prod){.cached_cons = size,
                                      .mask = size - 1,
                                      .size = size,
                                      .producer = &ring->producer,
                                      .consumer = &ring->consumer,
                                      .ring = ring->entries,
                                      .flags = &ring->flags};
    return ring;
}

static struct nf_ring *open_consumer(struct xsk_ring_cons *out, uint32_t size, size_t entry_bytes)
{
    struct nf_ring *ring = new_ring(size, entry_bytes);
    if (ring)
        *out = (struct xsk_ring_cons){.mask = size - 1,
                                      .size = size,
                                      .producer = &ring->producer,
                                      .consumer = &ring->consumer,
                                      .ring = ring->entries,
                                      .flags = &ring->flags};
    return ring;
}

/* ---- UMEM ---- */

static bool is_power_of_two(uint32_t value)
{
    return value && (value & (value - 1)) == 0;
}

HOOK int __palisade_xsk_umem__create(struct xsk_umem **out, void *area, __u64 size,
                                     struct xsk_ring_prod *fill, struct xsk_ring_cons *completion,
                                     const struct xsk_umem_config *config)
{
    SITE_HERE();
    if (nf_self == NULL)
        return xsk_umem__create(out, area, size, fill, completion, config);
    struct xsk_umem_config settings = {.fill_size = XSK_RING_PROD__DEFAULT_NUM_DESCS,
                                       .comp_size = XSK_RING_CONS__DEFAULT_NUM_DESCS,
                                       .frame_size = XSK_UMEM__DEFAULT_FRAME_SIZE};
    if (config)
        settings = *config;
    if (settings.flags & UNALIGNED)
        process_fail(STATUS_UNMODELLED,
                     "xsk_umem__create: unaligned chunks are not supported (G8)");
    if (area == NULL || ((uintptr_t)area & 4095) || !is_power_of_two(settings.frame_size) ||
        settings.frame_size < 2048 ||
        settings.frame_headroom + KERNEL_HEADROOM >= settings.frame_size)
        return -EINVAL;
    struct xsk_umem *umem = __palisade_calloc(1, sizeof *umem);
    if (umem == NULL || open_producer(fill, settings.fill_size, sizeof(uint64_t)) == NULL ||
        open_consumer(completion, settings.comp_size, sizeof(uint64_t)) == NULL)
        return -ENOMEM;
    *umem = (struct xsk_umem){.area = area,
                              .size = size,
                              .frame_size = settings.frame_size,
                              .headroom = settings.frame_headroom + KERNEL_HEADROOM,
                              .fd = -1,
                              .fill = fill,
                              .completion = completion};
    *out = umem;
    return 0;
}

HOOK int __palisade_xsk_umem__delete(struct xsk_umem *umem)
{
    SITE_HERE();
    if (nf_self == NULL)
        return xsk_umem__delete(umem);
    if (umem && umem->sockets > 0)
        return -EBUSY;
    __palisade_free(umem);
    return 0;
}

HOOK int __palisade_xsk_umem__fd(const struct xsk_umem *umem)
{
    SITE_HERE();
    return nf_self ? umem->fd : xsk_umem__fd(umem);
}

/* ---- sockets ---- */

HOOK int __palisade_xsk_socket__create_shared(
    struct xsk_socket **out, const char *interface, __u32 queue, struct xsk_umem *umem,
    struct xsk_ring_cons *receive, struct xsk_ring_prod *transmit, struct xsk_ring_prod *fill,
    struct xsk_ring_cons *completion, const struct xsk_socket_config *config)
{
    SITE_HERE();
    if (nf_self == NULL)
        return xsk_socket__create_shared(out, interface, queue, umem, receive, transmit, fill,
                                         completion, config);
    uint32_t receives = config ? config->rx_size : XSK_RING_CONS__DEFAULT_NUM_DESCS;
    uint32_t transmits = config ? config->tx_size : XSK_RING_PROD__DEFAULT_NUM_DESCS;
    uint32_t port = __palisade_if_nametoindex(interface);
    if (port == 0)
        return -ENODEV;
    port_must_be_ethernet(port - 1, "AF_XDP sockets");
    struct xsk_socket *socket = __palisade_calloc(1, sizeof *socket);
    if (socket == NULL)
        return -ENOMEM;
    *socket = (struct xsk_socket){.port = port, .umem = umem};
    /* The rings of the UMEM are the first socket's; further ones bring their own. */
    socket->fill = fill == umem->fill ? nf_ring_of(fill->ring)
                                      : open_producer(fill, umem->fill->size, sizeof(uint64_t));
    socket->completion = completion == umem->completion
                             ? nf_ring_of(completion->ring)
                             : open_consumer(completion, umem->completion->size, sizeof(uint64_t));
    if (receive)
        socket->receive = open_consumer(receive, receives, sizeof(struct xdp_desc));
    if (transmit)
        socket->transmit = open_producer(transmit, transmits, sizeof(struct xdp_desc));
    if (!socket->fill || !socket->completion || (receive && !socket->receive) ||
        (transmit && !socket->transmit))
        return -ENOMEM;
    int fd = descriptor_open(nf_self, FAMILY_XSK, true, receive ? ETH_P_ALL : 0);
    if (fd < 0)
        return -errno;
    ordered_lock(nf_self, &IMAGE->descriptors_lock);
    struct nf_queue *own = &IMAGE->queues[descriptor_queue(descriptor_index(fd))];
    own->port = port;
    own->fanout = FANOUT;
    ordered_unlock(&IMAGE->descriptors_lock);
    IMAGE->descriptors[descriptor_index(fd)].own[0] = (uint64_t)socket;
    socket->fd = fd;
    if (socket->receive)
        socket->receive->receives = socket;
    if (socket->transmit)
        socket->transmit->transmits = socket;
    if (umem->sockets++ == 0)
        umem->fd = fd;
    *out = socket;
    return 0;
}

HOOK int __palisade_xsk_socket__create(struct xsk_socket **out, const char *interface, __u32 queue,
                                       struct xsk_umem *umem, struct xsk_ring_cons *receive,
                                       struct xsk_ring_prod *transmit,
                                       const struct xsk_socket_config *config)
{
    SITE_HERE();
    if (nf_self == NULL)
        return xsk_socket__create(out, interface, queue, umem, receive, transmit, config);
    return __palisade_xsk_socket__create_shared(out, interface, queue, umem, receive, transmit,
                                                umem->fill, umem->completion, config);
}

HOOK void __palisade_xsk_socket__delete(struct xsk_socket *socket)
{
    SITE_HERE();
    if (nf_self == NULL) {
        xsk_socket__delete(socket);
        return;
    }
    if (socket == NULL)
        return;
    __palisade_close(socket->fd);
    socket->umem->sockets--;
    __palisade_free(socket->receive);
    __palisade_free(socket->transmit);
    __palisade_free(socket);
}

HOOK int __palisade_xsk_socket__fd(const struct xsk_socket *socket)
{
    SITE_HERE();
    return nf_self ? socket->fd : xsk_socket__fd(socket);
}

/* The loggers own the devices: there is no program to load and no map to enter. */
HOOK int __palisade_xsk_setup_xdp_prog(int interface, int *map)
{
    SITE_HERE();
    if (nf_self == NULL)
        return xsk_setup_xdp_prog(interface, map);
    *map = -1;
    return 0;
}

HOOK int __palisade_xsk_socket__update_xskmap(struct xsk_socket *socket, int map)
{
    SITE_HERE();
    return nf_self ? 0 : xsk_socket__update_xskmap(socket, map);
}

/* ---- the family of its descriptor ---- */

static struct xsk_socket *socket_of(uint32_t index)
{
    return (struct xsk_socket *)IMAGE->descriptors[index].own[0];
}

/* recvfrom and sendto only kick the kernel, which is not there. */
static int kick(struct nf_thread *thread, uint32_t index, struct mmsghdr *messages, uint32_t count,
                int flags)
{
    (void)index;
    (void)flags;
    safe_point(thread);
    for (uint32_t i = 0; i < count; i++)
        messages[i].msg_len = 0;
    return (int)count;
}

static int get_option(struct nf_thread *thread, uint32_t index, int level, int name, void *value,
                      socklen_t *length)
{
    (void)thread;
    (void)index;
    if (level != SOL_XDP || (name != XDP_STATISTICS && name != XDP_OPTIONS))
        return fail(ENOPROTOOPT);
    memset(value, 0, *length); /* nothing is dropped, and there is no zero copy */
    return 0;
}

static short ready(uint32_t index, short events)
{
    const struct xsk_socket *socket = socket_of(index);
    short in = events & (POLLIN | POLLRDNORM);
    if (!socket->receive ||
        (nf_ring_used(socket->receive) == 0 && !packets_ready(descriptor_queue(index))))
        in = 0;
    return in | (events & (POLLOUT | POLLWRNORM));
}

const struct family family_xsk = {
    .name = "AF_XDP socket",
    .receive = kick,
    .transmit = kick,
    .get_option = get_option,
    .control = interface_control,
    .ready = ready,
};
