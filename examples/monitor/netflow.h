/*
 * NetFlow version 5 by UDP. The header's sequence number counts flow records, so that a collector
 * sees what it misses. One thread at a time.
 */
#ifndef NETFLOW_H
#define NETFLOW_H

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "flows.h"

#define NETFLOW_VERSION 5
#define RECORDS_MAX 30 /* a datagram */

struct netflow_header {
    uint16_t version, count;
    uint32_t uptime_ms, now_s, now_ns;
    uint32_t sequence; /* of the first record */
    uint8_t engine_type, engine_id;
    uint16_t sampling;
};

struct netflow_record {
    uint32_t source, destination, next_hop;
    uint16_t input, output;
    uint32_t packets, bytes;
    uint32_t first_ms, last_ms; /* on the scale of uptime_ms */
    uint16_t source_port, destination_port;
    uint8_t pad, tcp_flags, protocol, service;
    uint16_t source_as, destination_as;
    uint8_t source_mask, destination_mask;
    uint16_t pad2;
};
_Static_assert(sizeof(struct netflow_header) == 24, "as on the wire");
_Static_assert(sizeof(struct netflow_record) == 48, "as on the wire");

struct netflow {
    int fd; /* -1: no collector */
    int64_t start_ms;
    uint64_t records, packets, bytes; /* exported so far */
    uint64_t unsent;                  /* records that the system did not take */
    unsigned count;
    struct {
        struct netflow_header header;
        struct netflow_record records[RECORDS_MAX];
    } datagram;
};

static void netflow_flush(struct netflow *netflow, int64_t now_ms)
{
    struct netflow_header *header = &netflow->datagram.header;
    size_t length = sizeof(*header) + netflow->count * sizeof(struct netflow_record);

    if (netflow->count == 0)
        return;
    header->version = htons(NETFLOW_VERSION);
    header->count = htons((uint16_t)netflow->count);
    header->uptime_ms = htonl((uint32_t)(now_ms - netflow->start_ms));
    header->now_s = htonl((uint32_t)(now_ms / 1000));
    header->now_ns = htonl((uint32_t)(now_ms % 1000 * 1000000));
    header->sequence = htonl((uint32_t)netflow->records);
    if (netflow->fd >= 0 && send(netflow->fd, &netflow->datagram, length, 0) != (ssize_t)length)
        netflow->unsent += netflow->count;
    netflow->records += netflow->count;
    netflow->count = 0;
}

static void netflow_add(struct netflow *netflow, const struct flow *flow, int64_t now_ms)
{
    struct netflow_record *record = &netflow->datagram.records[netflow->count++];

    memset(record, 0, sizeof(*record));
    record->source = flow->key.source;
    record->destination = flow->key.destination;
    record->input = htons(flow->key.interface);
    record->packets = htonl(flow->packets);
    record->bytes = htonl(flow->bytes);
    record->first_ms = htonl((uint32_t)(flow->first_ms - netflow->start_ms));
    record->last_ms = htonl((uint32_t)(flow->last_ms - netflow->start_ms));
    record->source_port = flow->key.source_port;
    record->destination_port = flow->key.destination_port;
    record->tcp_flags = flow->tcp_flags;
    record->protocol = flow->key.protocol;
    record->service = flow->key.service;
    netflow->packets += flow->packets;
    netflow->bytes += flow->bytes;
    if (netflow->count == RECORDS_MAX)
        netflow_flush(netflow, now_ms);
}

#endif
