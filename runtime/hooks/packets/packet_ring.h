/*
 * TPACKET_V3 rings of AF_PACKET sockets, after the kernel's packet_mmap.
 *
 * The rings lie in the NF's heap, where its mmap finds them. A poll that finds packets puts them
 * into the next block that the NF has given back, and closes it; blocks are filled then and never
 * else, so a program must poll. A send without data sends the frames that the NF marked.
 */
#ifndef PALISADE_HOOKS_PACKET_RING_H
#define PALISADE_HOOKS_PACKET_RING_H

#include "hooks/files/descriptor.h"

/* Words of nf_descriptor.own of a packet socket. */
enum { PACKET_OWN_RINGS, PACKET_OWN_VERSION, PACKET_OWN_FLUSHED };

struct nf_rings;

static inline struct nf_rings *packet_rings(uint32_t index)
{
    return (struct nf_rings *)IMAGE->descriptors[index].own[PACKET_OWN_RINGS];
}

/* setsockopt of PACKET_RX_RING and PACKET_TX_RING. */
int packet_ring_set(uint32_t index, int name, const void *value, socklen_t length);
/* Where the NF's mmap of `length` bytes finds its rings; MAP_FAILED and errno. */
void *packet_ring_map(struct nf_thread *thread, uint32_t index, size_t length);
/* The NF has a block to read already. */
bool packet_ring_ready(uint32_t index);
/* After a poll that found packets: the next block. */
void packet_ring_fill(struct nf_thread *thread, uint32_t index);
/* Sends marked frames; bytes sent. Restartable hooks. */
int packet_ring_flush(struct nf_thread *thread, uint32_t index);
void packet_ring_close(struct nf_thread *thread, uint32_t index);

#endif
