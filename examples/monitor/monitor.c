/*
 * monitor: a flow probe. It looks at the packets of its interfaces by libpcap, counts them by flow
 * and altogether, appends the totals to a file, and exports flows as NetFlow version 5.
 *
 * Threads. One captures on each interface. One reports: in every interval it exports the flows that
 * have ended or gone on for long, and writes a line of totals. The main thread waits for the signal
 * to stop.
 *
 * State, and what guards it.
 *   flows.buckets[].lock   the flows of one bucket (flows.h)
 *   totals                 atomics: every capturing thread adds to them, the reporter reads them
 *   stopping               set by the signal's handler, read by all
 *   reporter               the reporting thread's own; the main thread's once that has ended
 *
 * A report's totals are read one by one while packets go on: they need not belong to one instant,
 * but none ever goes back.
 */
#define _GNU_SOURCE 1
#include <fcntl.h>
#include <inttypes.h>
#include <net/ethernet.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <pcap/pcap.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include "config.h"
#include "netflow.h"

#define SNAPLEN 128 /* headers only */
#define CAPTURE_BUFFER_BYTES (16 << 20)
#define CAPTURE_TIMEOUT_MS 10
#define CAPTURE_BATCH 256
#define STOP_POLL_NS 50000000
#define COLLECTED 64

enum kind { TCP, UDP, ICMP, OTHER, KINDS };
static const char *const kind_names[KINDS] = {"tcp", "udp", "icmp", "other"};

static struct {
    _Atomic uint64_t packets, bytes, kinds[KINDS];
    _Atomic uint64_t malformed, uncounted; /* no IPv4 packet; no memory for its flow */
    _Atomic uint64_t flows_seen, flows_ended;
    _Atomic uint32_t longest; /* bytes of the longest packet */
} totals;

struct capture {
    pthread_t thread;
    const char *name;
    uint16_t number; /* of the interface, from 1 */
    pcap_t *pcap;
};

struct reporter {
    pthread_t thread;
    const struct config *config;
    struct capture *captures;
    int report_fd; /* -1: no report */
    uint64_t reports;
    struct netflow netflow;
};

static volatile sig_atomic_t stopping;

static int64_t clock_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec * 1000ll + now.tv_nsec / 1000000;
}

/* ---- capturing ---- */

static void longest_raise(uint32_t bytes)
{
    uint32_t longest = atomic_load_explicit(&totals.longest, memory_order_relaxed);
    while (bytes > longest &&
           !atomic_compare_exchange_weak_explicit(&totals.longest, &longest, bytes,
                                                  memory_order_relaxed, memory_order_relaxed))
        ;
}

static void add(_Atomic uint64_t *total, uint64_t count)
{
    atomic_fetch_add_explicit(total, count, memory_order_relaxed);
}

/* Fills in what the transport's header says, as far as it was captured. */
static enum kind transport_parse(struct flow_key *key, const uint8_t *header, size_t room,
                                 uint8_t *tcp_flags)
{
    if (key->protocol == IPPROTO_TCP && room >= sizeof(struct tcphdr)) {
        const struct tcphdr *tcp = (const struct tcphdr *)header;
        key->source_port = tcp->source;
        key->destination_port = tcp->dest;
        *tcp_flags = tcp->th_flags;
        return TCP;
    }
    if (key->protocol == IPPROTO_UDP && room >= sizeof(struct udphdr)) {
        const struct udphdr *udp = (const struct udphdr *)header;
        key->source_port = udp->source;
        key->destination_port = udp->dest;
        return UDP;
    }
    if (key->protocol == IPPROTO_ICMP && room >= 2) /* type and code stand in the port, as usual */
        key->destination_port = htons((uint16_t)(header[0] << 8 | header[1]));
    return key->protocol == IPPROTO_ICMP ? ICMP : OTHER;
}

static void packet_see(uint8_t *user, const struct pcap_pkthdr *header, const uint8_t *packet)
{
    const struct capture *capture = (const struct capture *)user;
    const struct ether_header *ethernet = (const struct ether_header *)packet;
    const struct iphdr *ip = (const struct iphdr *)(packet + ETH_HLEN);
    uint8_t tcp_flags = 0;

    if (header->caplen < ETH_HLEN + sizeof(*ip) || ethernet->ether_type != htons(ETHERTYPE_IP) ||
        ip->version != 4 || ip->ihl < 5 || header->caplen < ETH_HLEN + ip->ihl * 4u) {
        add(&totals.malformed, 1);
        return;
    }
    uint32_t bytes = ntohs(ip->tot_len);
    struct flow_key key = {.source = ip->saddr,
                           .destination = ip->daddr,
                           .protocol = ip->protocol,
                           .service = ip->tos,
                           .interface = capture->number};
    enum kind kind = OTHER;
    if ((ip->frag_off & htons(IP_OFFMASK)) == 0) /* later fragments have no ports */
        kind = transport_parse(&key, (const uint8_t *)ip + ip->ihl * 4,
                               header->caplen - ETH_HLEN - ip->ihl * 4u, &tcp_flags);
    int64_t at_ms = header->ts.tv_sec * 1000ll + header->ts.tv_usec / 1000;
    int created = flow_count(&key, bytes, tcp_flags, at_ms);
    if (created < 0)
        add(&totals.uncounted, 1);
    else if (created > 0)
        add(&totals.flows_seen, 1);
    add(&totals.packets, 1);
    add(&totals.bytes, bytes);
    add(&totals.kinds[kind], 1);
    longest_raise(bytes);
}

static void *capture_run(void *argument)
{
    struct capture *capture = argument;
    while (!stopping) {
        int seen = pcap_dispatch(capture->pcap, CAPTURE_BATCH, packet_see, argument);
        if (seen == PCAP_ERROR_BREAK)
            break;
        if (seen < 0) {
            fprintf(stderr, "monitor: %s: %s\n", capture->name, pcap_geterr(capture->pcap));
            exit(EXIT_FAILURE);
        }
    }
    return NULL;
}

static void capture_open(struct capture *capture, const char *filter)
{
    char why[PCAP_ERRBUF_SIZE] = "";
    struct bpf_program program;

    capture->pcap = pcap_create(capture->name, why);
    if (capture->pcap == NULL) {
        fprintf(stderr, "monitor: %s: %s\n", capture->name, why);
        exit(EXIT_FAILURE);
    }
    pcap_set_snaplen(capture->pcap, SNAPLEN);
    pcap_set_promisc(capture->pcap, 1);
    pcap_set_timeout(capture->pcap, CAPTURE_TIMEOUT_MS);
    pcap_set_buffer_size(capture->pcap, CAPTURE_BUFFER_BYTES);
    if (pcap_activate(capture->pcap) < 0 ||
        pcap_compile(capture->pcap, &program, filter, 1, PCAP_NETMASK_UNKNOWN) != 0 ||
        pcap_setfilter(capture->pcap, &program) != 0) {
        fprintf(stderr, "monitor: %s: %s\n", capture->name, pcap_geterr(capture->pcap));
        exit(EXIT_FAILURE);
    }
    pcap_freecode(&program);
    if (pcap_datalink(capture->pcap) != DLT_EN10MB) {
        fprintf(stderr, "monitor: %s: not an Ethernet\n", capture->name);
        exit(EXIT_FAILURE);
    }
}

/* ---- reporting ---- */

/* Exports what has ended or gone on for long; `all`: everything, for this is the end. */
static void flows_export(struct reporter *reporter, bool all)
{
    const struct config *config = reporter->config;
    struct flow collected[COLLECTED];
    int64_t now_ms = clock_ms();
    int64_t active_ms = all ? INT64_MAX : now_ms - config->active_ms;
    int64_t idle_ms = all ? INT64_MAX : now_ms - config->idle_ms;
    unsigned ended = 0, count;

    for (unsigned b = 0; b < BUCKETS; b++) {
        do {
            count =
                flows_collect(&flows.buckets[b], active_ms, idle_ms, collected, COLLECTED, &ended);
            for (unsigned i = 0; i < count; i++)
                netflow_add(&reporter->netflow, &collected[i], now_ms);
        } while (count == COLLECTED);
    }
    netflow_flush(&reporter->netflow, now_ms);
    add(&totals.flows_ended, ended);
}

static uint64_t read_total(_Atomic uint64_t *total)
{
    return atomic_load_explicit(total, memory_order_relaxed);
}

/* One line, one JSON object. */
static void report_write(struct reporter *reporter, bool last)
{
    char line[2048];
    size_t length = 0;
    uint64_t ended = read_total(&totals.flows_ended); /* first: never more than were seen */
    uint64_t seen = read_total(&totals.flows_seen);

#define SAY(...) length += (size_t)snprintf(line + length, sizeof(line) - length, __VA_ARGS__)
    SAY("{\"report\":%" PRIu64 ",\"last\":%s,\"time_ms\":%" PRId64 ",\"packets\":%" PRIu64
        ",\"bytes\":%" PRIu64,
        ++reporter->reports, last ? "true" : "false", clock_ms(), read_total(&totals.packets),
        read_total(&totals.bytes));
    for (enum kind kind = TCP; kind < KINDS; kind++)
        SAY(",\"%s\":%" PRIu64, kind_names[kind], read_total(&totals.kinds[kind]));
    SAY(",\"malformed\":%" PRIu64 ",\"uncounted\":%" PRIu64 ",\"longest\":%" PRIu32
        ",\"flows_seen\":%" PRIu64 ",\"flows_active\":%" PRIu64,
        read_total(&totals.malformed), read_total(&totals.uncounted),
        atomic_load_explicit(&totals.longest, memory_order_relaxed), seen, seen - ended);
    SAY(",\"exported_records\":%" PRIu64 ",\"exported_packets\":%" PRIu64
        ",\"exported_bytes\":%" PRIu64 ",\"unsent_records\":%" PRIu64 ",\"interfaces\":{",
        reporter->netflow.records, reporter->netflow.packets, reporter->netflow.bytes,
        reporter->netflow.unsent);
    for (unsigned i = 0; i < reporter->config->interface_count; i++) {
        struct pcap_stat stat = {0};
        pcap_stats(reporter->captures[i].pcap, &stat);
        SAY("%s\"%s\":{\"received\":%u,\"dropped\":%u}", i > 0 ? "," : "",
            reporter->captures[i].name, stat.ps_recv, stat.ps_drop + stat.ps_ifdrop);
    }
    SAY("}}\n");
#undef SAY
    if (reporter->report_fd >= 0 && write(reporter->report_fd, line, length) != (ssize_t)length)
        die(reporter->config->report);
}

static void *reporter_run(void *argument)
{
    struct reporter *reporter = argument;
    const struct timespec interval = {reporter->config->interval_ms / 1000,
                                      reporter->config->interval_ms % 1000 * 1000000l};
    while (!stopping) {
        nanosleep(&interval, NULL);
        flows_export(reporter, false);
        report_write(reporter, false);
    }
    return NULL;
}

static struct reporter *reporter_open(const struct config *config, struct capture *captures)
{
    struct reporter *reporter = calloc(1, sizeof(*reporter));
    if (reporter == NULL)
        die("reporter");
    reporter->report_fd = reporter->netflow.fd = -1;
    reporter->config = config;
    reporter->captures = captures;
    reporter->netflow.start_ms = clock_ms();
    if (config->report != NULL) {
        reporter->report_fd = open(config->report, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
        if (reporter->report_fd < 0)
            die(config->report);
    }
    if (config->collector.sin_port != 0) {
        reporter->netflow.fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (reporter->netflow.fd < 0 ||
            connect(reporter->netflow.fd, (const struct sockaddr *)&config->collector,
                    sizeof(config->collector)) != 0)
            die("collector");
    }
    return reporter;
}

/* ---- main ---- */

static void stop(int signal)
{
    (void)signal;
    stopping = 1;
}

int main(int argc, char **argv)
{
    static struct config config = {
        .filter = "ip", .interval_ms = 200, .active_ms = 2000, .idle_ms = 5000};
    static struct capture captures[INTERFACES_MAX];
    const struct sigaction action = {.sa_handler = stop};
    const struct timespec pause = {0, STOP_POLL_NS};

    options_parse(&config, argc, argv);
    flows_open();
    struct reporter *reporter = reporter_open(&config, captures);
    for (unsigned i = 0; i < config.interface_count; i++) {
        captures[i].name = config.interfaces[i];
        captures[i].number = (uint16_t)(i + 1);
        capture_open(&captures[i], config.filter);
    }
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);

    for (unsigned i = 0; i < config.interface_count; i++)
        if (pthread_create(&captures[i].thread, NULL, capture_run, &captures[i]) != 0)
            die("capturing thread");
    if (pthread_create(&reporter->thread, NULL, reporter_run, reporter) != 0)
        die("reporting thread");
    printf("monitor: ready, %u interfaces\n", config.interface_count);
    fflush(stdout);

    while (!stopping)
        nanosleep(&pause, NULL);
    for (unsigned i = 0; i < config.interface_count; i++) {
        pcap_breakloop(captures[i].pcap);
        pthread_join(captures[i].thread, NULL);
    }
    pthread_join(reporter->thread, NULL);
    flows_export(reporter, true);
    report_write(reporter, true);
    for (unsigned i = 0; i < config.interface_count; i++)
        pcap_close(captures[i].pcap);
    return EXIT_SUCCESS;
}
