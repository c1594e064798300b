#include "journal.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/assert.h"

int journal_open(struct journal *journal, const char *path)
{
    journal->fd = -1;
    if (!path || !path[0])
        return 0;
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (fd < 0)
        return -errno;
    journal->fd = fd;
    return 0;
}

void journal_close(struct journal *journal)
{
    if (journal->fd >= 0)
        close(journal->fd);
    journal->fd = -1;
}

/* Text that is not UTF-8 must not cost the line. */
static json_t *value_of(const struct journal_field *field)
{
    if (!field->text)
        return json_integer(field->number);
    json_t *text = json_string(field->text);
    return text ? text : json_string("(not UTF-8)");
}

static char *line_build(const char *event, const struct journal_field *fields)
{
    struct timespec now;
    ASSERT(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    json_t *line = json_object();
    json_object_set_new(line, "t_ns",
                        json_integer((json_int_t)now.tv_sec * 1000000000 + now.tv_nsec));
    json_object_set_new(line, "event", json_string(event));
    for (; fields && fields->key; fields++)
        json_object_set_new(line, fields->key, value_of(fields));
    char *text = json_dumps(line, JSON_COMPACT);
    json_decref(line);
    return text;
}

int journal_event(const struct journal *journal, const char *event,
                  const struct journal_field *fields)
{
    if (journal->fd < 0)
        return 0;
    char *text = line_build(event, fields);
    if (!text)
        return -ENOMEM;
    size_t length = strlen(text);
    text[length] = '\n'; /* in the place of the 0 */
    ssize_t wrote = write(journal->fd, text, length + 1);
    int result = wrote == (ssize_t)(length + 1) ? 0 : wrote < 0 ? -errno : -ENOSPC;
    free(text);
    return result;
}
