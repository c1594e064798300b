/* Hooks are the only exported symbols; entry.S exports the restartable ones. */
#ifndef PALISADE_ABI_INTERNAL_H
#define PALISADE_ABI_INTERNAL_H

#include <pthread.h>

#include "abi.h"
#include "hooks/site.h"

#define HOOK __attribute__((visibility("default")))

/* Saves the context as at the entry of the hook that tail-calls it, then goes on in
 * palisade_mutex_lock_restartable (entry.S). */
int palisade_mutex_lock_entry(pthread_mutex_t *mutex);
/* The same, of others with a short way that needs no saved context. */
int palisade_rwlock_rdlock_entry(pthread_rwlock_t *lock);
int palisade_rwlock_wrlock_entry(pthread_rwlock_t *lock);
int palisade_word_lock_entry(_Atomic uint32_t *word);

/* What C11's names share with pthread's (hooks/sharing/c11.c, hooks/threads/keys.c). */
int palisade_mutex_trylock_restartable(pthread_mutex_t *mutex);
int palisade_mutex_timedlock_restartable(pthread_mutex_t *mutex, const struct timespec *until);
int palisade_cond_timedwait_restartable(pthread_cond_t *cond, pthread_mutex_t *mutex,
                                        const struct timespec *until);
int palisade_join_restartable(pthread_t handle, void **result);
int __palisade_pthread_create(pthread_t *out, const pthread_attr_t *attributes,
                              void *(*entry)(void *), void *argument);
__attribute__((noreturn)) void __palisade_pthread_exit(void *result);

#endif
