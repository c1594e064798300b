/*
 * Hello to both loggers, at start: synchronous, nothing else runs yet. Coming back to one later is
 * rejoin.c's, with the parts shared here.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "core/assert.h"
#include "identity.h"
#include "io/io.h"

struct answer {
    bool there;
    struct message_welcome welcome;
};

static int take_answer(void *context, const struct message *message)
{
    struct answer *answer = context;
    if (answer->there)
        return 1; /* an image may follow at once: it stays in the line for io_run */
    if (message->kind == MESSAGE_REFUSE) {
        standby_retry((enum status)message->refuse.status);
        process_fail((enum status)message->refuse.status, "%s", message->refuse.text);
    }
    if (message->kind == MESSAGE_WELCOME) {
        answer->welcome = message->welcome;
        answer->there = true;
    }
    return 0;
}

static struct message_welcome hello(struct lifeline *line, const struct message *message,
                                    const char *logger)
{
    struct answer answer = {0};
    int error = lifeline_send(line, message);
    int64_t until = now_ns() + process.options.connect_ms * 1000000ll;
    while (error == 0 && !answer.there && now_ns() < until) {
        struct pollfd fd = {.fd = lifeline_fd(line), .events = lifeline_events(line)};
        poll(&fd, 1, 100);
        if (line != io.ol_line) /* which watches us already */
            lifeline_send(io.ol_line, &(struct message){.kind = MESSAGE_HEARTBEAT});
        error = lifeline_service(line, now_ns(), take_answer, &answer);
    }
    if (!answer.there) {
        standby_retry(STATUS_UNREACHABLE);
        process_fail(STATUS_UNREACHABLE,
                     "the %s logger accepted the connection but did not answer "
                     "(%s); look at its messages",
                     logger, error ? strerror(-error) : "time-out");
    }
    return answer.welcome;
}

static void open_logger(const struct option_link *link, const char *key, uint16_t control_port,
                        struct wire **wire, struct lifeline **line)
{
    char why[256];
    if (link->device[0] == '\0')
        process_fail(STATUS_USAGE,
                     "PALISADE_OPTIONS lacks %s=DEVICE@ADDRESS, the link to the %s "
                     "logger",
                     key, key[0] == 'i' ? "input" : "output");
    enum status status = wire_open(wire, link->device, 0, why);
    if (status == STATUS_OK)
        status = lifeline_connect(line, link->address, control_port,
                                  (int)process.options.connect_ms, why);
    if (status != STATUS_OK) {
        standby_retry(status);
        process_fail(status, "%s", why);
    }
}

static char identity[IDENTITY_MAX_BYTES];

static void compute_identity(char *const *arguments)
{
    char options[768];
    int length = nf_options_identity(&process.options, options, sizeof options / 2);
    if (length > 0) {
        identity_arguments(options + length + 1, sizeof options - (size_t)length - 1, arguments);
        if (options[length + 1])
            options[length] = ',';
    }
    if (length < 0 || identity_text(identity, sizeof identity, options) < 0)
        process_fail(STATUS_IDENTITY, "cannot compute the identity of this program");
}

struct message connect_hello(enum role role, const struct wire *wire)
{
    struct message message = {.kind = MESSAGE_HELLO, .epoch = io.epoch};
    message.hello.role = (uint8_t)role;
    message.hello.standby = role == ROLE_BACKUP ? (uint8_t)process.options.standby : 0;
    message.hello.claimant = io.claimant;
    memcpy(message.hello.mac, wire_mac(wire), 6);
    memcpy(message.hello.identity, identity, sizeof identity);
    return message;
}

void connect_session(struct wire *wire, const struct message_welcome *welcome, const char *logger)
{
    if (wire_session(wire, welcome->session, io.epoch, welcome->mac) != 0)
        process_fail(STATUS_MEMORY, "no memory for the link to the %s logger", logger);
}

static struct message_welcome join(struct lifeline *line, struct wire *wire, enum role role,
                                   const char *logger)
{
    struct message message = connect_hello(role, wire);
    struct message_welcome welcome = hello(line, &message, logger);
    connect_session(wire, &welcome, logger);
    return welcome;
}

static const char *kind_word(uint16_t kind)
{
    return kind == PORT_TUN ? "TUN device" : kind == PORT_TAP ? "TAP device" : "network device";
}

static void check_ports(const struct message_welcome *il, const struct message_welcome *ol)
{
    if (il->port_count == 0 || il->port_count != ol->port_count)
        process_fail(STATUS_PROTOCOL,
                     "the loggers disagree about the ports (%u and %u); start both "
                     "with the same --port list",
                     il->port_count, ol->port_count);
    for (uint16_t i = 0; i < il->port_count; i++)
        if (strncmp(il->ports[i].name, ol->ports[i].name, PORT_NAME_BYTES) != 0)
            process_fail(STATUS_PROTOCOL,
                         "port %u is %s at the input logger and %s at the output "
                         "logger; start both with the same --port list",
                         i, il->ports[i].name, ol->ports[i].name);
        else if (il->ports[i].kind != ol->ports[i].kind)
            process_fail(STATUS_PROTOCOL,
                         "port %s is a %s at the input logger and a %s at the output logger; start "
                         "both with the same --port list",
                         il->ports[i].name, kind_word(il->ports[i].kind),
                         kind_word(ol->ports[i].kind));
}

void connect_check_ports(const struct message_welcome *welcome, const char *logger)
{
    bool same = welcome->port_count == process.port_count;
    for (uint16_t i = 0; same && i < process.port_count; i++)
        same = strncmp(welcome->ports[i].name, process.ports[i].name, PORT_NAME_BYTES) == 0 &&
               welcome->ports[i].kind == process.ports[i].kind;
    if (!same)
        process_fail(STATUS_PROTOCOL,
                     "the %s logger is back with other ports; start it with the --port list that "
                     "it had before",
                     logger);
}

void io_connect(enum role role, char *const *arguments)
{
    if (getrandom(&io.claimant, sizeof io.claimant, 0) != sizeof io.claimant)
        process_fail(STATUS_KERNEL, "getrandom failed");
    open_logger(&process.options.ol, "ol", (uint16_t)process.options.ol_port, &io.ol_wire,
                &io.ol_line);
    open_logger(&process.options.il, "il", (uint16_t)process.options.il_port, &io.il_wire,
                &io.il_line);
    /* The output logger first: it says under which epoch we are to claim the inputs. */
    compute_identity(arguments);
    struct message_welcome ol = join(io.ol_line, io.ol_wire, role, "output");
    io.epoch = ol.epoch;
    link_set_epoch(wire_link(io.ol_wire), io.epoch, 0);
    struct message_welcome il = join(io.il_line, io.il_wire, role, "input");
    check_ports(&il, &ol);
    sentinel_start();
    sentinel_watch(OUTPUT_LOGGER, ol.session);
    sentinel_watch(INPUT_LOGGER, il.session);
    process.port_count = il.port_count;
    process.ports = malloc(sizeof il.ports);
    if (process.ports == NULL)
        process_fail(STATUS_MEMORY, "no memory for the port table");
    memcpy(process.ports, il.ports, sizeof il.ports);
}

void io_reign(struct input_claim claim)
{
    struct message message = {.kind = MESSAGE_REIGN,
                              .epoch = io.epoch,
                              .reign = {.claimant = io.claimant, .claim = claim}};
    io.rejoin.inputs = claim;
    if (lifeline_send(io.il_line, &message) != 0)
        process_fail(STATUS_UNREACHABLE, "the input logger is gone");
}
