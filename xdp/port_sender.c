#include "port_sender.h"

#include <errno.h>
#include <string.h>

#include "core/assert.h"

/* False: no room now. A packet that the device will never take has been dealt with, too. */
static bool to_device(struct port_sender *sender, const uint8_t *bytes, uint16_t length)
{
    int error = sender->port->family->send(sender->port, bytes, length);

    if (error == -EAGAIN)
        return false;
    if (error)
        sender->dropped_invalid++;
    else
        sender->sent++;
    return true;
}

int port_sender_send(struct port_sender *sender, const uint8_t *bytes, uint16_t length)
{
    ASSERT(length > 0 && length <= PACKET_MAX_BYTES);
    if (!sender->queue.count && to_device(sender, bytes, length))
        return 0;
    const struct packet_item item = {.length = length, .bytes = bytes};
    int taken = held_push(&sender->pool, &sender->queue, &item);
    if (taken < 0)
        return taken;
    sender->queued_bytes += (size_t)taken;
    sender->queued++;
    return 0;
}

static void queue_to_device(struct port_sender *sender)
{
    struct packet_item item;

    while (held_peek(&sender->queue, &item) && to_device(sender, item.bytes, item.length))
        sender->queued_bytes -= held_pop(&sender->pool, &sender->queue);
}

/* A device that is down loses packets, as it would without us: counted, and said once. */
static void queue_drop(struct port_sender *sender, struct logger *logger, int error)
{
    const struct port_option *option = sender->port->option;

    if (!sender->down) {
        logger_say(logger, "device %s of port %s takes no packets (%s): they are lost",
                   option->device, option->name, strerror(-error));
        journal_event(logger->journal, "port_down", "{s:s,s:s}", "port", option->name, "error",
                      strerror(-error));
    }
    sender->down = true;
    while (sender->queue.count) {
        sender->queued_bytes -= held_pop(&sender->pool, &sender->queue);
        sender->dropped_down++;
    }
}

uint32_t port_sender_flush(struct port_sender *sender, struct logger *logger)
{
    struct port_device *port = sender->port;
    uint32_t before = port->family->unsent(port);

    stall_note(&sender->waits, sender->queue.count > 0, logger->now_ns);
    if (!before && !sender->queue.count && !sender->down)
        return 0;
    int error = port->family->flush(port);
    if (error) {
        queue_drop(sender, logger, error);
        return 0;
    }
    sender->down = false;
    if (sender->queue.count) {
        queue_to_device(sender);
        port->family->flush(port);
    }
    uint32_t left = port->family->unsent(port);
    return before - (left < before ? left : 0);
}

bool port_sender_waits(const struct port_sender *sender)
{
    return !sender->down && (sender->queue.count || sender->port->family->unsent(sender->port));
}

void port_sender_free(struct port_sender *sender)
{
    while (sender->queue.count)
        held_pop(&sender->pool, &sender->queue);
    held_pool_free(&sender->pool);
}
