/*
 * A paced stream of numbered UDP packets over many flows, from one namespace to another, for
 * bench/recovery: what the path loses, doubles or reorders, and where it stood still.
 *
 *   flowload NETNS DEVICE ADDRESS GATEWAY-MAC NETNS PORT
 *
 * sends Ethernet frames from DEVICE in the first namespace by GATEWAY-MAC to ADDRESS:PORT, where
 * the second namespace must receive them. Two threads, one a namespace. Commands on stdin, a line
 * each; each is answered by one line of JSON:
 *
 *   rate N     packets a second from now on; 0 pauses
 *   flows N    they belong to this many flows, in random order; each has its own address and port
 *   fill N     one packet of each of N flows at the present rate, then as before
 *   report     counts since the last report, and pauses of GAP_NS and more between arrivals
 *   stop
 */
#define _GNU_SOURCE 1
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAGIC 0x666c6f77u
#define BATCH 32
#define FLOWS_MAX (4u << 20)
#define NUMBERS_MAX (UINT64_C(1) << 33)
#define FLOW_NETWORK 0x0a400000u /* 10.64.0.0, beside all networks of the demonstration */
#define PORT_FIRST 1024u
#define PORTS_A_HOST 50000u
#define GAP_NS 1000000
#define GAPS_MAX 65536
#define NAP_NS 100000
#define BURST_NS 5000000 /* who was not scheduled for longer does not make up for it */
#define SOCKET_BYTES (64 << 20)

struct payload {
    uint32_t magic, flow;
    uint64_t number; /* of all packets, from 0 */
};

struct packet {
    struct ether_header ethernet;
    struct iphdr ip;
    struct udphdr udp;
    struct payload payload;
} __attribute__((packed));

static struct {
    _Atomic uint32_t rate, flows, fill; /* fill: flows that are still to be visited */
    _Atomic uint64_t sent, unsent;
    _Atomic bool stop;
} control = {.flows = 1};

static struct {
    pthread_mutex_t lock;
    uint64_t received, doubled, reordered;
    int64_t heard_ns;
    uint32_t gap_count;
    struct gap {
        int64_t since_ns, to_ns;
    } gaps[GAPS_MAX];
    uint8_t *seen;            /* a bit a number */
    uint64_t last[FLOWS_MAX]; /* highest number of a flow, plus one */
} arrivals = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct {
    const char *device, *source_space, *target_space;
    uint32_t address;
    uint16_t port;
    uint8_t mac[ETH_ALEN];
} path;

static void die(const char *what)
{
    perror(what);
    exit(2);
}

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void enter(const char *netns)
{
    char name[128];
    snprintf(name, sizeof name, "/run/netns/%s", netns);
    int space = open(name, O_RDONLY | O_CLOEXEC);
    if (space < 0 || setns(space, CLONE_NEWNET) < 0)
        die(name);
    close(space);
}

/* ---- sending ---- */

static uint16_t ip_sum(const struct iphdr *ip)
{
    const uint16_t *words = (const uint16_t *)(const void *)ip;
    uint32_t sum = 0;
    for (unsigned i = 0; i < sizeof *ip / 2; i++)
        sum += words[i];
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t) ~(sum + (sum >> 16));
}

static uint32_t flow_next(uint64_t *random)
{
    uint32_t fill = atomic_load(&control.fill);
    if (fill > 0) {
        atomic_store(&control.fill, fill - 1);
        return fill - 1;
    }
    *random = *random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((*random >> 32) * atomic_load(&control.flows) >> 32);
}

static void packet_make(struct packet *packet, uint32_t flow, uint64_t number)
{
    *packet = (struct packet){
        .ethernet = {.ether_type = htons(ETHERTYPE_IP)},
        .ip = {.version = 4,
               .ihl = 5,
               .tot_len = htons(sizeof *packet - ETH_HLEN),
               .ttl = 64,
               .protocol = IPPROTO_UDP,
               .saddr = htonl(FLOW_NETWORK + 1 + flow / PORTS_A_HOST),
               .daddr = path.address},
        .udp = {.source = htons((uint16_t)(PORT_FIRST + flow % PORTS_A_HOST)),
                .dest = htons(path.port),
                .len = htons(sizeof packet->udp + sizeof packet->payload)},
        .payload = {.magic = MAGIC, .flow = flow, .number = number},
    };
    memcpy(packet->ethernet.ether_dhost, path.mac, ETH_ALEN);
    packet->ethernet.ether_shost[0] = 2;
    struct iphdr ip;
    memcpy(&ip, &packet->ip, sizeof ip);
    packet->ip.check = ip_sum(&ip);
}

static int sender_open(void)
{
    int on = 1;
    enter(path.source_space);
    int fd = socket(AF_PACKET, SOCK_RAW, 0);
    struct sockaddr_ll at = {.sll_family = AF_PACKET,
                             .sll_ifindex = (int)if_nametoindex(path.device)};
    if (fd < 0 || at.sll_ifindex == 0 || bind(fd, (struct sockaddr *)&at, sizeof at) < 0)
        die(path.device);
    setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof on);
    return fd;
}

static void *sender_run(void *argument)
{
    static struct packet packets[BATCH];
    static struct iovec parts[BATCH];
    static struct mmsghdr messages[BATCH];
    int fd = *(int *)argument;
    uint64_t random = 1, number = 0;
    uint32_t rate = 0;
    int64_t since_ns = 0; /* `owed` packets were due by then */
    double owed = 0;

    for (unsigned i = 0; i < BATCH; i++) {
        parts[i] = (struct iovec){&packets[i], sizeof packets[i]};
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1};
    }
    while (!atomic_load(&control.stop)) {
        uint32_t wanted = atomic_load(&control.rate);
        int64_t now = now_ns();
        if (wanted != rate || rate == 0) {
            rate = wanted;
            since_ns = now;
            owed = 0;
        }
        int64_t passed_ns = now - since_ns < BURST_NS ? now - since_ns : BURST_NS;
        owed += (double)passed_ns * rate / 1e9;
        since_ns = now;
        while (owed >= 1) {
            unsigned count = owed < BATCH ? (unsigned)owed : BATCH;
            for (unsigned i = 0; i < count; i++)
                packet_make(&packets[i], flow_next(&random), number + i);
            int sent = sendmmsg(fd, messages, count, 0);
            if (sent <= 0) { /* the numbers are used again */
                atomic_fetch_add(&control.unsent, count);
                break;
            }
            number += (unsigned)sent;
            owed -= sent;
            atomic_fetch_add(&control.sent, (unsigned)sent);
        }
        nanosleep(&(struct timespec){.tv_nsec = NAP_NS}, NULL);
    }
    return NULL;
}

/* ---- receiving ---- */

static int receiver_open(void)
{
    int bytes = SOCKET_BYTES;
    struct timeval patience = {.tv_usec = 100000};
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(path.port)};
    enter(path.target_space);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof at) < 0)
        die("the receiver's port");
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    return fd;
}

static void arrived(const struct payload *payload)
{
    if (payload->magic != MAGIC || payload->flow >= FLOWS_MAX || payload->number >= NUMBERS_MAX)
        return;
    uint8_t bit = (uint8_t)(1u << payload->number % 8);
    uint8_t *seen = &arrivals.seen[payload->number / 8];
    if (*seen & bit) {
        arrivals.doubled++;
        return;
    }
    *seen |= bit;
    arrivals.received++;
    uint64_t *last = &arrivals.last[payload->flow];
    if (payload->number < *last)
        arrivals.reordered++;
    else
        *last = payload->number + 1;
}

static void *receiver_run(void *argument)
{
    static struct payload payloads[BATCH];
    static struct iovec parts[BATCH];
    static struct mmsghdr messages[BATCH];
    int fd = *(int *)argument;

    for (unsigned i = 0; i < BATCH; i++) {
        parts[i] = (struct iovec){&payloads[i], sizeof payloads[i]};
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1};
    }
    while (!atomic_load(&control.stop)) {
        int count = recvmmsg(fd, messages, BATCH, MSG_WAITFORONE, NULL);
        if (count <= 0)
            continue;
        int64_t now = now_ns();
        pthread_mutex_lock(&arrivals.lock);
        for (int i = 0; i < count; i++)
            if (messages[i].msg_len == sizeof payloads[i])
                arrived(&payloads[i]);
        if (arrivals.heard_ns != 0 && now - arrivals.heard_ns >= GAP_NS &&
            arrivals.gap_count < GAPS_MAX)
            arrivals.gaps[arrivals.gap_count++] = (struct gap){arrivals.heard_ns, now};
        arrivals.heard_ns = now;
        pthread_mutex_unlock(&arrivals.lock);
    }
    return NULL;
}

/* ---- commands ---- */

static void report(void)
{
    static struct gap gaps[GAPS_MAX];
    static uint64_t sent_before, unsent_before;
    pthread_mutex_lock(&arrivals.lock);
    uint64_t received = arrivals.received, doubled = arrivals.doubled,
             reordered = arrivals.reordered;
    uint32_t count = arrivals.gap_count;
    memcpy(gaps, arrivals.gaps, count * sizeof *gaps);
    arrivals.received = arrivals.doubled = arrivals.reordered = 0;
    arrivals.gap_count = 0;
    pthread_mutex_unlock(&arrivals.lock);
    uint64_t sent = atomic_load(&control.sent), unsent = atomic_load(&control.unsent);
    printf("{\"sent\":%llu,\"unsent\":%llu,\"received\":%llu,\"doubled\":%llu,\"reordered\":%llu,"
           "\"gaps\":[",
           (unsigned long long)(sent - sent_before), (unsigned long long)(unsent - unsent_before),
           (unsigned long long)received, (unsigned long long)doubled,
           (unsigned long long)reordered);
    for (uint32_t i = 0; i < count; i++)
        printf("%s[%lld,%lld]", i > 0 ? "," : "", (long long)gaps[i].since_ns,
               (long long)gaps[i].to_ns);
    printf("]}\n");
    sent_before = sent;
    unsent_before = unsent;
}

static void obey(const char *line)
{
    unsigned number = 0;
    if (sscanf(line, "rate %u", &number) == 1) {
        atomic_store(&control.rate, number);
    } else if (sscanf(line, "flows %u", &number) == 1 && number > 0 && number <= FLOWS_MAX) {
        atomic_store(&control.flows, number);
    } else if (sscanf(line, "fill %u", &number) == 1 && number <= FLOWS_MAX) {
        atomic_store(&control.fill, number);
        while (atomic_load(&control.fill) > 0)
            nanosleep(&(struct timespec){.tv_nsec = NAP_NS}, NULL);
    } else if (strcmp(line, "report\n") == 0) {
        report();
        return;
    } else if (strcmp(line, "stop\n") == 0) {
        atomic_store(&control.stop, true);
    } else {
        printf("{\"error\":\"no such command, or a number out of range\"}\n");
        return;
    }
    printf("{}\n");
}

int main(int argc, char **argv)
{
    char line[128];
    pthread_t threads[2];

    if (argc != 7 || inet_pton(AF_INET, argv[3], &path.address) != 1 ||
        sscanf(argv[4], "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &path.mac[0], &path.mac[1], &path.mac[2],
               &path.mac[3], &path.mac[4], &path.mac[5]) != ETH_ALEN) {
        fprintf(stderr, "usage: flowload NETNS DEVICE ADDRESS GATEWAY-MAC NETNS PORT\n");
        return 64;
    }
    path.source_space = argv[1];
    path.device = argv[2];
    path.target_space = argv[5];
    path.port = (uint16_t)atoi(argv[6]);
    arrivals.seen = mmap(NULL, NUMBERS_MAX / 8, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (arrivals.seen == MAP_FAILED)
        die("memory");
    int receiver = receiver_open(), sender = sender_open();
    if (pthread_create(&threads[0], NULL, receiver_run, &receiver) != 0 ||
        pthread_create(&threads[1], NULL, sender_run, &sender) != 0)
        die("thread");
    setvbuf(stdout, NULL, _IOLBF, 0);
    while (!atomic_load(&control.stop) && fgets(line, sizeof line, stdin) != NULL)
        obey(line);
    atomic_store(&control.stop, true);
    for (unsigned i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    return 0;
}
