/* See stored.h. Written before replay begins, read-only while it runs. */
#include "replay/stored.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "process.h"

static struct {
    uint8_t *bytes;
    size_t length, total;
    struct log_segment *segments;
    size_t segment_count;
} logs[THREADS_MAX];
static struct positions end;

int stored_add(const struct message_stored_log *piece)
{
    if (piece->thread >= THREADS_MAX || piece->offset != logs[piece->thread].length)
        return -EBADMSG;
    if (piece->offset == 0) {
        free(logs[piece->thread].bytes);
        free(logs[piece->thread].segments);
        size_t bytes = piece->segment_count * sizeof(struct log_segment);
        logs[piece->thread].bytes = malloc(piece->total + 1);
        logs[piece->thread].segments = malloc(bytes + 1);
        if (logs[piece->thread].bytes == NULL || logs[piece->thread].segments == NULL)
            process_fail(STATUS_MEMORY, "no memory for %llu bytes of logs to replay",
                         (unsigned long long)piece->total);
        memcpy(logs[piece->thread].segments, piece->segments, bytes);
        logs[piece->thread].segment_count = piece->segment_count;
        logs[piece->thread].total = piece->total;
    }
    if (piece->length > logs[piece->thread].total - logs[piece->thread].length)
        return -EBADMSG;
    memcpy(logs[piece->thread].bytes + piece->offset, piece->bytes, piece->length);
    logs[piece->thread].length += piece->length;
    return 0;
}

void stored_complete(const struct positions *logs_end)
{
    end = *logs_end;
}

void stored_reader_open(uint32_t thread)
{
    log_reader_init(&process.runs[thread].reader, logs[thread].bytes, logs[thread].length,
                    logs[thread].segments, logs[thread].segment_count, positions_get(&end, thread));
}

void stored_clear(void)
{
    for (uint32_t t = 0; t < THREADS_MAX; t++) {
        free(logs[t].bytes);
        free(logs[t].segments);
        memset(&logs[t], 0, sizeof logs[t]);
    }
}
