#include <stdio.h>

#include "abi.h"
#include "json.h"
#include "words.h"

const struct words fate_words[] = {
    {"logged", "shared, and no common lock covers them: each is recorded"},
    {"elided", "a lock covers them: repeating its order repeats them"},
    {"init", "before the threads start, or of what nobody writes afterwards"},
    {"private", "one thread alone"},
    {"read-only", "never written"},
    {"assumed-covered", "through pointers, under a lock: assumed to cover them"},
    {"assumed-private", "through pointers, without a lock: assumed the thread's own"},
    {NULL, NULL},
};

const struct words class_words[] = {
    {"lock", "locks"},
    {"try", "locks, tried"},
    {"unlock", "unlocks"},
    {"value", "clocks, random numbers and other values"},
    {"memory", "memory"},
    {"thread", "threads"},
    {"packet_in", "packets in and their descriptors"},
    {"packet_out", "packets out"},
    {"effect", "other output"},
    {"pure", "left alone: nothing but their arguments"},
    {"forbidden", "can never be repeated"},
    {NULL, NULL},
};

const struct words variable_words[] = {
    {"racy", "logged"},
    {"covered", "covered by a lock"},
    {"init", "not written once threads run"},
    {"private", "one thread alone"},
    {"read-only", "never written"},
    {"assumed-covered", "under a lock (assumed to cover)"},
    {"assumed-init", "not written once threads run"},
    {"assumed-private", "no lock: assumed the thread's own"},
    {"assumed-mixed", "sometimes under a lock: assumed the thread's own"},
    {NULL, NULL},
};

const char *words_for(const struct words *table, const char *key)
{
    for (; table->key; table++)
        if (strcmp(table->key, key) == 0)
            return table->shown;
    return key;
}

/* "an older" when all notes that cannot be read are older than this reader's format. */
static const char *age(const json_t *others)
{
    json_t *other;
    size_t i;
    bool older = true, newer = true;
    json_array_foreach(others, i, other)
    {
        older &= number(other, "format") < (int)PALISADE_NOTE_FORMAT;
        newer &= number(other, "format") > (int)PALISADE_NOTE_FORMAT;
    }
    return older ? "an older" : newer ? "a newer" : "another";
}

void verdict_sentence(const json_t *report, char *out, size_t size)
{
    int units = (int)json_array_size(json_object_get(report, "units"));
    int unhandled = (int)json_array_size(json_object_get(report, "unhandled"));
    const json_t *others = json_object_get(report, "other_versions");
    int foreign = (int)json_array_size(others);
    if (is(report, "verdict", "not-instrumented")) {
        snprintf(out, size,
                 "not compiled with Palisade: it holds no note of the pass. Build it with "
                 "palisade-cc.");
    } else if (is(report, "verdict", "other-version")) {
        snprintf(out, size,
                 "%d unit%s compiled by %s version of Palisade (note format %d; this one reads "
                 "%d): build the program again.",
                 foreign, foreign == 1 ? " was" : "s were", age(others),
                 number(json_array_get(others, 0), "format"), (int)PALISADE_NOTE_FORMAT);
    } else if (is(report, "verdict", "refused")) {
        snprintf(out, size, "would be refused: %d place%s cannot be replayed (%d unit%s).",
                 unhandled, plural(unhandled), units, plural(units));
    } else {
        snprintf(out, size, "can be protected: everything in %s is modelled.%s",
                 units == 1 ? "its one unit" : "all its units",
                 is(report, "kind", "library")
                     ? " It is a shared library: link its units into the program itself, "
                       "only there they are protected."
                     : "");
    }
}
