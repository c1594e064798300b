/*
 * Bytes of a message body: one writer and one reader with a sticky error, so that each body reads
 * like its layout. message.c only.
 */
#ifndef PALISADE_CORE_MESSAGE_BYTES_H
#define PALISADE_CORE_MESSAGE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct writer {
    uint8_t *at, *end;
    int error; /* sticky: -ENOSPC, -EINVAL */
};

/* Room for `bytes`, or NULL and -ENOSPC. */
uint8_t *w_space(struct writer *writer, size_t bytes);
void w8(struct writer *writer, uint8_t value);
void w16(struct writer *writer, uint16_t value);
void w32(struct writer *writer, uint32_t value);
void w64(struct writer *writer, uint64_t value);
void w_bytes(struct writer *writer, const void *bytes, size_t length);
void w_text(struct writer *writer, const char *text, size_t room);
void w_array(struct writer *writer, const uint64_t *values, uint32_t count);

struct reader {
    const uint8_t *at, *end;
    bool bad; /* sticky */
};

/* The next `bytes`, or NULL and bad; the others yield 0 then. */
const uint8_t *r_space(struct reader *reader, size_t bytes);
uint8_t r8(struct reader *reader);
bool r_bool(struct reader *reader);
uint16_t r16(struct reader *reader);
uint32_t r32(struct reader *reader);
uint64_t r64(struct reader *reader);
uint32_t r_count(struct reader *reader, uint32_t most);
void r_copy(struct reader *reader, void *out, size_t length);
void r_text(struct reader *reader, char *out, size_t room);
void r_array(struct reader *reader, uint64_t *out, uint32_t count);

#endif
