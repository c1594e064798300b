/*
 * stdio: what reads from streams. All restartable: see stream.h. The lock is taken once: a thread
 * that is called again finds in its wait_phase that it holds it.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "abi_internal.h"
#include "hooks/files/stream.h"
#include "hooks/memory.h"

enum { PHASE_NONE, PHASE_READING = 8 }; /* beside those of cond.c */

static struct nf_stream *begin(FILE *file)
{
    struct nf_stream *stream = stream_of(file);
    if (nf_self->wait_phase != PHASE_READING) {
        stream_lock(nf_self, stream);
        stream->done = 0;
        nf_self->wait_phase = PHASE_READING;
    }
    return stream;
}

static void end(struct nf_stream *stream)
{
    nf_self->wait_phase = PHASE_NONE;
    stream_unlock(stream);
}

/* At least `wanted` bytes in the buffer, or all there are. */
static size_t need(struct nf_stream *stream, size_t wanted)
{
    while (stream_has(stream) < wanted && stream_fill(nf_self, stream))
        ;
    return stream_has(stream);
}

/* Bytes up to and with the delimiter, at most `limit`; fewer at the end of the file. */
static size_t need_line(struct nf_stream *stream, int delimiter, size_t limit)
{
    for (;;) {
        size_t length = stream_find(stream, delimiter, limit);
        if (length)
            return length;
        if (stream_has(stream) >= limit)
            return limit;
        if (!stream_fill(nf_self, stream))
            return stream_has(stream);
    }
}

size_t palisade_fread_restartable(void *out, size_t size, size_t count, FILE *file)
{
    if (nf_self == NULL)
        return fread(out, size, count, file);
    size_t total = size * count;
    if (total == 0)
        return 0;
    struct nf_stream *stream = begin(file);
    while (stream->done < total) {
        size_t has = need(stream, 1), part = total - stream->done;
        if (has == 0)
            break;
        part = part < has ? part : has;
        stream_take(stream, (uint8_t *)out + stream->done, part);
        stream->done += part;
    }
    total = stream->done;
    end(stream);
    return total / size;
}

char *palisade_fgets_restartable(char *out, int room, FILE *file)
{
    if (nf_self == NULL)
        return fgets(out, room, file);
    if (room <= 0)
        return NULL;
    struct nf_stream *stream = begin(file);
    size_t length = need_line(stream, '\n', (size_t)room - 1);
    bool nothing = length == 0 && room > 1;
    stream_take(stream, out, length);
    if (!nothing)
        out[length] = '\0';
    end(stream);
    return nothing ? NULL : out;
}

int palisade_fgetc_restartable(FILE *file)
{
    if (nf_self == NULL)
        return fgetc(file);
    struct nf_stream *stream = begin(file);
    uint8_t byte = 0;
    bool there = need(stream, 1) > 0;
    if (there)
        stream_take(stream, &byte, 1);
    end(stream);
    return there ? byte : EOF;
}

int palisade_getchar_restartable(void)
{
    return palisade_fgetc_restartable(stdin);
}

HOOK int __palisade_ungetc(int byte, FILE *file)
{
    SITE_HERE();
    if (nf_self == NULL)
        return ungetc(byte, file);
    struct nf_stream *stream = stream_of(file);
    if (byte == EOF)
        return EOF;
    stream_lock(nf_self, stream);
    stream_unread(stream, (uint8_t)byte);
    stream_unlock(stream);
    return (unsigned char)byte;
}

ssize_t palisade_getdelim_restartable(char **line, size_t *room, int delimiter, FILE *file)
{
    if (nf_self == NULL)
        return getdelim(line, room, delimiter, file);
    if (line == NULL || room == NULL)
        return errno = EINVAL, -1;
    struct nf_stream *stream = begin(file);
    size_t length = need_line(stream, delimiter, SIZE_MAX);
    ssize_t result = length ? (ssize_t)length : -1;
    if (length && (*line == NULL || *room < length + 1)) {
        char *bigger = __palisade_realloc(*line, length + 1 < 120 ? 120 : length + 1);
        if (bigger == NULL) {
            end(stream);
            return -1;
        }
        *line = bigger;
        *room = length + 1 < 120 ? 120 : length + 1;
    }
    if (length) {
        stream_take(stream, *line, length);
        (*line)[length] = '\0';
    }
    end(stream);
    return result;
}

ssize_t palisade_getline_restartable(char **line, size_t *room, FILE *file)
{
    return palisade_getdelim_restartable(line, room, '\n', file);
}

/* ---- scanf: libc's own, on a stream of memory made of what is in the buffer ---- */

/* One attempt. *more: it came to the end of what there is. */
static int scan_buffer(struct nf_stream *stream, const char *format, va_list arguments,
                       size_t *consumed, bool *more)
{
    size_t has = stream_has(stream);
    *more = true;
    *consumed = 0;
    if (has == 0)
        return EOF;
    FILE *memory = fmemopen(stream->bytes + stream->start, has, "r");
    if (memory == NULL)
        process_fail(STATUS_MEMORY, "no memory to scan a stream");
    int result = vfscanf(memory, format, arguments);
    *more = feof(memory) != 0;
    *consumed = (size_t)ftell(memory);
    fclose(memory);
    return result;
}

int palisade_vfscanf_restartable(FILE *file, const char *format, va_list arguments)
{
    if (nf_self == NULL)
        return vfscanf(file, format, arguments);
    struct nf_stream *stream = begin(file);
    size_t consumed;
    bool more;
    int result;
    for (;;) {
        va_list again;
        va_copy(again, arguments);
        result = scan_buffer(stream, format, again, &consumed, &more);
        va_end(again);
        if (!more || stream->eof || !stream_fill(nf_self, stream))
            break;
    }
    stream_skip(stream, consumed);
    end(stream);
    return result;
}

int palisade_fscanf_restartable(FILE *file, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int result = palisade_vfscanf_restartable(file, format, arguments);
    va_end(arguments);
    return result;
}

int palisade_scanf_restartable(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int result = palisade_vfscanf_restartable(stdin, format, arguments);
    va_end(arguments);
    return result;
}
