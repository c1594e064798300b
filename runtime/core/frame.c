#include "frame.h"

#include <errno.h>
#include <isa-l/crc.h>
#include <string.h>

#include "assert.h"
#include "bytes.h"

/* Offsets within the header; docs/protocol.md, "Frames". */
enum {
    AT_VERSION = 0,
    AT_KIND = 1,
    AT_THREAD = 2,
    AT_LENGTH = 4,
    AT_FLAGS = 6,
    AT_EPOCH = 8,
    AT_SESSION = 12,
    AT_NUMBER = 16,
    AT_ACK = 24,
    AT_CREDIT = 32,
    AT_CRC = 36,
    AT_PAYLOAD = 40,
};
_Static_assert(AT_PAYLOAD == FRAME_HEADER_BYTES, "the header is as long as frame.h says");

/* isa-l computes the polynomial only; RFC 3720 starts from all ones and inverts the end. Its
 * prototype lacks const. */
static uint32_t crc_more(uint32_t crc, const uint8_t *bytes, size_t length)
{
    return crc32_iscsi((unsigned char *)bytes, (int)length, crc);
}

/* Of header and payload, the crc field counted as zero. */
static uint32_t frame_crc(const uint8_t *header, size_t payload)
{
    static const uint8_t zero[4];
    uint32_t crc = crc_more(~0u, header, AT_CRC);
    crc = crc_more(crc, zero, sizeof zero);
    return ~crc_more(crc, header + AT_PAYLOAD, payload);
}

uint32_t frame_encode(uint8_t *bytes, const uint8_t destination[6], const uint8_t source[6],
                      const struct frame *frame)
{
    ASSERT(frame->length <= FRAME_PAYLOAD_MAX_BYTES);
    memcpy(bytes, destination, 6);
    memcpy(bytes + 6, source, 6);
    bytes[12] = FRAME_ETHERTYPE >> 8; /* network order, as in every Ethernet header */
    bytes[13] = FRAME_ETHERTYPE & 0xFF;

    uint8_t *header = bytes + FRAME_ETHERNET_BYTES;
    header[AT_VERSION] = FRAME_VERSION;
    header[AT_KIND] = frame->kind;
    put16(header + AT_THREAD, frame->thread);
    put16(header + AT_LENGTH, frame->length);
    put16(header + AT_FLAGS, frame->flags);
    put32(header + AT_EPOCH, frame->epoch);
    put32(header + AT_SESSION, frame->session);
    put64(header + AT_NUMBER, frame->number);
    put64(header + AT_ACK, frame->ack);
    put32(header + AT_CREDIT, frame->credit);
    put32(header + AT_CRC, 0);
    put32(header + AT_CRC, ~crc_more(~0u, header, AT_PAYLOAD + (size_t)frame->length));
    return FRAME_ETHERNET_BYTES + FRAME_HEADER_BYTES + frame->length;
}

enum frame_error frame_decode(const uint8_t *bytes, size_t length, struct frame *frame,
                              const uint8_t **payload)
{
    if (length < FRAME_ETHERNET_BYTES)
        return FRAME_TRUNCATED;
    if (bytes[12] != FRAME_ETHERTYPE >> 8 || bytes[13] != (FRAME_ETHERTYPE & 0xFF))
        return FRAME_FOREIGN;
    if (length < FRAME_ETHERNET_BYTES + FRAME_HEADER_BYTES)
        return FRAME_TRUNCATED;

    const uint8_t *header = bytes + FRAME_ETHERNET_BYTES;
    if (header[AT_VERSION] != FRAME_VERSION)
        return FRAME_BAD_VERSION;
    if (header[AT_KIND] == 0 || header[AT_KIND] >= FRAME_KINDS)
        return FRAME_BAD_KIND;
    uint16_t payload_bytes = get16(header + AT_LENGTH);
    if (payload_bytes > FRAME_PAYLOAD_MAX_BYTES ||
        payload_bytes > length - FRAME_ETHERNET_BYTES - FRAME_HEADER_BYTES)
        return FRAME_TRUNCATED;
    uint32_t crc = get32(header + AT_CRC);
    if (crc != frame_crc(header, payload_bytes))
        return FRAME_BAD_CHECKSUM;

    *frame = (struct frame){
        .version = header[AT_VERSION],
        .kind = header[AT_KIND],
        .thread = get16(header + AT_THREAD),
        .length = payload_bytes,
        .flags = get16(header + AT_FLAGS),
        .epoch = get32(header + AT_EPOCH),
        .session = get32(header + AT_SESSION),
        .number = get64(header + AT_NUMBER),
        .ack = get64(header + AT_ACK),
        .credit = get32(header + AT_CREDIT),
        .crc32c = crc,
    };
    *payload = header + AT_PAYLOAD;
    return FRAME_OK;
}

const char *frame_error_name(enum frame_error error)
{
    static const char *const names[FRAME_ERRORS] = {
        [FRAME_OK] = "ok",
        [FRAME_TRUNCATED] = "truncated",
        [FRAME_FOREIGN] = "foreign",
        [FRAME_BAD_VERSION] = "bad-version",
        [FRAME_BAD_KIND] = "bad-kind",
        [FRAME_BAD_CHECKSUM] = "bad-checksum",
    };
    return (unsigned)error < FRAME_ERRORS ? names[error] : "unknown";
}

/* ---- payload items ---- */

uint32_t packet_item_write(uint8_t *out, uint32_t room, const struct packet_item *item)
{
    uint32_t bytes = PACKET_ITEM_HEADER_BYTES + item->length;
    ASSERT(item->length <= PACKET_MAX_BYTES);
    if (bytes > room)
        return 0;
    put64(out, item->number);
    put16(out + 8, item->port);
    put16(out + 10, item->length);
    memcpy(out + PACKET_ITEM_HEADER_BYTES, item->bytes, item->length);
    return bytes;
}

int packet_item_read(const uint8_t *bytes, uint32_t length, struct packet_item *item)
{
    if (length < PACKET_ITEM_HEADER_BYTES)
        return -EBADMSG;
    item->number = get64(bytes);
    item->port = get16(bytes + 8);
    item->length = get16(bytes + 10);
    item->bytes = bytes + PACKET_ITEM_HEADER_BYTES;
    if (item->length > PACKET_MAX_BYTES || item->length > length - PACKET_ITEM_HEADER_BYTES)
        return -EBADMSG;
    return (int)(PACKET_ITEM_HEADER_BYTES + item->length);
}

void log_header_write(uint8_t *out, position from, position to)
{
    put64(out, from);
    put64(out + 8, to);
}

int log_header_read(const uint8_t *bytes, uint32_t length, position *from, position *to)
{
    if (length < LOG_HEADER_BYTES)
        return -EBADMSG;
    *from = get64(bytes);
    *to = get64(bytes + 8);
    if (*to < *from)
        return -EBADMSG;
    return LOG_HEADER_BYTES;
}
