/*
 * The record codec: what one thread's log is made of.
 *
 * A log is a byte stream of records. A record names only what replay cannot predict; events
 * whose outcome replay predicts add no bytes, only to the count `skip` of the next record.
 * Layout and kinds: docs/protocol.md, "Log". Values are LEB128 varints, signed ones zigzag.
 *
 *   first byte: kind (low 4 bits) | skip (high 4 bits; 15 = a varint (skip - 15) follows)
 *   ORDER    sequence
 *   FAIL     sequence of the holder (R4)
 *   NUMBER   signed value
 *   BYTES    length, bytes
 *   CLOCK    clock slot, signed nanoseconds since this thread's last reading of that slot
 *   RECEIVE  queue, count of ranges, then per range: signed gap to the id after the last, length
 *   OUT      count of packets, count of threads, then per thread position since the last vector;
 *            digests of the way and of what was sent, 4 bytes each (G6)
 *   LOAD     value, writer + 1 (0 = nobody yet), writer's position (R5)
 *   READ     write sequence (R7)            WRITE    sequence, reads since the last write (R7)
 *   MIXED    value, positions of all threads as in OUT (R10)
 *   SIGNAL   what was delivered (hooks/threads/signal.c), signed: what was left of the wait it
 *            ended (R19)
 *   WIDE     LOAD of 16 bytes: low half, high half, writer + 1, writer's position
 *   EFFECT   digests as in OUT (R18)
 *
 * Deltas refer to a `struct codec`, zeroed at every snapshot barrier and at go-live, on both
 * sides: a log can be read from any such point without what lies before it. (codec.position is
 * then set to the position at which the new segment starts.)
 */
#ifndef PALISADE_CORE_RECORD_H
#define PALISADE_CORE_RECORD_H

#include "types.h"

#define RECORD_VALUE_MAX_BYTES 1024u /* longest BYTES payload */
#define RECORD_RANGES_MAX 64u        /* longest RECEIVE: this many ranges of ids */
#define RECORD_MAX_BYTES 2048u       /* no record is longer; room a writer asks for */
#define RECORD_CLOCKS 16u

enum record_kind {
    RECORD_ORDER = 1,
    RECORD_FAIL,
    RECORD_NUMBER,
    RECORD_BYTES,
    RECORD_CLOCK,
    RECORD_RECEIVE,
    RECORD_OUT,
    RECORD_LOAD,
    RECORD_READ,
    RECORD_WRITE,
    RECORD_MIXED,
    RECORD_SIGNAL,
    RECORD_WIDE,
    RECORD_EFFECT,
    RECORD_KINDS
};

struct id_range {
    packet_id first;
    uint32_t count; /* at least 1 */
};

/* The context both sides keep to code deltas. */
struct codec {
    position position; /* of the last record */
    packet_id next_id; /* one past the last received id */
    int64_t clock_ns[RECORD_CLOCKS];
    struct positions vor;
};

/* What an output is compared by (G6): the thread's way up to it, and its bytes. */
struct digests {
    uint32_t path;
    uint32_t sent;
};

struct record {
    enum record_kind kind;
    position position;
    uint64_t sequence;       /* ORDER, FAIL, READ, WRITE */
    uint64_t reads;          /* WRITE */
    int64_t number;          /* NUMBER; CLOCK: the absolute nanoseconds; SIGNAL: left of a wait */
    uint32_t slot;           /* CLOCK: slot; RECEIVE: queue */
    uint32_t count;          /* OUT: packets; RECEIVE: ranges; BYTES: length; SIGNAL: what */
    uint64_t value;          /* LOAD, MIXED; WIDE: low half */
    uint64_t high;           /* WIDE */
    uint32_t writer;         /* LOAD, WIDE: thread or NO_THREAD */
    position written;        /* LOAD, WIDE: the writer's position */
    struct positions vector; /* OUT, MIXED */
    struct digests digests;  /* OUT, EFFECT */
    struct id_range ranges[RECORD_RANGES_MAX];
    const uint8_t *bytes; /* BYTES: points into the decoded stream */
};

/* Starts a new segment at `start`: everything zero but the position. */
void codec_reset(struct codec *codec, position start);

/*
 * Encoders. Each writes one record for the event at `at` (greater than codec->position) to
 * `out`, which has room for RECORD_MAX_BYTES, updates the codec and returns the bytes written.
 * One thread at a time for one codec. The inline ones are defined in record_hot.h.
 */
static inline uint32_t record_order(struct codec *codec, uint8_t *out, position at,
                                    uint64_t sequence);
uint32_t record_fail(struct codec *codec, uint8_t *out, position at, uint64_t sequence);
uint32_t record_number(struct codec *codec, uint8_t *out, position at, int64_t value);
uint32_t record_bytes(struct codec *codec, uint8_t *out, position at, const void *bytes,
                      uint32_t length);
static inline uint32_t record_clock(struct codec *codec, uint8_t *out, position at, uint32_t slot,
                                    int64_t ns);
static inline uint32_t record_receive(struct codec *codec, uint8_t *out, position at,
                                      uint32_t queue, const struct id_range *ranges,
                                      uint32_t count);
static inline uint32_t record_out(struct codec *codec, uint8_t *out, position at, uint32_t packets,
                                  const struct positions *vor, struct digests digests);
uint32_t record_load(struct codec *codec, uint8_t *out, position at, uint64_t value,
                     uint32_t writer, position written);
uint32_t record_read(struct codec *codec, uint8_t *out, position at, uint64_t sequence);
uint32_t record_write(struct codec *codec, uint8_t *out, position at, uint64_t sequence,
                      uint64_t reads);
uint32_t record_mixed(struct codec *codec, uint8_t *out, position at, uint64_t value,
                      const struct positions *dependency);
uint32_t record_signal(struct codec *codec, uint8_t *out, position at, uint32_t what, int64_t left);
uint32_t record_wide(struct codec *codec, uint8_t *out, position at, uint64_t low, uint64_t high,
                     uint32_t writer, position written);
uint32_t record_effect(struct codec *codec, uint8_t *out, position at, struct digests digests);

/*
 * Decodes the record at [bytes, bytes + length). Returns the bytes it took, 0 when the stream
 * ends inside the record (the codec is untouched), -EBADMSG when it is malformed: unknown kind,
 * a bound above exceeded, an overlong varint. Never reads outside the range.
 */
int record_decode(struct codec *codec, const uint8_t *bytes, size_t length, struct record *out);

const char *record_kind_name(enum record_kind kind);

#include "record_hot.h"

#endif
