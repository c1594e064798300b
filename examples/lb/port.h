/*
 * Interfaces by AF_XDP. Both sockets know the same memory (each registers it as its own UMEM), so a
 * frame that came in at one side goes out at the other without being copied: fill ring, receive
 * ring, worker, the other side's send ring and completion ring, pool, some fill ring.
 *
 * A side's worker alone uses its fill and receive rings. Anybody may send: send.lock guards a
 * side's send and completion rings, pool.lock the frames that are nowhere else.
 */
#ifndef PORT_H
#define PORT_H

#include <net/ethernet.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <xdp/xsk.h>

#include "config.h"
#include "spinlock.h"

#define FRAMES 4096
#define FRAME_BYTES 2048
#define RING_FRAMES 1024 /* places in each ring */
#define BATCH 32
#define KICKS_MAX (2 * RING_FRAMES / BATCH)
#define BUSY_TRIES 100 /* a dead process gives its queue back after a while */
#define BUSY_WAIT_US 20000

struct port {
    const char *name;
    uint8_t mac[ETH_ALEN];
    struct xsk_umem *umem;
    struct xsk_socket *socket;
    struct xsk_ring_prod fill, tx;
    struct xsk_ring_cons rx, completion;
    uint32_t filled; /* frames in the fill and receive rings */
    struct spinlock send_lock;
};

struct pool {
    struct spinlock lock;
    unsigned count;
    uint64_t free[FRAMES];
};

static struct port *ports; /* one a side */
static struct pool *pool;
static uint8_t *memory; /* of all frames */

static uint8_t *frame_bytes(uint64_t frame)
{
    return xsk_umem__get_data(memory, frame);
}

static unsigned frames_take(uint64_t *frames, unsigned wanted)
{
    spin_lock(&pool->lock);
    unsigned count = pool->count < wanted ? pool->count : wanted;
    for (unsigned i = 0; i < count; i++)
        frames[i] = pool->free[--pool->count];
    spin_unlock(&pool->lock);
    return count;
}

static void frames_give(const uint64_t *frames, unsigned count)
{
    spin_lock(&pool->lock);
    for (unsigned i = 0; i < count; i++)
        pool->free[pool->count++] = frames[i] / FRAME_BYTES * FRAME_BYTES;
    spin_unlock(&pool->lock);
}

/* Keeps as many frames waiting for packets as the receive ring has places. */
static void port_fill(struct port *port)
{
    uint64_t frames[BATCH];
    uint32_t at;

    while (port->filled + BATCH <= RING_FRAMES) {
        unsigned count = frames_take(frames, BATCH);
        if (count == 0)
            return;
        if (xsk_ring_prod__reserve(&port->fill, count, &at) != count) {
            frames_give(frames, count);
            return;
        }
        for (unsigned i = 0; i < count; i++)
            *xsk_ring_prod__fill_addr(&port->fill, at + i) = frames[i];
        xsk_ring_prod__submit(&port->fill, count);
        port->filled += count;
    }
}

/* Sends all or, when there is no room, none: returns how many. The rest stays the caller's. */
static unsigned port_send(struct port *port, const struct xdp_desc *packets, unsigned count)
{
    uint64_t done[2 * BATCH];
    uint32_t at;

    spin_lock(&port->send_lock);
    unsigned finished = xsk_ring_cons__peek(&port->completion, 2 * BATCH, &at);
    for (unsigned i = 0; i < finished; i++)
        done[i] = *xsk_ring_cons__comp_addr(&port->completion, at + i);
    xsk_ring_cons__release(&port->completion, finished);
    unsigned sent = xsk_ring_prod__reserve(&port->tx, count, &at);
    for (unsigned i = 0; i < sent; i++)
        *xsk_ring_prod__tx_desc(&port->tx, at + i) = packets[i];
    if (sent > 0)
        xsk_ring_prod__submit(&port->tx, sent);
    bool asleep = xsk_ring_prod__needs_wakeup(&port->tx);
    spin_unlock(&port->send_lock);

    frames_give(done, finished);
    /* The kernel takes a few at a time, and asks to be called again. */
    for (unsigned calls = 0; asleep && calls < KICKS_MAX; calls++)
        asleep = sendto(xsk_socket__fd(port->socket), NULL, 0, MSG_DONTWAIT, NULL, 0) < 0 &&
                 errno == EAGAIN;
    return sent;
}

static bool ports_open(void)
{
    ports = calloc(SIDES, sizeof(*ports));
    pool = calloc(1, sizeof(*pool));
    if (ports == NULL || pool == NULL ||
        posix_memalign((void **)&memory, (size_t)getpagesize(), FRAMES * FRAME_BYTES) != 0)
        return false;
    for (; pool->count < FRAMES; pool->count++)
        pool->free[pool->count] = (uint64_t)pool->count * FRAME_BYTES;
    return true;
}

static void port_open(struct port *port, const char *name, unsigned queue)
{
    const struct xsk_umem_config umem_config = {
        .fill_size = RING_FRAMES, .comp_size = RING_FRAMES, .frame_size = FRAME_BYTES};
    const struct xsk_socket_config socket_config = {.rx_size = RING_FRAMES,
                                                    .tx_size = RING_FRAMES,
                                                    .bind_flags = XDP_COPY | XDP_USE_NEED_WAKEUP};
    struct ifreq request = {0};
    int error, fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    port->name = name;
    snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
    if (fd < 0 || ioctl(fd, SIOCGIFHWADDR, &request) != 0)
        die(name);
    close(fd);
    memcpy(port->mac, request.ifr_hwaddr.sa_data, ETH_ALEN);

    error = xsk_umem__create(&port->umem, memory, FRAMES * FRAME_BYTES, &port->fill,
                             &port->completion, &umem_config);
    if (error == 0)
        error = xsk_socket__create(&port->socket, name, queue, port->umem, &port->rx, &port->tx,
                                   &socket_config);
    for (unsigned tries = 0; error == -EBUSY && tries < BUSY_TRIES; tries++) {
        usleep(BUSY_WAIT_US);
        error = xsk_socket__create(&port->socket, name, queue, port->umem, &port->rx, &port->tx,
                                   &socket_config);
    }
    if (error != 0) {
        errno = -error;
        die(name);
    }
    port_fill(port);
}

#endif
