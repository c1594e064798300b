/* What the report's words mean: the same for a person's text and for the page. */
#ifndef PALISADE_TOOLS_WORDS_H
#define PALISADE_TOOLS_WORDS_H

#include <jansson.h>

struct words {
    const char *key;   /* as in the JSON */
    const char *shown; /* to a person */
    char letter;       /* of a fate: in the margin of the page */
};

/* Fates of accesses, the dear ones first; both end with a NULL key. */
extern const struct words fate_words[];
/* Classes of the call model; locks are three of them. */
extern const struct words class_words[];
/* Classes of variables. */
extern const struct words variable_words[];

/* The meaning of a key; the key itself when nobody described it. */
const char *words_for(const struct words *table, const char *key);

/* '?' for a fate that nobody described. */
char fate_letter(const char *fate);

/* One sentence: what the report comes to. The program's name is not in it. */
void verdict_sentence(const json_t *report, char *out, size_t size);

#endif
