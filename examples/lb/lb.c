/*
 * lb: a load balancer for TCP and UDP over IPv4, on two interfaces by AF_XDP. Clients on the lan
 * talk to one virtual address; the backends on the wan see the clients' own addresses and answer
 * through lb, their gateway. The destination is rewritten on the way there, the source on the way
 * back.
 *
 * Threads. One worker a side moves what comes in there. The main thread watches the file of
 * backends.
 *
 * State, and what guards it. Locks are taken in this order:
 *   backends.lock            backends, weights, hardware addresses, the hash ring (rwlock)
 *   flow_buckets[].lock      which backend a flow belongs to (spin lock)
 *   ports[].send_lock        a side's send and completion rings (spin lock)
 *   pool.lock                free frames (spin lock; the last two never together)
 *   totals                   atomics
 *
 * A flow stays with its backend as long as that is listed, whatever its weight becomes; new ones go
 * where the hash ring says. Fragments are dropped. The interfaces carry no address of the kernel's:
 * lb answers ARP and pings for its own addresses and asks for those of the backends.
 */
#define _GNU_SOURCE 1
#include <fcntl.h>
#include <net/if_arp.h>
#include <netinet/if_ether.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <time.h>

#include "../common/checksum.h"
#include "flows.h"
#include "port.h"

#define ASK_MS 200 /* pause between questions for a backend's hardware address */
#define FILE_BYTES_MAX 8192
#define SEND_TRIES 1000

/* What becomes of a received frame. */
enum verdict {
    TO_LAN,
    TO_WAN,
    DROP_MALFORMED,
    DROP_UNHANDLED, /* not for us, or of a kind we do not balance */
    DROP_NO_BACKEND,
    DROP_UNRESOLVED, /* the backend's hardware address is not known yet */
    DROP_NO_FLOW,    /* a backend's packet that nobody asked for */
    DROP_UNSENT,
    VERDICTS
};
static const char *const verdict_names[VERDICTS] = {
    "to-lan", "to-wan", "malformed", "unhandled", "no-backend", "unresolved", "no-flow", "unsent"};

static struct {
    _Atomic uint64_t verdicts[VERDICTS], flows;
} totals;

static struct config config = {.reload_ms = 200, .idle_s = 300, .flows = 16384};

struct worker {
    pthread_t thread;
    enum side side;
    int64_t now_s, asked_ms;
    struct xdp_desc out[SIDES][BATCH];
    unsigned out_count[SIDES];
    uint64_t dropped[BATCH];
    unsigned dropped_count;
};

static int64_t clock_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000ll + now.tv_nsec / 1000000;
}

static void count(enum verdict verdict, unsigned packets)
{
    atomic_fetch_add_explicit(&totals.verdicts[verdict], packets, memory_order_relaxed);
}

/* ---- ARP and ICMP echo: what the kernel would do for its own addresses ---- */

static void arp_fill(uint8_t *frame, const uint8_t *from, uint16_t operation, uint32_t sender,
                     const uint8_t *to, uint32_t target)
{
    struct ether_header *ethernet = (struct ether_header *)frame;
    struct ether_arp *arp = (struct ether_arp *)(frame + ETH_HLEN);

    memcpy(arp->arp_tha, to, ETH_ALEN);
    memcpy(ethernet->ether_dhost, to, ETH_ALEN);
    memcpy(ethernet->ether_shost, from, ETH_ALEN);
    memcpy(arp->arp_sha, from, ETH_ALEN);
    memcpy(arp->arp_spa, &sender, 4);
    memcpy(arp->arp_tpa, &target, 4);
    ethernet->ether_type = htons(ETHERTYPE_ARP);
    arp->arp_hrd = htons(ARPHRD_ETHER);
    arp->arp_pro = htons(ETHERTYPE_IP);
    arp->arp_hln = ETH_ALEN;
    arp->arp_pln = 4;
    arp->arp_op = htons(operation);
}

static void learn(uint32_t address, const uint8_t *mac)
{
    char text[INET_ADDRSTRLEN];
    if (!backend_learn(address, mac))
        return;
    printf("lb: backend %s is at %02x:%02x:%02x:%02x:%02x:%02x\n",
           inet_ntop(AF_INET, &address, text, sizeof(text)), mac[0], mac[1], mac[2], mac[3], mac[4],
           mac[5]);
    fflush(stdout);
}

static enum verdict arp_handle(enum side side, uint8_t *frame, size_t length)
{
    static const uint8_t nobody[ETH_ALEN];
    const struct ether_arp *arp = (const struct ether_arp *)(frame + ETH_HLEN);
    uint8_t asker[ETH_ALEN];
    uint32_t sender, target;

    if (length < ETH_HLEN + sizeof(*arp) || arp->arp_hrd != htons(ARPHRD_ETHER) ||
        arp->arp_pro != htons(ETHERTYPE_IP) || arp->arp_hln != ETH_ALEN || arp->arp_pln != 4)
        return DROP_MALFORMED;
    memcpy(&sender, arp->arp_spa, 4);
    memcpy(&target, arp->arp_tpa, 4);
    memcpy(asker, arp->arp_sha, ETH_ALEN);
    if (side == WAN && memcmp(asker, nobody, ETH_ALEN) != 0)
        learn(sender, asker);
    if (arp->arp_op != htons(ARPOP_REQUEST) || target != config.address[side])
        return DROP_UNHANDLED;
    arp_fill(frame, ports[side].mac, ARPOP_REPLY, target, asker, sender);
    return side == LAN ? TO_LAN : TO_WAN;
}

/* Asks for every backend whose hardware address is missing. The wan's worker. */
static void backends_ask(void)
{
    static const uint8_t everybody[ETH_ALEN] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    uint32_t address;
    uint64_t frame;

    for (unsigned next = 0;;) {
        pthread_rwlock_rdlock(&backends.lock);
        bool wanted = backend_unresolved(&next, &address);
        pthread_rwlock_unlock(&backends.lock);
        if (!wanted || frames_take(&frame, 1) == 0)
            return;
        arp_fill(frame_bytes(frame), ports[WAN].mac, ARPOP_REQUEST, config.address[WAN], everybody,
                 address);
        struct xdp_desc packet = {.addr = frame, .len = ETH_HLEN + sizeof(struct ether_arp)};
        if (port_send(&ports[WAN], &packet, 1) == 0)
            frames_give(&frame, 1);
    }
}

static enum verdict echo_answer(enum side side, struct iphdr *ip, size_t room, uint8_t *frame)
{
    struct ether_header *ethernet = (struct ether_header *)frame;
    struct icmphdr *icmp = (struct icmphdr *)((uint8_t *)ip + ip->ihl * 4);
    uint32_t address = ip->saddr;

    if (room < sizeof(*icmp) || icmp->type != ICMP_ECHO)
        return DROP_UNHANDLED;
    memcpy(ethernet->ether_dhost, ethernet->ether_shost, ETH_ALEN);
    memcpy(ethernet->ether_shost, ports[side].mac, ETH_ALEN);
    ip->saddr = ip->daddr;
    ip->daddr = address;
    checksum_change16(&icmp->checksum, htons(ICMP_ECHO << 8), htons(ICMP_ECHOREPLY << 8));
    icmp->type = ICMP_ECHOREPLY;
    return side == LAN ? TO_LAN : TO_WAN;
}

/* ---- balancing ---- */

struct transport {
    uint16_t source, destination;
    uint16_t *sum; /* covers the addresses; NULL: the sender computed none */
};

static bool transport_parse(const struct iphdr *ip, size_t room, struct transport *transport)
{
    uint8_t *header = (uint8_t *)ip + ip->ihl * 4;

    if (ip->protocol == IPPROTO_TCP && room >= sizeof(struct tcphdr)) {
        struct tcphdr *tcp = (struct tcphdr *)header;
        *transport = (struct transport){tcp->source, tcp->dest, &tcp->check};
        return true;
    }
    if (ip->protocol == IPPROTO_UDP && room >= sizeof(struct udphdr)) {
        struct udphdr *udp = (struct udphdr *)header;
        *transport =
            (struct transport){udp->source, udp->dest, udp->check != 0 ? &udp->check : NULL};
        return true;
    }
    return false;
}

static void address_change(struct iphdr *ip, uint32_t *address, uint32_t to,
                           const struct transport *transport)
{
    checksum_change32(&ip->check, *address, to);
    if (transport->sum != NULL)
        checksum_change32(transport->sum, *address, to);
    *address = to;
}

static enum verdict to_backend(const struct worker *worker, struct iphdr *ip,
                               const struct transport *transport, uint8_t *frame)
{
    struct ether_header *ethernet = (struct ether_header *)frame;
    const struct flow_key key = {ip->saddr, transport->source, transport->destination,
                                 ip->protocol};
    struct backend backend;
    bool created;

    if (!flow_to_backend(&key, ethernet->ether_shost, worker->now_s, config.idle_s, &backend,
                         &created))
        return DROP_NO_BACKEND;
    if (created)
        atomic_fetch_add_explicit(&totals.flows, 1, memory_order_relaxed);
    if (!backend.resolved)
        return DROP_UNRESOLVED;
    memcpy(ethernet->ether_dhost, backend.mac, ETH_ALEN);
    memcpy(ethernet->ether_shost, ports[WAN].mac, ETH_ALEN);
    address_change(ip, &ip->daddr, backend.address, transport);
    return TO_WAN;
}

static enum verdict to_client(const struct worker *worker, struct iphdr *ip,
                              const struct transport *transport, uint8_t *frame)
{
    struct ether_header *ethernet = (struct ether_header *)frame;
    const struct flow_key key = {ip->daddr, transport->destination, transport->source,
                                 ip->protocol};

    if (!flow_to_client(&key, ip->saddr, worker->now_s, config.idle_s, ethernet->ether_dhost))
        return DROP_NO_FLOW;
    memcpy(ethernet->ether_shost, ports[LAN].mac, ETH_ALEN);
    address_change(ip, &ip->saddr, config.address[LAN], transport);
    return TO_LAN;
}

static enum verdict ip_handle(const struct worker *worker, uint8_t *frame, uint32_t *length)
{
    const struct ether_header *ethernet = (const struct ether_header *)frame;
    struct iphdr *ip = (struct iphdr *)(frame + ETH_HLEN);
    struct transport transport;

    if (memcmp(ethernet->ether_dhost, ports[worker->side].mac, ETH_ALEN) != 0)
        return DROP_UNHANDLED;
    if (*length < ETH_HLEN + sizeof(*ip) || ip->version != 4 || ip->ihl < 5 ||
        ntohs(ip->tot_len) < ip->ihl * 4u || *length < ETH_HLEN + (uint32_t)ntohs(ip->tot_len))
        return DROP_MALFORMED;
    size_t room = ntohs(ip->tot_len) - ip->ihl * 4u;
    *length = ETH_HLEN + (uint32_t)ntohs(ip->tot_len);
    if ((ip->frag_off & htons(IP_MF | IP_OFFMASK)) != 0)
        return DROP_UNHANDLED;
    bool ours = ip->daddr == config.address[worker->side];
    if (ours && ip->protocol == IPPROTO_ICMP)
        return echo_answer(worker->side, ip, room, frame);
    if (ours != (worker->side == LAN) || ip->ttl <= 1 || !transport_parse(ip, room, &transport))
        return DROP_UNHANDLED;
    checksum_change16(&ip->check, htons((uint16_t)(ip->ttl << 8)),
                      htons((uint16_t)((ip->ttl - 1) << 8)));
    ip->ttl--;
    return worker->side == LAN ? to_backend(worker, ip, &transport, frame)
                               : to_client(worker, ip, &transport, frame);
}

static enum verdict frame_handle(const struct worker *worker, uint8_t *frame, uint32_t *length)
{
    const struct ether_header *ethernet = (const struct ether_header *)frame;
    if (*length < ETH_HLEN)
        return DROP_MALFORMED;
    if (ethernet->ether_type == htons(ETHERTYPE_IP))
        return ip_handle(worker, frame, length);
    if (ethernet->ether_type == htons(ETHERTYPE_ARP))
        return arp_handle(worker->side, frame, *length);
    return DROP_UNHANDLED;
}

/* ---- workers ---- */

/* Waits a little for room: what cannot leave now is dropped. */
static void worker_flush(struct worker *worker, enum side side)
{
    const struct xdp_desc *packets = worker->out[side];
    unsigned wanted = worker->out_count[side], sent = 0;

    for (unsigned tries = 0; sent == 0 && tries < SEND_TRIES; tries++) {
        if (tries > 0)
            sched_yield();
        sent = port_send(&ports[side], packets, wanted);
    }
    for (unsigned i = sent; i < wanted; i++)
        worker->dropped[worker->dropped_count++] = packets[i].addr;
    count(DROP_UNSENT, wanted - sent);
    count(side == LAN ? TO_LAN : TO_WAN, sent);
    worker->out_count[side] = 0;
}

static void batch_forward(struct worker *worker)
{
    struct port *port = &ports[worker->side];
    uint32_t at;
    unsigned received = xsk_ring_cons__peek(&port->rx, BATCH, &at);

    for (unsigned i = 0; i < received; i++) {
        struct xdp_desc packet = *xsk_ring_cons__rx_desc(&port->rx, at + i);
        enum verdict verdict = frame_handle(worker, frame_bytes(packet.addr), &packet.len);
        if (verdict == TO_LAN || verdict == TO_WAN) {
            enum side side = verdict == TO_LAN ? LAN : WAN;
            worker->out[side][worker->out_count[side]++] = packet;
        } else {
            count(verdict, 1);
            worker->dropped[worker->dropped_count++] = packet.addr;
        }
    }
    if (received == 0)
        return;
    xsk_ring_cons__release(&port->rx, received);
    port->filled -= received;
    for (enum side side = LAN; side < SIDES; side++)
        if (worker->out_count[side] > 0)
            worker_flush(worker, side);
    frames_give(worker->dropped, worker->dropped_count);
    worker->dropped_count = 0;
}

static void *worker_run(void *argument)
{
    struct worker *worker = argument;
    struct pollfd ready = {.fd = xsk_socket__fd(ports[worker->side].socket), .events = POLLIN};

    for (;;) {
        poll(&ready, 1, ASK_MS);
        int64_t now_ms = clock_ms();
        worker->now_s = now_ms / 1000;
        batch_forward(worker);
        port_fill(&ports[worker->side]);
        if (worker->side == WAN && now_ms >= worker->asked_ms + ASK_MS) {
            backends_ask();
            worker->asked_ms = now_ms;
        }
    }
    return NULL;
}

/* ---- main ---- */

/* Takes the file's backends over when it is not as it was. False: it cannot be read. */
static bool backends_watch(void)
{
    static char before[FILE_BYTES_MAX + 1], text[FILE_BYTES_MAX + 1], line[FILE_BYTES_MAX + 1];
    ssize_t length;
    int fd = open(config.backends, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return false;
    length = read(fd, text, FILE_BYTES_MAX);
    close(fd);
    if (length < 0)
        return false;
    text[length] = '\0';
    if (strcmp(text, before) == 0)
        return true;
    strcpy(before, text);
    strcpy(line, text);
    unsigned listed, wrong = backends_replace(line, &listed);
    if (wrong > 0)
        printf("lb: %s:%u: not \"ADDRESS WEIGHT\": the backends stay as they were\n",
               config.backends, wrong);
    else
        printf("lb: %u backends\n", listed);
    fflush(stdout);
    return true;
}

static void totals_print(void)
{
    printf("flows %llu", (unsigned long long)atomic_load(&totals.flows));
    for (unsigned v = 0; v < VERDICTS; v++)
        printf(" %s %llu", verdict_names[v], (unsigned long long)atomic_load(&totals.verdicts[v]));
    printf("\n");
    fflush(stdout);
}

int main(int argc, char **argv)
{
    options_parse(&config, argc, argv);
    const struct timespec pause = {config.reload_ms / 1000, config.reload_ms % 1000 * 1000000l};
    pthread_rwlock_init(&backends.lock, NULL);
    if (!backends_watch())
        die(config.backends);
    struct worker *workers = calloc(SIDES, sizeof(*workers));
    if (workers == NULL || !flows_open(config.flows) || !ports_open())
        die("memory");
    for (enum side side = LAN; side < SIDES; side++)
        port_open(&ports[side], config.interface[side], config.queue);
    for (enum side side = LAN; side < SIDES; side++) {
        workers[side].side = side;
        if (pthread_create(&workers[side].thread, NULL, worker_run, &workers[side]) != 0)
            die("worker thread");
    }
    printf("lb: ready, %s and %s\n", config.interface[LAN], config.interface[WAN]);
    fflush(stdout);

    for (int64_t printed_ms = clock_ms();;) {
        nanosleep(&pause, NULL);
        backends_watch(); /* an editor may just be replacing the file */
        if (config.verbose && clock_ms() >= printed_ms + 1000) {
            totals_print();
            printed_ms += 1000;
        }
    }
}
