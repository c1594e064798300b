/*
 * One thread's log as the output logger stores it: the bytes since the base, cut into segments
 * where the codec was reset, parsed as they arrive.
 *
 * A base may lie at any position: at a barrier of the master, where a segment begins, or where a
 * standby stood when it made its snapshot. The codec there is kept, as that image keeps it too.
 *
 * Invariants: segments ascend in start, from the base on, and do not descend in offset; `parsed` is
 * a record boundary; bytes beyond it are the beginning of one record; checkpoints ascend.
 */
#ifndef PALISADE_CORE_STORED_LOG_H
#define PALISADE_CORE_STORED_LOG_H

#include "event.h"

#ifndef STORED_CHECKPOINT_BYTES /* the simulator has a smaller one */
#define STORED_CHECKPOINT_BYTES 32768u
#endif

/* Where a search may begin: all records before `offset` have positions up to codec.position. */
struct stored_checkpoint {
    size_t offset;
    uint64_t packets; /* of OUT records before, ever */
    struct codec codec;
};

struct stored_log {
    uint8_t *bytes;
    size_t length, capacity;
    uint64_t dropped; /* bytes ever dropped: where bytes[0] lies in the whole stream */
    position base;
    struct codec base_codec;                          /* of bytes[0] */
    uint64_t base_packets;                            /* of OUT records up to the base, ever */
    struct log_segment segments[STORED_SEGMENTS_MAX]; /* offsets from bytes[0] */
    size_t segment_count;
    struct stored_checkpoint *checkpoints;
    size_t checkpoint_count, checkpoint_room;
    uint64_t packets;  /* of OUT records parsed, ever */
    position received; /* R: contiguous */
    bool reset_due;    /* the next chunk has to start a segment: at first and after a cut */
    bool broken;       /* malformed since: nothing more is taken until a cut */
    size_t parsed;
    struct codec codec; /* of the stream at `parsed` */
};

/* Called for every record parsed, in order, with the bytes it took. Negative: refuse the chunk. */
typedef int stored_log_record(void *context, const struct record *record, int bytes);

void stored_log_init(struct stored_log *log);
void stored_log_free(struct stored_log *log);
/* An empty log of a thread whose past nobody here knows: it begins with a segment at `start` (R16).
 */
void stored_log_begin(struct stored_log *log, position start);

/*
 * Appends a chunk and parses what became whole. -EBADMSG: not contiguous, or malformed (the log
 * is broken then); -ENOSPC: no memory, or too many segments (nothing was taken).
 */
int stored_log_append(struct stored_log *log, const struct log_chunk *chunk, const uint8_t *bytes,
                      stored_log_record *handler, void *context);

/*
 * Is `base` within what is stored, so that all before it can be dropped? With `barrier` it has to
 * be where a segment begins, or is to begin.
 */
bool stored_log_can_drop(const struct stored_log *log, position base, bool barrier);
/* Drops what lies before the new base. */
void stored_log_drop(struct stored_log *log, position base, bool barrier);

/* Of what was received: every record at or below lies before `offset`; at most
 * STORED_CHECKPOINT_BYTES and one record short of the last that does. */
position stored_log_reached(const struct stored_log *log, size_t offset);
/*
 * Counts the packets of OUT records from the base up to `cut`; *offset is the first record beyond.
 * -EBADMSG. Costs the decoding of STORED_CHECKPOINT_BYTES at most.
 */
int stored_log_find(const struct stored_log *log, position cut, size_t *offset, uint64_t *packets);
/* Deletes from `offset` on, R := cut; the next chunk starts a segment there (R12). */
void stored_log_cut(struct stored_log *log, position cut, size_t offset);

#endif
