/* The stored logs of a takeover: what the output logger hands out, and who reads it. */
#ifndef PALISADE_REPLAY_STORED_H
#define PALISADE_REPLAY_STORED_H

#include "core/message.h"

/* A piece arrived; -EBADMSG when it does not fit what came before. I/O thread. */
int stored_add(const struct message_stored_log *piece);
/* All pieces are there; logs end at `end` (E). I/O thread, before replay_begin. */
void stored_complete(const struct positions *end);
/* Points the thread's reader at its log. I/O thread, or the thread that creates it in replay. */
void stored_reader_open(uint32_t thread);
/* Frees everything, after go-live or when a takeover is called off. I/O thread. */
void stored_clear(void);

#endif
