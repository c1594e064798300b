/* What the command line says. Filled by main before the first worker starts; read-only afterwards.
 */
#ifndef CONFIG_H
#define CONFIG_H

#include <getopt.h>
#include <stdbool.h>

#define PROGRAM "lb"
#include "../common/arguments.h"

enum side { LAN, WAN, SIDES };

struct config {
    const char *interface[SIDES];
    uint32_t address[SIDES]; /* network order: the virtual one, the backends' gateway */
    const char *backends;    /* file */
    unsigned queue, reload_ms, idle_s, flows;
    bool verbose;
};

__attribute__((noreturn)) static void usage(const char *wrong)
{
    if (wrong != NULL)
        fprintf(stderr, "lb: %s\n", wrong);
    fprintf(wrong != NULL ? stderr : stdout,
            "usage: lb --lan IF --vip A --wan IF --wan-address A --backends FILE [options]\n"
            "  --vip A          the address that clients on the lan know\n"
            "  --wan-address A  the backends' gateway to the clients\n"
            "  --backends FILE  a line each: ADDRESS WEIGHT; weight 0 (to 64) keeps its flows and\n"
            "                   gets no new ones. Read again when it changes\n"
            "  --reload-ms N    how often to look whether it has (200)\n"
            "  --queue N        the interfaces' queue to serve (0)\n"
            "  --idle S         a silent flow is remembered so long (300)\n"
            "  --flows N        room for so many flows (16384)\n"
            "  -v, --verbose    print counters every second\n");
    exit(wrong != NULL ? EXIT_USAGE : EXIT_SUCCESS);
}

static void options_parse(struct config *config, int argc, char **argv)
{
    static const struct option options[] = {
        {"lan", required_argument, NULL, 'l'},      {"vip", required_argument, NULL, 'V'},
        {"wan", required_argument, NULL, 'w'},      {"wan-address", required_argument, NULL, 'W'},
        {"backends", required_argument, NULL, 'b'}, {"reload-ms", required_argument, NULL, 'r'},
        {"queue", required_argument, NULL, 'q'},    {"idle", required_argument, NULL, 'i'},
        {"flows", required_argument, NULL, 'f'},    {"verbose", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},           {NULL, 0, NULL, 0}};
    int option;

    while ((option = getopt_long(argc, argv, "vh", options, NULL)) != -1) {
        switch (option) {
        case 'l':
            config->interface[LAN] = optarg;
            break;
        case 'w':
            config->interface[WAN] = optarg;
            break;
        case 'V':
            config->address[LAN] = address_parse(optarg, "--vip: not A.B.C.D");
            break;
        case 'W':
            config->address[WAN] = address_parse(optarg, "--wan-address: not A.B.C.D");
            break;
        case 'b':
            config->backends = optarg;
            break;
        case 'r':
            config->reload_ms = number_parse(optarg, 10, 3600000, "--reload-ms: out of range");
            break;
        case 'q':
            config->queue = number_parse(optarg, 0, 1023, "--queue: out of range");
            break;
        case 'i':
            config->idle_s = number_parse(optarg, 1, 1u << 20, "--idle: out of range");
            break;
        case 'f':
            config->flows = number_parse(optarg, 8, 1u << 26, "--flows: out of range");
            break;
        case 'v':
            config->verbose = true;
            break;
        case 'h':
            usage(NULL);
            break;
        default:
            usage("unknown option, or its value is missing");
        }
    }
    if (optind != argc)
        usage("unexpected argument");
    if (config->interface[LAN] == NULL || config->interface[WAN] == NULL)
        usage("--lan and --wan are required");
    if (config->address[LAN] == 0 || config->address[WAN] == 0)
        usage("--vip and --wan-address are required");
    if (config->backends == NULL)
        usage("--backends is required");
}

#endif
