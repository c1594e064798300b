/* See message_bytes.h. */
#include "core/message_bytes.h"

#include <errno.h>
#include <string.h>

#include "core/wire_bytes.h"

/* ---- writer ---- */

uint8_t *w_space(struct writer *writer, size_t bytes)
{
    if (writer->error || (size_t)(writer->end - writer->at) < bytes) {
        writer->error = writer->error ? writer->error : -ENOSPC;
        return NULL;
    }
    uint8_t *space = writer->at;
    writer->at += bytes;
    return space;
}

void w8(struct writer *writer, uint8_t value)
{
    uint8_t *space = w_space(writer, 1);
    if (space)
        *space = value;
}

void w16(struct writer *writer, uint16_t value)
{
    uint8_t *space = w_space(writer, 2);
    if (space)
        put_le16(space, value);
}

void w32(struct writer *writer, uint32_t value)
{
    uint8_t *space = w_space(writer, 4);
    if (space)
        put_le32(space, value);
}

void w64(struct writer *writer, uint64_t value)
{
    uint8_t *space = w_space(writer, 8);
    if (space)
        put_le64(space, value);
}

void w_bytes(struct writer *writer, const void *bytes, size_t length)
{
    uint8_t *space = w_space(writer, length);
    if (space && length)
        memcpy(space, bytes, length);
}

void w_text(struct writer *writer, const char *text, size_t room)
{
    size_t length = strnlen(text, room);
    if (length == room)
        writer->error = -EINVAL;
    w16(writer, (uint16_t)length);
    w_bytes(writer, text, length);
}

void w_array(struct writer *writer, const uint64_t *values, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        w64(writer, values[i]);
}

/* ---- reader ---- */

const uint8_t *r_space(struct reader *reader, size_t bytes)
{
    if (reader->bad || (size_t)(reader->end - reader->at) < bytes) {
        reader->bad = true;
        return NULL;
    }
    const uint8_t *space = reader->at;
    reader->at += bytes;
    return space;
}

uint8_t r8(struct reader *reader)
{
    const uint8_t *space = r_space(reader, 1);
    return space ? *space : 0;
}

bool r_bool(struct reader *reader)
{
    uint8_t byte = r8(reader);
    if (byte > 1)
        reader->bad = true;
    return byte == 1;
}

uint16_t r16(struct reader *reader)
{
    const uint8_t *space = r_space(reader, 2);
    return space ? get_le16(space) : 0;
}

uint32_t r32(struct reader *reader)
{
    const uint8_t *space = r_space(reader, 4);
    return space ? get_le32(space) : 0;
}

uint64_t r64(struct reader *reader)
{
    const uint8_t *space = r_space(reader, 8);
    return space ? get_le64(space) : 0;
}

/* A count that must not exceed `most`. */
uint32_t r_count(struct reader *reader, uint32_t most)
{
    uint32_t count = r32(reader);
    if (count > most) {
        reader->bad = true;
        return 0;
    }
    return count;
}

void r_copy(struct reader *reader, void *out, size_t length)
{
    const uint8_t *space = r_space(reader, length);
    if (space)
        memcpy(out, space, length);
}

void r_text(struct reader *reader, char *out, size_t room)
{
    uint16_t length = r16(reader);
    const uint8_t *space = length < room ? r_space(reader, length) : NULL;
    if (space == NULL) {
        reader->bad = true;
        return;
    }
    memcpy(out, space, length);
    out[length] = '\0';
    if (strnlen(out, length) != length)
        reader->bad = true;
}

void r_array(struct reader *reader, uint64_t *out, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        out[i] = r64(reader);
}
