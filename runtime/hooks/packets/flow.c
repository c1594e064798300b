/* See flow.h. */
#include "hooks/packets/flow.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>

#define IP4_BYTES 20u
#define IP6_BYTES 40u

/* The ports of a TCP or UDP header at `header`, folded; 0 when there are none. */
static uint32_t ports(const uint8_t *ip, uint32_t length, uint32_t header, uint8_t protocol)
{
    uint16_t from, to;
    if ((protocol != IPPROTO_TCP && protocol != IPPROTO_UDP) || length < header + 4)
        return 0;
    memcpy(&from, ip + header, 2);
    memcpy(&to, ip + header + 2, 2);
    return (uint32_t)(from ^ to) << 8;
}

static uint32_t fold4(const uint8_t *ip, uint32_t length)
{
    uint32_t source, destination, header = (ip[0] & 15u) * 4u;
    memcpy(&source, ip + 12, 4);
    memcpy(&destination, ip + 16, 4);
    bool fragment = ((ip[6] & 0x3f) | ip[7]) != 0;
    return source ^ destination ^ ip[9] ^ (fragment ? 0 : ports(ip, length, header, ip[9]));
}

/* Ports behind extension headers are not looked for, so that fragments stay with their packet. */
static uint32_t fold6(const uint8_t *ip, uint32_t length)
{
    uint32_t words[8], fold = ip[6];
    memcpy(words, ip + 8, sizeof words);
    for (int i = 0; i < 8; i++)
        fold ^= words[i];
    return fold ^ ports(ip, length, IP6_BYTES, ip[6]);
}

uint32_t flow_hash(const uint8_t *ip, uint32_t length)
{
    uint32_t hash = 0;
    if (length >= IP4_BYTES && ip[0] >> 4 == 4)
        hash = fold4(ip, length);
    else if (length >= IP6_BYTES && ip[0] >> 4 == 6)
        hash = fold6(ip, length);
    hash *= 0x9E3779B1u;
    return hash ^ hash >> 15;
}
