/* The class of a variable in the whole program: pass/Analysis.cpp says why. */
#include <string.h>

#include "merge.h"

/* One names the other or a part of it: "stats" and "stats.dropped". */
static bool overlap(const struct merge_variable *a, const struct merge_variable *b)
{
    size_t length = strlen(a->part), other = strlen(b->part);
    if (a->unit != b->unit)
        return false;
    if (length > other)
        return overlap(b, a);
    return strncmp(a->part, b->part, length) == 0 &&
           (length == other || b->part[length] == '.' || b->part[length] == '[');
}

/* A lock of an array's element guards that element; one in some heap object no global. */
static bool eligible(const struct merge *merge, size_t lock, const struct merge_variable *variable)
{
    const char *name = merge->locks[lock], *bracket = NULL;
    if (*name == '(')
        return variable->heap;
    for (const char *at = strstr(name, "[]"); at; at = strstr(at + 1, "[]"))
        bracket = at;
    return !bracket || variable->heap ||
           (merge->lock_units[lock] == variable->unit &&
            strncmp(variable->name, name, (size_t)(bracket - name) + 2) == 0);
}

static size_t lock_for(const struct merge *merge, const uint64_t *held,
                       const struct merge_variable *variable)
{
    for (size_t lock = 0; lock < merge->lock_count; lock++)
        if (set_has(held, lock) && eligible(merge, lock, variable))
            return lock;
    return MERGE_ANY;
}

/* `many`: what a start that runs several times counts. */
static unsigned count_threads(const struct merge *merge, const uint64_t *threads, unsigned many)
{
    unsigned count = 0;
    for (size_t i = 0; i < merge->thread_count; i++)
        if (set_has(threads, i))
            count += merge->threads[i].many ? many : 1;
    return count;
}

struct sum {
    bool any, written, stored;
    bool locked; /* somewhere under a lock of the object's own */
    bool own;    /* each thread in the element it was given */
    uint64_t common[64], threads[64];
};

/* Larger programs get no set of locks: nothing is covered then, which is safe. */
static bool fits(const struct merge *merge)
{
    return merge->words <= 64;
}

static void add_access(const struct merge *merge, const struct merge_access *access,
                       const struct merge_variable *variable, struct sum *sum,
                       struct merge_verdict *out)
{
    const struct merge_event *event = access->event;
    sum->stored |= event->write;
    if (event->is_volatile || event->is_atomic)
        out->strict = access;
    if (!access->threaded)
        return;
    sum->any = true;
    sum->written |= event->write;
    sum->own &= event->own;
    sum->locked |= access->guarded;
    out->blind |= event->write && event->block;
    for (size_t i = 0; i < merge->words; i++) {
        if (!fits(merge))
            continue;
        sum->common[i] &= access->held[i];
        sum->threads[i] |= access->threads[i];
    }
    /* The store tells a person more than one of many loads. */
    const struct merge_access **side =
        lock_for(merge, access->held, variable) == MERGE_ANY ? &out->bare : &out->locked;
    if (!*side || (event->write && !(*side)->event->write))
        *side = access;
}

struct merge_verdict merge_judge(const struct merge *merge, size_t number)
{
    const struct merge_variable *variable = &merge->variables[number];
    struct merge_verdict out = {.lock = MERGE_ANY};
    struct sum sum = {.own = true};
    memset(sum.common, 0xff, sizeof sum.common);
    for (size_t i = 0; i < merge->access_count; i++)
        if (overlap(variable, &merge->variables[merge->accesses[i].variable]))
            add_access(merge, &merge->accesses[i], variable, &sum, &out);
    bool several = true, one_start = false;
    if (sum.any && fits(merge)) {
        out.lock = lock_for(merge, sum.common, variable);
        several = count_threads(merge, sum.threads, 2) > 1;
        one_start = count_threads(merge, sum.threads, 1) == 1;
    }
    out.meet = several;
    bool unlocked = out.lock == MERGE_ANY;
    if (variable->heap) {
        out.class_ = sum.any && out.strict      ? "racy"
                     : !sum.any || !sum.written ? "assumed-init"
                     : !unlocked                ? "assumed-covered"
                     : sum.locked && several    ? "racy"
                                                : "assumed-private";
    } else if (variable->open) {
        out.class_ = "racy";
        out.lock = MERGE_ANY;
    } else if (sum.any && out.strict && variable->shown) { /* by its address */
        out.class_ = "racy";
    } else if (sum.own && sum.written && one_start && !out.strict) {
        out.class_ = "assumed-private";
    } else if (!sum.stored) {
        out.class_ = "read-only";
    } else if (!sum.any || !sum.written) {
        out.class_ = "init";
    } else if (!several) {
        out.class_ = "private";
    } else if (!unlocked && !out.strict) {
        out.class_ = "covered";
    } else {
        out.class_ = "racy";
    }
    if (strcmp(out.class_, "covered") != 0 && strcmp(out.class_, "assumed-covered") != 0)
        out.lock = MERGE_ANY;
    return out;
}

static json_t *side_of(const struct merge *merge, const struct merge_access *access)
{
    const struct merge_function *function = &merge->functions[access->function];
    json_t *name = json_stringn(function->name, strcspn(function->name, "."));
    json_t *out =
        json_pack("{s:s, s:o, s:s, s:s, s:i}", "op", access->event->write ? "store" : "load",
                  "function", name, "unit", merge->units[function->unit], "file",
                  access->event->file, "line", (int)access->event->line);
    for (size_t lock = 0; lock < merge->lock_count; lock++)
        if (set_has(access->held, lock)) {
            json_object_set_new(out, "lock", json_string(merge->locks[lock]));
            break;
        }
    return out;
}

/* Of two accesses that share no lock, in different units, one a store. */
static const struct merge_access *opponent(const struct merge *merge, size_t number,
                                           const struct merge_access *of)
{
    const struct merge_variable *variable = &merge->variables[number];
    for (size_t i = 0; i < merge->access_count; i++) {
        const struct merge_access *other = &merge->accesses[i];
        bool common = false;
        if (!other->threaded || !overlap(variable, &merge->variables[other->variable]) ||
            merge->functions[other->function].unit == merge->functions[of->function].unit ||
            !(of->event->write || other->event->write))
            continue;
        bool held = false;
        for (size_t word = 0; word < merge->words; word++) {
            common |= (other->held[word] & of->held[word]) != 0;
            held |= (other->held[word] | of->held[word]) != 0;
        }
        if (!common && held)
            return other;
    }
    return NULL;
}

json_t *merge_disagreements(const struct merge *merge)
{
    json_t *out = json_array();
    for (size_t i = 0; i < merge->variable_count; i++) {
        struct merge_verdict verdict = merge_judge(merge, i);
        bool mixed = merge->variables[i].heap && !verdict.strict;
        if (strcmp(verdict.class_, "racy") != 0)
            continue;
        for (size_t j = 0; j < merge->access_count; j++) {
            const struct merge_access *a = &merge->accesses[j], *b = NULL;
            if (a->threaded && a->variable == i && (mixed || a->event->block))
                b = opponent(merge, i, a);
            if (!b)
                continue;
            json_array_append_new(out, json_pack("{s:s, s:b, s:[o, o]}", "variable",
                                                 merge->variables[i].name, "block",
                                                 (int)(a->event->block), "sides", side_of(merge, a),
                                                 side_of(merge, b)));
            break;
        }
    }
    return out;
}
