/* PALISADE_OPTIONS: what is taken, and the sentence for what is not. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "options.h"

static struct nf_options options;
static char why[OPTIONS_WHY_BYTES];

static void accept(const char *text)
{
    cr_assert_eq(nf_options_parse(text, &options, why), STATUS_OK, "%s", why);
    cr_assert_str_empty(why);
}

static void refuse(const char *text, const char *expected)
{
    cr_assert_eq(nf_options_parse(text, &options, why), STATUS_USAGE, "accepted: %s", text);
    cr_assert_not_null(strstr(why, expected), "'%s': expected '%s', got '%s'", text, expected, why);
    cr_assert_null(strchr(why, '\n'));
}

Test(nf_options, defaults)
{
    static const char *const nothing[] = {NULL, "", ":", "::"};
    for (uint32_t i = 0; i < 4; i++) {
        accept(nothing[i]);
        cr_assert_eq(options.role, OPTION_ROLE_OFF);
        cr_assert_eq(options.io, OPTION_IO_LINKS);
        cr_assert_eq(options.unmodelled, OPTION_UNMODELLED_REFUSE);
        cr_assert_not(options.help);
        cr_assert_eq(options.il_port, 7601);
        cr_assert_eq(options.ol_port, 7602);
        cr_assert_eq(options.snapshot_ms, 200);
        cr_assert_eq(options.log_kib, 1024);
        cr_assert_eq(options.queue_packets, 1024);
        cr_assert_eq(options.heap_mib, 1024);
        cr_assert_eq(options.stack_kib, 1024);
        cr_assert_eq(options.spin, 200);
        cr_assert_eq(options.connect_ms, 10000);
        cr_assert_str_empty(options.journal);
        cr_assert_str_empty(options.il.device);
    }
}

Test(nf_options, values)
{
    accept("role=master:il=eth1@10.0.0.1:ol=pal-ol0.7@10.0.1.1:snapshot_ms=0:heap_mib=64:"
           "journal=/tmp/a,b@c=d.json:unmodelled=allow:help=0:");
    cr_assert_eq(options.role, OPTION_ROLE_MASTER);
    cr_assert_str_eq(options.il.device, "eth1");
    cr_assert_str_eq(options.il.address, "10.0.0.1");
    cr_assert_str_eq(options.ol.device, "pal-ol0.7");
    cr_assert_eq(options.snapshot_ms, 0);
    cr_assert_eq(options.heap_mib, 64);
    cr_assert_str_eq(options.journal, "/tmp/a,b@c=d.json");
    cr_assert_eq(options.unmodelled, OPTION_UNMODELLED_ALLOW);
    accept("spin=1:spin=2");
    cr_assert_eq(options.spin, 2);
    accept("role=backup:io=memory"); /* needs no loggers */
    accept("help=1:role=master");
    cr_assert(options.help);
    cr_assert_eq(options.fault.fault, FAULT_NONE);
    accept("fault=master_copied@3");
    cr_assert_eq(options.fault.fault, FAULT_MASTER_COPIED);
    cr_assert_eq(options.fault.passage, 3);
    accept("fault=help:role=master");
    cr_assert(options.fault_help);
}

Test(nf_options, mistakes_name_the_key)
{
    refuse("snapshot=5", "unknown option 'snapshot'; did you mean snapshot_ms?");
    refuse("snaphsot_ms=5", "did you mean snapshot_ms?");
    refuse("juornel=5", "did you mean journal?"); /* two slips */
    refuse("heap=5", "did you mean heap_mib?");
    refuse("rol=master", "did you mean role?");
    refuse("elephant=5", "unknown option 'elephant' (help=1");
    refuse("=5", "unknown option ''");
    refuse("spin=1:role", "'role' lacks a value");
    refuse("help", "'help' lacks a value");
    refuse("spin=", "spin=: not a whole number");
    refuse("spin=12x", "spin=12x: not a whole number");
    refuse("spin=-1", "spin=-1: not a whole number");
    refuse("spin= 1", "not a whole number");
    refuse("il_port=0", "il_port=0: must lie between 1 and 65535");
    refuse("il_port=65536", "must lie between");
    refuse("spin=99999999999999999999999", "must lie between");
    refuse("spin=4294967496", "must lie between");           /* 2^32 + 200 */
    refuse("spin=18446744073709551816", "must lie between"); /* 2^64 + 200 */
    refuse("log_kib=1000", "log_kib=1000: must be a power of two");
    refuse("help=maybe", "help=maybe: write 0 or 1");
    refuse("fault=master_copid", "did you mean master_copied?");
    refuse("fault=master_copied@x", "write NAME@N");
    refuse("role=mastr", "role=mastr: must be one of off, master, backup; did you mean master?");
    refuse("role=", "role=: must be one of off, master, backup");
    refuse("io=disk", "io=disk: must be one of links, memory");
    refuse("il=eth1", "il=eth1: write DEVICE@ADDRESS");
    refuse("il=@10.0.0.1", "write DEVICE@ADDRESS");
    refuse("il=eth1@host", "not an IPv4 address");
    refuse("il=a123456789abcdef@10.0.0.1", "at most 15 characters");
    refuse("role=master", "role=master needs il=DEVICE@ADDRESS");
    refuse("role=backup:il=eth1@10.0.0.1", "role=backup needs ol=DEVICE@ADDRESS");
}

Test(nf_options, long_input_is_refused)
{
    char text[2000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = 0;
    refuse(text, "too long");
    memcpy(text, "journal=", 8);
    text[8 + 255] = 0;
    accept(text);
    text[8 + 255] = 'x';
    text[8 + 256] = 0;
    refuse(text, "journal: the value is longer than 255 bytes");
    memset(text, 'y', 200);
    text[200] = 0;
    strcat(text, "=1");
    refuse(text, "unknown option");
}

Test(nf_options, help_lists_all)
{
    char *text = NULL;
    size_t length = 0;
    FILE *stream = open_memstream(&text, &length);
    nf_options_print_help(stream);
    fclose(stream);
    cr_assert_not_null(strstr(text, "snapshot_ms    time between snapshots; 0: only the first, and "
                                    "when a logger fills up (0 to 3600000) [200]"));
    cr_assert_not_null(strstr(text, "(off, master, backup) [off]"));
    cr_assert_not_null(strstr(text, "(DEVICE@ADDRESS) [none]"));
    static const char *const names[] = {
#define OPTION_BOOL(name, ...) #name,
#define OPTION_NUMBER(name, ...) #name,
#define OPTION_POWER(name, ...) #name,
#define OPTION_CHOICE(name, ...) #name,
#define OPTION_LINK(name, ...) #name,
#define OPTION_TEXT(name, ...) #name,
#define OPTION_FAULT(name, ...) #name,
#include "options.def"
    };
    cr_assert_eq(sizeof names / sizeof *names, 21);
    for (uint32_t i = 0; i < sizeof names / sizeof *names; i++) {
        char line[64];
        snprintf(line, sizeof line, "\n  %s ", names[i]);
        cr_assert_not_null(strstr(text, line), "%s", names[i]);
    }
    free(text);
}

Test(nf_options, identity_holds_what_must_agree)
{
    char text[512], other[512];
    accept("role=master:il=a@1.1.1.1:ol=b@1.1.1.2:spin=7:journal=/x");
    int length = nf_options_identity(&options, text, sizeof text);
    cr_assert_eq(length, (int)strlen(text));
    cr_assert_str_eq(text, "log_kib=1024,queue_packets=1024,heap_mib=1024,stack_kib=1024,"
                           "unmodelled=refuse");
    accept("role=backup:il=c@1.1.1.1:ol=d@1.1.1.2:heap_mib=2");
    nf_options_identity(&options, other, sizeof other);
    cr_assert_not_null(strstr(other, "heap_mib=2,"));
    cr_assert_eq(nf_options_identity(&options, text, (size_t)length - 5), -ENOSPC);
}

/* The exit status of nf_options_from_environment under `value`, 100 when it returned. */
static int environment_status(const char *value)
{
    pid_t child = fork();
    if (child == 0) {
        if (value)
            setenv("PALISADE_OPTIONS", value, 1);
        else
            unsetenv("PALISADE_OPTIONS");
        close(1);
        close(2);
        nf_options_from_environment(&options);
        _exit(100);
    }
    int status;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

Test(nf_options, environment)
{
    cr_assert_eq(environment_status(NULL), 100);
    cr_assert_eq(environment_status("spin=1"), 100);
    cr_assert_eq(environment_status("help=1"), 0);
    cr_assert_eq(environment_status("fault=help"), 0);
    cr_assert_eq(environment_status("spinn=1"), STATUS_USAGE);
}
