/*
 * Sockets in and out: see socket.h.
 *
 * A send that the kernel does not take at once goes to the socket's backlog, so that one peer that
 * does not read holds up nobody else. The backlog counts as performed, like the kernel's buffer: it
 * is lost with the connection. It is part of what bounds a socket (NATIVE_QUEUED_MAX).
 */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include "hooks/files/socket.h"
#include "hooks/packets/packets.h"
#include "hooks/threads/wait.h"
#include "hooks/values/logged.h"

#define DATAGRAM_MAX 65507u

static bool is_stream(const struct nf_socket *socket)
{
    return socket->type == SOCK_STREAM;
}

static int64_t total(const struct msghdr *message)
{
    int64_t length = 0;
    for (size_t i = 0; i < message->msg_iovlen; i++)
        length += (int64_t)message->msg_iov[i].iov_len;
    return length;
}

/* Live: until when a blocking call may wait (SO_RCVTIMEO, SO_SNDTIMEO); -1: for ever. */
static int64_t limit_of(const struct nf_socket *socket, int name)
{
    for (uint32_t i = 0; i < socket->option_count; i++)
        if (socket->options[i].level == SOL_SOCKET && socket->options[i].name == name &&
            socket->options[i].length == sizeof(struct timeval)) {
            struct timeval time;
            memcpy(&time, socket->options[i].value, sizeof time);
            int64_t ns = time.tv_sec * 1000000000ll + time.tv_usec * 1000ll;
            return ns > 0 ? now_ns() + ns : -1;
        }
    return -1;
}

/* ---- in ---- */

static void want_bytes(int fd, int count)
{
    setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &count, sizeof count);
}

/* Live: the bytes that came, the message's flags above them; or -errno. */
static int64_t receive_live(struct nf_thread *thread, uint32_t index, struct msghdr *message,
                            int flags)
{
    struct nf_socket *socket = socket_of(index);
    bool nonblock = IMAGE->descriptors[index].nonblock || (flags & MSG_DONTWAIT);
    bool all = is_stream(socket) && (flags & MSG_WAITALL) && !nonblock;
    int64_t until = nonblock ? now_ns() + TICK_NS : limit_of(socket, SO_RCVTIMEO);
    if (socket->broken)
        return -ECONNRESET;
    for (;;) {
        int fd = native_fd(index);
        struct msghdr copy = *message;
        if (fd < 0)
            return -ENOTCONN;
        if (all)
            want_bytes(fd, (int)total(message));
        bool ready = wait_native(thread, fd, POLLIN, until, nonblock ? NULL : &signal_restart);
        if (all)
            want_bytes(fd, 1);
        int64_t n = RESULT_OF(recvmsg(fd, &copy, (flags & ~MSG_WAITALL) | MSG_DONTWAIT));
        if (n >= 0) {
            message->msg_namelen = copy.msg_namelen;
            message->msg_controllen = copy.msg_controllen;
            return n | (int64_t)(copy.msg_flags & (MSG_TRUNC | MSG_CTRUNC | MSG_EOR)) << 32;
        }
        if (n != -EAGAIN || nonblock || (!ready && until >= 0))
            return n;
    }
}

/* One message; the bytes that came, or -errno. False: they died with their process. */
static bool receive_one(struct nf_thread *thread, uint32_t index, struct mmsghdr *entry, int flags,
                        int64_t *result)
{
    struct msghdr *message = &entry->msg_hdr;
    size_t name_room = message->msg_name ? message->msg_namelen : 0;
    size_t control_room = message->msg_control ? message->msg_controllen : 0;
    bool own = false;
    *result = LOGGED_WAIT(thread, "recv", -EAGAIN, &signal_restart, ({
                              own = true;
                              receive_live(thread, index, message, flags);
                          }));
    if (*result < 0)
        return true;
    message->msg_flags = (int)(*result >> 32);
    *result &= INT32_MAX;
    int64_t room = total(message), stored = *result < room ? *result : room;
    size_t name = 0, control = 0;
    if (name_room || control_room) {
        int64_t lengths =
            LOGGED(thread, "recv", 0,
                   (int64_t)message->msg_namelen | (int64_t)message->msg_controllen << 32);
        message->msg_namelen = (socklen_t)(lengths & INT32_MAX);
        message->msg_controllen = (size_t)(lengths >> 32);
        name = message->msg_namelen < name_room ? message->msg_namelen : name_room;
        control = message->msg_controllen < control_room ? message->msg_controllen : control_room;
    } else {
        message->msg_namelen = 0;
        message->msg_controllen = 0;
    }
    struct iovec pieces[IOV_MAX + 2] = {{.iov_base = message->msg_name, .iov_len = name},
                                        {.iov_base = message->msg_control, .iov_len = control}};
    memcpy(pieces + 2, message->msg_iov, message->msg_iovlen * sizeof *pieces);
    entry->msg_len = (uint32_t)*result;
    return logged_pieces(thread, "recv", pieces, name + control + (size_t)stored, own);
}

int socket_receive(struct nf_thread *thread, uint32_t index, struct mmsghdr *messages,
                   uint32_t count, int flags)
{
    const struct nf_socket *socket = socket_of(index);
    if (count == 0)
        return 0;
    if (flags & (MSG_ERRQUEUE | MSG_OOB))
        process_fail(STATUS_UNMODELLED, "recv: MSG_ERRQUEUE and MSG_OOB cannot be replayed (G8)");
    if (messages->msg_hdr.msg_control && messages->msg_hdr.msg_controllen &&
        socket->domain == AF_UNIX)
        process_fail(STATUS_UNMODELLED, "recvmsg: descriptors and credentials sent over Unix "
                                        "sockets cannot be replayed (G8)");
    if (messages->msg_hdr.msg_iovlen > IOV_MAX)
        return fail(EMSGSIZE);
    safe_point(thread);
    for (;;) {
        struct mmsghdr saved = messages[0];
        int64_t result;
        bool whole = receive_one(thread, index, messages, flags, &result);
        if (whole)
            return result < 0 ? fail((int)-result) : 1;
        messages[0] = saved;
        if (is_stream(socket))
            return fail(ECONNRESET); /* so is its connection */
    }
}

/* ---- out: the I/O thread ---- */

struct backlog {
    struct backlog *next;
    int32_t shutdown; /* how + 1: no bytes */
    uint32_t head, done, length;
    uint8_t bytes[];
};

struct stalled { /* a native that has a backlog */
    struct stalled *next;
    struct native *native;
};
static struct stalled *stalled;
static _Atomic uint32_t stalled_count;

/* True when it is out or given up. */
static bool send_now(struct native *native, int fd, const uint8_t *bytes, uint32_t head,
                     uint32_t length, uint32_t *done)
{
    while (fd >= 0) {
        ssize_t n = sendto(fd, bytes + head + *done, length - head - *done,
                           MSG_DONTWAIT | MSG_NOSIGNAL, head ? (const void *)bytes : NULL, head);
        if (n >= 0) {
            *done += (uint32_t)n;
            if (*done == length - head)
                return true;
        } else if (errno == EAGAIN) {
            return false;
        } else if (errno != EINTR) {
            atomic_store(&native->error, errno);
            return true;
        }
    }
    return true;
}

static void stall(struct native *native, const struct effect *effect, int32_t shutdown)
{
    struct backlog *entry = malloc(sizeof *entry + effect->length);
    struct stalled *mark = native->first ? NULL : malloc(sizeof *mark);
    if (entry == NULL || (native->first == NULL && mark == NULL))
        process_fail(STATUS_MEMORY, "no memory for what a socket does not take");
    *entry = (struct backlog){
        .shutdown = shutdown, .head = effect->head, .done = effect->done, .length = effect->length};
    memcpy(entry->bytes, effect->bytes, effect->length);
    atomic_fetch_add(&native->queued_bytes, entry->length);
    if (mark) {
        *mark = (struct stalled){.next = stalled, .native = native};
        native_keep(native);
        stalled = mark;
        atomic_fetch_add(&stalled_count, 1);
        native->first = entry;
    } else {
        native->last->next = entry;
    }
    native->last = entry;
}

static bool perform_send(struct effect *effect)
{
    struct native *native = effect->native;
    int fd = effect_native(effect);
    if (native->first ||
        !send_now(native, fd, effect->bytes, effect->head, effect->length, &effect->done))
        stall(native, effect, 0);
    return true;
}

bool socket_perform_shutdown(struct effect *effect)
{
    int fd = effect_native(effect);
    if (effect->native->first)
        stall(effect->native, effect, effect->option + 1);
    else if (fd >= 0)
        shutdown(fd, effect->option);
    return true;
}

/* True when nothing is left. */
static bool flush(struct native *native)
{
    int fd = atomic_load(&native->fd);
    while (native->first) {
        struct backlog *entry = native->first;
        if (entry->shutdown)
            shutdown(fd, entry->shutdown - 1);
        else if (!send_now(native, fd, entry->bytes, entry->head, entry->length, &entry->done))
            return false;
        native->first = entry->next;
        atomic_fetch_sub(&native->queued_bytes, entry->length);
        futex_wake(&native->queued_bytes, INT32_MAX);
        free(entry);
    }
    return true;
}

void socket_backlogs(void)
{
    for (struct stalled **at = &stalled; *at;) {
        struct stalled *mark = *at;
        if (!flush(mark->native)) {
            at = &mark->next;
            continue;
        }
        *at = mark->next;
        atomic_fetch_sub(&stalled_count, 1);
        native_put(mark->native);
        free(mark);
    }
}

bool socket_backlogs_pending(void)
{
    return atomic_load(&stalled_count) > 0;
}

/* ---- out: NF threads ---- */

/* Live: waits for room, if it is the first of the call: later ones may not (R20). 0 or -errno. */
static int64_t may_send(struct nf_thread *thread, uint32_t index, struct native *native,
                        const struct msghdr *message, int flags, bool first)
{
    const struct nf_socket *socket = socket_of(index);
    int64_t until = limit_of(socket, SO_SNDTIMEO);
    bool nonblock = IMAGE->descriptors[index].nonblock || (flags & MSG_DONTWAIT);
    int error = atomic_exchange(&native->error, 0);
    if (error)
        return -error;
    if (socket->broken)
        return -EPIPE;
    if (!socket->connected && (is_stream(socket) || message->msg_name == NULL))
        return is_stream(socket) ? -EPIPE : -EDESTADDRREQ;
    if (!is_stream(socket) && total(message) > DATAGRAM_MAX)
        return -EMSGSIZE;
    struct stall *full = &run_of(thread)->socket_full;
    for (;;) {
        uint32_t queued = atomic_load(&native->queued_bytes);
        bool room = queued < NATIVE_QUEUED_MAX;
        /* Without a backlog room comes by itself, soon. With one, the kernel's POLLOUT tells. */
        if (room || !first || (nonblock && native->first) || (until >= 0 && now_ns() >= until)) {
            if (stall_now(full))
                stall_note(full, false, now_ns());
            return room ? 0 : -EAGAIN;
        }
        stall_note(full, true, now_ns());
        safe_wait(thread, &native->queued_bytes, queued, 1000000);
    }
}

/* In replay no verdict is needed. */
#define VERDICT(call) (process_mode() == MODE_REPLAY ? 0 : (call))

static int64_t send_one(struct nf_thread *thread, uint32_t index, const struct msghdr *message,
                        int flags, bool first)
{
    struct nf_socket *socket = socket_of(index);
    struct native *native = native_of(index);
    bool stream = is_stream(socket);
    struct effect like = {.native = native, .perform = perform_send};
    if (first && (!stream || total(message) > 0))
        replay_wait_log(thread); /* as may_send */
    int64_t refused = VERDICT(may_send(thread, index, native, message, flags, first));
    if (stream) {
        refused = effect_stream(thread, "send", refused, &like, message->msg_iov,
                                (uint32_t)message->msg_iovlen);
    } else {
        struct iovec pieces[IOV_MAX + 1] = {{.iov_base = message->msg_name}};
        pieces[0].iov_len = like.head = message->msg_name ? message->msg_namelen : 0;
        memcpy(pieces + 1, message->msg_iov, message->msg_iovlen * sizeof *pieces);
        refused =
            effect_emit(thread, "send", refused, &like, pieces, 1 + (uint32_t)message->msg_iovlen);
    }
    native_put(native);
    return refused ? refused : total(message);
}

int socket_transmit(struct nf_thread *thread, uint32_t index, struct mmsghdr *messages,
                    uint32_t count, int flags)
{
    uint32_t sent = 0;
    for (; sent < count && sent < PACKETS_BATCH_MAX; sent++) {
        const struct msghdr *message = &messages[sent].msg_hdr;
        if (message->msg_control && message->msg_controllen)
            process_fail(STATUS_UNMODELLED,
                         "sendmsg: control messages on sockets cannot be replayed (G8)");
        if (message->msg_iovlen > IOV_MAX)
            return fail(EMSGSIZE);
        if (sent == 0)
            safe_point(thread);
        int64_t result = send_one(thread, index, message, flags, sent == 0);
        if (result < 0)
            return sent ? (int)sent : fail((int)-result);
        messages[sent].msg_len = (uint32_t)result;
    }
    return (int)sent;
}
