/*
 * The stored logs of the dead or living master, as the output logger hands them out: one stream a
 * thread, in a ring that its reader empties.
 */
#ifndef PALISADE_REPLAY_STORED_H
#define PALISADE_REPLAY_STORED_H

#include "core/message.h"

/* Nothing has come; every thread's stream begins at the base. I/O thread, before replay_begin. */
void stored_begin(void);
/* A piece arrived; -EBADMSG when it does not fit what came before. I/O thread. */
int stored_add(const struct message_stored_log *piece);
/* Points the thread's reader at its stream, from the thread's present state on. I/O thread, or the
 * thread that creates it in replay. */
void stored_reader_open(uint32_t thread);
/* What has been consumed, for PROGRESS: false when that is no more than when it was asked last. */
bool stored_progress(struct message_progress *progress);
/* Is there more to tell? */
bool stored_untold(void);
/* Bytes that arrived since stored_begin. */
uint64_t stored_bytes(void);
/* Frees everything, after go-live. I/O thread. */
void stored_clear(void);

#endif
