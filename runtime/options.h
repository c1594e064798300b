/*
 * PALISADE_OPTIONS: `key=value:key=value`. A value may hold anything but ':'. The list of options
 * is options.def; a key named twice takes its last value; empty entries are skipped.
 * (The loggers have a command line of their own: xdp/options.h.)
 */
#ifndef PALISADE_OPTIONS_H
#define PALISADE_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "core/status.h"
#include "fault/fault.h"

#define OPTION_TEXT_BYTES 256u
#define OPTIONS_WHY_BYTES 512u

struct option_link {
    char device[16];  /* empty: not given */
    char address[46]; /* dotted IPv4 */
};

enum option_role { OPTION_ROLE_OFF, OPTION_ROLE_MASTER, OPTION_ROLE_BACKUP };
enum option_standby { OPTION_STANDBY_COLD, OPTION_STANDBY_HOT, OPTION_STANDBY_CHECK };
enum option_unmodelled { OPTION_UNMODELLED_REFUSE, OPTION_UNMODELLED_ALLOW };
enum option_io { OPTION_IO_LINKS, OPTION_IO_MEMORY };

struct nf_options {
#define OPTION_BOOL(name, preset, scope, help) bool name;
#define OPTION_NUMBER(name, preset, least, most, scope, help) uint32_t name;
#define OPTION_POWER(name, preset, least, most, scope, help) uint32_t name;
#define OPTION_CHOICE(name, scope, help, ...) enum option_##name name;
#define OPTION_LINK(name, scope, help) struct option_link name;
#define OPTION_TEXT(name, scope, help) char name[OPTION_TEXT_BYTES];
#define OPTION_FAULT(name, scope, help) struct fault_choice name;
#include "options.def"
    bool fault_help; /* fault=help */
};

/*
 * Fills *options with the defaults, then with `text` (NULL: nothing). STATUS_OK, or STATUS_USAGE
 * with one sentence in `why` (OPTIONS_WHY_BYTES) that names the key. Any thread; no allocation.
 */
enum status nf_options_parse(const char *text, struct nf_options *options, char *why);

/*
 * For programs: parses the environment's PALISADE_OPTIONS. help=1 and fault=help print a list on
 * stdout and exit 0; a mistake prints its sentence on stderr and exits STATUS_USAGE.
 */
void nf_options_from_environment(struct nf_options *options);

void nf_options_print_help(FILE *stream);

/*
 * The options that master and backup must share, as `key=value,key=value`: a part of the identity
 * (G8). Returns its length or -ENOSPC.
 */
int nf_options_identity(const struct nf_options *options, char *out, size_t room);

#endif
