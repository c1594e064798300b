/*
 * Format: two lines of SLOT_BYTES each, padded by spaces: "palisade-epoch 3 N open C" or "... ended
 * C", decimal; the line with the greater C counts. A write replaces the other one. A line is one
 * sector, which a disk writes whole or not at all: so after a power failure the old line or the
 * new one counts, and nothing but that sector has to reach the disk. A takeover waits for it, and
 * a new file under the old name, synced with its directory, costs ten times as much.
 *
 * The file itself comes by NAME.epoch.new and a rename, at every start. "palisade-epoch 2 N open",
 * one line, is understood there too: written by an older logger or by a person.
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

#include "fault.h"

#define WHY_BYTES 256
#define NAME_BYTES 64
#define SLOTS 2
#define SLOT_BYTES 512

struct epoch_file {
    int directory;
    int lock;
    uint32_t changes;      /* the greatest C on disk */
    char name[NAME_BYTES]; /* of the file; name + ".new" is the next one */
};

static enum status disk_trouble(const char *directory, const char *name, const char *what,
                                char *why)
{
    snprintf(why, WHY_BYTES, "state file %s/%s.epoch: %s", directory, name, what);
    return STATUS_DISK;
}

static bool word_means(const char *word, struct epoch_state *state)
{
    state->open = strcmp(word, "open") == 0;
    return state->open ? state->number > 0 : strcmp(word, "ended") == 0;
}

/* A file of one line; `text` ends in 0. */
static bool line_parse(const char *text, struct epoch_state *state)
{
    char word[8];
    int end = 0;

    return sscanf(text, "palisade-epoch 2 %" SCNu32 " %5[a-z]%n", &state->number, word, &end) ==
               2 &&
           strcmp(text + end, "\n") == 0 && word_means(word, state);
}

static void slot_print(char slot[SLOT_BYTES], struct epoch_state state, uint32_t change)
{
    int length = snprintf(slot, SLOT_BYTES, "palisade-epoch 3 %" PRIu32 " %s %" PRIu32,
                          state.number, state.open ? "open" : "ended", change);
    memset(slot + length, ' ', SLOT_BYTES - (size_t)length - 1);
    slot[SLOT_BYTES - 1] = '\n';
}

static bool slot_parse(const char slot[SLOT_BYTES], struct epoch_state *state, uint32_t *change)
{
    char line[SLOT_BYTES + 1] = "", same[SLOT_BYTES], word[8];

    memcpy(line, slot, SLOT_BYTES);
    if (sscanf(line, "palisade-epoch 3 %" SCNu32 " %5[a-z] %" SCNu32, &state->number, word,
               change) != 3 ||
        !word_means(word, state))
        return false;
    slot_print(same, *state, *change);
    return memcmp(slot, same, SLOT_BYTES) == 0;
}

/* 0 and the state (epoch 0 when there is no file); -errno; -EBADMSG when damaged. */
static int epoch_read(int directory, const char *name, struct epoch_state *state)
{
    char text[SLOTS * SLOT_BYTES + 1];
    int fd = openat(directory, name, O_RDONLY | O_CLOEXEC);
    *state = (struct epoch_state){0};
    if (fd < 0)
        return errno == ENOENT ? 0 : -errno;
    ssize_t got = read(fd, text, sizeof text);
    int error = got < 0 ? -errno : 0;
    close(fd);
    if (error)
        return error;
    if (got < SLOT_BYTES) {
        text[got] = 0;
        return line_parse(text, state) ? 0 : -EBADMSG;
    }
    struct epoch_state found[SLOTS];
    uint32_t changes[SLOTS];
    if (got != SLOTS * SLOT_BYTES)
        return -EBADMSG;
    for (int i = 0; i < SLOTS; i++)
        if (!slot_parse(text + i * SLOT_BYTES, &found[i], &changes[i]))
            return -EBADMSG;
    *state = found[changes[1] > changes[0]];
    return 0;
}

/* `room` bytes at `offset` of an open file, on disk. -errno. */
static int put(int fd, const char *bytes, size_t room, off_t offset)
{
    ssize_t wrote = pwrite(fd, bytes, room, offset);
    if (wrote != (ssize_t)room)
        return wrote < 0 ? -errno : -ENOSPC;
    return fdatasync(fd) < 0 ? -errno : 0;
}

/* A new file, its first line newer than the second. */
static int epoch_replace(struct epoch_file *file, struct epoch_state state)
{
    char text[SLOTS * SLOT_BYTES], next[NAME_BYTES + 8];

    for (uint32_t i = 0; i < SLOTS; i++)
        slot_print(text + i * SLOT_BYTES, state, SLOTS - i);
    snprintf(next, sizeof next, "%s.new", file->name);
    int fd = openat(file->directory, next, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        return -errno;
    int error = put(fd, text, sizeof text, 0);
    if (close(fd) < 0 && !error)
        error = -errno;
    fault_point(FAULT_OL_EPOCH_NEW);
    if (!error && renameat(file->directory, next, file->directory, file->name) < 0)
        error = -errno;
    if (error) {
        unlinkat(file->directory, next, 0);
        return error;
    }
    file->changes = SLOTS;
    return fsync(file->directory) < 0 ? -errno : 0;
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
    file->lock = openat(file->directory, lock, O_RDONLY | O_CREAT | O_CLOEXEC, 0644);
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
    error = epoch_replace(file, *state);
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
    char slot[SLOT_BYTES];
    uint32_t change = file->changes + 1;

    slot_print(slot, state, change);
    fault_point(FAULT_OL_EPOCH_NEW);
    int fd = openat(file->directory, file->name, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? epoch_replace(file, state) : -errno;
    int error = put(fd, slot, SLOT_BYTES, (off_t)(change % SLOTS) * SLOT_BYTES);
    close(fd);
    if (!error)
        file->changes = change;
    return error;
}
