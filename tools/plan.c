/* `palisade report --plan`: what the units of a program know of each other, for a second build. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/status.h"

#include "merge.h"
#include "tools.h"

static void set_unit(const struct merge *merge, json_t *object, size_t unit)
{
    if (unit != MERGE_ANY)
        json_object_set_new(object, "unit", json_string(merge->units[unit]));
}

/* Without the number of a copy that a unit's analysis made of it: one a creation. */
static json_t *thread_name(const struct merge *merge, size_t thread)
{
    size_t function = merge->threads[thread].function;
    if (function == MERGE_ANY)
        return json_string("(code without a note)");
    const char *name = merge->functions[function].name;
    return json_stringn(name, strcspn(name, "."));
}

static json_t *find_entry(const json_t *array, const json_t *like, const char *key)
{
    json_t *entry;
    size_t i;
    json_array_foreach(array, i, entry)
    {
        if (json_equal(json_object_get(entry, key), json_object_get(like, key)) &&
            json_equal(json_object_get(entry, "unit"), json_object_get(like, "unit")))
            return entry;
    }
    return NULL;
}

/* "guard.c:guard" when it is static: other units may have one of the same name. */
static json_t *lock_name(const struct merge *merge, size_t lock)
{
    size_t unit = merge->lock_units[lock];
    return unit == MERGE_ANY ? json_string(merge->locks[lock])
                             : json_sprintf("%s:%s", merge->units[unit], merge->locks[lock]);
}

static int compare_entries(const json_t *a, const json_t *b)
{
    const char *keys[] = {"name", "entry", "file", "unit"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const char *left = json_string_value(json_object_get(a, keys[i]));
        const char *right = json_string_value(json_object_get(b, keys[i]));
        int order = strcmp(left ? left : "", right ? right : "");
        if (order != 0)
            return order;
    }
    return 0;
}

static int compare_pointers(const void *a, const void *b)
{
    return compare_entries(*(json_t *const *)a, *(json_t *const *)b);
}

/* The order of the plan must not depend on the order of linking. Takes `array`. */
static json_t *sorted(json_t *array)
{
    size_t count = json_array_size(array), i;
    json_t **order = calloc(count + 1, sizeof *order), *item, *out = json_array();
    if (!order)
        return array;
    json_array_foreach(array, i, item)
    {
        order[i] = item;
    }
    qsort(order, count, sizeof *order, compare_pointers);
    for (i = 0; i < count; i++)
        json_array_append(out, order[i]);
    free(order);
    json_decref(array);
    return out;
}

static json_t *names_of(const struct merge *merge, const uint64_t *set, bool threads)
{
    json_t *out = json_array();
    for (size_t i = 0; i < (threads ? merge->thread_count : merge->lock_count); i++) {
        if (!set_has(set, threads ? i : HELD_ALONE(i)))
            continue;
        json_t *name = threads ? thread_name(merge, i) : lock_name(merge, i);
        size_t at = 0;
        while (at < json_array_size(out) && !json_equal(json_array_get(out, at), name))
            at++;
        if (at == json_array_size(out))
            json_array_append(out, name);
        json_decref(name);
    }
    return out;
}

static json_t *units_of(const json_t *units)
{
    json_t *out = json_array(), *unit, *function;
    size_t i, j;
    json_array_foreach(units, i, unit)
    {
        const json_t *summary = json_object_get(unit, "summary");
        json_t *hashes = json_object();
        json_array_foreach(json_object_get(summary, "functions"), j, function)
        {
            const char *name = json_string_value(json_object_get(function, "name"));
            json_object_set(hashes, name ? name : "", json_object_get(function, "hash"));
        }
        json_array_append_new(
            out, json_pack("{s:O, s:O, s:o}", "file", json_object_get(unit, "file"), "identity",
                           json_object_get(summary, "identity"), "functions", hashes));
    }
    return sorted(out);
}

static json_t *threads_of(const struct merge *merge)
{
    json_t *out = json_array();
    for (size_t i = 0; i + 1 < merge->thread_count; i++) {
        const struct merge_function *function = &merge->functions[merge->threads[i].function];
        json_t *thread = json_pack("{s:o, s:b}", "entry", thread_name(merge, i), "many",
                                   (int)merge->threads[i].many);
        set_unit(merge, thread, function->unit);
        json_t *other = find_entry(out, thread, "entry");
        if (other)
            json_object_set_new(other, "many", json_true());
        else
            json_array_append(out, thread);
        json_decref(thread);
    }
    return sorted(out);
}

/* Functions that more than their own unit calls. */
static json_t *functions_of(const struct merge *merge)
{
    json_t *out = json_array();
    for (size_t i = 0; i < merge->function_count; i++) {
        const struct merge_function *function = &merge->functions[i];
        if (!function->external && !function->taken)
            continue;
        json_t *entry =
            json_pack("{s:s, s:b, s:b, s:b, s:b}", "name", function->name, "external",
                      (int)function->external, "runs", (int)function->entry.reached, "threaded",
                      (int)(function->entry.threaded || !function->entry.reached),
                      "creates_threads", (int)(function->creates || !function->entry.reached));
        set_unit(merge, entry, function->unit);
        json_object_set_new(entry, "threads", names_of(merge, function->threads, true));
        json_object_set_new(entry, "locks", names_of(merge, function->entry.held, false));
        json_object_set_new(entry, "takes", names_of(merge, function->gains, false));
        json_object_set_new(entry, "gives", names_of(merge, function->unlocks, false));
        if (function->unlocks_any || !function->entry.reached)
            json_object_set_new(entry, "gives_any", json_true());
        json_array_append_new(out, entry);
    }
    return sorted(out);
}

static json_t *variable_of(const struct merge *merge, size_t number, bool open)
{
    const struct merge_variable *variable = &merge->variables[number];
    struct merge_verdict verdict = merge_judge(merge, number);
    json_t *out = json_pack("{s:s, s:s}", "name", variable->name, "class", verdict.class_);
    set_unit(merge, out, variable->unit);
    if (verdict.lock != MERGE_ANY)
        json_object_set_new(out, "lock", json_string(merge->locks[verdict.lock]));
    bool racy = strcmp(verdict.class_, "racy") == 0;
    if (racy && verdict.meet)
        json_object_set_new(out, "meet", json_true());
    if (racy && (verdict.blind || (variable->heap && open))) /* others may store what they like */
        json_object_set_new(out, "blind", json_true());
    if (strcmp(verdict.class_, "assumed-private") == 0 && !variable->heap)
        json_object_set_new(out, "why", json_string("each thread has its own element"));
    if (racy && variable->open)
        json_object_set_new(out, "why", json_string("code without a note may touch it"));
    else if (racy && verdict.strict)
        json_object_set_new(
            out, "why",
            json_string(verdict.strict->event->is_atomic ? "it is atomic" : "it is volatile"));
    else if (racy && verdict.bare)
        json_object_set_new(out, "why",
                            json_sprintf("no lock is held at %s:%u", verdict.bare->event->file,
                                         verdict.bare->event->line));
    else if (racy)
        json_object_set_new(out, "why", json_string("its accesses share no lock"));
    return out;
}

static json_t *plan_make(const struct merge *merge, const json_t *units, bool open)
{
    json_t *variables = json_array();
    for (size_t i = 0; i < merge->variable_count; i++)
        json_array_append_new(variables, variable_of(merge, i, open));
    return json_pack("{s:i, s:b, s:o, s:o, s:o, s:o}", "palisade_plan", 1, "open", (int)open,
                     "units", units_of(units), "threads", threads_of(merge), "functions",
                     functions_of(merge), "variables", sorted(variables));
}

static bool has_main(const struct program *program)
{
    json_t *unit, *function;
    size_t i, j;
    json_array_foreach(program->units, i, unit)
    {
        json_array_foreach(json_object_get(json_object_get(unit, "summary"), "functions"), j,
                           function)
        {
            const char *name = json_string_value(json_object_get(function, "name"));
            if (name && strcmp(name, "main") == 0)
                return true;
        }
    }
    return false;
}

/* The file name of two units; NULL when all differ. */
static const char *doubled(const json_t *units)
{
    json_t *seen = json_object(), *unit;
    const char *found = NULL;
    size_t i;
    json_array_foreach(units, i, unit)
    {
        const char *file = json_string_value(json_object_get(unit, "file"));
        if (file && json_object_get(seen, file))
            found = file;
        json_object_set_new(seen, file ? file : "", json_true());
    }
    json_decref(seen);
    return found;
}

static int complain(const char *path, const char *sentence)
{
    fprintf(stderr, "palisade: %s: %s\n", path, sentence);
    return STATUS_USAGE;
}

static int plan_print(const struct program *program, const char *path)
{
    struct merge merge;
    if (json_array_size(program->units) == 0)
        return complain(path, "not compiled with Palisade: build it with palisade-cc"),
               STATUS_UNMODELLED;
    if (json_array_size(program->other_versions) > 0)
        return complain(path, "another version of Palisade compiled it: build it again"),
               STATUS_PROTOCOL;
    if (program->stripped)
        return complain(path, "stripped, so that units compiled without Palisade cannot be told: "
                              "make the plan before stripping");
    if (!has_main(program))
        return complain(path, "no main: a plan is made from the linked program");
    const char *file = doubled(program->units);
    if (file) {
        fprintf(stderr,
                "palisade: %s: two units are called %s: a plan tells units by their names\n", path,
                file);
        return STATUS_USAGE;
    }
    json_t *uninstrumented = report_uninstrumented(program);
    bool open = json_array_size(uninstrumented) > 0;
    json_decref(uninstrumented);
    int status = STATUS_OK;
    if (!merge_load(&merge, program->units, program->exported, open)) {
        fprintf(stderr, "palisade: %s: the notes of Palisade are damaged: build it again\n", path);
        status = STATUS_PROTOCOL;
    } else {
        merge_solve(&merge);
        json_t *plan = plan_make(&merge, program->units, open);
        json_dumpf(plan, stdout, JSON_INDENT(1) | JSON_SORT_KEYS);
        putchar('\n');
        json_decref(plan);
        if (fflush(stdout) != 0)
            status = STATUS_DISK;
    }
    merge_free(&merge);
    return status;
}

int plan_run(const char *path)
{
    struct program program;
    int status = program_read(&program, path);
    if (status == STATUS_OK)
        status = plan_print(&program, path);
    program_free(&program);
    return status;
}
