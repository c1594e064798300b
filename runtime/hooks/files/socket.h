/*
 * IPv4, IPv6 and Unix sockets, as programs use them beside their packets: exports by UDP, control
 * connections, logs.
 *
 * What comes in is logged. What goes out is an effect with predicted success; an error that shows
 * later is told by the next call or SO_ERROR. After a takeover a socket is opened, bound, joined
 * and connected as before; listening ones listen again; connections that were accepted are broken
 * (ECONNRESET), for the other end's are gone.
 */
#ifndef PALISADE_HOOKS_SOCKET_H
#define PALISADE_HOOKS_SOCKET_H

#include "hooks/files/descriptor.h"
#include "hooks/files/effect.h"

#define SOCKET_OPTIONS 32u
#define SOCKET_OPTION_BYTES 64u

struct nf_socket { /* in the NF's heap; own[0] of the descriptor points to it */
    int32_t domain, type, protocol;
    uint32_t bound, connected, listening;
    uint32_t accepted;
    uint32_t broken; /* accepted before a takeover. Set by revive, looked at live */
    int32_t backlog;
    socklen_t local_length, peer_length;
    struct sockaddr_storage local, peer;
    uint32_t option_count;
    struct {
        int32_t level, name;
        uint32_t length;
        uint8_t value[SOCKET_OPTION_BYTES];
    } options[SOCKET_OPTIONS];
};

static inline struct nf_socket *socket_of(uint32_t index)
{
    return (struct nf_socket *)IMAGE->descriptors[index].own[0];
}

int socket_open(struct nf_thread *thread, int domain, int type, int protocol, bool nonblock);
/* The descriptor of an accepted connection; `native` -1: not of this process. */
int socket_accepted(struct nf_thread *thread, const struct nf_socket *listener, bool nonblock,
                    int native, const void *peer, socklen_t length);

/* recv and send (socket_io.c), as in struct family. */
int socket_receive(struct nf_thread *thread, uint32_t index, struct mmsghdr *messages,
                   uint32_t count, int flags);
int socket_transmit(struct nf_thread *thread, uint32_t index, struct mmsghdr *messages,
                    uint32_t count, int flags);
/* Sends what sockets did not take before. I/O thread. */
void socket_backlogs(void);
bool socket_backlogs_pending(void);
/* perform: shutdown, after what was sent. */
bool socket_perform_shutdown(struct effect *effect);

#endif
