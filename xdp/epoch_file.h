/*
 * The epoch on disk (R17): a directory with one small file a daemon, replaced atomically. A lock
 * keeps two daemons from sharing it.
 */
#ifndef PALISADE_XDP_EPOCH_FILE_H
#define PALISADE_XDP_EPOCH_FILE_H

#include <stdint.h>

#include "core/status.h"

struct epoch_file;

/*
 * Opens DIRECTORY/NAME.epoch, creating the directory (its last component) when it is missing. No
 * file yet means epoch 0. `why` (256 bytes): STATUS_DISK when it cannot be used or is damaged,
 * STATUS_BUSY when another process uses it, STATUS_MEMORY.
 */
enum status epoch_file_open(struct epoch_file **file, const char *directory, const char *name,
                            uint32_t *epoch, char *why);
void epoch_file_close(struct epoch_file *file);

/* Returns only when `epoch` would survive a power failure. -errno: the old one still stands. */
int epoch_file_write(struct epoch_file *file, uint32_t epoch);

#endif
