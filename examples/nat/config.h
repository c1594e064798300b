/*
 * What the command line says. Filled by main before the first worker starts; read-only afterwards.
 */
#ifndef CONFIG_H
#define CONFIG_H

#include <arpa/inet.h>
#include <getopt.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORKERS_MAX 16
#define BUCKETS 512
#define PORTS_MIN (4 * BUCKETS) /* a smaller range would leave buckets without a port */
#define EXIT_USAGE 64

enum side { LAN, WAN, SIDES };
struct interface {
    char name[IFNAMSIZ];
    uint32_t address, mask; /* network order */
    int index;
    uint8_t mac[ETH_ALEN];
};

struct config {
    struct interface side[SIDES];
    uint32_t gateway; /* on the wan; 0: everything is on the link */
    unsigned workers, first_port, last_port;
    unsigned timeout_tcp_s, timeout_udp_s;
    bool verbose;
};

static void usage(const char *wrong)
{
    if (wrong != NULL)
        fprintf(stderr, "nat: %s\n", wrong);
    fprintf(wrong != NULL ? stderr : stdout,
            "usage: nat --lan IF --lan-address A/N --wan IF --wan-address A/N [options]\n"
            "  --gateway A        next hop for what is not on the wan's own network\n"
            "  --workers N        worker threads, 1 to %d (2)\n"
            "  --first-port P, --last-port P   external ports, at least %d of them (20000-60000)\n"
            "  --timeout-tcp S, --timeout-udp S   idle mappings live so long (3600, 120)\n"
            "  -v, --verbose      print statistics every 5 seconds\n",
            WORKERS_MAX, PORTS_MIN);
    exit(wrong != NULL ? EXIT_USAGE : EXIT_SUCCESS);
}

static unsigned number_parse(const char *text, unsigned least, unsigned most, const char *wrong)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || value < least || value > most)
        usage(wrong);
    return (unsigned)value;
}

static void network_parse(struct interface *interface, const char *text, const char *wrong)
{
    char address[INET_ADDRSTRLEN] = "";
    const char *slash = strchr(text, '/');
    if (slash == NULL || slash - text >= INET_ADDRSTRLEN)
        usage(wrong);
    memcpy(address, text, (size_t)(slash - text));
    if (inet_pton(AF_INET, address, &interface->address) != 1)
        usage(wrong);
    interface->mask = htonl(~0u << (32 - number_parse(slash + 1, 1, 30, wrong)));
}

static void name_parse(struct interface *interface, const char *text, const char *wrong)
{
    if (*text == '\0' || strlen(text) >= sizeof(interface->name))
        usage(wrong);
    strcpy(interface->name, text);
}

static void options_parse(struct config *config, int argc, char **argv)
{
    static const struct option options[] = {{"lan", required_argument, NULL, 'l'},
                                            {"lan-address", required_argument, NULL, 'L'},
                                            {"wan", required_argument, NULL, 'w'},
                                            {"wan-address", required_argument, NULL, 'W'},
                                            {"gateway", required_argument, NULL, 'g'},
                                            {"workers", required_argument, NULL, 'n'},
                                            {"first-port", required_argument, NULL, 'f'},
                                            {"last-port", required_argument, NULL, 'e'},
                                            {"timeout-tcp", required_argument, NULL, 't'},
                                            {"timeout-udp", required_argument, NULL, 'u'},
                                            {"verbose", no_argument, NULL, 'v'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    int option;

    while ((option = getopt_long(argc, argv, "vh", options, NULL)) != -1) {
        switch (option) {
        case 'l':
            name_parse(&config->side[LAN], optarg, "--lan: not an interface name");
            break;
        case 'w':
            name_parse(&config->side[WAN], optarg, "--wan: not an interface name");
            break;
        case 'L':
            network_parse(&config->side[LAN], optarg, "--lan-address: not A.B.C.D/N");
            break;
        case 'W':
            network_parse(&config->side[WAN], optarg, "--wan-address: not A.B.C.D/N");
            break;
        case 'g':
            if (inet_pton(AF_INET, optarg, &config->gateway) != 1)
                usage("--gateway: not A.B.C.D");
            break;
        case 'n':
            config->workers = number_parse(optarg, 1, WORKERS_MAX, "--workers: out of range");
            break;
        case 'f':
            config->first_port = number_parse(optarg, 1, 65535, "--first-port: no port");
            break;
        case 'e':
            config->last_port = number_parse(optarg, 1, 65535, "--last-port: no port");
            break;
        case 't':
            config->timeout_tcp_s =
                number_parse(optarg, 1, 1u << 20, "--timeout-tcp: out of range");
            break;
        case 'u':
            config->timeout_udp_s =
                number_parse(optarg, 1, 1u << 20, "--timeout-udp: out of range");
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
    if (config->side[LAN].name[0] == '\0' || config->side[WAN].name[0] == '\0')
        usage("--lan and --wan are required");
    if (config->side[LAN].mask == 0 || config->side[WAN].mask == 0)
        usage("--lan-address and --wan-address are required");
    if (config->first_port + PORTS_MIN > config->last_port + 1)
        usage("too few ports between --first-port and --last-port");
}

#endif
