/*
 * See stored.h. A ring is mapped twice, one behind the other, so that a record that crosses its
 * end lies in one piece. A stream may begin before its thread: `mutex` guards the moment in which
 * both come together.
 */
#include "replay/stored.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "process.h"
#include "replay/replay.h"

struct stream {
    uint8_t *ring;
    bool open; /* the thread's reader is */
    uint64_t length, told;
    uint64_t segment_count;
    position to;
    struct log_segment segments[STORED_SEGMENTS_MAX];
};

static struct stream streams[THREADS_MAX];
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static uint64_t bytes;

static uint8_t *ring_map(void)
{
    int fd = memfd_create("palisade-stored-log", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, STREAM_RING_BYTES) != 0)
        process_fail(STATUS_MEMORY, "no memory for a log to replay: %s", strerror(errno));
    uint8_t *ring =
        mmap(NULL, 2ul * STREAM_RING_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (uint32_t half = 0; half < 2 && ring != MAP_FAILED; half++)
        if (mmap(ring + half * (size_t)STREAM_RING_BYTES, STREAM_RING_BYTES, PROT_READ | PROT_WRITE,
                 MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED)
            ring = MAP_FAILED;
    if (ring == MAP_FAILED)
        process_fail(STATUS_MEMORY, "no memory for a log to replay: %s", strerror(errno));
    close(fd);
    return ring;
}

void stored_begin(void)
{
    stored_clear();
    bytes = 0;
}

void stored_reader_open(uint32_t thread)
{
    struct stream *stream = &streams[thread];
    const struct thread_state *state = &IMAGE->threads[thread].core;
    struct log_reader *reader = &process.runs[thread].reader;
    pthread_mutex_lock(&mutex);
    if (stream->ring == NULL)
        stream->ring = ring_map();
    log_reader_open(reader, stream->ring, STREAM_RING_BYTES, stream->segments, &state->codec,
                    state->position);
    if (stream->to > state->position || stream->length)
        log_reader_extend(reader, stream->length, stream->segment_count, stream->to);
    stream->open = true;
    pthread_mutex_unlock(&mutex);
}

/* Would it overwrite what its reader has not used up? */
static bool fits(const struct stream *stream, const struct message_stored_log *piece)
{
    const struct log_reader *reader = &process.runs[piece->thread].reader;
    uint64_t consumed = stream->open ? log_reader_consumed(reader) : 0;
    uint64_t entered = stream->open ? log_reader_entered(reader) : 0;
    return piece->offset == stream->length && piece->to >= stream->to &&
           stream->length + piece->length - consumed <= STREAM_RING_BYTES &&
           stream->segment_count + piece->segment_count - entered <= STORED_SEGMENTS_MAX;
}

static void append(struct stream *stream, const struct message_stored_log *piece)
{
    if (stream->ring == NULL)
        stream->ring = ring_map();
    if (piece->length)
        memcpy(stream->ring + (stream->length & (STREAM_RING_BYTES - 1)), piece->bytes,
               piece->length);
    for (uint32_t i = 0; i < piece->segment_count; i++)
        stream->segments[stream->segment_count++ % STORED_SEGMENTS_MAX] = piece->segments[i];
    stream->length += piece->length;
    stream->to = piece->to;
}

int stored_add(const struct message_stored_log *piece)
{
    if (piece->thread >= THREADS_MAX)
        return -EBADMSG;
    struct stream *stream = &streams[piece->thread];
    pthread_mutex_lock(&mutex);
    bool good = fits(stream, piece);
    if (good) {
        append(stream, piece);
        if (stream->open)
            log_reader_extend(&process.runs[piece->thread].reader, stream->length,
                              stream->segment_count, stream->to);
    }
    pthread_mutex_unlock(&mutex);
    if (!good)
        return -EBADMSG;
    bytes += piece->length;
    __atomic_store_n(&process.held[piece->thread], piece->held, __ATOMIC_RELAXED);
    __atomic_store_n(&process.effects_done[piece->thread], piece->effects, __ATOMIC_RELAXED);
    replay_log_grown(piece->thread);
    return 0;
}

bool stored_progress(struct message_progress *progress)
{
    bool moved = false;
    progress->positions.threads = __atomic_load_n(&IMAGE->thread_count, __ATOMIC_ACQUIRE);
    for (uint32_t t = 0; t < progress->positions.threads; t++) {
        struct stream *stream = &streams[t];
        uint64_t consumed = stream->open ? log_reader_consumed(&process.runs[t].reader) : 0;
        progress->positions.at[t] =
            __atomic_load_n(&IMAGE->threads[t].core.position, __ATOMIC_ACQUIRE);
        progress->consumed[t] = consumed;
        moved |= progress->positions.at[t] != stream->told;
        stream->told = progress->positions.at[t];
    }
    return moved;
}

bool stored_untold(void)
{
    uint32_t threads = __atomic_load_n(&IMAGE->thread_count, __ATOMIC_ACQUIRE);
    for (uint32_t t = 0; t < threads; t++)
        if (__atomic_load_n(&IMAGE->threads[t].core.position, __ATOMIC_ACQUIRE) != streams[t].told)
            return true;
    return false;
}

uint64_t stored_bytes(void)
{
    return bytes;
}

void stored_clear(void)
{
    for (uint32_t t = 0; t < THREADS_MAX; t++) {
        if (streams[t].ring)
            munmap(streams[t].ring, 2ul * STREAM_RING_BYTES);
        memset(&streams[t], 0, sizeof streams[t]);
    }
}
