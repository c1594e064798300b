/*
 * See frame.h. Header after the Ethernet header, offsets in bytes:
 *
 *   0 version u8 | 1 kind u8 | 2 thread u16 | 4 length u16 | 6 flags u16 | 8 epoch u32
 *   12 session u32 | 16 number u64 | 24 ack u64 | 32 credit u32 | 36 crc32c u32
 */
#include "core/frame.h"

#include <errno.h>
#include <isa-l/crc.h>

#include "core/assert.h"
#include "core/wire_bytes.h"

#define CRC_OFFSET 36u

/* RFC 3720: initial value and result are complemented; isa-l does neither. */
static uint32_t checksum(const uint8_t *header, uint32_t length)
{
    static const uint8_t zero[4];
    uint32_t crc = crc32_iscsi((uint8_t *)header, CRC_OFFSET, 0xffffffff);
    crc = crc32_iscsi((uint8_t *)zero, sizeof zero, crc);
    crc = crc32_iscsi((uint8_t *)header + FRAME_HEADER_BYTES, (int)length, crc);
    return ~crc;
}

uint32_t frame_encode(uint8_t *bytes, const uint8_t destination[6], const uint8_t source[6],
                      const struct frame *frame)
{
    ASSERT(frame->length <= FRAME_PAYLOAD_MAX_BYTES);
    uint8_t *header = bytes + FRAME_ETHERNET_BYTES;
    memcpy(bytes, destination, 6);
    memcpy(bytes + 6, source, 6);
    bytes[12] = FRAME_ETHERTYPE >> 8;
    bytes[13] = FRAME_ETHERTYPE & 0xff;
    header[0] = FRAME_VERSION;
    header[1] = frame->kind;
    put_le16(header + 2, frame->thread);
    put_le16(header + 4, frame->length);
    put_le16(header + 6, frame->flags);
    put_le32(header + 8, frame->epoch);
    put_le32(header + 12, frame->session);
    put_le64(header + 16, frame->number);
    put_le64(header + 24, frame->ack);
    put_le32(header + 32, frame->credit);
    put_le32(header + CRC_OFFSET, checksum(header, frame->length));
    return FRAME_ETHERNET_BYTES + FRAME_HEADER_BYTES + frame->length;
}

enum frame_error frame_decode(const uint8_t *bytes, size_t length, struct frame *frame,
                              const uint8_t **payload)
{
    if (length < FRAME_ETHERNET_BYTES)
        return FRAME_TRUNCATED;
    if (bytes[12] != FRAME_ETHERTYPE >> 8 || bytes[13] != (FRAME_ETHERTYPE & 0xff))
        return FRAME_FOREIGN;
    if (length < FRAME_ETHERNET_BYTES + FRAME_HEADER_BYTES)
        return FRAME_TRUNCATED;
    const uint8_t *header = bytes + FRAME_ETHERNET_BYTES;
    if (header[0] != FRAME_VERSION)
        return FRAME_BAD_VERSION;
    *frame = (struct frame){
        .version = header[0],
        .kind = header[1],
        .thread = get_le16(header + 2),
        .length = get_le16(header + 4),
        .flags = get_le16(header + 6),
        .epoch = get_le32(header + 8),
        .session = get_le32(header + 12),
        .number = get_le64(header + 16),
        .ack = get_le64(header + 24),
        .credit = get_le32(header + 32),
        .crc32c = get_le32(header + CRC_OFFSET),
    };
    /* Short Ethernet frames may be padded: more bytes than `length` says are fine. */
    if (frame->length > length - FRAME_ETHERNET_BYTES - FRAME_HEADER_BYTES ||
        frame->length > FRAME_PAYLOAD_MAX_BYTES)
        return FRAME_TRUNCATED;
    if (checksum(header, frame->length) != frame->crc32c)
        return FRAME_BAD_CHECKSUM;
    if (frame->kind == 0 || frame->kind >= FRAME_KINDS)
        return FRAME_BAD_KIND;
    *payload = header + FRAME_HEADER_BYTES;
    return FRAME_OK;
}

const char *frame_error_name(enum frame_error error)
{
    static const char *const names[FRAME_ERRORS] = {
        [FRAME_OK] = "ok",
        [FRAME_TRUNCATED] = "truncated",
        [FRAME_FOREIGN] = "foreign",
        [FRAME_BAD_VERSION] = "bad_version",
        [FRAME_BAD_KIND] = "bad_kind",
        [FRAME_BAD_CHECKSUM] = "bad_checksum",
    };
    return error < FRAME_ERRORS ? names[error] : "unknown";
}

uint32_t packet_item_write(uint8_t *out, uint32_t room, const struct packet_item *item)
{
    ASSERT(item->length <= PACKET_MAX_BYTES);
    if (room < PACKET_ITEM_HEADER_BYTES || room - PACKET_ITEM_HEADER_BYTES < item->length)
        return 0;
    put_le64(out, item->number);
    put_le16(out + 8, item->port);
    put_le16(out + 10, item->length);
    memcpy(out + PACKET_ITEM_HEADER_BYTES, item->bytes, item->length);
    return PACKET_ITEM_HEADER_BYTES + item->length;
}

int packet_item_read(const uint8_t *bytes, uint32_t length, struct packet_item *item)
{
    if (length < PACKET_ITEM_HEADER_BYTES)
        return -EBADMSG;
    item->number = get_le64(bytes);
    item->port = get_le16(bytes + 8);
    item->length = get_le16(bytes + 10);
    item->bytes = bytes + PACKET_ITEM_HEADER_BYTES;
    if (item->length > PACKET_MAX_BYTES || item->length > length - PACKET_ITEM_HEADER_BYTES)
        return -EBADMSG;
    return (int)PACKET_ITEM_HEADER_BYTES + item->length;
}

void log_header_write(uint8_t *out, position from, position to)
{
    put_le64(out, from);
    put_le64(out + 8, to);
}

int log_header_read(const uint8_t *bytes, uint32_t length, position *from, position *to)
{
    if (length < LOG_HEADER_BYTES)
        return -EBADMSG;
    *from = get_le64(bytes);
    *to = get_le64(bytes + 8);
    return *to < *from ? -EBADMSG : (int)LOG_HEADER_BYTES;
}
