/* See descriptor.h. Calls that open, name and close are made while starting: simple, under one
 * lock. */
#include "hooks/descriptor.h"

#include <fcntl.h>
#include <net/ethernet.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "abi_internal.h"
#include "hooks/lock.h"
#include "hooks/queue.h"

static const struct family *const families[FAMILIES] = {
    [FAMILY_PACKET] = &family_packet,
    [FAMILY_INTERFACE] = &family_interface,
    [FAMILY_PCAP] = &family_pcap,
    [FAMILY_XSK] = &family_xsk,
    [FAMILY_TUN] = &family_tun,
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

/* The family of `fd`, when the NF calls and the descriptor is a virtual one; else NULL. */
static inline const struct family *family_of(int fd)
{
    return nf_self && descriptor_is(fd) ? descriptor_family(descriptor_index(fd)) : NULL;
}

/* ---- the table ---- */

int descriptor_open(struct nf_thread *thread, enum family_id family, bool nonblock, int protocol)
{
    int fd = -1;
    ordered_lock(thread, &IMAGE->descriptors_lock);
    for (uint32_t i = 0; i < DESCRIPTORS_MAX && fd < 0; i++) {
        struct nf_descriptor *entry = &IMAGE->descriptors[i];
        if (entry->family != FAMILY_NONE)
            continue;
        uint32_t queue = protocol < 0 ? 0 : queue_claim((uint32_t)protocol) + 1;
        if (queue > QUEUES_MAX)
            break;
        *entry = (struct nf_descriptor){.family = family, .nonblock = nonblock, .queue = queue};
        fd = DESCRIPTOR_BASE + (int)i;
    }
    ordered_unlock(&IMAGE->descriptors_lock);
    return fd >= 0 ? fd : fail(EMFILE);
}

void descriptors_revive(void)
{
    for (uint32_t i = 0; i < DESCRIPTORS_MAX; i++)
        if (IMAGE->descriptors[i].family != FAMILY_NONE && descriptor_family(i)->revive)
            descriptor_family(i)->revive(i);
}

HOOK int __palisade_socket(int domain, int type, int protocol)
{
    if (nf_self == NULL)
        return socket(domain, type, protocol);
    bool nonblock = (type & SOCK_NONBLOCK) != 0;
    type &= ~(SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (domain == AF_PACKET && type == SOCK_RAW)
        return descriptor_open(nf_self, FAMILY_PACKET, nonblock, ntohs((uint16_t)protocol));
    if (domain == AF_PACKET)
        process_fail(STATUS_UNMODELLED, "AF_PACKET sockets of type SOCK_DGRAM are not supported; "
                                        "use SOCK_RAW (G8)");
    if (domain == AF_INET && type == SOCK_DGRAM)
        return descriptor_open(nf_self, FAMILY_INTERFACE, nonblock, -1);
    if (process.options.unmodelled == OPTION_UNMODELLED_ALLOW)
        return socket(domain, type, protocol);
    process_fail(STATUS_UNMODELLED,
                 "socket: family %d, type %d cannot be replayed yet, only AF_PACKET can; or set "
                 "unmodelled=allow (G8)",
                 domain, type);
}

HOOK int __palisade_close(int fd)
{
    const struct family *family = family_of(fd);
    if (family == NULL)
        return close(fd);
    uint32_t index = descriptor_index(fd);
    ordered_lock(nf_self, &IMAGE->descriptors_lock);
    if (family->close)
        family->close(nf_self, index);
    if (IMAGE->descriptors[index].queue)
        queue_release(descriptor_queue(index));
    IMAGE->descriptors[index] = (struct nf_descriptor){0};
    ordered_unlock(&IMAGE->descriptors_lock);
    return 0;
}

/* ---- control ---- */

HOOK int __palisade_bind(int fd, const struct sockaddr *address, socklen_t length)
{
    const struct family *family = family_of(fd);
    if (family == NULL)
        return bind(fd, address, length);
    return family->bind ? family->bind(nf_self, descriptor_index(fd), address, length)
                        : fail(ENOTSOCK);
}

HOOK int __palisade_setsockopt(int fd, int level, int name, const void *value, socklen_t length)
{
    const struct family *family = family_of(fd);
    if (family == NULL)
        return setsockopt(fd, level, name, value, length);
    return family->set_option
               ? family->set_option(nf_self, descriptor_index(fd), level, name, value, length)
               : fail(ENOTSOCK);
}

HOOK int __palisade_getsockopt(int fd, int level, int name, void *value, socklen_t *length)
{
    const struct family *family = family_of(fd);
    if (family == NULL)
        return getsockopt(fd, level, name, value, length);
    return family->get_option
               ? family->get_option(nf_self, descriptor_index(fd), level, name, value, length)
               : fail(ENOTSOCK);
}

HOOK int __palisade_ioctl(int fd, unsigned long request, ...)
{
    va_list arguments;
    va_start(arguments, request);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    const struct family *family = family_of(fd);
    if (family == NULL)
        return ioctl(fd, request, argument);
    if (request == FIONBIO) {
        IMAGE->descriptors[descriptor_index(fd)].nonblock = *(const int *)argument != 0;
        return 0;
    }
    return family->control ? family->control(nf_self, descriptor_index(fd), request, argument)
                           : fail(ENOTTY);
}

HOOK int __palisade_fcntl(int fd, int command, ...)
{
    va_list arguments;
    va_start(arguments, command);
    long argument = va_arg(arguments, long);
    va_end(arguments);
    if (family_of(fd) == NULL)
        return fcntl(fd, command, argument);
    struct nf_descriptor *entry = &IMAGE->descriptors[descriptor_index(fd)];
    switch (command) {
    case F_GETFL:
        return O_RDWR | (entry->nonblock ? O_NONBLOCK : 0);
    case F_SETFL:
        entry->nonblock = (argument & O_NONBLOCK) != 0;
        return 0;
    case F_GETFD:
    case F_SETFD:
        return 0;
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
        return recvmmsg(fd, messages, count, flags, timeout);
    return family->receive ? family->receive(nf_self, descriptor_index(fd), messages, count, flags)
                           : fail(ENOTSOCK);
}

ssize_t palisade_recvmsg_restartable(int fd, struct msghdr *message, int flags)
{
    const struct family *family = family_of(fd);
    if (family == NULL)
        return recvmsg(fd, message, flags);
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
        return recvfrom(fd, buffer, room, flags, address, length);
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
        return sendmmsg(fd, messages, count, flags);
    return family->transmit
               ? family->transmit(nf_self, descriptor_index(fd), messages, count, flags)
               : fail(ENOTSOCK);
}

ssize_t palisade_sendmsg_restartable(int fd, const struct msghdr *message, int flags)
{
    if (family_of(fd) == NULL)
        return sendmsg(fd, message, flags);
    struct mmsghdr one = {.msg_hdr = *message};
    return palisade_sendmmsg_restartable(fd, &one, 1, flags) < 0 ? -1 : (ssize_t)one.msg_len;
}

ssize_t palisade_sendto_restartable(int fd, const void *bytes, size_t length, int flags,
                                    const struct sockaddr *address, socklen_t address_length)
{
    if (family_of(fd) == NULL)
        return sendto(fd, bytes, length, flags, address, address_length);
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
