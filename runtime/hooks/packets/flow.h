/*
 * The hash that spreads flows over the queues of one port. No state, no runtime around it.
 */
#ifndef PALISADE_HOOKS_FLOW_H
#define PALISADE_HOOKS_FLOW_H

#include <stdint.h>

/*
 * Of a packet from its IP header on. Addresses and ports enter symmetrically: both directions of a
 * flow hash alike; so do all fragments of a packet and what is no IP.
 */
uint32_t flow_hash(const uint8_t *ip, uint32_t length);

#endif
