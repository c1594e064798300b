#include "stored_log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "assert.h"

#define STORED_FIRST_BYTES 4096u
#define STORED_KEPT_BYTES 65536u

void stored_log_init(struct stored_log *log)
{
    *log = (struct stored_log){.segment_count = 1, .reset_due = true};
    codec_reset(&log->codec, 0);
}

void stored_log_free(struct stored_log *log)
{
    free(log->bytes);
    log->bytes = NULL;
}

void stored_log_begin(struct stored_log *log, position start)
{
    ASSERT(log->length == 0 && log->received == 0 && log->reset_due);
    log->segments[0].start = log->received = start;
    codec_reset(&log->codec, start);
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
    struct log_segment *last = &log->segments[log->segment_count - 1];

    if (log->parsed != log->length || log->codec.position > start)
        return -EBADMSG;
    if (last->offset != log->length || last->start != start) {
        if (log->segment_count == STORED_SEGMENTS_MAX)
            return -ENOSPC;
        log->segments[log->segment_count++] =
            (struct log_segment){.offset = log->length, .start = start};
    }
    codec_reset(&log->codec, start);
    log->reset_due = false;
    return 0;
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

static size_t find_segment(const struct stored_log *log, position start)
{
    size_t i = log->segment_count;

    while (i > 0 && log->segments[i - 1].start != start)
        i--;
    return i; /* index + 1; 0: none */
}

bool stored_log_can_drop(const struct stored_log *log, position start)
{
    return find_segment(log, start) > 0 || log->received == start;
}

void stored_log_drop(struct stored_log *log, position start)
{
    size_t found = find_segment(log, start);
    size_t first = found > 0 ? found - 1 : log->segment_count;
    size_t offset = found > 0 ? log->segments[first].offset : log->length;

    ASSERT(found > 0 || log->received == start);
    ASSERT(offset <= log->parsed);
    if (log->length > offset)
        memmove(log->bytes, log->bytes + offset, log->length - offset);
    log->length -= offset;
    log->parsed -= offset;
    shrink(log);
    size_t kept = 0;
    for (size_t i = first; i < log->segment_count; i++) {
        log->segments[kept] = log->segments[i];
        log->segments[kept++].offset -= offset;
    }
    if (kept == 0) {
        log->segments[kept++] = (struct log_segment){.offset = 0, .start = start};
        log->reset_due = true;
    }
    log->segment_count = kept;
    ASSERT(log->segments[0].offset == 0 && log->segments[0].start == start);
}

int stored_log_find(const struct stored_log *log, position cut, size_t *offset, uint64_t *packets)
{
    struct codec codec;
    struct record record;
    size_t at = 0, segment = 0;

    *packets = 0;
    codec_reset(&codec, log->segments[0].start);
    for (;;) {
        while (segment < log->segment_count && log->segments[segment].offset == at)
            codec_reset(&codec, log->segments[segment++].start);
        if (at == log->parsed)
            break;
        int taken = record_decode(&codec, log->bytes + at, log->parsed - at, &record);
        if (taken <= 0)
            return -EBADMSG; /* it was parsed once before */
        if (record.position > cut)
            break;
        if (record.kind == RECORD_OUT)
            *packets += record.count;
        at += (size_t)taken;
    }
    *offset = at;
    return 0;
}

void stored_log_cut(struct stored_log *log, position cut, size_t offset)
{
    ASSERT(offset <= log->parsed && cut <= log->received && cut >= log->segments[0].start);
    log->length = log->parsed = offset;
    while (log->segment_count > 1 && (log->segments[log->segment_count - 1].offset > offset ||
                                      log->segments[log->segment_count - 1].start > cut))
        log->segment_count--;
    codec_reset(&log->codec, cut); /* nothing later than the cut precedes the next segment */
    log->received = cut;
    log->reset_due = true;
    log->broken = false;
}
