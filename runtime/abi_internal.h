/* Hooks are the only exported symbols; entry.S exports the restartable ones. */
#ifndef PALISADE_ABI_INTERNAL_H
#define PALISADE_ABI_INTERNAL_H

#include <pthread.h>

#include "abi.h"

#define HOOK __attribute__((visibility("default")))

/* Saves the context as at the entry of the hook that tail-calls it, then goes on in
 * palisade_mutex_lock_restartable (entry.S). */
int palisade_mutex_lock_entry(pthread_mutex_t *mutex);

#endif
