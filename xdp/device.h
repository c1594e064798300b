/*
 * What there is to know about a network device before opening it.
 */
#ifndef PALISADE_XDP_DEVICE_H
#define PALISADE_XDP_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/message.h"
#include "core/status.h"

struct device {
    int index;
    uint32_t mtu;
    bool up;
    uint8_t mac[6]; /* 0 for TUN */
};

/* STATUS_INTERFACE with one sentence in `why` (256 bytes) when it is missing, down or not Ethernet
 * (a TUN device: has a header at all). */
enum status device_query(const char *name, enum port_kind kind, struct device *device, char *why);

/* True when the device owns that IPv4 address (dotted text). */
bool device_has_address(const char *name, const char *address);

#endif
