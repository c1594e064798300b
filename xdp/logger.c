/*
 * The loop: frames from the links, the behaviour's step, frames to the links; then lifelines,
 * listener and signals by poll. It polls adaptively: after a few empty rounds it blocks until
 * something arrives or the nearest time-out of a link, for processes share the cores.
 */
#include "logger.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "core/assert.h"
#include "counters.h"
#include "link_json.h"

#define SPIN_ROUNDS 4u
#define POLL_EVERY_NS 500000      /* a busy loop looks at the lifelines that often */
#define SERVICE_EVERY_NS 40000000 /* heartbeats, silence */
#define TIMER_SLACK_NS 5000

int64_t logger_clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void logger_say(const struct logger *logger, const char *format, ...)
{
    va_list arguments;

    fprintf(stderr, "%s: ", logger->behaviour->defaults->program);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
}

void logger_end(struct logger *logger, enum status status)
{
    logger->stopping = true;
    logger->status = status;
}

static enum status ports_open(struct logger *logger, char *why)
{
    for (uint32_t i = 0; i < logger->options.port_count; i++) {
        enum status status = port_open(&logger->ports[i], &logger->options.ports[i],
                                       logger->behaviour->side, logger->options.queue, why);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

static enum status links_open(struct logger *logger, char *why)
{
    for (uint32_t i = 0; i < logger->options.link_count; i++) {
        struct link_device *link = &logger->links[i];
        link->logger = logger;
        link->name = logger->options.links[i];
        enum status status = wire_open(&link->wire, link->name, 0, why);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

/*
 * Everybody waits for a logger, which computes little: it comes first where that is allowed. In a
 * takeover the dead master's memory is being taken down on one of the processors, and its heirs are
 * busy.
 */
#define NICE (-10)

static enum status process_prepare(struct logger *logger, char *why)
{
    setpriority(PRIO_PROCESS, 0, NICE);
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_TIMERSLACK, TIMER_SLACK_NS, 0, 0, 0);
    logger->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (logger->signals >= 0)
        return STATUS_OK;
    snprintf(why, WHY_BYTES, "no signalfd: %s", strerror(errno));
    return STATUS_KERNEL;
}

static void signals_handle(struct logger *logger)
{
    struct signalfd_siginfo info;

    while (read(logger->signals, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo == SIGUSR1)
            journal_object(logger->journal, "counters", logger_counters(logger));
        else
            logger_end(logger, STATUS_OK);
    }
}

struct frame_context {
    struct logger *logger;
    struct peer *peer;
};

static void frame_handle(void *context, const struct frame *frame, const uint8_t *payload)
{
    const struct frame_context *where = context;

    where->logger->behaviour->frame(where->logger, where->peer, frame, payload);
}

static uint32_t links_receive(struct logger *logger)
{
    uint32_t work = 0;

    for (uint32_t i = 0; i < logger->options.link_count; i++) {
        struct link_device *link = &logger->links[i];
        struct frame_context context = {.logger = logger, .peer = link->peer};
        if (link->peer && !link->peer->leaving)
            work += wire_receive(link->wire, logger->now_ns, LOGGER_BATCH, frame_handle, &context);
    }
    return work;
}

static uint32_t links_transmit(struct logger *logger)
{
    uint32_t work = 0;

    for (uint32_t i = 0; i < logger->options.link_count; i++)
        if (logger->links[i].peer && !logger->links[i].gone)
            work += wire_transmit(logger->links[i].wire, logger->now_ns);
    return work;
}

/* Nobody is behind it, or its peer was fenced: the frames are thrown away unseen. */
static void frame_ignore(void *context, const struct frame *frame, const uint8_t *payload)
{
    (void)frame;
    (void)payload;
    ((struct logger *)context)->frames_unexpected++;
}

static void link_drain(struct logger *logger, struct link_device *link)
{
    while (wire_receive(link->wire, logger->now_ns, LOGGER_BATCH, frame_ignore, logger))
        ;
}

static int64_t earliest_wake(struct logger *logger)
{
    int64_t wake = logger->behaviour->next_wake(logger);

    for (uint32_t i = 0; i < logger->options.link_count; i++) {
        const struct link_device *link = &logger->links[i];
        int64_t at = link->peer && !link->gone ? wire_next_wake(link->wire) : INT64_MAX;
        wake = at < wake ? at : wake;
    }
    for (uint32_t i = 0; i < PEERS_MAX; i++)
        if (logger->peers[i] && logger->peers[i]->serviced_ns + SERVICE_EVERY_NS < wake)
            wake = logger->peers[i]->serviced_ns + SERVICE_EVERY_NS;
    return wake;
}

#define POLLFDS_MAX (2 + LINKS_MAX + PORTS_MAX + PEERS_MAX)

/* Looks at every descriptor; sleeps until `wake` when `may_sleep`. */
static void poll_all(struct logger *logger, bool may_sleep)
{
    struct pollfd fds[POLLFDS_MAX];
    uint32_t count = 0, links_at, ports_at, peers_at;
    const struct options *options = &logger->options;
    bool packets = logger->behaviour->wants_packets && logger->behaviour->wants_packets(logger);

    fds[count++] = (struct pollfd){.fd = logger->signals, .events = POLLIN};
    fds[count++] = (struct pollfd){.fd = logger->listener, .events = POLLIN};
    links_at = count;
    for (uint32_t i = 0; i < options->link_count; i++)
        fds[count++] = (struct pollfd){
            .fd = logger->links[i].gone ? -1 : wire_fd(logger->links[i].wire), .events = POLLIN};
    ports_at = count;
    for (uint32_t i = 0; i < options->port_count; i++)
        fds[count++] = (struct pollfd){.fd = packets && !logger->ports[i].gone
                                                 ? logger->ports[i].family->fd(&logger->ports[i])
                                                 : -1,
                                       .events = POLLIN};
    peers_at = count;
    for (uint32_t i = 0; i < PEERS_MAX; i++)
        fds[count++] = (struct pollfd){
            .fd = logger->peers[i] ? lifeline_fd(logger->peers[i]->line) : -1,
            .events = logger->peers[i] ? lifeline_events(logger->peers[i]->line) : 0};

    struct timespec wait = {0}, *timeout = &wait;
    if (may_sleep) {
        int64_t wake = earliest_wake(logger);
        int64_t left = wake - logger_clock_ns();
        if (wake == INT64_MAX)
            timeout = NULL;
        else if (left > 0)
            wait = (struct timespec){.tv_sec = left / 1000000000, .tv_nsec = left % 1000000000};
    }
    int ready = ppoll(fds, count, timeout, NULL);
    logger->now_ns = logger_clock_ns();

    /* Frames that arrived while we slept come before the closing of the lifeline behind them:
     * the next round takes them, and `lost` takes what is left. */
    for (uint32_t i = 0; ready > 0 && i < options->link_count; i++) {
        struct link_device *link = &logger->links[i];
        if (fds[links_at + i].revents & (POLLERR | POLLHUP | POLLNVAL)) {
            link->gone = true;
            logger_say(logger, "link device %s is gone", link->name);
            journal_event(logger->journal, "link_gone", "{s:s}", "link", link->name);
        } else if (fds[links_at + i].revents && !link->peer) {
            link_drain(logger, link);
        }
    }
    for (uint32_t i = 0; ready > 0 && i < options->port_count; i++)
        if (fds[ports_at + i].revents & (POLLERR | POLLHUP | POLLNVAL)) {
            logger->ports[i].gone = true;
            logger_say(logger, "device %s of port %s is gone", options->ports[i].device,
                       options->ports[i].name);
        }
    for (uint32_t i = 0; i < PEERS_MAX; i++)
        if (logger->peers[i] &&
            (fds[peers_at + i].revents ||
             logger->now_ns >= logger->peers[i]->serviced_ns + SERVICE_EVERY_NS))
            peer_service(logger, i);
    if (ready > 0 && fds[1].revents)
        peer_accept(logger);
    if (ready > 0 && fds[0].revents)
        signals_handle(logger);
    peers_sweep(logger);
}

static void loop(struct logger *logger)
{
    uint32_t idle = 0;
    int64_t polled_ns = 0;

    while (!logger->stopping) {
        logger->now_ns = logger_clock_ns();
        uint32_t work = links_receive(logger);
        work += logger->behaviour->step(logger);
        work += links_transmit(logger);
        idle = work ? 0 : idle + 1;
        if (idle >= SPIN_ROUNDS || logger->now_ns - polled_ns >= POLL_EVERY_NS) {
            poll_all(logger, idle >= SPIN_ROUNDS);
            polled_ns = logger->now_ns;
        }
    }
}

json_t *logger_counters(struct logger *logger)
{
    json_t *counters = json_object(), *links = json_object(), *ports = json_object();
    struct xsk_counters sockets;

    for (uint32_t i = 0; i < logger->options.link_count; i++) {
        struct link_device *link = &logger->links[i];
        struct link *core = wire_link(link->wire);
        wire_counters(link->wire, &sockets);
        json_t *one = core ? link_json(link_counters(core)) : json_object();
        json_object_set_new(one, "xdp", counters_xsk(&sockets));
        json_object_set_new(one, "peer", json_string(link->peer ? peer_role_name(link->peer) : ""));
        json_object_set_new(links, link->name, one);
    }
    for (uint32_t i = 0; i < logger->options.port_count; i++) {
        const struct port_device *port = &logger->ports[i];
        json_object_set_new(ports, port->option->name, port->family->counters(port));
    }
    json_object_set_new(counters, "links", links);
    json_object_set_new(counters, "ports", ports);
    json_object_set_new(counters, "refusals", json_integer((json_int_t)logger->refusals));
    logger->behaviour->counters(logger, counters);
    return counters;
}

int logger_run(const struct behaviour *behaviour, int argc, char **argv)
{
    static struct logger logger = {.listener = -1, .signals = -1};
    char why[WHY_BYTES] = "";

    logger.behaviour = behaviour;
    options_parse(&logger.options, behaviour->defaults, argc, argv);
    enum status status = journal_open(&logger.journal, logger.options.journal, why);
    if (status == STATUS_OK)
        status = process_prepare(&logger, why);
    if (status == STATUS_OK)
        fault_arm(&logger.options.fault, behaviour->defaults->faults, logger.journal);
    if (status == STATUS_OK)
        status = ports_open(&logger, why);
    if (status == STATUS_OK)
        status = links_open(&logger, why);
    if (status == STATUS_OK)
        status = behaviour->start(&logger, why);
    if (status == STATUS_OK)
        status = lifeline_listen(&logger.listener, "0.0.0.0", logger.options.control, why);
    if (status != STATUS_OK) {
        logger_say(&logger, "%s", why);
        if (logger.journal)
            journal_event(logger.journal, "refused", "{s:i,s:s}", "status", (int)status, "text",
                          why);
    } else {
        journal_event(logger.journal, "start", "{s:s,s:i,s:i,s:i}", "program",
                      behaviour->defaults->program, "pid", (int)getpid(), "ports",
                      (int)logger.options.port_count, "links", (int)logger.options.link_count);
        logger_say(&logger, "ready: lifelines on port %u", logger.options.control);
        /* Not to wait for a disk when a rare path runs at last: a wish, not a need. What is mapped
         * later stays as it is, so that no limit of locked memory can make it fail. */
        mlockall(MCL_CURRENT | MCL_ONFAULT);
        loop(&logger);
        status = logger.status;
        for (uint32_t i = 0; i < logger.options.port_count; i++)
            port_stays_shut(&logger.ports[i], logger.reign_open);
        journal_object(logger.journal, "counters", logger_counters(&logger));
        journal_event(logger.journal, "end", "{s:i}", "status", (int)status);
    }

    peers_close(&logger);
    if (logger.state)
        behaviour->stop(&logger);
    if (logger.listener >= 0)
        close(logger.listener);
    for (uint32_t i = 0; i < logger.options.link_count; i++)
        wire_close(logger.links[i].wire);
    for (uint32_t i = 0; i < logger.options.port_count; i++)
        port_close(&logger.ports[i]);
    journal_close(logger.journal);
    return (int)status;
}
