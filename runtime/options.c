#include "options.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/assert.h"
#include "fault/alike.h"

enum kind { KIND_BOOL, KIND_NUMBER, KIND_POWER, KIND_CHOICE, KIND_LINK, KIND_TEXT, KIND_FAULT };
enum scope { SCOPE_OWN, SCOPE_SAME };

#define CHOICES_MAX 4

struct option {
    const char *name;
    enum kind kind;
    enum scope scope;
    size_t offset; /* of the field in struct nf_options */
    uint32_t preset, least, most;
    const char *help;
    const char *choices[CHOICES_MAX + 1]; /* ends with NULL */
};

#define FIELD(name) offsetof(struct nf_options, name)
#define TEXT_1(a) #a
#define TEXT_2(a, b) #a, #b
#define TEXT_3(a, b, c) #a, #b, #c
#define TEXT_PICK(a, b, c, macro, ...) macro
#define TEXTS(...) TEXT_PICK(__VA_ARGS__, TEXT_3, TEXT_2, TEXT_1)(__VA_ARGS__)

static const struct option table[] = {
#define OPTION_BOOL(name, preset, scope, help)                                                     \
    {#name, KIND_BOOL, SCOPE_##scope, FIELD(name), preset, 0, 1, help, {NULL}},
#define OPTION_NUMBER(name, preset, least, most, scope, help)                                      \
    {#name, KIND_NUMBER, SCOPE_##scope, FIELD(name), preset, least, most, help, {NULL}},
#define OPTION_POWER(name, preset, least, most, scope, help)                                       \
    {#name, KIND_POWER, SCOPE_##scope, FIELD(name), preset, least, most, help, {NULL}},
#define OPTION_CHOICE(name, scope, help, ...)                                                      \
    {#name, KIND_CHOICE, SCOPE_##scope, FIELD(name), 0, 0, 0, help, {TEXTS(__VA_ARGS__), NULL}},
#define OPTION_LINK(name, scope, help)                                                             \
    {#name, KIND_LINK, SCOPE_##scope, FIELD(name), 0, 0, 0, help, {NULL}},
#define OPTION_TEXT(name, scope, help)                                                             \
    {#name, KIND_TEXT, SCOPE_##scope, FIELD(name), 0, 0, 0, help, {NULL}},
#define OPTION_FAULT(name, scope, help)                                                            \
    {#name, KIND_FAULT, SCOPE_##scope, FIELD(name), 0, 0, 0, help, {NULL}},
#include "options.def"
};
#define OPTION_COUNT (sizeof table / sizeof *table)

static void *field(const struct nf_options *options, const struct option *option)
{
    return (char *)options + option->offset;
}

static void number_set(struct nf_options *options, const struct option *option, uint32_t value)
{
    if (option->kind == KIND_BOOL)
        *(bool *)field(options, option) = value != 0;
    else
        *(uint32_t *)field(options, option) = value; /* enums of this file are 4 bytes, too */
}
_Static_assert(sizeof(enum option_role) == sizeof(uint32_t), "choices are stored as uint32_t");

static uint32_t number_get(const struct nf_options *options, const struct option *option)
{
    return option->kind == KIND_BOOL ? *(bool *)field(options, option)
                                     : *(uint32_t *)field(options, option);
}

static const char *nearest_key(const char *given)
{
    const char *found = NULL;
    size_t best = SIZE_MAX;
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        size_t apart = alike(given, table[i].name);
        if (apart < best) {
            best = apart;
            found = table[i].name;
        }
    }
    return found;
}

/* ---- values; each returns false with a sentence in `why` ---- */

#define SAY(why, ...) (snprintf(why, OPTIONS_WHY_BYTES, __VA_ARGS__), false)

static bool parse_bool(struct nf_options *options, const struct option *option, const char *value,
                       char *why)
{
    static const char *const words[] = {"0", "1", "no", "yes", "false", "true", "off", "on"};
    for (uint32_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strcmp(value, words[i]) == 0) {
            number_set(options, option, i % 2);
            return true;
        }
    }
    return SAY(why, "%s=%.60s: write 0 or 1", option->name, value);
}

static bool parse_number(struct nf_options *options, const struct option *option, const char *value,
                         char *why)
{
    uint64_t number = 0;
    const char *digit = value;
    for (; *digit >= '0' && *digit <= '9' && number <= UINT32_MAX; digit++)
        number = number * 10 + (uint64_t)(*digit - '0');
    bool whole = digit > value && (*digit == 0 || number > UINT32_MAX);
    if (!whole)
        return SAY(why, "%s=%.60s: not a whole number", option->name, value);
    if (number < option->least || number > option->most)
        return SAY(why, "%s=%.60s: must lie between %u and %u", option->name, value, option->least,
                   option->most);
    if (option->kind == KIND_POWER && (number & (number - 1)) != 0)
        return SAY(why, "%s=%.60s: must be a power of two", option->name, value);
    number_set(options, option, (uint32_t)number);
    return true;
}

static bool parse_choice(struct nf_options *options, const struct option *option, const char *value,
                         char *why)
{
    char all[128] = "";
    size_t length = 0;
    const char *meant = NULL;
    for (uint32_t i = 0; option->choices[i]; i++) {
        if (strcmp(value, option->choices[i]) == 0) {
            number_set(options, option, i);
            return true;
        }
        if (alike(value, option->choices[i]) != SIZE_MAX)
            meant = option->choices[i];
        length += (size_t)snprintf(all + length, sizeof all - length, "%s%s", i ? ", " : "",
                                   option->choices[i]);
        ASSERT(length < sizeof all);
    }
    if (meant)
        return SAY(why, "%s=%.60s: must be one of %s; did you mean %s?", option->name, value, all,
                   meant);
    return SAY(why, "%s=%.60s: must be one of %s", option->name, value, all);
}

static bool parse_link(struct nf_options *options, const struct option *option, const char *value,
                       char *why)
{
    struct option_link *link = field(options, option);
    struct in_addr address;
    const char *at = strchr(value, '@');
    if (!at || at == value)
        return SAY(why, "%s=%.60s: write DEVICE@ADDRESS, for example %s=eth1@10.0.0.2",
                   option->name, value, option->name);
    size_t length = (size_t)(at - value);
    if (length >= sizeof link->device)
        return SAY(why, "%s=%.60s: a device name has at most %zu characters", option->name, value,
                   sizeof link->device - 1);
    if (inet_pton(AF_INET, at + 1, &address) != 1)
        return SAY(why, "%s=%.60s: what follows the @ is not an IPv4 address", option->name, value);
    *link = (struct option_link){0};
    memcpy(link->device, value, length);
    snprintf(link->address, sizeof link->address, "%s", at + 1);
    return true;
}

static bool parse_text(struct nf_options *options, const struct option *option, const char *value,
                       char *why)
{
    size_t length = strlen(value);
    if (length >= OPTION_TEXT_BYTES)
        return SAY(why, "%s: the value is longer than %u bytes", option->name,
                   OPTION_TEXT_BYTES - 1);
    memcpy(field(options, option), value, length + 1);
    return true;
}

static bool parse_fault(struct nf_options *options, const struct option *option, const char *value,
                        char *why)
{
    options->fault_help = strcmp(value, "help") == 0;
    return options->fault_help || fault_parse(value, field(options, option), why) == STATUS_OK;
}

static bool parse_value(struct nf_options *options, const struct option *option, const char *value,
                        char *why)
{
    switch (option->kind) {
    case KIND_BOOL:
        return parse_bool(options, option, value, why);
    case KIND_NUMBER:
    case KIND_POWER:
        return parse_number(options, option, value, why);
    case KIND_CHOICE:
        return parse_choice(options, option, value, why);
    case KIND_LINK:
        return parse_link(options, option, value, why);
    case KIND_TEXT:
        return parse_text(options, option, value, why);
    case KIND_FAULT:
        return parse_fault(options, option, value, why);
    }
    ASSERT(!"unknown kind");
    return false;
}

static bool parse_entry(struct nf_options *options, char *entry, char *why)
{
    char *equals = strchr(entry, '=');
    if (!equals)
        return SAY(why, "'%.60s' lacks a value: write KEY=VALUE (help=1 lists the keys)", entry);
    *equals = 0;
    for (size_t i = 0; i < OPTION_COUNT; i++)
        if (strcmp(entry, table[i].name) == 0)
            return parse_value(options, &table[i], equals + 1, why);
    const char *meant = nearest_key(entry);
    if (meant)
        return SAY(why, "unknown option '%.60s'; did you mean %s? (help=1 lists all)", entry,
                   meant);
    return SAY(why, "unknown option '%.60s' (help=1 lists all)", entry);
}

/* What single values cannot tell. */
static bool check_together(const struct nf_options *options, char *why)
{
    if (options->help || options->fault_help || options->role == OPTION_ROLE_OFF ||
        options->io != OPTION_IO_LINKS)
        return true;
    if (!options->il.device[0] || !options->ol.device[0])
        return SAY(why, "role=%s needs %s=DEVICE@ADDRESS",
                   options->role == OPTION_ROLE_MASTER ? "master" : "backup",
                   options->il.device[0] ? "ol" : "il");
    return true;
}

enum status nf_options_parse(const char *text, struct nf_options *options, char *why)
{
    *options = (struct nf_options){0};
    for (size_t i = 0; i < OPTION_COUNT; i++)
        if (table[i].kind <= KIND_CHOICE)
            number_set(options, &table[i], table[i].preset);
    why[0] = 0;
    while (text && *text) {
        char entry[OPTION_TEXT_BYTES + ALIKE_MAX_BYTES];
        size_t length = strcspn(text, ":");
        if (length >= sizeof entry) {
            snprintf(why, OPTIONS_WHY_BYTES, "'%.40s...': the value is too long", text);
            return STATUS_USAGE;
        }
        memcpy(entry, text, length);
        entry[length] = 0;
        if (length > 0 && !parse_entry(options, entry, why))
            return STATUS_USAGE;
        text += length + (text[length] == ':');
    }
    return check_together(options, why) ? STATUS_OK : STATUS_USAGE;
}

void nf_options_from_environment(struct nf_options *options)
{
    char why[OPTIONS_WHY_BYTES];
    enum status status = nf_options_parse(getenv("PALISADE_OPTIONS"), options, why);
    if (status != STATUS_OK) {
        fprintf(stderr, "palisade: PALISADE_OPTIONS: %s\n", why);
        exit(status);
    }
    if (options->help) {
        nf_options_print_help(stdout);
        exit(STATUS_OK);
    }
    if (options->fault_help) {
        fault_print_help(stdout);
        exit(STATUS_OK);
    }
}

/* The value as a user would write it; empty when there is none. */
static void value_print(const struct nf_options *options, const struct option *option, char *out,
                        size_t room)
{
    const struct option_link *link = field(options, option);
    switch (option->kind) {
    case KIND_BOOL:
    case KIND_NUMBER:
    case KIND_POWER:
        snprintf(out, room, "%u", number_get(options, option));
        break;
    case KIND_CHOICE:
        snprintf(out, room, "%s", option->choices[number_get(options, option)]);
        break;
    case KIND_LINK:
        snprintf(out, room, "%s%s%s", link->device, link->device[0] ? "@" : "", link->address);
        break;
    case KIND_TEXT:
        snprintf(out, room, "%s", (const char *)field(options, option));
        break;
    case KIND_FAULT: /* never a part of the identity, nor preset */
        out[0] = 0;
        break;
    }
}

void nf_options_print_help(FILE *stream)
{
    struct nf_options presets;
    char why[OPTIONS_WHY_BYTES], value[OPTION_TEXT_BYTES];
    ASSERT(nf_options_parse(NULL, &presets, why) == STATUS_OK);
    fprintf(stream, "PALISADE_OPTIONS=key=value:key=value ...\n\n");
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const struct option *option = &table[i];
        value_print(&presets, option, value, sizeof value);
        fprintf(stream, "  %-14s %s", option->name, option->help);
        if (option->kind == KIND_CHOICE) {
            fprintf(stream, " (");
            for (uint32_t c = 0; option->choices[c]; c++)
                fprintf(stream, "%s%s", c ? ", " : "", option->choices[c]);
            fprintf(stream, ")");
        } else if (option->kind == KIND_NUMBER || option->kind == KIND_POWER) {
            fprintf(stream, " (%u to %u%s)", option->least, option->most,
                    option->kind == KIND_POWER ? ", a power of two" : "");
        } else if (option->kind == KIND_LINK) {
            fprintf(stream, " (DEVICE@ADDRESS)");
        } else if (option->kind == KIND_FAULT) {
            fprintf(stream, " (NAME or NAME@N)");
        }
        fprintf(stream, " [%s]\n", value[0] ? value : "none");
    }
}

int nf_options_identity(const struct nf_options *options, char *out, size_t room)
{
    size_t length = 0;
    char value[OPTION_TEXT_BYTES];
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        if (table[i].scope != SCOPE_SAME)
            continue;
        value_print(options, &table[i], value, sizeof value);
        int wrote = snprintf(out + length, room - length, "%s%s=%s", length ? "," : "",
                             table[i].name, value);
        if (wrote < 0 || (size_t)wrote >= room - length)
            return -ENOSPC;
        length += (size_t)wrote;
    }
    return (int)length;
}
