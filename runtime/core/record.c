#include "record.h"

#include <errno.h>
#include <string.h>

void codec_reset(struct codec *codec, position start)
{
    memset(codec, 0, sizeof *codec);
    codec->position = start;
}

/* ---- encoders off the fast path ---- */

uint32_t record_fail(struct codec *codec, uint8_t *out, position at, uint64_t sequence)
{
    uint8_t *end = record_head(codec, out, RECORD_FAIL, at);
    return (uint32_t)(varint_write(end, sequence) - out);
}

uint32_t record_number(struct codec *codec, uint8_t *out, position at, int64_t value)
{
    uint8_t *end = record_head(codec, out, RECORD_NUMBER, at);
    return (uint32_t)(varint_write(end, zigzag(value)) - out);
}

uint32_t record_bytes(struct codec *codec, uint8_t *out, position at, const void *bytes,
                      uint32_t length)
{
    ASSERT(length <= RECORD_VALUE_MAX_BYTES);
    uint8_t *end = record_head(codec, out, RECORD_BYTES, at);
    end = varint_write(end, length);
    if (length > 0)
        memcpy(end, bytes, length);
    return (uint32_t)(end + length - out);
}

uint32_t record_load(struct codec *codec, uint8_t *out, position at, uint64_t value,
                     uint32_t writer, position written)
{
    ASSERT(writer == NO_THREAD || writer < THREADS_MAX);
    uint8_t *end = record_head(codec, out, RECORD_LOAD, at);
    end = varint_write(end, value);
    end = varint_write(end, writer == NO_THREAD ? 0 : writer + 1);
    return (uint32_t)(varint_write(end, written) - out);
}

uint32_t record_wide(struct codec *codec, uint8_t *out, position at, uint64_t low, uint64_t high,
                     uint32_t writer, position written)
{
    uint8_t *end = record_head(codec, out, RECORD_WIDE, at);
    end = varint_write(varint_write(end, low), high);
    end = varint_write(end, writer == NO_THREAD ? 0 : writer + 1);
    return (uint32_t)(varint_write(end, written) - out);
}

uint32_t record_read(struct codec *codec, uint8_t *out, position at, uint64_t sequence)
{
    uint8_t *end = record_head(codec, out, RECORD_READ, at);
    return (uint32_t)(varint_write(end, sequence) - out);
}

uint32_t record_write(struct codec *codec, uint8_t *out, position at, uint64_t sequence,
                      uint64_t reads)
{
    uint8_t *end = record_head(codec, out, RECORD_WRITE, at);
    end = varint_write(end, sequence);
    return (uint32_t)(varint_write(end, reads) - out);
}

uint32_t record_mixed(struct codec *codec, uint8_t *out, position at, uint64_t value,
                      const struct positions *dependency)
{
    uint8_t *end = record_head(codec, out, RECORD_MIXED, at);
    end = varint_write(end, value);
    return (uint32_t)(record_vector(codec, end, dependency) - out);
}

uint32_t record_signal(struct codec *codec, uint8_t *out, position at, uint32_t what, int64_t left)
{
    uint8_t *end = record_head(codec, out, RECORD_SIGNAL, at);
    end = varint_write(end, what);
    return (uint32_t)(varint_write(end, zigzag(left)) - out);
}

uint32_t record_effect(struct codec *codec, uint8_t *out, position at, struct digests digests)
{
    uint8_t *end = record_head(codec, out, RECORD_EFFECT, at);
    return (uint32_t)(record_digests(end, digests) - out);
}

/* ---- decoder ---- */

/* Reads on; the first trouble sticks and every later read yields 0. */
struct scan {
    const uint8_t *at;
    const uint8_t *end;
    int trouble; /* 0 none, 1 the stream ends here, -EBADMSG malformed */
};

static uint64_t scan_fail(struct scan *scan, int trouble)
{
    if (scan->trouble == 0)
        scan->trouble = trouble;
    return 0;
}

static uint64_t scan_varint(struct scan *scan)
{
    uint64_t value = 0;
    if (scan->trouble != 0)
        return 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (scan->at == scan->end)
            return scan_fail(scan, 1);
        uint8_t byte = *scan->at++;
        if (shift == 63 && byte > 1)
            return scan_fail(scan, -EBADMSG);
        if (shift > 0 && byte == 0)
            return scan_fail(scan, -EBADMSG); /* overlong: a shorter form exists */
        value |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80)
            return value;
    }
    return scan_fail(scan, -EBADMSG);
}

static uint64_t scan_bounded(struct scan *scan, uint64_t least, uint64_t most)
{
    uint64_t value = scan_varint(scan);
    if (scan->trouble == 0 && (value < least || value > most))
        return scan_fail(scan, -EBADMSG);
    return value;
}

static int64_t scan_signed(struct scan *scan)
{
    uint64_t coded = scan_varint(scan);
    return (int64_t)((coded >> 1) ^ (0 - (coded & 1)));
}

static void scan_vector(struct scan *scan, const struct codec *codec, struct positions *vector)
{
    uint32_t threads = (uint32_t)scan_bounded(scan, 0, THREADS_MAX);
    vector->threads = threads;
    for (uint32_t t = 0; t < threads && scan->trouble == 0; t++)
        vector->at[t] = codec->vor.at[t] + scan_varint(scan);
}

/* Returns the id after the last range. */
static packet_id scan_ranges(struct scan *scan, packet_id next, struct record *out)
{
    out->slot = (uint32_t)scan_bounded(scan, 0, UINT32_MAX);
    out->count = (uint32_t)scan_bounded(scan, 1, RECORD_RANGES_MAX);
    for (uint32_t i = 0; i < out->count && scan->trouble == 0; i++) {
        struct id_range *range = &out->ranges[i];
        range->first = next + (uint64_t)scan_signed(scan);
        range->count = (uint32_t)scan_bounded(scan, 1, UINT32_MAX);
        if (__builtin_add_overflow(range->first, range->count, &next))
            scan_fail(scan, -EBADMSG);
    }
    return next;
}

static void scan_bytes(struct scan *scan, struct record *out)
{
    out->count = (uint32_t)scan_bounded(scan, 0, RECORD_VALUE_MAX_BYTES);
    if (scan->trouble != 0)
        return;
    if ((size_t)(scan->end - scan->at) < out->count) {
        scan_fail(scan, 1);
        return;
    }
    out->bytes = scan->at;
    scan->at += out->count;
}

static void scan_digests(struct scan *scan, struct digests *digests)
{
    if (scan->trouble != 0)
        return;
    if (scan->end - scan->at < 8) {
        scan_fail(scan, 1);
        return;
    }
    *digests = (struct digests){get_le32(scan->at), get_le32(scan->at + 4)};
    scan->at += 8;
}

static void scan_body(struct scan *scan, const struct codec *codec, struct record *out,
                      packet_id *next_id)
{
    switch (out->kind) {
    case RECORD_ORDER:
    case RECORD_FAIL:
    case RECORD_READ:
        out->sequence = scan_varint(scan);
        break;
    case RECORD_WRITE:
        out->sequence = scan_varint(scan);
        out->reads = scan_varint(scan);
        break;
    case RECORD_NUMBER:
        out->number = scan_signed(scan);
        break;
    case RECORD_BYTES:
        scan_bytes(scan, out);
        break;
    case RECORD_CLOCK:
        out->slot = (uint32_t)scan_bounded(scan, 0, RECORD_CLOCKS - 1);
        out->number = (int64_t)((uint64_t)codec->clock_ns[out->slot] + (uint64_t)scan_signed(scan));
        break;
    case RECORD_RECEIVE:
        *next_id = scan_ranges(scan, codec->next_id, out);
        break;
    case RECORD_OUT:
        out->count = (uint32_t)scan_bounded(scan, 0, UINT32_MAX);
        scan_vector(scan, codec, &out->vector);
        scan_digests(scan, &out->digests);
        break;
    case RECORD_EFFECT:
        scan_digests(scan, &out->digests);
        break;
    case RECORD_LOAD:
    case RECORD_WIDE:
        out->value = scan_varint(scan);
        if (out->kind == RECORD_WIDE)
            out->high = scan_varint(scan);
        out->writer = (uint32_t)scan_bounded(scan, 0, THREADS_MAX) - 1; /* 0 -> NO_THREAD */
        out->written = scan_varint(scan);
        break;
    case RECORD_MIXED:
        out->value = scan_varint(scan);
        scan_vector(scan, codec, &out->vector);
        break;
    case RECORD_SIGNAL:
        out->count = (uint32_t)scan_bounded(scan, 0, UINT32_MAX);
        out->number = scan_signed(scan);
        break;
    case RECORD_KINDS:
        scan_fail(scan, -EBADMSG);
    }
}

int record_decode(struct codec *codec, const uint8_t *bytes, size_t length, struct record *out)
{
    if (length == 0)
        return 0;
    struct scan scan = {bytes + 1, bytes + length, 0};
    unsigned kind = bytes[0] & ((1u << RECORD_KIND_BITS) - 1);
    uint64_t skip = bytes[0] >> RECORD_KIND_BITS;
    if (kind == 0 || kind >= RECORD_KINDS)
        return -EBADMSG;
    if (skip == RECORD_SKIP_LONG && __builtin_add_overflow(skip, scan_varint(&scan), &skip))
        return -EBADMSG;

    position at;
    packet_id next_id = codec->next_id;
    if (__builtin_add_overflow(codec->position, skip, &at) || at == UINT64_MAX)
        return -EBADMSG;
    out->kind = (enum record_kind)kind;
    out->position = at + 1;
    scan_body(&scan, codec, out, &next_id);
    if (scan.trouble != 0)
        return scan.trouble < 0 ? scan.trouble : 0;

    codec->position = out->position;
    codec->next_id = next_id;
    if (kind == RECORD_CLOCK)
        codec->clock_ns[out->slot] = out->number;
    if (kind == RECORD_OUT || kind == RECORD_MIXED) {
        codec->vor.threads = out->vector.threads;
        memcpy(codec->vor.at, out->vector.at, out->vector.threads * sizeof(position));
    }
    ASSERT(scan.at > bytes && scan.at <= scan.end);
    return (int)(scan.at - bytes);
}

const char *record_kind_name(enum record_kind kind)
{
    static const char *const names[RECORD_KINDS] = {
        [RECORD_ORDER] = "order", [RECORD_FAIL] = "fail",     [RECORD_NUMBER] = "number",
        [RECORD_BYTES] = "bytes", [RECORD_CLOCK] = "clock",   [RECORD_RECEIVE] = "receive",
        [RECORD_OUT] = "out",     [RECORD_LOAD] = "load",     [RECORD_READ] = "read",
        [RECORD_WRITE] = "write", [RECORD_MIXED] = "mixed",   [RECORD_SIGNAL] = "signal",
        [RECORD_WIDE] = "wide",   [RECORD_EFFECT] = "effect",
    };
    return (unsigned)kind < RECORD_KINDS && names[kind] ? names[kind] : "unknown";
}
