/*
 * Pipes, eventfds and socket pairs: between threads of the NF, or from its signal handlers to its
 * loops. They are objects in the NF's memory under an ordered lock, so what lies in them is in the
 * image, and who wrote and read when is repeated. A process outside cannot have their other end.
 *
 * An end of a pipe reads from own[0] or writes to own[1]; an eventfd and an end of a pair do both.
 */
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "abi_internal.h"
#include "hooks/files/descriptor.h"
#include "hooks/memory.h"
#include "hooks/packets/packets.h"
#include "hooks/sharing/lock.h"
#include "hooks/threads/wait.h"

#define PIPE_BYTES 65536u
#define NOBODY UINT32_MAX

struct nf_pipe { /* in the NF's heap; guarded by lock, counts are also looked at without */
    struct nf_mutex lock;
    _Atomic uint64_t head, tail; /* bytes ever written, read; eventfd: events, reads */
    _Atomic uint64_t counter;    /* eventfd */
    uint32_t event, semaphore;
    uint32_t messages; /* keeps them apart: a length before each */
    _Atomic uint32_t readers, writers;
    uint32_t reader, writer; /* descriptors' indices, NOBODY */
    uint8_t *bytes;
};

static _Atomic uint64_t waiters[DESCRIPTORS_MAX]; /* bit per thread */

static struct nf_pipe *source(uint32_t index)
{
    return (struct nf_pipe *)IMAGE->descriptors[index].own[0];
}

static struct nf_pipe *target(uint32_t index)
{
    return (struct nf_pipe *)IMAGE->descriptors[index].own[1];
}

/* ---- waking ---- */

static void await(uint32_t index, uint32_t thread)
{
    atomic_fetch_or(&waiters[index], 1ull << thread);
}

static void wake(uint32_t index)
{
    if (index == NOBODY)
        return;
    uint64_t threads = atomic_exchange(&waiters[index], 0);
    for (; threads; threads &= threads - 1)
        thread_wake((uint32_t)__builtin_ctzll(threads));
}

/* ---- what lies in it ---- */

static uint64_t used(const struct nf_pipe *pipe)
{
    return atomic_load(&pipe->head) - atomic_load(&pipe->tail);
}

static bool readable(const struct nf_pipe *pipe)
{
    return (pipe->event ? atomic_load(&pipe->counter) > 0 : used(pipe) > 0) ||
           atomic_load(&pipe->writers) == 0;
}

static bool writable(const struct nf_pipe *pipe)
{
    return pipe->event || PIPE_BYTES - used(pipe) >= PIPE_BUF || atomic_load(&pipe->readers) == 0;
}

/* Ring and a piece of memory; `in`: into the ring. */
static void copy(struct nf_pipe *pipe, uint64_t at, void *bytes, size_t length, bool in)
{
    while (length > 0) {
        size_t offset = at % PIPE_BYTES, part = PIPE_BYTES - offset;
        part = part < length ? part : length;
        memcpy(in ? pipe->bytes + offset : bytes, in ? bytes : pipe->bytes + offset, part);
        bytes = (uint8_t *)bytes + part;
        length -= part;
        at += part;
    }
}

static int64_t room_of(const struct msghdr *message)
{
    int64_t length = 0;
    for (size_t i = 0; i < message->msg_iovlen; i++)
        length += (int64_t)message->msg_iov[i].iov_len;
    return length;
}

static void copy_pieces(struct nf_pipe *pipe, uint64_t at, const struct msghdr *message,
                        uint64_t length, bool in)
{
    for (size_t i = 0; i < message->msg_iovlen && length > 0; i++) {
        size_t part = message->msg_iov[i].iov_len;
        part = part < length ? part : length;
        copy(pipe, at, message->msg_iov[i].iov_base, part, in);
        at += part;
        length -= part;
    }
}

/* Under the lock. The bytes taken, or -errno. */
static int64_t take(struct nf_pipe *pipe, const struct msghdr *message, bool peek)
{
    int64_t room = room_of(message);
    uint64_t tail = atomic_load(&pipe->tail), length = used(pipe);
    if (pipe->event) {
        uint64_t value = atomic_load(&pipe->counter);
        if (message->msg_iovlen != 1 || room < (int64_t)sizeof value)
            return -EINVAL;
        if (value == 0)
            return -EAGAIN;
        uint64_t taken = pipe->semaphore ? 1 : value;
        atomic_store(&pipe->counter, value - taken);
        atomic_fetch_add(&pipe->tail, 1);
        memcpy(message->msg_iov->iov_base, &taken, sizeof taken);
        return sizeof taken;
    }
    if (length == 0)
        return atomic_load(&pipe->writers) == 0 || (room == 0 && !pipe->messages) ? 0 : -EAGAIN;
    uint32_t message_length = (uint32_t)length;
    if (pipe->messages) {
        copy(pipe, tail, &message_length, sizeof message_length, false);
        tail += sizeof message_length;
    }
    uint64_t part = (uint64_t)room < message_length ? (uint64_t)room : message_length;
    copy_pieces(pipe, tail, message, part, false);
    if (!peek)
        atomic_store(&pipe->tail, tail + (pipe->messages ? message_length : part));
    return (int64_t)part;
}

/* Under the lock. The bytes put, or -errno. */
static int64_t put(struct nf_pipe *pipe, const struct msghdr *message)
{
    uint64_t length = (uint64_t)room_of(message), head = atomic_load(&pipe->head);
    uint64_t free = PIPE_BYTES - used(pipe);
    if (pipe->event) {
        uint64_t value;
        if (length != sizeof value || message->msg_iovlen != 1)
            return -EINVAL;
        memcpy(&value, message->msg_iov->iov_base, sizeof value);
        if (value == UINT64_MAX)
            return -EINVAL;
        if (atomic_load(&pipe->counter) > UINT64_MAX - 1 - value)
            return -EAGAIN;
        atomic_fetch_add(&pipe->counter, value);
        atomic_fetch_add(&pipe->head, 1);
        return sizeof value;
    }
    if (atomic_load(&pipe->readers) == 0)
        return -EPIPE;
    if (pipe->messages) {
        uint32_t message_length = (uint32_t)length;
        if (length + sizeof message_length > PIPE_BYTES)
            return -EMSGSIZE;
        if (length + sizeof message_length > free)
            return -EAGAIN;
        copy(pipe, head, &message_length, sizeof message_length, true);
        head += sizeof message_length;
    } else if (length > free) {
        if (length <= PIPE_BUF || free == 0)
            return -EAGAIN; /* in one piece or not at all */
        length = free;
    }
    copy_pieces(pipe, head, message, length, true);
    atomic_store(&pipe->head, head + length);
    return (int64_t)length;
}

/* ---- calls ---- */

/* Live: waits for what the call needs; a non-blocking one only so that idle loops log little. */
static void wait_for(struct nf_thread *thread, uint32_t index, short events, bool nonblock)
{
    struct interest one = {.index = index, .events = events};
    while (process_mode() == MODE_REPLAY) {
        position before = thread->core.position;
        replay_wait_log(thread);
        if (!nonblock)
            signal_replay(thread, &signal_restart);
        if (thread->core.position == before && process_mode() == MODE_REPLAY)
            return;
    }
    if (!nonblock)
        wait_until(thread, &one, 1, -1, &signal_restart);
    else if (events == POLLIN && wait_look(&one, 1) == 0)
        wait_until(thread, &one, 1, now_ns() + TICK_NS, NULL);
}

static int receive(struct nf_thread *thread, uint32_t index, struct mmsghdr *messages,
                   uint32_t count, int flags)
{
    struct nf_pipe *pipe = source(index);
    bool nonblock = IMAGE->descriptors[index].nonblock || (flags & MSG_DONTWAIT);
    int64_t result;
    if (pipe == NULL)
        return fail(EBADF);
    if (count == 0)
        return 0;
    safe_point(thread);
    do { /* another reader may have been faster: an attempt that finds nothing changed nothing */
        wait_for(thread, index, POLLIN, nonblock);
        ordered_lock(thread, &pipe->lock);
        result = take(pipe, &messages->msg_hdr, (flags & MSG_PEEK) != 0);
        uint32_t writer = pipe->writer;
        ordered_unlock(&pipe->lock);
        if (result > 0)
            wake(writer);
    } while (result == -EAGAIN && !nonblock);
    messages->msg_hdr.msg_namelen = 0;
    messages->msg_hdr.msg_controllen = 0;
    messages->msg_hdr.msg_flags = 0;
    messages->msg_len = result > 0 ? (uint32_t)result : 0;
    return result < 0 ? fail((int)-result) : 1;
}

static int transmit(struct nf_thread *thread, uint32_t index, struct mmsghdr *messages,
                    uint32_t count, int flags)
{
    struct nf_pipe *pipe = target(index);
    bool nonblock = IMAGE->descriptors[index].nonblock || (flags & MSG_DONTWAIT);
    int64_t result;
    if (pipe == NULL)
        return fail(EBADF);
    if (count == 0)
        return 0;
    if (messages->msg_hdr.msg_control && messages->msg_hdr.msg_controllen)
        process_fail(STATUS_UNMODELLED,
                     "sendmsg: descriptors sent over a socket pair cannot be replayed (G8)");
    safe_point(thread);
    do {
        wait_for(thread, index, POLLOUT, nonblock);
        ordered_lock(thread, &pipe->lock);
        result = put(pipe, &messages->msg_hdr);
        uint32_t reader = pipe->reader;
        ordered_unlock(&pipe->lock);
        if (result > 0)
            wake(reader);
    } while (result == -EAGAIN && !nonblock);
    messages->msg_len = result > 0 ? (uint32_t)result : 0;
    return result < 0 ? fail((int)-result) : 1;
}

static short ready(uint32_t index, short events)
{
    struct nf_pipe *in = source(index), *out = target(index);
    short result = 0;
    if (in && readable(in))
        result |= events & (POLLIN | POLLRDNORM);
    if (in && atomic_load(&in->writers) == 0)
        result |= POLLHUP;
    if (out && writable(out))
        result |= events & (POLLOUT | POLLWRNORM);
    if (out && out != in && atomic_load(&out->readers) == 0)
        result |= in ? POLLHUP : POLLERR;
    return result;
}

static uint64_t edge(uint32_t index, bool out)
{
    struct nf_pipe *pipe = out ? target(index) : source(index);
    return pipe == NULL ? 0
           : out        ? atomic_load(&pipe->tail) + atomic_load(&pipe->readers)
                        : atomic_load(&pipe->head) + (atomic_load(&pipe->writers) == 0);
}

static void leave(struct nf_thread *thread, struct nf_pipe *pipe, bool reads)
{
    if (pipe == NULL)
        return;
    ordered_lock(thread, &pipe->lock);
    atomic_fetch_sub(reads ? &pipe->readers : &pipe->writers, 1);
    uint32_t other = reads ? pipe->writer : pipe->reader;
    *(reads ? &pipe->reader : &pipe->writer) = NOBODY;
    bool last = atomic_load(&pipe->readers) + atomic_load(&pipe->writers) == 0;
    ordered_unlock(&pipe->lock);
    wake(other);
    if (last) {
        __palisade_free(pipe->bytes);
        __palisade_free(pipe);
    }
}

static void close_end(struct nf_thread *thread, uint32_t index)
{
    leave(thread, source(index), true);
    leave(thread, target(index), false);
    atomic_store(&waiters[index], 0);
}

static int pair_set_option(struct nf_thread *thread, uint32_t index, int level, int name,
                           const void *value, socklen_t length)
{
    (void)thread, (void)index, (void)level, (void)name, (void)value, (void)length;
    return 0; /* sizes and time-outs: none here */
}

static int pair_get_option(struct nf_thread *thread, uint32_t index, int level, int name,
                           void *value, socklen_t *length)
{
    (void)thread, (void)index;
    if (level != SOL_SOCKET || name != SO_ERROR || *length < sizeof(int))
        return fail(ENOPROTOOPT);
    *(int *)value = 0;
    return 0;
}

const struct family family_pipe = {
    .name = "pipe",
    .receive = receive,
    .transmit = transmit,
    .close = close_end,
    .ready = ready,
    .await = await,
    .edge = edge,
};

const struct family family_pair = {
    .name = "socket pair",
    .socket = true,
    .receive = receive,
    .transmit = transmit,
    .set_option = pair_set_option,
    .get_option = pair_get_option,
    .close = close_end,
    .ready = ready,
    .await = await,
    .edge = edge,
};

/* ---- making them ---- */

static struct nf_pipe *make(uint32_t messages)
{
    struct nf_pipe *pipe = __palisade_malloc(sizeof *pipe);
    uint8_t *bytes = __palisade_malloc(PIPE_BYTES);
    if (pipe == NULL || bytes == NULL)
        process_fail(STATUS_MEMORY, "no memory for a pipe; raise heap_mib");
    memset(pipe, 0, sizeof *pipe);
    pipe->messages = messages;
    pipe->bytes = bytes;
    pipe->reader = pipe->writer = NOBODY;
    return pipe;
}

static void join(uint32_t index, struct nf_pipe *from, struct nf_pipe *to)
{
    struct nf_descriptor *entry = &IMAGE->descriptors[index];
    entry->own[0] = (uint64_t)from;
    entry->own[1] = (uint64_t)to;
    if (from) {
        from->reader = index;
        atomic_fetch_add(&from->readers, 1);
    }
    if (to) {
        to->writer = index;
        atomic_fetch_add(&to->writers, 1);
    }
}

static int open_two(struct nf_thread *thread, enum family_id family, bool nonblock, int fds[2])
{
    int first = descriptor_open(thread, family, nonblock, -1);
    int second = first < 0 ? -1 : descriptor_open(thread, family, nonblock, -1);
    if (second < 0) {
        if (first >= 0)
            descriptor_close(thread, first);
        return fail(EMFILE);
    }
    fds[0] = first;
    fds[1] = second;
    return 0;
}

HOOK int __palisade_pipe2(int fds[2], int flags)
{
    SITE_HERE();
    if (nf_self == NULL)
        return pipe2(fds, flags);
    if (open_two(nf_self, FAMILY_PIPE, (flags & O_NONBLOCK) != 0, fds) != 0)
        return -1;
    struct nf_pipe *pipe = make(0);
    join(descriptor_index(fds[0]), pipe, NULL);
    join(descriptor_index(fds[1]), NULL, pipe);
    return 0;
}

HOOK int __palisade_pipe(int fds[2])
{
    SITE_HERE();
    return nf_self ? __palisade_pipe2(fds, 0) : pipe(fds);
}

HOOK int __palisade_eventfd(unsigned int value, int flags)
{
    SITE_HERE();
    if (nf_self == NULL)
        return eventfd(value, flags);
    int fd = descriptor_open(nf_self, FAMILY_PIPE, (flags & EFD_NONBLOCK) != 0, -1);
    if (fd < 0)
        return -1;
    struct nf_pipe *pipe = __palisade_malloc(sizeof *pipe);
    if (pipe == NULL)
        process_fail(STATUS_MEMORY, "no memory for an eventfd; raise heap_mib");
    memset(pipe, 0, sizeof *pipe);
    pipe->event = 1;
    pipe->semaphore = (flags & EFD_SEMAPHORE) != 0;
    atomic_store(&pipe->counter, value);
    join(descriptor_index(fd), pipe, pipe);
    return fd;
}

int palisade_eventfd_read_restartable(int fd, eventfd_t *value)
{
    return nf_self ? (palisade_read_restartable(fd, value, sizeof *value) == sizeof *value ? 0 : -1)
                   : eventfd_read(fd, value);
}

int palisade_eventfd_write_restartable(int fd, eventfd_t value)
{
    return nf_self ? (palisade_write_restartable(fd, &value, sizeof value) == sizeof value ? 0 : -1)
                   : eventfd_write(fd, value);
}

HOOK int __palisade_socketpair(int domain, int type, int protocol, int fds[2])
{
    SITE_HERE();
    if (nf_self == NULL)
        return socketpair(domain, type, protocol, fds);
    int kind = type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (domain != AF_UNIX)
        return fail(EOPNOTSUPP);
    if (open_two(nf_self, FAMILY_PAIR, (type & SOCK_NONBLOCK) != 0, fds) != 0)
        return -1;
    struct nf_pipe *there = make(kind != SOCK_STREAM), *back = make(kind != SOCK_STREAM);
    join(descriptor_index(fds[0]), back, there);
    join(descriptor_index(fds[1]), there, back);
    return 0;
}
