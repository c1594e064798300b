/* See targets.h. */
#include "targets.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../unit/record_random.h"
#include "core/assert.h"
#include "core/message.h"

size_t fuzz_record(const uint8_t *bytes, size_t length)
{
    struct codec reader, writer;
    struct record record;
    uint8_t again[RECORD_MAX_BYTES];
    size_t at = 0;
    codec_reset(&reader, 0);
    codec_reset(&writer, 0);
    for (;;) {
        struct codec before = reader;
        int taken = record_decode(&reader, bytes + at, length - at, &record);
        if (taken <= 0) {
            ASSERT(taken == 0 || taken == -EBADMSG);
            ASSERT(memcmp(&before, &reader, sizeof reader) == 0);
            return at;
        }
        ASSERT((size_t)taken <= length - at && taken <= (int)RECORD_MAX_BYTES);
        ASSERT(record_put(&writer, again, &record) == (uint32_t)taken);
        ASSERT(memcmp(again, bytes + at, (size_t)taken) == 0);
        ASSERT(memcmp(&writer, &reader, sizeof reader) == 0);
        at += (size_t)taken;
    }
}

static void fuzz_payload(const struct frame *frame, const uint8_t *payload)
{
    struct packet_item item;
    position from, to;
    uint8_t again[PACKET_ITEM_HEADER_BYTES + PACKET_MAX_BYTES];
    int taken = log_header_read(payload, frame->length, &from, &to);
    ASSERT(taken == -EBADMSG || (taken == (int)LOG_HEADER_BYTES && from <= to));
    for (uint32_t at = 0; at < frame->length; at += (uint32_t)taken) {
        taken = packet_item_read(payload + at, frame->length - at, &item);
        if (taken < 0)
            break;
        ASSERT(taken > 0 && (uint32_t)taken <= frame->length - at);
        ASSERT(packet_item_write(again, sizeof again, &item) == (uint32_t)taken);
        ASSERT(memcmp(again, payload + at, (size_t)taken) == 0);
    }
}

size_t fuzz_frame(const uint8_t *bytes, size_t length)
{
    struct frame frame;
    const uint8_t *payload;
    enum frame_error error = frame_decode(bytes, length, &frame, &payload);
    if (error != FRAME_OK) {
        ASSERT(error < FRAME_ERRORS);
        return 0;
    }
    ASSERT(payload + frame.length <= bytes + length);
    uint8_t *again = malloc(FRAME_MAX_BYTES);
    memcpy(again + FRAME_ETHERNET_BYTES + FRAME_HEADER_BYTES, payload, frame.length);
    uint32_t total = frame_encode(again, bytes, bytes + 6, &frame);
    ASSERT(memcmp(again, bytes, total) == 0);
    free(again);
    fuzz_payload(&frame, payload);
    return total;
}

size_t fuzz_message(const uint8_t *bytes, size_t length)
{
    struct message *message = malloc(sizeof *message);
    uint8_t *again = malloc(length + 1);
    size_t at = 0;
    for (;;) {
        int64_t taken = message_decode(bytes + at, length - at, message);
        if (taken <= 0) {
            ASSERT(taken == 0 || taken == -EBADMSG || taken == -EPROTO);
            break;
        }
        ASSERT((size_t)taken <= length - at);
        ASSERT(message_encode(message, again, length) == taken);
        ASSERT(memcmp(again, bytes + at, (size_t)taken) == 0);
        at += (size_t)taken;
    }
    free(message);
    free(again);
    return at;
}
