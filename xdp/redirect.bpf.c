/*
 * What decides, at a device, whether a frame goes to an AF_XDP socket or to the kernel.
 *
 * Two programs over one map type: `palisade_link` takes our own EtherType and leaves everything
 * else (ARP, the lifeline's TCP) to the kernel; `palisade_port` takes what the NF handles
 * (accept.h). A frame that ought to go to a socket but finds none is dropped, never passed on: the
 * local stack must not answer for the NF (FACTS: "XDP_PASS as redirect fallback leaks packets").
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "accept.h"

#define ETHERTYPE_PALISADE 0x88B5 /* FRAME_ETHERTYPE of core/frame.h */

struct {
    __uint(type, BPF_MAP_TYPE_XSKMAP);
    __uint(max_entries, 64); /* XSK_QUEUES_MAX of xsk.h */
    __type(key, __u32);
    __type(value, __u32);
} sockets SEC(".maps");

const volatile __u32 palisade_accept = ACCEPT_DEFAULT; /* set before the program is loaded */

static __always_inline int ethertype_of(const struct xdp_md *context)
{
    const struct ethhdr *header = (const void *)(long)context->data;
    const void *end = (const void *)(long)context->data_end;

    if ((const void *)(header + 1) > end)
        return -1;
    return bpf_ntohs(header->h_proto);
}

SEC("xdp")
int palisade_link(struct xdp_md *context)
{
    if (ethertype_of(context) != ETHERTYPE_PALISADE)
        return XDP_PASS;
    return bpf_redirect_map(&sockets, context->rx_queue_index, XDP_DROP);
}

static __always_inline __u32 accept_of(int type)
{
    switch (type) {
    case ETH_P_IP:
        return ACCEPT_ALL | ACCEPT_IP4;
    case ETH_P_ARP:
        return ACCEPT_ALL | ACCEPT_ARP;
    case ETH_P_IPV6:
        return ACCEPT_ALL | ACCEPT_IP6;
    case ETH_P_8021Q:
    case ETH_P_8021AD:
        return ACCEPT_ALL | ACCEPT_VLAN;
    default:
        return ACCEPT_ALL;
    }
}

SEC("xdp")
int palisade_port(struct xdp_md *context)
{
    if (!(palisade_accept & accept_of(ethertype_of(context))))
        return XDP_PASS;
    return bpf_redirect_map(&sockets, context->rx_queue_index, XDP_DROP);
}

char palisade_license[] SEC("license") = "GPL";
