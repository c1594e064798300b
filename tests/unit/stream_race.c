/* See stream_race.h. */
#include "stream_race.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "core/assert.h"
#include "core/event.h"
#include "random.h"

#define RING (2 * RECORD_MAX_BYTES)
#define EVENTS 4000u
#define START 77u

/* What happened at one position, and how much of the log tells of it. */
struct happened {
    uint32_t length;    /* of a BYTES record; 0: a number */
    int64_t number;     /* 0 is predicted */
    uint64_t end;       /* bytes of log up to here */
    size_t segments;    /* begun up to here */
    uint8_t first_byte; /* of the bytes; all the same */
};

struct stream {
    struct happened event[EVENTS];
    uint8_t *bytes; /* the whole log */
    struct log_segment segment[EVENTS];
    size_t segment_count;
    /* as the backup has it; each byte twice */
    uint8_t ring[2 * RING];
    struct log_segment segments[STORED_SEGMENTS_MAX];
    struct log_reader reader;
    struct codec start;
    struct random random;
};

static void record_all(struct stream *stream)
{
    struct codec codec;
    uint64_t length = 0;
    uint8_t value[RECORD_VALUE_MAX_BYTES];

    codec_reset(&codec, START);
    stream->start = codec;
    for (uint32_t i = 0; i < EVENTS; i++) {
        struct happened *event = &stream->event[i];
        position at = START + 1 + i;
        if (i > 0 && random_chance(&stream->random, 20)) { /* several may lie at one offset */
            stream->segment[stream->segment_count++] =
                (struct log_segment){.offset = length, .start = at - 1};
            codec_reset(&codec, at - 1);
        }
        if (random_chance(&stream->random, 100)) {
            event->length = 1 + (uint32_t)random_below(&stream->random, sizeof value);
            event->first_byte = (uint8_t)random_next(&stream->random);
            memset(value, event->first_byte, event->length);
            length += record_bytes(&codec, stream->bytes + length, at, value, event->length);
        } else if (random_chance(&stream->random, 500)) {
            event->number = (int64_t)random_next(&stream->random) | 1;
            length += record_number(&codec, stream->bytes + length, at, event->number);
        }
        event->end = length;
        event->segments = stream->segment_count;
    }
}

static void *extend(void *context)
{
    struct stream *stream = context;
    struct random random = {stream->random.state + 1};
    const uint64_t whole = stream->event[EVENTS - 1].end;
    uint64_t length = 0;
    size_t segments = 0;
    uint32_t told = 0; /* events */

    while (told < EVENTS) {
        uint64_t room = log_reader_consumed(&stream->reader) + RING - length;
        uint64_t piece = random_below(&random, 3000);
        if (piece > room)
            piece = room;
        if (piece > whole - length)
            piece = whole - length;
        for (uint64_t i = length; i < length + piece; i++)
            stream->ring[i % RING] = stream->ring[i % RING + RING] = stream->bytes[i];
        length += piece;
        while (told < EVENTS && stream->event[told].end <= length &&
               stream->event[told].segments - log_reader_entered(&stream->reader) <
                   STORED_SEGMENTS_MAX)
            for (told++; segments < stream->event[told - 1].segments; segments++)
                stream->segments[segments % STORED_SEGMENTS_MAX] = stream->segment[segments];
        log_reader_extend(&stream->reader, length, segments, START + told);
        if (random_chance(&random, 300))
            sched_yield();
    }
    return NULL;
}

static void replay(struct stream *stream)
{
    struct thread_state thread = {.position = START};
    uint8_t bytes[RECORD_VALUE_MAX_BYTES];
    int64_t number;

    for (uint32_t i = 0; i < EVENTS;) {
        const struct happened *event = &stream->event[i];
        enum event may = event->length
                             ? ev_bytes_replay(&thread, &stream->reader, bytes, event->length)
                             : ev_number_replay(&thread, &stream->reader, 0, &number);
        ASSERT(may == EVENT_PASS || may == EVENT_END);
        if (may == EVENT_END) {
            sched_yield();
            continue;
        }
        for (uint32_t n = 0; n < event->length; n++)
            ASSERT(bytes[n] == event->first_byte);
        ASSERT(event->length > 0 || number == event->number);
        ASSERT(thread.position == START + ++i);
        if (i % 97 != 0)
            continue;
        /* What a snapshot would carry decodes what comes next. */
        struct codec codec;
        log_reader_codec(&stream->reader, &codec);
        ASSERT(codec.position <= thread.position || stream->reader.segment > 0);
    }
    ASSERT(ev_number_replay(&thread, &stream->reader, 0, &number) == EVENT_END);
}

void stream_race_run(uint64_t seed)
{
    struct stream *stream = calloc(1, sizeof *stream);
    pthread_t extender;

    ASSERT(stream != NULL);
    stream->random.state = seed;
    stream->bytes = malloc((size_t)EVENTS * RECORD_MAX_BYTES);
    ASSERT(stream->bytes != NULL);
    record_all(stream);
    log_reader_open(&stream->reader, stream->ring, RING, stream->segments, &stream->start, START);
    ASSERT(pthread_create(&extender, NULL, extend, stream) == 0);
    replay(stream);
    pthread_join(extender, NULL);
    free(stream->bytes);
    free(stream);
}
