/*
 * tunnel: tortured over TUN. Two ports with two queues each, a thread a queue.
 *
 *   lan  with the 4-byte header: blocking read and writev; readv and write
 *   wan  bare packets: blocking readv and writev; poll, then read until EAGAIN, and write
 *
 * Besides requests it answers pings, so that anybody can watch it with ping.
 */
#include "answers.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/uio.h>

#define LINK_BYTES                                                                                 \
    (sizeof(struct ether_header)) /* what answers.h has in front of the IP header                  \
                                   */
#define TICK_US 2000

struct queue {
    struct answerer self;
    int fd, header, polls;
    struct tun_pi pi;
};

static struct chain chain = {.lock = PTHREAD_MUTEX_INITIALIZER};
static uint64_t pings; /* under the chain's lock */

static uint16_t checksum(const void *bytes, size_t length)
{
    const uint8_t *at = bytes;
    uint32_t sum = 0;
    for (size_t i = 0; i < length; i++)
        sum += i % 2 ? at[i] : (uint32_t)at[i] << 8;
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return htons((uint16_t)~sum);
}

/* Sends `length` bytes from their IP header on back to who sent them. */
static void turn_round(struct queue *queue, uint8_t *packet, size_t length)
{
    struct iphdr *ip = (struct iphdr *)packet;
    uint32_t source = ip->saddr;
    ip->saddr = ip->daddr;
    ip->daddr = source;
    ip->tot_len = htons((uint16_t)length);
    ip->check = 0;
    ip->check = checksum(ip, sizeof *ip);

    struct iovec pieces[] = {{&queue->pi, queue->header ? sizeof queue->pi : 0},
                             {packet, sizeof *ip},
                             {packet + sizeof *ip, length - sizeof *ip}};
    ssize_t want = (ssize_t)(length + pieces[0].iov_len), done;
    if (queue->self.index % 2 == 0) {
        done = writev(queue->fd, pieces, 3);
    } else {
        memcpy(packet - sizeof queue->pi, &queue->pi, sizeof queue->pi);
        done = write(queue->fd, packet - pieces[0].iov_len, (size_t)want);
    }
    if (done != want)
        die("tunnel: write");
}

static void answer(struct queue *queue, uint8_t *frame, size_t length)
{
    struct answerer *self = &queue->self;
    struct iphdr *ip = (struct iphdr *)(frame + LINK_BYTES);
    struct icmphdr *icmp = (struct icmphdr *)(ip + 1);
    struct request request;
    if (length >= sizeof *ip + sizeof *icmp && ip->protocol == IPPROTO_ICMP &&
        icmp->type == ICMP_ECHO) {
        pthread_mutex_lock(&chain.lock);
        pings++;
        pthread_mutex_unlock(&chain.lock);
        icmp->type = ICMP_ECHOREPLY;
        icmp->checksum = 0;
        icmp->checksum = checksum(icmp, length - sizeof *ip);
        turn_round(queue, frame + LINK_BYTES, length);
        return;
    }
    if (!answers_request(frame, LINK_BYTES + length, &request))
        return;
    self->digest = mix(self->digest, length);
    self->digest = mix(self->digest, queue->pi.proto);
    size_t wrote = answers_write(self->chain, &request, self->index, &self->n, self->digest,
                                 24 + (size_t)rand() % 100, frame, self->out);
    struct udphdr *udp = (struct udphdr *)(self->out + LINK_BYTES + sizeof *ip);
    uint16_t source = udp->source;
    udp->source = udp->dest;
    udp->dest = source;
    udp->len = htons((uint16_t)(wrote - LINK_BYTES - sizeof *ip));
    udp->check = 0;
    turn_round(queue, self->out + LINK_BYTES, wrote - LINK_BYTES);
}

/* One packet behind LINK_BYTES of `frame`; its length, or -1. */
static ssize_t take(struct queue *queue, uint8_t *frame)
{
    size_t header = queue->header ? sizeof queue->pi : 0;
    uint8_t *packet = frame + LINK_BYTES;
    ssize_t bytes;
    if (queue->header && queue->self.index % 2 == 0) {
        bytes = read(queue->fd, packet - header, 2000);
        memcpy(&queue->pi, packet - header, header);
    } else if (queue->polls) {
        bytes = read(queue->fd, packet, 2000);
    } else {
        struct iovec pieces[] = {{&queue->pi, header}, {packet, 10}, {packet + 10, 1990}};
        bytes = readv(queue->fd, pieces, 3);
    }
    return bytes < 0 ? bytes : bytes - (ssize_t)header;
}

static void *run(void *argument)
{
    struct queue *queue = argument;
    struct pollfd readable = {.fd = queue->fd, .events = POLLIN};
    for (;;) {
        if (queue->polls && poll(&readable, 1, 20) < 0)
            die("tunnel: poll");
        ssize_t length = take(queue, queue->self.in);
        if (length >= 0)
            answer(queue, queue->self.in, (size_t)length);
        else if (!queue->polls || errno != EAGAIN)
            die("tunnel: read");
    }
    return argument;
}

static void attach(struct queue *queue, const char *name)
{
    struct ifreq request = {
        .ifr_flags = (short)(IFF_TUN | IFF_MULTI_QUEUE | (queue->header ? 0 : IFF_NO_PI))};
    strncpy(request.ifr_name, name, IFNAMSIZ - 1);
    queue->fd = open("/dev/net/tun", O_RDWR);
    if (queue->fd < 0 || ioctl(queue->fd, TUNSETIFF, &request) < 0)
        die(name);
    if (queue->polls && fcntl(queue->fd, F_SETFL, O_NONBLOCK) < 0)
        die("tunnel: fcntl");
    queue->pi.proto = htons(ETH_P_IP);
}

int main(int argc, char **argv)
{
    pthread_t threads[4];
    struct queue *queues[4];
    if (argc != 3)
        return 64;
    for (int i = 0; i < 4; i++) {
        queues[i] = calloc(1, sizeof *queues[i]);
        if (queues[i] == NULL)
            die("tunnel");
        queues[i]->self = (struct answerer){.chain = &chain, .index = (uint64_t)i};
        queues[i]->header = i < 2;
        queues[i]->polls = i == 3;
        attach(queues[i], argv[1 + i / 2]);
    }
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, run, queues[i]);
    for (uint64_t tick = 0;; tick++) {
        usleep(TICK_US);
        if (tick % 50 == 0) {
            pthread_mutex_lock(&chain.lock);
            uint64_t seen = pings;
            pthread_mutex_unlock(&chain.lock);
            answers_print(&chain, tick, seen);
        }
    }
}
