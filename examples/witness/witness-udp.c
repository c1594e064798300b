/*
 * witness-udp: says from outside what happened to packets on their way.
 *
 * Client and server stand on the two sides of a network function. The client opens flows (a UDP
 * socket each) and sends numbered packets at a steady rate; the server answers every flow it has
 * seen by numbered packets of its own, at its own rate, to the address and port it last saw the
 * flow come from. Both count, per flow, what arrived twice or late, and report what they sent:
 * whoever reads both final reports knows what was lost (sent there, not received here). Nothing
 * here knows of Palisade.
 *
 * Standard input: "open N" (client: N more flows), "stop" or end of file (send no more; report
 * and leave after the grace period). Standard output: one JSON object a line, "progress" ones
 * from time to time and a "final" one. Times are CLOCK_MONOTONIC nanoseconds; arrivals bear the
 * kernel's time stamp, so that a late wake-up of the witness is not taken for an outage.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define FLOWS_MAX 256
#define SIGHTINGS_MAX 16
#define GAPS_MAX 4096
#define MISSING_MAX 32 /* ranges printed a flow */
#define BATCH 64
#define PACKET_MAX_BYTES 1472
#define NOTEWORTHY_GAP_NS 4000000 /* shorter pauses between arrivals are not kept */
#define LATE_MAX_NS 20000000 /* a sender further behind its schedule starts it anew: no bursts */
#define MAGIC 0x57495455u    /* "WITU" */
#define SECOND_NS 1000000000ll
#define EXIT_USAGE 64

struct packet {
    uint32_t magic;
    uint32_t flow;
    uint64_t number; /* the first is 1 */
    int64_t sent_ns;
    uint8_t filling[PACKET_MAX_BYTES - 24]; /* byte i is (number + i) mod 256 */
};

/* An (address, port) from which the server saw a flow come. */
struct sighting {
    struct sockaddr_in from;
    int64_t first_ns, last_ns;
    uint64_t packets;
};

struct flow {
    bool open;
    int fd; /* client: the flow's own socket; server: the common one */
    struct sockaddr_in peer;
    int64_t due_ns; /* when the next packet leaves */
    uint64_t sent, unsent;

    uint64_t received, doubled, reordered, altered, highest;
    uint64_t *seen; /* bit `number` */
    size_t seen_words;
    int64_t first_ns, last_ns, longest_gap_ns, longest_gap_from_ns, longest_way_ns;
    struct sighting sightings[SIGHTINGS_MAX];
    unsigned sighting_count;
};

static struct witness {
    bool server, stopping;
    struct sockaddr_in address; /* the server's */
    struct sockaddr_in from;    /* the client's; 0.0.0.0: the system chooses */
    unsigned flow_count, rate, bytes;
    int64_t interval_ns, grace_ns, report_ns, stop_ns;
    int server_fd;
    struct flow flows[FLOWS_MAX];
    struct {
        int64_t from_ns, to_ns;
    } gaps[GAPS_MAX]; /* between arrivals of any flow */
    unsigned gap_count;
    int64_t last_ns; /* arrival of any flow */
} witness = {.bytes = 128, .rate = 200, .grace_ns = 2 * SECOND_NS, .report_ns = SECOND_NS / 5};

static int64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec * SECOND_NS + now.tv_nsec;
}

__attribute__((noreturn)) static void die(const char *what)
{
    fprintf(stderr, "witness-udp: %s: %s\n", what, strerror(errno));
    exit(EXIT_FAILURE);
}

static int socket_open(const struct sockaddr_in *own)
{
    int on = 1, room = 8 << 20;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        die("socket");
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)) != 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
    if (setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on)) != 0)
        die("SO_TIMESTAMPNS");
    if (bind(fd, (const struct sockaddr *)own, sizeof(*own)) != 0)
        die("bind");
    return fd;
}

/* ---- sending ---- */

static struct flow *flow_open(uint32_t id, int fd, int64_t now_ns)
{
    struct flow *flow = &witness.flows[id];
    flow->open = true;
    flow->fd = fd;
    /* Flows take turns, spread over an interval by the golden section. */
    flow->due_ns = now_ns + witness.interval_ns * (id * 618 % 1000) / 1000;
    if (id >= witness.flow_count)
        witness.flow_count = id + 1;
    return flow;
}

static void flows_add(unsigned count, int64_t now_ns)
{
    for (; count > 0 && witness.flow_count < FLOWS_MAX; count--) {
        struct flow *flow = flow_open(witness.flow_count, socket_open(&witness.from), now_ns);
        flow->peer = witness.address;
    }
}

static void packet_send(struct flow *flow, int64_t now_ns)
{
    struct packet packet = {.magic = MAGIC,
                            .flow = (uint32_t)(flow - witness.flows),
                            .number = flow->sent + 1,
                            .sent_ns = now_ns};
    for (size_t i = 0; i < sizeof(packet.filling); i++)
        packet.filling[i] = (uint8_t)(packet.number + i);
    ssize_t n = sendto(flow->fd, &packet, witness.bytes, 0, (struct sockaddr *)&flow->peer,
                       sizeof(flow->peer));
    if (n == (ssize_t)witness.bytes)
        flow->sent++;
    else
        flow->unsent++; /* its number is taken by the next one */
}

/* Sends what is due; returns when the next packet is. */
static int64_t flows_send(int64_t now_ns)
{
    int64_t next_ns = now_ns + SECOND_NS;
    for (unsigned f = 0; f < witness.flow_count; f++) {
        struct flow *flow = &witness.flows[f];
        if (!flow->open)
            continue;
        if (now_ns - flow->due_ns > LATE_MAX_NS)
            flow->due_ns = now_ns;
        for (; flow->due_ns <= now_ns; flow->due_ns += witness.interval_ns)
            packet_send(flow, now_ns);
        if (flow->due_ns < next_ns)
            next_ns = flow->due_ns;
    }
    return next_ns;
}

/* ---- receiving ---- */

/* Marks `number` as seen; false when it was before. */
static bool flow_mark(struct flow *flow, uint64_t number)
{
    size_t word = number / 64;
    if (word >= flow->seen_words) {
        size_t words = word * 2 + 64;
        flow->seen = realloc(flow->seen, words * sizeof(*flow->seen));
        if (flow->seen == NULL)
            die("memory");
        memset(flow->seen + flow->seen_words, 0, (words - flow->seen_words) * sizeof(*flow->seen));
        flow->seen_words = words;
    }
    uint64_t bit = 1ull << number % 64;
    bool fresh = (flow->seen[word] & bit) == 0;
    flow->seen[word] |= bit;
    return fresh;
}

static void flow_sight(struct flow *flow, const struct sockaddr_in *from, int64_t at_ns)
{
    struct sighting *s = flow->sightings;
    unsigned i = 0;
    while (i < flow->sighting_count && (s[i].from.sin_addr.s_addr != from->sin_addr.s_addr ||
                                        s[i].from.sin_port != from->sin_port))
        i++;
    if (i == SIGHTINGS_MAX)
        return;
    if (i == flow->sighting_count) {
        s[i] = (struct sighting){.from = *from, .first_ns = at_ns};
        flow->sighting_count++;
    }
    s[i].last_ns = at_ns;
    s[i].packets++;
}

static void gap_note(int64_t at_ns)
{
    if (witness.last_ns != 0 && at_ns - witness.last_ns > NOTEWORTHY_GAP_NS &&
        witness.gap_count < GAPS_MAX) {
        witness.gaps[witness.gap_count].from_ns = witness.last_ns;
        witness.gaps[witness.gap_count++].to_ns = at_ns;
    }
    if (at_ns > witness.last_ns)
        witness.last_ns = at_ns;
}

static void packet_receive(const struct packet *packet, size_t length,
                           const struct sockaddr_in *from, int fd, int64_t at_ns)
{
    if (length < offsetof(struct packet, filling) || packet->magic != MAGIC ||
        packet->flow >= FLOWS_MAX || packet->number == 0 || packet->number > UINT32_MAX)
        return;
    struct flow *flow = &witness.flows[packet->flow];
    if (!flow->open && !witness.server)
        return;
    if (!flow->open)
        flow_open(packet->flow, fd, at_ns);
    if (witness.server) {
        flow_sight(flow, from, at_ns);
        flow->peer = *from;
    }
    for (size_t i = 0; i < length - offsetof(struct packet, filling); i++) {
        if (packet->filling[i] != (uint8_t)(packet->number + i)) {
            flow->altered++;
            break;
        }
    }
    if (!flow_mark(flow, packet->number)) {
        flow->doubled++;
        return;
    }
    flow->received++;
    if (packet->number < flow->highest)
        flow->reordered++;
    else
        flow->highest = packet->number;
    if (at_ns - packet->sent_ns > flow->longest_way_ns)
        flow->longest_way_ns = at_ns - packet->sent_ns;
    if (flow->last_ns != 0 && at_ns - flow->last_ns > flow->longest_gap_ns) {
        flow->longest_gap_ns = at_ns - flow->last_ns;
        flow->longest_gap_from_ns = flow->last_ns;
    }
    if (flow->first_ns == 0)
        flow->first_ns = at_ns;
    flow->last_ns = at_ns;
    gap_note(at_ns);
}

static int64_t arrival_ns(struct msghdr *message, int64_t offset_ns, int64_t now_ns)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c != NULL; c = CMSG_NXTHDR(message, c)) {
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPNS) {
            struct timespec stamp;
            memcpy(&stamp, CMSG_DATA(c), sizeof(stamp));
            return stamp.tv_sec * SECOND_NS + stamp.tv_nsec - offset_ns;
        }
    }
    return now_ns;
}

static void socket_receive(int fd)
{
    static struct packet packets[BATCH];
    static struct sockaddr_in from[BATCH];
    static char controls[BATCH][128];
    struct iovec parts[BATCH];
    struct mmsghdr messages[BATCH];
    int received;

    do {
        for (unsigned i = 0; i < BATCH; i++) {
            parts[i] = (struct iovec){&packets[i], sizeof(packets[i])};
            messages[i].msg_hdr = (struct msghdr){.msg_name = &from[i],
                                                  .msg_namelen = sizeof(from[i]),
                                                  .msg_iov = &parts[i],
                                                  .msg_iovlen = 1,
                                                  .msg_control = controls[i],
                                                  .msg_controllen = sizeof(controls[i])};
        }
        received = recvmmsg(fd, messages, BATCH, MSG_DONTWAIT, NULL);
        int64_t now_ns = clock_ns(CLOCK_MONOTONIC);
        int64_t offset_ns = clock_ns(CLOCK_REALTIME) - now_ns;
        for (int i = 0; i < received; i++)
            packet_receive(&packets[i], messages[i].msg_len, &from[i], fd,
                           arrival_ns(&messages[i].msg_hdr, offset_ns, now_ns));
    } while (received == BATCH);
}

/* ---- reporting ---- */

static void progress_print(int64_t now_ns)
{
    uint64_t sent = 0, received = 0, missing = 0, doubled = 0, reordered = 0;
    for (unsigned f = 0; f < witness.flow_count; f++) {
        const struct flow *flow = &witness.flows[f];
        sent += flow->sent;
        received += flow->received;
        missing += flow->highest - flow->received;
        doubled += flow->doubled;
        reordered += flow->reordered;
    }
    printf("{\"event\":\"progress\",\"t_ns\":%" PRId64 ",\"flows\":%u,\"sent\":%" PRIu64
           ",\"received\":%" PRIu64 ",\"missing\":%" PRIu64 ",\"doubled\":%" PRIu64
           ",\"reordered\":%" PRIu64 ",\"last_arrival_ns\":%" PRId64 "}\n",
           now_ns, witness.flow_count, sent, received, missing, doubled, reordered,
           witness.last_ns);
    fflush(stdout);
}

/* Ranges of numbers below the highest one that never came. */
static void missing_print(const struct flow *flow)
{
    unsigned printed = 0;
    printf("\"missing\":[");
    for (uint64_t n = 1; n < flow->highest && printed < MISSING_MAX; n++) {
        uint64_t first = n;
        while (n < flow->highest && (flow->seen[n / 64] >> n % 64 & 1) == 0)
            n++;
        if (n > first)
            printf("%s[%" PRIu64 ",%" PRIu64 "]", printed++ ? "," : "", first, n - 1);
    }
    printf("]");
}

static void flow_print(unsigned id)
{
    const struct flow *flow = &witness.flows[id];
    struct sockaddr_in own = {0};
    socklen_t length = sizeof(own);
    getsockname(flow->fd, (struct sockaddr *)&own, &length);
    printf("%s{\"id\":%u,\"own_port\":%u,\"sent\":%" PRIu64 ",\"unsent\":%" PRIu64
           ",\"received\":%" PRIu64 ",\"highest\":%" PRIu64 ",\"doubled\":%" PRIu64
           ",\"reordered\":%" PRIu64 ",\"altered\":%" PRIu64 ",\"first_ns\":%" PRId64
           ",\"last_ns\":%" PRId64 ",\"longest_gap_ns\":%" PRId64
           ",\"longest_gap_from_ns\":%" PRId64 ",\"longest_way_ns\":%" PRId64 ",",
           id ? "," : "", id, ntohs(own.sin_port), flow->sent, flow->unsent, flow->received,
           flow->highest, flow->doubled, flow->reordered, flow->altered, flow->first_ns,
           flow->last_ns, flow->longest_gap_ns, flow->longest_gap_from_ns, flow->longest_way_ns);
    missing_print(flow);
    printf(",\"sightings\":[");
    for (unsigned i = 0; i < flow->sighting_count; i++) {
        const struct sighting *s = &flow->sightings[i];
        printf("%s{\"address\":\"%s\",\"port\":%u,\"first_ns\":%" PRId64 ",\"last_ns\":%" PRId64
               ",\"packets\":%" PRIu64 "}",
               i ? "," : "", inet_ntoa(s->from.sin_addr), ntohs(s->from.sin_port), s->first_ns,
               s->last_ns, s->packets);
    }
    printf("]}");
}

static void final_print(int64_t now_ns)
{
    printf("{\"event\":\"final\",\"t_ns\":%" PRId64 ",\"stop_ns\":%" PRId64 ",\"gaps\":[", now_ns,
           witness.stop_ns);
    for (unsigned i = 0; i < witness.gap_count; i++)
        printf("%s[%" PRId64 ",%" PRId64 "]", i ? "," : "", witness.gaps[i].from_ns,
               witness.gaps[i].to_ns);
    printf("],\"flows\":[");
    for (unsigned f = 0; f < witness.flow_count; f++)
        flow_print(f);
    printf("]}\n");
    fflush(stdout);
}

/* ---- main ---- */

/* Reads commands; false at "stop" or end of file. */
static bool commands_read(int64_t now_ns)
{
    static char line[64];
    static size_t length;
    char c;
    ssize_t n;

    while ((n = read(STDIN_FILENO, &c, 1)) == 1) {
        if (c != '\n') {
            if (length < sizeof(line) - 1)
                line[length++] = c;
            continue;
        }
        line[length] = '\0';
        length = 0;
        if (strcmp(line, "stop") == 0)
            return false;
        if (strncmp(line, "open ", 5) == 0 && !witness.server)
            flows_add((unsigned)strtoul(line + 5, NULL, 10), now_ns);
        else
            fprintf(stderr, "witness-udp: unknown command: %s\n", line);
    }
    return n < 0 && (errno == EAGAIN || errno == EINTR);
}

static void witness_run(void)
{
    struct pollfd ready[FLOWS_MAX + 1];
    int64_t report_ns = 0, next_ns;

    fcntl(STDIN_FILENO, F_SETFL, fcntl(STDIN_FILENO, F_GETFL) | O_NONBLOCK);
    for (;;) {
        int64_t now_ns = clock_ns(CLOCK_MONOTONIC);
        if (!witness.stopping && !commands_read(now_ns)) {
            witness.stopping = true;
            witness.stop_ns = now_ns;
        }
        next_ns = witness.stopping ? witness.stop_ns + witness.grace_ns : flows_send(now_ns);
        if (witness.stopping && now_ns >= next_ns)
            return;
        if (now_ns >= report_ns) {
            progress_print(now_ns);
            report_ns = now_ns + witness.report_ns;
        }
        if (report_ns < next_ns)
            next_ns = report_ns;

        nfds_t count = 0;
        if (!witness.stopping)
            ready[count++] = (struct pollfd){.fd = STDIN_FILENO, .events = POLLIN};
        if (witness.server)
            ready[count++] = (struct pollfd){.fd = witness.server_fd, .events = POLLIN};
        for (unsigned f = 0; f < witness.flow_count && !witness.server; f++)
            ready[count++] = (struct pollfd){.fd = witness.flows[f].fd, .events = POLLIN};
        int64_t wait_ns = next_ns > now_ns ? next_ns - now_ns : 0;
        struct timespec wait = {wait_ns / SECOND_NS, wait_ns % SECOND_NS};
        if (ppoll(ready, count, &wait, NULL) <= 0)
            continue;
        for (nfds_t i = 0; i < count; i++)
            if (ready[i].revents != 0 && ready[i].fd != STDIN_FILENO)
                socket_receive(ready[i].fd);
    }
}

__attribute__((noreturn)) static void usage(void)
{
    fprintf(stderr, "usage: witness-udp server --address A:P [options]\n"
                    "       witness-udp client --address A:P --flows N [options]\n"
                    "  --from A        the address that the client's packets come from\n"
                    "  --rate N        packets a second of each flow (200)\n"
                    "  --bytes N       payload of a packet, 64 to 1472 (128)\n"
                    "  --grace-ms N    how long to wait for what is under way at the end (2000)\n"
                    "  --report-ms N   pause between progress lines (200)\n");
    exit(EXIT_USAGE);
}

static unsigned number_parse(const char *text, unsigned least, unsigned most)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || value < least || value > most)
        usage();
    return (unsigned)value;
}

static void own_parse(const char *text)
{
    witness.from.sin_family = AF_INET;
    if (inet_pton(AF_INET, text, &witness.from.sin_addr) != 1)
        usage();
}

static void address_parse(char *text)
{
    char *colon = strchr(text, ':');
    if (colon == NULL)
        usage();
    *colon = '\0';
    witness.address.sin_family = AF_INET;
    witness.address.sin_port = htons((uint16_t)number_parse(colon + 1, 1, 65535));
    if (inet_pton(AF_INET, text, &witness.address.sin_addr) != 1)
        usage();
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"address", required_argument, NULL, 'a'},   {"from", required_argument, NULL, 'o'},
        {"flows", required_argument, NULL, 'f'},     {"rate", required_argument, NULL, 'r'},
        {"bytes", required_argument, NULL, 'b'},     {"grace-ms", required_argument, NULL, 'g'},
        {"report-ms", required_argument, NULL, 'p'}, {NULL, 0, NULL, 0}};
    unsigned flows = 1;
    int option;

    if (argc < 2 || (strcmp(argv[1], "server") != 0 && strcmp(argv[1], "client") != 0))
        usage();
    witness.server = strcmp(argv[1], "server") == 0;
    while ((option = getopt_long(argc - 1, argv + 1, "", options, NULL)) != -1) {
        switch (option) {
        case 'a':
            address_parse(optarg);
            break;
        case 'o':
            own_parse(optarg);
            break;
        case 'f':
            flows = number_parse(optarg, 1, FLOWS_MAX);
            break;
        case 'r':
            witness.rate = number_parse(optarg, 1, 100000);
            break;
        case 'b':
            witness.bytes = number_parse(optarg, 64, PACKET_MAX_BYTES);
            break;
        case 'g':
            witness.grace_ns = number_parse(optarg, 0, 60000) * 1000000ll;
            break;
        case 'p':
            witness.report_ns = number_parse(optarg, 10, 60000) * 1000000ll;
            break;
        default:
            usage();
        }
    }
    if (witness.address.sin_port == 0 || optind != argc - 1)
        usage();
    witness.from.sin_family = AF_INET;
    witness.interval_ns = SECOND_NS / witness.rate;
    if (witness.server) {
        witness.server_fd = socket_open(&witness.address);
    } else {
        flows_add(flows, clock_ns(CLOCK_MONOTONIC));
    }
    witness_run();
    final_print(clock_ns(CLOCK_MONOTONIC));
    return EXIT_SUCCESS;
}
