/*
 * Packet-out: sendto, send, sendmsg, sendmmsg on virtual sockets.
 *
 * One call is one event: an OUT record with the count of packets and the VOR (R2). The record is
 * published before the packets become visible to the I/O thread (R1). The thread first makes sure
 * of room for the whole batch, so nothing has to be undone; that wait is the back-pressure of the
 * output logger. In replay a packet is kept only if the output logger does not have it yet (R14).
 */
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <string.h>
#include <sys/socket.h>

#include "abi_internal.h"
#include "core/assert.h"
#include "hooks/memory_io.h"
#include "hooks/socket.h"
#include "replay/replay.h"

#define SEND_BATCH_MAX 64u

static uint32_t entry_bytes(uint32_t length)
{
    return (uint32_t)((sizeof(struct output) + length + 7) & ~7ul);
}

static bool room_for(struct output_ring *ring, uint32_t bytes)
{
    uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    if (head - ring->tail_seen + bytes <= OUTPUT_RING_BYTES)
        return true;
    ring->tail_seen = atomic_load_explicit(&ring->tail, memory_order_acquire);
    return head - ring->tail_seen + bytes <= OUTPUT_RING_BYTES;
}

/* Where the entry at `head` goes; skips the ring's end when it does not fit in one piece. */
static uint64_t place(struct output_ring *ring, uint64_t head, uint32_t bytes)
{
    uint32_t at = head & (OUTPUT_RING_BYTES - 1);
    if (at + bytes <= OUTPUT_RING_BYTES)
        return head;
    struct output *padding = (struct output *)(ring->bytes + at);
    padding->port = UINT16_MAX;
    padding->total = OUTPUT_RING_BYTES - at;
    return head + padding->total;
}

/* One message, checked; ports and lengths fit 16 bits. */
struct checked {
    uint16_t port, length;
};

/* False with errno when it cannot be sent. `bound` is the socket's port index + 1, 0 for none. */
static __attribute__((noinline)) bool check_any(const struct msghdr *message, uint32_t bound,
                                                struct checked *out)
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
    if (__builtin_expect(port - 1 >= process.port_count, 0)) {
        errno = ENXIO;
        return false;
    }
    if (__builtin_expect(length > process.ports[port - 1].mtu + 18u || length > PACKET_MAX_BYTES ||
                             length < sizeof(struct ethhdr),
                         0)) {
        errno = length < sizeof(struct ethhdr) ? EINVAL : EMSGSIZE; /* as the kernel says */
        return false;
    }
    *out = (struct checked){.port = (uint16_t)(port - 1), .length = (uint16_t)length};
    return true;
}

/* The common case in line: one piece, to the bound port, of a length between an Ethernet header and
 * `most` (0 when there is no bound port). */
static inline bool check(const struct msghdr *message, uint32_t bound, uint32_t most,
                         struct checked *out)
{
    if (__builtin_expect(message->msg_name != NULL || message->msg_iovlen != 1, 0))
        return check_any(message, bound, out);
    size_t length = message->msg_iov->iov_len;
    if (__builtin_expect(length < sizeof(struct ethhdr) || length > most, 0))
        return check_any(message, bound, out);
    *out = (struct checked){.port = (uint16_t)(bound - 1), .length = (uint16_t)length};
    return true;
}

/* Longest frame of the port with index `bound` - 1. */
static uint32_t frame_limit(uint32_t bound)
{
    if (bound - 1 >= process.port_count)
        return 0;
    uint32_t limit = process.ports[bound - 1].mtu + 18u;
    return limit < PACKET_MAX_BYTES ? limit : PACKET_MAX_BYTES;
}

static inline uint64_t put(struct output_ring *ring, uint64_t head, uint64_t number,
                           struct checked checked, const struct msghdr *message)
{
    uint32_t total = entry_bytes(checked.length);
    head = place(ring, head, total);
    struct output *entry = (struct output *)(ring->bytes + (head & (OUTPUT_RING_BYTES - 1)));
    entry->number = number;
    entry->port = checked.port;
    entry->length = checked.length;
    entry->total = total;
    uint8_t *bytes = (uint8_t *)(entry + 1);
    for (size_t i = 0; i < message->msg_iovlen; i++) {
        memcpy(bytes, message->msg_iov[i].iov_base, message->msg_iov[i].iov_len);
        bytes += message->msg_iov[i].iov_len;
    }
    return head + total;
}

/*
 * The next batch will want these lines, and the I/O thread's core has them: ask for them now, so
 * that its stores do not wait.
 */
static void prefetch(const struct output_ring *ring, uint64_t head, uint64_t bytes)
{
    for (uint64_t at = head; at < head + bytes; at += 64)
        __builtin_prefetch(ring->bytes + (at & (OUTPUT_RING_BYTES - 1)), 1);
}

/* sendmmsg proper. Every message is checked before anything happens. */
static int transmit(struct nf_thread *thread, int fd, struct mmsghdr *messages, uint32_t count)
{
    uint32_t bound = IMAGE->sockets[socket_index(fd)].port, needed = 0, accepted = 0;
    uint32_t most = frame_limit(bound);
    struct checked checked[SEND_BATCH_MAX];
    struct thread_run *run = run_of(thread);
    safe_point(thread);
    socket_must_carry(fd, "send");
    if (count > SEND_BATCH_MAX)
        count = SEND_BATCH_MAX;
    for (; accepted < count; accepted++) {
        if (!check(&messages[accepted].msg_hdr, bound, most, &checked[accepted]))
            break;
        needed += entry_bytes(checked[accepted].length);
    }
    if (accepted == 0)
        return count == 0 ? 0 : -1;
    needed += entry_bytes(PACKET_MAX_BYTES); /* what the ring's end may waste */
    while (!room_for(&run->outputs, needed)) {
        uint32_t seen = atomic_load(&run->wake);
        if (!room_for(&run->outputs, needed))
            safe_wait(thread, &run->wake, seen, 1000000);
    }
    uint64_t first, skip = 0;
    if (REPLAYED_ALONE(thread, "send",
                       ev_out_replay(&thread->core, &run->reader, accepted, &first))) {
        uint64_t held = process.held[thread->core.index];
        skip = held >= first ? held - first + 1 : 0;
    } else {
        struct positions vor;
        first = ev_out_record(&thread->core, log_ready(thread), accepted, process.logs,
                              IMAGE->thread_count, &vor);
    }
    if (process.memory_io) {
        for (uint32_t i = 0; i < accepted; i++) {
            messages[i].msg_len = checked[i].length;
            memory_io_send(checked[i].port, &messages[i].msg_hdr);
        }
        return (int)accepted;
    }
    uint64_t begin = atomic_load_explicit(&run->outputs.head, memory_order_relaxed), head = begin;
    for (uint32_t i = 0; i < accepted; i++) {
        messages[i].msg_len = checked[i].length;
        if (i >= skip)
            head = put(&run->outputs, head, first + i, checked[i], &messages[i].msg_hdr);
    }
    atomic_store_explicit(&run->outputs.head, head, memory_order_release);
    prefetch(&run->outputs, head, head - begin);
    io_kick();
    return (int)accepted;
}

int palisade_sendmmsg_restartable(int fd, struct mmsghdr *messages, unsigned int count, int flags)
{
    if (nf_self == NULL || !socket_is(fd))
        return sendmmsg(fd, messages, count, flags);
    return transmit(nf_self, fd, messages, count);
}

ssize_t palisade_sendmsg_restartable(int fd, const struct msghdr *message, int flags)
{
    if (nf_self == NULL || !socket_is(fd))
        return sendmsg(fd, message, flags);
    struct mmsghdr one = {.msg_hdr = *message};
    return transmit(nf_self, fd, &one, 1) < 0 ? -1 : (ssize_t)one.msg_len;
}

ssize_t palisade_sendto_restartable(int fd, const void *bytes, size_t length, int flags,
                                    const struct sockaddr *address, socklen_t address_length)
{
    if (nf_self == NULL || !socket_is(fd))
        return sendto(fd, bytes, length, flags, address, address_length);
    struct iovec piece = {.iov_base = (void *)bytes, .iov_len = length};
    struct mmsghdr one = {.msg_hdr = {.msg_iov = &piece,
                                      .msg_iovlen = 1,
                                      .msg_name = (void *)address,
                                      .msg_namelen = address_length}};
    return transmit(nf_self, fd, &one, 1) < 0 ? -1 : (ssize_t)one.msg_len;
}

ssize_t palisade_send_restartable(int fd, const void *bytes, size_t length, int flags)
{
    return palisade_sendto_restartable(fd, bytes, length, flags, NULL, 0);
}
