/* See socket.h. Here: the family, names, options, connections, revival. */
#include "hooks/files/socket.h"

#include <linux/sockios.h>
#include <netinet/in.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/un.h>
#include <unistd.h>

#include "abi_internal.h"
#include "hooks/memory.h"
#include "hooks/threads/wait.h"
#include "hooks/values/logged.h"

/* ---- the process's side ---- */

static void set_int(int fd, int level, int name)
{
    int one = 1;
    setsockopt(fd, level, name, &one, sizeof one);
}

static int bind_again(int fd, const struct nf_socket *from)
{
    const struct sockaddr_un *un = (const struct sockaddr_un *)&from->local;
    set_int(fd, SOL_SOCKET, SO_REUSEADDR);
    if (from->domain == AF_UNIX && from->local_length > offsetof(struct sockaddr_un, sun_path) &&
        un->sun_path[0])
        unlink(un->sun_path);
    if (from->domain == AF_INET)
        set_int(fd, IPPROTO_IP, IP_FREEBIND);
    if (from->domain == AF_INET6)
        set_int(fd, IPPROTO_IPV6, IPV6_FREEBIND);
    return bind(fd, (const struct sockaddr *)&from->local, from->local_length);
}

/* Something to poll that is readable and hung up. */
static int broken_connection(void)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) != 0)
        return -1;
    close(pair[1]);
    return pair[0];
}

static int reopen(const void *context)
{
    const struct nf_socket *from = context;
    if (from->accepted)
        return broken_connection();
    int fd = socket(from->domain, from->type | SOCK_NONBLOCK | SOCK_CLOEXEC, from->protocol);
    if (fd < 0)
        return -1;
    for (uint32_t i = 0; i < from->option_count; i++)
        setsockopt(fd, from->options[i].level, from->options[i].name, from->options[i].value,
                   from->options[i].length);
    const char *what = NULL;
    if (from->bound && bind_again(fd, from) != 0)
        what = "bound";
    else if (from->listening && listen(fd, from->backlog) != 0)
        what = "listen";
    else if (from->connected && !from->listening &&
             connect(fd, (const struct sockaddr *)&from->peer, from->peer_length) != 0 &&
             errno != EINPROGRESS)
        what = "connected";
    if (what)
        dprintf(STDERR_FILENO, "palisade: a socket cannot be %s again after the takeover: %s\n",
                what, strerror(errno));
    return fd;
}

static void revive(uint32_t index)
{
    struct nf_socket *socket = socket_of(index);
    if (socket == NULL)
        return; /* socket_open goes on by itself */
    socket->broken = socket->accepted;
    native_install(index, reopen(socket));
}

/* ---- open and close ---- */

/* The rest of opening: `native` may be -1, in replay. */
static int adopt(int fd, const struct nf_socket *like, int native)
{
    struct nf_socket *socket = fd < 0 ? NULL : __palisade_malloc(sizeof *socket);
    if (socket == NULL) {
        if (native >= 0)
            close(native);
        if (fd < 0)
            return -1;
        process_fail(STATUS_MEMORY, "no memory for a socket; raise heap_mib");
    }
    *socket = *like;
    uint32_t index = descriptor_index(fd);
    IMAGE->descriptors[index].own[0] = (uint64_t)socket;
    if (native >= 0)
        native_install(index, native);
    else if (process_mode() == MODE_RECORD)
        revive(index);
    return fd;
}

int socket_open(struct nf_thread *thread, int domain, int type, int protocol, bool nonblock)
{
    int native = -1;
    int64_t result = LOGGED(thread, "socket", 0, ({
                                native =
                                    socket(domain, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
                                native < 0 ? -(int64_t)errno : 0;
                            }));
    if (result < 0)
        return fail((int)-result);
    struct nf_socket like = {.domain = domain, .type = type, .protocol = protocol};
    return adopt(descriptor_open(thread, FAMILY_SOCKET, nonblock, -1), &like, native);
}

int socket_accepted(struct nf_thread *thread, const struct nf_socket *listener, bool nonblock,
                    int native, const void *peer, socklen_t length)
{
    struct nf_socket like = {.domain = listener->domain,
                             .type = listener->type,
                             .protocol = listener->protocol,
                             .connected = 1,
                             .accepted = 1,
                             .peer_length = length};
    memcpy(&like.peer, peer, length);
    return adopt(descriptor_open(thread, FAMILY_SOCKET, nonblock, -1), &like, native);
}

static void close_socket(struct nf_thread *thread, uint32_t index)
{
    (void)thread;
    struct nf_socket *socket = socket_of(index);
    native_close(index, socket, sizeof *socket, reopen);
    __palisade_free(socket);
}

/* ---- names ---- */

static socklen_t clipped(socklen_t length)
{
    return length < sizeof(struct sockaddr_storage) ? length : sizeof(struct sockaddr_storage);
}

static int bind_socket(struct nf_thread *thread, uint32_t index, const struct sockaddr *address,
                       socklen_t length)
{
    struct nf_socket *socket = socket_of(index);
    struct sockaddr_storage local = {0};
    socklen_t got;
    int64_t result;
    bool again = process_mode() == MODE_REPLAY;
    do {
        bool own = false;
        got = sizeof local;
        result = LOGGED(thread, "bind", NOT_EXPECTED, ({
                            own = true;
                            int fd = native_fd(index);
                            if (again && socket->domain == AF_UNIX && length > 2 &&
                                ((const struct sockaddr_un *)address)->sun_path[0])
                                unlink(((const struct sockaddr_un *)address)->sun_path);
                            int64_t r = RESULT_OF(bind(fd, address, length));
                            if (r == 0)
                                getsockname(fd, (struct sockaddr *)&local, &got);
                            r < 0 ? r : (int64_t)clipped(got);
                        }));
        again = true;
        if (result < 0)
            return fail((int)-result);
        if (logged_bytes(thread, "bind", &local, (size_t)result, own))
            break;
    } while (true);
    socket->bound = 1;
    socket->local = local;
    socket->local_length = (socklen_t)result;
    return 0;
}

typedef int name_call(int, struct sockaddr *, socklen_t *);

static int name_of(uint32_t index, struct sockaddr *out, socklen_t *room, const char *what,
                   name_call *call)
{
    struct sockaddr_storage address = {0};
    int64_t result;
    for (;;) {
        bool own = false;
        result = LOGGED(nf_self, what, NOT_EXPECTED, ({
                            own = true;
                            socklen_t length = sizeof address;
                            int64_t r = RESULT_OF(
                                call(native_fd(index), (struct sockaddr *)&address, &length));
                            r < 0 ? r : (int64_t)clipped(length);
                        }));
        if (result < 0)
            return fail((int)-result);
        if (logged_bytes(nf_self, what, &address, (size_t)result, own))
            break;
    }
    memcpy(out, &address, *room < (socklen_t)result ? *room : (size_t)result);
    *room = (socklen_t)result;
    return 0;
}

/* The index of `fd` if it is a socket of this family; else DESCRIPTORS_MAX and errno. */
static uint32_t socket_index(int fd)
{
    const struct family *family = family_of(fd);
    if (family == &family_socket)
        return descriptor_index(fd);
    errno = family == NULL ? EBADF : family->socket ? EOPNOTSUPP : ENOTSOCK;
    return DESCRIPTORS_MAX;
}

HOOK int __palisade_getsockname(int fd, struct sockaddr *out, socklen_t *room)
{
    SITE_HERE();
    if (nf_self == NULL)
        return getsockname(fd, out, room);
    uint32_t index = socket_index(fd);
    return index == DESCRIPTORS_MAX ? -1 : name_of(index, out, room, "getsockname", getsockname);
}

HOOK int __palisade_getpeername(int fd, struct sockaddr *out, socklen_t *room)
{
    SITE_HERE();
    if (nf_self == NULL)
        return getpeername(fd, out, room);
    uint32_t index = socket_index(fd);
    return index == DESCRIPTORS_MAX ? -1 : name_of(index, out, room, "getpeername", getpeername);
}

/* ---- options ---- */

static bool adds_up(int level, int name)
{
    return (level == IPPROTO_IP &&
            (name == IP_ADD_MEMBERSHIP || name == IP_ADD_SOURCE_MEMBERSHIP)) ||
           (level == IPPROTO_IPV6 && name == IPV6_ADD_MEMBERSHIP);
}

static void remember(struct nf_socket *socket, int level, int name, const void *value,
                     socklen_t length)
{
    uint32_t at = 0;
    while (at < socket->option_count &&
           (adds_up(level, name) || socket->options[at].level != level ||
            socket->options[at].name != name))
        at++;
    if (at == SOCKET_OPTIONS)
        process_fail(STATUS_UNMODELLED, "setsockopt: more than %u options of one socket (G8)",
                     SOCKET_OPTIONS);
    if (at == socket->option_count)
        socket->option_count++;
    socket->options[at].level = level;
    socket->options[at].name = name;
    socket->options[at].length = length;
    memcpy(socket->options[at].value, value, length);
}

static int set_option(struct nf_thread *thread, uint32_t index, int level, int name,
                      const void *value, socklen_t length)
{
    if (length > SOCKET_OPTION_BYTES || (level == SOL_SOCKET && name == SO_ATTACH_FILTER))
        process_fail(STATUS_UNMODELLED,
                     "setsockopt: option %d of level %d cannot be set again after "
                     "a takeover (G8)",
                     name, level);
    int64_t result = LOGGED(thread, "setsockopt", 0,
                            RESULT_OF(setsockopt(native_fd(index), level, name, value, length)));
    if (result == 0 && value)
        remember(socket_of(index), level, name, value, length);
    return (int)result_return(result);
}

static int get_option(struct nf_thread *thread, uint32_t index, int level, int name, void *value,
                      socklen_t *length)
{
    for (;;) {
        bool own = false;
        int64_t result = LOGGED(thread, "getsockopt", NOT_EXPECTED, ({
                                    own = true;
                                    struct native *native = native_of(index);
                                    int error = level == SOL_SOCKET && name == SO_ERROR
                                                    ? atomic_exchange(&native->error, 0)
                                                    : 0;
                                    int64_t r = RESULT_OF(getsockopt(atomic_load(&native->fd),
                                                                     level, name, value, length));
                                    if (r == 0 && error && *length >= sizeof error)
                                        memcpy(value, &error, sizeof error);
                                    native_put(native);
                                    r < 0 ? r : (int64_t)*length;
                                }));
        if (result < 0)
            return fail((int)-result);
        *length = (socklen_t)result;
        if (logged_bytes(thread, "getsockopt", value, (size_t)result, own))
            return 0;
    }
}

static int control(struct nf_thread *thread, uint32_t index, unsigned long request, void *argument)
{
    if (request != FIONREAD && request != SIOCOUTQ)
        return interface_control(thread, index, request, argument);
    int bytes = 0;
    int64_t result = LOGGED(thread, "ioctl", 0, ({
                                int64_t r = RESULT_OF(ioctl(native_fd(index), request, &bytes));
                                r < 0 ? r : bytes;
                            }));
    if (result >= 0)
        *(int *)argument = (int)result;
    return result < 0 ? fail((int)-result) : 0;
}

/* ---- connections ---- */

/* Live: as the kernel, but it waits in the safe state. */
static int64_t connect_live(struct nf_thread *thread, uint32_t index,
                            const struct sockaddr *address, socklen_t length)
{
    int fd = native_fd(index), error = 0;
    socklen_t size = sizeof error;
    int64_t result = RESULT_OF(connect(fd, address, length));
    if ((result != -EINPROGRESS && result != -EALREADY) || IMAGE->descriptors[index].nonblock)
        return result;
    wait_native(thread, fd, POLLOUT, -1, NULL);
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
    return -(int64_t)error;
}

int palisade_connect_restartable(int fd, const struct sockaddr *address, socklen_t length)
{
    struct nf_thread *thread = nf_self;
    if (thread == NULL)
        return connect(fd, address, length);
    uint32_t index = socket_index(fd);
    if (index == DESCRIPTORS_MAX)
        return -1;
    if (length > sizeof(struct sockaddr_storage))
        return fail(EINVAL);
    struct nf_socket *socket = socket_of(index);
    safe_point(thread);
    int64_t result =
        LOGGED_SAFE(thread, "connect", 0, connect_live(thread, index, address, length));
    if (result == 0 || result == -EINPROGRESS) {
        socket->connected = address->sa_family != AF_UNSPEC;
        socket->peer_length = length;
        memcpy(&socket->peer, address, length);
    }
    return (int)result_return(result);
}

HOOK int __palisade_listen(int fd, int backlog)
{
    SITE_HERE();
    if (nf_self == NULL)
        return listen(fd, backlog);
    uint32_t index = socket_index(fd);
    if (index == DESCRIPTORS_MAX)
        return -1;
    int64_t result = LOGGED(nf_self, "listen", 0, RESULT_OF(listen(native_fd(index), backlog)));
    if (result == 0) {
        socket_of(index)->listening = 1;
        socket_of(index)->backlog = backlog;
    }
    return (int)result_return(result);
}

static int64_t accept_live(struct nf_thread *thread, uint32_t index,
                           struct sockaddr_storage *address, int *native)
{
    bool nonblock = IMAGE->descriptors[index].nonblock;
    for (;;) {
        int fd = native_fd(index);
        socklen_t length = sizeof *address;
        wait_native(thread, fd, POLLIN, nonblock ? 0 : -1, nonblock ? NULL : &signal_restart);
        *native = accept4(fd, (struct sockaddr *)address, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (*native >= 0)
            return clipped(length);
        if (errno != EAGAIN || nonblock)
            return -(int64_t)errno;
    }
}

int palisade_accept4_restartable(int fd, struct sockaddr *out, socklen_t *room, int flags)
{
    struct nf_thread *thread = nf_self;
    if (thread == NULL)
        return accept4(fd, out, room, flags);
    uint32_t index = socket_index(fd);
    if (index == DESCRIPTORS_MAX)
        return -1;
    struct sockaddr_storage address = {0};
    int native;
    int64_t result;
    safe_point(thread);
    do {
        bool own = false;
        native = -1;
        result = LOGGED_WAIT(thread, "accept", -EAGAIN, &signal_restart, ({
                                 own = true;
                                 accept_live(thread, index, &address, &native);
                             }));
        if (result < 0)
            return fail((int)-result);
        if (logged_bytes(thread, "accept", &address, (size_t)result, own))
            break;
    } while (true); /* a connection that died with its process */
    if (out && room) {
        memcpy(out, &address, *room < (socklen_t)result ? *room : (size_t)result);
        *room = (socklen_t)result;
    }
    return socket_accepted(thread, socket_of(index), (flags & SOCK_NONBLOCK) != 0, native, &address,
                           (socklen_t)result);
}

int palisade_accept_restartable(int fd, struct sockaddr *out, socklen_t *room)
{
    return nf_self ? palisade_accept4_restartable(fd, out, room, 0) : accept(fd, out, room);
}

HOOK int __palisade_shutdown(int fd, int how)
{
    SITE_HERE();
    if (nf_self == NULL)
        return shutdown(fd, how);
    uint32_t index = socket_index(fd);
    if (index == DESCRIPTORS_MAX)
        return -1;
    struct native *native = native_of(index);
    struct effect like = {.native = native, .perform = socket_perform_shutdown, .option = how};
    effect_emit(nf_self, "shutdown", 0, &like, NULL, 0);
    native_put(native);
    return 0;
}

static int native(uint32_t index)
{
    return native_fd(index);
}

const struct family family_socket = {
    .name = "socket",
    .socket = true,
    .receive = socket_receive,
    .transmit = socket_transmit,
    .bind = bind_socket,
    .set_option = set_option,
    .get_option = get_option,
    .control = control,
    .close = close_socket,
    .native = native,
    .revive = revive,
};
