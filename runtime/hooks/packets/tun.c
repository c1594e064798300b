/*
 * /dev/net/tun: a family of descriptors, see descriptor.h.
 *
 * The device is a TUN or TAP port of the loggers. TUNSETIFF names it, and the queue of this
 * descriptor then receives what the kernel hands to the port. Several descriptors of one port, all
 * with IFF_MULTI_QUEUE, share it by flow. The logger's end carries bare packets; the header of 4
 * bytes that programs without IFF_NO_PI expect is put on and taken off here.
 */
#include <fcntl.h>
#include <limits.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "hooks/files/descriptor.h"
#include "hooks/packets/packets.h"
#include "hooks/sharing/lock.h"

#define CLONE_DEVICE "/dev/net/tun"
#define FANOUT_TUN 0x20000u /* a group that no PACKET_FANOUT can name */
#define ETHERNET_BYTES 14u
#define FLAGS_KEPT (IFF_TUN | IFF_TAP | IFF_NO_PI | IFF_MULTI_QUEUE | IFF_ONE_QUEUE)

/* `own` of the descriptor. */
enum {
    OWN_FLAGS, /* of TUNSETIFF */
    OWN_PORT,  /* index + 1; 0: not attached. The queue's port differs while it is detached. */
};

static uint64_t *own(uint32_t index)
{
    return IMAGE->descriptors[index].own;
}

static inline bool has_header(uint32_t index)
{
    return !(own(index)[OWN_FLAGS] & IFF_NO_PI);
}

/* ---- open ---- */

static bool owns(const char *path)
{
    return strcmp(path, CLONE_DEVICE) == 0;
}

static int open_tun(struct nf_thread *thread, const char *path, int flags)
{
    (void)path;
    return descriptor_open(thread, FAMILY_TUN, (flags & O_NONBLOCK) != 0, ETH_P_ALL);
}

/* ---- receive ---- */

/* Copies what fits behind the first `skip` bytes of the pieces; returns how much did. */
static size_t scatter(const struct msghdr *message, size_t skip, const uint8_t *bytes,
                      size_t length)
{
    size_t stored = 0;
    for (size_t i = 0; i < message->msg_iovlen && stored < length; i++) {
        size_t room = message->msg_iov[i].iov_len, pass = room < skip ? room : skip;
        size_t piece = room - pass < length - stored ? room - pass : length - stored;
        memcpy((uint8_t *)message->msg_iov[i].iov_base + pass, bytes + stored, piece);
        stored += piece;
        skip -= pass;
    }
    return stored;
}

static size_t room_of(const struct msghdr *message)
{
    size_t room = 0;
    for (size_t i = 0; i < message->msg_iovlen; i++)
        room += message->msg_iov[i].iov_len;
    return room;
}

struct reading {
    struct mmsghdr *messages;
    bool header;
};

/* As the kernel does it: what does not fit is cut off, and only the header tells. */
static void fill(void *context, uint32_t n, uint16_t port, const uint8_t *bytes, uint16_t length)
{
    const struct reading *reading = context;
    struct mmsghdr *message = &reading->messages[n];
    size_t skip = 0;
    if (reading->header) {
        struct tun_pi header = {.proto = htons(packet_protocol(port, bytes, length))};
        skip = sizeof header;
        if (room_of(&message->msg_hdr) < skip + length)
            header.flags |= TUN_PKT_STRIP;
        scatter(&message->msg_hdr, 0, (const uint8_t *)&header, sizeof header);
    }
    message->msg_len = (unsigned int)(skip + scatter(&message->msg_hdr, skip, bytes, length));
}

static int receive(struct nf_thread *thread, uint32_t index, struct mmsghdr *messages,
                   uint32_t count, int flags)
{
    struct reading reading = {.messages = messages, .header = has_header(index)};
    (void)flags;
    if (!own(index)[OWN_PORT])
        return fail(EBADFD);
    if (reading.header && room_of(&messages->msg_hdr) < sizeof(struct tun_pi))
        return fail(EINVAL);
    bool wait = !IMAGE->descriptors[index].nonblock;
    uint32_t received = packets_receive(thread, descriptor_queue(index), count, wait ? -1 : 0,
                                        wait ? &signal_restart : &signal_again, fill, &reading);
    return received ? (int)received : fail(EAGAIN);
}

/* ---- send ---- */

/* Puts the packet without its header into one piece; *piece points into the message or `room`. */
static bool gather(const struct msghdr *message, size_t skip, uint8_t room[PACKET_MAX_BYTES],
                   struct iovec *piece)
{
    size_t total = room_of(message), at = 0;
    if (total < skip) {
        errno = EINVAL;
        return false;
    }
    if (total - skip > PACKET_MAX_BYTES) {
        errno = EMSGSIZE;
        return false;
    }
    if (message->msg_iovlen == 1) {
        *piece = (struct iovec){.iov_base = (uint8_t *)message->msg_iov->iov_base + skip,
                                .iov_len = total - skip};
        return true;
    }
    for (size_t i = 0; i < message->msg_iovlen; i++) {
        size_t length = message->msg_iov[i].iov_len, pass = length < skip ? length : skip;
        if (length > pass)
            memcpy(room + at, (const uint8_t *)message->msg_iov[i].iov_base + pass, length - pass);
        at += length - pass;
        skip -= pass;
    }
    *piece = (struct iovec){.iov_base = room, .iov_len = at};
    return true;
}

/* The kernel's own checks, so that what it refuses is refused here. */
static bool acceptable(uint32_t index, const struct iovec *packet)
{
    if (own(index)[OWN_FLAGS] & IFF_TAP)
        return packet->iov_len >= ETHERNET_BYTES;
    uint8_t version = packet->iov_len ? *(const uint8_t *)packet->iov_base >> 4 : 0;
    return has_header(index) || version == 4 || version == 6;
}

/* One message a call: write and writev know no more. */
static int transmit(struct nf_thread *thread, uint32_t index, struct mmsghdr *messages,
                    uint32_t count, int flags)
{
    uint8_t room[PACKET_MAX_BYTES];
    struct iovec piece;
    (void)flags;
    safe_point(thread);
    if (!own(index)[OWN_PORT])
        return fail(EBADFD);
    if (count == 0)
        return 0;
    size_t skip = has_header(index) ? sizeof(struct tun_pi) : 0;
    if (!gather(&messages->msg_hdr, skip, room, &piece))
        return -1;
    if (!acceptable(index, &piece))
        return fail(EINVAL);
    const struct outgoing packet = {.port = (uint16_t)(own(index)[OWN_PORT] - 1),
                                    .length = (uint16_t)piece.iov_len,
                                    .pieces = 1,
                                    .iov = &piece};
    if (packet.length) /* a header and nothing else is taken, and leads nowhere */
        packets_send(thread, &packet, 1);
    messages->msg_len = (unsigned int)(skip + packet.length);
    return 1;
}

static short ready(uint32_t index, short events)
{
    if (!own(index)[OWN_PORT])
        process_fail(STATUS_UNMODELLED, "poll on %s before TUNSETIFF is not supported (G8)",
                     CLONE_DEVICE);
    short in = events & (POLLIN | POLLRDNORM);
    if (in && !packets_ready(descriptor_queue(index)))
        in = 0;
    return in | (events & (POLLOUT | POLLWRNORM));
}

/* ---- attach ---- */

static enum port_kind kind_of(unsigned flags)
{
    return (flags & IFF_TUN) ? PORT_TUN : PORT_TAP;
}

/* Another descriptor of the port, or DESCRIPTORS_MAX. Under descriptors_lock. */
static uint32_t other_of(uint32_t index, uint32_t port)
{
    for (uint32_t i = 0; i < DESCRIPTORS_MAX; i++)
        if (i != index && IMAGE->descriptors[i].family == FAMILY_TUN &&
            own(i)[OWN_PORT] == port + 1)
            return i;
    return DESCRIPTORS_MAX;
}

/* No name, or a pattern as "tun%d": the first port of the kind that nobody has yet. */
static int port_free(uint32_t index, enum port_kind kind)
{
    for (uint32_t p = 0; p < process.port_count; p++)
        if (process.ports[p].kind == kind && other_of(index, p) == DESCRIPTORS_MAX)
            return (int)p;
    return -1;
}

static __attribute__((noreturn)) void refuse_name(const char *name, enum port_kind kind)
{
    const char *word = kind == PORT_TUN ? "tun" : "tap";
    process_fail(STATUS_INTERFACE,
                 "ioctl: TUNSETIFF: the loggers have no %s port \"%s\"; give both --port "
                 "NAME=DEVICE,%s, NAME as the program calls it",
                 word, name, word);
}

/* The port to attach to; or -1 with errno. Under descriptors_lock. */
static int port_wanted(uint32_t index, const char *name, unsigned flags)
{
    enum port_kind kind = kind_of(flags);
    bool any = *name == 0 || strchr(name, '%') != NULL;
    int port = any ? port_free(index, kind) : port_named(name);
    if (port < 0 || process.ports[port].kind != kind)
        refuse_name(name, kind);
    uint32_t other = other_of(index, (uint32_t)port);
    if (other == DESCRIPTORS_MAX)
        return port;
    if ((own(other)[OWN_FLAGS] & IFF_MULTI_QUEUE) != (flags & IFF_MULTI_QUEUE))
        return fail(EINVAL); /* as the kernel says */
    return (flags & IFF_MULTI_QUEUE) ? port : fail(EBUSY);
}

static void queue_bind(uint32_t index, bool attached)
{
    struct nf_queue *queue = &IMAGE->queues[descriptor_queue(index)];
    queue->port = attached ? (uint32_t)own(index)[OWN_PORT] : 0;
    queue->fanout = (own(index)[OWN_FLAGS] & IFF_MULTI_QUEUE) ? FANOUT_TUN : 0;
}

static int attach(struct nf_thread *thread, uint32_t index, struct ifreq *request)
{
    unsigned flags = (unsigned short)request->ifr_flags;
    char name[IFNAMSIZ];
    memcpy(name, request->ifr_name, sizeof name);
    name[IFNAMSIZ - 1] = 0;
    if (own(index)[OWN_PORT])
        return fail(EEXIST);
    if (!(flags & IFF_TUN) == !(flags & IFF_TAP))
        return fail(EINVAL);
    if (flags & IFF_VNET_HDR)
        process_fail(STATUS_UNMODELLED, "ioctl: TUNSETIFF with IFF_VNET_HDR is not supported: the "
                                        "port carries whole packets without offloads (G8)");
    ordered_lock(thread, &IMAGE->descriptors_lock);
    int port = port_wanted(index, name, flags);
    if (port >= 0) {
        own(index)[OWN_FLAGS] = flags & FLAGS_KEPT;
        own(index)[OWN_PORT] = (uint64_t)port + 1;
        queue_bind(index, true);
        memcpy(request->ifr_name, process.ports[port].name, sizeof request->ifr_name);
    }
    ordered_unlock(&IMAGE->descriptors_lock);
    return port < 0 ? -1 : 0;
}

/* TUNSETQUEUE. What a detached descriptor writes still goes out, as with the kernel. */
static int set_queue(struct nf_thread *thread, uint32_t index, const struct ifreq *request)
{
    unsigned flags = (unsigned short)request->ifr_flags;
    int result = -1;
    ordered_lock(thread, &IMAGE->descriptors_lock);
    bool attached = IMAGE->queues[descriptor_queue(index)].port != 0;
    bool attach = (flags & IFF_ATTACH_QUEUE) != 0, detach = (flags & IFF_DETACH_QUEUE) != 0;
    if ((own(index)[OWN_FLAGS] & IFF_MULTI_QUEUE) && attach != detach && attach != attached) {
        queue_bind(index, attach);
        result = 0;
    }
    ordered_unlock(&IMAGE->descriptors_lock);
    return result == 0 ? 0 : fail(EINVAL);
}

/* ---- control ---- */

static int tell(uint32_t index, struct ifreq *request)
{
    if (!own(index)[OWN_PORT])
        return fail(EBADFD);
    memset(request, 0, sizeof *request);
    memcpy(request->ifr_name, process.ports[own(index)[OWN_PORT] - 1].name, IFNAMSIZ);
    bool detached = IMAGE->queues[descriptor_queue(index)].port == 0;
    request->ifr_flags = (short)(own(index)[OWN_FLAGS] | IFF_PERSIST | IFF_NOFILTER |
                                 (detached ? IFF_DETACH_QUEUE : 0));
    return 0;
}

static int control(struct nf_thread *thread, uint32_t index, unsigned long request, void *argument)
{
    switch (request) {
    case TUNSETIFF:
        return attach(thread, index, argument);
    case TUNSETQUEUE:
        return set_queue(thread, index, argument);
    case TUNGETIFF:
        return tell(index, argument);
    case TUNGETFEATURES: /* no IFF_VNET_HDR: programs ask before they use it */
        *(unsigned int *)argument = FLAGS_KEPT;
        return 0;
    case TUNGETSNDBUF:
        *(int *)argument = INT_MAX;
        return 0;
    case TUNSETSNDBUF:
        return *(const int *)argument > 0 ? 0 : fail(EINVAL);
    case TUNSETPERSIST: /* the device is the operator's, and he made it so */
    case TUNSETOWNER:
    case TUNSETGROUP:
    case TUNSETNOCSUM:
    case TUNSETDEBUG:
    case TUNSETOFFLOAD: /* allows the kernel what the input logger never does */
        return own(index)[OWN_PORT] ? 0 : fail(EBADFD);
    case SIOCGIFHWADDR:
        if (!own(index)[OWN_PORT])
            return fail(EBADFD);
        memcpy(((struct ifreq *)argument)->ifr_name, process.ports[own(index)[OWN_PORT] - 1].name,
               IFNAMSIZ);
        return interface_control(thread, index, request, argument);
    default:
        process_fail(STATUS_UNMODELLED, "ioctl: request 0x%lx on %s is not supported (G8)", request,
                     CLONE_DEVICE);
    }
}

const struct family family_tun = {
    .name = "TUN descriptor",
    .owns = owns,
    .open = open_tun,
    .receive = receive,
    .transmit = transmit,
    .control = control,
    .ready = ready,
};
