/* The parts of the palisade command. */
#ifndef PALISADE_TOOLS_H
#define PALISADE_TOOLS_H

#include <jansson.h>
#include <stdbool.h>

/* Each prints to stdout, complaints to stderr, and returns an enum status. */
/* html: the file a page is written to, or NULL. */
int report_run(const char *program, bool json, const char *html);
int model_list(void);
int plan_run(const char *program);

enum program_kind {
    PROGRAM_UNKNOWN,
    PROGRAM_EXECUTABLE,
    PROGRAM_LIBRARY, /* shared */
    PROGRAM_OBJECT,
    PROGRAM_ARCHIVE,
};

/* What the file says, before it is judged. */
struct program {
    json_t *units;          /* array: the JSON of each note */
    json_t *defines;        /* object: the functions that some unit defines */
    json_t *externals;      /* array: {name, unit}: functions a unit left to others */
    json_t *sources;        /* array: source files by the symbol table, one an object; or members */
    json_t *exported;       /* object: names that shared libraries may use */
    json_t *other_versions; /* array: {format, abi, file where it can be told} of foreign notes */
    enum program_kind kind;
    unsigned members; /* objects in an archive */
    bool stripped;    /* some part has no symbol table */
};
/* Reads the notes. 0, or an enum status after a sentence on stderr. program_free() in any case. */
int program_read(struct program *out, const char *path);
void program_free(struct program *program);

/* A name can hold any byte, JSON holds UTF-8 only: others become '?'. */
json_t *safe_string(const char *name);
/* Source files in the symbol table that left no note: a new array. */
json_t *report_uninstrumented(const struct program *program);

/* Prints the judged report, see report.c, for a person. */
void report_print(const json_t *report);
/* Writes it as one page for a browser to `path`, "-": stdout. An enum status; a sentence on stderr.
 */
int report_page(const json_t *report, const char *path);

#endif
