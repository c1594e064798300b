/* A network device by AF_XDP: one socket at one queue (xsk.h). */
#include <errno.h>
#include <string.h>

#include "counters.h"
#include "port.h"

#define RECEIVE_FRAMES 8192u
#define SEND_FRAMES 2048u

static enum status open_device(struct port_device *port, enum port_side side, uint32_t queue,
                               char *why)
{
    const struct xsk_options options = {
        .device = port->option->device,
        .queue = queue,
        .receive_frames = side == PORT_RECEIVES ? RECEIVE_FRAMES : 0,
        .send_frames = side == PORT_SENDS ? SEND_FRAMES : 0,
        .program = side == PORT_RECEIVES ? XSK_PORT_PROGRAM : XSK_NO_PROGRAM,
        .accept = port->option->accept,
    };
    struct xsk *xsk = NULL;
    enum status status = xsk_open(&xsk, &options, why);

    port->state = xsk;
    return status;
}

static void close_device(struct port_device *port)
{
    xsk_close(port->state);
    port->state = NULL;
}

static void stays_shut(struct port_device *port, bool shut)
{
    xsk_program_stays(port->state, shut);
}

static int fd(const struct port_device *port)
{
    return xsk_fd(port->state);
}

static uint32_t receive(struct port_device *port, struct xsk_packet *packets, uint32_t max)
{
    return xsk_receive(port->state, packets, max);
}

static void release(struct port_device *port)
{
    xsk_release(port->state);
}

static int send_packet(struct port_device *port, const uint8_t *bytes, uint16_t length)
{
    uint8_t *room = xsk_reserve(port->state);

    if (!room)
        return -EAGAIN;
    memcpy(room, bytes, length);
    xsk_commit(port->state, length);
    return 0;
}

static int flush(struct port_device *port)
{
    return xsk_kick(port->state);
}

static uint32_t unsent(const struct port_device *port)
{
    return xsk_unsent(port->state);
}

static json_t *counters(const struct port_device *port)
{
    struct xsk_counters counters;

    xsk_counters(port->state, &counters);
    return counters_xsk(&counters);
}

const struct port_family port_xdp = {
    .open = open_device,
    .close = close_device,
    .stays_shut = stays_shut,
    .fd = fd,
    .receive = receive,
    .release = release,
    .send = send_packet,
    .flush = flush,
    .unsent = unsent,
    .counters = counters,
};
