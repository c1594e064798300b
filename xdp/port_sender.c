#include "port_sender.h"

#include <errno.h>
#include <string.h>

#include "core/assert.h"

/* False: no send frame is free. */
static bool to_socket(struct port_sender *sender, const uint8_t *bytes, uint16_t length)
{
    uint8_t *room = xsk_reserve(sender->port->xsk);
    if (!room)
        return false;
    memcpy(room, bytes, length);
    xsk_commit(sender->port->xsk, length);
    sender->sent++;
    return true;
}

int port_sender_send(struct port_sender *sender, const uint8_t *bytes, uint16_t length)
{
    ASSERT(length > 0 && length <= PACKET_MAX_BYTES);
    if (!sender->queue.count && to_socket(sender, bytes, length))
        return 0;
    const struct packet_item item = {.length = length, .bytes = bytes};
    int taken = held_push(&sender->pool, &sender->queue, &item);
    if (taken < 0)
        return taken;
    sender->queued_bytes += (size_t)taken;
    sender->queued++;
    return 0;
}

static void queue_to_socket(struct port_sender *sender)
{
    struct packet_item item;

    while (held_peek(&sender->queue, &item) && to_socket(sender, item.bytes, item.length))
        sender->queued_bytes -= held_pop(&sender->pool, &sender->queue);
}

/* A device that is down loses packets, as it would without us: counted, and said once. */
static void queue_drop(struct port_sender *sender, struct logger *logger, int error)
{
    if (!sender->down) {
        logger_say(logger, "device %s of port %s takes no packets (%s): they are lost",
                   sender->port->device, sender->port->name, strerror(-error));
        journal_event(logger->journal, "port_down", "{s:s,s:s}", "port", sender->port->name,
                      "error", strerror(-error));
    }
    sender->down = true;
    while (sender->queue.count) {
        sender->queued_bytes -= held_pop(&sender->pool, &sender->queue);
        sender->dropped_down++;
    }
}

uint32_t port_sender_flush(struct port_sender *sender, struct logger *logger)
{
    uint32_t before = xsk_unsent(sender->port->xsk);

    if (!before && !sender->queue.count)
        return 0;
    int error = xsk_kick(sender->port->xsk);
    if (error) {
        queue_drop(sender, logger, error);
        return 0;
    }
    sender->down = false;
    if (sender->queue.count) {
        queue_to_socket(sender);
        xsk_kick(sender->port->xsk);
    }
    return before - (xsk_unsent(sender->port->xsk) < before ? xsk_unsent(sender->port->xsk) : 0);
}

bool port_sender_waits(const struct port_sender *sender)
{
    return !sender->down && (sender->queue.count || xsk_unsent(sender->port->xsk));
}

void port_sender_free(struct port_sender *sender)
{
    while (sender->queue.count)
        held_pop(&sender->pool, &sender->queue);
    held_pool_free(&sender->pool);
}
