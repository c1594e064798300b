/*
 * The fuzz targets on 100,000 seeded inputs each: random bytes, and valid ones with a few changes,
 * which come much further. Meant for the asan preset, and quick enough for every run.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "../fuzz/targets.h"
#include "message_random.h"

#define INPUTS 100000u
#define INPUT_MAX (32u << 10)

/* A few of the usual accidents. */
static size_t mutate(struct random *random, uint8_t *bytes, size_t length)
{
    for (uint64_t n = random_below(random, 4); n > 0 && length > 0; n--) {
        size_t at = random_below(random, length);
        switch (random_below(random, 5)) {
        case 0:
            bytes[at] ^= (uint8_t)(1 << random_below(random, 8));
            break;
        case 1:
            bytes[at] = (uint8_t)random_next(random);
            break;
        case 2:
            bytes[at] = random_chance(random, 500) ? 0xFF : 0x80;
            break;
        case 3:
            length = at;
            break;
        case 4: /* a piece is lost */
            memmove(bytes + at, bytes + at + 1, length - at - 1);
            length--;
            break;
        }
    }
    return length;
}

/* In memory of exactly its size, so that ASan sees any read beyond. */
static size_t feed(size_t (*target)(const uint8_t *, size_t), const uint8_t *bytes, size_t length)
{
    uint8_t *exact = malloc(length > 0 ? length : 1);
    memcpy(exact, bytes, length);
    size_t accepted = target(exact, length);
    free(exact);
    return accepted;
}

static size_t make_random(struct random *random, uint8_t *out)
{
    size_t length = random_below(random, 200);
    random_fill(random, out, length);
    return length;
}

static size_t make_records(struct random *random, uint8_t *out)
{
    struct codec codec;
    struct record record;
    uint8_t value[RECORD_VALUE_MAX_BYTES];
    size_t length = 0;
    codec_reset(&codec, 0);
    for (uint64_t n = 1 + random_below(random, 4); n > 0; n--) {
        record_make(random, codec.position, &record, value);
        length += record_put(&codec, out + length, &record);
    }
    return length;
}

static size_t make_frame(struct random *random, uint8_t *out)
{
    static const uint8_t mac[6];
    struct frame frame = {.kind = (uint8_t)(1 + random_below(random, FRAME_KINDS - 1)),
                          .number = random_magnitude(random)};
    uint8_t *payload = out + FRAME_ETHERNET_BYTES + FRAME_HEADER_BYTES;
    uint8_t packet[100] = {0};
    for (uint64_t n = random_below(random, 4); n > 0; n--) {
        struct packet_item item = {.number = random_magnitude(random),
                                   .length = (uint16_t)random_below(random, sizeof packet),
                                   .bytes = packet};
        frame.length =
            (uint16_t)(frame.length + packet_item_write(payload + frame.length, 300, &item));
    }
    if (random_chance(random, 500)) /* else the checksum would hide the items */
        frame.length = (uint16_t)mutate(random, payload, frame.length);
    return frame_encode(out, mac, mac, &frame);
}

static size_t make_messages(struct random *random, uint8_t *out)
{
    static const uint8_t bulk[BULK_BYTES];
    static struct message message;
    size_t length = 0;
    for (uint64_t n = 1 + random_below(random, 2); n > 0; n--) {
        message_make(random, (enum message_kind)(1 + random_below(random, MESSAGE_KINDS - 1)), bulk,
                     &message);
        if (message.kind == MESSAGE_IMAGE_PAGES)
            message.image_pages.count = 1;
        if (message.kind == MESSAGE_STORED_LOG)
            message.stored_log.length %= 100;
        if (message.kind == MESSAGE_IMAGE_BEGIN)
            message.image_begin.description_bytes %= 100;
        int64_t bytes = message_encode(&message, out + length, INPUT_MAX - length);
        length += bytes > 0 ? (size_t)bytes : 0;
    }
    return length;
}

static void run(size_t (*target)(const uint8_t *, size_t),
                size_t (*make)(struct random *, uint8_t *))
{
    uint8_t *bytes = malloc(INPUT_MAX);
    uint32_t whole = 0;
    for (uint32_t seed = 0; seed < INPUTS; seed++) {
        struct random random = {seed};
        bool noise = seed % 4 == 0;
        size_t length = noise ? make_random(&random, bytes) : make(&random, bytes);
        if (seed % 4 > 1)
            length = mutate(&random, bytes, length);
        whole += feed(target, bytes, length) == length && length > 0;
    }
    cr_assert_geq(whole, INPUTS / 4, "only %u of %u inputs were accepted", whole, INPUTS);
    cr_assert_leq(whole, INPUTS - INPUTS / 4, "%u of %u inputs were accepted", whole, INPUTS);
    free(bytes);
}

Test(fuzz, records, .timeout = 300)
{
    run(fuzz_record, make_records);
}

Test(fuzz, frames, .timeout = 300)
{
    run(fuzz_frame, make_frame);
}

Test(fuzz, messages, .timeout = 300)
{
    run(fuzz_message, make_messages);
}
