/* What the command line says. Filled by main before the first thread starts; read-only afterwards.
 */
#ifndef CONFIG_H
#define CONFIG_H

#include <getopt.h>
#include <stdbool.h>

#define PROGRAM "ratelimit"
#include "../common/arguments.h"

#define SHARDS_MAX 8
#define LIMITS_MAX 32

struct limit {
    uint32_t source; /* network order; 0: whoever is not listed */
    unsigned rate;   /* bytes a second; 0: not limited */
};

struct config {
    const char *device;
    unsigned shards, burst, queue;   /* bytes */
    struct limit limits[LIMITS_MAX]; /* the first is everybody's */
    unsigned limit_count;
    bool verbose;
};

__attribute__((noreturn)) static void usage(const char *wrong)
{
    if (wrong != NULL)
        fprintf(stderr, "ratelimit: %s\n", wrong);
    fprintf(wrong != NULL ? stderr : stdout,
            "usage: ratelimit --device TUN [options]\n"
            "  --rate N         bytes a second that a source address may send (1000000)\n"
            "  --limit A=N      the same for one source; 0: not limited. Repeat\n"
            "  --burst N        bytes that a source may send at once after a silence (65536)\n"
            "  --queue N        bytes that wait for their turn, of each source (1048576)\n"
            "  --threads N      releasing threads, 1 to %d (2)\n"
            "  -v, --verbose    print counters, of each source too, every second\n",
            SHARDS_MAX);
    exit(wrong != NULL ? EXIT_USAGE : EXIT_SUCCESS);
}

static void options_parse(struct config *config, int argc, char **argv)
{
    static const struct option options[] = {{"device", required_argument, NULL, 'd'},
                                            {"rate", required_argument, NULL, 'r'},
                                            {"limit", required_argument, NULL, 'l'},
                                            {"burst", required_argument, NULL, 'b'},
                                            {"queue", required_argument, NULL, 'q'},
                                            {"threads", required_argument, NULL, 't'},
                                            {"verbose", no_argument, NULL, 'v'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    struct limit *limit;
    int option;

    while ((option = getopt_long(argc, argv, "vh", options, NULL)) != -1) {
        switch (option) {
        case 'd':
            config->device = optarg;
            break;
        case 'r':
            config->limits[0].rate = number_parse(optarg, 0, 1u << 30, "--rate: out of range");
            break;
        case 'l':
            if (config->limit_count == LIMITS_MAX)
                usage("--limit: too many");
            limit = &config->limits[config->limit_count++];
            limit->rate = address_number_parse(optarg, '=', &limit->source, 0, 1u << 30,
                                               "--limit: not A.B.C.D=N");
            break;
        case 'b': /* the largest packet must fit */
            config->burst = number_parse(optarg, 2048, 1u << 30, "--burst: out of range");
            break;
        case 'q':
            config->queue = number_parse(optarg, 2048, 1u << 30, "--queue: out of range");
            break;
        case 't':
            config->shards = number_parse(optarg, 1, SHARDS_MAX, "--threads: out of range");
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
    if (config->device == NULL)
        usage("--device is required");
}

#endif
