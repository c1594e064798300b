/*
 * Which traffic of a network device the NF is given; the rest stays with the kernel. One bit each,
 * known to the option parser and to the XDP program (redirect.bpf.c).
 */
#ifndef PALISADE_XDP_ACCEPT_H
#define PALISADE_XDP_ACCEPT_H

#define ACCEPT_IP4 1u
#define ACCEPT_ARP 2u
#define ACCEPT_IP6 4u
#define ACCEPT_VLAN 8u /* whatever carries an 802.1Q or 802.1ad tag */
#define ACCEPT_ALL 16u

#define ACCEPT_DEFAULT (ACCEPT_IP4 | ACCEPT_ARP)

#endif
