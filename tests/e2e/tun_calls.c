/*
 * What calls on /dev/net/tun return, a line each: run natively and under Palisade, the lines must
 * be the same (tun_calls in tunnels.py, which also sends the packets).
 *
 *   tun_calls TUN-DEVICE TAP-DEVICE     both with multi_queue, both up
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

static void tell(const char *what, long result)
{
    int error = errno;
    if (result < 0)
        printf("%s: %s\n", what, strerror(error));
    else
        printf("%s: %ld\n", what, result);
}

static int opened(int flags)
{
    int fd = open("/dev/net/tun", O_RDWR | flags);
    tell("open", fd < 0 ? fd : 0);
    return fd;
}

static struct ifreq named(const char *name, int flags)
{
    struct ifreq request = {.ifr_flags = (short)flags};
    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
    return request;
}

static void attach(int fd, const char *name, int flags)
{
    struct ifreq request = named(name, flags);
    tell("TUNSETIFF", ioctl(fd, TUNSETIFF, &request));
    printf("  name %s\n", request.ifr_name);
}

static void queue(int fd, int flags)
{
    struct ifreq request = named("", flags);
    tell(flags & IFF_ATTACH_QUEUE ? "attach" : "detach", ioctl(fd, TUNSETQUEUE, &request));
}

static void identity(int fd)
{
    struct ifreq request = named("", 0);
    long result = ioctl(fd, TUNGETIFF, &request);
    tell("TUNGETIFF", result);
    if (result == 0)
        printf("  %s flags %x\n", request.ifr_name, (unsigned short)request.ifr_flags);
}

static void settings(int fd)
{
    unsigned features = 0;
    int room = 1000;
    tell("TUNGETFEATURES", ioctl(fd, TUNGETFEATURES, &features));
    printf("  %x\n", features & (IFF_TUN | IFF_TAP | IFF_NO_PI | IFF_MULTI_QUEUE));
    tell("TUNSETPERSIST", ioctl(fd, TUNSETPERSIST, 1));
    tell("TUNSETOWNER", ioctl(fd, TUNSETOWNER, 0));
    tell("TUNSETGROUP", ioctl(fd, TUNSETGROUP, 0));
    tell("TUNSETOFFLOAD", ioctl(fd, TUNSETOFFLOAD, 0));
    tell("TUNSETDEBUG", ioctl(fd, TUNSETDEBUG, 0));
    tell("TUNSETNOCSUM", ioctl(fd, TUNSETNOCSUM, 0));
    tell("TUNGETSNDBUF", ioctl(fd, TUNGETSNDBUF, &room));
    printf("  %d\n", room);
    tell("TUNSETSNDBUF", ioctl(fd, TUNSETSNDBUF, &room));
    room = 0;
    tell("TUNSETSNDBUF 0", ioctl(fd, TUNSETSNDBUF, &room));
}

static void interface(const char *name)
{
    struct ifreq request = named(name, 0);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    tell("SIOCGIFMTU", ioctl(fd, SIOCGIFMTU, &request));
    printf("  %d\n", request.ifr_mtu);
    tell("SIOCGIFFLAGS", ioctl(fd, SIOCGIFFLAGS, &request));
    printf("  %x\n",
           (unsigned)request.ifr_flags & 0xffffu & ~(unsigned)IFF_RUNNING); /* comes late */
    tell("SIOCGIFHWADDR", ioctl(fd, SIOCGIFHWADDR, &request));
    printf("  family %u, address %02x%02x%02x%02x%02x%02x\n", request.ifr_hwaddr.sa_family,
           request.ifr_hwaddr.sa_data[0] & 255, request.ifr_hwaddr.sa_data[1] & 255,
           request.ifr_hwaddr.sa_data[2] & 255, request.ifr_hwaddr.sa_data[3] & 255,
           request.ifr_hwaddr.sa_data[4] & 255, request.ifr_hwaddr.sa_data[5] & 255);
    close(fd);
}

/* Of lengths 0 .. 40: runs of equal results, the bytes being `first` and then nothing. */
static void writes(int fd, const char *what, int header, uint8_t first)
{
    uint8_t packet[64] = {0};
    if (header >= 0)
        packet[header] = first;
    for (size_t length = 0; length <= 40; length += length < 6 ? 1 : 7) {
        ssize_t done = write(fd, packet, length);
        int error = errno;
        printf("write %s %zu: %s\n", what, length,
               done == (ssize_t)length ? "whole"
               : done < 0              ? strerror(error)
                                       : "other");
    }
    struct iovec pieces[] = {{packet, 3}, {packet + 3, 2}, {packet + 5, 30}};
    tell("writev", writev(fd, pieces, 3));
}

static void await(int fd)
{
    struct pollfd readable = {.fd = fd, .events = POLLIN};
    tell("poll", poll(&readable, 1, 20000));
}

/* Three packets of the same bytes: whole, in pieces, cut off. */
static void reads(int fd)
{
    uint8_t bytes[256];
    memset(bytes, 0xaa, sizeof bytes);
    for (int n = 0; n < 3; n++) {
        struct iovec pieces[] = {{bytes, 3}, {bytes + 3, 5}, {bytes + 8, 200}};
        ssize_t done;
        await(fd);
        if (n == 0)
            done = read(fd, bytes, sizeof bytes);
        else if (n == 1)
            done = readv(fd, pieces, 3);
        else
            done = read(fd, bytes, 24);
        tell("read", done);
        for (ssize_t i = 0; i < done && i < 28; i++)
            printf("%02x", bytes[i]);
        printf("\n");
    }
    tell("read of nothing", read(fd, bytes, sizeof bytes));
}

int main(int argc, char **argv)
{
    uint8_t bytes[64] = {0x45};
    if (argc != 3)
        return 64;
    int bare = opened(O_NONBLOCK), headed = opened(0), tap = opened(0);
    tell("read", read(bare, bytes, sizeof bytes));
    tell("write", write(bare, bytes, sizeof bytes));
    identity(bare);
    attach(bare, argv[1], 0);
    attach(bare, argv[1], IFF_TUN | IFF_NO_PI | IFF_MULTI_QUEUE);
    attach(bare, argv[1], IFF_TUN | IFF_NO_PI | IFF_MULTI_QUEUE);
    identity(bare);
    settings(bare);
    interface(argv[1]);
    writes(bare, "6", 0, 0x60);
    writes(bare, "5", 0, 0x50);
    printf("first\n");
    fflush(stdout);
    reads(bare);
    attach(headed, argv[1], IFF_TUN | IFF_NO_PI);
    attach(headed, argv[1], IFF_TUN | IFF_NO_PI | IFF_MULTI_QUEUE);
    queue(headed, IFF_DETACH_QUEUE);
    queue(headed, IFF_DETACH_QUEUE);
    tell("write detached", write(headed, bytes, 20));
    identity(headed);
    queue(headed, IFF_ATTACH_QUEUE);
    queue(headed, IFF_ATTACH_QUEUE);
    tell("close", close(bare));
    tell("close", close(headed));

    headed = opened(0);
    attach(headed, argv[1], IFF_TUN | IFF_MULTI_QUEUE);
    tell("fcntl", fcntl(headed, F_SETFL, O_NONBLOCK));
    identity(headed);
    writes(headed, "with header", 4, 0x40);
    printf("second\n");
    fflush(stdout);
    reads(headed);
    tell("close", close(headed));

    attach(tap, argv[2], IFF_TAP | IFF_NO_PI | IFF_MULTI_QUEUE);
    interface(argv[2]);
    identity(tap);
    writes(tap, "tap", -1, 0);
    tell("close", close(tap));
    return 0;
}
