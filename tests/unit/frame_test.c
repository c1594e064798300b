/* Frames: golden bytes of docs/protocol.md, round trips, and every reason to refuse one. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <isa-l/crc.h>

#include "core/frame.h"
#include "random.h"

#define OVERHEAD (FRAME_ETHERNET_BYTES + FRAME_HEADER_BYTES)

static const uint8_t to[6] = {2, 0, 0, 0, 0, 1}, from[6] = {2, 0, 0, 0, 0, 2};

Test(frame, has_the_documented_bytes)
{
    uint8_t bytes[FRAME_MAX_BYTES];
    char hex[200] = "";
    struct frame frame = {.kind = FRAME_LOG,
                          .thread = 3,
                          .flags = FRAME_RESET,
                          .length = 2,
                          .epoch = 0x04050607,
                          .session = 0x08090a0b,
                          .number = 0x1112131415161718,
                          .ack = 0x2122232425262728,
                          .credit = 0x31323334};
    memcpy(bytes + OVERHEAD, "ab", 2);
    cr_assert_eq(frame_encode(bytes, to, from, &frame), OVERHEAD + 2);
    for (uint32_t i = 0; i < OVERHEAD - 4; i++)
        sprintf(hex + 2 * i, "%02x", bytes[i]);
    cr_assert_str_eq(hex, "02000000000102000000000288b5"
                          "0102030002000100"
                          "070605040b0a0908"
                          "1817161514131211"
                          "2827262524232221"
                          "34333231");
}

Test(frame, checksum_is_that_of_rfc_3720)
{
    uint8_t check[] = "123456789", zeros[32] = {0};
    cr_assert_eq(~crc32_iscsi(check, 9, ~0u), 0xE3069283);
    cr_assert_eq(~crc32_iscsi(zeros, 32, ~0u), 0x8A9136AA); /* RFC 3720, B.4 */

    uint8_t bytes[FRAME_MAX_BYTES];
    struct frame frame = {.kind = FRAME_OUTPUT, .length = 5, .number = 1};
    memcpy(bytes + OVERHEAD, "hello", 5);
    uint32_t length = frame_encode(bytes, to, from, &frame);
    uint8_t *crc_at = bytes + OVERHEAD - 4;
    uint32_t crc = crc_at[0] | crc_at[1] << 8 | crc_at[2] << 16 | (uint32_t)crc_at[3] << 24;
    memset(crc_at, 0, 4);
    cr_assert_eq(
        crc, ~crc32_iscsi(bytes + FRAME_ETHERNET_BYTES, (int)(length - FRAME_ETHERNET_BYTES), ~0u));
}

static struct frame frame_make(struct random *random, uint8_t *bytes)
{
    struct frame frame = {
        .kind = (uint8_t)(1 + random_below(random, FRAME_KINDS - 1)),
        .thread = (uint16_t)random_magnitude(random),
        .flags = (uint16_t)random_magnitude(random),
        .length = (uint16_t)random_below(random, FRAME_PAYLOAD_MAX_BYTES + 1),
        .epoch = (uint32_t)random_magnitude(random),
        .session = (uint32_t)random_magnitude(random),
        .number = random_magnitude(random),
        .ack = random_magnitude(random),
        .credit = (uint32_t)random_magnitude(random),
    };
    random_fill(random, bytes + OVERHEAD, frame.length);
    frame_encode(bytes, to, from, &frame);
    return frame;
}

Test(frame, comes_back_as_it_went)
{
    struct random random = {1};
    uint8_t bytes[FRAME_MAX_BYTES + 40];
    for (int i = 0; i < 3000; i++) {
        struct frame sent = frame_make(&random, bytes), got;
        const uint8_t *payload;
        uint32_t padding = (uint32_t)random_below(&random, 40); /* Ethernet pads short frames */
        cr_assert_eq(frame_decode(bytes, OVERHEAD + sent.length + padding, &got, &payload),
                     FRAME_OK);
        cr_assert_eq(payload, bytes + OVERHEAD);
        cr_assert(got.version == FRAME_VERSION && got.kind == sent.kind &&
                  got.thread == sent.thread && got.flags == sent.flags &&
                  got.length == sent.length && got.epoch == sent.epoch &&
                  got.session == sent.session && got.number == sent.number && got.ack == sent.ack &&
                  got.credit == sent.credit);
    }
}

Test(frame, every_cut_and_every_changed_bit_is_noticed)
{
    struct random random = {2};
    uint8_t bytes[FRAME_MAX_BYTES];
    struct frame frame, got;
    const uint8_t *payload;
    do
        frame = frame_make(&random, bytes);
    while (frame.length < 20 || frame.length > 100);
    size_t total = OVERHEAD + frame.length;
    for (size_t length = 0; length < total; length++) {
        uint8_t *cut = malloc(length + 1); /* so that ASan sees a read beyond */
        memcpy(cut, bytes, length);
        cr_assert_eq(frame_decode(cut, length, &got, &payload), FRAME_TRUNCATED);
        free(cut);
    }
    for (size_t bit = 8 * FRAME_ETHERNET_BYTES; bit < 8 * total; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        cr_assert_neq(frame_decode(bytes, total, &got, &payload), FRAME_OK, "bit %zu", bit);
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    cr_assert_eq(frame_decode(bytes, total, &got, &payload), FRAME_OK);
}

static enum frame_error decode_with(uint32_t at, uint8_t value)
{
    uint8_t bytes[FRAME_MAX_BYTES];
    struct frame frame = {.kind = FRAME_LOG, .length = 0}, got;
    const uint8_t *payload;
    frame_encode(bytes, to, from, &frame);
    bytes[at] = value;
    return frame_decode(bytes, OVERHEAD, &got, &payload);
}

Test(frame, each_fault_has_its_name)
{
    uint8_t bytes[FRAME_MAX_BYTES];
    struct frame frame = {.kind = FRAME_KINDS}, got;
    const uint8_t *payload;

    cr_assert_eq(decode_with(12, 0x08), FRAME_FOREIGN);
    cr_assert_eq(decode_with(FRAME_ETHERNET_BYTES, 2), FRAME_BAD_VERSION);
    cr_assert_eq(decode_with(FRAME_ETHERNET_BYTES + 4, 1), FRAME_TRUNCATED);
    cr_assert_eq(decode_with(FRAME_ETHERNET_BYTES + 20, 1), FRAME_BAD_CHECKSUM);
    frame_encode(bytes, to, from, &frame);
    cr_assert_eq(frame_decode(bytes, OVERHEAD, &got, &payload), FRAME_BAD_KIND);
    for (int error = 0; error < FRAME_ERRORS; error++)
        cr_assert_str_neq(frame_error_name((enum frame_error)error), "unknown");
    cr_assert_str_eq(frame_error_name(FRAME_ERRORS), "unknown");
}

/* ---- payload items ---- */

Test(frame, packet_items_fill_a_payload)
{
    struct random random = {3};
    uint8_t payload[FRAME_PAYLOAD_MAX_BYTES], packet[PACKET_MAX_BYTES];
    struct packet_item sent[400], got;
    uint32_t used = 0, count = 0, at = 0, taken;
    random_fill(&random, packet, sizeof packet);
    do {
        sent[count] = (struct packet_item){.number = random_magnitude(&random),
                                           .port = (uint16_t)random_magnitude(&random),
                                           .length = (uint16_t)random_below(&random, 200),
                                           .bytes = packet};
        taken = packet_item_write(payload + used, sizeof payload - used, &sent[count]);
        used += taken;
    } while (taken > 0 && ++count < 400);
    cr_assert_eq(taken, 0);
    cr_assert_gt(count, 10);
    for (uint32_t i = 0; i < count; i++) {
        int bytes = packet_item_read(payload + at, used - at, &got);
        cr_assert_eq(bytes, (int)(PACKET_ITEM_HEADER_BYTES + sent[i].length));
        cr_assert(got.number == sent[i].number && got.port == sent[i].port &&
                  got.length == sent[i].length && memcmp(got.bytes, packet, got.length) == 0);
        at += (uint32_t)bytes;
    }
    cr_assert_eq(at, used);
}

Test(frame, malformed_packet_items_are_refused)
{
    uint8_t bytes[PACKET_ITEM_HEADER_BYTES + PACKET_MAX_BYTES + 1] = {0};
    struct packet_item item = {.number = 1, .length = 3, .bytes = (const uint8_t *)"abc"};
    cr_assert_eq(packet_item_write(bytes, 14, &item), 0);
    cr_assert_eq(packet_item_write(bytes, 15, &item), 15);
    for (uint32_t length = 0; length < 15; length++)
        cr_assert_eq(packet_item_read(bytes, length, &item), -EBADMSG);
    bytes[10] = (PACKET_MAX_BYTES + 1) & 0xff;
    bytes[11] = (PACKET_MAX_BYTES + 1) >> 8;
    cr_assert_eq(packet_item_read(bytes, sizeof bytes, &item), -EBADMSG);
}

Test(frame, log_headers_come_back)
{
    uint8_t bytes[LOG_HEADER_BYTES];
    position first, last;
    log_header_write(bytes, 7, 9);
    cr_assert_eq(log_header_read(bytes, sizeof bytes, &first, &last), LOG_HEADER_BYTES);
    cr_assert(first == 7 && last == 9);
    cr_assert_eq(log_header_read(bytes, sizeof bytes - 1, &first, &last), -EBADMSG);
    log_header_write(bytes, 9, 7);
    cr_assert_eq(log_header_read(bytes, sizeof bytes, &first, &last), -EBADMSG);
}
