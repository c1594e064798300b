/*
 * What the kernel says about a TUN or TAP device (rtnetlink; a descriptor could not tell who else
 * is attached).
 */
#ifndef PALISADE_XDP_TUN_QUERY_H
#define PALISADE_XDP_TUN_QUERY_H

#include <stdbool.h>
#include <stdint.h>

#include "core/message.h"

struct tun_info {
    enum port_kind kind; /* PORT_TUN, PORT_TAP; PORT_ETHERNET: some other device */
    bool multi_queue;
    uint32_t readers; /* queues that the kernel hands packets to */
};

/* 0, or -errno of the kernel. */
int tun_query(int index, struct tun_info *info);

#endif
