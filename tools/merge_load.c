#include "merge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *merge_memory(struct merge *merge, size_t count, size_t bytes)
{
    void *block = calloc(count ? count : 1, bytes);
    if ((merge->memory_count & (merge->memory_count - 1)) == 0) {
        size_t room = merge->memory_count ? merge->memory_count * 2 : 1;
        void **grown = realloc(merge->memory, room * sizeof *grown);
        if (grown)
            merge->memory = grown;
        else
            block = NULL;
    }
    if (!block) {
        fputs("palisade: out of memory\n", stderr);
        abort();
    }
    merge->memory[merge->memory_count++] = block;
    return block;
}

merge_set merge_set_new(struct merge *merge)
{
    return merge_memory(merge, merge->words, sizeof(uint64_t));
}

void merge_free(struct merge *merge)
{
    for (size_t i = 0; i < merge->memory_count; i++)
        free(merge->memory[i]);
    free(merge->memory);
    json_decref(merge->names);
    json_decref(merge->lock_index);
    json_decref(merge->variable_index);
    json_decref(merge->function_index);
}

static const char *keep(struct merge *merge, const char *text)
{
    json_t *known = json_object_get(merge->names, text);
    if (!known) {
        known = json_string(text);
        json_object_set_new(merge->names, text, known);
    }
    return json_string_value(known);
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));
    return value ? value : "";
}

/* Names of static things are told apart by their unit. */
static const char *key_of(struct merge *merge, const char *name, size_t unit)
{
    char *key = merge_memory(merge, strlen(name) + 24, 1);
    if (unit == MERGE_ANY)
        sprintf(key, "%s", name);
    else
        sprintf(key, "%zu:%s", unit, name);
    return key;
}

/* Index of `key`, or `next` after entering it there. */
static size_t enter(json_t *index, const char *key, size_t next)
{
    json_t *known = json_object_get(index, key);
    if (known)
        return (size_t)json_integer_value(known);
    json_object_set_new(index, key, json_integer((json_int_t)next));
    return next;
}

static size_t find(const json_t *index, const char *key, size_t none)
{
    const json_t *known = json_object_get(index, key);
    return known ? (size_t)json_integer_value(known) : none;
}

/* "slots[].0.count" -> "slots[]": a component of digits is a field whose name is not known. */
static const char *known_part(struct merge *merge, const char *name)
{
    for (const char *dot = strchr(name, '.'); dot; dot = strchr(dot + 1, '.')) {
        size_t digits = strspn(dot + 1, "0123456789");
        if (digits == 0 || !strchr(".[", dot[1 + digits])) /* '\0' counts as found */
            continue;
        char *part = merge_memory(merge, (size_t)(dot - name) + 1, 1);
        memcpy(part, name, (size_t)(dot - name));
        return part;
    }
    return name;
}

static size_t lock_enter(struct merge *merge, const char *name, size_t unit)
{
    bool is_static = strncmp(name, "static ", 7) == 0;
    name += is_static ? 7 : 0;
    size_t owner = is_static ? unit : MERGE_ANY;
    size_t at = enter(merge->lock_index, key_of(merge, name, owner), merge->lock_count);
    if (at == merge->lock_count) {
        merge->locks[at] = keep(merge, name);
        merge->lock_units[at] = owner;
        merge->lock_count++;
    }
    return at;
}

static bool exported_base(const json_t *exported, const char *name)
{
    char base[512];
    size_t length = strcspn(name, ".[");
    if (length >= sizeof base)
        return true;
    memcpy(base, name, length);
    base[length] = 0;
    return json_object_get(exported, base) != NULL;
}

/* ---- functions are known before the calls are read ---- */

static void function_enter(struct merge *merge, const json_t *described, size_t unit,
                           const json_t *exported, bool open)
{
    struct merge_function *function = &merge->functions[merge->function_count];
    function->name = keep(merge, text_of(described, "name"));
    function->unit = unit;
    function->external = json_is_true(json_object_get(described, "external"));
    function->taken = json_is_true(json_object_get(described, "taken"));
    bool main = strcmp(function->name, "main") == 0;
    function->open =
        function->external && !main && (open || json_object_get(exported, function->name));
    size_t at = enter(merge->function_index,
                      key_of(merge, function->name, function->external ? MERGE_ANY : unit),
                      merge->function_count);
    if (at != merge->function_count) /* which of both the linker took cannot be told */
        merge->functions[at].open = function->open = true;
    merge->function_count++;
}

static size_t function_find(struct merge *merge, const char *name, size_t unit)
{
    if (!*name)
        return MERGE_ANY;
    size_t own = find(merge->function_index, key_of(merge, name, unit), MERGE_OUTSIDE);
    return own != MERGE_OUTSIDE ? own : find(merge->function_index, name, MERGE_OUTSIDE);
}

static bool variables_load(struct merge *merge, const json_t *list, size_t unit, size_t *numbers,
                           const json_t *exported, bool open)
{
    json_t *described;
    size_t i;
    json_array_foreach(list, i, described)
    {
        const char *name = text_of(described, "name");
        bool is_static = json_is_true(json_object_get(described, "static"));
        bool heap = json_is_true(json_object_get(described, "heap"));
        size_t owner = is_static ? unit : MERGE_ANY;
        numbers[i] =
            enter(merge->variable_index, key_of(merge, name, owner), merge->variable_count);
        bool shown = json_is_true(json_object_get(described, "shown"));
        if (numbers[i] < merge->variable_count) {
            merge->variables[numbers[i]].shown |= shown;
            continue;
        }
        struct merge_variable *variable = &merge->variables[merge->variable_count++];
        variable->name = keep(merge, name);
        variable->part = known_part(merge, variable->name);
        variable->unit = owner;
        variable->heap = heap;
        variable->shown = shown;
        const json_t *begins = json_object_get(described, "begins");
        variable->begin_count = json_array_size(begins);
        variable->begins = merge_memory(merge, variable->begin_count, sizeof *variable->begins);
        for (size_t j = 0; j < variable->begin_count; j++) {
            const char *object = json_string_value(json_array_get(begins, j));
            if (!object)
                return false;
            variable->begins[j] = keep(merge, object);
        }
        variable->open = !heap && !is_static && (open || exported_base(exported, name));
    }
    return true;
}

struct reading {
    struct merge *merge;
    size_t unit;
    const json_t *files;
    const size_t *variables;
    size_t variable_count;
};

static bool use_load(const struct reading *reading, const json_t *from, struct merge_event *out)
{
    const json_t *what = json_array_get(from, 1), *found = json_array_get(from, 5);
    const char *flags = json_string_value(json_array_get(from, 2));
    if (!json_is_integer(what) || !flags ||
        (size_t)json_integer_value(what) >= reading->variable_count)
        return false;
    out->what = reading->variables[json_integer_value(what)];
    out->write = strchr(flags, 'w') != NULL;
    out->is_volatile = strchr(flags, 'v') != NULL;
    out->is_atomic = strchr(flags, 'a') != NULL;
    out->block = strchr(flags, 'b') != NULL;
    out->own = strchr(flags, 'o') != NULL;
    out->fresh = strchr(flags, 'f') != NULL;
    out->found_count = json_array_size(found);
    out->found = merge_memory(reading->merge, out->found_count, sizeof *out->found);
    for (size_t i = 0; i < out->found_count; i++)
        out->found[i] = (size_t)json_integer_value(json_array_get(found, i));
    return true;
}

static bool event_load(const struct reading *reading, const json_t *from, struct merge_event *out)
{
    static const char *const kinds[] = {"lock", "unlock", "call", "start", "use", "rdlock", "find"};
    const char *kind = json_string_value(json_array_get(from, 0));
    size_t at = 0;
    while (kind && at < 7 && strcmp(kinds[at], kind) != 0)
        at++;
    if (!kind || at == 7)
        return false;
    out->kind = (enum merge_kind)at;
    const json_t *what = json_array_get(from, 1);
    const char *name = json_string_value(what);
    const char *flags = json_string_value(json_array_get(from, 2));
    out->file = json_string_value(
        json_array_get(reading->files, (size_t)json_integer_value(json_array_get(from, 3))));
    out->file = out->file ? out->file : "";
    out->line = (unsigned)json_integer_value(json_array_get(from, 4));
    switch (out->kind) {
    case MERGE_LOCK:
    case MERGE_RDLOCK:
    case MERGE_UNLOCK:
        if (!name || (out->kind != MERGE_UNLOCK && !*name))
            return false;
        out->what = *name ? lock_enter(reading->merge, name, reading->unit) : MERGE_ANY;
        return true;
    case MERGE_CALL:
    case MERGE_START:
        if (!name || !flags)
            return false;
        out->loop = *flags != 0;
        out->what = function_find(reading->merge, name, reading->unit);
        return true;
    case MERGE_FIND:
        out->what = (size_t)json_integer_value(what);
        return json_is_integer(what);
    default:
        return use_load(reading, from, out);
    }
}

static bool block_load(const struct reading *reading, const json_t *from, size_t block_count,
                       struct merge_block *out)
{
    const json_t *events = json_object_get(from, "do"), *next = json_object_get(from, "next");
    json_t *item;
    size_t i;
    out->event_count = json_array_size(events);
    out->events = merge_memory(reading->merge, out->event_count, sizeof *out->events);
    out->next_count = json_array_size(next);
    out->next = merge_memory(reading->merge, out->next_count, sizeof *out->next);
    out->returns = json_is_true(json_object_get(from, "returns"));
    out->calls_back = json_is_true(json_object_get(from, "calls_back"));
    json_array_foreach(events, i, item)
    {
        if (!event_load(reading, item, &out->events[i]))
            return false;
    }
    json_array_foreach(next, i, item)
    {
        out->next[i] = (size_t)json_integer_value(item);
        if (out->next[i] >= block_count)
            return false;
    }
    return true;
}

/* Numbers of pointers are small and dense; others are damage. */
static bool finds_fit(struct merge *merge, struct merge_function *function)
{
    size_t events = 0;
    for (size_t i = 0; i < function->block_count; i++)
        for (size_t j = 0; j < function->blocks[i].event_count; j++)
            events += function->blocks[i].events[j].kind == MERGE_FIND;
    for (size_t i = 0; i < function->block_count; i++)
        for (size_t j = 0; j < function->blocks[i].event_count; j++) {
            const struct merge_event *event = &function->blocks[i].events[j];
            if (event->kind == MERGE_FIND && event->what >= events)
                return false;
            for (size_t k = 0; k < event->found_count; k++)
                if (event->found[k] >= events)
                    return false;
        }
    function->find_count = events;
    function->finds = merge_memory(merge, events, sizeof *function->finds);
    return true;
}

static bool functions_load(const struct reading *reading, const json_t *list, size_t first)
{
    json_t *described, *block;
    size_t i, j;
    json_array_foreach(list, i, described)
    {
        struct merge_function *function = &reading->merge->functions[first + i];
        const json_t *blocks = json_object_get(described, "blocks");
        function->block_count = json_array_size(blocks);
        if (function->block_count == 0)
            return false;
        function->blocks =
            merge_memory(reading->merge, function->block_count, sizeof *function->blocks);
        json_array_foreach(blocks, j, block)
        {
            if (!block_load(reading, block, function->block_count, &function->blocks[j]))
                return false;
        }
        if (!finds_fit(reading->merge, function))
            return false;
    }
    return true;
}

/* Upper bounds for the tables: what the summaries list. */
static void count_all(struct merge *merge, const json_t *units)
{
    json_t *unit, *function, *block;
    size_t i, j, k, functions = 0, variables = 0, events = 0;
    json_array_foreach(units, i, unit)
    {
        const json_t *summary = json_object_get(unit, "summary");
        variables += json_array_size(json_object_get(summary, "variables"));
        json_array_foreach(json_object_get(summary, "functions"), j, function)
        {
            functions++;
            json_array_foreach(json_object_get(function, "blocks"), k, block)
            {
                events += json_array_size(json_object_get(block, "do"));
            }
        }
    }
    merge->units = merge_memory(merge, json_array_size(units), sizeof *merge->units);
    merge->functions = merge_memory(merge, functions, sizeof *merge->functions);
    merge->variables = merge_memory(merge, variables, sizeof *merge->variables);
    merge->locks = merge_memory(merge, events, sizeof *merge->locks);
    merge->lock_units = merge_memory(merge, events, sizeof *merge->lock_units);
    merge->accesses = merge_memory(merge, events, sizeof *merge->accesses);
    merge->threads = merge_memory(merge, functions + 2, sizeof *merge->threads);
}

bool merge_load(struct merge *out, const json_t *units, const json_t *exported, bool open)
{
    json_t *unit, *function, *name;
    size_t i, j, first = 0;
    *out = (struct merge){.names = json_object(),
                          .lock_index = json_object(),
                          .variable_index = json_object(),
                          .function_index = json_object()};
    count_all(out, units);
    json_array_foreach(units, i, unit)
    {
        const json_t *summary = json_object_get(unit, "summary");
        if (!json_is_object(summary))
            return false;
        out->units[out->unit_count++] = keep(out, text_of(unit, "file"));
        json_array_foreach(json_object_get(summary, "functions"), j, function)
        {
            function_enter(out, function, i, exported, open);
        }
    }
    json_array_foreach(units, i, unit)
    {
        const json_t *summary = json_object_get(unit, "summary");
        const json_t *variables = json_object_get(summary, "variables");
        const json_t *functions = json_object_get(summary, "functions");
        size_t *numbers = merge_memory(out, json_array_size(variables), sizeof *numbers);
        variables_load(out, variables, i, numbers, exported, open);
        struct reading reading = {out, i, json_object_get(summary, "files"), numbers,
                                  json_array_size(variables)};
        if (!functions_load(&reading, functions, first))
            return false;
        first += json_array_size(functions);
        json_array_foreach(json_object_get(summary, "taken"), j, name)
        {
            const char *text = json_string_value(name);
            size_t taken = function_find(out, text ? text : "", i);
            if (taken < out->function_count)
                out->functions[taken].taken = true;
        }
        /* A unit takes what has a row in the model for libc's, and tells no more than its name. */
        json_array_foreach(json_object_get(unit, "calls"), j, name)
        {
            size_t own = find(out->function_index, text_of(name, "name"), MERGE_OUTSIDE);
            if (own != MERGE_OUTSIDE)
                out->functions[own].open = true;
        }
    }
    size_t bits = 2 * out->lock_count; /* HELD, HELD_ALONE */
    bits = bits > out->function_count + 2 ? bits : out->function_count + 2;
    out->words = bits / 64 + 1;
    return true;
}
