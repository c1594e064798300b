/* AF_PACKET sockets of type SOCK_RAW: a family of descriptors, see descriptor.h. */
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>

#include "hooks/files/descriptor.h"
#include "hooks/packets/packet_ring.h"
#include "hooks/packets/packets.h"
#include "hooks/sharing/lock.h"

/* ---- receive ---- */

void packet_address(struct sockaddr_ll *out, uint16_t port, const uint8_t *bytes, uint16_t length)
{
    *out = (struct sockaddr_ll){.sll_family = AF_PACKET,
                                .sll_ifindex = port + 1,
                                .sll_hatype = ARPHRD_ETHER,
                                .sll_pkttype = PACKET_HOST,
                                .sll_halen = 6};
    if (length >= sizeof(struct ethhdr)) {
        memcpy(&out->sll_protocol, bytes + 12, 2);
        memcpy(out->sll_addr, bytes + 6, 6);
        if (bytes[0] & 1)
            out->sll_pkttype = PACKET_MULTICAST;
    }
}

static void fill_address(void *out, socklen_t *length, uint16_t port, const uint8_t *bytes,
                         uint16_t size)
{
    struct sockaddr_ll address;
    packet_address(&address, port, bytes, size);
    memcpy(out, &address, *length < sizeof address ? *length : sizeof address);
    *length = sizeof address;
}

/* Returns the bytes stored; sets MSG_TRUNC in msg_flags when there were more. */
static inline uint32_t fill_message(struct msghdr *message, uint16_t port, const uint8_t *bytes,
                                    uint16_t length)
{
    size_t stored = 0;
    message->msg_controllen = 0;
    message->msg_flags = 0;
    if (__builtin_expect(message->msg_iovlen == 1 && message->msg_iov->iov_len >= length, 1)) {
        memcpy(message->msg_iov->iov_base, bytes, length);
        stored = length;
    } else {
        for (size_t i = 0; i < message->msg_iovlen; i++) {
            size_t piece = message->msg_iov[i].iov_len, left = length - stored;
            piece = piece < left ? piece : left;
            memcpy(message->msg_iov[i].iov_base, bytes + stored, piece);
            stored += piece;
        }
        message->msg_flags = stored < length ? MSG_TRUNC : 0;
    }
    if (message->msg_name)
        fill_address(message->msg_name, &message->msg_namelen, port, bytes, length);
    return (uint32_t)stored;
}

static void fill(void *context, uint32_t n, uint16_t port, const uint8_t *bytes, uint16_t length)
{
    struct mmsghdr *message = (struct mmsghdr *)context + n;
    message->msg_len = fill_message(&message->msg_hdr, port, bytes, length);
}

/* With the kernel it would receive from every interface. */
static void must_be_bound(uint32_t index)
{
    const struct nf_queue *queue = &IMAGE->queues[descriptor_queue(index)];
    if (__builtin_expect(!queue->port && queue->protocol, 0))
        process_fail(STATUS_UNMODELLED, "an AF_PACKET socket receives without having been bound "
                                        "to a port: not supported, bind one for each port (G8)");
}

static int receive(struct nf_thread *thread, uint32_t index, struct mmsghdr *messages,
                   uint32_t count, int flags)
{
    if (flags & (MSG_PEEK | MSG_ERRQUEUE))
        process_fail(STATUS_UNMODELLED, "recv: MSG_PEEK and MSG_ERRQUEUE are not supported (G8)");
    must_be_bound(index);
    bool wait = !(flags & MSG_DONTWAIT) && !IMAGE->descriptors[index].nonblock && count > 0;
    uint32_t received = packets_receive(thread, descriptor_queue(index), count, wait ? -1 : 0,
                                        wait ? &signal_restart : &signal_again, fill, messages);
    return received ? (int)received : fail(EAGAIN);
}

/* ---- send ---- */

/* False with errno when it cannot be sent. `bound` is the socket's port index + 1, 0 for none. */
static __attribute__((noinline)) bool check_any(const struct msghdr *message, uint32_t bound,
                                                struct outgoing *out)
{
    size_t length = 0;
    for (size_t i = 0; i < message->msg_iovlen; i++)
        length += message->msg_iov[i].iov_len;
    uint32_t port = bound;
    if (message->msg_name && message->msg_namelen >= offsetof(struct sockaddr_ll, sll_hatype)) {
        int ifindex = ((const struct sockaddr_ll *)message->msg_name)->sll_ifindex;
        if (ifindex > 0)
            port = (uint32_t)ifindex;
    }
    if (port - 1 >= process.port_count) {
        errno = ENXIO;
        return false;
    }
    port_must_be_ethernet(port - 1, "AF_PACKET sockets");
    if (length > port_frame_limit(port - 1) || length < sizeof(struct ethhdr)) {
        errno = length < sizeof(struct ethhdr) ? EINVAL : EMSGSIZE; /* as the kernel says */
        return false;
    }
    *out = (struct outgoing){.port = (uint16_t)(port - 1),
                             .length = (uint16_t)length,
                             .pieces = (uint32_t)message->msg_iovlen,
                             .iov = message->msg_iov};
    return true;
}

/* The common case in line: one piece, to the bound port, of a length between an Ethernet header and
 * `most` (0 when there is no bound port). */
static inline bool check(const struct msghdr *message, uint32_t bound, uint32_t most,
                         struct outgoing *out)
{
    if (__builtin_expect(message->msg_name != NULL || message->msg_iovlen != 1, 0))
        return check_any(message, bound, out);
    size_t length = message->msg_iov->iov_len;
    if (__builtin_expect(length < sizeof(struct ethhdr) || length > most, 0))
        return check_any(message, bound, out);
    *out = (struct outgoing){.port = (uint16_t)(bound - 1),
                             .length = (uint16_t)length,
                             .pieces = 1,
                             .iov = message->msg_iov};
    return true;
}

/* Every message is checked before anything happens; those before the first bad one are sent. */
static int transmit(struct nf_thread *thread, uint32_t index, struct mmsghdr *messages,
                    uint32_t count, int flags)
{
    (void)flags;
    if (packet_rings(index) && count == 1 && messages->msg_hdr.msg_iov->iov_base == NULL) {
        int sent = packet_ring_flush(thread, index);
        messages->msg_len = sent < 0 ? 0 : (uint32_t)sent;
        return sent < 0 ? -1 : 1;
    }
    uint32_t bound = IMAGE->queues[descriptor_queue(index)].port, accepted = 0;
    uint32_t most = port_frame_limit(bound - 1);
    struct outgoing packets[PACKETS_BATCH_MAX];
    safe_point(thread);
    if (count > PACKETS_BATCH_MAX)
        count = PACKETS_BATCH_MAX;
    while (accepted < count && check(&messages[accepted].msg_hdr, bound, most, &packets[accepted]))
        accepted++;
    if (accepted == 0)
        return count == 0 ? 0 : -1;
    packets_send(thread, packets, accepted);
    for (uint32_t i = 0; i < accepted; i++)
        messages[i].msg_len = packets[i].length;
    return (int)accepted;
}

/* ---- control ---- */

static int bind_port(struct nf_thread *thread, uint32_t index, const struct sockaddr *address,
                     socklen_t length)
{
    const struct sockaddr_ll *ll = (const struct sockaddr_ll *)address;
    if (length < offsetof(struct sockaddr_ll, sll_hatype) || ll->sll_family != AF_PACKET)
        return fail(EINVAL);
    if (ll->sll_ifindex < 1 || ll->sll_ifindex > process.port_count)
        return fail(ENODEV);
    port_must_be_ethernet((uint32_t)ll->sll_ifindex - 1, "AF_PACKET sockets");
    ordered_lock(thread, &IMAGE->descriptors_lock);
    struct nf_queue *queue = &IMAGE->queues[descriptor_queue(index)];
    if (ll->sll_protocol)
        queue->protocol = ntohs(ll->sll_protocol);
    queue->port = (uint32_t)ll->sll_ifindex;
    ordered_unlock(&IMAGE->descriptors_lock);
    return 0;
}

static int set_option(struct nf_thread *thread, uint32_t index, int level, int name,
                      const void *value, socklen_t length)
{
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
        ordered_lock(thread, &IMAGE->descriptors_lock);
        IMAGE->queues[descriptor_queue(index)].fanout = (*(const uint32_t *)value & 0xffff) + 1;
        ordered_unlock(&IMAGE->descriptors_lock);
        return 0;
    case PACKET_VERSION:
        if (length < sizeof(int) || *(const int *)value > TPACKET_V3)
            return fail(EINVAL);
        IMAGE->descriptors[index].own[PACKET_OWN_VERSION] = (uint64_t) * (const int *)value;
        return 0;
    case PACKET_RX_RING:
    case PACKET_TX_RING:
        return packet_ring_set(index, name, value, length);
    case PACKET_ADD_MEMBERSHIP: /* the input logger's device is open for everything */
    case PACKET_DROP_MEMBERSHIP:
    case PACKET_IGNORE_OUTGOING: /* own packets are never seen */
    case PACKET_QDISC_BYPASS:
    case PACKET_LOSS:
        return 0;
    default:
        process_fail(STATUS_UNMODELLED, "setsockopt: AF_PACKET option %d is not supported (G8)",
                     name);
    }
}

static int get_option(struct nf_thread *thread, uint32_t index, int level, int name, void *value,
                      socklen_t *length)
{
    (void)thread;
    (void)index;
    if (level == SOL_PACKET && name == PACKET_STATISTICS) {
        memset(value, 0, *length); /* nothing is dropped here; what came is not counted */
        return 0;
    }
    if (level != SOL_SOCKET || name != SO_ERROR || *length < sizeof(int))
        return fail(ENOPROTOOPT);
    *(int *)value = 0;
    return 0;
}

static short ready(uint32_t index, short events)
{
    short in = events & (POLLIN | POLLRDNORM);
    if (in)
        must_be_bound(index);
    if (in && !packets_ready(descriptor_queue(index)) && !packet_ring_ready(index))
        in = 0;
    return in | (events & (POLLOUT | POLLWRNORM));
}

const struct family family_packet = {
    .name = "AF_PACKET socket",
    .socket = true,
    .receive = receive,
    .transmit = transmit,
    .bind = bind_port,
    .set_option = set_option,
    .get_option = get_option,
    .control = interface_control,
    .map = packet_ring_map,
    .ready = ready,
    .fill = packet_ring_fill,
    .close = packet_ring_close,
};
