/*
 * The command line of both loggers. Of PALISADE_OPTIONS they know `fault` (fault.h).
 */
#ifndef PALISADE_XDP_OPTIONS_H
#define PALISADE_XDP_OPTIONS_H

#include <stdbool.h>

#include "fault.h"
#include "port_option.h"

#define LINKS_MAX 16u
#define MEMORY_MIB_DEFAULT 256u
#define MEMORY_MIB_MAX (1u << 20)
#define LAG_KIB_DEFAULT 1024u
#define LAG_KIB_MAX (1u << 20)

struct options {
    struct port_option ports[PORTS_MAX];
    uint32_t port_count;
    char links[LINKS_MAX][IFNAMSIZ];
    uint32_t link_count;
    uint16_t control;
    uint32_t queue;
    uint64_t memory_bytes;
    uint64_t lag_bytes;  /* of the output logger */
    const char *state;   /* directory */
    const char *journal; /* file, or NULL */
    bool forget;         /* what an open reign left behind is given up */
    bool exit_without_backup;
    struct fault_choice fault;
};

/* What differs between the two daemons. */
struct options_defaults {
    const char *program; /* "palisade-input-logger" */
    const char *purpose; /* help text */
    uint16_t control;
    uint32_t queue;
    bool output; /* knows --exit-without-backup */
    enum fault_program faults;
};

/* Ends the process with STATUS_USAGE and a sentence when something is mistyped or missing. */
void options_parse(struct options *options, const struct options_defaults *defaults, int argc,
                   char **argv);

#endif
