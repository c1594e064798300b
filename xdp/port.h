/*
 * One world-facing device of a logger, whatever its kind. A family is one small file behind
 * `struct port_family`: network devices by AF_XDP (port_xdp.c), TUN and TAP devices by their
 * descriptor (port_tun.c). The input logger receives, the output logger sends; nothing blocks, and
 * nothing is dropped on this side. One thread at a time.
 */
#ifndef PALISADE_XDP_PORT_H
#define PALISADE_XDP_PORT_H

#include <jansson.h>

#include "device.h"
#include "port_option.h"
#include "xsk.h"

#define PORT_BATCH XSK_BATCH /* packets shown by one receive at most */

enum port_side { PORT_RECEIVES, PORT_SENDS };

struct port_device {
    const struct port_option *option; /* name, device, kind, what is accepted */
    const struct port_family *family;
    struct device info;
    void *state; /* the family's */
    bool gone;   /* the device vanished or went down for good */
};

struct port_family {
    /* `why` as for port_open. `queue` is of the device; families without queues ignore it. */
    enum status (*open)(struct port_device *port, enum port_side side, uint32_t queue, char *why);
    void (*close)(struct port_device *port);
    /* Shall what enters be dropped after the close, as after a kill -9, or go to the kernel? NULL:
     * there is no choice. */
    void (*stays_shut)(struct port_device *port, bool shut);
    int (*fd)(const struct port_device *port); /* readable when packets are there */
    /* Shows up to `max` (at most PORT_BATCH) packets, valid until release. */
    uint32_t (*receive)(struct port_device *port, struct xsk_packet *packets, uint32_t max);
    void (*release)(struct port_device *port);
    /* 0: taken. -EAGAIN: no room now. -EINVAL: no device takes such a packet, ever. */
    int (*send)(struct port_device *port, const uint8_t *bytes, uint16_t length);
    /* Makes the kernel send what was taken. 0, or -errno: the device is down or gone. */
    int (*flush)(struct port_device *port);
    uint32_t (*unsent)(const struct port_device *port); /* taken, not yet with the kernel */
    json_t *(*counters)(const struct port_device *port);
};

extern const struct port_family port_xdp, port_tun;

/* Looks at the device, then opens it. On failure one sentence in `why` (XSK_WHY_BYTES). */
enum status port_open(struct port_device *port, const struct port_option *option,
                      enum port_side side, uint32_t queue, char *why);
void port_stays_shut(struct port_device *port, bool shut);
void port_close(struct port_device *port); /* one that was never opened, too */

#endif
