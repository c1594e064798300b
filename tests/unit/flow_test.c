/* The flow hash: symmetric, the same for all fragments, and it never looks beyond the packet. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "hooks/packets/flow.h"

/* A packet of `length` bytes in memory that ends with it, so that ASan sees a read beyond. */
static uint32_t hash(const uint8_t *bytes, uint32_t length)
{
    uint8_t *copy = malloc(length + 1);
    memcpy(copy + 1, bytes, length);
    uint32_t result = flow_hash(copy + 1, length);
    free(copy);
    return result;
}

static void ip4(uint8_t *packet, uint8_t protocol, uint8_t from, uint8_t to, uint8_t port)
{
    memset(packet, 0, 28);
    packet[0] = 0x45;
    packet[9] = protocol;
    packet[15] = from;
    packet[19] = to;
    packet[21] = 5;
    packet[23] = port;
}

static void ip6(uint8_t *packet, uint8_t next, uint8_t from, uint8_t to, uint8_t port)
{
    memset(packet, 0, 48);
    packet[0] = 0x60;
    packet[6] = next;
    packet[23] = from;
    packet[39] = to;
    packet[41] = 5;
    packet[43] = port;
}

Test(flow, both_directions_hash_alike)
{
    uint8_t there[48], back[48];
    ip4(there, 6, 1, 2, 80);
    ip4(back, 6, 2, 1, 5);
    back[21] = 80;
    cr_assert_eq(hash(there, 28), hash(back, 28));
    ip6(there, 17, 1, 2, 80);
    ip6(back, 17, 2, 1, 5);
    back[41] = 80;
    cr_assert_eq(hash(there, 48), hash(back, 48));
}

Test(flow, addresses_ports_and_protocols_tell_flows_apart)
{
    uint8_t one[48], other[48];
    ip4(one, 17, 1, 2, 80);
    ip4(other, 17, 1, 2, 81);
    cr_assert_neq(hash(one, 28), hash(other, 28));
    ip4(other, 6, 1, 2, 80);
    cr_assert_neq(hash(one, 28), hash(other, 28));
    ip4(other, 17, 1, 3, 80);
    cr_assert_neq(hash(one, 28), hash(other, 28));
    ip6(one, 17, 1, 2, 80);
    ip6(other, 17, 1, 2, 81);
    cr_assert_neq(hash(one, 48), hash(other, 48));
    ip6(other, 17, 1, 3, 80);
    cr_assert_neq(hash(one, 48), hash(other, 48));
    ip6(other, 58, 1, 2, 80);
    cr_assert_neq(hash(one, 48), hash(other, 48));
}

Test(flow, fragments_stay_with_their_packet)
{
    uint8_t first[48], later[48];
    ip4(first, 17, 1, 2, 80);
    ip4(later, 17, 1, 2, 99); /* its payload, not ports */
    first[6] = 0x20;
    later[7] = 9;
    cr_assert_eq(hash(first, 28), hash(later, 28));
    ip6(first, 44, 1, 2, 80);
    ip6(later, 44, 1, 2, 99);
    first[40] = later[40] = 17;
    cr_assert_eq(hash(first, 48), hash(later, 48));
}

Test(flow, options_move_the_ports)
{
    uint8_t one[32], other[32];
    ip4(one, 17, 1, 2, 0);
    one[0] = 0x46;
    memset(one + 20, 0, 12);
    memcpy(other, one, sizeof one);
    other[21] = 1; /* an option */
    cr_assert_eq(hash(one, 32), hash(other, 32));
    other[25] = 1; /* a port */
    cr_assert_neq(hash(one, 32), hash(other, 32));
}

Test(flow, what_is_no_ip_or_is_cut_hashes_alike_and_safely)
{
    uint8_t packet[64];
    for (uint32_t first = 0; first < 256; first++)
        for (uint32_t length = 0; length <= sizeof packet; length++) {
            memset(packet, 0xff, sizeof packet);
            packet[0] = (uint8_t)first;
            packet[9] = packet[6] = 17;
            uint32_t result = hash(packet, length);
            uint32_t least = first >> 4 == 4 ? 20 : first >> 4 == 6 ? 40 : UINT32_MAX;
            if (length < least)
                cr_assert_eq(result, hash(packet, 0));
        }
}

Test(flow, spreads)
{
    uint32_t seen[4] = {0};
    uint8_t packet[28];
    for (int port = 0; port < 256; port++) {
        ip4(packet, 17, 1, 2, (uint8_t)port);
        seen[(uint64_t)hash(packet, 28) * 4 >> 32]++;
    }
    for (int i = 0; i < 4; i++)
        cr_assert_gt(seen[i], 30, "%u of 256 in queue %d", seen[i], i);
}
