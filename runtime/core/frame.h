/*
 * The wire frame of a link. Layout, field by field: docs/protocol.md, "Frames".
 *
 * Ethernet header with EtherType 0x88B5 (IEEE local experimental), then this fixed
 * little-endian header, then `length` payload bytes. crc32c (RFC 3720, by isa-l) covers header
 * (with a zero crc field) and payload.
 */
#ifndef PALISADE_CORE_FRAME_H
#define PALISADE_CORE_FRAME_H

#include "types.h"

#define FRAME_ETHERTYPE 0x88B5u
#define FRAME_VERSION 1u
#define FRAME_ETHERNET_BYTES 14u
#define FRAME_HEADER_BYTES 40u /* after the Ethernet header */
#define FRAME_MAX_BYTES 3400u  /* Ethernet header included; below veth's native-XDP limit */
#define FRAME_PAYLOAD_MAX_BYTES (FRAME_MAX_BYTES - FRAME_ETHERNET_BYTES - FRAME_HEADER_BYTES)

enum frame_kind {
    FRAME_INPUT = 1, /* IL -> NF: packets, see input_packet */
    FRAME_LOG,       /* NF -> OL: one log_chunk of one thread */
    FRAME_OUTPUT,    /* NF -> OL: packets, see output_packet */
    FRAME_ACK,       /* either way: no payload; never itself numbered */
    FRAME_KINDS
};

struct frame {
    uint8_t version;
    uint8_t kind;
    uint16_t thread;  /* LOG, OUTPUT: the NF thread */
    uint16_t length;  /* payload bytes */
    uint16_t flags;   /* FRAME_RESET, FRAME_GAP */
    uint32_t epoch;   /* of the sender; G5 */
    uint32_t session; /* of the link, agreed in the hello; frames of another are dropped */
    uint64_t number;  /* of this frame in its link direction, from 1; 0 for ACK */
    uint64_t ack;     /* highest contiguous number received the other way */
    uint32_t credit;  /* frames the sender of this frame can take beyond `ack` */
    uint32_t crc32c;
};
#define FRAME_RESET 1u /* LOG: log_chunk.reset */
#define FRAME_GAP 2u   /* ACK: a frame beyond `ack` arrived and was dropped: go back */

enum frame_error {
    FRAME_OK = 0,
    FRAME_TRUNCATED,
    FRAME_FOREIGN, /* not our EtherType */
    FRAME_BAD_VERSION,
    FRAME_BAD_KIND,
    FRAME_BAD_CHECKSUM,
    FRAME_ERRORS
};

/*
 * Writes Ethernet header, header and checksum before the payload, which the caller has placed
 * at bytes + FRAME_ETHERNET_BYTES + FRAME_HEADER_BYTES. Returns the frame's total bytes.
 */
uint32_t frame_encode(uint8_t *bytes, const uint8_t destination[6], const uint8_t source[6],
                      const struct frame *frame);
/* Checks everything above; *payload points into `bytes`. Never reads past `length`. */
enum frame_error frame_decode(const uint8_t *bytes, size_t length, struct frame *frame,
                              const uint8_t **payload);
const char *frame_error_name(enum frame_error error);

/*
 * Payloads: sequences of items, unaligned little-endian.
 *   INPUT:  { u64 id; u16 port; u16 length; bytes }*
 *   LOG:    { u64 from; u64 to; bytes of the log }
 *   OUTPUT: { u64 number; u16 port; u16 length; bytes }*
 * The writers return the bytes written, 0 when `room` is too small; the readers return the bytes
 * taken, or -EBADMSG when the payload is malformed.
 */
struct packet_item {
    uint64_t number; /* INPUT: packet_id; OUTPUT: output number of the frame's thread */
    uint16_t port;
    uint16_t length;
    const uint8_t *bytes;
};
#define PACKET_ITEM_HEADER_BYTES 12u
#define LOG_HEADER_BYTES 16u
uint32_t packet_item_write(uint8_t *out, uint32_t room, const struct packet_item *item);
int packet_item_read(const uint8_t *bytes, uint32_t length, struct packet_item *item);
void log_header_write(uint8_t *out, position from, position to);
int log_header_read(const uint8_t *bytes, uint32_t length, position *from, position *to);

#endif
