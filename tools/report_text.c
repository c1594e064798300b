/* The report for a person: the verdict first, what to do next, then what was found. */
#include <stdio.h>
#include <string.h>

#include "json.h"
#include "tools.h"
#include "words.h"

static int column; /* where the text behind a name starts */

static void print_items(const json_t *items, const char *title)
{
    json_t *item;
    size_t i, count = json_array_size(items);
    if (count == 0)
        return;
    printf("\n%s\n", title);
    json_array_foreach(items, i, item)
    {
        printf("  %s", text(item, "file"));
        if (number(item, "line") > 0)
            printf(":%d", number(item, "line"));
        printf(": %s%s\n", text(item, "what"), is(item, "kind", "call") ? "()" : "");
        /* One advice for a row of items that share it. */
        if (i + 1 == count || !is(json_array_get(items, i + 1), "advice", text(item, "advice")))
            printf("      %s\n", text(item, "advice"));
    }
}

static void print_side(const json_t *side)
{
    printf("      %s:%d %s in %s, %s%s\n", text(side, "file"), number(side, "line"),
           text(side, "op"), text(side, "function"),
           *text(side, "lock") ? "under " : "without a lock", text(side, "lock"));
}

/* Said aloud: no unit alone logs it. */
static void print_disagreements(const json_t *items)
{
    json_t *item;
    size_t i;
    if (json_array_size(items) == 0)
        return;
    printf("\nUnits disagree: not logged where a unit holds a lock, or takes the object for its "
           "own\n");
    json_array_foreach(items, i, item)
    {
        json_t *sides = json_object_get(item, "sides");
        printf("  %s\n", text(item, "variable"));
        print_side(json_array_get(sides, 0));
        print_side(json_array_get(sides, 1));
    }
    printf("  Guard them alike in all units, or build with a plan (docs/pass.md): it knows both "
           "sides.\n");
}

static void print_coverage(const json_t *report)
{
    const json_t *missing = json_object_get(report, "uninstrumented");
    json_t *item;
    size_t i;
    json_array_foreach(json_object_get(report, "other_versions"), i, item)
    {
        if (*text(item, "file"))
            printf("  %s was built for version %d of the runtime's interface\n", text(item, "file"),
                   number(item, "abi"));
    }
    if (json_array_size(json_object_get(report, "units")) == 0)
        return;
    if (json_array_size(missing) > 0) {
        printf("\nCompiled without Palisade: nothing in these is replayed\n ");
        json_array_foreach(missing, i, item)
        {
            printf(" %s", json_string_value(item));
        }
        printf("\n      palisade-cc compiles them too, if threads run code of theirs\n");
    }
    if (json_is_true(json_object_get(report, "stripped")))
        printf("\nThe program is stripped: units compiled without Palisade cannot be told.\n");
}

/* With several units, the name of the next one is printed before its first line. */
static const char *pending_unit;

static void begin_line(void)
{
    if (pending_unit)
        printf("  in %s:\n", pending_unit);
    pending_unit = NULL;
}

static void print_threads(const json_t *unit)
{
    json_t *thread;
    size_t i;
    json_array_foreach(json_object_get(unit, "threads"), i, thread)
    {
        begin_line();
        printf("  %-*s ", column, text(thread, "entry"));
        if (number(thread, "line") > 0)
            printf("%s, created at %s:%d\n",
                   json_is_true(json_object_get(thread, "many")) ? "several" : "one",
                   text(thread, "file"), number(thread, "line"));
        else
            printf("%s\n", is(thread, "entry", "main") ? "the first thread" : "one");
    }
}

static void print_locks(const json_t *unit)
{
    json_t *lock;
    size_t i;
    json_array_foreach(json_object_get(unit, "locks"), i, lock)
    {
        int count = number(lock, "acquisitions");
        begin_line();
        printf("  %-*s taken at %d place%s\n", column, text(lock, "name"), count, plural(count));
    }
}

static void print_logged(const json_t *unit)
{
    json_t *variable;
    size_t i;
    json_array_foreach(json_object_get(unit, "variables"), i, variable)
    {
        if (!is(variable, "class", "racy"))
            continue;
        int logged = number(json_object_get(variable, "counts"), "logged");
        begin_line();
        if (logged == 0) /* block copies have no hook */
            printf("  %-*s cannot be logged: %s\n", column, text(variable, "name"),
                   text(variable, "why"));
        else
            printf("  %-*s logged at %d place%s: %s\n", column, text(variable, "name"), logged,
                   plural(logged), text(variable, "why"));
    }
}

static void print_covered(const json_t *unit)
{
    json_t *variable;
    size_t i;
    json_array_foreach(json_object_get(unit, "variables"), i, variable)
    {
        if (!is(variable, "class", "covered"))
            continue;
        begin_line();
        printf("  %-*s covered by %s\n", column, text(variable, "name"), text(variable, "lock"));
    }
}

/* "(struct mapping).expires" -> "(struct mapping)". */
static size_t owner_length(const char *name)
{
    return *name == '(' ? strcspn(name, ")") + (strchr(name, ')') != NULL) : strcspn(name, ".[");
}

static const char *field_name(const char *name)
{
    if (strcmp(name, "(through a pointer)") == 0)
        return "objects of types that are not known";
    return name[owner_length(name)] ? name + owner_length(name) : "the whole";
}

/* The fields of one object that are of a class, in one line: their names, or how many. */
static void print_fields(const json_t *variables, size_t begin, size_t end, const char *class_,
                         bool by_name, const char **first)
{
    const char *lock = NULL;
    int count = 0;
    for (size_t i = begin; i < end; i++) {
        const json_t *variable = json_array_get(variables, i);
        if (!is(variable, "class", class_))
            continue;
        if (count++ > 0 && strcmp(lock, text(variable, "lock")) != 0)
            lock = "several locks";
        else
            lock = text(variable, "lock");
    }
    if (count == 0)
        return;
    begin_line();
    printf("  %-*s ", column, *first);
    *first = "";
    if (by_name) {
        const char *separator = "";
        for (size_t i = begin; i < end; i++) {
            const json_t *variable = json_array_get(variables, i);
            const char *name = text(variable, "name");
            if (!is(variable, "class", class_))
                continue;
            printf("%s%s", separator, field_name(name));
            separator = ", ";
        }
        printf(": %s\n", words_for(variable_words, class_));
    } else if (*lock) {
        printf("%d field%s under %s\n", count, plural(count), lock);
    } else {
        printf("%d field%s %s\n", count, plural(count), words_for(variable_words, class_));
    }
}

/* Per object: how many of its fields are of each class; by name what one should look at. */
static void print_objects(const json_t *unit)
{
    const json_t *variables = json_object_get(unit, "variables");
    size_t count = json_array_size(variables), end;
    for (size_t i = 0; i < count; i = end) {
        const char *name = text(json_array_get(variables, i), "name");
        size_t length = owner_length(name);
        for (end = i + 1; end < count; end++) {
            const char *next = text(json_array_get(variables, end), "name");
            if (strncmp(name, next, length) != 0 || owner_length(next) != length)
                break;
        }
        char owner[256];
        snprintf(owner, sizeof owner, "%.*s", (int)length, name);
        const char *first = owner;
        print_fields(variables, i, end, "assumed-covered", false, &first);
        print_fields(variables, i, end, "assumed-init", false, &first);
        print_fields(variables, i, end, "assumed-private", true, &first);
    }
}

/* How many members of `key`, in all units, are of `class_` (any when NULL, "x..." by prefix). */
static int count_of(const json_t *report, const char *key, const char *class_)
{
    json_t *unit, *item;
    size_t i, j;
    int count = 0;
    json_array_foreach(json_object_get(report, "units"), i, unit)
    {
        json_array_foreach(json_object_get(unit, key), j, item)
        {
            count += !class_ || strncmp(text(item, "class"), class_, strlen(class_)) == 0;
        }
    }
    return count;
}

static void each_unit(const json_t *report, const char *title, const char *note,
                      void (*print)(const json_t *unit))
{
    json_t *unit;
    size_t i;
    printf("\n%s%s%s\n", title, *note ? ": " : "", note);
    json_array_foreach(json_object_get(report, "units"), i, unit)
    {
        bool several = json_array_size(json_object_get(report, "units")) > 1;
        pending_unit = several ? text(unit, "file") : NULL;
        print(unit);
    }
    pending_unit = NULL;
}

static void print_counters(const json_t *report)
{
    const json_t *counters = json_object_get(report, "counters");
    json_t *count;
    const char *fate;
    printf("\nAccesses: places that read or write what threads could share; only logged ones cost "
           "time\n");
    for (const struct words *row = fate_words; row->key; row++)
        if (number(counters, row->key) > 0)
            printf("  %6d %-15s %s\n", number(counters, row->key), row->key, row->shown);
    json_object_foreach((json_t *)counters, fate, count)
    {
        if (words_for(fate_words, fate) == fate && strcmp(fate, "unhandled") != 0 &&
            json_integer_value(count) > 0)
            printf("  %6d %s\n", (int)json_integer_value(count), fate);
    }
}

static void print_classes(const json_t *report)
{
    const json_t *classes = json_object_get(report, "classes");
    const char *name;
    json_t *count;
    if (json_object_size(classes) == 0)
        return;
    printf("\nCalls that the pass knows\n");
    json_object_foreach((json_t *)classes, name, count)
    {
        printf("  %6d %-15s %s\n", (int)json_integer_value(count), name,
               words_for(class_words, name));
    }
}

/* Long enough for most names of the program. */
static void measure(const json_t *report)
{
    static const char *const keys[][2] = {
        {"threads", "entry"}, {"locks", "name"}, {"variables", "name"}};
    json_t *unit, *item;
    size_t i, j;
    column = 20;
    json_array_foreach(json_object_get(report, "units"), i, unit)
    {
        for (size_t k = 0; k < sizeof keys / sizeof *keys; k++)
            json_array_foreach(json_object_get(unit, keys[k][0]), j, item)
            {
                int length = (int)strlen(text(item, keys[k][1]));
                bool shown = k < 2 || is(item, "class", "racy") || is(item, "class", "covered");
                if (shown && length > column && length <= 40)
                    column = length;
            }
    }
}

void report_print(const json_t *report)
{
    char sentence[512];
    verdict_sentence(report, sentence, sizeof sentence);
    printf("%s: %s\n", text(report, "program"), sentence);
    print_items(json_object_get(report, "unhandled"), "What to change");
    print_disagreements(json_object_get(report, "disagreements"));
    print_coverage(report);
    if (json_array_size(json_object_get(report, "units")) == 0)
        return;
    measure(report);
    if (count_of(report, "variables", NULL) > 0)
        print_counters(report);
    if (count_of(report, "threads", NULL) > 0)
        each_unit(report, "Threads", "the functions they start in", print_threads);
    if (count_of(report, "locks", NULL) > 0)
        each_unit(report, "Locks", "", print_locks);
    if (count_of(report, "variables", "racy") > 0)
        each_unit(report, "Shared variables, logged", "threads use them without a common lock",
                  print_logged);
    if (count_of(report, "variables", "covered") > 0)
        each_unit(report, "Shared variables, not logged",
                  "every access holds the lock that is named", print_covered);
    if (count_of(report, "variables", "assumed") > 0)
        each_unit(report, "Objects reached through pointers",
                  "not logged, on assumptions that you can check", print_objects);
    print_classes(report);
    print_items(json_object_get(report, "notes"), "Good to know");
}
