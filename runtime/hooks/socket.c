/* See socket.h. Control calls: made while starting, so simple and under one ordered lock. */
#include "hooks/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "abi_internal.h"
#include "core/assert.h"
#include "hooks/lock.h"

/* ---- queues ---- */

void socket_queue_open(uint32_t index)
{
    if (process.queues[index]) { /* of a socket closed before: what it left is nobody's */
        struct queue *old = process.queues[index];
        pthread_mutex_lock(&old->reading);
        atomic_store(&old->tail, atomic_load(&old->head));
        pthread_mutex_unlock(&old->reading);
        return;
    }
    struct queue *queue = aligned_alloc(64, sizeof *queue);
    struct slot *slots = malloc(sizeof *slots * process.options.queue_packets);
    if (queue == NULL || slots == NULL)
        process_fail(STATUS_MEMORY,
                     "no memory for a socket queue of %u packets; lower "
                     "queue_packets in PALISADE_OPTIONS",
                     (unsigned)process.options.queue_packets);
    memset(queue, 0, sizeof *queue);
    pthread_mutex_init(&queue->reading, NULL);
    queue->slots = slots;
    __atomic_store_n(&process.queues[index], queue, __ATOMIC_RELEASE);
}

bool queue_put(uint32_t index, packet_id id, uint16_t port, const uint8_t *bytes, uint16_t length)
{
    struct queue *queue = process.queues[index];
    uint64_t head = atomic_load_explicit(&queue->head, memory_order_relaxed);
    if (head - atomic_load_explicit(&queue->tail, memory_order_acquire) > queue_mask())
        return false;
    ASSERT(length <= PACKET_MAX_BYTES);
    struct slot *slot = &queue->slots[head & queue_mask()];
    slot->id = id;
    slot->port = port;
    slot->length = length;
    memcpy(slot->bytes, bytes, length);
    atomic_store_explicit(&queue->head, head + 1, memory_order_release);
    return true;
}

void queue_wake(struct queue *queue)
{
    atomic_thread_fence(memory_order_seq_cst);
    uint64_t waiters = atomic_load_explicit(&queue->waiters, memory_order_relaxed);
    while (waiters) {
        uint32_t thread = (uint32_t)__builtin_ctzll(waiters);
        waiters &= waiters - 1;
        atomic_fetch_and(&queue->waiters, ~(1ull << thread));
        atomic_fetch_add(&process.runs[thread].wake, 1);
        futex_wake(&process.runs[thread].wake, 1);
    }
}

/* ---- which socket ---- */

/* Addresses and ports enter symmetrically: both directions of a flow hash alike. */
static uint32_t flow_hash(const uint8_t *bytes, uint16_t length)
{
    uint32_t hash = 0;
    if (length >= 34 && bytes[12] == 0x08 && bytes[13] == 0x00) {
        const uint8_t *ip = bytes + 14;
        uint32_t source, destination, header = (ip[0] & 15u) * 4u;
        memcpy(&source, ip + 12, 4);
        memcpy(&destination, ip + 16, 4);
        hash = source ^ destination ^ ip[9];
        bool fragment = ((ip[6] & 0x3f) | ip[7]) != 0;
        if (!fragment && (ip[9] == IPPROTO_TCP || ip[9] == IPPROTO_UDP) &&
            length >= 14 + header + 4) {
            uint16_t from, to;
            memcpy(&from, ip + header, 2);
            memcpy(&to, ip + header + 2, 2);
            hash ^= (uint32_t)(from ^ to) << 8;
        }
    }
    hash *= 0x9E3779B1u;
    return hash ^ hash >> 15;
}

uint32_t socket_for(uint16_t port, const uint8_t *bytes, uint16_t length)
{
    uint16_t protocol = length >= 14 ? (uint16_t)(bytes[12] << 8 | bytes[13]) : 0;
    uint32_t members[SOCKETS_MAX], count = 0;
    for (uint32_t i = 0; i < SOCKETS_MAX; i++) {
        const struct nf_socket *socket = &IMAGE->sockets[i];
        if (socket->used && socket->reads && socket->port == port + 1u &&
            (socket->protocol == ETH_P_ALL || socket->protocol == protocol))
            members[count++] = i;
    }
    if (count == 0)
        return SOCKETS_MAX;
    return members[count == 1 ? 0 : (uint64_t)flow_hash(bytes, length) * count >> 32];
}

/* A second socket for the same port would get copies of each packet: not supported, said so. */
static void check_alone(uint32_t index)
{
    const struct nf_socket *own = &IMAGE->sockets[index];
    for (uint32_t i = 0; i < SOCKETS_MAX; i++) {
        const struct nf_socket *other = &IMAGE->sockets[i];
        if (i != index && other->used && other->reads && own->port == other->port &&
            own->protocol && other->protocol && (!own->fanout || own->fanout != other->fanout))
            process_fail(STATUS_UNMODELLED,
                         "two AF_PACKET sockets receive on port %s without a common PACKET_FANOUT "
                         "group; each would need its own copy, which is not supported (G8)",
                         process.ports[own->port - 1].name);
    }
}

/* ---- control calls ---- */

static int fail(int error)
{
    errno = error;
    return -1;
}

HOOK int __palisade_socket(int domain, int type, int protocol)
{
    struct nf_thread *thread = nf_self;
    if (thread == NULL)
        return socket(domain, type, protocol);
    /* What programs open to ask for addresses by ioctl: a virtual one that carries no packets. */
    bool asks_only = domain == AF_INET && (type & 0xff) == SOCK_DGRAM;
    if (domain != AF_PACKET && !asks_only) {
        if (process.options.unmodelled == OPTION_UNMODELLED_ALLOW)
            return socket(domain, type, protocol);
        process_fail(STATUS_UNMODELLED,
                     "socket: family %d, type %d cannot be replayed yet, only "
                     "AF_PACKET can; or set unmodelled=allow (G8)",
                     domain, type & 0xff);
    }
    if (domain == AF_PACKET && (type & 0xff) != SOCK_RAW)
        process_fail(STATUS_UNMODELLED, "AF_PACKET sockets of type SOCK_DGRAM are not supported; "
                                        "use SOCK_RAW (G8)");
    ordered_lock(thread, &IMAGE->sockets_lock);
    int fd = -1;
    for (uint32_t i = 0; i < SOCKETS_MAX && fd < 0; i++)
        if (!IMAGE->sockets[i].used) {
            IMAGE->sockets[i] =
                (struct nf_socket){.used = 1,
                                   .protocol = asks_only ? 0 : ntohs((uint16_t)protocol),
                                   .asks_only = asks_only,
                                   .nonblock = (type & SOCK_NONBLOCK) != 0};
            socket_queue_open(i);
            fd = SOCKET_FD_BASE + (int)i;
        }
    ordered_unlock(&IMAGE->sockets_lock);
    return fd >= 0 ? fd : fail(EMFILE);
}

HOOK int __palisade_bind(int fd, const struct sockaddr *address, socklen_t length)
{
    if (nf_self == NULL || !socket_is(fd))
        return bind(fd, address, length);
    socket_must_carry(fd, "bind");
    const struct sockaddr_ll *ll = (const struct sockaddr_ll *)address;
    if (length < offsetof(struct sockaddr_ll, sll_hatype) || ll->sll_family != AF_PACKET)
        return fail(EINVAL);
    if (ll->sll_ifindex < 1 || ll->sll_ifindex > process.port_count)
        return fail(ENODEV);
    ordered_lock(nf_self, &IMAGE->sockets_lock);
    struct nf_socket *socket = &IMAGE->sockets[socket_index(fd)];
    if (ll->sll_protocol)
        socket->protocol = ntohs(ll->sll_protocol);
    socket->port = (uint32_t)ll->sll_ifindex;
    ordered_unlock(&IMAGE->sockets_lock);
    return 0;
}

HOOK int __palisade_setsockopt(int fd, int level, int name, const void *value, socklen_t length)
{
    if (nf_self == NULL || !socket_is(fd))
        return setsockopt(fd, level, name, value, length);
    if (level == SOL_SOCKET) {
        switch (name) {
        case SO_RCVBUF: /* sizes, priorities: nothing that the NF can observe */
        case SO_SNDBUF:
        case SO_RCVBUFFORCE:
        case SO_SNDBUFFORCE:
        case SO_PRIORITY:
        case SO_BUSY_POLL:
        case SO_REUSEADDR:
            return 0;
        default:
            process_fail(STATUS_UNMODELLED,
                         "setsockopt: socket option %d of a packet socket is "
                         "not supported yet (G8)",
                         name);
        }
    }
    if (level != SOL_PACKET)
        return fail(ENOPROTOOPT);
    switch (name) {
    case PACKET_FANOUT:
        if (length < sizeof(uint32_t))
            return fail(EINVAL);
        ordered_lock(nf_self, &IMAGE->sockets_lock);
        IMAGE->sockets[socket_index(fd)].fanout = (*(const uint32_t *)value & 0xffff) + 1;
        ordered_unlock(&IMAGE->sockets_lock);
        return 0;
    case PACKET_ADD_MEMBERSHIP: /* the input logger's device is open for everything */
    case PACKET_DROP_MEMBERSHIP:
    case PACKET_IGNORE_OUTGOING: /* own packets are never seen */
    case PACKET_QDISC_BYPASS:
    case PACKET_LOSS:
        return 0;
    default:
        process_fail(STATUS_UNMODELLED,
                     "setsockopt: AF_PACKET option %d (a ring?) is not supported yet (G8)", name);
    }
}

HOOK int __palisade_getsockopt(int fd, int level, int name, void *value, socklen_t *length)
{
    if (nf_self == NULL || !socket_is(fd))
        return getsockopt(fd, level, name, value, length);
    if (level == SOL_SOCKET && name == SO_ERROR && *length >= sizeof(int)) {
        *(int *)value = 0;
        return 0;
    }
    return fail(ENOPROTOOPT);
}

static int port_named(const char *name)
{
    for (uint16_t i = 0; i < process.port_count; i++)
        if (strncmp(process.ports[i].name, name, PORT_NAME_BYTES) == 0)
            return i;
    return -1;
}

HOOK unsigned int __palisade_if_nametoindex(const char *name)
{
    if (nf_self == NULL)
        return if_nametoindex(name);
    int port = port_named(name);
    if (port < 0)
        errno = ENODEV;
    return (unsigned int)(port + 1);
}

HOOK char *__palisade_if_indextoname(unsigned int index, char *name)
{
    if (nf_self == NULL)
        return if_indextoname(index, name);
    if (index < 1 || index > process.port_count) {
        errno = ENXIO;
        return NULL;
    }
    memcpy(name, process.ports[index - 1].name, PORT_NAME_BYTES);
    return name;
}

HOOK int __palisade_ioctl(int fd, unsigned long request, ...)
{
    va_list arguments;
    va_start(arguments, request);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    if (nf_self == NULL)
        return ioctl(fd, request, argument);
    struct ifreq *interface = argument;
    int port = -1;
    if (request == SIOCGIFINDEX || request == SIOCGIFHWADDR || request == SIOCGIFMTU ||
        request == SIOCGIFFLAGS || request == SIOCSIFFLAGS)
        port = port_named(interface->ifr_name);
    else if (!socket_is(fd))
        return ioctl(fd, request, argument);
    else
        process_fail(STATUS_UNMODELLED,
                     "ioctl: request 0x%lx on an AF_PACKET socket cannot be "
                     "replayed (G8)",
                     request);
    if (port < 0)
        return fail(ENODEV);
    switch (request) {
    case SIOCGIFINDEX:
        interface->ifr_ifindex = port + 1;
        break;
    case SIOCGIFHWADDR:
        memset(&interface->ifr_hwaddr, 0, sizeof interface->ifr_hwaddr);
        interface->ifr_hwaddr.sa_family = ARPHRD_ETHER;
        memcpy(interface->ifr_hwaddr.sa_data, process.ports[port].mac, 6);
        break;
    case SIOCGIFMTU:
        interface->ifr_mtu = process.ports[port].mtu;
        break;
    case SIOCGIFFLAGS:
        interface->ifr_flags = IFF_UP | IFF_RUNNING | IFF_BROADCAST | IFF_MULTICAST;
        break;
    }
    return 0;
}

HOOK int __palisade_fcntl(int fd, int command, ...)
{
    va_list arguments;
    va_start(arguments, command);
    long argument = va_arg(arguments, long);
    va_end(arguments);
    if (nf_self == NULL || !socket_is(fd))
        return fcntl(fd, command, argument);
    struct nf_socket *socket = &IMAGE->sockets[socket_index(fd)];
    switch (command) {
    case F_GETFL:
        return O_RDWR | (socket->nonblock ? O_NONBLOCK : 0);
    case F_SETFL:
        socket->nonblock = (argument & O_NONBLOCK) != 0;
        return 0;
    case F_GETFD:
    case F_SETFD:
        return 0;
    default:
        return fail(EINVAL);
    }
}

HOOK int __palisade_close(int fd)
{
    if (nf_self == NULL || !socket_is(fd))
        return close(fd);
    ordered_lock(nf_self, &IMAGE->sockets_lock);
    IMAGE->sockets[socket_index(fd)] = (struct nf_socket){0};
    ordered_unlock(&IMAGE->sockets_lock);
    return 0;
}

/* Called by poll and receive: from now on the socket wants packets. */
void socket_reads(uint32_t index)
{
    struct nf_socket *socket = &IMAGE->sockets[index];
    if (socket->reads)
        return;
    socket->reads = 1;
    check_alone(index);
    atomic_store(&process.nf_ready, 1);
    io_kick();
}
