/*
 * Locks of one word of the program's memory, for exclusive or shared use; 0 is free. The order lies
 * elsewhere, and its events are those of an ordinary lock, for readers too: readers then have an
 * order among themselves that nobody needs, but no counts have to be kept.
 *
 *   bit 0 held for writing, 1 waited for, 2 that writer is recorded
 *   bits 8 to 19 readers, 20 to 31 readers that are recorded
 */
#ifndef PALISADE_HOOKS_WORD_LOCK_H
#define PALISADE_HOOKS_WORD_LOCK_H

#include "hooks/sharing/lock.h"

#define WORD_HELD 1u
#define WORD_WAITED 2u
#define WORD_RECORDED 4u
#define WORD_READER 0x100u
#define WORD_READER_RECORDED 0x100000u

/* The native half: once, or waiting in the safe state (NULL thread: not one of the NF's). */
bool word_try(_Atomic uint32_t *word, bool shared);
void word_take(struct nf_thread *thread, _Atomic uint32_t *word, bool shared);
/* It is recorded now: failed tries may count on it (R4). */
void word_recorded(_Atomic uint32_t *word, bool shared);
/* Held, by somebody who was recorded, so that an attempt may fail. */
bool word_is_recorded(uint32_t value, bool shared);
void word_release(_Atomic uint32_t *word);

/* One attempt in replay; `word` and `order` are serialised by `object`. */
enum event word_replay(struct nf_thread *thread, _Atomic uint32_t *word, struct order *order,
                       const void *object, bool shared, bool *failed);

#endif
