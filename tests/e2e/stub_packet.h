/* What stub_traffic sends and stub_nf stamps. */
#ifndef PALISADE_TESTS_STUB_PACKET_H
#define PALISADE_TESTS_STUB_PACKET_H

#include <stdint.h>

#define STUB_MAGIC 0x50414c49u

struct stub_packet {
    uint8_t destination[6], source[6];
    uint16_t type;
    uint32_t magic;
    uint64_t number; /* by the sender, from 1 */
    uint64_t stamp;  /* by the NF: packets it has counted */
    uint8_t padding[64];
} __attribute__((packed));

#endif
