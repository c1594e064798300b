/* The parts of the palisade command. */
#ifndef PALISADE_TOOLS_H
#define PALISADE_TOOLS_H

#include <jansson.h>
#include <stdbool.h>

/* Each prints to stdout, complaints to stderr, and returns an enum status. */
int report_run(const char *program, bool json);
int model_list(void);
int plan_run(const char *program);

/* What the ELF file says, before it is judged. */
struct program {
    json_t *units;     /* array: the JSON of each note */
    json_t *defines;   /* object: the functions that some unit defines */
    json_t *externals; /* array: {name, unit}: functions a unit left to others */
    json_t *sources;   /* array: source files by the symbol table; empty when stripped */
    json_t *exported;  /* object: names that shared libraries may use */
    unsigned foreign;  /* notes of another format or ABI */
    bool stripped;
};
/* Reads the notes. 0, or an enum status after a sentence on stderr. program_free() in any case. */
int program_read(struct program *out, const char *path);
void program_free(struct program *program);

/* Source files in the symbol table that left no note: a new array. */
json_t *report_uninstrumented(const struct program *program);

/* Prints the judged report, see report.c, for a person. */
void report_print(const json_t *report);

#endif
