/*
 * One thread's log as the output logger stores it: the bytes since the base, cut into segments
 * where the codec was reset, parsed as they arrive.
 *
 * Invariants: segments[0] = {0, position of the base}; segments ascend in start
 * and do not descend in offset;
 * `parsed` is a record boundary; bytes beyond it are the beginning of one record.
 */
#ifndef PALISADE_CORE_STORED_LOG_H
#define PALISADE_CORE_STORED_LOG_H

#include "event.h"

#define STORED_SEGMENTS_MAX 64u /* as message_stored_log carries */

struct stored_log {
    uint8_t *bytes;
    size_t length, capacity;
    struct log_segment segments[STORED_SEGMENTS_MAX];
    size_t segment_count;
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

/* Is there a segment at `start` (or nothing beyond it), so that all before it can be dropped? */
bool stored_log_can_drop(const struct stored_log *log, position start);
/* Drops what lies before the segment at `start`, the new base. */
void stored_log_drop(struct stored_log *log, position start);

/* Counts the packets of OUT records up to `cut`; *offset is the first record beyond. -EBADMSG. */
int stored_log_find(const struct stored_log *log, position cut, size_t *offset, uint64_t *packets);
/* Deletes from `offset` on, R := cut; the next chunk starts a segment there (R12). */
void stored_log_cut(struct stored_log *log, position cut, size_t offset);

#endif
