#include "wire.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/assert.h"
#include "device.h"
#include "xsk.h"

#define MTU_MIN (FRAME_MAX_BYTES - FRAME_ETHERNET_BYTES)
/* The peer never has more than a window in flight; resends and acks come on top. */
#define RECEIVE_FRAMES (2u * LINK_WINDOW_FRAMES)
#define SEND_FRAMES 512u
#define BLOCKED_WAIT_NS 50000 /* until the kernel has finished with send frames */

struct wire {
    struct xsk *xsk;
    struct link *link; /* NULL before wire_session */
    uint8_t mac[6];
    bool receiving;   /* inside wire_receive: its handler must not restart the link */
    bool blocked;     /* the last transmit stopped for want of send frames */
    int64_t retry_ns; /* ... and goes on at this time */
};

enum status wire_open(struct wire **out, const char *name, uint32_t queue, char *why)
{
    struct device device = {0};
    enum status status = device_query(name, PORT_ETHERNET, &device, why);
    if (status != STATUS_OK)
        return status;
    if (device.mtu < MTU_MIN) {
        snprintf(why, XSK_WHY_BYTES,
                 "device %s has MTU %u, a link needs at least %u at both ends: ip link set dev %s "
                 "mtu 3400",
                 name, device.mtu, MTU_MIN, name);
        return STATUS_INTERFACE;
    }

    struct wire *wire = calloc(1, sizeof *wire);
    if (!wire) {
        snprintf(why, XSK_WHY_BYTES, "out of memory for the link on device %s", name);
        return STATUS_MEMORY;
    }
    memcpy(wire->mac, device.mac, sizeof wire->mac);
    const struct xsk_options options = {
        .device = name,
        .queue = queue,
        .receive_frames = RECEIVE_FRAMES,
        .send_frames = SEND_FRAMES,
        .program = XSK_LINK_PROGRAM,
    };
    status = xsk_open(&wire->xsk, &options, why);
    if (status != STATUS_OK) {
        free(wire);
        return status;
    }
    *out = wire;
    return STATUS_OK;
}

void wire_close(struct wire *wire)
{
    if (!wire)
        return;
    xsk_close(wire->xsk);
    if (wire->link)
        link_destroy(wire->link);
    free(wire);
}

int wire_session(struct wire *wire, uint32_t session, uint32_t epoch, const uint8_t peer[6])
{
    ASSERT(!wire->receiving);
    struct link *link = link_create(session, epoch);
    if (!link)
        return -ENOMEM;
    if (wire->link)
        link_destroy(wire->link);
    wire->link = link;
    link_set_addresses(link, wire->mac, peer);
    return 0;
}

struct link *wire_link(struct wire *wire)
{
    return wire->link;
}

const uint8_t *wire_mac(const struct wire *wire)
{
    return wire->mac;
}

void wire_counters(const struct wire *wire, struct xsk_counters *out)
{
    xsk_counters(wire->xsk, out);
}

int wire_fd(const struct wire *wire)
{
    return xsk_fd(wire->xsk);
}

uint32_t wire_receive(struct wire *wire, int64_t now_ns, uint32_t budget, wire_handler *handler,
                      void *context)
{
    ASSERT(!wire->receiving);
    struct xsk_packet packets[XSK_BATCH];
    uint32_t handled = 0;

    wire->receiving = true;
    while (handled < budget) {
        uint32_t want = budget - handled < XSK_BATCH ? budget - handled : XSK_BATCH;
        uint32_t got = xsk_receive(wire->xsk, packets, want);
        for (uint32_t i = 0; i < got && wire->link; i++) {
            struct frame frame;
            const uint8_t *payload;
            if (link_receive(wire->link, now_ns, packets[i].bytes, packets[i].length, &frame,
                             &payload))
                handler(context, &frame, payload);
        }
        xsk_release(wire->xsk);
        handled += got;
        if (got < want)
            break;
    }
    wire->receiving = false;
    return handled;
}

uint32_t wire_transmit(struct wire *wire, int64_t now_ns)
{
    uint32_t sent = 0;

    if (!wire->link)
        return 0;
    wire->blocked = true;
    for (uint8_t *room; (room = xsk_reserve(wire->xsk)) != NULL; sent++) {
        const uint8_t *frame;
        uint32_t length = link_transmit(wire->link, now_ns, &frame);
        if (!length) {
            wire->blocked = false;
            break;
        }
        ASSERT(length <= FRAME_MAX_BYTES);
        memcpy(room, frame, length);
        xsk_commit(wire->xsk, length);
    }
    /* A device that is down or gone looks like a lossy network: the link resends, the lifeline
     * decides. */
    if (sent || xsk_unsent(wire->xsk))
        xsk_kick(wire->xsk);
    if (xsk_unsent(wire->xsk))
        wire->blocked = true;
    wire->retry_ns = now_ns + BLOCKED_WAIT_NS;
    return sent;
}

int64_t wire_next_wake(const struct wire *wire)
{
    if (!wire->link)
        return INT64_MAX;
    int64_t wake = link_next_wake(wire->link);
    return wire->blocked && wire->retry_ns < wake ? wire->retry_ns : wake;
}
