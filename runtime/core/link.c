/*
 * See link.h. Go-back-N.
 *
 * Sending     slots hold frames (acked, committed]; `next` is the one to put on the wire. A gap
 *             report (an ACK that repeats) or a time-out moves `next` back. After a time-out only
 *             RESEND_BURST frames go out until something is acknowledged: a peer that was merely
 *             slow must not be flooded with what it already has.
 * Receiving   only the next number is taken; everything else makes an ACK due at once.
 * Credit      `limit` is the highest number the peer ever allowed; it never shrinks. A sender
 *             stopped by it sends one frame beyond per time-out, so that a lost credit update
 *             cannot stop the link for ever; the receiver drops it and repeats its credit.
 */
#include "core/link.h"

#include <stdlib.h>
#include <string.h>

#include "core/assert.h"

#define RESEND_BURST 8u
#define RESEND_BACKOFF_MAX 16u       /* times LINK_RESEND_AFTER_NS */
#define GO_BACK_PAUSE_NS 300000      /* between two reactions to gap reports */
#define SLOT(link, number) (&(link)->slots[(number) % LINK_WINDOW_FRAMES])

struct slot_frame {
    uint8_t kind;
    uint16_t thread, flags, length;
    uint8_t bytes[FRAME_MAX_BYTES];
};

struct link {
    uint32_t session, epoch, at_least;
    uint8_t own[6], peer[6];
    /* sending */
    uint64_t committed; /* last number given */
    uint64_t acked;     /* highest contiguous number the peer has */
    uint64_t next;      /* to transmit */
    uint64_t sent_to;   /* highest number ever transmitted */
    uint64_t limit;     /* highest number the peer has room for */
    uint64_t burst_to;  /* after a time-out: not beyond this until progress */
    int64_t progress_ns; /* last acknowledgement, or start of the wait for one */
    int64_t back_ns;     /* last reaction to a gap report */
    uint32_t backoff;
    /* receiving */
    uint64_t received;   /* highest contiguous */
    uint64_t advertised; /* highest number we allowed */
    uint32_t credit;
    uint32_t unacked;
    int64_t unacked_since_ns;
    bool ack_now;
    struct link_counters counters;
    uint8_t ack_bytes[FRAME_ETHERNET_BYTES + FRAME_HEADER_BYTES];
    struct slot_frame slots[LINK_WINDOW_FRAMES];
};

struct link *link_create(uint32_t session, uint32_t epoch)
{
    struct link *link = calloc(1, sizeof *link);
    if (link == NULL)
        return NULL;
    link->session = session;
    link->epoch = epoch;
    link->next = 1;
    link->credit = LINK_WINDOW_FRAMES;
    link->advertised = LINK_WINDOW_FRAMES; /* both ends start with a full window of credit */
    link->limit = LINK_WINDOW_FRAMES;
    link->burst_to = UINT64_MAX;
    link->backoff = 1;
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
    link->epoch = epoch;
    link->at_least = at_least;
}

void link_set_credit(struct link *link, uint32_t frames)
{
    if (frames > LINK_WINDOW_FRAMES)
        frames = LINK_WINDOW_FRAMES;
    uint64_t left = link->advertised - link->received;
    if (frames > left && left < LINK_WINDOW_FRAMES / 4)
        link->ack_now = true; /* the peer may be waiting for it */
    link->credit = frames;
}

/* ---- sending ---- */

bool link_window_full(const struct link *link)
{
    return link->committed - link->acked == LINK_WINDOW_FRAMES;
}

uint8_t *link_reserve(struct link *link)
{
    if (link_window_full(link)) {
        link->counters.window_full++;
        return NULL;
    }
    return SLOT(link, link->committed + 1)->bytes + FRAME_ETHERNET_BYTES + FRAME_HEADER_BYTES;
}

uint64_t link_commit(struct link *link, enum frame_kind kind, uint16_t thread, uint16_t flags,
                     uint32_t length)
{
    ASSERT(!link_window_full(link));
    ASSERT(kind != FRAME_ACK && length <= FRAME_PAYLOAD_MAX_BYTES);
    struct slot_frame *slot = SLOT(link, ++link->committed);
    slot->kind = (uint8_t)kind;
    slot->thread = thread;
    slot->flags = flags;
    slot->length = (uint16_t)length;
    return link->committed;
}

uint64_t link_acked(const struct link *link)
{
    return link->acked;
}

static bool in_flight(const struct link *link)
{
    return link->sent_to > link->acked;
}

/* Sends from the oldest unacknowledged frame again, at most up to `burst_to`. */
static void go_back(struct link *link, uint64_t burst_to)
{
    link->next = link->acked + 1;
    link->burst_to = burst_to;
}

static int64_t patience_ns(const struct link *link)
{
    return (int64_t)LINK_RESEND_AFTER_NS * link->backoff;
}

static uint32_t encode(struct link *link, uint8_t *bytes, enum frame_kind kind, uint64_t number,
                       const struct slot_frame *slot)
{
    uint64_t allowed = link->received + link->credit;
    if (allowed > link->advertised)
        link->advertised = allowed;
    struct frame frame = {
        .kind = (uint8_t)kind,
        .thread = slot ? slot->thread : 0,
        .length = slot ? slot->length : 0,
        .flags = slot ? slot->flags : 0,
        .epoch = link->epoch,
        .session = link->session,
        .number = number,
        .ack = link->received,
        .credit = (uint32_t)(link->advertised - link->received),
    };
    link->ack_now = false;
    link->unacked = 0;
    return frame_encode(bytes, link->peer, link->own, &frame);
}

static void check_timeout(struct link *link, int64_t now)
{
    bool stopped = link->next <= link->committed && link->next > link->limit;
    if (!in_flight(link) && !stopped)
        link->progress_ns = now; /* waiting for nobody */
    if (now - link->progress_ns < patience_ns(link))
        return;
    go_back(link, link->acked + RESEND_BURST);
    link->progress_ns = now;
    if (link->backoff < RESEND_BACKOFF_MAX)
        link->backoff *= 2;
    if (link->next > link->limit)
        link->limit = link->next; /* the probe beyond the credit */
}

uint32_t link_transmit(struct link *link, int64_t now, const uint8_t **frame)
{
    check_timeout(link, now);
    if (link->next <= link->committed && link->next <= link->limit &&
        link->next <= link->burst_to) {
        struct slot_frame *slot = SLOT(link, link->next);
        uint32_t bytes = encode(link, slot->bytes, slot->kind, link->next, slot);
        if (link->next <= link->sent_to)
            link->counters.resent++;
        else
            link->sent_to = link->next;
        link->counters.sent++;
        link->next++;
        *frame = slot->bytes;
        return bytes;
    }
    bool due = link->ack_now || link->unacked >= LINK_ACK_EVERY_FRAMES ||
               (link->unacked > 0 && now - link->unacked_since_ns >= LINK_ACK_AFTER_NS);
    if (!due)
        return 0;
    link->counters.acks_sent++;
    *frame = link->ack_bytes;
    return encode(link, link->ack_bytes, FRAME_ACK, 0, NULL);
}

/* ---- receiving ---- */

static void take_ack(struct link *link, int64_t now, const struct frame *header)
{
    if (header->ack > link->sent_to || header->ack < link->acked)
        return; /* from the past, or nonsense */
    if (header->ack + header->credit > link->limit)
        link->limit = header->ack + header->credit;
    if (header->ack > link->acked) {
        link->acked = header->ack;
        link->progress_ns = now;
        link->backoff = 1;
        link->burst_to = UINT64_MAX;
        if (link->next <= link->acked)
            link->next = link->acked + 1;
    } else if (header->kind == FRAME_ACK && in_flight(link) &&
               now - link->back_ns >= GO_BACK_PAUSE_NS) {
        link->back_ns = now; /* it repeats itself: something got lost */
        go_back(link, UINT64_MAX);
    }
}

bool link_receive(struct link *link, int64_t now, const uint8_t *bytes, size_t length,
                  struct frame *header, const uint8_t **payload)
{
    struct link_counters *counters = &link->counters;
    enum frame_error error = frame_decode(bytes, length, header, payload);
    if (error != FRAME_OK) {
        counters->dropped_error[error]++;
        return false;
    }
    if (header->session != link->session) {
        counters->dropped_session++;
        return false;
    }
    if (header->epoch < link->at_least) {
        counters->dropped_epoch++;
        return false;
    }
    take_ack(link, now, header);
    if (header->kind == FRAME_ACK)
        return false;
    if (header->number != link->received + 1) {
        if (header->number <= link->received)
            counters->dropped_duplicate++;
        else
            counters->dropped_gap++;
        link->ack_now = true;
        return false;
    }
    if (header->number > link->advertised) {
        counters->dropped_no_credit++;
        link->ack_now = true;
        return false;
    }
    counters->received++;
    link->received++;
    if (link->unacked++ == 0)
        link->unacked_since_ns = now;
    return true;
}

int64_t link_next_wake(const struct link *link)
{
    int64_t wake = INT64_MAX;
    if (link->ack_now || (link->next <= link->committed && link->next <= link->limit &&
                          link->next <= link->burst_to))
        return 0;
    if (link->committed > link->acked)
        wake = link->progress_ns + patience_ns(link);
    if (link->unacked > 0 && link->unacked_since_ns + LINK_ACK_AFTER_NS < wake)
        wake = link->unacked_since_ns + LINK_ACK_AFTER_NS;
    return wake;
}

const struct link_counters *link_counters(const struct link *link)
{
    return &link->counters;
}
