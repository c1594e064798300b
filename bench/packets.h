/*
 * The packets of the benchmark: UDP flows between clients on the lan and servers behind a gateway
 * on the wan, and the order in which they arrive. Pure: depends on the configuration and the seed
 * alone, makes no system call but for memory.
 */
#ifndef BENCH_PACKETS_H
#define BENCH_PACKETS_H

#include <stdbool.h>
#include <stdint.h>

#define PACKETS_FLOWS_MAX 32768u
#define PACKETS_WORKERS_MAX 16u
#define PACKETS_LAP 65536u /* arrivals a port until they repeat */
#define PACKETS_BURST 32u  /* consecutive ids of one port: what an input logger takes at once */
#define PACKET_BYTES_MAX 1514u

enum packets_port { PACKETS_LAN, PACKETS_WAN, PACKETS_PORTS };
enum packets_profile {
    PACKETS_SMALL, /* 64 bytes on the wire, 60 without the check sequence */
    PACKETS_MIXED, /* 60, 576, 1514 bytes as 7 : 4 : 1 */
};

/* The world as the NF must be configured for it. */
#define PACKETS_LAN_ADDRESS "10.0.0.1/16"
#define PACKETS_WAN_ADDRESS "192.0.2.1/24"
#define PACKETS_GATEWAY "192.0.2.254"
extern const uint8_t packets_nf_mac[PACKETS_PORTS][6];

struct packets_config {
    uint32_t workers, flows;
    enum packets_profile profile;
    uint64_t seed;
};

struct packet_bytes {
    uint16_t length; /* 0: not known yet (an answer before its question was seen) */
    uint8_t bytes[PACKET_BYTES_MAX];
};

/* What one worker receives on one port: arrivals of a lap, in order. */
struct packets_list {
    uint32_t count;
    struct arrival {
        uint32_t flow;
        uint32_t offset; /* of the id within the lap of both ports, 0 .. 2 * PACKETS_LAP - 1 */
    } * arrivals;
};

struct packets {
    struct packets_config config;
    struct packet_bytes *flows[PACKETS_PORTS]; /* by flow: question (LAN), answer (WAN) */
    struct packets_list lists[PACKETS_PORTS][PACKETS_WORKERS_MAX];
    struct packet_bytes hello; /* the gateway asks who the NF is: now the NF knows it */
};

/* Makes the questions and their lists. 0 or -ENOMEM. */
int packets_make(struct packets *packets, const struct packets_config *config);
/*
 * A packet that the NF sent on the wan. Returns its flow and makes the flow's answer; -1 when it
 * is none of ours (ARP, or not well-formed). One thread at a time for one flow.
 */
int64_t packets_learn(struct packets *packets, const uint8_t *bytes, uint32_t length);
/* All flows are learned: makes the lists of the wan. 0 or -ENOMEM. */
int packets_make_answers(struct packets *packets);
/* The NF's answer to `hello`? */
bool packets_is_hello_answer(const uint8_t *bytes, uint32_t length);
/* Which worker's socket a packet arrives at. */
uint32_t packets_worker(const struct packets *packets, const struct packet_bytes *packet);
/* Symmetric: the same for both directions of a flow. */
uint32_t packets_flow_hash(const uint8_t *bytes, uint32_t length);

#endif
