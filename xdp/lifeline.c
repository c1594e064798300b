/*
 * Two byte buffers around a non-blocking TCP socket. The input buffer holds at most one message
 * and what was read behind it; the output buffer grows to QUEUED_MAX_BYTES and then refuses.
 * Heartbeats are sent only when nothing waits to be written: bytes prove life as well, and
 * a peer that does not read must not make the queue grow.
 *
 * Silence is counted only while we were there to listen: of the time between two services at most
 * LISTENED_MAX_NS. A machine that stood still for seconds must not make its processes take each
 * other for dead.
 */
#include "lifeline.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "core/assert.h"

#define WHY_BYTES 256
#define QUEUED_MAX_BYTES ((size_t)64 << 20)
#define READ_BYTES ((size_t)256 << 10)   /* one recv */
#define READ_MAX_BYTES ((size_t)4 << 20) /* one service, so that others have their turn */
#define BUFFER_START_BYTES ((size_t)64 << 10)
#define MESSAGE_SMALL_BYTES ((size_t)16 << 10) /* no message is longer, its bulk left aside */
#define RETRY_US 20000
#define LISTENED_MAX_NS 250000000
/*
 * The kernel closes a dead process's descriptors from the highest down, and closing an AF_XDP
 * socket with its program takes it some 10 ms and more: so the lifeline is above everything else,
 * and a death is told at once (measured: 2 ms instead of 20 to 35). Soft limits are 1024 upwards.
 */
#define FIRST_TO_CLOSE_FD 960

struct buffer {
    uint8_t *bytes;
    size_t start, end, room; /* what is in it: [start, end) */
};

struct lifeline {
    int fd;
    struct buffer in, out;
    int64_t serviced_ns, sent_ns; /* 0: not serviced yet */
    int64_t silence_ns;           /* listened to since the last byte */
    bool wrote;                   /* since the last service */
    bool mute;
    bool broken; /* a write failed: -EPIPE once all input is handled */
};

/* Makes `more` bytes of room behind the end. */
static int buffer_reserve(struct buffer *buffer, size_t more)
{
    if (buffer->room - buffer->end >= more)
        return 0;
    if (buffer->start) {
        memmove(buffer->bytes, buffer->bytes + buffer->start, buffer->end - buffer->start);
        buffer->end -= buffer->start;
        buffer->start = 0;
        if (buffer->room - buffer->end >= more)
            return 0;
    }
    size_t room = buffer->room ? buffer->room : BUFFER_START_BYTES;
    while (room - buffer->end < more)
        room *= 2;
    uint8_t *bytes = realloc(buffer->bytes, room);
    if (!bytes)
        return -ENOMEM;
    buffer->bytes = bytes;
    buffer->room = room;
    return 0;
}

static void buffer_consume(struct buffer *buffer, size_t count)
{
    ASSERT(count <= buffer->end - buffer->start);
    buffer->start += count;
    if (buffer->start == buffer->end) {
        buffer->start = buffer->end = 0;
        if (buffer->room > 2 * READ_MAX_BYTES) { /* after a burst: give the memory back */
            free(buffer->bytes);
            *buffer = (struct buffer){0};
        }
    }
}

static struct lifeline *lifeline_create(int fd)
{
    struct lifeline *line = calloc(1, sizeof *line);
    if (!line) {
        close(fd);
        return NULL;
    }
    int high = fcntl(fd, F_DUPFD_CLOEXEC, FIRST_TO_CLOSE_FD);
    if (high >= 0) { /* else only slower */
        close(fd);
        fd = high;
    }
    line->fd = fd;
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return line;
}

static struct addrinfo *address_resolve(const char *address, uint16_t port, int flags)
{
    const struct addrinfo hints = {
        .ai_family = AF_UNSPEC,
        .ai_socktype = SOCK_STREAM,
        .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | flags,
    };
    struct addrinfo *found = NULL;
    char service[8];

    snprintf(service, sizeof service, "%u", port);
    return getaddrinfo(address, service, &hints, &found) ? NULL : found;
}

static int64_t clock_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* One attempt: a connected descriptor, or -errno. */
static int connect_once(const struct addrinfo *to, int timeout_ms)
{
    int fd = socket(to->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int error = 0;
    if (connect(fd, to->ai_addr, to->ai_addrlen) < 0) {
        error = errno;
        if (error == EINPROGRESS) {
            struct pollfd waiting = {.fd = fd, .events = POLLOUT};
            socklen_t length = sizeof error;
            error = ETIMEDOUT;
            if (poll(&waiting, 1, timeout_ms) > 0)
                getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
        }
    }
    if (!error)
        return fd;
    close(fd);
    return -error;
}

enum status lifeline_connect(struct lifeline **line, const char *address, uint16_t port,
                             int timeout_ms, char *why)
{
    struct addrinfo *to = address_resolve(address, port, 0);
    if (!to) {
        snprintf(why, WHY_BYTES, "\"%s\" is no IP address", address);
        return STATUS_USAGE;
    }
    int64_t until = clock_ms() + timeout_ms;
    int fd;
    for (;;) {
        int64_t left = until - clock_ms();
        fd = connect_once(to, left > 0 ? (int)left : 0);
        if (fd >= 0 || clock_ms() + RETRY_US / 1000 >= until)
            break;
        usleep(RETRY_US);
    }
    freeaddrinfo(to);
    if (fd < 0) {
        snprintf(why, WHY_BYTES, "cannot reach the logger at %s port %u: %s", address, port,
                 strerror(-fd));
        return STATUS_UNREACHABLE;
    }
    *line = lifeline_create(fd);
    if (!*line) {
        snprintf(why, WHY_BYTES, "out of memory for the connection to %s port %u", address, port);
        return STATUS_MEMORY;
    }
    return STATUS_OK;
}

int lifeline_connect_start(struct lifeline **line, const char *address, uint16_t port)
{
    struct addrinfo *to = address_resolve(address, port, 0);
    if (!to)
        return -EINVAL;
    int error = 0;
    int fd = socket(to->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || (connect(fd, to->ai_addr, to->ai_addrlen) < 0 && errno != EINPROGRESS))
        error = -errno;
    freeaddrinfo(to);
    if (error) {
        if (fd >= 0)
            close(fd);
        return error;
    }
    *line = lifeline_create(fd);
    return *line ? 0 : -ENOMEM;
}

bool lifeline_connected(const struct lifeline *line)
{
    struct tcp_info info = {0};
    socklen_t length = sizeof info;

    return getsockopt(line->fd, IPPROTO_TCP, TCP_INFO, &info, &length) < 0 ||
           info.tcpi_state != TCP_SYN_SENT;
}

enum status lifeline_listen(int *listener, const char *address, uint16_t port, char *why)
{
    struct addrinfo *at = address_resolve(address, port, AI_PASSIVE);
    if (!at) {
        snprintf(why, WHY_BYTES, "\"%s\" is no IP address", address);
        return STATUS_USAGE;
    }
    int error = 0;
    int fd = socket(at->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        error = errno;
    } else {
        int one = 1;
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        if (bind(fd, at->ai_addr, at->ai_addrlen) < 0 || listen(fd, 16) < 0)
            error = errno;
    }
    freeaddrinfo(at);
    if (!error) {
        *listener = fd;
        return STATUS_OK;
    }
    if (fd >= 0)
        close(fd);
    snprintf(why, WHY_BYTES, "cannot listen on %s port %u: %s", address, port, strerror(error));
    if (error == EADDRINUSE)
        return STATUS_BUSY;
    if (error == EACCES || error == EPERM)
        return STATUS_PRIVILEGE;
    return error == EADDRNOTAVAIL ? STATUS_INTERFACE : STATUS_KERNEL;
}

struct lifeline *lifeline_accept(int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    return fd < 0 ? NULL : lifeline_create(fd);
}

void lifeline_close(struct lifeline *line)
{
    if (!line)
        return;
    close(line->fd);
    free(line->in.bytes);
    free(line->out.bytes);
    free(line);
}

int lifeline_fd(const struct lifeline *line)
{
    return line->fd;
}

short lifeline_events(const struct lifeline *line)
{
    return lifeline_queued(line) ? POLLIN | POLLOUT : POLLIN;
}

size_t lifeline_queued(const struct lifeline *line)
{
    return line->out.end - line->out.start;
}

int lifeline_local_address(const struct lifeline *line, char *text, size_t room)
{
    struct sockaddr_storage address;
    socklen_t length = sizeof address;

    if (getsockname(line->fd, (struct sockaddr *)&address, &length) < 0)
        return -errno;
    if (address.ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)&address;
        return inet_ntop(AF_INET, &in->sin_addr, text, (socklen_t)room) ? 0 : -errno;
    }
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)&address;
    if (address.ss_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr))
        return -EAFNOSUPPORT;
    return inet_ntop(AF_INET, &in6->sin6_addr.s6_addr[12], text, (socklen_t)room) ? 0 : -errno;
}

static void line_write(struct lifeline *line)
{
    struct buffer *out = &line->out;

    while (out->end > out->start && !line->broken) {
        ssize_t sent = send(line->fd, out->bytes + out->start, out->end - out->start, MSG_NOSIGNAL);
        if (sent < 0) {
            if (errno == EINTR)
                continue;
            line->broken = errno != EAGAIN && errno != EWOULDBLOCK && errno != ENOBUFS;
            break;
        }
        line->wrote = true;
        buffer_consume(out, (size_t)sent);
    }
}

static size_t message_bound(const struct message *message)
{
    size_t bulk = 0;

    switch (message->kind) {
    case MESSAGE_IMAGE_BEGIN:
        bulk = message->image_begin.description_bytes;
        break;
    case MESSAGE_IMAGE_PAGES:
        bulk = (size_t)message->image_pages.count * IMAGE_PAGE_BYTES;
        break;
    case MESSAGE_STORED_LOG:
        bulk = message->stored_log.length;
        break;
    default:
        break;
    }
    return MESSAGE_SMALL_BYTES + bulk;
}

int lifeline_send(struct lifeline *line, const struct message *message)
{
    struct buffer *out = &line->out;
    size_t bound = message_bound(message);
    bool idle = lifeline_queued(line) == 0;

    if (line->broken)
        return -EPIPE;
    if (bound > MESSAGE_MAX_BYTES + MESSAGE_SMALL_BYTES)
        return -EINVAL;
    if (lifeline_queued(line) + bound > QUEUED_MAX_BYTES || buffer_reserve(out, bound))
        return -ENOMEM;
    int64_t bytes = message_encode(message, out->bytes + out->end, out->room - out->end);
    if (bytes < 0)
        return (int)bytes;
    out->end += (size_t)bytes;
    if (idle)
        line_write(line);
    return line->broken ? -EPIPE : 0;
}

void lifeline_mute(struct lifeline *line)
{
    line->mute = true;
}

/* Hands out every whole message in the input buffer. */
static int messages_handle(struct lifeline *line,
                           int (*handler)(void *context, const struct message *message),
                           void *context)
{
    struct buffer *in = &line->in;
    struct message message;

    while (in->end > in->start) {
        int64_t bytes = message_decode(in->bytes + in->start, in->end - in->start, &message);
        if (bytes < 0)
            return (int)bytes;
        if (bytes == 0)
            return 0;
        int result = message.kind == MESSAGE_HEARTBEAT ? 0 : handler(context, &message);
        if (result)
            return result;
        buffer_consume(in, (size_t)bytes);
    }
    return 0;
}

/* 0 when the socket is empty or enough was read; -EPIPE at its end. */
static int line_read(struct lifeline *line,
                     int (*handler)(void *context, const struct message *message), void *context)
{
    int left = messages_handle(line, handler, context); /* what a handler declined before */
    if (left)
        return left;
    for (size_t total = 0; total < READ_MAX_BYTES;) {
        if (buffer_reserve(&line->in, READ_BYTES))
            return -ENOMEM;
        ssize_t got = recv(line->fd, line->in.bytes + line->in.end, READ_BYTES, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -EPIPE;
        if (got == 0)
            return -EPIPE;
        line->silence_ns = 0;
        line->in.end += (size_t)got;
        total += (size_t)got;
        int result = messages_handle(line, handler, context);
        if (result)
            return result;
        if ((size_t)got < READ_BYTES)
            return 0;
    }
    return 0;
}

int lifeline_service(struct lifeline *line, int64_t now_ns,
                     int (*handler)(void *context, const struct message *message), void *context)
{
    static const struct message heartbeat = {.kind = MESSAGE_HEARTBEAT};

    if (!line->serviced_ns)
        line->serviced_ns = line->sent_ns = now_ns;
    int64_t listened_ns = now_ns - line->serviced_ns;
    line->silence_ns += listened_ns < LISTENED_MAX_NS ? listened_ns : LISTENED_MAX_NS;
    line->serviced_ns = now_ns;
    int result = line_read(line, handler, context);
    if (result)
        return result;

    if (line->mute)
        return 0;
    line_write(line);
    if (!lifeline_queued(line) && !line->wrote && now_ns - line->sent_ns >= HEARTBEAT_EVERY_NS)
        lifeline_send(line, &heartbeat);
    if (line->wrote) {
        line->wrote = false;
        line->sent_ns = now_ns;
    }
    if (line->broken) {
        result = line_read(line, handler, context); /* its last words came after the read above */
        return result ? result : -EPIPE;
    }
    /* Everything the peer had sent was read above, so silence is its own, not ours. */
    return line->silence_ns > HEARTBEAT_TIMEOUT_NS ? -ETIMEDOUT : 0;
}
