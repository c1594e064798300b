/*
 * Packet-in: recvfrom, recv, recvmsg, recvmmsg, poll on virtual sockets.
 *
 * Live, packets come from the socket's queue and the event names their ids; in replay the ids
 * come from the log and the bytes from the memory of inputs (replay/inputs.h). An empty receive is
 * the predicted outcome and adds no bytes. So that an idle polling NF logs almost nothing, "nothing
 * there" is told at most once per tick.
 *
 * poll's outcome is a number: two bits a descriptor (readable, writable), 0 predicted.
 */
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "abi_internal.h"
#include "core/assert.h"
#include "hooks/memory_io.h"
#include "hooks/signal.h"
#include "hooks/socket.h"
#include "replay/inputs.h"
#include "replay/replay.h"

#define TICK_NS 50000
#define RECEIVE_BATCH_MAX 64u
#define POLL_FDS_MAX 31u

_Static_assert(RECEIVE_BATCH_MAX <= RECORD_RANGES_MAX, "a batch must fit one record");

/* ---- one packet into the caller's buffers ---- */

static void fill_address(void *out, socklen_t *length, uint16_t port, const uint8_t *bytes,
                         uint16_t size)
{
    struct sockaddr_ll address = {.sll_family = AF_PACKET,
                                  .sll_ifindex = port + 1,
                                  .sll_hatype = ARPHRD_ETHER,
                                  .sll_pkttype = PACKET_HOST,
                                  .sll_halen = 6};
    if (size >= 14) {
        memcpy(&address.sll_protocol, bytes + 12, 2);
        memcpy(address.sll_addr, bytes + 6, 6);
        if (bytes[0] & 1)
            address.sll_pkttype = PACKET_MULTICAST;
    }
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

/* ---- waiting ---- */

/*
 * Sleeps until one of `queues` may be readable or `until_ns` (absolute; -1: no limit). A signal
 * that is delivered meanwhile leaves the hook as `call` says.
 */
static void wait_queues(struct nf_thread *thread, const uint32_t *queues, uint32_t count,
                        int64_t until_ns, const struct signal_call *call)
{
    struct thread_run *run = run_of(thread);
    for (uint32_t spin = 0; spin < process.options.spin; spin++) {
        for (uint32_t i = 0; i < count; i++)
            if (queue_ready(process.queues[queues[i]]))
                return;
        __builtin_ia32_pause();
    }
    uint32_t seen = atomic_load(&run->wake);
    bool ready = false;
    for (uint32_t i = 0; i < count; i++) {
        atomic_fetch_or(&process.queues[queues[i]]->waiters, 1ull << thread->core.index);
        ready |= queue_ready(process.queues[queues[i]]);
    }
    int64_t left = until_ns < 0 ? -1 : until_ns - now_ns();
    signal_check(thread, call);
    if (!ready && (until_ns < 0 || left > 0))
        signal_wait(thread, &run->wake, seen, left);
    else
        safe_point(thread);
}

/* ---- receive ---- */

/* The ids of one batch, as ranges. */
struct batch {
    uint32_t count;
    packet_id next; /* one past the last */
    struct id_range ranges[RECORD_RANGES_MAX];
};

/* The ranges stay as they are: large, and only what is used is written. */
static inline void batch_start(struct batch *batch)
{
    batch->count = 0;
    batch->next = 0; /* no id */
}

static inline void batch_add(struct batch *batch, packet_id id)
{
    if (id == batch->next)
        batch->ranges[batch->count - 1].count++;
    else
        batch->ranges[batch->count++] = (struct id_range){.first = id, .count = 1};
    batch->next = id + 1;
}

/* io=memory: the same work, from the plug-in's packets. */
static uint32_t take_memory(struct nf_thread *thread, struct log *log, uint32_t index,
                            struct mmsghdr *messages, uint32_t limit)
{
    struct memory_packet packets[RECEIVE_BATCH_MAX];
    struct batch batch;
    batch_start(&batch);
    uint16_t port = (uint16_t)(IMAGE->sockets[index].port - 1);
    uint32_t taken = memory_io_next(index, packets, limit);
    for (uint32_t i = 0; i < taken; i++) {
        messages[i].msg_len =
            fill_message(&messages[i].msg_hdr, port, packets[i].bytes, packets[i].length);
        batch_add(&batch, packets[i].id);
    }
    ev_receive_record(&thread->core, log, index, batch.ranges, batch.count);
    return taken;
}

/*
 * Takes up to `limit` packets from the queue into `messages`. Live; NF thread. That there are none
 * is an event unless the caller will `wait` for some.
 */
static uint32_t take(struct nf_thread *thread, struct log *log, uint32_t index,
                     struct mmsghdr *messages, uint32_t limit, bool wait)
{
    struct queue *queue = process.queues[index];
    struct batch batch;
    batch_start(&batch);
    uint32_t taken = 0;
    pthread_mutex_lock(&queue->reading);
    uint64_t tail = atomic_load_explicit(&queue->tail, memory_order_relaxed);
    uint64_t head = atomic_load_explicit(&queue->head, memory_order_acquire);
    for (; taken < limit && tail != head; taken++, tail++) {
        const struct slot *slot = &queue->slots[tail & queue_mask()];
        messages[taken].msg_len =
            fill_message(&messages[taken].msg_hdr, slot->port, slot->bytes, slot->length);
        batch_add(&batch, slot->id);
    }
    /* The event before the slots are free: what is consumed is in the log (R1, R15). */
    if (taken > 0 || !wait)
        ev_receive_record(&thread->core, log, index, batch.ranges, batch.count);
    atomic_store_explicit(&queue->tail, tail, memory_order_release);
    pthread_mutex_unlock(&queue->reading);
    if (taken > 0)
        io_kick();
    return taken;
}

static enum event receive_replay(struct nf_thread *thread, uint32_t index, struct mmsghdr *messages,
                                 uint32_t limit, uint32_t *received)
{
    struct id_range ranges[RECORD_RANGES_MAX];
    struct log_reader *reader = &run_of(thread)->reader;
    uint32_t count;
    enum event event = ev_receive_replay(&thread->core, reader, index, ranges, &count);
    if (event != EVENT_PASS)
        return event;
    *received = 0;
    for (uint32_t r = 0; r < count; r++)
        for (uint32_t i = 0; i < ranges[r].count; i++) {
            uint16_t port, length;
            const uint8_t *bytes = inputs_consume(ranges[r].first + i, &port, &length);
            if (bytes == NULL || *received >= limit) {
                reader->why = bytes ? "more packets in the log than the program takes"
                                    : "an input in the log that the input logger does not have";
                return EVENT_DIVERGED;
            }
            messages[*received].msg_len =
                fill_message(&messages[*received].msg_hdr, port, bytes, length);
            ++*received;
        }
    return EVENT_PASS;
}

/* recvmmsg proper: packets received, or -1 with errno EAGAIN. */
static int receive(struct nf_thread *thread, int fd, struct mmsghdr *messages, uint32_t limit,
                   bool wait)
{
    uint32_t index = socket_index(fd), received;
    const struct signal_call *call = wait ? &signal_restart : &signal_again;
    if (limit > RECEIVE_BATCH_MAX)
        limit = RECEIVE_BATCH_MAX;
    safe_point(thread);
    socket_reads(index);
    if (REPLAYED_ALONE(thread, "receive",
                       (signal_replay(thread, call),
                        receive_replay(thread, index, messages, limit, &received)))) {
        if (received == 0)
            errno = EAGAIN;
        return received ? (int)received : -1;
    }
    struct log *log = log_ready(thread);
    struct queue *queue = process.queues[index];
    if (process.memory_io) {
        received = take_memory(thread, log, index, messages, limit);
    } else {
        wait = wait && limit > 0;
        do {
            if (!queue_ready(queue))
                wait_queues(thread, &index, 1, wait ? -1 : now_ns() + TICK_NS, call);
            received = take(thread, log, index, messages, limit, wait);
        } while (received == 0 && wait); /* another reader of the socket was faster */
    }
    if (received == 0)
        errno = EAGAIN;
    return received ? (int)received : -1;
}

static bool waits(int fd, int flags)
{
    if (flags & (MSG_PEEK | MSG_ERRQUEUE))
        process_fail(STATUS_UNMODELLED, "recv: MSG_PEEK and MSG_ERRQUEUE are not supported (G8)");
    socket_must_carry(fd, "recv");
    return !(flags & MSG_DONTWAIT) && !IMAGE->sockets[socket_index(fd)].nonblock;
}

int palisade_recvmmsg_restartable(int fd, struct mmsghdr *messages, unsigned int count, int flags,
                                  struct timespec *timeout)
{
    if (nf_self == NULL || !socket_is(fd))
        return recvmmsg(fd, messages, count, flags, timeout);
    return receive(nf_self, fd, messages, count, waits(fd, flags));
}

ssize_t palisade_recvmsg_restartable(int fd, struct msghdr *message, int flags)
{
    if (nf_self == NULL || !socket_is(fd))
        return recvmsg(fd, message, flags);
    struct mmsghdr one = {.msg_hdr = *message};
    if (receive(nf_self, fd, &one, 1, waits(fd, flags)) < 0)
        return -1;
    *message = one.msg_hdr;
    return one.msg_len;
}

ssize_t palisade_recvfrom_restartable(int fd, void *buffer, size_t room, int flags,
                                      struct sockaddr *address, socklen_t *length)
{
    if (nf_self == NULL || !socket_is(fd))
        return recvfrom(fd, buffer, room, flags, address, length);
    struct iovec piece = {.iov_base = buffer, .iov_len = room};
    struct mmsghdr one = {.msg_hdr = {.msg_iov = &piece,
                                      .msg_iovlen = 1,
                                      .msg_name = address,
                                      .msg_namelen = address && length ? *length : 0}};
    if (receive(nf_self, fd, &one, 1, waits(fd, flags)) < 0)
        return -1;
    if (address && length)
        *length = one.msg_hdr.msg_namelen;
    return one.msg_len;
}

ssize_t palisade_recv_restartable(int fd, void *buffer, size_t room, int flags)
{
    return palisade_recvfrom_restartable(fd, buffer, room, flags, NULL, NULL);
}

/* ---- poll ---- */

static int64_t poll_now(const struct pollfd *fds, uint32_t count)
{
    int64_t ready = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (fds[i].fd < 0)
            continue;
        uint32_t socket = socket_index(fds[i].fd);
        if ((fds[i].events & (POLLIN | POLLRDNORM)) &&
            (process.memory_io ? memory_io_ready(socket) : queue_ready(process.queues[socket])))
            ready |= 1ll << (2 * i);
        if (fds[i].events & (POLLOUT | POLLWRNORM))
            ready |= 2ll << (2 * i);
    }
    return ready;
}

static int poll_result(struct pollfd *fds, uint32_t count, int64_t ready)
{
    int found = 0;
    for (uint32_t i = 0; i < count; i++) {
        fds[i].revents = 0;
        if (ready >> (2 * i) & 1)
            fds[i].revents |= fds[i].events & (POLLIN | POLLRDNORM);
        if (ready >> (2 * i) & 2)
            fds[i].revents |= fds[i].events & (POLLOUT | POLLWRNORM);
        found += fds[i].revents != 0;
    }
    return found;
}

static int poll_event(struct nf_thread *thread, struct pollfd *fds, nfds_t count,
                      int64_t timeout_ns)
{
    uint32_t queues[POLL_FDS_MAX], readable = 0;
    int64_t ready;
    if (count > POLL_FDS_MAX)
        process_fail(STATUS_UNMODELLED, "poll of more than %u descriptors is not supported (G8)",
                     POLL_FDS_MAX);
    safe_point(thread);
    for (uint32_t i = 0; i < count; i++) {
        if (fds[i].fd < 0)
            continue;
        if (!socket_is(fds[i].fd))
            process_fail(STATUS_UNMODELLED,
                         "poll: descriptor %d is no packet socket and cannot "
                         "be replayed yet (G8)",
                         fds[i].fd);
        if (fds[i].events & (POLLIN | POLLRDNORM)) {
            socket_reads(socket_index(fds[i].fd));
            queues[readable++] = socket_index(fds[i].fd);
        }
    }
    if (REPLAYED_ALONE(thread, "poll",
                       (signal_replay(thread, &signal_eintr),
                        ev_number_replay(&thread->core, &run_of(thread)->reader, 0, &ready))))
        return poll_result(fds, (uint32_t)count, ready);
    struct log *log = log_ready(thread);
    if (timeout_ns >= 0 && timeout_ns < TICK_NS)
        timeout_ns = TICK_NS;
    if (process.memory_io)
        timeout_ns = 2 * TICK_NS; /* nobody would wake us */
    ready = poll_now(fds, (uint32_t)count);
    int64_t until = ready || timeout_ns < 0 ? -1 : now_ns() + timeout_ns;
    while (ready == 0) {
        wait_queues(thread, queues, readable, until, &signal_eintr);
        ready = poll_now(fds, (uint32_t)count);
        if (ready || (until >= 0 && now_ns() >= until))
            break;
    }
    ev_number_record(&thread->core, log, ready, 0);
    return poll_result(fds, (uint32_t)count, ready);
}

int palisade_poll_restartable(struct pollfd *fds, nfds_t count, int timeout_ms)
{
    if (nf_self == NULL)
        return poll(fds, count, timeout_ms);
    return poll_event(nf_self, fds, count, timeout_ms < 0 ? -1 : timeout_ms * 1000000ll);
}

int palisade_ppoll_restartable(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
                               const sigset_t *mask)
{
    if (nf_self == NULL)
        return ppoll(fds, count, timeout, mask);
    signal_mask_swap(nf_self, mask);
    int result = poll_event(nf_self, fds, count,
                            timeout ? timeout->tv_sec * 1000000000ll + timeout->tv_nsec : -1);
    signal_mask_back(nf_self);
    return result;
}
