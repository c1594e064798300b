/*
 * A link: a reliable, ordered, bounded channel of frames in both directions over a network that
 * may lose, double, delay, reorder and corrupt (DESIGN section 7). One struct is one end.
 *
 * Numbers from 1 in each direction; cumulative ack; on a gap or a time-out the sender goes back to
 * the first unacknowledged frame; credit: never more frames in flight than the receiver has
 * offered. The window is the send buffer: link_reserve fails when it is full, and that
 * back-pressure travels up to the NF's receive hook. Time is passed in (nanoseconds, any
 * monotonic clock). One thread at a time.
 */
#ifndef PALISADE_CORE_LINK_H
#define PALISADE_CORE_LINK_H

#include "frame.h"

#define LINK_WINDOW_FRAMES 1024u     /* frames buffered until acknowledged; power of two */
#define LINK_RESEND_AFTER_NS 5000000 /* no progress for that long: ask */
#define LINK_ACK_EVERY_FRAMES 64u    /* at latest */
#define LINK_ACK_AFTER_NS 200000     /* at latest */

struct link_counters {
    uint64_t sent, resent, received, acks_sent; /* sent: first time; received: delivered */
    uint64_t dropped_duplicate, dropped_gap, dropped_session, dropped_epoch, dropped_no_credit;
    uint64_t dropped_error[8]; /* by enum frame_error */
    uint64_t window_full;      /* link_reserve refused: back-pressure */
};

struct link; /* opaque, about 3.5 MiB */

/* `session` is agreed out of band; both ends start at number 1. NULL when out of memory. */
struct link *link_create(uint32_t session, uint32_t epoch);
void link_destroy(struct link *link);
void link_set_addresses(struct link *link, const uint8_t own[6], const uint8_t peer[6]);
/* Frames sent from now on carry `epoch`; received ones below `at_least` are dropped (G5). */
void link_set_epoch(struct link *link, uint32_t epoch, uint32_t at_least);
/* How many frames this end can take beyond what it has delivered (at most LINK_WINDOW_FRAMES, which
 * is also what it starts with). With 0 even a frame that was offered before is dropped. */
void link_set_credit(struct link *link, uint32_t frames);

/* ---- sending ---- */

/* Where the payload of the next frame goes (FRAME_PAYLOAD_MAX_BYTES); NULL when the window is
 * full. Calling it twice without link_commit returns the same place. */
uint8_t *link_reserve(struct link *link);
/* The reserved frame is complete; it will be transmitted in order. Returns its number. */
uint64_t link_commit(struct link *link, enum frame_kind kind, uint16_t thread, uint16_t flags,
                     uint32_t length);
/* Highest number the peer has acknowledged: for LOG frames towards the OL this means stable. */
uint64_t link_acked(const struct link *link);
bool link_window_full(const struct link *link);

/* ---- the network side ---- */

/*
 * Next frame to put on the wire now: a numbered one (new or resent) or an ACK. Returns the bytes
 * and sets *frame to memory that stays valid until the next link_* call; 0 when nothing is to be
 * sent before link_next_wake.
 */
uint32_t link_transmit(struct link *link, int64_t now_ns, const uint8_t **frame);
/*
 * A frame from the wire. Returns true when it is the next in order: *header and *payload (into
 * `bytes`) are to be processed by the caller now. False: it was an ACK, or dropped and counted.
 */
bool link_receive(struct link *link, int64_t now_ns, const uint8_t *bytes, size_t length,
                  struct frame *header, const uint8_t **payload);
/* Absolute time of the next time-out (resend or delayed ack); 0 when frames wait to be transmitted;
 * INT64_MAX when nothing waits for anybody. */
int64_t link_next_wake(const struct link *link);
const struct link_counters *link_counters(const struct link *link);

#endif
