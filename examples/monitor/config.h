/* What the command line says. Filled by main before the first thread starts; read-only afterwards.
 */
#ifndef CONFIG_H
#define CONFIG_H

#include <getopt.h>
#include <netinet/in.h>

#define PROGRAM "monitor"
#include "../common/arguments.h"

#define INTERFACES_MAX 8

struct config {
    const char *interfaces[INTERFACES_MAX];
    unsigned interface_count;
    const char *filter, *report;
    struct sockaddr_in collector; /* port 0: none */
    unsigned interval_ms, active_ms, idle_ms;
};

__attribute__((noreturn)) static void usage(const char *wrong)
{
    if (wrong != NULL)
        fprintf(stderr, "monitor: %s\n", wrong);
    fprintf(wrong != NULL ? stderr : stdout,
            "usage: monitor --interface IF [--interface IF]... [options]\n"
            "  --filter EXPRESSION  which packets count, in pcap-filter(7)'s language (ip)\n"
            "  --report FILE        appends a line of totals to FILE in every interval\n"
            "  --collector A:P      exports flows there, NetFlow version 5 by UDP\n"
            "  --interval-ms N      pause between reports, and between looks for flows that are\n"
            "                       to be exported (200)\n"
            "  --active-ms N        a flow that goes on is exported that often (2000)\n"
            "  --idle-ms N          a flow ends after so much silence (5000)\n"
            "SIGTERM and SIGINT export all flows, report once more, and end the program.\n");
    exit(wrong != NULL ? EXIT_USAGE : EXIT_SUCCESS);
}

static void options_parse(struct config *config, int argc, char **argv)
{
    static const struct option options[] = {{"interface", required_argument, NULL, 'i'},
                                            {"filter", required_argument, NULL, 'f'},
                                            {"report", required_argument, NULL, 'r'},
                                            {"collector", required_argument, NULL, 'c'},
                                            {"interval-ms", required_argument, NULL, 'n'},
                                            {"active-ms", required_argument, NULL, 'a'},
                                            {"idle-ms", required_argument, NULL, 'd'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    int option;

    while ((option = getopt_long(argc, argv, "i:h", options, NULL)) != -1) {
        switch (option) {
        case 'i':
            if (config->interface_count == INTERFACES_MAX)
                usage("too many interfaces");
            config->interfaces[config->interface_count++] = optarg;
            break;
        case 'f':
            config->filter = optarg;
            break;
        case 'r':
            config->report = optarg;
            break;
        case 'c':
            config->collector.sin_family = AF_INET;
            config->collector.sin_port = htons(
                (uint16_t)address_number_parse(optarg, ':', &config->collector.sin_addr.s_addr, 1,
                                               65535, "--collector: not A.B.C.D:PORT"));
            break;
        case 'n':
            config->interval_ms = number_parse(optarg, 10, 3600000, "--interval-ms: out of range");
            break;
        case 'a':
            config->active_ms = number_parse(optarg, 10, 3600000, "--active-ms: out of range");
            break;
        case 'd':
            config->idle_ms = number_parse(optarg, 10, 3600000, "--idle-ms: out of range");
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
    if (config->interface_count == 0)
        usage("--interface is required");
}

#endif
