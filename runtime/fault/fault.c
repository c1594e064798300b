#include "fault.h"

#include <ctype.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "alike.h"
#include "core/assert.h"
#include "journal.h"

enum who { WHO_MASTER, WHO_BACKUP, WHO_OL, WHO_IL };
static const enum fault_program program_of[] = {
    [WHO_MASTER] = FAULT_IN_NF,
    [WHO_BACKUP] = FAULT_IN_NF,
    [WHO_OL] = FAULT_IN_OL,
    [WHO_IL] = FAULT_IN_IL,
};

static const struct {
    const char *name;
    enum who who;
    const char *what;
} table[FAULT_COUNT] = {
#define FAULT(name, who, what) [FAULT_##name] = {#name, WHO_##who, what},
#include "fault.def"
#undef FAULT
};
_Static_assert(FAULT_NAME_BYTES == ALIKE_MAX_BYTES, "names can be compared");

enum fault fault_armed;
static uint32_t passage;
static struct journal *journal;

void fault_name(enum fault fault, char name[FAULT_NAME_BYTES])
{
    ASSERT(fault > FAULT_NONE && fault < FAULT_COUNT);
    const char *from = table[fault].name;
    ASSERT(strlen(from) < FAULT_NAME_BYTES);
    do
        *name++ = (char)tolower(*from);
    while (*from++);
}

#define SAY(why, ...) (snprintf(why, FAULT_WHY_BYTES, __VA_ARGS__), STATUS_USAGE)

static enum status unknown(const char *given, char *why)
{
    char name[FAULT_NAME_BYTES], meant[FAULT_NAME_BYTES] = "";
    size_t best = SIZE_MAX;
    for (enum fault fault = FAULT_NONE + 1; fault < FAULT_COUNT; fault++) {
        fault_name(fault, name);
        size_t apart = alike(given, name);
        if (apart < best) {
            best = apart;
            memcpy(meant, name, sizeof meant);
        }
    }
    if (meant[0])
        return SAY(why, "fault=%.60s: no such point; did you mean %s? (fault=help lists all)",
                   given, meant);
    return SAY(why, "fault=%.60s: no such point (fault=help lists all)", given);
}

enum status fault_parse(const char *text, struct fault_choice *choice, char *why)
{
    char given[64], name[FAULT_NAME_BYTES];
    uint32_t number = 1;
    size_t length = strcspn(text, "@");
    if (text[length] == '@') {
        const char *digit = text + length + 1;
        for (number = 0; *digit >= '0' && *digit <= '9' && number < 100000000; digit++)
            number = number * 10 + (uint32_t)(*digit - '0');
        if (*digit || number == 0)
            return SAY(why, "fault=%.60s: write NAME@N, N a number from 1", text);
    }
    snprintf(given, sizeof given, "%.*s", (int)length, text);
    for (enum fault fault = FAULT_NONE + 1; fault < FAULT_COUNT; fault++) {
        fault_name(fault, name);
        if (strcmp(given, name) == 0) {
            *choice = (struct fault_choice){.fault = fault, .passage = number};
            return STATUS_OK;
        }
    }
    return unknown(given, why);
}

enum status fault_parse_options(const char *options, struct fault_choice *choice, bool *help,
                                char *why)
{
    char entry[128];
    *choice = (struct fault_choice){0};
    *help = false;
    while (options && *options) {
        size_t length = strcspn(options, ":");
        snprintf(entry, sizeof entry, "%.*s", (int)length, options);
        options += length + (options[length] == ':');
        if (entry[0] == 0)
            continue;
        if (strncmp(entry, "fault=", 6) != 0)
            return SAY(why,
                       "'%.60s': here only fault=NAME is known; the rest is for network functions",
                       entry);
        if (strcmp(entry + 6, "help") == 0)
            *help = true;
        else if (fault_parse(entry + 6, choice, why) != STATUS_OK)
            return STATUS_USAGE;
    }
    return STATUS_OK;
}

void fault_print_help(FILE *stream)
{
    char name[FAULT_NAME_BYTES];
    fprintf(stream, "PALISADE_OPTIONS=fault=NAME or fault=NAME@N: the process kills itself when, "
                    "for the\nfirst or the N-th time,\n\n");
    for (enum fault fault = FAULT_NONE + 1; fault < FAULT_COUNT; fault++) {
        fault_name(fault, name);
        fprintf(stream, "  %-22s %s\n", name, table[fault].what);
    }
}

void fault_arm(const struct fault_choice *choice, enum fault_program program, struct journal *to)
{
    if (choice->fault == FAULT_NONE || program_of[table[choice->fault].who] != program)
        return;
    journal = to;
    passage = choice->passage;
    fault_armed = choice->fault;
}

void fault_passed(void)
{
    static atomic_uint passed;
    char name[FAULT_NAME_BYTES];
    if (atomic_fetch_add(&passed, 1) + 1 != passage)
        return;
    fault_name(fault_armed, name);
    journal_event(journal, "fault", "{s:s}", "name", name);
    kill(getpid(), SIGKILL);
    for (;;)
        pause();
}
