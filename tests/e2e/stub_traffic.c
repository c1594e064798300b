/*
 * The world on both sides of the loggers, for loggers.sh: sends COUNT numbered packets into one
 * namespace's device at RATE packets a second and expects each of them once and in order at the
 * other, stamped by the NF with consecutive numbers.
 *
 *   stub_traffic NETNS DEVICE NETNS DEVICE COUNT RATE [tun|tap]
 *       -> exit status 0 or 1, one line of JSON
 *
 * With tun the packets have no Ethernet header: they begin as IPv4 ones do. STUB_LOSSY=1 in the
 * environment: packets may be lost, as when a logger dies, so a stamp may lag behind its packet's
 * number by ever more; what a stamp tells of the NF's count must still only grow.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "stub_packet.h"

static int64_t clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int socket_in(const char *netns, const char *device, int protocol)
{
    char path[128];
    snprintf(path, sizeof path, "/run/netns/%s", netns);
    int space = open(path, O_RDONLY);
    if (space < 0 || setns(space, CLONE_NEWNET) < 0) {
        perror(path);
        exit(2);
    }
    close(space);
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, htons((uint16_t)protocol));
    struct sockaddr_ll at = {.sll_family = AF_PACKET,
                             .sll_protocol = htons((uint16_t)protocol),
                             .sll_ifindex = (int)if_nametoindex(device)};
    int bytes = 64 << 20;
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof at) < 0) {
        perror(device);
        exit(2);
    }
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes);
    return fd;
}

int main(int argc, char **argv)
{
    if (argc != 7 && argc != 8)
        return 2;
    uint64_t count = strtoull(argv[5], NULL, 10);
    double rate = atof(argv[6]);
    bool lossy = getenv("STUB_LOSSY") != NULL;
    uint64_t lag = 0, stamp = 0;
    bool bare = argc == 8 && strcmp(argv[7], "tun") == 0;
    int out = socket_in(argv[1], argv[2], 0);
    int in = socket_in(argv[3], argv[4], ETH_P_IP);
    uint64_t sent = 0, got = 0, lost = 0, doubled = 0, reordered = 0, stamps_wrong = 0;
    uint64_t next = 1;
    int64_t start = clock_ns(), heard = start, gap = 0;
    char *seen = calloc(count + 2, 1);

    while (next <= count && clock_ns() - heard < 8000000000) {
        int64_t now = clock_ns();
        uint64_t due = (uint64_t)((double)(now - start) * rate / 1e9);
        for (int burst = 0; sent < count && sent < due && burst < 32; burst++) {
            struct stub_packet packet = {.type = htons(ETH_P_IP), .magic = STUB_MAGIC};
            memset(packet.destination, bare ? 0x45 : 0xff, 6);
            packet.number = ++sent;
            if (send(out, &packet, sizeof packet, 0) < 0 && (errno == EAGAIN || errno == ENOBUFS)) {
                sent--;
                break;
            }
        }
        struct stub_packet packet;
        int took = 0;
        for (ssize_t n; took < 256 && (n = recv(in, &packet, sizeof packet, 0)) > 0; took++) {
            if (n < (ssize_t)sizeof packet || packet.magic != STUB_MAGIC || !packet.number ||
                packet.number > count)
                continue;
            got++;
            if (seen[packet.number]++)
                doubled++;
            else if (packet.number < next)
                reordered++;
            if (!lossy)
                stamps_wrong += packet.stamp != packet.number;
            else
                stamps_wrong += packet.stamp <= stamp || packet.number - packet.stamp < lag;
            lag = packet.number - packet.stamp;
            stamp = packet.stamp;
            if (packet.number >= next)
                next = packet.number + 1;
        }
        now = clock_ns();
        if (took) {
            if (now - heard > gap)
                gap = now - heard;
            heard = now;
        } else {
            nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
        }
    }
    for (uint64_t i = 1; i <= sent; i++)
        lost += !seen[i];
    printf("{\"sent\":%llu,\"received\":%llu,\"lost\":%llu,\"doubled\":%llu,\"reordered\":%llu,"
           "\"stamps_wrong\":%llu,\"longest_gap_ms\":%.1f}\n",
           (unsigned long long)sent, (unsigned long long)got, (unsigned long long)lost,
           (unsigned long long)doubled, (unsigned long long)reordered,
           (unsigned long long)stamps_wrong, (double)gap / 1e6);
    return (lost && !lossy) || doubled || reordered || stamps_wrong || sent != count || !got;
}
