/*
 * The epoch on disk (R17): a directory with one small file a daemon, replaced atomically. A lock
 * keeps two daemons from sharing it.
 */
#ifndef PALISADE_XDP_EPOCH_FILE_H
#define PALISADE_XDP_EPOCH_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/status.h"

struct epoch_file;

/*
 * The newest epoch. Invariant: an epoch is given to one process only, so whoever names it is that
 * process, and a logger without a past can tell who reigned from who was replaced.
 */
struct epoch_state {
    uint32_t number; /* 0: none ever */
    bool open;       /* its reign has not ended: its master may live, and come back (R16) */
};

/*
 * Opens DIRECTORY/NAME.epoch, creating the directory (its last component) when it is missing. No
 * file yet means epoch 0. `why` (256 bytes): STATUS_DISK when it cannot be used or is damaged,
 * STATUS_BUSY when another process uses it, STATUS_MEMORY.
 */
enum status epoch_file_open(struct epoch_file **file, const char *directory, const char *name,
                            struct epoch_state *state, char *why);
void epoch_file_close(struct epoch_file *file);

/* Returns only when `state` would survive a power failure. -errno: the old one still stands. */
int epoch_file_write(struct epoch_file *file, struct epoch_state state);

#endif
