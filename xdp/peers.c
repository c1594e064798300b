#include "logger.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "core/assert.h"

#define STRANGER_PATIENCE_NS                                                                       \
    10000000000 /* before HELLO: it may still wait for the other logger                            \
                 */

const char *peer_role_name(const struct peer *peer)
{
    return peer->role == ROLE_MASTER ? "master" : peer->role == ROLE_BACKUP ? "backup" : "stranger";
}

void peer_drop(struct peer *peer)
{
    peer->leaving = true;
}

void peer_send(struct logger *logger, struct peer *peer, const struct message *message)
{
    int error = peer->leaving ? 0 : lifeline_send(peer->line, message);
    if (!error)
        return;
    if (error != -EPIPE) /* a closed line is found and told by peer_service */
        journal_event(logger->journal, "send_failed", "{s:s,s:s}", "message",
                      message_kind_name(message->kind), "error", strerror(-error));
    if (error != -EPIPE)
        peer_drop(peer);
}

int peer_refuse(struct logger *logger, struct peer *peer, enum status status, const char *format,
                ...)
{
    struct message message = {.kind = MESSAGE_REFUSE, .refuse = {.status = (uint8_t)status}};
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(message.refuse.text, sizeof message.refuse.text, format, arguments);
    va_end(arguments);
    peer_send(logger, peer, &message);
    peer_drop(peer);
    logger->refusals++;
    logger_say(logger, "refused %s on %s: %s", peer->role ? peer_role_name(peer) : "a connection",
               peer->device ? peer->device->name : "no link device", message.refuse.text);
    journal_event(logger->journal, "refused", "{s:i,s:s,s:s}", "status", (int)status, "role",
                  peer_role_name(peer), "text", message.refuse.text);
    return -ECONNABORTED;
}

/* The link device that owns the address the connection came to. */
static struct link_device *device_of(struct logger *logger, const struct lifeline *line,
                                     char *address, size_t room)
{
    if (lifeline_local_address(line, address, room))
        snprintf(address, room, "?");
    for (uint32_t i = 0; i < logger->options.link_count; i++)
        if (device_has_address(logger->links[i].name, address))
            return &logger->links[i];
    return NULL;
}

void peer_accept(struct logger *logger)
{
    for (;;) {
        struct lifeline *line = lifeline_accept(logger->listener);
        if (!line)
            return;
        uint32_t free_index = 0;
        while (free_index < PEERS_MAX && logger->peers[free_index])
            free_index++;
        struct peer *peer = free_index < PEERS_MAX ? calloc(1, sizeof *peer) : NULL;
        if (!peer) {
            logger_say(logger, "too many connections: one is closed");
            lifeline_close(line);
            continue;
        }
        char address[64];
        peer->line = line;
        peer->accepted_ns = peer->serviced_ns = logger->now_ns;
        logger->peers[free_index] = peer;
        peer->device = device_of(logger, line, address, sizeof address);
        if (!peer->device)
            peer_refuse(logger, peer, STATUS_INTERFACE,
                        "the connection came to %s, which no --link device of this logger owns",
                        address);
    }
}

static void text_printable(char *text)
{
    for (; *text; text++)
        if (*text < ' ' || *text > '~')
            *text = '?';
}

/* A device that vanished (its namespace was deleted) may be back under its name. */
static int device_reopen(struct logger *logger, struct peer *peer)
{
    char why[WHY_BYTES];

    if (!peer->device->gone)
        return 0;
    wire_close(peer->device->wire);
    peer->device->wire = NULL;
    enum status status = wire_open(&peer->device->wire, peer->device->name, 0, why);
    if (status != STATUS_OK)
        return peer_refuse(logger, peer, status, "%s", why);
    peer->device->gone = false;
    return 0;
}

static void let_go(struct logger *logger, uint32_t index, int error);

/* The same process on the same device: it gave up the connection that we still have. */
static void former_let_go(struct logger *logger, const struct peer *peer)
{
    for (uint32_t i = 0; i < PEERS_MAX; i++) {
        const struct peer *former = logger->peers[i];
        if (former && former == peer->device->peer && former->claimant == peer->claimant)
            let_go(logger, i, -EPIPE);
    }
}

static int hello(struct logger *logger, struct peer *peer, uint32_t epoch,
                 const struct message_hello *hello)
{
    struct message message = {.kind = MESSAGE_WELCOME};
    struct message_welcome *welcome = &message.welcome;

    if (peer->admitted || (hello->role != ROLE_MASTER && hello->role != ROLE_BACKUP) ||
        !hello->claimant)
        return peer_refuse(logger, peer, STATUS_PROTOCOL, "this HELLO makes no sense");
    peer->role = hello->role;
    peer->standby = hello->standby;
    peer->epoch = hello->role == ROLE_MASTER ? epoch : 0;
    peer->claimant = hello->claimant;
    memcpy(peer->identity, hello->identity, sizeof peer->identity);
    peer->identity[sizeof peer->identity - 1] = 0;
    text_printable(peer->identity);
    static const char *const standbys[] = {"cold", "hot", "check"};
    journal_event(logger->journal, "hello", "{s:s,s:s,s:s,s:I,s:s}", "role", peer_role_name(peer),
                  "standby", standbys[peer->standby], "link", peer->device->name, "epoch",
                  (json_int_t)peer->epoch, "identity", peer->identity);

    former_let_go(logger, peer);
    if (peer->device->peer)
        return peer_refuse(logger, peer, STATUS_BUSY, "link device %s serves another NF process",
                           peer->device->name);
    int error = device_reopen(logger, peer);
    if (!error)
        error = logger->behaviour->hello(logger, peer, welcome);
    if (error)
        return error;
    peer->admitted = true;

    do {
        if (getrandom(&welcome->session, sizeof welcome->session, 0) < 0)
            return peer_refuse(logger, peer, STATUS_KERNEL, "no random numbers");
    } while (!welcome->session);
    if (wire_session(peer->device->wire, welcome->session, welcome->epoch, hello->mac))
        return peer_refuse(logger, peer, STATUS_MEMORY, "out of memory for the link");
    memcpy(welcome->mac, wire_mac(peer->device->wire), sizeof welcome->mac);
    message.epoch = welcome->epoch;
    welcome->port_count = (uint16_t)logger->options.port_count;
    for (uint32_t i = 0; i < logger->options.port_count; i++) {
        const struct port_device *port = &logger->ports[i];
        snprintf(welcome->ports[i].name, sizeof welcome->ports[i].name, "%s", port->option->name);
        memcpy(welcome->ports[i].mac, port->info.mac, sizeof port->info.mac);
        welcome->ports[i].mtu = (uint16_t)port->info.mtu;
        welcome->ports[i].kind = (uint16_t)port->option->kind;
    }
    peer->session = welcome->session;
    peer->device->peer = peer;
    peer->greeted = true;
    peer_send(logger, peer, &message);
    journal_event(logger->journal, "welcome", "{s:s,s:s,s:I}", "role", peer_role_name(peer), "link",
                  peer->device->name, "epoch", (json_int_t)welcome->epoch);
    logger->behaviour->greeted(logger, peer);
    return 0;
}

struct handling {
    struct logger *logger;
    struct peer *peer;
};

/* A connection whose end tells that an NF process is dead, before its lifeline can. */
static int sentinel(struct logger *logger, struct peer *peer, const struct message_sentinel *of)
{
    if (peer->role || peer->sentinel || !of->session)
        return peer_refuse(logger, peer, STATUS_PROTOCOL, "this SENTINEL makes no sense");
    peer->claimant = of->claimant;
    peer->sentinel = of->session;
    lifeline_mute(peer->line);
    return 0;
}

static int handle(void *context, const struct message *message)
{
    const struct handling *handling = context;
    struct logger *logger = handling->logger;
    struct peer *peer = handling->peer;

    if (peer->leaving)
        return -ECONNABORTED;
    if (message->kind == MESSAGE_SENTINEL)
        return sentinel(logger, peer, &message->sentinel);
    if (message->kind == MESSAGE_HELLO)
        return hello(logger, peer, message->epoch, &message->hello);
    if (!peer->greeted)
        return peer_refuse(logger, peer, STATUS_PROTOCOL, "%s before HELLO",
                           message_kind_name(message->kind));
    return logger->behaviour->message(logger, peer, message);
}

/* The device is free for the next process; `lost` comes first, while the wire still speaks. */
static void let_go(struct logger *logger, uint32_t index, int error)
{
    struct peer *peer = logger->peers[index];

    peer->leaving = true;
    if (peer->admitted)
        logger->behaviour->lost(logger, peer, error);
    if (peer->device && peer->device->peer == peer)
        peer->device->peer = NULL;
    lifeline_close(peer->line);
    free(peer);
    logger->peers[index] = NULL;
}

/* Its process is dead: the last words it had for us are in the lifeline. */
static void sentinel_fell(struct logger *logger, const struct peer *fell)
{
    for (uint32_t i = 0; i < PEERS_MAX; i++) {
        const struct peer *peer = logger->peers[i];
        if (!peer || !peer->greeted || peer->claimant != fell->claimant ||
            peer->session != fell->sentinel)
            continue;
        peer_service(logger, i);
        if (logger->peers[i] == peer && !peer->leaving)
            let_go(logger, i, -EPIPE);
    }
}

void peer_service(struct logger *logger, uint32_t index)
{
    struct peer *peer = logger->peers[index];
    struct handling handling = {.logger = logger, .peer = peer};

    peer->serviced_ns = logger->now_ns;
    if (peer->leaving)
        return;
    int error = lifeline_service(peer->line, logger->now_ns, handle, &handling);
    if (error == -ETIMEDOUT && !peer->admitted &&
        logger->now_ns - peer->accepted_ns < STRANGER_PATIENCE_NS)
        return;
    if (!error)
        return;
    if (peer->sentinel)
        sentinel_fell(logger, peer);
    if (error == -EBADMSG || error == -EPROTO)
        peer_refuse(logger, peer, STATUS_PROTOCOL,
                    error == -EPROTO ? "it speaks another version of the protocol than %u"
                                     : "malformed message (protocol version %u)",
                    MESSAGE_VERSION);
    let_go(logger, index, error);
}

void peers_sweep(struct logger *logger)
{
    for (uint32_t i = 0; i < PEERS_MAX; i++)
        if (logger->peers[i] && logger->peers[i]->leaving)
            let_go(logger, i, -ECONNABORTED);
}

void peers_close(struct logger *logger)
{
    for (uint32_t i = 0; i < PEERS_MAX; i++)
        if (logger->peers[i]) {
            lifeline_close(logger->peers[i]->line);
            free(logger->peers[i]);
            logger->peers[i] = NULL;
        }
}
