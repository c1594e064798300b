/*
 * Hardware addresses of the hosts on the wan: learned from every ARP packet, asked for when missing
 * (those on the lan stand in their packets). A slot holds one host; a newcomer with the same hash
 * takes its place.
 */
#ifndef NEIGHBOURS_H
#define NEIGHBOURS_H

#include <net/if_arp.h>
#include <netinet/if_ether.h>
#include <pthread.h>

#include "config.h"

#define NEIGHBOURS 256

static struct {
    pthread_mutex_t lock;
    struct neighbour {
        uint32_t address; /* 0: free */
        uint8_t mac[ETH_ALEN];
    } entries[NEIGHBOURS];
} neighbours;

static struct neighbour *neighbour_slot(uint32_t address)
{
    return &neighbours.entries[(ntohl(address) * 0x9e3779b1u) >> 24];
}

static void neighbour_learn(uint32_t address, const uint8_t *mac)
{
    pthread_mutex_lock(&neighbours.lock);
    struct neighbour *slot = neighbour_slot(address);
    slot->address = address;
    memcpy(slot->mac, mac, ETH_ALEN);
    pthread_mutex_unlock(&neighbours.lock);
}

static bool neighbour_find(uint32_t address, uint8_t *mac)
{
    pthread_mutex_lock(&neighbours.lock);
    const struct neighbour *slot = neighbour_slot(address);
    bool found = slot->address == address;
    if (found)
        memcpy(mac, slot->mac, ETH_ALEN);
    pthread_mutex_unlock(&neighbours.lock);
    return found;
}

/* Learns from an ARP packet. True: it asked for us, and the frame is now the answer. */
static bool arp_handle(const struct config *config, enum side side, uint8_t *frame, size_t length)
{
    const struct interface *own = &config->side[side];
    struct ether_header *ethernet = (struct ether_header *)frame;
    struct ether_arp *arp = (struct ether_arp *)(frame + ETH_HLEN);
    uint32_t sender, target;

    if (length < ETH_HLEN + sizeof(*arp) || arp->arp_hrd != htons(ARPHRD_ETHER) ||
        arp->arp_pro != htons(ETHERTYPE_IP) || arp->arp_hln != ETH_ALEN || arp->arp_pln != 4)
        return false;
    memcpy(&sender, arp->arp_spa, 4);
    memcpy(&target, arp->arp_tpa, 4);
    if (sender == own->address || sender == 0 || ((sender ^ own->address) & own->mask) != 0)
        return false;
    if (side == WAN)
        neighbour_learn(sender, arp->arp_sha);
    if (arp->arp_op != htons(ARPOP_REQUEST) || target != own->address)
        return false;

    arp->arp_op = htons(ARPOP_REPLY);
    memcpy(arp->arp_tha, arp->arp_sha, ETH_ALEN);
    memcpy(arp->arp_tpa, &sender, 4);
    memcpy(arp->arp_sha, own->mac, ETH_ALEN);
    memcpy(arp->arp_spa, &target, 4);
    memcpy(ethernet->ether_dhost, arp->arp_tha, ETH_ALEN);
    memcpy(ethernet->ether_shost, own->mac, ETH_ALEN);
    return true;
}

/* Overwrites the frame by a question for `address` on the wan; returns its length. */
static size_t arp_ask(const struct config *config, uint32_t address, uint8_t *frame)
{
    const struct interface *own = &config->side[WAN];
    struct ether_header *ethernet = (struct ether_header *)frame;
    struct ether_arp *arp = (struct ether_arp *)(frame + ETH_HLEN);

    memset(ethernet->ether_dhost, 0xff, ETH_ALEN);
    memcpy(ethernet->ether_shost, own->mac, ETH_ALEN);
    ethernet->ether_type = htons(ETHERTYPE_ARP);
    arp->arp_hrd = htons(ARPHRD_ETHER);
    arp->arp_pro = htons(ETHERTYPE_IP);
    arp->arp_hln = ETH_ALEN;
    arp->arp_pln = 4;
    arp->arp_op = htons(ARPOP_REQUEST);
    memcpy(arp->arp_sha, own->mac, ETH_ALEN);
    memcpy(arp->arp_spa, &own->address, 4);
    memset(arp->arp_tha, 0, ETH_ALEN);
    memcpy(arp->arp_tpa, &address, 4);
    return ETH_HLEN + sizeof(*arp);
}

#endif
