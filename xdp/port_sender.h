/*
 * The send side of one port: released packets go to the device, and into a queue when it does not
 * keep up. Nothing is dropped here while the device is up; the queue's bytes count
 * against the credit that the master gets, so it is bounded by what the output logger held.
 */
#ifndef PALISADE_XDP_PORT_SENDER_H
#define PALISADE_XDP_PORT_SENDER_H

#include "core/held.h"
#include "core/stall.h"
#include "logger.h"

struct port_sender {
    struct port_device *port;
    struct held_pool pool;
    struct held_packets queue;
    size_t queued_bytes;
    uint64_t sent, queued, dropped_down, dropped_invalid;
    struct stall waits; /* for the device, packets in the queue */
    bool down;          /* said once */
};

/* 0, or -ENOMEM: the packet could neither be sent nor queued. */
int port_sender_send(struct port_sender *sender, const uint8_t *bytes, uint16_t length);
/* Once a round: queue to device, device to wire. Returns packets moved. */
uint32_t port_sender_flush(struct port_sender *sender, struct logger *logger);
/* Something waits for the device: flush again soon. */
bool port_sender_waits(const struct port_sender *sender);
void port_sender_free(struct port_sender *sender);

#endif
