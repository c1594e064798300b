/*
 * Encoding and decoding are one walk over each struct: `cursor` knows the direction, so that the
 * two cannot disagree. The layout is the order of the calls; docs/protocol.md, "Messages".
 *
 * The first trouble sticks in the cursor, later calls do nothing. A bound exceeded is the
 * caller's fault when encoding (-EINVAL) and the peer's when decoding (-EBADMSG).
 */
#include "message.h"

#include <errno.h>
#include <string.h>

#include "bytes.h"

#define LENGTH_BYTES 4u

struct cursor {
    uint8_t *out;      /* encoding: where to; NULL when decoding */
    const uint8_t *in; /* decoding: where from */
    size_t at;
    size_t end;
    int trouble;
};

static bool encoding(const struct cursor *c)
{
    return c->out != NULL;
}

static void fail(struct cursor *c, int error)
{
    if (c->trouble == 0)
        c->trouble = error;
}

static void require(struct cursor *c, bool holds)
{
    if (!holds)
        fail(c, encoding(c) ? -EINVAL : -EBADMSG);
}

/* Claims `length` bytes; false when they are not there. */
static bool claim(struct cursor *c, size_t length, size_t *at)
{
    if (c->trouble == 0 && c->end - c->at < length)
        fail(c, encoding(c) ? -ENOSPC : -EBADMSG);
    if (c->trouble != 0)
        return false;
    *at = c->at;
    c->at += length;
    return true;
}

static void walk_bytes(struct cursor *c, void *bytes, size_t length)
{
    size_t at;
    if (!claim(c, length, &at) || length == 0)
        return;
    if (encoding(c))
        memcpy(c->out + at, bytes, length);
    else
        memcpy(bytes, c->in + at, length);
}

static void walk8(struct cursor *c, uint8_t *value)
{
    walk_bytes(c, value, 1);
}

static void walk16(struct cursor *c, uint16_t *value)
{
    size_t at;
    if (!claim(c, 2, &at))
        return;
    if (encoding(c))
        put16(c->out + at, *value);
    else
        *value = get16(c->in + at);
}

static void walk32(struct cursor *c, uint32_t *value)
{
    size_t at;
    if (!claim(c, 4, &at))
        return;
    if (encoding(c))
        put32(c->out + at, *value);
    else
        *value = get32(c->in + at);
}

static void walk64(struct cursor *c, uint64_t *value)
{
    size_t at;
    if (!claim(c, 8, &at))
        return;
    if (encoding(c))
        put64(c->out + at, *value);
    else
        *value = get64(c->in + at);
}

static void walk_bool(struct cursor *c, bool *value)
{
    uint8_t byte = *value;
    walk8(c, &byte);
    require(c, byte <= 1);
    *value = byte == 1;
}

/* A count of at most `most`; on trouble 0, so that loops over it end. */
static void walk_count(struct cursor *c, uint32_t *count, uint32_t most)
{
    walk32(c, count);
    require(c, *count <= most);
    if (c->trouble != 0 && !encoding(c))
        *count = 0;
}

/* Text of at most room - 1 bytes: u16 length, then the bytes without the closing NUL. */
static void walk_text(struct cursor *c, char *text, size_t room)
{
    uint16_t length = encoding(c) ? (uint16_t)strnlen(text, room) : 0;
    walk16(c, &length);
    require(c, length < room);
    if (c->trouble != 0)
        return;
    walk_bytes(c, text, length);
    if (c->trouble == 0 && !encoding(c)) {
        text[length] = '\0';
        require(c, memchr(text, '\0', length) == NULL);
    }
}

/* Bulk stays where it is: decoding yields a pointer into the input. */
static void walk_blob(struct cursor *c, const uint8_t **bytes, size_t length)
{
    size_t at;
    if (!claim(c, length, &at))
        return;
    if (!encoding(c))
        *bytes = c->in + at;
    else if (length > 0)
        memcpy(c->out + at, *bytes, length);
}

static void walk_positions(struct cursor *c, struct positions *vector)
{
    walk_count(c, &vector->threads, THREADS_MAX);
    for (uint32_t t = 0; t < vector->threads && c->trouble == 0; t++)
        walk64(c, &vector->at[t]);
}

/* One number a thread; trailing zeros do not travel. */
static void walk_counters(struct cursor *c, uint64_t counters[THREADS_MAX])
{
    uint32_t threads = 0;
    for (uint32_t t = 0; encoding(c) && t < THREADS_MAX; t++)
        if (counters[t] != 0)
            threads = t + 1;
    walk_count(c, &threads, THREADS_MAX);
    for (uint32_t t = 0; t < threads && c->trouble == 0; t++)
        walk64(c, &counters[t]);
}

static void walk_mark(struct cursor *c, struct snapshot_mark *mark)
{
    walk64(c, &mark->number);
    walk_positions(c, &mark->positions);
    walk_count(c, &mark->threads, THREADS_MAX);
    walk_counters(c, mark->outputs);
    walk_counters(c, mark->effects);
    walk64(c, &mark->inputs_from);
}

/* ---- bodies ---- */

static void walk_hello(struct cursor *c, struct message_hello *hello)
{
    walk8(c, &hello->role);
    require(c, hello->role == ROLE_MASTER || hello->role == ROLE_BACKUP);
    walk_bytes(c, hello->mac, sizeof hello->mac);
    walk64(c, &hello->claimant);
    walk_text(c, hello->identity, sizeof hello->identity);
}

static void walk_welcome(struct cursor *c, struct message_welcome *welcome)
{
    walk32(c, &welcome->epoch);
    walk32(c, &welcome->session);
    walk64(c, &welcome->incarnation);
    walk_bytes(c, welcome->mac, sizeof welcome->mac);
    walk16(c, &welcome->port_count);
    require(c, welcome->port_count <= PORTS_MAX);
    for (uint16_t i = 0; c->trouble == 0 && i < welcome->port_count; i++) {
        walk_text(c, welcome->ports[i].name, sizeof welcome->ports[i].name);
        walk_bytes(c, welcome->ports[i].mac, sizeof welcome->ports[i].mac);
        walk16(c, &welcome->ports[i].mtu);
    }
}

static void walk_refuse(struct cursor *c, struct message_refuse *refuse)
{
    walk8(c, &refuse->status);
    walk_text(c, refuse->text, sizeof refuse->text);
}

static void walk_reign(struct cursor *c, struct message_reign *reign)
{
    walk64(c, &reign->claimant);
    walk64(c, &reign->first);
}

static void walk_image_begin(struct cursor *c, struct message_image_begin *begin)
{
    walk_mark(c, &begin->mark);
    walk_bool(c, &begin->whole);
    walk_count(c, &begin->description_bytes, MESSAGE_MAX_BYTES);
    walk_blob(c, &begin->description, begin->description_bytes);
}

static void walk_image_pages(struct cursor *c, struct message_image_pages *pages)
{
    uint64_t end;
    walk64(c, &pages->address);
    walk_count(c, &pages->count, IMAGE_PAGES_MAX);
    uint64_t bytes = (uint64_t)pages->count * IMAGE_PAGE_BYTES;
    require(c, pages->count >= 1 && pages->address % IMAGE_PAGE_BYTES == 0);
    require(c, !__builtin_add_overflow(pages->address, bytes, &end));
    walk_blob(c, &pages->bytes, bytes);
}

static void walk_stored_log(struct cursor *c, struct message_stored_log *stored)
{
    uint64_t end;
    walk32(c, &stored->thread);
    require(c, stored->thread < THREADS_MAX);
    walk64(c, &stored->total);
    walk64(c, &stored->offset);
    walk_count(c, &stored->segment_count, sizeof stored->segments / sizeof stored->segments[0]);
    require(c, stored->segment_count == 0 || stored->offset == 0);
    uint64_t least = 0;
    for (uint32_t i = 0; i < stored->segment_count && c->trouble == 0; i++) {
        struct log_segment *segment = &stored->segments[i];
        walk64(c, &segment->offset);
        walk64(c, &segment->start);
        require(c, i == 0 ? segment->offset == 0 : segment->offset >= least);
        require(c, segment->offset <= stored->total);
        least = segment->offset;
    }
    walk_count(c, &stored->length, MESSAGE_MAX_BYTES);
    require(c, !__builtin_add_overflow(stored->offset, stored->length, &end));
    require(c, end <= stored->total);
    walk_blob(c, &stored->bytes, stored->length);
}

static void walk_takeover(struct cursor *c, struct takeover *takeover)
{
    walk32(c, &takeover->epoch);
    walk_mark(c, &takeover->base);
    walk_positions(c, &takeover->end);
    walk_counters(c, takeover->held);
    walk_counters(c, takeover->effects);
}

static void walk_cut(struct cursor *c, struct message_cut *cut)
{
    walk_positions(c, &cut->cut);
    walk_counters(c, cut->outputs);
    walk_counters(c, cut->effects);
}

static void walk_number(struct cursor *c, struct message_number *number)
{
    walk64(c, &number->number);
    walk32(c, &number->thread);
    require(c, number->thread < THREADS_MAX);
}

static void walk_body(struct cursor *c, struct message *message)
{
    switch (message->kind) {
    case MESSAGE_HELLO:
        return walk_hello(c, &message->hello);
    case MESSAGE_WELCOME:
        return walk_welcome(c, &message->welcome);
    case MESSAGE_REFUSE:
        return walk_refuse(c, &message->refuse);
    case MESSAGE_REIGN:
        return walk_reign(c, &message->reign);
    case MESSAGE_IMAGE_BEGIN:
        return walk_image_begin(c, &message->image_begin);
    case MESSAGE_IMAGE_PAGES:
        return walk_image_pages(c, &message->image_pages);
    case MESSAGE_STORED_LOG:
        return walk_stored_log(c, &message->stored_log);
    case MESSAGE_TAKEOVER:
        return walk_takeover(c, &message->takeover);
    case MESSAGE_CUT:
        return walk_cut(c, &message->cut);
    case MESSAGE_TRUNCATE:
    case MESSAGE_IMAGE_END:
    case MESSAGE_COMMITTED:
    case MESSAGE_EFFECTS:
        return walk_number(c, &message->number);
    case MESSAGE_HEARTBEAT:
    case MESSAGE_WANT_SNAPSHOT:
    case MESSAGE_STORED_END:
    case MESSAGE_GO:
        return;
    case MESSAGE_KINDS:
        break;
    }
    require(c, false);
}

/* ---- the envelope ---- */

int64_t message_encode(const struct message *message, uint8_t *out, size_t room)
{
    uint8_t version = MESSAGE_VERSION;
    uint8_t kind = (uint8_t)message->kind;
    uint16_t reserved = 0;
    uint32_t length = 0;
    uint32_t epoch = message->epoch;
    size_t limit =
        room < MESSAGE_MAX_BYTES + LENGTH_BYTES ? room : MESSAGE_MAX_BYTES + LENGTH_BYTES;
    struct cursor c = {.out = out, .end = limit};

    walk32(&c, &length);
    walk8(&c, &version);
    walk8(&c, &kind);
    walk16(&c, &reserved);
    walk32(&c, &epoch);
    walk_body(&c, (struct message *)message); /* an encoding walk only reads it */
    if (c.trouble == -ENOSPC && limit == MESSAGE_MAX_BYTES + LENGTH_BYTES)
        return -EINVAL; /* no room would do */
    if (c.trouble != 0)
        return c.trouble;
    put32(out, (uint32_t)(c.at - LENGTH_BYTES));
    return (int64_t)c.at;
}

int64_t message_decode(const uint8_t *bytes, size_t length, struct message *out)
{
    if (length < LENGTH_BYTES)
        return 0;
    uint32_t follows = get32(bytes);
    if (follows < MESSAGE_HEADER_BYTES - LENGTH_BYTES || follows > MESSAGE_MAX_BYTES)
        return -EBADMSG;
    if (length > LENGTH_BYTES && bytes[LENGTH_BYTES] != MESSAGE_VERSION)
        return -EPROTO;
    if (length < LENGTH_BYTES + (size_t)follows)
        return 0;

    uint8_t version = 0;
    uint8_t kind = 0;
    uint16_t reserved = 0;
    struct cursor c = {.in = bytes, .at = LENGTH_BYTES, .end = LENGTH_BYTES + (size_t)follows};
    memset(out, 0, sizeof *out);
    walk8(&c, &version);
    walk8(&c, &kind);
    walk16(&c, &reserved);
    walk32(&c, &out->epoch);
    require(&c, kind > 0 && kind < MESSAGE_KINDS && reserved == 0);
    if (c.trouble == 0) {
        out->kind = (enum message_kind)kind;
        walk_body(&c, out);
        require(&c, c.at == c.end); /* nothing may be left over */
    }
    return c.trouble != 0 ? c.trouble : (int64_t)c.at;
}

const char *message_kind_name(enum message_kind kind)
{
    static const char *const names[MESSAGE_KINDS] = {
        [MESSAGE_HELLO] = "hello",
        [MESSAGE_WELCOME] = "welcome",
        [MESSAGE_REFUSE] = "refuse",
        [MESSAGE_HEARTBEAT] = "heartbeat",
        [MESSAGE_REIGN] = "reign",
        [MESSAGE_TRUNCATE] = "truncate",
        [MESSAGE_IMAGE_BEGIN] = "image-begin",
        [MESSAGE_IMAGE_PAGES] = "image-pages",
        [MESSAGE_IMAGE_END] = "image-end",
        [MESSAGE_COMMITTED] = "committed",
        [MESSAGE_WANT_SNAPSHOT] = "want-snapshot",
        [MESSAGE_TAKEOVER] = "takeover",
        [MESSAGE_STORED_LOG] = "stored-log",
        [MESSAGE_STORED_END] = "stored-end",
        [MESSAGE_CUT] = "cut",
        [MESSAGE_GO] = "go",
        [MESSAGE_EFFECTS] = "effects",
    };
    return (unsigned)kind < MESSAGE_KINDS && names[kind] ? names[kind] : "unknown";
}
