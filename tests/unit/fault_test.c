/* Fault points: which names are taken, and what a point does. */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fault/alike.h"
#include "fault/fault.h"
#include "journal.h"

static struct fault_choice choice;
static char why[FAULT_WHY_BYTES];

static void refuse(enum status status, const char *expected)
{
    cr_assert_eq(status, STATUS_USAGE);
    cr_assert_not_null(strstr(why, expected), "expected '%s', got '%s'", expected, why);
}

Test(fault, names_and_passages)
{
    cr_assert_eq(fault_parse("ol_epoch", &choice, why), STATUS_OK);
    cr_assert_eq(choice.fault, FAULT_OL_EPOCH);
    cr_assert_eq(choice.passage, 1);
    cr_assert_eq(fault_parse("master_barrier@12", &choice, why), STATUS_OK);
    cr_assert_eq(choice.fault, FAULT_MASTER_BARRIER);
    cr_assert_eq(choice.passage, 12);
    refuse(fault_parse("ol_epohc", &choice, why),
           "fault=ol_epohc: no such point; did you mean ol_epoch? (fault=help");
    refuse(fault_parse("elephant", &choice, why), "fault=elephant: no such point (fault=help");
    refuse(fault_parse("", &choice, why), "no such point");
    refuse(fault_parse("OL_EPOCH", &choice, why), "no such point");
    static const char *const numbers[] = {"ol_epoch@0", "ol_epoch@", "ol_epoch@x", "ol_epoch@1x",
                                          "ol_epoch@99999999999"};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        refuse(fault_parse(numbers[i], &choice, why), "write NAME@N");
}

Test(fault, every_name_can_be_chosen_and_is_listed)
{
    char *text = NULL, name[FAULT_NAME_BYTES];
    size_t length = 0;
    FILE *stream = open_memstream(&text, &length);
    fault_print_help(stream);
    fclose(stream);
    for (enum fault fault = FAULT_NONE + 1; fault < FAULT_COUNT; fault++) {
        char line[64];
        fault_name(fault, name);
        cr_assert_eq(fault_parse(name, &choice, why), STATUS_OK, "%s", why);
        cr_assert_eq(choice.fault, fault, "%s is there twice", name);
        snprintf(line, sizeof line, "\n  %s ", name);
        cr_assert_not_null(strstr(text, line), "%s", name);
    }
    free(text);
}

Test(fault, the_loggers_know_no_other_option)
{
    bool help;
    cr_assert_eq(fault_parse_options(NULL, &choice, &help, why), STATUS_OK);
    cr_assert_eq(choice.fault, FAULT_NONE);
    cr_assert_eq(fault_parse_options(":fault=il_reign@2:", &choice, &help, why), STATUS_OK);
    cr_assert_eq(choice.fault, FAULT_IL_REIGN);
    cr_assert_eq(choice.passage, 2);
    cr_assert_not(help);
    cr_assert_eq(fault_parse_options("fault=help", &choice, &help, why), STATUS_OK);
    cr_assert(help);
    refuse(fault_parse_options("fault=il_rein", &choice, &help, why), "did you mean il_reign?");
    refuse(fault_parse_options("fault=il_reign:spin=1", &choice, &help, why),
           "'spin=1': here only fault=NAME is known");
}

/* How a child that armed `text` and passed ol_epoch three times ended: its signal, or 0. */
static int end_of(const char *text, enum fault_program program, struct journal *journal)
{
    pid_t child = fork();
    if (child == 0) {
        cr_assert_eq(fault_parse(text, &choice, why), STATUS_OK);
        fault_arm(&choice, program, journal);
        for (int i = 0; i < 3; i++) {
            fault_point(FAULT_OL_CUT);
            fault_point(FAULT_OL_EPOCH);
            journal_event(journal, "passed", "{}");
        }
        _exit(0);
    }
    int status;
    waitpid(child, &status, 0);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

Test(fault, a_point_kills_at_its_passage_and_leaves_a_line)
{
    char path[] = "/tmp/fault.XXXXXX", text[512] = "";
    close(mkstemp(path));
    struct journal *journal;
    cr_assert_eq(journal_open(&journal, path, why), STATUS_OK);
    struct journal *nowhere;
    cr_assert_eq(journal_open(&nowhere, NULL, why), STATUS_OK);
    cr_assert_eq(end_of("ol_epoch@4", FAULT_IN_OL, nowhere), 0);
    cr_assert_eq(end_of("ol_epoch", FAULT_IN_NF, nowhere), 0); /* another program's */
    journal_close(nowhere);
    cr_assert_eq(end_of("ol_epoch@3", FAULT_IN_OL, journal), SIGKILL);
    journal_close(journal);
    FILE *file = fopen(path, "r");
    cr_assert_geq(fread(text, 1, sizeof text - 1, file), 1);
    fclose(file);
    unlink(path);
    char *fault = strstr(text, "\"event\":\"fault\",\"name\":\"ol_epoch\"}\n");
    cr_assert_not_null(fault, "%s", text);
    cr_assert_eq(strchr(fault, '\n')[1], 0, "it went on: %s", text);
    int lines = 0;
    for (char *at = text; (at = strstr(at, "passed")); at++)
        lines++;
    cr_assert_eq(lines, 2);
}

/* tests/e2e/faults.py: each point stands in a line of its table, and nothing else does. */
Test(fault, every_point_is_reached_by_one_test)
{
    char line[256], name[FAULT_NAME_BYTES];
    uint32_t lines[FAULT_COUNT] = {0};
    FILE *file = fopen(FAULTS_TABLE, "r");
    cr_assert_not_null(file, FAULTS_TABLE);
    while (fgets(line, sizeof line, file)) {
        if (sscanf(line, "    (\"%31[a-z_]\", ", name) != 1)
            continue;
        cr_assert_eq(fault_parse(name, &choice, why), STATUS_OK, "%s", why);
        lines[choice.fault]++;
    }
    fclose(file);
    for (enum fault fault = FAULT_NONE + 1; fault < FAULT_COUNT; fault++) {
        fault_name(fault, name);
        cr_assert_eq(lines[fault], 1, "%s: %u lines in " FAULTS_TABLE, name, lines[fault]);
    }
}

Test(fault, alike)
{
    cr_assert_eq(alike("heap", "heap_mib"), 0);
    cr_assert_eq(alike("rol", "role"), 0);
    cr_assert_eq(alike("juornel", "journal"), 2);
    cr_assert_eq(alike("elephant", "role"), SIZE_MAX);
    cr_assert_eq(alike("", "role"), SIZE_MAX);
}
