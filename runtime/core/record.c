/* See record.h; byte layout in docs/protocol.md, "Log". */
#include "core/record.h"

#include <errno.h>
#include <string.h>

#include "core/assert.h"
#include "core/varint.h"

#define SKIP_ESCAPE 15u

void codec_reset(struct codec *codec, position start)
{
    memset(codec, 0, sizeof *codec);
    codec->position = start;
}

/* ---- encoding ---- */

static uint8_t *head(struct codec *codec, uint8_t *out, position at, enum record_kind kind)
{
    DEBUG_ASSERT(at > codec->position);
    uint64_t skip = at - codec->position - 1;
    codec->position = at;
    if (skip < SKIP_ESCAPE) {
        *out++ = (uint8_t)(kind | skip << 4);
        return out;
    }
    *out++ = (uint8_t)(kind | SKIP_ESCAPE << 4);
    return varint_write(out, skip - SKIP_ESCAPE);
}

static uint32_t one(struct codec *codec, uint8_t *out, position at, enum record_kind kind,
                    uint64_t value)
{
    return (uint32_t)(varint_write(head(codec, out, at, kind), value) - out);
}

uint32_t record_order(struct codec *codec, uint8_t *out, position at, uint64_t sequence)
{
    return one(codec, out, at, RECORD_ORDER, sequence);
}

uint32_t record_fail(struct codec *codec, uint8_t *out, position at, uint64_t sequence)
{
    return one(codec, out, at, RECORD_FAIL, sequence);
}

uint32_t record_number(struct codec *codec, uint8_t *out, position at, int64_t value)
{
    return one(codec, out, at, RECORD_NUMBER, zigzag(value));
}

uint32_t record_read(struct codec *codec, uint8_t *out, position at, uint64_t sequence)
{
    return one(codec, out, at, RECORD_READ, sequence);
}

uint32_t record_write(struct codec *codec, uint8_t *out, position at, uint64_t sequence,
                      uint64_t reads)
{
    uint8_t *end = varint_write(head(codec, out, at, RECORD_WRITE), sequence);
    return (uint32_t)(varint_write(end, reads) - out);
}

uint32_t record_bytes(struct codec *codec, uint8_t *out, position at, const void *bytes,
                      uint32_t length)
{
    ASSERT(length <= RECORD_VALUE_MAX_BYTES);
    uint8_t *end = varint_write(head(codec, out, at, RECORD_BYTES), length);
    memcpy(end, bytes, length);
    return (uint32_t)(end + length - out);
}

uint32_t record_clock(struct codec *codec, uint8_t *out, position at, uint32_t slot, int64_t ns)
{
    ASSERT(slot < RECORD_CLOCKS);
    uint8_t *end = head(codec, out, at, RECORD_CLOCK);
    *end++ = (uint8_t)slot;
    end = varint_write(end, zigzag((int64_t)((uint64_t)ns - (uint64_t)codec->clock_ns[slot])));
    codec->clock_ns[slot] = ns;
    return (uint32_t)(end - out);
}

uint32_t record_receive(struct codec *codec, uint8_t *out, position at, uint32_t queue,
                        const struct id_range *ranges, uint32_t count)
{
    ASSERT(count >= 1 && count <= RECORD_RANGES_MAX);
    uint8_t *end = varint_write(head(codec, out, at, RECORD_RECEIVE), queue);
    end = varint_write(end, count);
    for (uint32_t i = 0; i < count; i++) {
        DEBUG_ASSERT(ranges[i].count >= 1);
        end = varint_write(end, zigzag((int64_t)(ranges[i].first - codec->next_id)));
        end = varint_write(end, ranges[i].count);
        codec->next_id = ranges[i].first + ranges[i].count;
    }
    return (uint32_t)(end - out);
}

static uint8_t *vector(struct codec *codec, uint8_t *end, const struct positions *positions)
{
    ASSERT(positions->threads <= THREADS_MAX);
    end = varint_write(end, positions->threads);
    for (uint32_t t = 0; t < positions->threads; t++) {
        end = varint_write(end, zigzag((int64_t)(positions->at[t] - codec->vor.at[t])));
        codec->vor.at[t] = positions->at[t];
    }
    return end;
}

uint32_t record_out(struct codec *codec, uint8_t *out, position at, uint32_t packets,
                    const struct positions *vor)
{
    uint8_t *end = varint_write(head(codec, out, at, RECORD_OUT), packets);
    return (uint32_t)(vector(codec, end, vor) - out);
}

uint32_t record_load(struct codec *codec, uint8_t *out, position at, uint64_t value,
                     uint32_t writer, position written)
{
    uint8_t *end = varint_write(head(codec, out, at, RECORD_LOAD), value);
    end = varint_write(end, writer == NO_THREAD ? 0 : writer + 1ull);
    return (uint32_t)(varint_write(end, written) - out);
}

uint32_t record_mixed(struct codec *codec, uint8_t *out, position at, uint64_t value,
                      const struct positions *dependency)
{
    uint8_t *end = varint_write(head(codec, out, at, RECORD_MIXED), value);
    return (uint32_t)(vector(codec, end, dependency) - out);
}

/* ---- decoding ---- */

static void read_vector(struct codec *codec, struct varint_reader *reader, struct record *out)
{
    uint64_t threads = varint_read(reader);
    if (threads > THREADS_MAX) {
        reader->bad = 1;
        return;
    }
    out->vector.threads = (uint32_t)threads;
    for (uint32_t t = 0; t < threads; t++) {
        codec->vor.at[t] += (uint64_t)unzigzag(varint_read(reader));
        out->vector.at[t] = codec->vor.at[t];
    }
}

static void read_receive(struct codec *codec, struct varint_reader *reader, struct record *out)
{
    uint64_t queue = varint_read(reader), count = varint_read(reader);
    if (reader->at && (queue > UINT32_MAX || count < 1 || count > RECORD_RANGES_MAX)) {
        reader->bad = 1;
        return;
    }
    out->slot = (uint32_t)queue;
    out->count = (uint32_t)count;
    for (uint32_t i = 0; i < count && reader->at; i++) {
        out->ranges[i].first = codec->next_id + (uint64_t)unzigzag(varint_read(reader));
        uint64_t length = varint_read(reader);
        if (reader->at && (length < 1 || length > UINT32_MAX))
            reader->bad = 1;
        out->ranges[i].count = (uint32_t)length;
        codec->next_id = out->ranges[i].first + length;
    }
}

static void read_bytes(struct varint_reader *reader, struct record *out)
{
    uint64_t length = varint_read(reader);
    if (length > RECORD_VALUE_MAX_BYTES) {
        reader->bad = 1;
    } else if (reader->at) {
        out->count = (uint32_t)length;
        out->bytes = reader->at;
        reader->at = (size_t)(reader->end - reader->at) < length ? NULL : reader->at + length;
    }
}

static void read_clock(struct codec *codec, struct varint_reader *reader, struct record *out)
{
    uint64_t slot = varint_read(reader);
    if (slot >= RECORD_CLOCKS) {
        reader->bad = 1;
        return;
    }
    codec->clock_ns[slot] =
        (int64_t)((uint64_t)codec->clock_ns[slot] + (uint64_t)unzigzag(varint_read(reader)));
    out->slot = (uint32_t)slot;
    out->number = codec->clock_ns[slot];
}

static void read_load(struct varint_reader *reader, struct record *out)
{
    out->value = varint_read(reader);
    uint64_t writer = varint_read(reader);
    if (writer > THREADS_MAX)
        reader->bad = 1;
    out->writer = writer ? (uint32_t)writer - 1 : NO_THREAD;
    out->written = varint_read(reader);
}

static void read_body(struct codec *codec, struct varint_reader *reader, struct record *out)
{
    switch (out->kind) {
    case RECORD_ORDER:
    case RECORD_FAIL:
    case RECORD_READ:
        out->sequence = varint_read(reader);
        break;
    case RECORD_WRITE:
        out->sequence = varint_read(reader);
        out->reads = varint_read(reader);
        break;
    case RECORD_NUMBER:
        out->number = unzigzag(varint_read(reader));
        break;
    case RECORD_BYTES:
        read_bytes(reader, out);
        break;
    case RECORD_CLOCK:
        read_clock(codec, reader, out);
        break;
    case RECORD_RECEIVE:
        read_receive(codec, reader, out);
        break;
    case RECORD_OUT: {
        uint64_t packets = varint_read(reader);
        if (packets > UINT32_MAX)
            reader->bad = 1;
        out->count = (uint32_t)packets;
        read_vector(codec, reader, out);
        break;
    }
    case RECORD_LOAD:
        read_load(reader, out);
        break;
    case RECORD_MIXED:
        out->value = varint_read(reader);
        read_vector(codec, reader, out);
        break;
    case RECORD_KINDS:
        break;
    }
}

int record_decode(struct codec *codec, const uint8_t *bytes, size_t length, struct record *out)
{
    if (length == 0)
        return 0;
    struct varint_reader reader = {.at = bytes + 1, .end = bytes + length};
    struct codec ahead = *codec; /* the caller's stays as it is unless all is well */
    out->kind = (enum record_kind)(bytes[0] & 15);
    if (out->kind == 0 || out->kind >= RECORD_KINDS)
        return -EBADMSG;
    uint64_t skip = bytes[0] >> 4;
    if (skip == SKIP_ESCAPE)
        skip += varint_read(&reader);
    ahead.position += skip + 1;
    out->position = ahead.position;
    if (reader.at)
        read_body(&ahead, &reader, out);
    if (reader.bad)
        return -EBADMSG;
    if (reader.at == NULL) /* cut inside a record; or one that could never be whole */
        return length >= RECORD_MAX_BYTES ? -EBADMSG : 0;
    if (reader.at - bytes > RECORD_MAX_BYTES)
        return -EBADMSG;
    *codec = ahead;
    return (int)(reader.at - bytes);
}

const char *record_kind_name(enum record_kind kind)
{
    static const char *const names[RECORD_KINDS] = {
        [RECORD_ORDER] = "order", [RECORD_FAIL] = "fail",       [RECORD_NUMBER] = "number",
        [RECORD_BYTES] = "bytes", [RECORD_CLOCK] = "clock",     [RECORD_RECEIVE] = "receive",
        [RECORD_OUT] = "out",     [RECORD_LOAD] = "load",       [RECORD_READ] = "read",
        [RECORD_WRITE] = "write", [RECORD_MIXED] = "mixed",
    };
    return kind < RECORD_KINDS && names[kind] ? names[kind] : "unknown";
}
