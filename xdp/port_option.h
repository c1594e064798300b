/*
 * What --port says: NAME=DEVICE[,tun|,tap][,accept=LIST]. LIST joins ip4, arp, ip6, vlan and all
 * by +; it says which traffic of a network device goes to the NF, ip4+arp by default.
 */
#ifndef PALISADE_XDP_PORT_OPTION_H
#define PALISADE_XDP_PORT_OPTION_H

#include <net/if.h>
#include <stddef.h>
#include <stdint.h>

#include "core/message.h"

struct port_option {
    char name[PORT_NAME_BYTES];
    char device[IFNAMSIZ];
    enum port_kind kind;
    uint32_t accept; /* bits of accept.h; PORT_ETHERNET only */
};

/* False with one sentence in `why`. */
bool port_option_parse(const char *text, struct port_option *option, char *why, size_t room);

#endif
