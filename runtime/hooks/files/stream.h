/*
 * Streams: what the NF knows as a FILE. Each is an object in its heap with a buffer of its own over
 * a virtual descriptor; libc's stdin, stdout and stderr stand for the three that are always there.
 *
 * Every call takes the stream's ordered lock. Reading calls are restartable (R20): bytes come into
 * the buffer first, which is in the image, and leave it only when the call has all it needs, or has
 * noted how far it is. Writing calls are not; what they wait for is no safe state (run->pinned).
 */
#ifndef PALISADE_HOOKS_STREAM_H
#define PALISADE_HOOKS_STREAM_H

#include <stdio.h>

#include "process.h"

#define STREAM_BYTES 4096u
#define STREAM_MAGIC 0x7374726561704c41ull

struct nf_stream {
    uint64_t magic;
    struct nf_mutex lock; /* recursive */
    int32_t fd;
    uint32_t reads, writes; /* how it was opened */
    int32_t buffering;      /* _IOFBF, _IOLBF, _IONBF */
    uint32_t eof, error;
    uint32_t writing; /* the buffer holds what is to be written */
    uint8_t *bytes;   /* NULL before the first use */
    size_t room, start, end;
    size_t done; /* of a fread under way */
    struct nf_stream *next;
};

/* The stream of a FILE of the NF; ends the process when it is libc's. */
struct nf_stream *stream_of(FILE *file);

void stream_lock(struct nf_thread *thread, struct nf_stream *stream);
void stream_unlock(struct nf_stream *stream);

/* ---- under the lock ---- */

/* True with all bytes taken; else errno and stream->error. Not restartable: pinned. */
bool stream_write(struct nf_thread *thread, struct nf_stream *stream, const void *bytes,
                  size_t length);
bool stream_flush(struct nf_thread *thread, struct nf_stream *stream);
/* More bytes into the buffer. False at the end or with an error. Restartable hooks. */
bool stream_fill(struct nf_thread *thread, struct nf_stream *stream);
/* Forgets what was read ahead: the descriptor's position is the stream's again. */
void stream_settle(struct nf_thread *thread, struct nf_stream *stream);

/* ---- pure ---- */

static inline size_t stream_has(const struct nf_stream *stream)
{
    return stream->writing ? 0 : stream->end - stream->start;
}
/* Bytes up to and with the first `delimiter` among the first `limit`; 0: not there. */
size_t stream_find(const struct nf_stream *stream, int delimiter, size_t limit);
void stream_take(struct nf_stream *stream, void *out, size_t length);
void stream_skip(struct nf_stream *stream, size_t length);
/* ungetc: before what is there. Needs heap. */
void stream_unread(struct nf_stream *stream, uint8_t byte);

/* ---- a stream's life (stdio.c) ---- */

void stdio_begin(void);
void stdio_flush_all(struct nf_thread *thread);

#endif
