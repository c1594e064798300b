/*
 * A wire: one end of a link on a real network device: an AF_XDP socket (own UMEM, one queue) under
 * a core link. One thread at a time.
 */
#ifndef PALISADE_XDP_WIRE_H
#define PALISADE_XDP_WIRE_H

#include "core/link.h"
#include "core/status.h"

struct wire;

/* Called for each in-order frame. */
typedef void wire_handler(void *context, const struct frame *frame, const uint8_t *payload);

/*
 * Opens queue `queue` of `device` (attaching the link XDP program if the device has none: own
 * EtherType to the socket, everything else to the kernel). On failure returns a status other
 * than STATUS_OK and puts one sentence into `why` (256 bytes): what, which device, what to do.
 */
enum status wire_open(struct wire **wire, const char *device, uint32_t queue, char *why);
void wire_close(struct wire *wire);

/* A (new) peer: restarts the link under `session`; nothing of an earlier session survives. */
int wire_session(struct wire *wire, uint32_t session, uint32_t epoch, const uint8_t peer[6]);
/* The link, to reserve, commit, set credit and read counters; NULL before wire_session. */
struct link *wire_link(struct wire *wire);
const uint8_t *wire_mac(const struct wire *wire);
/* The socket's counters, the kernel's own (XDP_STATISTICS) included. */
struct xsk_counters;
void wire_counters(const struct wire *wire, struct xsk_counters *out);
int wire_fd(const struct wire *wire); /* for poll: POLLIN */

/* Receives what is there, at most `budget` frames; returns frames handled. Never blocks. */
uint32_t wire_receive(struct wire *wire, int64_t now_ns, uint32_t budget, wire_handler *handler,
                      void *context);
/* Transmits what the link wants on the wire now. Returns frames sent. Never blocks. */
uint32_t wire_transmit(struct wire *wire, int64_t now_ns);
/* Like link_next_wake. */
int64_t wire_next_wake(const struct wire *wire);

#endif
