/*
 * Departures: replay meets a log that says otherwise than the program (G6). What is known of it is
 * put into words once, for the person at the terminal and for the journal.
 *
 * The log departs at the first event that cannot be the master's, or at the first output whose
 * digests differ; the cause lies between the output before, which was compared, and this one. So
 * the journal lists the events between, the last TRAIL_SITES of them.
 */
#ifndef PALISADE_DEPARTURE_H
#define PALISADE_DEPARTURE_H

#include "replay/place.h"
#include "replay/replay.h"

#define DEPARTURE_PACKET_BYTES 64u
#define DEPARTURE_TEXT_BYTES 768u

struct departure {
    uint32_t thread;
    position at;      /* the event's, had it passed */
    const char *what; /* the hook's word for it */
    const char *why;
    struct place place;
    uint32_t before_count; /* events before it, the oldest first */
    struct place before[TRAIL_SITES];
    position before_at[TRAIL_SITES];
    uint64_t output; /* number of the packet or effect; 0: the event is none */
    bool effect;
    char port[32];       /* "" for an effect */
    uint32_t length;     /* of the first packet of the batch */
    uint32_t byte_count; /* of it below */
    uint8_t bytes[DEPARTURE_PACKET_BYTES];
    char text[DEPARTURE_TEXT_BYTES]; /* the sentence */
};

/* Puts it into the journal and hands the sentence to replay_departed: what a departure leads to is
 * a matter of the I/O thread. Of threads that depart together the first one is heard. NF threads.
 */
__attribute__((noreturn)) void departure_tell(struct nf_thread *thread, const char *what);

/* The 5-tuple of an Ethernet frame of which `length` bytes are here; "" when it has none. */
const char *packet_flow(const uint8_t *bytes, uint32_t length, char *out, size_t room);

#endif
