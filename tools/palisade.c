/*
 * palisade: the command that looks into programs built with palisade-cc.
 *
 *   palisade report [--json | --html FILE] PROGRAM   what the pass found, from the program's notes
 *   palisade report --plan PROGRAM                   what its units know of each other, for a
 * second build palisade model --list                            the call model, one row a line
 *
 * Exit statuses: runtime/core/status.h.
 */
#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/status.h"
#include "tools.h"

const char *argp_program_version = "palisade 0.1.0";

static const char usage[] =
    "Usage: palisade COMMAND\n"
    "\n"
    "  report [--json] PROGRAM   what stands in the way of protecting PROGRAM, "
    "and what is logged\n"
    "  report --html FILE PROGRAM   the same as a page, with the source\n"
    "  report --plan PROGRAM     a plan for building PROGRAM again\n"
    "  model --list              what each known function means to replay\n"
    "\n"
    "palisade COMMAND --help tells more.\n";

struct report_arguments {
    bool json, plan;
    const char *html, *program;
};

static error_t report_option(int key, char *value, struct argp_state *state)
{
    struct report_arguments *arguments = state->input;
    switch (key) {
    case 'j':
        arguments->json = true;
        return 0;
    case 'H':
        arguments->html = value;
        return 0;
    case 'p':
        arguments->plan = true;
        return 0;
    case ARGP_KEY_ARG:
        if (arguments->program)
            argp_error(state, "one program at a time: '%s'", value);
        arguments->program = value;
        return 0;
    case ARGP_KEY_END:
        if (!arguments->program)
            argp_error(state, "which program?");
        if (arguments->json && arguments->html)
            argp_error(state, "--json or --html, not both");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int report_command(int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"json", 'j', NULL, 0, "Print one JSON object (docs/report.md)", 0},
        {"html", 'H', "FILE", 0,
         "Write one page for a browser to FILE: the report, then the source", 0},
        {"plan", 'p', NULL, 0, "Print a plan for building the program again (docs/pass.md)", 0},
        {0}};
    static const struct argp parser = {
        options,
        report_option,
        "PROGRAM",
        "Tells what the Palisade pass found in PROGRAM: threads, locks, shared variables, and what "
        "stands in the way of replay.\vExit status 0: the program can be protected; 65: it would "
        "be refused; 78: another version of Palisade built it.",
        NULL,
        NULL,
        NULL};
    struct report_arguments arguments = {0};
    argp_parse(&parser, argc, argv, 0, NULL, &arguments);
    return arguments.plan ? plan_run(arguments.program)
                          : report_run(arguments.program, arguments.json, arguments.html);
}

static error_t model_option(int key, char *value, struct argp_state *state)
{
    bool *list = state->input;
    switch (key) {
    case 'l':
        *list = true;
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "unexpected argument '%s'", value);
        return 0;
    case ARGP_KEY_END:
        if (!*list)
            argp_error(state, "say what to do: --list");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int model_command(int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"list", 'l', NULL, 0, "Print the rows: name, class, lock argument, hook, note", 0}, {0}};
    static const struct argp parser = {options, model_option, "",  "The call model of the pass.",
                                       NULL,    NULL,         NULL};
    bool list = false;
    argp_parse(&parser, argc, argv, 0, NULL, &list);
    return model_list();
}

static const struct {
    const char *name, *shown;
    int (*run)(int argc, char **argv);
} commands[] = {{"report", "palisade report", report_command},
                {"model", "palisade model", model_command}};

int main(int argc, char **argv)
{
    argp_err_exit_status = STATUS_USAGE;
    const char *name = argc > 1 ? argv[1] : NULL;
    if (name && (strcmp(name, "--help") == 0 || strcmp(name, "help") == 0)) {
        fputs(usage, stdout);
        return STATUS_OK;
    }
    if (name && strcmp(name, "--version") == 0) {
        puts(argp_program_version);
        return STATUS_OK;
    }
    for (size_t i = 0; name && i < sizeof commands / sizeof *commands; i++)
        if (strcmp(name, commands[i].name) == 0) {
            argv[1] = (char *)commands[i].shown; /* argp names it in its messages */
            return commands[i].run(argc - 1, argv + 1);
        }
    if (name)
        fprintf(stderr, "palisade: unknown %s '%s'; there are: report, model\n",
                name[0] == '-' ? "option" : "command", name);
    else
        fputs(usage, stderr);
    return STATUS_USAGE;
}
