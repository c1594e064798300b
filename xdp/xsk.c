/*
 * AF_XDP by libxdp. Frames of the UMEM: [0, receive_frames) belong to the receive side for good and
 * circle fill ring -> receive ring -> fill ring; [receive_frames, +send_frames) circle free stack
 * -> send ring -> completion ring. In copy mode the kernel sends only inside sendto(), 32 frames a
 * call, and answers EAGAIN when there are more (FACTS.md).
 *
 * The rings we produce into have twice as many places as there are frames: the kernel shows us
 * the frames of a batch (receive ring, completion ring) a moment before it publishes that it took
 * them out of the fill and send rings.
 */
#include "xsk.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <linux/if_xdp.h>
#include <xdp/libxdp.h>
#include <xdp/xsk.h>

#include "busy.h"
#include "core/assert.h"
#include "redirect.h"

#define FILL_MIN 64u /* a send-only socket needs the ring, not its frames */

struct xsk {
    struct xsk_socket *socket;
    struct xsk_umem *umem;
    struct redirect *redirect;
    uint8_t *area;
    size_t area_bytes;
    uint32_t receive_frames, send_frames;

    struct xsk_ring_prod fill, tx;
    struct xsk_ring_cons completion, rx;

    uint32_t shown; /* frames of the present xsk_receive */
    uint64_t shown_frames[XSK_BATCH];

    uint64_t *free; /* stack of send frames */
    uint32_t free_count;
    uint32_t committed; /* in the send ring, not yet submitted by a kick */
    struct xsk_counters counters;
};

static enum status open_status(int error, const struct xsk_options *options, char *why)
{
    const char *device = options->device;

    switch (-error) {
    case EPERM:
    case EACCES:
        snprintf(why, XSK_WHY_BYTES,
                 "no privilege for an AF_XDP socket on %s: run as root (CAP_NET_RAW, CAP_BPF, "
                 "CAP_NET_ADMIN)",
                 device);
        return STATUS_PRIVILEGE;
    case EBUSY:
        snprintf(
            why, XSK_WHY_BYTES,
            "queue %u of device %s is held by another process: end it, or choose another queue",
            options->queue, device);
        return STATUS_BUSY;
    case EINVAL:
        snprintf(
            why, XSK_WHY_BYTES,
            "device %s has no queue %u: create it with more queues (ip link add ... numrxqueues "
            "N numtxqueues N)",
            device, options->queue);
        return STATUS_INTERFACE;
    case ENODEV:
        snprintf(why, XSK_WHY_BYTES, "device %s does not exist", device);
        return STATUS_INTERFACE;
    case ENETDOWN:
        snprintf(why, XSK_WHY_BYTES, "device %s is down: `ip link set dev %s up`", device, device);
        return STATUS_INTERFACE;
    case ENOMEM:
    case ENOBUFS:
        snprintf(why, XSK_WHY_BYTES, "out of memory for the packet buffers of device %s", device);
        return STATUS_MEMORY;
    default:
        snprintf(why, XSK_WHY_BYTES, "this kernel gives no AF_XDP socket on %s: %s", device,
                 strerror(-error));
        return STATUS_KERNEL;
    }
}

static int bind_socket(struct xsk *xsk, const struct xsk_options *options)
{
    const struct xsk_umem_config umem_config = {
        .fill_size = xsk->receive_frames ? 2 * xsk->receive_frames : FILL_MIN,
        .comp_size = xsk->send_frames ? xsk->send_frames : FILL_MIN,
        .frame_size = XSK_CHUNK_BYTES,
    };
    const struct xsk_socket_config socket_config = {
        .rx_size = xsk->receive_frames,
        .tx_size = 2 * xsk->send_frames,
        .libxdp_flags = XSK_LIBXDP_FLAGS__INHIBIT_PROG_LOAD,
        .bind_flags = XDP_COPY,
    };

    int error = xsk_umem__create(&xsk->umem, xsk->area, xsk->area_bytes, &xsk->fill,
                                 &xsk->completion, &umem_config);
    if (error)
        return error;
    error = xsk_socket__create(&xsk->socket, options->device, options->queue, xsk->umem,
                               xsk->receive_frames ? &xsk->rx : NULL,
                               xsk->send_frames ? &xsk->tx : NULL, &socket_config);
    if (error) {
        xsk_umem__delete(xsk->umem);
        xsk->umem = NULL;
        xsk->socket = NULL;
    }
    return error;
}

/* Gives every receive frame to the kernel and stacks every send frame. */
static void frames_spread(struct xsk *xsk)
{
    if (xsk->receive_frames) {
        uint32_t at;
        uint32_t got = xsk_ring_prod__reserve(&xsk->fill, xsk->receive_frames, &at);
        ASSERT(got == xsk->receive_frames);
        for (uint32_t i = 0; i < got; i++)
            *xsk_ring_prod__fill_addr(&xsk->fill, at + i) = (uint64_t)i * XSK_CHUNK_BYTES;
        xsk_ring_prod__submit(&xsk->fill, got);
    }
    for (uint32_t i = 0; i < xsk->send_frames; i++)
        xsk->free[i] = (uint64_t)(xsk->receive_frames + i) * XSK_CHUNK_BYTES;
    xsk->free_count = xsk->send_frames;
}

static bool power_of_two_or_zero(uint32_t n)
{
    return (n & (n - 1)) == 0;
}

enum status xsk_open(struct xsk **out, const struct xsk_options *options, char *why)
{
    ASSERT(options->receive_frames || options->send_frames);
    ASSERT(power_of_two_or_zero(options->receive_frames));
    ASSERT(power_of_two_or_zero(options->send_frames));
    libxdp_set_print(NULL);

    int index = (int)if_nametoindex(options->device);
    if (!index)
        return open_status(-ENODEV, options, why);
    if (options->queue >= XSK_QUEUES_MAX)
        return open_status(-EINVAL, options, why);

    struct xsk *xsk = calloc(1, sizeof *xsk);
    if (!xsk)
        return open_status(-ENOMEM, options, why);
    xsk->receive_frames = options->receive_frames;
    xsk->send_frames = options->send_frames;
    xsk->free = calloc(xsk->send_frames + 1, sizeof *xsk->free);
    xsk->area_bytes = (size_t)(xsk->receive_frames + xsk->send_frames) * XSK_CHUNK_BYTES;
    xsk->area =
        mmap(NULL, xsk->area_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    enum status status;
    if (!xsk->free || xsk->area == MAP_FAILED) {
        xsk->area = NULL;
        status = open_status(-ENOMEM, options, why);
        goto fail;
    }
    /* Pinned pages would be copied eagerly at fork (FACTS: 64 MiB, 18 ms). */
    madvise(xsk->area, xsk->area_bytes, MADV_DONTFORK);

    int64_t since_ns = 0;
    int error;
    do
        error = bind_socket(xsk, options);
    while (error == -EBUSY && busy_wait(&since_ns));
    if (error) {
        status = open_status(error, options, why);
        goto fail;
    }
    fcntl(xsk_fd(xsk), F_SETFD, FD_CLOEXEC);
    frames_spread(xsk);

    if (options->program != XSK_NO_PROGRAM) {
        status = redirect_attach(&xsk->redirect, options, index, xsk_fd(xsk), why);
        if (status != STATUS_OK)
            goto fail;
    }
    *out = xsk;
    return STATUS_OK;
fail:
    xsk_close(xsk);
    return status;
}

void xsk_close(struct xsk *xsk)
{
    if (!xsk)
        return;
    redirect_detach(xsk->redirect);
    /* In this order: the queue is free only when socket and all ring mappings are gone. */
    if (xsk->socket)
        xsk_socket__delete(xsk->socket);
    if (xsk->umem)
        xsk_umem__delete(xsk->umem);
    if (xsk->area)
        munmap(xsk->area, xsk->area_bytes);
    free(xsk->free);
    free(xsk);
}

void xsk_program_stays(struct xsk *xsk, bool stays)
{
    if (xsk->redirect)
        redirect_stays(xsk->redirect, stays);
}

int xsk_fd(const struct xsk *xsk)
{
    return xsk_socket__fd(xsk->socket);
}

uint32_t xsk_receive(struct xsk *xsk, struct xsk_packet *packets, uint32_t max)
{
    ASSERT(xsk->shown == 0);
    ASSERT(max <= XSK_BATCH);
    uint32_t at;
    uint32_t got = xsk_ring_cons__peek(&xsk->rx, max, &at);

    for (uint32_t i = 0; i < got; i++) {
        const struct xdp_desc *desc = xsk_ring_cons__rx_desc(&xsk->rx, at + i);
        ASSERT(desc->addr + desc->len <= (uint64_t)xsk->receive_frames * XSK_CHUNK_BYTES);
        packets[i].bytes = xsk->area + desc->addr;
        packets[i].length = desc->len;
        xsk->shown_frames[i] = desc->addr & ~(uint64_t)(XSK_CHUNK_BYTES - 1);
    }
    xsk->shown = got;
    xsk->counters.received += got;
    return got;
}

void xsk_release(struct xsk *xsk)
{
    if (!xsk->shown)
        return;
    uint32_t at;
    uint32_t got = xsk_ring_prod__reserve(&xsk->fill, xsk->shown, &at);
    ASSERT(got == xsk->shown);
    for (uint32_t i = 0; i < got; i++)
        *xsk_ring_prod__fill_addr(&xsk->fill, at + i) = xsk->shown_frames[i];
    xsk_ring_prod__submit(&xsk->fill, got);
    xsk_ring_cons__release(&xsk->rx, got);
    xsk->shown = 0;
}

static void completions_reap(struct xsk *xsk)
{
    uint32_t at;
    uint32_t got = xsk_ring_cons__peek(&xsk->completion, xsk->send_frames, &at);

    if (!got)
        return;
    ASSERT(xsk->free_count + got <= xsk->send_frames);
    for (uint32_t i = 0; i < got; i++)
        xsk->free[xsk->free_count++] = *xsk_ring_cons__comp_addr(&xsk->completion, at + i);
    xsk_ring_cons__release(&xsk->completion, got);
    xsk->counters.sent += got;
}

uint8_t *xsk_reserve(struct xsk *xsk)
{
    if (!xsk->free_count)
        completions_reap(xsk);
    if (!xsk->free_count)
        return NULL;
    return xsk->area + xsk->free[xsk->free_count - 1];
}

void xsk_commit(struct xsk *xsk, uint32_t length)
{
    ASSERT(xsk->free_count > 0);
    ASSERT(length > 0 && length <= XSK_CHUNK_BYTES);
    uint32_t at;
    uint32_t got = xsk_ring_prod__reserve(&xsk->tx, 1, &at);
    ASSERT(got == 1); /* the ring holds every send frame */
    struct xdp_desc *desc = xsk_ring_prod__tx_desc(&xsk->tx, at);
    desc->addr = xsk->free[--xsk->free_count];
    desc->len = length;
    desc->options = 0;
    xsk->committed++;
}

uint32_t xsk_unsent(const struct xsk *xsk)
{
    /* Both counters run freely; the kernel advances the consumer's. */
    return xsk->committed + *xsk->tx.producer - __atomic_load_n(xsk->tx.consumer, __ATOMIC_ACQUIRE);
}

int xsk_kick(struct xsk *xsk)
{
    if (xsk->committed) {
        xsk_ring_prod__submit(&xsk->tx, xsk->committed);
        xsk->committed = 0;
    }
    uint32_t unsent = xsk_unsent(xsk);
    while (unsent) {
        xsk->counters.kicks++;
        if (sendto(xsk_fd(xsk), NULL, 0, MSG_DONTWAIT, NULL, 0) < 0 && errno != EAGAIN &&
            errno != EBUSY && errno != ENOBUFS && errno != EINTR)
            return -errno;
        uint32_t left = xsk_unsent(xsk);
        if (left == unsent) /* the device takes no more now: the next kick sees to it */
            break;
        unsent = left;
    }
    completions_reap(xsk);
    return 0;
}

void xsk_counters(const struct xsk *xsk, struct xsk_counters *out)
{
    struct xdp_statistics kernel = {0};
    socklen_t length = sizeof kernel;

    *out = xsk->counters;
    if (getsockopt(xsk_fd(xsk), SOL_XDP, XDP_STATISTICS, &kernel, &length))
        return;
    out->receive_ring_full = kernel.rx_ring_full;
    out->fill_ring_empty = kernel.rx_fill_ring_empty_descs;
    out->receive_dropped = kernel.rx_dropped;
    out->receive_invalid = kernel.rx_invalid_descs;
    out->send_invalid = kernel.tx_invalid_descs;
}
