#include "stored_log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "assert.h"

#define STORED_FIRST_BYTES 4096u
#define STORED_KEPT_BYTES 65536u

void stored_log_init(struct stored_log *log)
{
    *log = (struct stored_log){.reset_due = true};
    codec_reset(&log->codec, 0);
    codec_reset(&log->base_codec, 0);
}

void stored_log_free(struct stored_log *log)
{
    free(log->bytes);
    free(log->checkpoints);
    log->bytes = NULL;
    log->checkpoints = NULL;
}

void stored_log_begin(struct stored_log *log, position start)
{
    ASSERT(log->length == 0 && log->received == 0 && log->reset_due);
    log->base = log->received = start;
    codec_reset(&log->codec, start);
    codec_reset(&log->base_codec, start);
}

static int grow(struct stored_log *log, size_t length)
{
    size_t capacity = log->capacity ? log->capacity : STORED_FIRST_BYTES;

    while (capacity < length)
        capacity *= 2;
    if (capacity == log->capacity)
        return 0;
    uint8_t *bytes = realloc(log->bytes, capacity);
    if (bytes == NULL)
        return -ENOSPC;
    log->bytes = bytes;
    log->capacity = capacity;
    return 0;
}

/* After a peak the memory is given back: a bound on what is stored bounds what is allocated. */
static void shrink(struct stored_log *log)
{
    size_t capacity = log->capacity;

    while (capacity > STORED_KEPT_BYTES && capacity / 4 > log->length)
        capacity /= 2;
    if (capacity == log->capacity)
        return;
    uint8_t *bytes = realloc(log->bytes, capacity);
    if (bytes == NULL)
        return;
    log->bytes = bytes;
    log->capacity = capacity;
}

/*
 * A segment begins at the end of what is stored. Several may lie at one offset (barriers with
 * only predicted events between them): each may become the base.
 */
static int start_segment(struct stored_log *log, position start)
{
    const struct log_segment *last =
        log->segment_count ? &log->segments[log->segment_count - 1] : NULL;

    if (log->parsed != log->length || log->codec.position > start)
        return -EBADMSG;
    if (last == NULL || last->offset != log->length || last->start != start) {
        if (log->segment_count == STORED_SEGMENTS_MAX)
            return -ENOSPC;
        log->segments[log->segment_count++] =
            (struct log_segment){.offset = log->length, .start = start};
    }
    codec_reset(&log->codec, start);
    log->reset_due = false;
    return 0;
}

/* No memory for one costs time only: the search begins at an earlier one. */
static void checkpoint(struct stored_log *log)
{
    size_t last =
        log->checkpoint_count ? log->checkpoints[log->checkpoint_count - 1].offset : (size_t)0;

    if (log->parsed - last < STORED_CHECKPOINT_BYTES)
        return;
    if (log->checkpoint_count == log->checkpoint_room) {
        size_t room = log->checkpoint_room ? 2 * log->checkpoint_room : 4;
        struct stored_checkpoint *more = realloc(log->checkpoints, room * sizeof *more);
        if (more == NULL)
            return;
        log->checkpoints = more;
        log->checkpoint_room = room;
    }
    log->checkpoints[log->checkpoint_count++] = (struct stored_checkpoint){
        .offset = log->parsed, .packets = log->packets, .codec = log->codec};
}

static int parse(struct stored_log *log, stored_log_record *handler, void *context)
{
    struct record record;

    while (log->parsed < log->length) {
        int taken = record_decode(&log->codec, log->bytes + log->parsed, log->length - log->parsed,
                                  &record);
        if (taken == 0)
            return 0;
        if (taken < 0)
            return -EBADMSG;
        log->parsed += (size_t)taken;
        if (record.kind == RECORD_OUT)
            log->packets += record.count;
        checkpoint(log);
        int error = handler(context, &record, taken);
        if (error < 0)
            return error;
    }
    return 0;
}

int stored_log_append(struct stored_log *log, const struct log_chunk *chunk, const uint8_t *bytes,
                      stored_log_record *handler, void *context)
{
    if (log->broken || chunk->from != log->received || chunk->to < chunk->from ||
        (log->reset_due && !chunk->reset))
        return -EBADMSG;
    if (grow(log, log->length + chunk->length) < 0)
        return -ENOSPC;
    if (chunk->reset) {
        int error = start_segment(log, chunk->from);
        if (error < 0) {
            log->broken = error == -EBADMSG;
            return error;
        }
    }
    if (chunk->length > 0)
        memcpy(log->bytes + log->length, bytes, chunk->length);
    log->length += chunk->length;
    int error = parse(log, handler, context);
    /* `to` above `from` ends a take: the bytes so far hold every record up to it, whole. */
    if (error == 0 && chunk->to > chunk->from && log->parsed != log->length)
        error = -EBADMSG;
    if (error < 0) {
        log->length = log->parsed;
        log->broken = true;
        return error;
    }
    log->received = chunk->to;
    return 0;
}

/* The place of `cut`: first record beyond, packets before, ever, and the codec there. */
struct place {
    size_t offset;
    uint64_t packets;
    struct codec codec;
};

static int find(const struct stored_log *log, position cut, struct place *place)
{
    struct record record;
    size_t segment = 0, nearest = log->checkpoint_count;

    while (nearest > 0 && log->checkpoints[nearest - 1].codec.position > cut)
        nearest--;
    if (nearest > 0) {
        const struct stored_checkpoint *from = &log->checkpoints[nearest - 1];
        *place = (struct place){from->offset, from->packets, from->codec};
    } else {
        *place = (struct place){0, log->base_packets, log->base_codec};
    }
    while (segment < log->segment_count && log->segments[segment].offset < place->offset)
        segment++;
    for (;;) {
        for (; segment < log->segment_count && log->segments[segment].offset == place->offset &&
               log->segments[segment].start <= cut;
             segment++)
            codec_reset(&place->codec, log->segments[segment].start);
        if (place->offset == log->parsed ||
            (segment < log->segment_count && log->segments[segment].offset == place->offset))
            return 0;
        struct codec codec = place->codec;
        int taken =
            record_decode(&codec, log->bytes + place->offset, log->parsed - place->offset, &record);
        if (taken <= 0)
            return -EBADMSG; /* it was parsed once before */
        if (record.position > cut)
            return 0;
        place->codec = codec;
        if (record.kind == RECORD_OUT)
            place->packets += record.count;
        place->offset += (size_t)taken;
    }
}

static bool begins_segment(const struct stored_log *log, position start)
{
    for (size_t i = 0; i < log->segment_count; i++)
        if (log->segments[i].start == start)
            return true;
    return log->received == start;
}

bool stored_log_can_drop(const struct stored_log *log, position base, bool barrier)
{
    struct place place;

    if (barrier && !begins_segment(log, base))
        return false;
    return base >= log->base && base <= log->received && find(log, base, &place) == 0;
}

static void drop_checkpoints(struct stored_log *log, size_t offset)
{
    size_t kept = 0;

    for (size_t i = 0; i < log->checkpoint_count; i++) {
        if (log->checkpoints[i].offset <= offset)
            continue;
        log->checkpoints[kept] = log->checkpoints[i];
        log->checkpoints[kept++].offset -= offset;
    }
    log->checkpoint_count = kept;
}

void stored_log_drop(struct stored_log *log, position base, bool barrier)
{
    struct place place;
    int error = find(log, base, &place);

    ASSERT(error == 0 && base >= log->base && base <= log->received);
    size_t offset = place.offset, kept = 0;
    if (log->length > offset)
        memmove(log->bytes, log->bytes + offset, log->length - offset);
    log->length -= offset;
    log->parsed -= offset;
    log->dropped += offset;
    log->base = base;
    log->base_codec = place.codec;
    log->base_packets = place.packets;
    shrink(log);
    for (size_t i = 0; i < log->segment_count; i++) {
        struct log_segment segment = log->segments[i];
        if (segment.offset < offset || segment.start < base)
            continue;
        segment.offset -= offset;
        log->segments[kept++] = segment;
    }
    log->segment_count = kept;
    log->reset_due |= barrier && kept == 0;
    drop_checkpoints(log, offset);
}

position stored_log_reached(const struct stored_log *log, size_t offset)
{
    size_t first = 0, beyond = log->checkpoint_count; /* the first one behind `offset` */

    if (offset == log->length)
        return log->received;
    while (first < beyond) {
        size_t middle = (first + beyond) / 2;
        if (log->checkpoints[middle].offset <= offset)
            first = middle + 1;
        else
            beyond = middle;
    }
    if (beyond == 0)
        return log->base;
    position reached = log->checkpoints[beyond - 1].codec.position;
    return reached < log->received ? reached : log->received;
}

int stored_log_find(const struct stored_log *log, position cut, size_t *offset, uint64_t *packets)
{
    struct place place;
    int error = find(log, cut, &place);

    *offset = place.offset;
    *packets = place.packets - log->base_packets;
    return error;
}

void stored_log_cut(struct stored_log *log, position cut, size_t offset)
{
    ASSERT(offset <= log->parsed && cut <= log->received && cut >= log->base);
    struct place place;
    int error = find(log, cut, &place);
    ASSERT(error == 0 && place.offset == offset);
    log->length = log->parsed = offset;
    log->packets = place.packets;
    while (log->segment_count > 0 && (log->segments[log->segment_count - 1].offset > offset ||
                                      log->segments[log->segment_count - 1].start > cut))
        log->segment_count--;
    while (log->checkpoint_count > 0 && log->checkpoints[log->checkpoint_count - 1].offset > offset)
        log->checkpoint_count--;
    codec_reset(&log->codec, cut); /* nothing later than the cut precedes the next segment */
    log->received = cut;
    log->reset_due = true;
    log->broken = false;
}
