/* See port.h. */
#include "port.h"

#include <stdio.h>

/* A packet and its Ethernet header, where there is one, must fit the formats. */
static enum status mtu_check(const struct port_device *port, char *why)
{
    uint32_t header = port->option->kind == PORT_TUN ? 0 : FRAME_ETHERNET_BYTES;

    if (port->info.mtu + header <= PACKET_MAX_BYTES)
        return STATUS_OK;
    snprintf(why, XSK_WHY_BYTES, "port %s: device %s has MTU %u, at most %u is supported",
             port->option->name, port->option->device, port->info.mtu, PACKET_MAX_BYTES - header);
    return STATUS_INTERFACE;
}

enum status port_open(struct port_device *port, const struct port_option *option,
                      enum port_side side, uint32_t queue, char *why)
{
    port->option = option;
    enum status status = device_query(option->device, option->kind, &port->info, why);
    if (status == STATUS_OK)
        status = mtu_check(port, why);
    if (status != STATUS_OK)
        return status;
    port->family = option->kind == PORT_ETHERNET ? &port_xdp : &port_tun;
    return port->family->open(port, side, queue, why);
}

void port_stays_shut(struct port_device *port, bool shut)
{
    if (port->family && port->family->stays_shut)
        port->family->stays_shut(port, shut);
}

void port_close(struct port_device *port)
{
    if (port->family)
        port->family->close(port);
    port->family = NULL;
}
