/*
 * One AF_XDP socket on one queue of one network device, copy mode, with its own memory (UMEM).
 *
 * Receiving: xsk_receive shows frames where the kernel put them; xsk_release gives those frames
 * back at once. Sending: fill xsk_reserve(), xsk_commit(), and xsk_kick() once a batch. Nothing
 * blocks; nothing is dropped on this side: when no send frame is free xsk_reserve returns NULL.
 * One thread at a time.
 */
#ifndef PALISADE_XDP_XSK_H
#define PALISADE_XDP_XSK_H

#include <stdbool.h>
#include <stdint.h>

#include "core/status.h"

#define XSK_CHUNK_BYTES 4096u
#define XSK_FRAME_MAX_BYTES 3840u /* a chunk less the kernel's headroom of 256 */
#define XSK_BATCH 64u             /* frames shown by one xsk_receive at most */
#define XSK_QUEUES_MAX 64u
#define XSK_WHY_BYTES 256u

struct xsk;

enum xsk_program {
    XSK_NO_PROGRAM,   /* a socket that only sends needs none */
    XSK_LINK_PROGRAM, /* own EtherType to the socket, the rest to the kernel */
    XSK_PORT_PROGRAM, /* what `accept` names to the socket, the rest to the kernel */
};

struct xsk_options {
    const char *device;
    uint32_t queue;
    uint32_t receive_frames; /* power of two, or 0: never receives */
    uint32_t send_frames;    /* power of two, or 0: never sends */
    enum xsk_program program;
    uint32_t accept; /* XSK_PORT_PROGRAM: bits of accept.h */
};

struct xsk_packet {
    const uint8_t *bytes;
    uint32_t length;
};

/* The kernel's own account of what it did not deliver (XDP_STATISTICS). */
struct xsk_counters {
    uint64_t received, sent;
    uint64_t receive_ring_full, fill_ring_empty, receive_dropped, receive_invalid, send_invalid;
    uint64_t kicks;
};

/*
 * Opens the socket and attaches the program; a queue that a process just dead still holds is
 * waited for, about half a second. `why` (XSK_WHY_BYTES) receives one sentence on failure.
 */
enum status xsk_open(struct xsk **xsk, const struct xsk_options *options, char *why);
void xsk_close(struct xsk *xsk); /* NULL is fine; takes the program off the device, unless ... */
/* ... a port's program is to stay there and drop what it takes (redirect_stays). */
void xsk_program_stays(struct xsk *xsk, bool stays);

int xsk_fd(const struct xsk *xsk);

/* Shows up to `max` (at most XSK_BATCH) received frames, valid until xsk_release. */
uint32_t xsk_receive(struct xsk *xsk, struct xsk_packet *packets, uint32_t max);
void xsk_release(struct xsk *xsk);

/* Where the next frame goes (XSK_FRAME_MAX_BYTES); NULL when the kernel still owns all. The same
 * place until xsk_commit. */
uint8_t *xsk_reserve(struct xsk *xsk);
void xsk_commit(struct xsk *xsk, uint32_t length);
/* Makes the kernel send what was committed. 0, or -errno when the device is down or gone
 * (-ENETDOWN, -ENXIO, ...): what is in the ring stays there. */
int xsk_kick(struct xsk *xsk);
/* Committed frames that the kernel has not taken yet. */
uint32_t xsk_unsent(const struct xsk *xsk);

void xsk_counters(const struct xsk *xsk, struct xsk_counters *out);

#endif
