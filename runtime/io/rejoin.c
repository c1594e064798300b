/*
 * A logger dies, is silent, or its connection breaks: say so, and try for ever to come back
 * without holding up anything else. What we may do meanwhile is core/rejoin.h; here are the
 * lifelines.
 *
 * A logger that lives and only lost the connection: an input logger goes on feeding us. An output
 * logger took us for dead and has fenced us; its REFUSE is the end, however late it is read.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fault/fault.h"
#include "io/io.h"
#include "replay/inputs.h"

#define RETRY_NS 50000000
/* HELLO is not given up at the first silence: a logger that reads it after we left would take the
 * end of that connection for our end. */
#define HELLO_PATIENCE_NS 10000000000
#define CONNECT_PATIENCE_NS                                                                        \
    300000000 /* a SYN was lost: TCP itself would repeat it after seconds                          \
               */
/* That long it may take the one before us on its link device for alive: ourselves, perhaps. */
#define BUSY_PATIENCE_NS 5000000000

static struct side {
    const char *name, *meanwhile;
    struct lifeline *joining; /* connecting, or HELLO is there and unanswered */
    bool welcomed;
    struct message_welcome welcome;
    int broken;                 /* -errno of a send; 0 */
    int64_t lost_ns;            /* 0: protected, or never lost */
    int64_t retry_ns, began_ns; /* of attempts to connect */
    int64_t busy_ns;            /* since then it has refused us as busy; 0 */
} sides[LOGGER_SIDES] = {
    [OUTPUT_LOGGER] = {.name = "output", .meanwhile = "nothing is released until it is back"},
    [INPUT_LOGGER] = {.name = "input", .meanwhile = "no packet comes in until it is back"},
};

static struct lifeline **line_of(enum logger_side which)
{
    return which == OUTPUT_LOGGER ? &io.ol_line : &io.il_line;
}

static struct wire *wire_of(enum logger_side which)
{
    return which == OUTPUT_LOGGER ? io.ol_wire : io.il_wire;
}

/* One sentence on stderr; who does not read it must not hold us up. */
__attribute__((format(printf, 1, 2))) static void say(const char *format, ...)
{
    struct pollfd out = {.fd = STDERR_FILENO, .events = POLLOUT};
    char text[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (poll(&out, 1, 0) > 0)
        dprintf(STDERR_FILENO, "palisade: %s\n", text);
}

/* The step exists on both sides; who lives through it is the master. */
static void point(enum logger_side which, enum fault output, enum fault input)
{
    if (io.phase == IO_LIVE)
        fault_point(which == OUTPUT_LOGGER ? output : input);
}

/* ---- lost and back ---- */

static void lost(enum logger_side which, int error)
{
    struct side *side = &sides[which];
    const char *cause = error == -EPIPE       ? "closed"
                        : error == -ETIMEDOUT ? "silent"
                                              : strerror(-error);
    journal_event(io.journal, "logger_lost", "{s:s,s:s}", "logger", side->name, "cause", cause);
    if (io.phase == IO_FOLLOWING)
        standby_start_over("lost the %s logger (%s)", side->name, cause);
    if (io.phase != IO_LIVE && io.phase != IO_WARM)
        process_fail(STATUS_UNREACHABLE,
                     "lost the %s logger (%s) in the middle of a takeover: the state of the dead "
                     "master cannot be recovered here",
                     side->name, cause);
    lifeline_close(*line_of(which));
    *line_of(which) = NULL;
    if (side->lost_ns == 0)
        side->lost_ns = io.now_ns;
    side->retry_ns = io.now_ns;
    side->broken = 0;
    say("lost the %s logger (%s); %s", side->name, cause,
        io.phase == IO_LIVE ? side->meanwhile : "this backup protects nobody until it is back");
    if (io.phase == IO_LIVE && which == OUTPUT_LOGGER)
        protect_output_lost();
    else if (io.phase == IO_LIVE)
        rejoin_input_lost(&io.rejoin);
    else if (which == OUTPUT_LOGGER)
        backup_output_lost();
    point(which, FAULT_MASTER_OL_LOST, FAULT_MASTER_IL_LOST);
    if (io.phase == IO_WARM)
        fault_point(which == OUTPUT_LOGGER ? FAULT_BACKUP_OL_LOST : FAULT_BACKUP_IL_LOST);
}

void logger_broken(enum logger_side which, int error)
{
    sides[which].broken = error;
}

void logger_back(enum logger_side which)
{
    struct side *side = &sides[which];
    if (side->lost_ns == 0)
        return;
    int64_t ns = io.now_ns - side->lost_ns;
    side->lost_ns = 0;
    journal_event(io.journal, "logger_back", "{s:s,s:I}", "logger", side->name, "ns",
                  (json_int_t)ns);
    say("the %s logger is back, after %lld ms", side->name, (long long)(ns / 1000000));
}

/* ---- coming back ---- */

/* A new link: what was under way in the old one is lost. */
static void welcomed(enum logger_side which)
{
    struct side *side = &sides[which];
    connect_check_ports(&side->welcome, side->name);
    if (which == OUTPUT_LOGGER && io.phase == IO_WARM)
        io.epoch = side->welcome.epoch;
    connect_session(wire_of(which), &side->welcome, side->name);
    sentinel_watch(which, side->welcome.session);
    *line_of(which) = side->joining;
    side->joining = NULL;
    side->busy_ns = 0;
    journal_event(io.journal, "logger_welcome", "{s:s,s:I}", "logger", side->name, "epoch",
                  (json_int_t)side->welcome.epoch);
    point(which, FAULT_MASTER_OL_WELCOME, FAULT_MASTER_IL_WELCOME);
    if (io.phase != IO_LIVE) {
        logger_back(which);
    } else if (which == OUTPUT_LOGGER) {
        ship_link_renewed();
        rejoin_output_welcomed(&io.rejoin);
    } else {
        if (inputs_kept()) /* since a takeover: those after the last one kept are due */
            io.rejoin.inputs.from = inputs_end();
        struct message message = {
            .kind = MESSAGE_REIGN,
            .epoch = io.epoch,
            .reign = {.claimant = io.claimant,
                      .claim = rejoin_input_claim(&io.rejoin, side->welcome.incarnation)}};
        side->broken = lifeline_send(io.il_line, &message);
        fault_point(FAULT_MASTER_IL_CLAIM);
    }
}

void logger_claimed(struct input_claim claim)
{
    if (io.rejoin.input == INPUT_LOST) {
        rejoin_input_claimed(&io.rejoin, claim);
        fault_point(FAULT_MASTER_IL_CLAIMED);
        if (rejoin_takes(&io.rejoin))
            logger_back(INPUT_LOGGER);
    } else if (io.rejoin.inputs.of == 0) {
        io.rejoin.inputs = claim; /* the first answer of all */
    }
}

static int answered(void *context, const struct message *message)
{
    struct side *side = context;
    if (side->welcomed)
        return 1; /* an image may follow at once: it stays in the line */
    if (message->kind == MESSAGE_REFUSE && message->refuse.status == STATUS_BUSY) {
        if (side->busy_ns == 0)
            side->busy_ns = io.now_ns;
        if (io.now_ns - side->busy_ns < BUSY_PATIENCE_NS)
            return -EBUSY;
    }
    if (message->kind == MESSAGE_REFUSE)
        process_fail((enum status)message->refuse.status, "%s", message->refuse.text);
    if (message->kind == MESSAGE_WELCOME) {
        side->welcome = message->welcome;
        side->welcomed = true;
    }
    return 0;
}

static void join_begin(enum logger_side which)
{
    struct side *side = &sides[which];
    const struct nf_options *options = &process.options;
    bool output = which == OUTPUT_LOGGER;
    side->retry_ns = io.now_ns + RETRY_NS;
    side->began_ns = io.now_ns;
    side->welcomed = false;
    if (lifeline_connect_start(&side->joining, output ? options->ol.address : options->il.address,
                               (uint16_t)(output ? options->ol_port : options->il_port)) != 0)
        return;
    struct message hello =
        connect_hello(io.phase == IO_LIVE ? ROLE_MASTER : ROLE_BACKUP, wire_of(which));
    lifeline_send(side->joining, &hello); /* should it fail, so does the next service */
    point(which, FAULT_MASTER_OL_HELLO, FAULT_MASTER_IL_HELLO);
}

static void join_service(enum logger_side which)
{
    struct side *side = &sides[which];
    int error = lifeline_service(side->joining, io.now_ns, answered, side);
    if (side->welcomed) {
        welcomed(which);
        return;
    }
    if (!lifeline_connected(side->joining) && io.now_ns - side->began_ns >= CONNECT_PATIENCE_NS)
        error = -ECONNREFUSED;
    if (error == 0 || (error == -ETIMEDOUT && io.now_ns - side->began_ns < HELLO_PATIENCE_NS))
        return;
    if (error == -EPROTO)
        process_fail(STATUS_PROTOCOL,
                     "the %s logger is back, but speaks another version of the protocol than %u",
                     side->name, MESSAGE_VERSION);
    lifeline_close(side->joining);
    side->joining = NULL;
    side->retry_ns = io.now_ns + RETRY_NS;
}

void logger_service(enum logger_side which,
                    int (*handler)(void *context, const struct message *message))
{
    struct side *side = &sides[which];
    struct lifeline *line = *line_of(which);
    if (line) {
        int error = lifeline_service(line, io.now_ns, handler, NULL);
        if (error == 0)
            error = side->broken;
        if (error)
            lost(which, error);
    } else if (side->joining) {
        join_service(which);
    } else if (io.now_ns >= side->retry_ns) {
        join_begin(which);
    }
}

/* ---- sleeping ---- */

struct pollfd logger_poll(enum logger_side which)
{
    const struct lifeline *line = *line_of(which) ? *line_of(which) : sides[which].joining;
    if (line == NULL)
        return (struct pollfd){.fd = -1};
    return (struct pollfd){.fd = lifeline_fd(line), .events = lifeline_events(line)};
}

int64_t logger_next_wake(void)
{
    int64_t wake = INT64_MAX;
    for (enum logger_side which = 0; which < LOGGER_SIDES; which++)
        if (*line_of(which) == NULL && sides[which].joining == NULL && sides[which].retry_ns < wake)
            wake = sides[which].retry_ns;
    return wake;
}
