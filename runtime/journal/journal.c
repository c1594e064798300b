#include "journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/assert.h"

#define WHY_BYTES 256

struct journal {
    int fd; /* -1: none wanted */
    atomic_bool failed;
    char *path;
};

enum status journal_open(struct journal **out, const char *path, char *why)
{
    struct journal *journal = calloc(1, sizeof *journal);
    bool wanted = path && path[0];
    if (!journal || (wanted && !(journal->path = strdup(path)))) {
        free(journal);
        snprintf(why, WHY_BYTES, "out of memory");
        return STATUS_MEMORY;
    }
    journal->fd = -1;
    if (wanted) {
        journal->fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
        if (journal->fd < 0) {
            snprintf(why, WHY_BYTES, "journal %s: %s", path, strerror(errno));
            journal_close(journal);
            return STATUS_DISK;
        }
    }
    *out = journal;
    return STATUS_OK;
}

void journal_close(struct journal *journal)
{
    if (!journal)
        return;
    if (journal->fd >= 0)
        close(journal->fd);
    free(journal->path);
    free(journal);
}

/* The journal is for people; the packets do not wait for its disk to be mended. */
static void line_write(struct journal *journal, const char *line, size_t length)
{
    ssize_t wrote = write(journal->fd, line, length);
    if (wrote == (ssize_t)length || atomic_exchange(&journal->failed, true))
        return;
    fprintf(stderr, "palisade: journal %s: %s; it ends here\n", journal->path,
            strerror(wrote < 0 ? errno : ENOSPC));
}

static bool journal_wants(struct journal *journal)
{
    return journal->fd >= 0 && !atomic_load_explicit(&journal->failed, memory_order_relaxed);
}

void journal_object(struct journal *journal, const char *event, json_t *fields)
{
    struct timespec now;
    ASSERT(fields != NULL);
    if (journal_wants(journal)) {
        clock_gettime(CLOCK_MONOTONIC, &now);
        json_t *line = json_pack("{s:I,s:s}", "t_ns",
                                 (json_int_t)now.tv_sec * 1000000000 + now.tv_nsec, "event", event);
        json_object_update(line, fields);
        char *text = json_dumps(line, JSON_COMPACT);
        json_decref(line);
        ASSERT(text != NULL); /* all it holds is UTF-8; else out of memory */
        size_t length = strlen(text);
        text[length] = '\n'; /* in the place of the 0 */
        line_write(journal, text, length + 1);
        free(text);
    }
    json_decref(fields);
}

void journal_event(struct journal *journal, const char *event, const char *format, ...)
{
    va_list arguments;
    if (!journal_wants(journal))
        return;
    va_start(arguments, format);
    json_t *fields = json_vpack_ex(NULL, 0, format, arguments);
    va_end(arguments);
    if (!fields) /* a peer's text that is not UTF-8 */
        fields = json_pack("{s:s}", "error", "fields not printable");
    journal_object(journal, event, fields);
}
