#include "packets.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/ethernet.h>
#include <netinet/if_ether.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>

#define CLIENTS 1000u
#define SERVER_PORT 443u
#define MARK 0x50414c49u /* "PALI": first word of a payload, the flow is the second */

const uint8_t packets_nf_mac[PACKETS_PORTS][6] = {{2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2}};
static const uint8_t gateway_mac[6] = {2, 0, 0, 0, 0, 0xfe};

struct udp_packet {
    struct ether_header ethernet;
    struct iphdr ip;
    struct udphdr udp;
    uint32_t mark, flow;
} __attribute__((packed));

static uint64_t random_next(uint64_t *state)
{
    *state += 0x9e3779b97f4a7c15u;
    uint64_t z = *state;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* ---- bytes ---- */

static uint32_t sum_words(uint32_t sum, const void *bytes, uint32_t length)
{
    const uint8_t *b = bytes;
    for (uint32_t i = 0; i + 1 < length; i += 2)
        sum += (uint32_t)(b[i] << 8 | b[i + 1]);
    if (length & 1)
        sum += (uint32_t)(b[length - 1] << 8);
    return sum;
}

static uint16_t sum_fold(uint32_t sum)
{
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return htons((uint16_t)~sum);
}

static void udp_make(struct packet_bytes *out, uint16_t length, uint32_t flow)
{
    struct udp_packet *p = (struct udp_packet *)out->bytes;
    uint16_t udp_length = (uint16_t)(length - sizeof p->ethernet - sizeof p->ip);
    out->length = length;
    p->ethernet.ether_type = htons(ETHERTYPE_IP);
    p->ip.version = 4;
    p->ip.ihl = 5;
    p->ip.ttl = 64;
    p->ip.protocol = IPPROTO_UDP;
    p->ip.tot_len = htons((uint16_t)(length - sizeof p->ethernet));
    p->ip.frag_off = htons(IP_DF);
    p->udp.len = htons(udp_length);
    p->mark = htonl(MARK);
    p->flow = htonl(flow);
}

/* The caller has filled in addresses and ports. */
static void udp_sum(struct packet_bytes *out)
{
    struct udp_packet *p = (struct udp_packet *)out->bytes;
    uint16_t udp_length = ntohs(p->udp.len);
    p->ip.check = 0;
    p->ip.check = sum_fold(sum_words(0, &p->ip, sizeof p->ip));
    p->udp.check = 0;
    uint32_t pseudo = sum_words(IPPROTO_UDP + udp_length, &p->ip.saddr, 8);
    p->udp.check = sum_fold(sum_words(pseudo, &p->udp, udp_length));
    if (p->udp.check == 0)
        p->udp.check = 0xffff;
}

static uint16_t flow_length(const struct packets_config *config, uint64_t random)
{
    if (config->profile == PACKETS_SMALL)
        return 60;
    uint32_t twelfth = (uint32_t)(random % 12);
    return twelfth < 7 ? 60 : twelfth < 11 ? 576 : PACKET_BYTES_MAX;
}

static void question_make(struct packets *packets, uint32_t flow, uint64_t random)
{
    struct packet_bytes *out = &packets->flows[PACKETS_LAN][flow];
    struct udp_packet *p = (struct udp_packet *)out->bytes;
    uint32_t client = flow % CLIENTS;
    udp_make(out, flow_length(&packets->config, random), flow);
    memcpy(p->ethernet.ether_dhost, packets_nf_mac[PACKETS_LAN], 6);
    memcpy(p->ethernet.ether_shost, (uint8_t[]){2, 1, 0, 0, client >> 8, client & 0xff}, 6);
    p->ip.saddr = htonl(0x0a000100u + client);                            /* 10.0.1.0 and up */
    p->ip.daddr = htonl(0xc6336400u + (uint32_t)(random >> 8) % 250 + 1); /* 198.51.100.0/24 */
    p->udp.source = htons((uint16_t)(1024 + flow / CLIENTS * 7 + (random >> 16) % 7));
    p->udp.dest = htons(SERVER_PORT);
    udp_sum(out);
}

static void hello_make(struct packet_bytes *out)
{
    struct ether_header *ethernet = (struct ether_header *)out->bytes;
    struct ether_arp *arp = (struct ether_arp *)(ethernet + 1);
    out->length = 60;
    memset(ethernet->ether_dhost, 0xff, 6);
    memcpy(ethernet->ether_shost, gateway_mac, 6);
    ethernet->ether_type = htons(ETHERTYPE_ARP);
    arp->arp_hrd = htons(ARPHRD_ETHER);
    arp->arp_pro = htons(ETHERTYPE_IP);
    arp->arp_hln = 6;
    arp->arp_pln = 4;
    arp->arp_op = htons(ARPOP_REQUEST);
    memcpy(arp->arp_sha, gateway_mac, 6);
    memcpy(arp->arp_spa, (uint8_t[]){192, 0, 2, 254}, 4);
    memcpy(arp->arp_tpa, (uint8_t[]){192, 0, 2, 1}, 4);
}

bool packets_is_hello_answer(const uint8_t *bytes, uint32_t length)
{
    const struct ether_header *ethernet = (const struct ether_header *)bytes;
    const struct ether_arp *arp = (const struct ether_arp *)(ethernet + 1);
    return length >= sizeof *ethernet + sizeof *arp &&
           ethernet->ether_type == htons(ETHERTYPE_ARP) && arp->arp_op == htons(ARPOP_REPLY) &&
           memcmp(arp->arp_tha, gateway_mac, 6) == 0;
}

int64_t packets_learn(struct packets *packets, const uint8_t *bytes, uint32_t length)
{
    const struct udp_packet *sent = (const struct udp_packet *)bytes;
    if (length < sizeof *sent || sent->ethernet.ether_type != htons(ETHERTYPE_IP) ||
        sent->ip.protocol != IPPROTO_UDP || sent->mark != htonl(MARK) ||
        ntohl(sent->flow) >= packets->config.flows)
        return -1;
    uint32_t flow = ntohl(sent->flow);
    struct packet_bytes *out = &packets->flows[PACKETS_WAN][flow];
    if (out->length != 0)
        return flow;
    struct udp_packet *p = (struct udp_packet *)out->bytes;
    udp_make(out, packets->flows[PACKETS_LAN][flow].length, flow);
    memcpy(p->ethernet.ether_dhost, packets_nf_mac[PACKETS_WAN], 6);
    memcpy(p->ethernet.ether_shost, gateway_mac, 6);
    p->ip.saddr = sent->ip.daddr;
    p->ip.daddr = sent->ip.saddr;
    p->udp.source = sent->udp.dest;
    p->udp.dest = sent->udp.source;
    udp_sum(out);
    return flow;
}

/* ---- arrival ---- */

uint32_t packets_flow_hash(const uint8_t *bytes, uint32_t length)
{
    const struct udp_packet *p = (const struct udp_packet *)bytes;
    if (length < sizeof *p || p->ethernet.ether_type != htons(ETHERTYPE_IP))
        return 0;
    uint32_t hash = (p->ip.saddr ^ p->ip.daddr) * 0x9e3779b1u ^
                    (uint32_t)(p->udp.source ^ p->udp.dest) * 0x85ebca6bu;
    hash ^= hash >> 15;
    hash *= 0xc2b2ae35u;
    return hash ^ hash >> 13;
}

uint32_t packets_worker(const struct packets *packets, const struct packet_bytes *packet)
{
    uint32_t hash = packets_flow_hash(packet->bytes, packet->length);
    return (uint32_t)((uint64_t)hash * packets->config.workers >> 32);
}

/* Arrivals of one lap, dealt to the workers by flow as PACKET_FANOUT_HASH does. */
static int lists_make(struct packets *packets, enum packets_port port)
{
    const struct packets_config *config = &packets->config;
    uint64_t random = config->seed * 2 + port;
    for (uint32_t w = 0; w < config->workers; w++) {
        struct packets_list *list = &packets->lists[port][w];
        list->count = 0;
        list->arrivals = malloc(PACKETS_LAP * sizeof *list->arrivals);
        if (list->arrivals == NULL)
            return -ENOMEM;
    }
    for (uint32_t i = 0; i < PACKETS_LAP; i++) {
        uint32_t flow = (uint32_t)(random_next(&random) % config->flows);
        const struct packet_bytes *packet = &packets->flows[port][flow];
        struct packets_list *list = &packets->lists[port][packets_worker(packets, packet)];
        uint32_t burst = i / PACKETS_BURST * PACKETS_PORTS + port;
        list->arrivals[list->count++] =
            (struct arrival){flow, burst * PACKETS_BURST + i % PACKETS_BURST};
    }
    return 0;
}

int packets_make(struct packets *packets, const struct packets_config *config)
{
    uint64_t random = config->seed;
    memset(packets, 0, sizeof *packets);
    packets->config = *config;
    for (uint32_t port = 0; port < PACKETS_PORTS; port++)
        packets->flows[port] = calloc(config->flows, sizeof(struct packet_bytes));
    if (packets->flows[PACKETS_LAN] == NULL || packets->flows[PACKETS_WAN] == NULL)
        return -ENOMEM;
    for (uint32_t flow = 0; flow < config->flows; flow++)
        question_make(packets, flow, random_next(&random));
    hello_make(&packets->hello);
    return lists_make(packets, PACKETS_LAN);
}

int packets_make_answers(struct packets *packets)
{
    return lists_make(packets, PACKETS_WAN);
}
