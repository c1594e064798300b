/*
 * memio.so: AF_PACKET sockets from memory, for the plain NF (LD_PRELOAD). The other arm of the
 * comparison is the runtime with io=memory; both use memory_io.h.
 *
 * Virtual descriptors start at FD_BASE; whatever is none of ours goes on to libc.
 */
#include <dlfcn.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "memory_io.h"

#define FD_BASE 100000
#define SOCKETS 64u
#define BATCH_MAX 64u

#define LIBC(name)                                                                                 \
    static __typeof__(name) *libc;                                                                 \
    if (libc == NULL)                                                                              \
    libc = (__typeof__(libc))dlsym(RTLD_NEXT, #name)

/* Filled while the NF starts, by one thread; `stream` by the reading thread. */
static struct sock {
    bool used;
    uint32_t port;   /* + 1; 0: not bound */
    uint32_t fanout; /* + 1; 0: none */
    uint32_t member; /* rank in the group */
    struct memory_stream *stream;
} sockets[SOCKETS];

static bool ours(int fd)
{
    return (uint32_t)(fd - FD_BASE) < SOCKETS && sockets[fd - FD_BASE].used;
}

static struct memory_stream *stream_of(int fd)
{
    struct sock *sock = &sockets[fd - FD_BASE];
    if (sock->stream == NULL && sock->port != 0)
        sock->stream = palisade_memory_io()->open(sock->port - 1, sock->member);
    return sock->stream;
}

static int fail(int error)
{
    errno = error;
    return -1;
}

static void nap(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
}

/* ---- control ---- */

int socket(int domain, int type, int protocol)
{
    LIBC(socket);
    if (domain != AF_PACKET)
        return libc(domain, type, protocol);
    for (uint32_t i = 0; i < SOCKETS; i++)
        if (!sockets[i].used) {
            sockets[i] = (struct sock){.used = true};
            return FD_BASE + (int)i;
        }
    return fail(EMFILE);
}

int close(int fd)
{
    LIBC(close);
    if (!ours(fd))
        return libc(fd);
    sockets[fd - FD_BASE].used = false;
    return 0;
}

int bind(int fd, const struct sockaddr *address, socklen_t length)
{
    LIBC(bind);
    if (!ours(fd))
        return libc(fd, address, length);
    int index = ((const struct sockaddr_ll *)address)->sll_ifindex;
    if (index < 1 || (uint32_t)index > palisade_memory_io()->port_count)
        return fail(ENODEV);
    sockets[fd - FD_BASE].port = (uint32_t)index;
    return 0;
}

int setsockopt(int fd, int level, int name, const void *value, socklen_t length)
{
    LIBC(setsockopt);
    if (!ours(fd))
        return libc(fd, level, name, value, length);
    if (level == SOL_PACKET && name == PACKET_FANOUT) {
        struct sock *sock = &sockets[fd - FD_BASE];
        sock->fanout = (*(const uint32_t *)value & 0xffff) + 1;
        for (uint32_t i = 0; i < SOCKETS; i++)
            if (&sockets[i] != sock && sockets[i].used && sockets[i].port == sock->port &&
                sockets[i].fanout == sock->fanout)
                sock->member++;
    }
    return 0;
}

static int port_named(const char *name)
{
    const struct memory_io *io = palisade_memory_io();
    for (uint32_t port = 0; port < io->port_count; port++)
        if (strcmp(io->ports[port].name, name) == 0)
            return (int)port;
    return -1;
}

unsigned int if_nametoindex(const char *name)
{
    int port = port_named(name);
    if (port < 0)
        errno = ENODEV;
    return (unsigned int)(port + 1);
}

int ioctl(int fd, unsigned long request, ...)
{
    LIBC(ioctl);
    va_list arguments;
    va_start(arguments, request);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    if (!ours(fd))
        return libc(fd, request, argument);
    struct ifreq *interface = argument;
    int port = port_named(interface->ifr_name);
    if (port < 0)
        return fail(ENODEV);
    if (request == SIOCGIFINDEX) {
        interface->ifr_ifindex = port + 1;
    } else if (request == SIOCGIFHWADDR) {
        interface->ifr_hwaddr.sa_family = ARPHRD_ETHER;
        memcpy(interface->ifr_hwaddr.sa_data, palisade_memory_io()->ports[port].mac, 6);
    } else if (request == SIOCGIFMTU) {
        interface->ifr_mtu = palisade_memory_io()->ports[port].mtu;
    } else {
        return fail(EINVAL);
    }
    return 0;
}

/* ---- packets ---- */

int poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
    LIBC(poll);
    for (nfds_t i = 0; i < count; i++)
        if (!ours(fds[i].fd))
            return libc(fds, count, timeout_ms);
    const struct memory_io *io = palisade_memory_io();
    for (;;) {
        int found = 0;
        for (nfds_t i = 0; i < count; i++) {
            struct memory_stream *stream = stream_of(fds[i].fd);
            fds[i].revents = (short)(fds[i].events & POLLOUT);
            if ((fds[i].events & POLLIN) && stream != NULL && io->ready(stream))
                fds[i].revents |= POLLIN;
            found += fds[i].revents != 0;
        }
        if (found > 0 || timeout_ms >= 0)
            return found;
        nap();
    }
}

static void receive_one(struct mmsghdr *message, const struct memory_packet *packet, int ifindex)
{
    struct msghdr *header = &message->msg_hdr;
    size_t stored = 0;
    for (size_t i = 0; i < header->msg_iovlen && stored < packet->length; i++) {
        size_t piece = header->msg_iov[i].iov_len;
        if (piece > packet->length - stored)
            piece = packet->length - stored;
        memcpy(header->msg_iov[i].iov_base, packet->bytes + stored, piece);
        stored += piece;
    }
    if (header->msg_name != NULL && header->msg_namelen >= sizeof(struct sockaddr_ll)) {
        struct sockaddr_ll address = {.sll_family = AF_PACKET,
                                      .sll_ifindex = ifindex,
                                      .sll_hatype = ARPHRD_ETHER,
                                      .sll_halen = ETH_ALEN};
        memcpy(&address.sll_protocol, packet->bytes + 12, 2);
        memcpy(address.sll_addr, packet->bytes + 6, ETH_ALEN);
        memcpy(header->msg_name, &address, sizeof address);
        header->msg_namelen = sizeof address;
    }
    header->msg_controllen = 0;
    header->msg_flags = stored < packet->length ? MSG_TRUNC : 0;
    message->msg_len = (unsigned int)stored;
}

static int receive(int fd, struct mmsghdr *messages, uint32_t count, int flags)
{
    struct memory_packet packets[BATCH_MAX];
    struct memory_stream *stream = stream_of(fd);
    uint32_t taken;
    if (stream == NULL)
        return fail(ENETDOWN);
    if (count > BATCH_MAX)
        count = BATCH_MAX;
    while ((taken = palisade_memory_io()->next(stream, packets, count)) == 0) {
        if (flags & MSG_DONTWAIT)
            return fail(EAGAIN);
        nap();
    }
    for (uint32_t i = 0; i < taken; i++)
        receive_one(&messages[i], &packets[i], (int)sockets[fd - FD_BASE].port);
    return (int)taken;
}

int recvmmsg(int fd, struct mmsghdr *messages, unsigned int count, int flags,
             struct timespec *timeout)
{
    LIBC(recvmmsg);
    if (!ours(fd))
        return libc(fd, messages, count, flags, timeout);
    return receive(fd, messages, count, flags);
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
    LIBC(recvmsg);
    if (!ours(fd))
        return libc(fd, message, flags);
    struct mmsghdr one = {.msg_hdr = *message};
    if (receive(fd, &one, 1, flags) < 0)
        return -1;
    *message = one.msg_hdr;
    return one.msg_len;
}

ssize_t recvfrom(int fd, void *buffer, size_t room, int flags, struct sockaddr *address,
                 socklen_t *length)
{
    LIBC(recvfrom);
    if (!ours(fd))
        return libc(fd, buffer, room, flags, address, length);
    struct iovec part = {buffer, room};
    struct mmsghdr one = {.msg_hdr = {.msg_iov = &part,
                                      .msg_iovlen = 1,
                                      .msg_name = address,
                                      .msg_namelen = length != NULL ? *length : 0}};
    if (receive(fd, &one, 1, flags) < 0)
        return -1;
    if (length != NULL)
        *length = one.msg_hdr.msg_namelen;
    return one.msg_len;
}

ssize_t recv(int fd, void *buffer, size_t room, int flags)
{
    return recvfrom(fd, buffer, room, flags, NULL, NULL);
}

static size_t transmit(int fd, const struct iovec *parts, size_t count)
{
    size_t length = 0;
    struct memory_stream *stream = stream_of(fd);
    for (size_t i = 0; i < count; i++)
        length += parts[i].iov_len;
    if (stream != NULL)
        palisade_memory_io()->send(stream, parts, count);
    return length;
}

int sendmmsg(int fd, struct mmsghdr *messages, unsigned int count, int flags)
{
    LIBC(sendmmsg);
    if (!ours(fd))
        return libc(fd, messages, count, flags);
    for (unsigned int i = 0; i < count; i++)
        messages[i].msg_len =
            (unsigned int)transmit(fd, messages[i].msg_hdr.msg_iov, messages[i].msg_hdr.msg_iovlen);
    return (int)count;
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    LIBC(sendmsg);
    if (!ours(fd))
        return libc(fd, message, flags);
    return (ssize_t)transmit(fd, message->msg_iov, message->msg_iovlen);
}

ssize_t sendto(int fd, const void *bytes, size_t length, int flags, const struct sockaddr *address,
               socklen_t address_length)
{
    LIBC(sendto);
    if (!ours(fd))
        return libc(fd, bytes, length, flags, address, address_length);
    struct iovec part = {(void *)bytes, length};
    return (ssize_t)transmit(fd, &part, 1);
}

ssize_t send(int fd, const void *bytes, size_t length, int flags)
{
    return sendto(fd, bytes, length, flags, NULL, 0);
}
