/*
 * nat: a NAPT router for IPv4 on two interfaces, lan and wan, by AF_PACKET sockets.
 *
 * Threads. Each worker has one socket an interface; PACKET_FANOUT spreads the flows over the
 * workers. The two directions of one flow usually land on different workers, so they share all
 * state. The main thread keeps the clock and expires mappings.
 *
 * State, and what guards it. Locks are taken in this order:
 *   table.buckets[].lock   the mappings of one bucket
 *   ports.lock             which external ports are in use
 *   neighbours.lock        hardware addresses by IPv4 address
 *   statistics.lock        counters of all workers
 * `now_s` is written by the main thread and read by the workers without a lock: an old second
 * does no harm.
 *
 * One bucket serves both directions: the external port of a mapping is chosen so that port modulo
 * BUCKETS is the bucket of its internal endpoint. So a packet takes one lock, whichever way it
 * goes.
 *
 * Mappings are endpoint-independent (RFC 4787): one external port for one internal (address,
 * port), whatever the destination. ICMP echo identifiers are treated as ports. Fragments and
 * hairpin traffic are dropped.
 *
 * The interfaces carry no address of the kernel's; nat answers ARP for its own addresses itself.
 */
#define _GNU_SOURCE 1
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "../common/checksum.h"
#include "config.h"
#include "neighbours.h"

#define BATCH 32
#define FRAME_PAD 2 /* puts the IPv4 header behind the Ethernet one at a multiple of four */
#define FRAME_ROOM (2048 - FRAME_PAD)
#define RECEIVE_BUFFER_BYTES (4 << 20)
#define TCP_OPENING_TIMEOUT_S 60
#define TCP_CLOSING_TIMEOUT_S 10
#define ICMP_TIMEOUT_S 30

enum protocol { ECHO, TCP, UDP, PROTOCOLS };

/* What becomes of a received frame. */
enum verdict {
    TO_LAN,
    TO_WAN,
    DROP_MALFORMED,
    DROP_UNHANDLED, /* not for us, or of a kind we do not translate */
    DROP_UNMAPPED,
    DROP_NO_PORT,
    DROP_EXPIRED, /* its time to live is over */
    DROP_UNSENT,
    VERDICTS
};
static const char *const verdict_names[VERDICTS] = {"to-lan",   "to-wan",  "malformed", "unhandled",
                                                    "unmapped", "no-port", "expired",   "unsent"};

struct mapping {
    struct mapping *next;
    enum protocol protocol;
    uint32_t address;  /* internal endpoint */
    uint16_t port;     /* internal endpoint */
    uint16_t wan_port; /* external port */
    uint8_t closing;   /* bit `side`: a FIN came from there */
    uint32_t hop;      /* next hop on the wan that hop_mac belongs to; 0: none */
    uint8_t hop_mac[ETH_ALEN], lan_mac[ETH_ALEN];
    int64_t expires_s;
};

static struct {
    struct bucket {
        pthread_mutex_t lock;
        struct mapping *first;
    } buckets[BUCKETS];
} table;

static struct {
    pthread_mutex_t lock;
    pthread_cond_t wanted; /* a worker found no free port: expire now */
    bool exhausted;
    uint8_t used[PROTOCOLS][65536 / 8];
    unsigned turn; /* a bucket's ports are handed out in turn, from a random one on (RFC 6056) */
} ports;

struct counters {
    uint64_t verdicts[VERDICTS];
    uint64_t created, expired; /* mappings */
};

static struct {
    pthread_mutex_t lock;
    struct counters sum;
} statistics;

static int64_t now_s;

struct batch {
    unsigned count;
    struct mmsghdr messages[BATCH];
    struct iovec parts[BATCH];
};

struct worker {
    pthread_t thread;
    const struct config *config;
    int sockets[SIDES];
    struct counters counters; /* since they were last added to the statistics */
    struct batch in, out[SIDES];
    _Alignas(8) uint8_t frames[BATCH][FRAME_PAD + FRAME_ROOM];
};

/* ---- external ports ---- */

static bool port_used(enum protocol protocol, unsigned port)
{
    return ports.used[protocol][port / 8] >> port % 8 & 1;
}

/* Takes a free port that belongs to `bucket`; 0 when there is none. */
static unsigned port_take(const struct config *config, enum protocol protocol, unsigned bucket)
{
    unsigned lowest = config->first_port + (bucket - config->first_port) % BUCKETS;
    unsigned count = (config->last_port - lowest) / BUCKETS + 1; /* of the bucket's ports */
    unsigned taken = 0;

    pthread_mutex_lock(&ports.lock);
    ports.turn++;
    for (unsigned i = 0; i < count && taken == 0; i++) {
        unsigned port = lowest + (ports.turn + i) % count * BUCKETS;
        if (port_used(protocol, port))
            continue;
        ports.used[protocol][port / 8] |= (uint8_t)(1u << port % 8);
        taken = port;
    }
    if (taken == 0) {
        ports.exhausted = true;
        pthread_cond_signal(&ports.wanted);
    }
    pthread_mutex_unlock(&ports.lock);
    return taken;
}

static void port_free(enum protocol protocol, unsigned port)
{
    pthread_mutex_lock(&ports.lock);
    ports.used[protocol][port / 8] &= (uint8_t) ~(1u << port % 8);
    pthread_mutex_unlock(&ports.lock);
}

/* ---- mappings ---- */

/* Where a packet's ports lie, and the checksum that covers them. ECHO has one "port". */
struct transport {
    enum protocol protocol;
    uint16_t *source, *destination, *sum;
    bool pseudo_header;       /* sum covers the IPv4 addresses too */
    const struct tcphdr *tcp; /* NULL unless TCP */
};

static unsigned bucket_of(enum protocol protocol, uint32_t address, uint16_t port)
{
    uint32_t hash = address * 0x9e3779b1u ^ ((uint32_t)protocol << 16 | port) * 0x85ebca6bu;
    return (hash ^ hash >> 15) % BUCKETS;
}

/* Both finders: the bucket's lock is held. */
static struct mapping *mapping_find(const struct bucket *bucket, enum protocol protocol,
                                    uint32_t address, uint16_t port)
{
    for (struct mapping *m = bucket->first; m != NULL; m = m->next)
        if (m->protocol == protocol && m->address == address && m->port == port)
            return m;
    return NULL;
}

static struct mapping *mapping_find_port(const struct bucket *bucket, enum protocol protocol,
                                         uint16_t wan_port)
{
    for (struct mapping *m = bucket->first; m != NULL; m = m->next)
        if (m->protocol == protocol && m->wan_port == wan_port)
            return m;
    return NULL;
}

/* The bucket's lock is held. NULL: no free port or no memory. */
static struct mapping *mapping_create(struct worker *worker, unsigned bucket,
                                      const struct transport *transport, uint32_t address)
{
    struct mapping *mapping = malloc(sizeof(*mapping));
    if (mapping == NULL)
        return NULL;
    unsigned port = port_take(worker->config, transport->protocol, bucket);
    if (port == 0) {
        free(mapping);
        return NULL;
    }
    memset(mapping, 0, sizeof(*mapping));
    mapping->protocol = transport->protocol;
    mapping->address = address;
    mapping->port = *transport->source;
    mapping->wan_port = htons((uint16_t)port);
    mapping->next = table.buckets[bucket].first;
    table.buckets[bucket].first = mapping;
    worker->counters.created++;
    return mapping;
}

/* A packet came from `side`: how long the mapping lives from now on. Its bucket is locked. */
static void mapping_refresh(const struct config *config, struct mapping *mapping, enum side side,
                            const struct transport *transport)
{
    unsigned timeout_s = ICMP_TIMEOUT_S;
    if (transport->protocol == UDP)
        timeout_s = config->timeout_udp_s;
    if (transport->tcp != NULL) {
        if (transport->tcp->syn)
            mapping->closing = 0;
        if (transport->tcp->fin)
            mapping->closing |= (uint8_t)(1u << side);
        if (transport->tcp->rst)
            mapping->closing = 1u << LAN | 1u << WAN;
        timeout_s = mapping->closing == (1u << LAN | 1u << WAN) ? TCP_CLOSING_TIMEOUT_S
                    : transport->tcp->syn                       ? TCP_OPENING_TIMEOUT_S
                                                                : config->timeout_tcp_s;
    }
    mapping->expires_s = now_s + timeout_s;
}

/* Frees the mappings whose time is over. Main thread. */
static void mappings_expire(void)
{
    uint64_t expired = 0;
    for (unsigned b = 0; b < BUCKETS; b++) {
        struct bucket *bucket = &table.buckets[b];
        pthread_mutex_lock(&bucket->lock);
        for (struct mapping **link = &bucket->first; *link != NULL;) {
            struct mapping *mapping = *link;
            if (mapping->expires_s > now_s) {
                link = &mapping->next;
                continue;
            }
            *link = mapping->next;
            port_free(mapping->protocol, ntohs(mapping->wan_port));
            free(mapping);
            expired++;
        }
        pthread_mutex_unlock(&bucket->lock);
    }
    pthread_mutex_lock(&statistics.lock);
    statistics.sum.expired += expired;
    pthread_mutex_unlock(&statistics.lock);
}

/* ---- translation ---- */

static uint32_t next_hop(const struct config *config, uint32_t destination)
{
    const struct interface *wan = &config->side[WAN];
    bool on_link = ((destination ^ wan->address) & wan->mask) == 0;
    return on_link || config->gateway == 0 ? destination : config->gateway;
}

static void address_change(struct iphdr *ip, uint32_t *address, uint32_t to,
                           const struct transport *transport)
{
    checksum_change32(&ip->check, *address, to);
    if (transport->pseudo_header)
        checksum_change32(transport->sum, *address, to);
    *address = to;
}

static void port_change(uint16_t *port, uint16_t to, const struct transport *transport)
{
    if (transport->sum != NULL)
        checksum_change16(transport->sum, *port, to);
    *port = to;
}

/* From the lan: finds or creates the mapping, rewrites the source. */
static enum verdict translate_out(struct worker *worker, struct iphdr *ip,
                                  const struct transport *transport, uint8_t *frame, size_t *length)
{
    const struct config *config = worker->config;
    struct ether_header *ethernet = (struct ether_header *)frame;
    uint32_t hop = next_hop(config, ip->daddr);
    unsigned b = bucket_of(transport->protocol, ip->saddr, *transport->source);
    struct bucket *bucket = &table.buckets[b];

    pthread_mutex_lock(&bucket->lock);
    struct mapping *mapping =
        mapping_find(bucket, transport->protocol, ip->saddr, *transport->source);
    if (mapping == NULL)
        mapping = mapping_create(worker, b, transport, ip->saddr);
    if (mapping == NULL) {
        pthread_mutex_unlock(&bucket->lock);
        return DROP_NO_PORT;
    }
    mapping_refresh(config, mapping, LAN, transport);
    memcpy(mapping->lan_mac, ethernet->ether_shost, ETH_ALEN);
    if (mapping->hop != hop)
        mapping->hop = neighbour_find(hop, mapping->hop_mac) ? hop : 0;
    bool known = mapping->hop == hop;
    memcpy(ethernet->ether_dhost, mapping->hop_mac, ETH_ALEN);
    uint16_t wan_port = mapping->wan_port;
    pthread_mutex_unlock(&bucket->lock);

    if (!known) { /* the packet gives way to the question; its sender will try again */
        *length = arp_ask(config, hop, frame);
        return TO_WAN;
    }
    memcpy(ethernet->ether_shost, config->side[WAN].mac, ETH_ALEN);
    port_change(transport->source, wan_port, transport);
    address_change(ip, &ip->saddr, config->side[WAN].address, transport);
    return TO_WAN;
}

/* From the wan: rewrites the destination. */
static enum verdict translate_in(struct worker *worker, struct iphdr *ip,
                                 const struct transport *transport, uint8_t *frame)
{
    const struct config *config = worker->config;
    struct ether_header *ethernet = (struct ether_header *)frame;
    struct bucket *bucket = &table.buckets[ntohs(*transport->destination) % BUCKETS];

    pthread_mutex_lock(&bucket->lock);
    struct mapping *mapping =
        mapping_find_port(bucket, transport->protocol, *transport->destination);
    if (mapping == NULL) {
        pthread_mutex_unlock(&bucket->lock);
        return DROP_UNMAPPED;
    }
    mapping_refresh(config, mapping, WAN, transport);
    if (mapping->hop == next_hop(config, ip->saddr)) /* the neighbour may have moved */
        memcpy(mapping->hop_mac, ethernet->ether_shost, ETH_ALEN);
    memcpy(ethernet->ether_dhost, mapping->lan_mac, ETH_ALEN);
    uint32_t address = mapping->address;
    uint16_t port = mapping->port;
    pthread_mutex_unlock(&bucket->lock);

    memcpy(ethernet->ether_shost, config->side[LAN].mac, ETH_ALEN);
    port_change(transport->destination, port, transport);
    address_change(ip, &ip->daddr, address, transport);
    return TO_LAN;
}

/*
 * An ICMP error about one of our flows. The packet it quotes went the other way, so of the quoted
 * one the source is rewritten where the error's destination is. A quoted address and its header
 * checksum change together and leave the ICMP checksum as it was; only the port changes it.
 */
static enum verdict translate_error(struct worker *worker, enum side side, struct iphdr *ip,
                                    struct icmphdr *icmp, size_t room, uint8_t *frame)
{
    static const struct transport no_sum = {.sum = NULL};
    const struct config *config = worker->config;
    struct ether_header *ethernet = (struct ether_header *)frame;
    struct iphdr *quoted = (struct iphdr *)(icmp + 1);
    struct transport transport = {.sum = &icmp->checksum};

    if (room < sizeof(*icmp) + sizeof(*quoted) + 8 || room < sizeof(*icmp) + quoted->ihl * 4u + 8 ||
        quoted->ihl < 5)
        return DROP_MALFORMED;
    uint16_t *words = (uint16_t *)((uint8_t *)quoted + quoted->ihl * 4);
    uint16_t *port = side == WAN ? &words[0] : &words[1];
    if (quoted->protocol == IPPROTO_ICMP) {
        if (((struct icmphdr *)words)->type != (side == WAN ? ICMP_ECHO : ICMP_ECHOREPLY))
            return DROP_UNHANDLED;
        port = &words[2];
    }
    transport.protocol = quoted->protocol == IPPROTO_TCP   ? TCP
                         : quoted->protocol == IPPROTO_UDP ? UDP
                                                           : ECHO;
    uint32_t *address = side == WAN ? &quoted->saddr : &quoted->daddr;
    unsigned b =
        side == WAN ? ntohs(*port) % BUCKETS : bucket_of(transport.protocol, *address, *port);
    struct bucket *bucket = &table.buckets[b];

    pthread_mutex_lock(&bucket->lock);
    struct mapping *mapping = side == WAN
                                  ? mapping_find_port(bucket, transport.protocol, *port)
                                  : mapping_find(bucket, transport.protocol, *address, *port);
    struct mapping copy = {0};
    if (mapping != NULL)
        copy = *mapping;
    pthread_mutex_unlock(&bucket->lock);
    if (mapping == NULL || (side == LAN && copy.hop == 0))
        return DROP_UNMAPPED;

    uint32_t to = side == WAN ? copy.address : config->side[WAN].address;
    port_change(port, side == WAN ? copy.port : copy.wan_port, &transport);
    address_change(quoted, address, to, &no_sum);
    address_change(ip, side == WAN ? &ip->daddr : &ip->saddr, to, &no_sum);
    memcpy(ethernet->ether_dhost, side == WAN ? copy.lan_mac : copy.hop_mac, ETH_ALEN);
    memcpy(ethernet->ether_shost, config->side[side == WAN ? LAN : WAN].mac, ETH_ALEN);
    return side == WAN ? TO_LAN : TO_WAN;
}

/* Answers a ping to one of our own addresses in place. False: it is something else. */
static bool echo_answer(struct iphdr *ip, size_t room, uint8_t *frame)
{
    struct ether_header *ethernet = (struct ether_header *)frame;
    struct icmphdr *icmp = (struct icmphdr *)((uint8_t *)ip + ip->ihl * 4);
    uint8_t mac[ETH_ALEN];
    uint32_t address = ip->saddr;

    if (ip->protocol != IPPROTO_ICMP || room < sizeof(*icmp) || icmp->type != ICMP_ECHO)
        return false;
    memcpy(mac, ethernet->ether_dhost, ETH_ALEN);
    memcpy(ethernet->ether_dhost, ethernet->ether_shost, ETH_ALEN);
    memcpy(ethernet->ether_shost, mac, ETH_ALEN);
    ip->saddr = ip->daddr;
    ip->daddr = address;
    checksum_change16(&icmp->checksum, htons(ICMP_ECHO << 8), htons(ICMP_ECHOREPLY << 8));
    icmp->type = ICMP_ECHOREPLY;
    return true;
}

static enum verdict icmp_handle(struct worker *worker, enum side side, struct iphdr *ip,
                                size_t room, uint8_t *frame, size_t *length)
{
    struct icmphdr *icmp = (struct icmphdr *)((uint8_t *)ip + ip->ihl * 4);
    struct transport transport = {
        ECHO, &icmp->un.echo.id, &icmp->un.echo.id, &icmp->checksum, false, NULL};

    if (room < sizeof(*icmp))
        return DROP_MALFORMED;
    if (icmp->type == ICMP_ECHO && side == LAN)
        return translate_out(worker, ip, &transport, frame, length);
    if (icmp->type == ICMP_ECHOREPLY && side == WAN)
        return translate_in(worker, ip, &transport, frame);
    if (icmp->type == ICMP_DEST_UNREACH || icmp->type == ICMP_TIME_EXCEEDED ||
        icmp->type == ICMP_PARAMETERPROB)
        return translate_error(worker, side, ip, icmp, room, frame);
    return DROP_UNHANDLED;
}

static enum verdict ip_handle(struct worker *worker, enum side side, uint8_t *frame, size_t *length)
{
    const struct config *config = worker->config;
    const struct ether_header *ethernet = (const struct ether_header *)frame;
    struct iphdr *ip = (struct iphdr *)(frame + ETH_HLEN);
    uint8_t *payload = (uint8_t *)ip + ip->ihl * 4;
    struct transport transport = {.pseudo_header = true};

    if (memcmp(ethernet->ether_dhost, config->side[side].mac, ETH_ALEN) != 0)
        return DROP_UNHANDLED;
    if (*length < ETH_HLEN + sizeof(*ip) || ip->version != 4 || ip->ihl < 5 ||
        ntohs(ip->tot_len) < ip->ihl * 4u || *length < ETH_HLEN + (size_t)ntohs(ip->tot_len))
        return DROP_MALFORMED;
    size_t room = ntohs(ip->tot_len) - ip->ihl * 4u;
    *length = ETH_HLEN + (size_t)ntohs(ip->tot_len);
    bool ours = ip->daddr == config->side[LAN].address || ip->daddr == config->side[WAN].address;
    if ((ip->frag_off & htons(IP_MF | IP_OFFMASK)) != 0)
        return DROP_UNHANDLED;
    if (ours && echo_answer(ip, room, frame))
        return side == LAN ? TO_LAN : TO_WAN;
    if (side == LAN ? ours : ip->daddr != config->side[WAN].address)
        return DROP_UNHANDLED;

    if (ip->ttl <= 1)
        return DROP_EXPIRED;
    checksum_change16(&ip->check, htons((uint16_t)(ip->ttl << 8)),
                      htons((uint16_t)((ip->ttl - 1) << 8)));
    ip->ttl--;
    if (ip->protocol == IPPROTO_ICMP)
        return icmp_handle(worker, side, ip, room, frame, length);
    if (ip->protocol == IPPROTO_TCP && room >= sizeof(struct tcphdr)) {
        struct tcphdr *tcp = (struct tcphdr *)payload;
        transport.protocol = TCP;
        transport.source = &tcp->source;
        transport.destination = &tcp->dest;
        transport.sum = &tcp->check;
        transport.tcp = tcp;
    } else if (ip->protocol == IPPROTO_UDP && room >= sizeof(struct udphdr)) {
        struct udphdr *udp = (struct udphdr *)payload;
        transport.protocol = UDP;
        transport.source = &udp->source;
        transport.destination = &udp->dest;
        if (udp->check != 0) /* zero: the sender computed none */
            transport.sum = &udp->check;
        else
            transport.pseudo_header = false;
    } else {
        return DROP_UNHANDLED;
    }
    return side == LAN ? translate_out(worker, ip, &transport, frame, length)
                       : translate_in(worker, ip, &transport, frame);
}

static enum verdict frame_handle(struct worker *worker, enum side side, uint8_t *frame,
                                 size_t *length)
{
    const struct ether_header *ethernet = (const struct ether_header *)frame;
    enum verdict back = side == LAN ? TO_LAN : TO_WAN;
    if (*length < ETH_HLEN || *length > FRAME_ROOM)
        return DROP_MALFORMED;
    if (ethernet->ether_type == htons(ETHERTYPE_IP))
        return ip_handle(worker, side, frame, length);
    if (ethernet->ether_type == htons(ETHERTYPE_ARP))
        return arp_handle(worker->config, side, frame, *length) ? back : DROP_UNHANDLED;
    return DROP_UNHANDLED;
}

/* ---- workers ---- */

static void batch_send(struct worker *worker, enum side side)
{
    struct batch *out = &worker->out[side];
    for (unsigned sent = 0; sent < out->count;) {
        int n = sendmmsg(worker->sockets[side], out->messages + sent, out->count - sent, 0);
        if (n <= 0) { /* the first of them cannot be sent: go on behind it */
            worker->counters.verdicts[DROP_UNSENT]++;
            n = 1;
        }
        sent += (unsigned)n;
    }
    out->count = 0;
}

static void batch_forward(struct worker *worker, enum side side)
{
    for (unsigned i = 0; i < BATCH; i++)
        worker->in.parts[i] = (struct iovec){worker->frames[i] + FRAME_PAD, FRAME_ROOM};
    int received = recvmmsg(worker->sockets[side], worker->in.messages, BATCH, MSG_DONTWAIT, NULL);
    if (received <= 0)
        return;

    for (int i = 0; i < received; i++) {
        size_t length = worker->in.messages[i].msg_len;
        uint8_t *frame = worker->frames[i] + FRAME_PAD;
        enum verdict verdict = frame_handle(worker, side, frame, &length);
        worker->counters.verdicts[verdict]++;
        if (verdict != TO_LAN && verdict != TO_WAN)
            continue;
        struct batch *out = &worker->out[verdict == TO_LAN ? LAN : WAN];
        out->parts[out->count++] = (struct iovec){frame, length};
    }
    batch_send(worker, LAN);
    batch_send(worker, WAN);

    pthread_mutex_lock(&statistics.lock);
    for (unsigned v = 0; v < VERDICTS; v++)
        statistics.sum.verdicts[v] += worker->counters.verdicts[v];
    statistics.sum.created += worker->counters.created;
    pthread_mutex_unlock(&statistics.lock);
    memset(&worker->counters, 0, sizeof(worker->counters));
}

static void *worker_run(void *argument)
{
    struct worker *worker = argument;
    struct pollfd ready[SIDES] = {{.fd = worker->sockets[LAN], .events = POLLIN},
                                  {.fd = worker->sockets[WAN], .events = POLLIN}};
    for (;;) {
        if (poll(ready, SIDES, -1) <= 0)
            continue;
        for (enum side side = LAN; side < SIDES; side++)
            if (ready[side].revents != 0)
                batch_forward(worker, side);
    }
    return NULL;
}

static void die(const char *what)
{
    perror(what);
    exit(EXIT_FAILURE);
}

/* A socket on the interface that shares its packets with the other workers' ones by flow. */
static int socket_open(const struct interface *interface, int group)
{
    int on = 1, room = RECEIVE_BUFFER_BYTES, fanout = group | PACKET_FANOUT_HASH << 16;
    struct sockaddr_ll address = {
        .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = interface->index};
    int fd = socket(AF_PACKET, SOCK_RAW, 0); /* receives nothing until bound */
    if (fd < 0)
        die("nat: socket");
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
    if (setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on)) != 0 ||
        bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        setsockopt(fd, SOL_PACKET, PACKET_FANOUT, &fanout, sizeof(fanout)) != 0)
        die(interface->name);
    return fd;
}

static struct worker *worker_open(const struct config *config)
{
    struct worker *worker = calloc(1, sizeof(*worker));
    if (worker == NULL)
        die("nat: worker");
    worker->config = config;
    for (enum side side = LAN; side < SIDES; side++)
        worker->sockets[side] =
            socket_open(&config->side[side], (getpid() * SIDES + (int)side) & 0xffff);
    for (unsigned i = 0; i < BATCH; i++) {
        worker->in.messages[i].msg_hdr =
            (struct msghdr){.msg_iov = &worker->in.parts[i], .msg_iovlen = 1};
        for (enum side side = LAN; side < SIDES; side++)
            worker->out[side].messages[i].msg_hdr =
                (struct msghdr){.msg_iov = &worker->out[side].parts[i], .msg_iovlen = 1};
    }
    return worker;
}

/* ---- main ---- */

static void interface_open(struct interface *interface)
{
    struct ifreq request = {0};
    int fd = socket(AF_PACKET, SOCK_RAW, 0);
    if (fd < 0)
        die("nat: socket");
    interface->index = (int)if_nametoindex(interface->name);
    snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", interface->name);
    if (interface->index == 0 || ioctl(fd, SIOCGIFHWADDR, &request) != 0)
        die(interface->name);
    memcpy(interface->mac, request.ifr_hwaddr.sa_data, ETH_ALEN);
    close(fd);
}

static void statistics_print(void)
{
    struct counters sum;
    pthread_mutex_lock(&statistics.lock);
    sum = statistics.sum;
    pthread_mutex_unlock(&statistics.lock);
    printf("mappings %llu", (unsigned long long)(sum.created - sum.expired));
    for (unsigned v = 0; v < VERDICTS; v++)
        printf(" %s %llu", verdict_names[v], (unsigned long long)sum.verdicts[v]);
    printf("\n");
    fflush(stdout);
}

static void clock_read(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    now_s = now.tv_sec;
}

/* Sleeps for a second, or until a worker finds no port. */
static void housekeeping_wait(void)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec++;
    pthread_mutex_lock(&ports.lock);
    if (!ports.exhausted)
        pthread_cond_timedwait(&ports.wanted, &ports.lock, &until);
    ports.exhausted = false;
    pthread_mutex_unlock(&ports.lock);
}

int main(int argc, char **argv)
{
    static struct config config = {.workers = 2,
                                   .first_port = 20000,
                                   .last_port = 60000,
                                   .timeout_tcp_s = 3600,
                                   .timeout_udp_s = 120};

    options_parse(&config, argc, argv);
    for (enum side side = LAN; side < SIDES; side++)
        interface_open(&config.side[side]);
    pthread_mutex_init(&ports.lock, NULL);
    pthread_cond_init(&ports.wanted, NULL);
    pthread_mutex_init(&neighbours.lock, NULL);
    pthread_mutex_init(&statistics.lock, NULL);
    for (unsigned b = 0; b < BUCKETS; b++)
        pthread_mutex_init(&table.buckets[b].lock, NULL);
    if (getrandom(&ports.turn, sizeof(ports.turn), 0) != sizeof(ports.turn))
        die("nat: random port");
    clock_read();

    struct worker *workers[WORKERS_MAX];
    for (unsigned w = 0; w < config.workers; w++)
        workers[w] = worker_open(&config);
    for (unsigned w = 0; w < config.workers; w++)
        if (pthread_create(&workers[w]->thread, NULL, worker_run, workers[w]) != 0)
            die("nat: worker thread");
    printf("nat: %s and %s, %u workers\n", config.side[LAN].name, config.side[WAN].name,
           config.workers);
    fflush(stdout);

    for (int64_t printed_s = now_s;;) {
        housekeeping_wait();
        clock_read();
        mappings_expire();
        if (config.verbose && now_s >= printed_s + 5) {
            statistics_print();
            printed_s = now_s;
        }
    }
}
