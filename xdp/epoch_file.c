/*
 * Format: one line, "palisade-epoch 2 N open" or "... ended", N decimal. Written to NAME.epoch.new,
 * synced, renamed over NAME.epoch, and the directory synced: after a power failure one of the two
 * is there whole.
 */
#include "epoch_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define WHY_BYTES 256
#define NAME_BYTES 64
#define LINE_BYTES 64

struct epoch_file {
    int directory;
    int lock;
    char name[NAME_BYTES]; /* of the file; name + ".new" is the next one */
};

static enum status disk_trouble(const char *directory, const char *name, const char *what,
                                char *why)
{
    snprintf(why, WHY_BYTES, "state file %s/%s.epoch: %s", directory, name, what);
    return STATUS_DISK;
}

/* 0 and the state (epoch 0 when there is no file); -errno; -EBADMSG when damaged. */
static int epoch_read(int directory, const char *name, struct epoch_state *state)
{
    char line[LINE_BYTES], word[8];
    int fd = openat(directory, name, O_RDONLY | O_CLOEXEC);
    *state = (struct epoch_state){0};
    if (fd < 0)
        return errno == ENOENT ? 0 : -errno;
    ssize_t got = read(fd, line, sizeof line - 1);
    int error = got < 0 ? -errno : 0;
    close(fd);
    if (error)
        return error;
    line[got] = 0;
    int end = 0;
    if (sscanf(line, "palisade-epoch 2 %" SCNu32 " %5[a-z]%n", &state->number, word, &end) != 2 ||
        strcmp(line + end, "\n"))
        return -EBADMSG;
    state->open = strcmp(word, "open") == 0;
    if (!state->open && strcmp(word, "ended"))
        return -EBADMSG;
    return state->open && !state->number ? -EBADMSG : 0;
}

enum status epoch_file_open(struct epoch_file **out, const char *directory, const char *name,
                            struct epoch_state *state, char *why)
{
    struct epoch_file *file = calloc(1, sizeof *file);
    if (!file) {
        snprintf(why, WHY_BYTES, "out of memory");
        return STATUS_MEMORY;
    }
    file->lock = -1;
    snprintf(file->name, sizeof file->name, "%s.epoch", name);

    enum status status;
    if (mkdir(directory, 0755) < 0 && errno != EEXIST) {
        file->directory = -1;
        status = disk_trouble(directory, name, strerror(errno), why);
        goto fail;
    }
    file->directory = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (file->directory < 0) {
        status = disk_trouble(directory, name, strerror(errno), why);
        goto fail;
    }
    char lock[NAME_BYTES];
    snprintf(lock, sizeof lock, "%s.lock", name);
    file->lock = openat(file->directory, lock, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (file->lock < 0) {
        status = disk_trouble(directory, name, strerror(errno), why);
        goto fail;
    }
    if (flock(file->lock, LOCK_EX | LOCK_NB) < 0) {
        snprintf(why, WHY_BYTES,
                 "state directory %s is in use by another %s: end it, or choose "
                 "another --state",
                 directory, name);
        status = STATUS_BUSY;
        goto fail;
    }
    int error = epoch_read(file->directory, file->name, state);
    if (error) {
        status =
            disk_trouble(directory, name,
                         error == -EBADMSG ? "damaged (not \"palisade-epoch 2 N open|ended\"); "
                                             "restore it with the highest epoch ever used"
                                           : strerror(-error),
                         why);
        goto fail;
    }
    /* A disk that takes no writes is noticed now, not at the takeover. */
    error = epoch_file_write(file, *state);
    if (error) {
        status = disk_trouble(directory, name, strerror(-error), why);
        goto fail;
    }
    *out = file;
    return STATUS_OK;
fail:
    epoch_file_close(file);
    return status;
}

void epoch_file_close(struct epoch_file *file)
{
    if (!file)
        return;
    if (file->lock >= 0)
        close(file->lock);
    if (file->directory >= 0)
        close(file->directory);
    free(file);
}

int epoch_file_write(struct epoch_file *file, struct epoch_state state)
{
    char line[LINE_BYTES], next[NAME_BYTES + 8];
    int length = snprintf(line, sizeof line, "palisade-epoch 2 %" PRIu32 " %s\n", state.number,
                          state.open ? "open" : "ended");

    snprintf(next, sizeof next, "%s.new", file->name);
    int fd = openat(file->directory, next, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        return -errno;
    int error = 0;
    ssize_t wrote = write(fd, line, (size_t)length);
    if (wrote != length)
        error = wrote < 0 ? -errno : -ENOSPC;
    else if (fsync(fd) < 0)
        error = -errno;
    if (close(fd) < 0 && !error)
        error = -errno;
    if (!error && renameat(file->directory, next, file->directory, file->name) < 0)
        error = -errno;
    if (error) {
        unlinkat(file->directory, next, 0);
        return error;
    }
    return fsync(file->directory) < 0 ? -errno : 0;
}
