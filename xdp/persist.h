/*
 * Writing the epoch while the lifelines live: a disk may take seconds to sync, and no peer shall
 * take that for our death.
 */
#ifndef PALISADE_XDP_PERSIST_H
#define PALISADE_XDP_PERSIST_H

#include "epoch_file.h"
#include "logger.h"

/*
 * epoch_file_open for this logger; with --forget an open reign is marked as ended. `why` as there.
 */
enum status epoch_start(struct logger *logger, struct epoch_file **file, struct epoch_state *state,
                        char *why);

/*
 * epoch_file_write. Meanwhile every peer gets its heartbeats and `meanwhile` (or NULL) is called
 * about every millisecond: what must go on, such as taking packets from the ports. Nothing else
 * happens.
 */
int epoch_persist(struct logger *logger, struct epoch_file *file, struct epoch_state state,
                  void (*meanwhile)(struct logger *logger));

#endif
