/* The record codec: golden bytes of docs/protocol.md, round trips, and what is malformed. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/record.h"
#include "record_random.h"

static void expect_bytes(const uint8_t *have, uint32_t length, const char *hex)
{
    char text[2 * RECORD_MAX_BYTES + 1] = "";
    for (uint32_t i = 0; i < length; i++)
        sprintf(text + 2 * i, "%02x", have[i]);
    cr_assert_str_eq(text, hex);
}

Test(record, has_the_documented_bytes)
{
    struct codec codec;
    uint8_t out[RECORD_MAX_BYTES];
    struct id_range ranges[] = {{100, 3}, {110, 1}};
    struct positions vor = {.threads = 2, .at = {300, 12}};

    codec_reset(&codec, 0);
    expect_bytes(out, record_order(&codec, out, 1, 5), "0105");
    expect_bytes(out, record_order(&codec, out, 3, 300), "11ac02"); /* one predicted before */
    expect_bytes(out, record_fail(&codec, out, 19, 6), "f20006");   /* fifteen predicted */
    expect_bytes(out, record_number(&codec, out, 20, -1), "0301");
    expect_bytes(out, record_bytes(&codec, out, 21, "abc", 3), "0403616263");
    expect_bytes(out, record_clock(&codec, out, 22, 1, 1000), "0501d00f");
    expect_bytes(out, record_clock(&codec, out, 23, 1, 999), "050101");
    expect_bytes(out, record_receive(&codec, out, 24, 2, ranges, 2), "060202c801030e01");
    expect_bytes(out, record_out(&codec, out, 25, 4, &vor, (struct digests){1, 0x1234}),
                 "070402ac020c0100000034120000");
    vor.at[1] = 13;
    expect_bytes(out, record_out(&codec, out, 26, 1, &vor, (struct digests){0, UINT32_MAX}),
                 "070102000100000000ffffffff");
    expect_bytes(out, record_load(&codec, out, 27, 9, 0, 77), "0809014d");
    expect_bytes(out, record_load(&codec, out, 28, 9, NO_THREAD, 0), "08090000");
    expect_bytes(out, record_read(&codec, out, 29, 3), "0903");
    expect_bytes(out, record_write(&codec, out, 30, 4, 2), "0a0402");
    expect_bytes(out, record_mixed(&codec, out, 31, 8, &vor), "0b08020000");
    expect_bytes(out, record_signal(&codec, out, 32, 15, -2), "0c0f03");
    expect_bytes(out, record_wide(&codec, out, 33, 9, 300, 0, 77), "0d09ac02014d");
    expect_bytes(out, record_effect(&codec, out, 34, (struct digests){2, 3}), "0e0200000003000000");
}

Test(record, comes_back_as_it_went)
{
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct random random = {seed};
        struct codec writer, reader;
        position start = random_magnitude(&random) / 2;
        codec_reset(&writer, start);
        codec_reset(&reader, start);
        for (int i = 0; i < 100; i++) {
            struct record sent, got = {0};
            uint8_t value[RECORD_VALUE_MAX_BYTES], bytes[RECORD_MAX_BYTES + 1];
            record_make(&random, writer.position, &sent, value);
            uint32_t length = record_put(&writer, bytes, &sent);
            cr_assert(length >= 1 && length <= RECORD_MAX_BYTES);
            bytes[length] = 0xFF; /* what follows does not matter */

            struct codec before = reader;
            uint32_t cut = (uint32_t)random_below(&random, length);
            cr_assert_eq(record_decode(&reader, bytes, cut, &got), 0, "seed %lu", seed);
            cr_assert_eq(memcmp(&before, &reader, sizeof reader), 0, "seed %lu", seed);
            cr_assert_eq(record_decode(&reader, bytes, length + 1, &got), (int)length, "seed %lu",
                         seed);
            cr_assert(record_same(&sent, &got), "seed %lu: %s differs", seed,
                      record_kind_name(sent.kind));
            cr_assert_eq(memcmp(&writer, &reader, sizeof reader), 0, "seed %lu", seed);
        }
    }
}

Test(record, none_is_longer_than_its_bound)
{
    struct codec codec;
    uint8_t out[RECORD_MAX_BYTES];
    uint8_t value[RECORD_VALUE_MAX_BYTES] = {0};
    struct id_range ranges[RECORD_RANGES_MAX];
    struct positions vector = {.threads = THREADS_MAX};
    for (uint32_t i = 0; i < RECORD_RANGES_MAX; i++)
        ranges[i] = (struct id_range){i % 2 ? 1 : UINT64_MAX / 2, UINT32_MAX};
    for (uint32_t t = 0; t < THREADS_MAX; t++)
        vector.at[t] = UINT64_MAX;

    codec_reset(&codec, 0);
    cr_assert_leq(record_receive(&codec, out, UINT64_MAX, UINT32_MAX, ranges, RECORD_RANGES_MAX),
                  RECORD_MAX_BYTES);
    codec_reset(&codec, 0);
    cr_assert_leq(record_mixed(&codec, out, UINT64_MAX, UINT64_MAX, &vector), RECORD_MAX_BYTES);
    codec_reset(&codec, 0);
    cr_assert_leq(record_bytes(&codec, out, UINT64_MAX, value, sizeof value), RECORD_MAX_BYTES);
}

static int decode(const char *bytes, size_t length, position start)
{
    struct codec codec, before;
    struct record record;
    codec_reset(&codec, start);
    before = codec;
    int taken = record_decode(&codec, (const uint8_t *)bytes, length, &record);
    if (taken <= 0)
        cr_assert_eq(memcmp(&before, &codec, sizeof codec), 0);
    return taken;
}
#define DECODE(text) decode(text, sizeof(text) - 1, 0)

Test(record, malformed_ones_are_refused)
{
    cr_assert_eq(DECODE("\x00\x01"), -EBADMSG); /* kinds */
    cr_assert_eq(DECODE("\x0f\x01"), -EBADMSG);
    cr_assert_eq(DECODE("\x01\x80\x00"), -EBADMSG); /* overlong varints */
    cr_assert_eq(DECODE("\x01\xff\x80\x00"), -EBADMSG);
    cr_assert_eq(DECODE("\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), 11);
    cr_assert_eq(DECODE("\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"), -EBADMSG);
    cr_assert_eq(DECODE("\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x81\x00"), -EBADMSG);
    cr_assert_eq(DECODE("\x04\x81\x08"), -EBADMSG);         /* 1025 bytes of value */
    cr_assert_eq(DECODE("\x05\x10\x00"), -EBADMSG);         /* clock slot 16 */
    cr_assert_eq(DECODE("\x06\x00\x00"), -EBADMSG);         /* no range */
    cr_assert_eq(DECODE("\x06\x00\x41"), -EBADMSG);         /* 65 ranges */
    cr_assert_eq(DECODE("\x06\x00\x01\x02\x00"), -EBADMSG); /* an empty range */
    cr_assert_eq(DECODE("\x06\x00\x01\x01\x02"), -EBADMSG); /* ids run over */
    cr_assert_eq(DECODE("\x06\x80\x80\x80\x80\x10\x01\x02\x01"), -EBADMSG); /* queue 2^32 */
    cr_assert_eq(DECODE("\x07\x01\x41"), -EBADMSG);                         /* 65 threads */
    cr_assert_eq(DECODE("\x08\x01\x41\x01"), -EBADMSG);                     /* writer 64 */
    cr_assert_eq(DECODE("\x0b\x01\x41"), -EBADMSG);
    cr_assert_eq(decode("\x01\x01", 2, UINT64_MAX - 1), 2);
    cr_assert_eq(decode("\x11\x01", 2, UINT64_MAX - 1), -EBADMSG); /* positions run over */
    cr_assert_eq(decode("\x01\x01", 2, UINT64_MAX), -EBADMSG);
    cr_assert_eq(DECODE("\xf1\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x01"), -EBADMSG);
}

Test(record, kinds_have_names)
{
    cr_assert_str_eq(record_kind_name(RECORD_ORDER), "order");
    for (int kind = 1; kind < RECORD_KINDS; kind++)
        cr_assert_str_neq(record_kind_name((enum record_kind)kind), "unknown");
    cr_assert_str_eq(record_kind_name(0), "unknown");
    cr_assert_str_eq(record_kind_name(RECORD_KINDS), "unknown");
}
