#include "journal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/assert.h"

#define WHY_BYTES 256

struct journal {
    FILE *file; /* NULL: none wanted, or writing failed */
    char *path;
};

enum status journal_open(struct journal **out, const char *path, char *why)
{
    struct journal *journal = calloc(1, sizeof *journal);
    if (!journal || (path && !(journal->path = strdup(path)))) {
        free(journal);
        snprintf(why, WHY_BYTES, "out of memory");
        return STATUS_MEMORY;
    }
    if (path && !(journal->file = fopen(path, "ae"))) {
        snprintf(why, WHY_BYTES, "journal %s: %s", path, strerror(errno));
        journal_close(journal);
        return STATUS_DISK;
    }
    *out = journal;
    return STATUS_OK;
}

void journal_close(struct journal *journal)
{
    if (!journal)
        return;
    if (journal->file)
        fclose(journal->file);
    free(journal->path);
    free(journal);
}

void journal_object(struct journal *journal, const char *event, json_t *fields)
{
    struct timespec now;

    ASSERT(fields != NULL);
    if (journal->file) {
        clock_gettime(CLOCK_MONOTONIC, &now);
        json_t *line = json_pack("{s:I,s:s}", "t_ns",
                                 (json_int_t)now.tv_sec * 1000000000 + now.tv_nsec, "event", event);
        json_object_update(line, fields);
        /* The journal is for people; the packets do not wait for its disk to be mended. */
        if (json_dumpf(line, journal->file, JSON_COMPACT) || fputc('\n', journal->file) == EOF ||
            fflush(journal->file)) {
            fprintf(stderr, "palisade: journal %s: %s; it ends here\n", journal->path,
                    strerror(errno));
            fclose(journal->file);
            journal->file = NULL;
        }
        json_decref(line);
    }
    json_decref(fields);
}

void journal_event(struct journal *journal, const char *event, const char *format, ...)
{
    va_list arguments;

    if (!journal->file)
        return;
    va_start(arguments, format);
    json_t *fields = json_vpack_ex(NULL, 0, format, arguments);
    va_end(arguments);
    if (!fields) /* a peer's text that is not UTF-8 */
        fields = json_pack("{s:s}", "error", "fields not printable");
    journal_object(journal, event, fields);
}
