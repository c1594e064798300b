/* See message.h; byte layout in docs/protocol.md, "Messages". */
#include "core/message.h"

#include <errno.h>

#include "core/assert.h"
#include "core/message_bytes.h"
#include "core/wire_bytes.h"

/* ---- parts of several bodies ---- */

static void w_positions(struct writer *writer, const struct positions *positions)
{
    if (positions->threads > THREADS_MAX) {
        writer->error = -EINVAL;
        return;
    }
    w32(writer, positions->threads);
    w_array(writer, positions->at, positions->threads);
}

static void w_mark(struct writer *writer, const struct snapshot_mark *mark)
{
    w64(writer, mark->number);
    w_positions(writer, &mark->positions);
    w32(writer, mark->threads);
    if (mark->threads > THREADS_MAX) {
        writer->error = -EINVAL;
        return;
    }
    w_array(writer, mark->outputs, mark->threads);
    w_array(writer, mark->effects, mark->threads);
    w64(writer, mark->inputs_of);
    w64(writer, mark->inputs_from);
    w8(writer, mark->replayed);
}

static void r_positions(struct reader *reader, struct positions *out)
{
    out->threads = r_count(reader, THREADS_MAX);
    r_array(reader, out->at, out->threads);
}

static void r_mark(struct reader *reader, struct snapshot_mark *out)
{
    out->number = r64(reader);
    r_positions(reader, &out->positions);
    out->threads = r_count(reader, THREADS_MAX);
    r_array(reader, out->outputs, out->threads);
    r_array(reader, out->effects, out->threads);
    out->inputs_of = r64(reader);
    out->inputs_from = r64(reader);
    out->replayed = r_bool(reader);
}

/* ---- bodies, each pair side by side ---- */

static void w_hello(struct writer *writer, const struct message_hello *hello)
{
    if ((hello->role != ROLE_MASTER && hello->role != ROLE_BACKUP) ||
        hello->standby >= STANDBY_KINDS)
        writer->error = -EINVAL;
    w8(writer, hello->role);
    w8(writer, hello->standby);
    w_bytes(writer, hello->mac, 6);
    w64(writer, hello->claimant);
    w_text(writer, hello->identity, sizeof hello->identity);
}

static void r_hello(struct reader *reader, struct message_hello *hello)
{
    hello->role = r8(reader);
    hello->standby = r8(reader);
    r_copy(reader, hello->mac, 6);
    hello->claimant = r64(reader);
    r_text(reader, hello->identity, sizeof hello->identity);
    if ((hello->role != ROLE_MASTER && hello->role != ROLE_BACKUP) ||
        hello->standby >= STANDBY_KINDS)
        reader->bad = true;
}

static bool port_kind_known(uint16_t kind)
{
    return kind >= PORT_ETHERNET && kind <= PORT_TAP;
}

static void w_welcome(struct writer *writer, const struct message_welcome *welcome)
{
    w32(writer, welcome->epoch);
    w32(writer, welcome->session);
    w64(writer, welcome->incarnation);
    w_bytes(writer, welcome->mac, 6);
    w32(writer, welcome->port_count);
    if (welcome->port_count > PORTS_MAX) {
        writer->error = -EINVAL;
        return;
    }
    for (uint16_t i = 0; i < welcome->port_count; i++) {
        if (welcome->ports[i].name[PORT_NAME_BYTES - 1] != '\0' ||
            !port_kind_known(welcome->ports[i].kind))
            writer->error = -EINVAL;
        w_bytes(writer, welcome->ports[i].name, PORT_NAME_BYTES);
        w_bytes(writer, welcome->ports[i].mac, 6);
        w16(writer, welcome->ports[i].mtu);
        w8(writer, (uint8_t)welcome->ports[i].kind);
    }
}

static void r_welcome(struct reader *reader, struct message_welcome *welcome)
{
    welcome->epoch = r32(reader);
    welcome->session = r32(reader);
    welcome->incarnation = r64(reader);
    r_copy(reader, welcome->mac, 6);
    welcome->port_count = (uint16_t)r_count(reader, PORTS_MAX);
    for (uint16_t i = 0; i < welcome->port_count; i++) {
        r_copy(reader, welcome->ports[i].name, PORT_NAME_BYTES);
        if (welcome->ports[i].name[PORT_NAME_BYTES - 1] != '\0')
            reader->bad = true;
        r_copy(reader, welcome->ports[i].mac, 6);
        welcome->ports[i].mtu = r16(reader);
        welcome->ports[i].kind = r8(reader);
        if (!port_kind_known(welcome->ports[i].kind))
            reader->bad = true;
    }
}

static void w_image_begin(struct writer *writer, const struct message_image_begin *begin)
{
    w_mark(writer, &begin->mark);
    w8(writer, begin->whole);
    w32(writer, begin->description_bytes);
    w_bytes(writer, begin->description, begin->description_bytes);
}

static void r_image_begin(struct reader *reader, struct message_image_begin *begin)
{
    r_mark(reader, &begin->mark);
    begin->whole = r_bool(reader);
    begin->description_bytes = r_count(reader, MESSAGE_MAX_BYTES);
    begin->description = r_space(reader, begin->description_bytes);
}

static bool pages_fit(const struct message_image_pages *pages)
{
    uint64_t end;
    return pages->count >= 1 && pages->count <= IMAGE_PAGES_MAX &&
           pages->address % IMAGE_PAGE_BYTES == 0 &&
           !__builtin_add_overflow(pages->address, (uint64_t)pages->count * IMAGE_PAGE_BYTES, &end);
}

static void w_image_pages(struct writer *writer, const struct message_image_pages *pages)
{
    if (!pages_fit(pages))
        writer->error = -EINVAL;
    w64(writer, pages->address);
    w32(writer, pages->count);
    w_bytes(writer, pages->bytes, (size_t)pages->count * IMAGE_PAGE_BYTES);
}

static void r_image_pages(struct reader *reader, struct message_image_pages *pages)
{
    pages->address = r64(reader);
    pages->count = r_count(reader, IMAGE_PAGES_MAX);
    pages->bytes = r_space(reader, (size_t)pages->count * IMAGE_PAGE_BYTES);
    if (!pages_fit(pages))
        reader->bad = true;
}

/* What a log reader relies on: segments ascend and lie within the piece. */
static bool stored_fits(const struct message_stored_log *log)
{
    uint64_t end;
    if (log->thread >= THREADS_MAX || log->segment_count > STORED_SEGMENTS_MAX ||
        __builtin_add_overflow(log->offset, log->length, &end))
        return false;
    for (uint32_t i = 0; i < log->segment_count; i++)
        if (log->segments[i].offset < (i ? log->segments[i - 1].offset : log->offset) ||
            log->segments[i].offset > end)
            return false;
    return true;
}

static void w_stored_log(struct writer *writer, const struct message_stored_log *log)
{
    if (!stored_fits(log))
        writer->error = -EINVAL;
    w32(writer, log->thread);
    w64(writer, log->offset);
    w64(writer, log->to);
    w64(writer, log->held);
    w64(writer, log->effects);
    w32(writer, log->segment_count);
    for (uint32_t i = 0; i < log->segment_count && !writer->error; i++) {
        w64(writer, log->segments[i].offset);
        w64(writer, log->segments[i].start);
    }
    w32(writer, log->length);
    w_bytes(writer, log->bytes, log->length);
}

static void r_stored_log(struct reader *reader, struct message_stored_log *log)
{
    log->thread = r32(reader);
    log->offset = r64(reader);
    log->to = r64(reader);
    log->held = r64(reader);
    log->effects = r64(reader);
    log->segment_count = r_count(reader, STORED_SEGMENTS_MAX);
    for (uint32_t i = 0; i < log->segment_count; i++) {
        log->segments[i].offset = r64(reader);
        log->segments[i].start = r64(reader);
    }
    log->length = r_count(reader, MESSAGE_MAX_BYTES);
    log->bytes = r_space(reader, log->length);
    if (!stored_fits(log))
        reader->bad = true;
}

static void w_progress(struct writer *writer, const struct message_progress *progress)
{
    w_positions(writer, &progress->positions);
    if (writer->error)
        return;
    w_array(writer, progress->consumed, progress->positions.threads);
}

static void r_progress(struct reader *reader, struct message_progress *progress)
{
    r_positions(reader, &progress->positions);
    r_array(reader, progress->consumed, progress->positions.threads);
}

static void w_takeover(struct writer *writer, const struct takeover *takeover)
{
    w32(writer, takeover->epoch);
    w_mark(writer, &takeover->base);
    w_positions(writer, &takeover->end);
    w_array(writer, takeover->held, THREADS_MAX);
    w_array(writer, takeover->effects, THREADS_MAX);
}

static void r_takeover(struct reader *reader, struct takeover *takeover)
{
    takeover->epoch = r32(reader);
    r_mark(reader, &takeover->base);
    r_positions(reader, &takeover->end);
    r_array(reader, takeover->held, THREADS_MAX);
    r_array(reader, takeover->effects, THREADS_MAX);
}

static void w_resume(struct writer *writer, const struct resume *resume)
{
    w_mark(writer, &resume->mark);
    if (writer->error)
        return;
    w_array(writer, resume->shipped, resume->mark.threads);
    w_array(writer, resume->performed, resume->mark.threads);
}

static void r_resume(struct reader *reader, struct resume *resume)
{
    r_mark(reader, &resume->mark);
    r_array(reader, resume->shipped, resume->mark.threads);
    r_array(reader, resume->performed, resume->mark.threads);
}

static void w_cut(struct writer *writer, const struct message_cut *cut)
{
    w_positions(writer, &cut->cut);
    w_array(writer, cut->outputs, cut->cut.threads);
    w_array(writer, cut->effects, cut->cut.threads);
}

static void r_cut(struct reader *reader, struct message_cut *cut)
{
    r_positions(reader, &cut->cut);
    r_array(reader, cut->outputs, cut->cut.threads);
    r_array(reader, cut->effects, cut->cut.threads);
}

static void w_body(struct writer *writer, const struct message *message)
{
    switch (message->kind) {
    case MESSAGE_HELLO:
        w_hello(writer, &message->hello);
        break;
    case MESSAGE_WELCOME:
        w_welcome(writer, &message->welcome);
        break;
    case MESSAGE_REFUSE:
        w8(writer, message->refuse.status);
        w_text(writer, message->refuse.text, sizeof message->refuse.text);
        break;
    case MESSAGE_REIGN:
    case MESSAGE_COPY:
        w64(writer, message->reign.claimant);
        w64(writer, message->reign.claim.of);
        w64(writer, message->reign.claim.from);
        break;
    case MESSAGE_IMAGE_BEGIN:
        w_image_begin(writer, &message->image_begin);
        break;
    case MESSAGE_IMAGE_PAGES:
        w_image_pages(writer, &message->image_pages);
        break;
    case MESSAGE_STORED_LOG:
        w_stored_log(writer, &message->stored_log);
        break;
    case MESSAGE_TAKEOVER:
        w_takeover(writer, &message->takeover);
        break;
    case MESSAGE_CUT:
        w_cut(writer, &message->cut);
        break;
    case MESSAGE_SENTINEL:
        w64(writer, message->sentinel.claimant);
        w32(writer, message->sentinel.session);
        break;
    case MESSAGE_PROGRESS:
        w_progress(writer, &message->progress);
        break;
    case MESSAGE_RESUME:
        w_resume(writer, &message->resume);
        break;
    case MESSAGE_IMAGE_END:
    case MESSAGE_IMAGE_STORED:
    case MESSAGE_COMMITTED:
    case MESSAGE_FOLLOW:
    case MESSAGE_STANDBY:
    case MESSAGE_TRUNCATE:
    case MESSAGE_EFFECTS:
        if (message->number.thread >= THREADS_MAX)
            writer->error = -EINVAL;
        w64(writer, message->number.number);
        w32(writer, message->number.thread);
        break;
    case MESSAGE_HEARTBEAT:
    case MESSAGE_WANT_SNAPSHOT:
    case MESSAGE_STORED_END:
    case MESSAGE_GO:
        break;
    case MESSAGE_KINDS:
        writer->error = -EINVAL;
    }
}

static void r_body(struct reader *reader, struct message *message)
{
    switch (message->kind) {
    case MESSAGE_HELLO:
        r_hello(reader, &message->hello);
        break;
    case MESSAGE_WELCOME:
        r_welcome(reader, &message->welcome);
        break;
    case MESSAGE_REFUSE:
        message->refuse.status = r8(reader);
        r_text(reader, message->refuse.text, sizeof message->refuse.text);
        break;
    case MESSAGE_REIGN:
    case MESSAGE_COPY:
        message->reign.claimant = r64(reader);
        message->reign.claim.of = r64(reader);
        message->reign.claim.from = r64(reader);
        break;
    case MESSAGE_IMAGE_BEGIN:
        r_image_begin(reader, &message->image_begin);
        break;
    case MESSAGE_IMAGE_PAGES:
        r_image_pages(reader, &message->image_pages);
        break;
    case MESSAGE_STORED_LOG:
        r_stored_log(reader, &message->stored_log);
        break;
    case MESSAGE_TAKEOVER:
        r_takeover(reader, &message->takeover);
        break;
    case MESSAGE_CUT:
        r_cut(reader, &message->cut);
        break;
    case MESSAGE_SENTINEL:
        message->sentinel.claimant = r64(reader);
        message->sentinel.session = r32(reader);
        break;
    case MESSAGE_PROGRESS:
        r_progress(reader, &message->progress);
        break;
    case MESSAGE_RESUME:
        r_resume(reader, &message->resume);
        break;
    case MESSAGE_IMAGE_END:
    case MESSAGE_IMAGE_STORED:
    case MESSAGE_COMMITTED:
    case MESSAGE_FOLLOW:
    case MESSAGE_STANDBY:
    case MESSAGE_TRUNCATE:
    case MESSAGE_EFFECTS:
        message->number.number = r64(reader);
        message->number.thread = r32(reader);
        if (message->number.thread >= THREADS_MAX)
            reader->bad = true;
        break;
    case MESSAGE_HEARTBEAT:
    case MESSAGE_WANT_SNAPSHOT:
    case MESSAGE_STORED_END:
    case MESSAGE_GO:
        break;
    case MESSAGE_KINDS:
        reader->bad = true;
    }
}

int64_t message_encode(const struct message *message, uint8_t *out, size_t room)
{
    if (message->kind < MESSAGE_HELLO || message->kind >= MESSAGE_KINDS)
        return -EINVAL;
    if (room < MESSAGE_HEADER_BYTES)
        return -ENOSPC;
    struct writer writer = {.at = out + MESSAGE_HEADER_BYTES, .end = out + room};
    w_body(&writer, message);
    if (writer.error)
        return writer.error;
    size_t total = (size_t)(writer.at - out);
    if (total - 4 > MESSAGE_MAX_BYTES)
        return -EINVAL;
    put_le32(out, (uint32_t)(total - 4));
    out[4] = MESSAGE_VERSION;
    out[5] = (uint8_t)message->kind;
    put_le16(out + 6, 0);
    put_le32(out + 8, message->epoch);
    return (int64_t)total;
}

int64_t message_decode(const uint8_t *bytes, size_t length, struct message *out)
{
    if (length < 4)
        return 0;
    uint32_t body = get_le32(bytes);
    if (body > MESSAGE_MAX_BYTES || body < MESSAGE_HEADER_BYTES - 4)
        return -EBADMSG;
    if (length > 4 && bytes[4] != MESSAGE_VERSION)
        return -EPROTO;
    if (length - 4 < body)
        return 0;
    if (bytes[5] == 0 || bytes[5] >= MESSAGE_KINDS || get_le16(bytes + 6) != 0)
        return -EBADMSG;
    memset(out, 0, sizeof *out);
    out->kind = (enum message_kind)bytes[5];
    out->epoch = get_le32(bytes + 8);
    struct reader reader = {.at = bytes + MESSAGE_HEADER_BYTES, .end = bytes + 4 + body};
    r_body(&reader, out);
    if (reader.bad || reader.at != reader.end)
        return -EBADMSG;
    return 4 + (int64_t)body;
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
        [MESSAGE_IMAGE_BEGIN] = "image_begin",
        [MESSAGE_IMAGE_PAGES] = "image_pages",
        [MESSAGE_IMAGE_END] = "image_end",
        [MESSAGE_COMMITTED] = "committed",
        [MESSAGE_WANT_SNAPSHOT] = "want_snapshot",
        [MESSAGE_TAKEOVER] = "takeover",
        [MESSAGE_STORED_LOG] = "stored_log",
        [MESSAGE_STORED_END] = "stored_end",
        [MESSAGE_CUT] = "cut",
        [MESSAGE_GO] = "go",
        [MESSAGE_EFFECTS] = "effects",
        [MESSAGE_RESUME] = "resume",
        [MESSAGE_IMAGE_STORED] = "image_stored",
        [MESSAGE_FOLLOW] = "follow",
        [MESSAGE_COPY] = "copy",
        [MESSAGE_PROGRESS] = "progress",
        [MESSAGE_SENTINEL] = "sentinel",
        [MESSAGE_STANDBY] = "standby",
    };
    return kind < MESSAGE_KINDS && names[kind] ? names[kind] : "unknown";
}
