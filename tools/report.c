/*
 * Judges a program by its units' notes and puts the result into one JSON object (docs/report.md,
 * "Program"); report_text.c prints that for a person.
 */
#include <stdio.h>
#include <string.h>

#include "core/status.h"
#include "json.h"
#include "merge.h"
#include "tools.h"

/* Everything that stands in the way, of all units: a copy of the units' items, each with "unit". */
static json_t *collect_items(const struct program *program, const char *key)
{
    json_t *out = json_array(), *unit, *item;
    size_t i, j;
    json_array_foreach(program->units, i, unit)
    {
        json_array_foreach(json_object_get(unit, key), j, item)
        {
            json_t *copy = json_copy(item);
            json_object_set_new(copy, "unit", json_string(text(unit, "file")));
            json_array_append_new(out, copy);
        }
    }
    return out;
}

/* External functions that no unit defines. */
static void add_missing(const struct program *program, json_t *unhandled)
{
    json_t *external, *item;
    size_t i, j;
    json_array_foreach(program->externals, i, external)
    {
        const char *name = text(external, "name");
        if (json_object_get(program->defines, name))
            continue;
        json_t *unit = json_array_get(
            program->units, (size_t)json_integer_value(json_object_get(external, "unit")));
        json_array_foreach(json_object_get(unit, "externals"), j, item)
        {
            if (strcmp(text(item, "what"), name) != 0)
                continue;
            json_t *copy = json_copy(item);
            json_object_set_new(copy, "unit", json_string(text(unit, "file")));
            json_array_append_new(unhandled, copy);
        }
    }
}

/* A unit that took itself for the whole program does not expect others. */
static void add_conflicts(const struct program *program, json_t *unhandled)
{
    json_t *unit;
    size_t i;
    json_array_foreach(program->units, i, unit)
    {
        if (json_array_size(program->units) > 1 &&
            json_is_true(json_object_get(unit, "whole_program")))
            json_array_append_new(
                unhandled, json_pack("{s:s, s:s, s:s, s:i, s:s, s:s}", "kind", "unit", "what",
                                     "compiled as the whole program, but linked with other units",
                                     "file", text(unit, "file"), "line", 0, "advice",
                                     "compile it without -palisade-whole-program", "unit",
                                     text(unit, "file")));
    }
}

/* What one unit leaves out by its plan, another may do. */
static void add_planless(const struct program *program, json_t *unhandled)
{
    const char *first = text(json_array_get(program->units, 0), "plan");
    json_t *unit;
    size_t i;
    json_array_foreach(program->units, i, unit)
    {
        if (strcmp(text(unit, "plan"), first) == 0)
            continue;
        json_array_append_new(
            unhandled,
            json_pack("{s:s, s:s, s:s, s:i, s:s, s:s}", "kind", "unit", "what",
                      "not compiled with the same plan as the first unit", "file",
                      text(unit, "file"), "line", 0, "advice",
                      "compile all units with the same --palisade-plan=FILE, or all without",
                      "unit", text(unit, "file")));
    }
}

static int count_named(const json_t *names, const char *name)
{
    json_t *other;
    size_t i;
    int count = 0;
    json_array_foreach(names, i, other)
    {
        count += strcmp(base_name(json_string_value(other)), name) == 0;
    }
    return count;
}

/* Source files that are in the symbol table more often than they left notes. */
json_t *report_uninstrumented(const struct program *program)
{
    json_t *out = json_array(), *units = json_array(), *source, *unit;
    size_t i;
    json_array_foreach(program->units, i, unit)
    {
        json_array_append_new(units, json_string(text(unit, "file")));
        json_array_extend(units, json_object_get(unit, "sources")); /* LTO */
    }
    json_array_foreach(program->other_versions, i, unit)
    {
        json_array_append_new(units, json_string(text(unit, "file")));
    }
    json_array_foreach(program->sources, i, source)
    {
        const char *name = json_string_value(source);
        if (count_named(program->sources, name) > count_named(units, name) &&
            count_named(out, name) == 0)
            json_array_append(out, source);
    }
    json_decref(units);
    return out;
}

static json_t *sum_counters(const struct program *program, const char *key)
{
    json_t *out = json_object(), *unit, *value;
    const char *name;
    size_t i;
    json_array_foreach(program->units, i, unit)
    {
        json_object_foreach(json_object_get(unit, key), name, value)
        {
            json_int_t sum = json_integer_value(json_object_get(out, name));
            json_object_set_new(out, name, json_integer(sum + json_integer_value(value)));
        }
    }
    return out;
}

static const char *kind_name(enum program_kind kind)
{
    switch (kind) {
    case PROGRAM_EXECUTABLE:
        return "program";
    case PROGRAM_LIBRARY:
        return "library";
    case PROGRAM_OBJECT:
        return "object";
    case PROGRAM_ARCHIVE:
        return "archive";
    case PROGRAM_UNKNOWN:
        break;
    }
    return "unknown";
}

/* The unit logs the variable by itself: it sees both sides. */
static bool logs(const struct program *program, const char *file, const char *name)
{
    json_t *unit, *variable;
    size_t i, j;
    json_array_foreach(program->units, i, unit)
    {
        if (strcmp(text(unit, "file"), file) != 0)
            continue;
        json_array_foreach(json_object_get(unit, "variables"), j, variable)
        {
            if (strcmp(text(variable, "name"), name) == 0)
                return strcmp(text(variable, "class"), "racy") == 0;
        }
    }
    return false;
}

/* Fields that one unit guards and another does not: no unit alone can see it. Takes the summaries
 * out of the units, which are for this alone. */
static json_t *find_disagreements(const struct program *program)
{
    struct merge merge;
    json_t *unit, *item, *found = NULL, *out = json_array();
    json_t *uninstrumented = report_uninstrumented(program);
    size_t i;
    bool planned = *text(json_array_get(program->units, 0), "plan") != 0; /* then all log it */
    if (merge_load(&merge, program->units, program->exported,
                   json_array_size(uninstrumented) > 0)) {
        merge_solve(&merge);
        found = planned ? NULL : merge_disagreements(&merge);
    }
    json_array_foreach(found, i, item)
    {
        json_t *sides = json_object_get(item, "sides");
        const char *name = text(item, "variable");
        bool block = json_is_true(json_object_get(item, "block")); /* no hook takes it */
        json_object_del(item, "block");
        if (block || !logs(program, text(json_array_get(sides, 0), "unit"), name) ||
            !logs(program, text(json_array_get(sides, 1), "unit"), name))
            json_array_append(out, item);
    }
    json_decref(found);
    merge_free(&merge);
    json_decref(uninstrumented);
    json_array_foreach(program->units, i, unit)
    {
        json_object_del(unit, "summary");
    }
    return out;
}

static json_t *judge(const struct program *program, const char *path)
{
    json_t *unhandled = collect_items(program, "unhandled");
    add_missing(program, unhandled);
    add_conflicts(program, unhandled);
    add_planless(program, unhandled);
    const char *verdict = "ready";
    if (json_array_size(program->other_versions) > 0)
        verdict = "other-version";
    else if (json_array_size(program->units) == 0)
        verdict = "not-instrumented";
    else if (json_array_size(unhandled) > 0)
        verdict = "refused";
    json_t *report = json_object();
    json_object_set_new(report, "schema", json_integer(1));
    json_object_set_new(report, "program", safe_string(path));
    json_object_set_new(report, "kind", json_string(kind_name(program->kind)));
    json_object_set_new(report, "verdict", json_string(verdict));
    json_object_set_new(report, "unhandled", unhandled);
    json_object_set_new(report, "disagreements", find_disagreements(program));
    json_object_set_new(report, "notes", collect_items(program, "notes"));
    json_object_set_new(report, "uninstrumented", report_uninstrumented(program));
    json_object_set_new(report, "stripped", json_boolean(program->stripped));
    json_object_set_new(report, "other_version_units",
                        json_integer((json_int_t)json_array_size(program->other_versions)));
    json_object_set(report, "other_versions", program->other_versions);
    json_object_set_new(report, "counters", sum_counters(program, "counters"));
    json_object_set_new(report, "classes", sum_counters(program, "classes"));
    json_object_set(report, "units", program->units);
    return report;
}

int report_run(const char *path, bool json, const char *html)
{
    struct program program;
    int status = program_read(&program, path);
    if (status == STATUS_OK) {
        json_t *report = judge(&program, path);
        int written = STATUS_OK;
        const char *verdict = text(report, "verdict");
        if (html) {
            written = report_page(report, html);
        } else if (json) {
            json_dumpf(report, stdout, JSON_INDENT(2));
            putchar('\n');
        } else {
            report_print(report);
        }
        if (strcmp(verdict, "other-version") == 0)
            status = STATUS_PROTOCOL;
        else if (strcmp(verdict, "ready") != 0)
            status = STATUS_UNMODELLED;
        json_decref(report);
        if (written != STATUS_OK)
            status = written;
        if (fflush(stdout) != 0)
            status = STATUS_DISK;
    }
    program_free(&program);
    return status;
}
