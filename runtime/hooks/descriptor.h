/*
 * Virtual descriptors: what the NF's descriptor calls see instead of the kernel.
 *
 * The table is in the image; a descriptor is DESCRIPTOR_BASE + index, so it means the same in the
 * backup. What one is, its family knows: one small file each, a table of operations here. Every
 * call that takes a descriptor (hooks/descriptor.c) looks up the family and goes there; what is no
 * virtual descriptor goes to libc, or is refused.
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
    FAMILY_PACKET,    /* AF_PACKET socket (hooks/packet_socket.c) */
    FAMILY_INTERFACE, /* a socket to ask for interfaces by ioctl (hooks/interface.c) */
    FAMILY_PCAP,      /* descriptor of a libpcap handle (hooks/pcap.c) */
    FAMILY_XSK,       /* AF_XDP socket (hooks/xsk.c) */
    FAMILY_TUN,       /* /dev/net/tun (hooks/tun.c) */
    FAMILIES
};

struct family {
    const char *name;

    /* Is that file one of the family? Then open() is the family's. */
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
    /* The table's entry is freed afterwards. Under descriptors_lock. */
    void (*close)(struct nf_thread *, uint32_t index);

    /* Which of `events` (POLLIN, POLLOUT, ...) are ready now. Live. */
    short (*ready)(uint32_t index, short events);
    /* After a takeover, before the NF goes on live: tell the kernel again. I/O thread. */
    void (*revive)(uint32_t index);
};

/* ioctls that ask for interfaces; any socket answers them (interface.c). */
int interface_control(struct nf_thread *thread, uint32_t index, unsigned long request,
                      void *argument);

/* Index of the port that the NF calls so, -1: none. */
int port_named(const char *name);

extern const struct family family_packet HIDDEN, family_interface HIDDEN, family_pcap HIDDEN,
    family_xsk HIDDEN, family_tun HIDDEN;

static inline bool descriptor_is(int fd)
{
    uint32_t index = (uint32_t)(fd - DESCRIPTOR_BASE);
    return index < DESCRIPTORS_MAX && IMAGE->descriptors[index].family != FAMILY_NONE;
}

static inline uint32_t descriptor_index(int fd)
{
    return (uint32_t)(fd - DESCRIPTOR_BASE);
}

const struct family *descriptor_family(uint32_t index);
/* The family whose file that is, or NULL. */
const struct family *descriptor_owner(const char *path);

/*
 * A new descriptor with O_NONBLOCK or without, its `own` zero; with a queue for `protocol` unless
 * `protocol` is negative. Returns the descriptor, or -1 and EMFILE. NF threads.
 */
int descriptor_open(struct nf_thread *thread, enum family_id family, bool nonblock, int protocol);
/* All families' `revive`. I/O thread. */
void descriptors_revive(void);

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
