/* See descriptor.h. Calls that open, name and close are rare: simple, under one lock. */
#include "hooks/files/descriptor.h"

#include <fcntl.h>
#include <limits.h>
#include <net/ethernet.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "abi_internal.h"
#include "hooks/files/epoll.h"
#include "hooks/files/file.h"
#include "hooks/files/socket.h"
#include "hooks/packets/queue.h"
#include "hooks/sharing/lock.h"

static const struct family *const families[FAMILIES] = {
    [FAMILY_PACKET] = &family_packet, [FAMILY_PCAP] = &family_pcap,
    [FAMILY_XSK] = &family_xsk,       [FAMILY_TUN] = &family_tun,
    [FAMILY_FILE] = &family_file,     [FAMILY_SOCKET] = &family_socket,
    [FAMILY_PIPE] = &family_pipe,     [FAMILY_PAIR] = &family_pair,
    [FAMILY_EPOLL] = &family_epoll,
};

const struct family *descriptor_family(uint32_t index)
{
    return families[IMAGE->descriptors[index].family];
}

const struct family *descriptor_owner(const char *path)
{
    for (uint32_t i = 0; i < FAMILIES; i++)
        if (families[i] && families[i]->owns && families[i]->owns(path))
            return families[i];
    return NULL;
}

/* ---- the tables ---- */

/* The lowest free number, from `lowest` on; FDS_MAX when there is none. Under descriptors_lock. */
static uint32_t free_slot(uint32_t lowest)
{
    for (uint32_t slot = lowest; slot < FDS_MAX; slot++)
        if (IMAGE->fds[slot] == 0)
            return slot;
    return FDS_MAX;
}

static int slot_fd(uint32_t slot)
{
    return slot < 3 ? (int)slot : (int)(DESCRIPTOR_BASE + slot - 3);
}

int descriptor_open(struct nf_thread *thread, enum family_id family, bool nonblock, int protocol)
{
    int fd = -1;
    ordered_lock(thread, &IMAGE->descriptors_lock);
    uint32_t slot = free_slot(0);
    for (uint32_t i = 0; i < DESCRIPTORS_MAX && slot < FDS_MAX && fd < 0; i++) {
        struct nf_descriptor *entry = &IMAGE->descriptors[i];
        if (entry->family != FAMILY_NONE)
            continue;
        uint32_t queue = protocol < 0 ? 0 : queue_claim((uint32_t)protocol) + 1;
        if (queue > QUEUES_MAX)
            break;
        *entry = (struct nf_descriptor){
            .family = family, .nonblock = nonblock, .queue = queue, .numbers = 1};
        IMAGE->fds[slot] = i + 1;
        fd = slot_fd(slot);
    }
    ordered_unlock(&IMAGE->descriptors_lock);
    return fd >= 0 ? fd : fail(EMFILE);
}

/* Under descriptors_lock. */
static void close_slot(struct nf_thread *thread, uint32_t slot)
{
    uint32_t index = IMAGE->fds[slot] - 1;
    struct nf_descriptor *entry = &IMAGE->descriptors[index];
    IMAGE->fds[slot] = 0;
    if (--entry->numbers > 0)
        return;
    epoll_forget(index);
    if (descriptor_family(index)->close)
        descriptor_family(index)->close(thread, index);
    if (entry->queue)
        queue_release(descriptor_queue(index));
    *entry = (struct nf_descriptor){0};
}

void descriptor_close(struct nf_thread *thread, int fd)
{
    ordered_lock(thread, &IMAGE->descriptors_lock);
    if (descriptor_is(fd))
        close_slot(thread, fd_slot(fd));
    ordered_unlock(&IMAGE->descriptors_lock);
}

void descriptors_revive(void)
{
    /* Sets of descriptors last: they name the others. */
    for (uint32_t sets = 0; sets < 2; sets++)
        for (uint32_t i = 0; i < DESCRIPTORS_MAX; i++) {
            uint32_t family = IMAGE->descriptors[i].family;
            if (family != FAMILY_NONE && (family == FAMILY_EPOLL) == (sets == 1) &&
                families[family]->revive)
                families[family]->revive(i);
        }
}

/* dup and its kin: the number `wanted`, or the lowest free one from `lowest` on. */
static int duplicate(int fd, int wanted, int lowest)
{
    int result = -1;
    ordered_lock(nf_self, &IMAGE->descriptors_lock);
    uint32_t slot = wanted >= 0 ? fd_slot(wanted) : free_slot(lowest < 3 ? (uint32_t)lowest : 3);
    if (!descriptor_is(fd) || (wanted >= 0 && slot == FDS_MAX)) {
        errno = EBADF;
    } else if (slot == FDS_MAX) {
        errno = EMFILE;
    } else if (wanted >= 0 && slot == fd_slot(fd)) {
        result = fd;
    } else {
        if (IMAGE->fds[slot])
            close_slot(nf_self, slot);
        IMAGE->fds[slot] = IMAGE->fds[fd_slot(fd)];
        IMAGE->descriptors[IMAGE->fds[slot] - 1].numbers++;
        result = slot_fd(slot);
    }
    ordered_unlock(&IMAGE->descriptors_lock);
    return result;
}

HOOK int __palisade_dup(int fd)
{
    SITE_HERE();
    return nf_self ? duplicate(fd, -1, 0) : dup(fd);
}

HOOK int __palisade_dup2(int fd, int wanted)
{
    SITE_HERE();
    if (nf_self == NULL)
        return dup2(fd, wanted);
    if (wanted >= 0 && fd_slot(wanted) == FDS_MAX)
        process_fail(STATUS_UNMODELLED,
                     "dup2 to descriptor %d cannot be replayed: Palisade's numbers are 0 to 2 and "
                     "from %d on; use the number that dup gives (G8)",
                     wanted, DESCRIPTOR_BASE);
    return duplicate(fd, wanted < 0 ? INT32_MAX : wanted, 0);
}

HOOK int __palisade_dup3(int fd, int wanted, int flags)
{
    SITE_HERE();
    if (nf_self == NULL)
        return dup3(fd, wanted, flags);
    return fd == wanted ? fail(EINVAL) : __palisade_dup2(fd, wanted);
}

HOOK int __palisade_socket(int domain, int type, int protocol)
{
    SITE_HERE();
    if (nf_self == NULL)
        return socket(domain, type, protocol);
    bool nonblock = (type & SOCK_NONBLOCK) != 0;
    type &= ~(SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (domain == AF_PACKET && type == SOCK_RAW)
        return descriptor_open(nf_self, FAMILY_PACKET, nonblock, ntohs((uint16_t)protocol));
    if (domain == AF_PACKET)
        process_fail(STATUS_UNMODELLED, "AF_PACKET sockets of type SOCK_DGRAM are not supported; "
                                        "use SOCK_RAW (G8)");
    if (domain == AF_INET || domain == AF_INET6 || domain == AF_UNIX)
        return socket_open(nf_self, domain, type, protocol, nonblock);
    if (process.options.unmodelled == OPTION_UNMODELLED_ALLOW)
        return socket(domain, type, protocol);
    process_fail(
        STATUS_UNMODELLED,
        "socket: family %d, type %d cannot be replayed; packet, IPv4, IPv6 and Unix sockets "
        "can; or set unmodelled=allow (G8)",
        domain, type);
}

HOOK int __palisade_close(int fd)
{
    SITE_HERE();
    if (family_of(fd) == NULL)
        return to_libc() ? close(fd) : fail(EBADF); /* never the runtime's own */
    descriptor_close(nf_self, fd);
    return 0;
}

/* ---- control ---- */

HOOK int __palisade_bind(int fd, const struct sockaddr *address, socklen_t length)
{
    SITE_HERE();
    const struct family *family = family_of(fd);
    if (family == NULL)
        return to_libc() ? bind(fd, address, length) : fail(EBADF);
    return family->bind ? family->bind(nf_self, descriptor_index(fd), address, length)
                        : fail(ENOTSOCK);
}

HOOK int __palisade_setsockopt(int fd, int level, int name, const void *value, socklen_t length)
{
    SITE_HERE();
    const struct family *family = family_of(fd);
    if (family == NULL)
        return to_libc() ? setsockopt(fd, level, name, value, length) : fail(EBADF);
    return family->set_option
               ? family->set_option(nf_self, descriptor_index(fd), level, name, value, length)
               : fail(ENOTSOCK);
}

HOOK int __palisade_getsockopt(int fd, int level, int name, void *value, socklen_t *length)
{
    SITE_HERE();
    const struct family *family = family_of(fd);
    if (family == NULL)
        return to_libc() ? getsockopt(fd, level, name, value, length) : fail(EBADF);
    return family->get_option
               ? family->get_option(nf_self, descriptor_index(fd), level, name, value, length)
               : fail(ENOTSOCK);
}

HOOK int __palisade_ioctl(int fd, unsigned long request, ...)
{
    SITE_HERE();
    va_list arguments;
    va_start(arguments, request);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    const struct family *family = family_of(fd);
    if (family == NULL)
        return to_libc() ? ioctl(fd, request, argument) : fail(EBADF);
    if (request == FIONBIO) {
        IMAGE->descriptors[descriptor_index(fd)].nonblock = *(const int *)argument != 0;
        return 0;
    }
    return family->control ? family->control(nf_self, descriptor_index(fd), request, argument)
                           : fail(ENOTTY);
}

HOOK int __palisade_fcntl(int fd, int command, ...)
{
    SITE_HERE();
    va_list arguments;
    va_start(arguments, command);
    long argument = va_arg(arguments, long);
    va_end(arguments);
    const struct family *family = family_of(fd);
    if (family == NULL)
        return to_libc() ? fcntl(fd, command, argument) : fail(EBADF);
    struct nf_descriptor *entry = &IMAGE->descriptors[descriptor_index(fd)];
    switch (command) {
    case F_DUPFD:
    case F_DUPFD_CLOEXEC:
        return duplicate(fd, -1, argument < 0 ? 0 : (int)(argument < 3 ? argument : 3));
    case F_GETFL:
        return (family->flags ? family->flags(descriptor_index(fd)) : O_RDWR) |
               (entry->nonblock ? O_NONBLOCK : 0);
    case F_SETFL:
        entry->nonblock = (argument & O_NONBLOCK) != 0;
        return 0;
    case F_GETFD:
    case F_SETFD:
        return 0;
    case F_GETLK:
    case F_SETLK:
    case F_SETLKW:
        return entry->family == FAMILY_FILE
                   ? file_lock(nf_self, descriptor_index(fd), command, (struct flock *)argument)
                   : fail(EINVAL);
    default:
        return fail(EINVAL);
    }
}

/* ---- in and out ---- */

int palisade_recvmmsg_restartable(int fd, struct mmsghdr *messages, unsigned int count, int flags,
                                  struct timespec *timeout)
{
    const struct family *family = family_of(fd);
    if (family == NULL)
        return to_libc() ? recvmmsg(fd, messages, count, flags, timeout) : fail(EBADF);
    return family->receive && family->socket
               ? family->receive(nf_self, descriptor_index(fd), messages, count, flags)
               : fail(ENOTSOCK);
}

ssize_t palisade_recvmsg_restartable(int fd, struct msghdr *message, int flags)
{
    const struct family *family = family_of(fd);
    if (family == NULL)
        return to_libc() ? recvmsg(fd, message, flags) : fail(EBADF);
    struct mmsghdr one = {.msg_hdr = *message};
    if (palisade_recvmmsg_restartable(fd, &one, 1, flags, NULL) < 0)
        return -1;
    *message = one.msg_hdr;
    return one.msg_len;
}

ssize_t palisade_recvfrom_restartable(int fd, void *buffer, size_t room, int flags,
                                      struct sockaddr *address, socklen_t *length)
{
    const struct family *family = family_of(fd);
    if (family == NULL)
        return to_libc() ? recvfrom(fd, buffer, room, flags, address, length) : fail(EBADF);
    struct iovec piece = {.iov_base = buffer, .iov_len = room};
    struct mmsghdr one = {.msg_hdr = {.msg_iov = &piece,
                                      .msg_iovlen = 1,
                                      .msg_name = address,
                                      .msg_namelen = address && length ? *length : 0}};
    if (palisade_recvmmsg_restartable(fd, &one, 1, flags, NULL) < 0)
        return -1;
    if (address && length)
        *length = one.msg_hdr.msg_namelen;
    return one.msg_len;
}

ssize_t palisade_recv_restartable(int fd, void *buffer, size_t room, int flags)
{
    return palisade_recvfrom_restartable(fd, buffer, room, flags, NULL, NULL);
}

int palisade_sendmmsg_restartable(int fd, struct mmsghdr *messages, unsigned int count, int flags)
{
    const struct family *family = family_of(fd);
    if (family == NULL)
        return to_libc() ? sendmmsg(fd, messages, count, flags) : fail(EBADF);
    return family->transmit && family->socket
               ? family->transmit(nf_self, descriptor_index(fd), messages, count, flags)
               : fail(ENOTSOCK);
}

ssize_t palisade_sendmsg_restartable(int fd, const struct msghdr *message, int flags)
{
    if (family_of(fd) == NULL)
        return to_libc() ? sendmsg(fd, message, flags) : fail(EBADF);
    struct mmsghdr one = {.msg_hdr = *message};
    return palisade_sendmmsg_restartable(fd, &one, 1, flags) < 0 ? -1 : (ssize_t)one.msg_len;
}

ssize_t palisade_sendto_restartable(int fd, const void *bytes, size_t length, int flags,
                                    const struct sockaddr *address, socklen_t address_length)
{
    if (family_of(fd) == NULL)
        return to_libc() ? sendto(fd, bytes, length, flags, address, address_length) : fail(EBADF);
    struct iovec piece = {.iov_base = (void *)bytes, .iov_len = length};
    struct mmsghdr one = {.msg_hdr = {.msg_iov = &piece,
                                      .msg_iovlen = 1,
                                      .msg_name = (void *)address,
                                      .msg_namelen = address_length}};
    return palisade_sendmmsg_restartable(fd, &one, 1, flags) < 0 ? -1 : (ssize_t)one.msg_len;
}

ssize_t palisade_send_restartable(int fd, const void *bytes, size_t length, int flags)
{
    return palisade_sendto_restartable(fd, bytes, length, flags, NULL, 0);
}
