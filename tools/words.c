#include <stdio.h>

#include "abi.h"
#include "json.h"
#include "words.h"

const struct words fate_words[] = {
    {"logged", "shared, and no common lock covers them: each is recorded", 'L'},
    {"elided", "a lock covers them: repeating its order repeats them", 'E'},
    {"init", "before the threads start, or of what nobody writes afterwards", 'I'},
    {"private", "one thread alone", 'S'},
    {"read-only", "never written", 'R'},
    {"assumed-covered", "through pointers, under a lock: assumed to cover them", 'C'},
    {"assumed-private", "through pointers, without a lock: assumed the thread's own", 'A'},
    {NULL, NULL, 0},
};

const struct words class_words[] = {
    {"lock", "locks", 0},
    {"try", "locks, tried", 0},
    {"unlock", "unlocks", 0},
    {"value", "clocks, random numbers and other values", 0},
    {"memory", "memory", 0},
    {"thread", "threads", 0},
    {"packet_in", "packets in and their descriptors", 0},
    {"packet_out", "packets out", 0},
    {"effect", "other output", 0},
    {"pure", "left alone: nothing but their arguments", 0},
    {"forbidden", "can never be repeated: ends the program when it is called", 0},
    {NULL, NULL, 0},
};

const struct words variable_words[] = {
    {"racy", "logged", 0},
    {"covered", "covered by a lock", 0},
    {"init", "not written once threads run", 0},
    {"private", "one thread alone", 0},
    {"read-only", "never written", 0},
    {"assumed-covered", "under a lock (assumed to cover)", 0},
    {"assumed-init", "not written once threads run", 0},
    {"assumed-private", "no lock: assumed the thread's own", 0},
    {NULL, NULL, 0},
};

const char *words_for(const struct words *table, const char *key)
{
    for (; table->key; table++)
        if (strcmp(table->key, key) == 0)
            return table->shown;
    return key;
}

char fate_letter(const char *fate)
{
    for (const struct words *row = fate_words; row->key; row++)
        if (strcmp(row->key, fate) == 0)
            return row->letter;
    return '?';
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
