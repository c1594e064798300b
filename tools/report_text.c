/* The report for a person: the verdict first, what to do next, then what was found. */
#include <stdio.h>
#include <string.h>

#include "tools.h"

static const char *text(const json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));
    return value ? value : "";
}

static int number(const json_t *object, const char *key)
{
    return (int)json_integer_value(json_object_get(object, key));
}

static const char *plural(int count)
{
    return count == 1 ? "" : "s";
}

static void print_items(const json_t *items, const char *title)
{
    json_t *item;
    size_t i;
    if (json_array_size(items) == 0)
        return;
    printf("\n%s\n", title);
    json_array_foreach(items, i, item)
    {
        printf("  %s", text(item, "file"));
        if (number(item, "line") > 0)
            printf(":%d", number(item, "line"));
        bool called = strcmp(text(item, "kind"), "call") == 0;
        printf(": %s%s\n      %s\n", text(item, "what"), called ? "()" : "", text(item, "advice"));
    }
}

static void print_verdict(const json_t *report)
{
    const char *program = text(report, "program"), *verdict = text(report, "verdict");
    int units = (int)json_array_size(json_object_get(report, "units"));
    int unhandled = (int)json_array_size(json_object_get(report, "unhandled"));
    int foreign = number(report, "other_version_units");
    if (strcmp(verdict, "not-instrumented") == 0)
        printf("%s: not compiled with Palisade: it holds no note of the pass. Build it with "
               "palisade-cc.\n",
               program);
    else if (strcmp(verdict, "other-version") == 0)
        printf("%s: %d unit%s compiled by another version of Palisade: build the program again.\n",
               program, foreign, foreign == 1 ? " was" : "s were");
    else if (strcmp(verdict, "refused") == 0)
        printf("%s: would be refused: %d place%s cannot be replayed (%d unit%s).\n", program,
               unhandled, plural(unhandled), units, plural(units));
    else
        printf("%s: can be protected: everything in %s is modelled.\n", program,
               units == 1 ? "its one unit" : "all its units");
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
    json_t *source;
    size_t i;
    if (json_array_size(json_object_get(report, "units")) == 0)
        return;
    if (json_is_true(json_object_get(report, "stripped"))) {
        printf("\nThe program is stripped: units compiled without Palisade cannot be told.\n");
        return;
    }
    if (json_array_size(missing) == 0)
        return;
    printf("\nCompiled without Palisade: nothing in these is replayed\n ");
    json_array_foreach(missing, i, source)
    {
        printf(" %s", json_string_value(source));
    }
    printf("\n");
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
        printf("  %-30s", text(thread, "entry"));
        if (number(thread, "line") > 0)
            printf(" %s, created at %s:%d",
                   json_is_true(json_object_get(thread, "many")) ? "several" : "one",
                   text(thread, "file"), number(thread, "line"));
        printf("\n");
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
        printf("  %-30s taken at %d place%s\n", text(lock, "name"), count, plural(count));
    }
}

static bool is_class(const json_t *variable, const char *class_)
{
    return strcmp(text(variable, "class"), class_) == 0;
}

static void print_covered(const json_t *unit)
{
    json_t *variable;
    size_t i;
    json_array_foreach(json_object_get(unit, "variables"), i, variable)
    {
        if (!is_class(variable, "covered"))
            continue;
        begin_line();
        printf("  %-30s covered by %s\n", text(variable, "name"), text(variable, "lock"));
    }
    json_array_foreach(json_object_get(unit, "variables"), i, variable)
    {
        if (!is_class(variable, "racy"))
            continue;
        int logged = number(json_object_get(variable, "counts"), "logged");
        begin_line();
        printf("  %-30s logged at %d place%s: %s\n", text(variable, "name"), logged, plural(logged),
               text(variable, "why"));
    }
}

static bool named(const json_t *report, const char *key)
{
    json_t *unit;
    size_t i;
    json_array_foreach(json_object_get(report, "units"), i, unit)
    {
        if (json_array_size(json_object_get(unit, key)) > 0)
            return true;
    }
    return false;
}

static void each_unit(const json_t *report, const char *title, void (*print)(const json_t *unit))
{
    json_t *unit;
    size_t i;
    printf("\n%s\n", title);
    json_array_foreach(json_object_get(report, "units"), i, unit)
    {
        bool several = json_array_size(json_object_get(report, "units")) > 1;
        pending_unit = several ? text(unit, "file") : NULL;
        print(unit);
    }
    pending_unit = NULL;
}

/* "(struct mapping).expires" -> "(struct mapping)"; "config.side[].mac" -> "config". */
static size_t owner_length(const char *name)
{
    if (*name == '(')
        return strcspn(name, ")") + 1;
    size_t length = strcspn(name, ".[");
    /* A variable of a function is called "function.name". */
    return length;
}

/* One line per object: how many of its fields are of each class. */
static void print_objects(const json_t *unit, const char *prefix)
{
    const json_t *variables = json_object_get(unit, "variables");
    size_t count = json_array_size(variables);
    for (size_t i = 0; i < count;) {
        const char *first = text(json_array_get(variables, i), "name");
        size_t length = owner_length(first);
        const char *lock = NULL;
        int covered = 0, constant = 0, private_ = 0, mixed = 0, logged = 0;
        size_t end = i;
        for (; end < count; end++) {
            const json_t *variable = json_array_get(variables, end);
            const char *name = text(variable, "name");
            if (strncmp(name, first, length) != 0 || owner_length(name) != length)
                break;
            if (is_class(variable, "assumed-covered")) {
                lock = covered && strcmp(lock, text(variable, "lock")) != 0
                           ? "several locks"
                           : text(variable, "lock");
                covered++;
            }
            constant += is_class(variable, "assumed-init");
            private_ += is_class(variable, "assumed-private");
            bool hooked = number(json_object_get(variable, "counts"), "logged") > 0;
            mixed += is_class(variable, "assumed-mixed") && !hooked;
            logged += is_class(variable, "assumed-mixed") && hooked;
        }
        if (strncmp(first, prefix, strlen(prefix)) == 0 &&
            covered + constant + private_ + mixed + logged) {
            begin_line();
            printf("  %-30.*s", (int)length, first);
            if (covered)
                printf(" %d field%s under %s", covered, plural(covered), lock);
            if (constant)
                printf("%s %d never written by threads", covered ? "," : "", constant);
            if (private_)
                printf("%s %d without locks, taken as the thread's own",
                       covered + constant ? "," : "", private_);
            if (mixed)
                printf("%s %d partly under locks, taken as the thread's own",
                       covered + constant + private_ ? "," : "", mixed);
            if (logged)
                printf("%s %d partly under locks, logged",
                       covered + constant + private_ + mixed ? "," : "", logged);
            printf("\n");
        }
        i = end;
    }
}

static void print_heap(const json_t *unit)
{
    print_objects(unit, "(struct ");
}

static void print_counters(const json_t *report)
{
    static const struct {
        const char *key, *shown;
    } rows[] = {
        {"logged", "logged: shared without a common lock"},
        {"elided", "not logged: a lock covers them"},
        {"init", "not logged: before the threads start, or never written after"},
        {"private", "not logged: one thread alone"},
        {"read-only", "not logged: never written"},
        {"assumed-covered", "not logged: through pointers, under a lock (assumed to cover)"},
        {"assumed-private", "not logged: through pointers, no lock (assumed the thread's own)"}};
    const json_t *counters = json_object_get(report, "counters");
    printf("\nAccesses\n");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (number(counters, rows[i].key) > 0)
            printf("  %6d %s\n", number(counters, rows[i].key), rows[i].shown);
}

static void print_classes(const json_t *report)
{
    const char *name;
    json_t *count;
    const char *separator = " ";
    printf("\nCalls\n ");
    json_object_foreach(json_object_get(report, "classes"), name, count)
    {
        printf("%s%s %d", separator, name, (int)json_integer_value(count));
        separator = ", ";
    }
    printf("\n");
}

void report_print(const json_t *report)
{
    print_verdict(report);
    print_items(json_object_get(report, "unhandled"), "What to change");
    print_disagreements(json_object_get(report, "disagreements"));
    print_coverage(report);
    if (json_array_size(json_object_get(report, "units")) == 0)
        return;
    if (named(report, "threads"))
        each_unit(report, "Threads", print_threads);
    if (named(report, "locks"))
        each_unit(report, "Locks", print_locks);
    if (named(report, "variables")) {
        each_unit(report, "Shared variables", print_covered);
        each_unit(report, "Objects reached through pointers", print_heap);
        print_counters(report);
    }
    print_classes(report);
    print_items(json_object_get(report, "notes"), "Good to know");
}
