/* See stream.h. */
#include "hooks/files/stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "core/assert.h"
#include "heap/heap.h"
#include "hooks/files/descriptor.h"
#include "hooks/memory.h"
#include "hooks/sharing/lock.h"

off_t __palisade_lseek(int fd, off_t offset, int whence);

void stream_lock(struct nf_thread *thread, struct nf_stream *stream)
{
    if (lock_reentry(thread, &stream->lock, false) < 0)
        ordered_lock(thread, &stream->lock);
}

void stream_unlock(struct nf_stream *stream)
{
    if (stream->lock.depth > 0)
        stream->lock.depth--;
    else
        ordered_unlock(&stream->lock);
}

/* ---- the buffer ---- */

size_t stream_find(const struct nf_stream *stream, int delimiter, size_t limit)
{
    size_t has = stream_has(stream), look = has < limit ? has : limit;
    if (look == 0)
        return 0;
    const uint8_t *from = stream->bytes + stream->start, *at = memchr(from, delimiter, look);
    return at ? (size_t)(at - from) + 1 : 0;
}

void stream_take(struct nf_stream *stream, void *out, size_t length)
{
    ASSERT(length <= stream_has(stream));
    if (length > 0)
        memcpy(out, stream->bytes + stream->start, length);
    stream_skip(stream, length);
}

void stream_skip(struct nf_stream *stream, size_t length)
{
    stream->start += length;
    if (stream->start == stream->end)
        stream->start = stream->end = 0;
}

/* Room for `more` bytes behind the end. */
static void make_room(struct nf_stream *stream, size_t more)
{
    if (stream->start > 0 && stream->end + more > stream->room) {
        memmove(stream->bytes, stream->bytes + stream->start, stream->end - stream->start);
        stream->end -= stream->start;
        stream->start = 0;
    }
    if (stream->end + more <= stream->room)
        return;
    size_t room = stream->room ? 2 * stream->room : STREAM_BYTES;
    while (room < stream->end + more)
        room *= 2;
    uint8_t *bytes = __palisade_realloc(stream->bytes, room);
    if (bytes == NULL)
        process_fail(STATUS_MEMORY, "no memory for a stream's buffer; raise heap_mib");
    stream->bytes = bytes;
    stream->room = room;
}

void stream_unread(struct nf_stream *stream, uint8_t byte)
{
    if (stream->writing)
        return;
    if (stream->start == 0) {
        make_room(stream, 1);
        memmove(stream->bytes + 1, stream->bytes, stream->end);
        stream->end++;
        stream->start = 1;
    }
    stream->bytes[--stream->start] = byte;
    stream->eof = 0;
}

/* ---- out ---- */

static bool write_all(struct nf_thread *thread, struct nf_stream *stream, const uint8_t *bytes,
                      size_t length)
{
    run_of(thread)->pinned++;
    while (length > 0) {
        ssize_t n = palisade_write_restartable(stream->fd, bytes, length);
        if (n <= 0) {
            stream->error = 1;
            break;
        }
        bytes += n;
        length -= (size_t)n;
    }
    run_of(thread)->pinned--;
    return length == 0;
}

bool stream_flush(struct nf_thread *thread, struct nf_stream *stream)
{
    if (!stream->writing)
        return true;
    size_t start = stream->start, end = stream->end;
    stream->start = stream->end = 0;
    stream->writing = 0;
    return write_all(thread, stream, stream->bytes + start, end - start);
}

void stream_settle(struct nf_thread *thread, struct nf_stream *stream)
{
    stream_flush(thread, stream);
    if (stream->end > stream->start) {
        int saved = errno; /* what cannot be sought has no position to set right */
        __palisade_lseek(stream->fd, -(off_t)(stream->end - stream->start), SEEK_CUR);
        errno = saved;
    }
    stream->start = stream->end = 0;
}

bool stream_write(struct nf_thread *thread, struct nf_stream *stream, const void *bytes,
                  size_t length)
{
    if (!stream->writes) {
        stream->error = 1;
        errno = EBADF;
        return false;
    }
    if (!stream->writing)
        stream_settle(thread, stream);
    if (stream->buffering == _IONBF || length >= STREAM_BYTES)
        return stream_flush(thread, stream) && write_all(thread, stream, bytes, length);
    if (stream->writing && stream->end + length > STREAM_BYTES && !stream_flush(thread, stream))
        return false;
    make_room(stream, length);
    memcpy(stream->bytes + stream->end, bytes, length);
    stream->end += length;
    stream->writing = 1;
    if (stream->buffering == _IOLBF && memchr(bytes, '\n', length))
        return stream_flush(thread, stream);
    return true;
}

/* ---- in ---- */

bool stream_fill(struct nf_thread *thread, struct nf_stream *stream)
{
    if (!stream->reads) {
        stream->error = 1;
        errno = EBADF;
        return false;
    }
    if (stream->eof)
        return false; /* until clearerr */
    if (stream->writing)
        stream_flush(thread, stream);
    make_room(stream, STREAM_BYTES / 2);
    ssize_t n = palisade_read_restartable(stream->fd, stream->bytes + stream->end,
                                          stream->room - stream->end);
    if (n > 0)
        stream->end += (size_t)n;
    else if (n == 0)
        stream->eof = 1;
    else
        stream->error = 1;
    return n > 0;
}

/* ---- which ---- */

struct nf_stream *stream_of(FILE *file)
{
    if (file == stdin || file == stdout || file == stderr)
        return IMAGE->standard[file == stdin ? 0 : file == stdout ? 1 : 2];
    struct nf_stream *stream = (struct nf_stream *)file;
    if (!heap_owns(process.heap, stream) || stream->magic != STREAM_MAGIC)
        process_fail(STATUS_UNMODELLED, "a stream that was not opened by the program itself (in a "
                                        "constructor, or by a library) cannot be replayed (G8)");
    return stream;
}
