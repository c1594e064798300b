/*
 * Virtual descriptors: what the NF's descriptor calls see instead of the kernel.
 *
 * Two tables are in the image: numbers (0 to 2, and from DESCRIPTOR_BASE) stand for an index, and
 * dup makes a second number for the same one. They mean the same in the backup. What is behind an
 * index, its family knows: one small file each, a table of operations here. Every call that takes a
 * descriptor (hooks/files/descriptor.c) looks up the family and goes there.
 *
 * An operation gets the index, not the descriptor, and returns as the call does: -1 and errno. One
 * that is missing makes the call fail as the kernel would on a descriptor of another kind. All run
 * on NF threads, in record and in replay, unless said otherwise.
 */
#ifndef PALISADE_HOOKS_DESCRIPTOR_H
#define PALISADE_HOOKS_DESCRIPTOR_H

#include <errno.h>
#include <sys/socket.h>

#include "process.h"

/* In images: numbers are never reused. */
enum family_id {
    FAMILY_NONE,
    FAMILY_PACKET,    /* AF_PACKET socket (hooks/packets/packet_socket.c) */
    FAMILY_INTERFACE, /* no more */
    FAMILY_PCAP,      /* descriptor of a libpcap handle (hooks/packets/pcap.c) */
    FAMILY_XSK,       /* AF_XDP socket (hooks/packets/xsk.c) */
    FAMILY_TUN,       /* /dev/net/tun (hooks/packets/tun.c) */
    FAMILY_FILE,   /* what open gives, and what the process was started with (hooks/files/file.c) */
    FAMILY_SOCKET, /* IPv4, IPv6 and Unix sockets (hooks/files/socket.c) */
    FAMILY_PIPE,   /* pipe, eventfd (hooks/files/pipe.c) */
    FAMILY_PAIR,   /* socketpair (hooks/files/pipe.c) */
    FAMILY_EPOLL,  /* (hooks/files/epoll.c) */
    FAMILIES
};

struct family {
    const char *name;
    bool socket; /* recv, send and their kin work on it, not only read and write */

    /* Is that file one of the family? Then open() is the family's. Others are FAMILY_FILE. */
    bool (*owns)(const char *path);
    int (*open)(struct nf_thread *, const char *path, int flags);

    /*
     * recv*, read, readv and send*, write, writev: `count` messages, at most 64 are looked at.
     * Return how many were done, their lengths in msg_len. Restartable: they may wait before their
     * first event.
     */
    int (*receive)(struct nf_thread *, uint32_t index, struct mmsghdr *, uint32_t count, int flags);
    int (*transmit)(struct nf_thread *, uint32_t index, struct mmsghdr *, uint32_t count,
                    int flags);

    int (*bind)(struct nf_thread *, uint32_t index, const struct sockaddr *, socklen_t);
    int (*set_option)(struct nf_thread *, uint32_t index, int level, int name, const void *value,
                      socklen_t length);
    int (*get_option)(struct nf_thread *, uint32_t index, int level, int name, void *value,
                      socklen_t *length);
    int (*control)(struct nf_thread *, uint32_t index, unsigned long request, void *argument);
    /* F_GETFL's flags beside O_NONBLOCK; none: O_RDWR. */
    int (*flags)(uint32_t index);
    /* The last number is closed, the table's entry is freed afterwards. Under descriptors_lock. */
    void (*close)(struct nf_thread *, uint32_t index);

    /* mmap of the descriptor: where in the NF's memory, or MAP_FAILED and errno. */
    void *(*map)(struct nf_thread *, uint32_t index, size_t length);

    /* poll is about to tell that it is readable: put what came where the NF looks. Never waits. */
    void (*fill)(struct nf_thread *, uint32_t index);
    /*
     * Which of `events` (POLLIN, POLLOUT, ...) are ready now. Live. A family whose readiness the
     * kernel knows has `native` instead. One that is no queue has `await`: wake this thread
     * (thread_wake) when something may have changed; once.
     */
    short (*ready)(uint32_t index, short events);
    void (*await)(uint32_t index, uint32_t thread);
    /* Changes whenever something came (or room was made, `out`). Live. Queues need none. */
    uint64_t (*edge)(uint32_t index, bool out);
    /* The kernel's number to poll, -1: never ready. Live. */
    int (*native)(uint32_t index);
    /* After a takeover, before the NF goes on live: tell the kernel again. I/O thread. */
    void (*revive)(uint32_t index);
};

/* ioctls that ask for interfaces; any socket answers them (interface.c). */
int interface_control(struct nf_thread *thread, uint32_t index, unsigned long request,
                      void *argument);

struct sockaddr_ll;
/* Where a packet came from, as recvfrom tells (packet_socket.c). */
void packet_address(struct sockaddr_ll *out, uint16_t port, const uint8_t *bytes, uint16_t length);

/* Index of the port that the NF calls so, -1: none. */
int port_named(const char *name);
/* Refuses `what` on TUN ports. */
void port_must_be_ethernet(uint32_t port, const char *what);

extern const struct family family_packet HIDDEN, family_pcap HIDDEN, family_xsk HIDDEN,
    family_tun HIDDEN, family_file HIDDEN, family_socket HIDDEN, family_pipe HIDDEN,
    family_pair HIDDEN, family_epoll HIDDEN;

/* Where `fd` stands in image.fds; FDS_MAX when it cannot be a virtual descriptor. */
static inline uint32_t fd_slot(int fd)
{
    uint32_t at = (uint32_t)fd - DESCRIPTOR_BASE;
    if (__builtin_expect(at < DESCRIPTORS_MAX, 1))
        return at + 3;
    return (uint32_t)fd < 3 ? (uint32_t)fd : FDS_MAX;
}

static inline bool descriptor_is(int fd)
{
    return IMAGE->fds[fd_slot(fd)] != 0;
}

static inline uint32_t descriptor_index(int fd)
{
    return IMAGE->fds[fd_slot(fd)] - 1;
}

const struct family *descriptor_family(uint32_t index);
/* The family whose file that is, or NULL. */
const struct family *descriptor_owner(const char *path);

/* The family of `fd`, when the NF calls and the descriptor is a virtual one; else NULL. */
static inline const struct family *family_of(int fd)
{
    return nf_self && descriptor_is(fd) ? descriptor_family(descriptor_index(fd)) : NULL;
}
/* A call on what is none: libc's to answer when the caller is not the NF, or is allowed to. */
static inline bool to_libc(void)
{
    return nf_self == NULL || process.options.unmodelled == OPTION_UNMODELLED_ALLOW;
}

/*
 * A new descriptor with O_NONBLOCK or without, its `own` zero; with a queue for `protocol` unless
 * `protocol` is negative. Returns the descriptor, or -1 and EMFILE. NF threads.
 */
int descriptor_open(struct nf_thread *thread, enum family_id family, bool nonblock, int protocol);
/* Descriptors 0 to 2, before the NF starts. */
void descriptors_begin(void);
/* All families' `revive`. I/O thread. */
void descriptors_revive(void);
/* Closes `fd`, which is a virtual descriptor. */
void descriptor_close(struct nf_thread *thread, int fd);

/* What read and write do: for other restartable hooks. */
ssize_t palisade_read_restartable(int fd, void *buffer, size_t room);
ssize_t palisade_write_restartable(int fd, const void *bytes, size_t length);

/* The queue of a descriptor that receives packets. */
static inline uint32_t descriptor_queue(uint32_t index)
{
    return IMAGE->descriptors[index].queue - 1;
}

static inline int fail(int error)
{
    errno = error;
    return -1;
}

#endif
