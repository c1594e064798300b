#include "options.h"

#include <argp.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/status.h"

enum key {
    KEY_PORT = 'p',
    KEY_LINK = 'l',
    KEY_CONTROL = 'c',
    KEY_MEMORY = 'm',
    KEY_LAG = 'a',
    KEY_STATE = 's',
    KEY_JOURNAL = 'j',
    KEY_QUEUE = 'q',
    KEY_EXIT_WITHOUT_BACKUP = 0x100,
    KEY_FORGET,
};

struct parsing {
    struct options *options;
    const struct options_defaults *defaults;
};

/* A whole decimal number within [least, most], or the process ends. */
static uint64_t number_parse(struct argp_state *state, const char *option, const char *text,
                             uint64_t least, uint64_t most)
{
    char *end;

    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno || end == text || *end || *text == '-' || value < least || value > most)
        argp_failure(state, STATUS_USAGE, 0, "--%s %s: not a number from %llu to %llu", option,
                     text, (unsigned long long)least, (unsigned long long)most);
    return value;
}

static void device_copy(struct argp_state *state, const char *option, char *out, const char *text)
{
    if (!*text || strlen(text) >= IFNAMSIZ)
        argp_failure(state, STATUS_USAGE, 0, "--%s: \"%s\" is no device name", option, text);
    strcpy(out, text);
}

static void port_parse(struct argp_state *state, struct options *options, const char *text)
{
    struct port_option *port = &options->ports[options->port_count];
    char why[256];

    if (options->port_count == PORTS_MAX)
        argp_failure(state, STATUS_USAGE, 0, "more than %u ports", PORTS_MAX);
    if (!port_option_parse(text, port, why, sizeof why))
        argp_failure(state, STATUS_USAGE, 0, "%s", why);
    for (uint32_t i = 0; i < options->port_count; i++)
        if (!strcmp(options->ports[i].name, port->name) ||
            !strcmp(options->ports[i].device, port->device))
            argp_failure(state, STATUS_USAGE, 0, "--port %s: name or device given twice", text);
    options->port_count++;
}

static void link_parse(struct argp_state *state, struct options *options, const char *text)
{
    if (options->link_count == LINKS_MAX)
        argp_failure(state, STATUS_USAGE, 0, "more than %u links", LINKS_MAX);
    for (uint32_t i = 0; i < options->link_count; i++)
        if (!strcmp(options->links[i], text))
            argp_failure(state, STATUS_USAGE, 0, "--link %s: given twice", text);
    device_copy(state, "link", options->links[options->link_count++], text);
}

static error_t option_parse(int key, char *text, struct argp_state *state)
{
    struct parsing *parsing = state->input;
    struct options *options = parsing->options;

    switch (key) {
    case KEY_PORT:
        port_parse(state, options, text);
        return 0;
    case KEY_LINK:
        link_parse(state, options, text);
        return 0;
    case KEY_CONTROL:
        options->control = (uint16_t)number_parse(state, "control", text, 1, UINT16_MAX);
        return 0;
    case KEY_MEMORY:
        options->memory_bytes = number_parse(state, "memory", text, 1, MEMORY_MIB_MAX) << 20;
        return 0;
    case KEY_LAG:
        if (!parsing->defaults->output)
            return ARGP_ERR_UNKNOWN;
        options->lag_bytes = number_parse(state, "lag", text, 1, LAG_KIB_MAX) << 10;
        return 0;
    case KEY_STATE:
        options->state = text;
        return 0;
    case KEY_JOURNAL:
        options->journal = text;
        return 0;
    case KEY_QUEUE:
        options->queue = (uint32_t)number_parse(state, "queue", text, 0, 63);
        return 0;
    case KEY_EXIT_WITHOUT_BACKUP:
        if (!parsing->defaults->output)
            return ARGP_ERR_UNKNOWN;
        options->exit_without_backup = true;
        return 0;
    case KEY_FORGET:
        options->forget = true;
        return 0;
    case ARGP_KEY_ARG:
        argp_failure(state, STATUS_USAGE, 0, "\"%s\" is not expected here", text);
        return 0;
    case ARGP_KEY_END:
        if (!options->port_count)
            argp_failure(state, STATUS_USAGE, 0, "no --port NAME=DEVICE given");
        if (!options->link_count)
            argp_failure(state, STATUS_USAGE, 0, "no --link DEVICE given");
        if (!options->state)
            argp_failure(state, STATUS_USAGE, 0, "no --state DIRECTORY given");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static void environment_parse(struct options *options, const char *program)
{
    char why[FAULT_WHY_BYTES];
    bool help;

    enum status status =
        fault_parse_options(getenv("PALISADE_OPTIONS"), &options->fault, &help, why);
    if (status != STATUS_OK) {
        fprintf(stderr, "%s: PALISADE_OPTIONS: %s\n", program, why);
        exit(status);
    }
    if (help) {
        fault_print_help(stdout);
        exit(STATUS_OK);
    }
}

void options_parse(struct options *options, const struct options_defaults *defaults, int argc,
                   char **argv)
{
    const struct argp_option common[] = {
        {"port", KEY_PORT, "NAME=DEVICE[,tun|,tap][,accept=LIST]", 0,
         "A world-facing device and the name under which the NF knows it (repeat; the same list, "
         "in the same order, for both loggers). LIST is the traffic of a network device that goes "
         "to the NF: ip4, arp, ip6, vlan, all, joined by + (default ip4+arp)",
         0},
        {"link", KEY_LINK, "DEVICE", 0, "A device with an NF process behind it (repeat)", 0},
        {"control", KEY_CONTROL, "PORT", 0, "TCP port of the lifelines", 0},
        {"memory", KEY_MEMORY, "MIB", 0,
         "Bound of what is kept: packets and logs; the output logger keeps images of as much "
         "again (default 256)",
         0},
        {"lag", KEY_LAG, "KIB", defaults->output ? 0 : OPTION_HIDDEN,
         "Bound of the logs that a hot standby has still to replay, or of 4096 times as many "
         "events: beyond it the network function is slowed down (default 1024)",
         0},
        {"state", KEY_STATE, "DIRECTORY", 0, "Where the epoch is kept; must survive a reboot", 0},
        {"journal", KEY_JOURNAL, "FILE", 0, "Append what happens as JSON lines", 0},
        {"queue", KEY_QUEUE, "N", 0, "Queue of the ports' devices to use", 0},
        {"forget", KEY_FORGET, NULL, 0,
         "Give up a reign that did not end: its master died, and so did what this logger kept of "
         "it. For a person to decide, never for a supervisor's command line",
         0},
        {"exit-without-backup", KEY_EXIT_WITHOUT_BACKUP, NULL, defaults->output ? 0 : OPTION_HIDDEN,
         "End with status 75 when the master dies and no backup is there, instead "
         "of waiting for one",
         0},
        {0},
    };
    const struct argp argp = {
        .options = common,
        .parser = option_parse,
        .doc = defaults->purpose,
    };
    struct parsing parsing = {.options = options, .defaults = defaults};

    *options = (struct options){
        .control = defaults->control,
        .queue = defaults->queue,
        .memory_bytes = (uint64_t)MEMORY_MIB_DEFAULT << 20,
        .lag_bytes = (uint64_t)LAG_KIB_DEFAULT << 10,
    };
    environment_parse(options, defaults->program);
    argp_err_exit_status = STATUS_USAGE;
    if (argp_parse(&argp, argc, argv, 0, NULL, &parsing))
        exit(STATUS_USAGE);
}
