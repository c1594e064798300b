/*
 * Go-back-N, written for two ends that share two cores with everything else.
 *
 * Receiving. Only the next frame in order is delivered; any other is dropped and counted.
 * Acknowledgements ride on every frame sent; a bare ACK goes out
 *   - at once when something is wrong: a duplicate (our ACK was lost), a frame beyond the next
 *     or without credit (FRAME_GAP tells the peer that frames after `ack` are lost);
 *   - at once when the peer has used half of what it was offered, or LINK_ACK_EVERY_FRAMES;
 *   - at the latest LINK_ACK_AFTER_NS after a delivery.
 * "At once" is the next link_transmit, so that a batch of frames costs one ACK.
 *
 * Credit. Each frame offers the numbers up to ack + credit. Before the first word from the peer
 * one frame may go: it is answered. An offer that rises from nothing is announced; should the
 * announcement be lost, the sender's probe asks again, so no lost frame can stop a link for good.
 *
 * Sending again. Two causes, kept apart because a slow peer is far more common than a lost frame:
 *   - FRAME_GAP proves a loss: go back to ack + 1 and on from there. Frames still under way
 *     report the same gap again, so until everything that had been sent is acknowledged, a
 *     further gap counts only LINK_RESEND_AFTER_NS later.
 *   - silence proves nothing: after LINK_RESEND_AFTER_NS send one frame, the first unacknowledged
 *     one (the probe), and wait, twice as long each time up to sixteen times. An answer that
 *     acknowledges more than the probe shows that the originals arrived; one that acknowledges
 *     just the probe shows that what followed was lost: go on from there.
 *
 * Numbers: acked < unsent <= highest + 1 <= next. [acked + 1, next) is buffered.
 */
#include "core/link.h"

#include <stdlib.h>
#include <string.h>

#include "core/assert.h"

#define SLOT_BYTES 3456u /* FRAME_MAX_BYTES in whole cache lines */
#define BACKOFF_MAX 4u
#define NEVER INT64_MAX

_Static_assert(SLOT_BYTES >= FRAME_MAX_BYTES && SLOT_BYTES % 64 == 0, "a frame fits its slot");
_Static_assert((LINK_WINDOW_FRAMES & (LINK_WINDOW_FRAMES - 1)) == 0, "slots are found by mask");
_Static_assert(FRAME_ERRORS <= 8, "link_counters.dropped_error has a place for each");

struct slot {
    uint8_t kind;
    uint16_t thread;
    uint16_t flags;
    uint16_t length;
};

enum sending {
    FLOWING,   /* [unsent, next) goes out as far as the limit allows */
    PROBE_DUE, /* silence: send acked + 1, whatever the limit */
    PROBE_SENT /* and wait for an answer */
};

struct link {
    uint32_t session;
    uint32_t epoch;
    uint32_t at_least;
    uint8_t own[6];
    uint8_t peer[6];

    /* sending */
    uint64_t next;    /* number the next commit gets */
    uint64_t acked;   /* the peer has everything up to here */
    uint64_t unsent;  /* next number to transmit; falls back when going back */
    uint64_t highest; /* ever transmitted */
    uint64_t limit;   /* the peer can take up to here */
    enum sending sending;
    uint32_t timeouts;     /* in a row without progress */
    uint64_t recover_past; /* gaps reported at or below are known ... */
    int64_t went_back_ns;  /* ... until some time after this */
    int64_t resend_ns;     /* NEVER: nothing waits for the peer */

    /* receiving */
    uint64_t received;   /* delivered: the highest contiguous number */
    uint64_t told_ack;   /* last ack sent */
    uint64_t told_limit; /* last ack + credit sent */
    uint32_t credit;
    bool missing; /* a frame beyond `received` was dropped */
    bool ack_now;
    int64_t ack_ns; /* NEVER: no ack is owed */

    struct link_counters counters;
    uint8_t ack_frame[FRAME_ETHERNET_BYTES + FRAME_HEADER_BYTES];
    struct slot slots[LINK_WINDOW_FRAMES];
    _Alignas(64) uint8_t buffers[LINK_WINDOW_FRAMES][SLOT_BYTES];
};

struct link *link_create(uint32_t session, uint32_t epoch)
{
    struct link *link = aligned_alloc(64, sizeof *link);
    if (link == NULL)
        return NULL;
    memset(link, 0, offsetof(struct link, buffers));
    link->session = session;
    link->epoch = epoch;
    link->next = 1;
    link->unsent = 1;
    link->limit = 1;
    link->resend_ns = NEVER;
    link->ack_ns = NEVER;
    link->credit = LINK_WINDOW_FRAMES;
    link->ack_now = true; /* the first offer */
    return link;
}

void link_destroy(struct link *link)
{
    free(link);
}

void link_set_addresses(struct link *link, const uint8_t own[6], const uint8_t peer[6])
{
    memcpy(link->own, own, 6);
    memcpy(link->peer, peer, 6);
}

void link_set_epoch(struct link *link, uint32_t epoch, uint32_t at_least)
{
    ASSERT(epoch >= link->epoch && at_least >= link->at_least);
    link->epoch = epoch;
    link->at_least = at_least;
}

/* The peer should hear of our state soon: it has used up half of what it knows of. */
static void ack_when_half_used(struct link *link)
{
    uint64_t known = link->told_limit > link->received ? link->told_limit - link->received : 0;
    if (link->credit > 0 && known * 2 <= link->credit)
        link->ack_now = true;
}

void link_set_credit(struct link *link, uint32_t frames)
{
    ASSERT(frames <= LINK_WINDOW_FRAMES);
    link->credit = frames;
    ack_when_half_used(link);
}

/* ---- the send buffer ---- */

static struct slot *slot_of(struct link *link, uint64_t number)
{
    return &link->slots[number & (LINK_WINDOW_FRAMES - 1)];
}

static uint8_t *buffer_of(struct link *link, uint64_t number)
{
    return link->buffers[number & (LINK_WINDOW_FRAMES - 1)];
}

bool link_window_full(const struct link *link)
{
    ASSERT(link->next - 1 - link->acked <= LINK_WINDOW_FRAMES);
    return link->next - 1 - link->acked == LINK_WINDOW_FRAMES;
}

uint8_t *link_reserve(struct link *link)
{
    if (link_window_full(link)) {
        link->counters.window_full++;
        return NULL;
    }
    return buffer_of(link, link->next) + FRAME_ETHERNET_BYTES + FRAME_HEADER_BYTES;
}

uint64_t link_commit(struct link *link, enum frame_kind kind, uint16_t thread, uint16_t flags,
                     uint32_t length)
{
    ASSERT(!link_window_full(link));
    ASSERT(kind > 0 && kind < FRAME_KINDS && kind != FRAME_ACK);
    ASSERT(length <= FRAME_PAYLOAD_MAX_BYTES);
    *slot_of(link, link->next) = (struct slot){
        .kind = (uint8_t)kind, .thread = thread, .flags = flags, .length = (uint16_t)length};
    return link->next++;
}

uint64_t link_acked(const struct link *link)
{
    return link->acked;
}

/* ---- putting frames on the wire ---- */

static bool pending(const struct link *link)
{
    return link->acked + 1 < link->next;
}

/* Header fields are filled in now, so that a resent frame carries today's ack and epoch. */
static uint32_t encode(struct link *link, uint8_t *bytes, const struct slot *slot, uint64_t number)
{
    struct frame frame = {
        .kind = slot->kind,
        .thread = slot->thread,
        .length = slot->length,
        .flags = slot->flags,
        .epoch = link->epoch,
        .session = link->session,
        .number = number,
        .ack = link->received,
        .credit = link->credit,
    };
    link->ack_now = false;
    link->ack_ns = NEVER;
    link->told_ack = link->received;
    link->told_limit = link->received + link->credit;
    return frame_encode(bytes, link->peer, link->own, &frame);
}

static uint32_t transmit_ack(struct link *link, const uint8_t **frame)
{
    struct slot slot = {.kind = FRAME_ACK, .flags = link->missing ? FRAME_GAP : 0};
    link->counters.acks_sent++;
    *frame = link->ack_frame;
    return encode(link, link->ack_frame, &slot, 0);
}

static uint32_t transmit_numbered(struct link *link, int64_t now_ns, const uint8_t **frame)
{
    uint64_t number = link->unsent++;
    ASSERT(number > link->acked && number < link->next && number <= link->highest + 1);
    if (number > link->highest) {
        link->highest = number;
        link->counters.sent++;
    } else {
        link->counters.resent++;
    }
    if (link->sending == PROBE_DUE)
        link->sending = PROBE_SENT;
    if (link->resend_ns == NEVER)
        link->resend_ns = now_ns + LINK_RESEND_AFTER_NS;
    *frame = buffer_of(link, number);
    return encode(link, buffer_of(link, number), slot_of(link, number), number);
}

static bool may_send(const struct link *link)
{
    switch (link->sending) {
    case FLOWING:
        return link->unsent < link->next && link->unsent <= link->limit;
    case PROBE_DUE:
        return true;
    case PROBE_SENT:
        return false;
    }
    return false;
}

static void time_out(struct link *link, int64_t now_ns)
{
    ASSERT(pending(link));
    link->sending = PROBE_DUE;
    link->unsent = link->acked + 1;
    link->resend_ns = now_ns + ((int64_t)LINK_RESEND_AFTER_NS << link->timeouts);
    if (link->timeouts < BACKOFF_MAX)
        link->timeouts++;
}

uint32_t link_transmit(struct link *link, int64_t now_ns, const uint8_t **frame)
{
    if (now_ns >= link->resend_ns)
        time_out(link, now_ns);
    if (now_ns >= link->ack_ns)
        link->ack_now = true;
    /* Numbered frames cannot carry FRAME_GAP: their flags are the user's. */
    if (link->ack_now && (link->missing || !may_send(link)))
        return transmit_ack(link, frame);
    if (may_send(link))
        return transmit_numbered(link, now_ns, frame);
    if (link->resend_ns == NEVER && pending(link)) /* no credit: ask from time to time */
        link->resend_ns = now_ns + LINK_RESEND_AFTER_NS;
    return 0;
}

int64_t link_next_wake(const struct link *link)
{
    if (link->ack_now || may_send(link) || (pending(link) && link->resend_ns == NEVER))
        return 0; /* link_transmit has something to do */
    return link->resend_ns < link->ack_ns ? link->resend_ns : link->ack_ns;
}

/* ---- hearing from the peer ---- */

static void heard_progress(struct link *link, int64_t now_ns, uint64_t ack)
{
    bool probing = link->sending != FLOWING;
    bool originals = ack >= link->unsent; /* more than the probe: the peer was only slow */
    link->acked = ack;
    link->timeouts = 0;
    link->sending = FLOWING;
    if (probing && originals) {
        link->unsent = link->highest + 1;
    } else if (probing) {
        link->recover_past = link->highest;
        link->went_back_ns = now_ns;
    }
    if (link->unsent <= ack)
        link->unsent = ack + 1;
    link->resend_ns = pending(link) ? now_ns + LINK_RESEND_AFTER_NS : NEVER;
}

static void flow(struct link *link, int64_t now_ns)
{
    link->sending = FLOWING;
    link->resend_ns = now_ns + LINK_RESEND_AFTER_NS;
}

static void hear(struct link *link, int64_t now_ns, const struct frame *frame)
{
    if (frame->ack < link->acked || frame->ack > link->highest)
        return; /* late, or nonsense */
    bool shut = link->limit <= link->acked;
    uint32_t credit = frame->credit < LINK_WINDOW_FRAMES ? frame->credit : LINK_WINDOW_FRAMES;
    if (frame->ack > link->acked)
        heard_progress(link, now_ns, frame->ack);
    link->limit = link->acked + credit;

    if (shut && credit > 0 && pending(link)) { /* the peer takes frames again */
        if (link->sending != FLOWING)
            link->unsent = link->acked + 1;
        flow(link, now_ns);
    }
    bool gap = frame->kind == FRAME_ACK && (frame->flags & FRAME_GAP) != 0;
    bool known =
        link->acked < link->recover_past && now_ns - link->went_back_ns < LINK_RESEND_AFTER_NS;
    if (gap && link->highest > link->acked && !known) {
        link->recover_past = link->highest;
        link->went_back_ns = now_ns;
        link->unsent = link->acked + 1;
        flow(link, now_ns);
    }
}

/* Is it the next in order, and can we take it? Counts when not. */
static bool accept(struct link *link, int64_t now_ns, const struct frame *frame)
{
    if (frame->number <= link->received) {
        link->counters.dropped_duplicate++;
        link->ack_now = true;
        return false;
    }
    if (frame->number > link->received + 1 || link->credit == 0) {
        if (link->credit == 0)
            link->counters.dropped_no_credit++;
        else
            link->counters.dropped_gap++;
        link->missing = true;
        link->ack_now = true;
        return false;
    }
    link->received++;
    link->missing = false;
    link->counters.received++;
    if (link->ack_ns == NEVER)
        link->ack_ns = now_ns + LINK_ACK_AFTER_NS;
    if (link->received - link->told_ack >= LINK_ACK_EVERY_FRAMES)
        link->ack_now = true;
    ack_when_half_used(link);
    return true;
}

bool link_receive(struct link *link, int64_t now_ns, const uint8_t *bytes, size_t length,
                  struct frame *header, const uint8_t **payload)
{
    enum frame_error error = frame_decode(bytes, length, header, payload);
    if (error != FRAME_OK) {
        link->counters.dropped_error[error]++;
        return false;
    }
    if (header->session != link->session) {
        link->counters.dropped_session++;
        return false;
    }
    if (header->epoch < link->at_least) {
        link->counters.dropped_epoch++;
        return false;
    }
    hear(link, now_ns, header);
    return header->kind != FRAME_ACK && accept(link, now_ns, header);
}

const struct link_counters *link_counters(const struct link *link)
{
    return &link->counters;
}
