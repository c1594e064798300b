/* Ordered locks, for the runtime's own shared tables in the image as well as for the NF's. */
#ifndef PALISADE_HOOKS_LOCK_H
#define PALISADE_HOOKS_LOCK_H

#include "process.h"

/* An ordered acquisition (an event) of a lock that lives in the image. Not restartable. */
void ordered_lock(struct nf_thread *thread, struct nf_mutex *mutex);
void ordered_unlock(struct nf_mutex *mutex);

/* The native half of an acquisition, without an event; waits in the safe state if `restartable`. */
void native_lock(struct nf_thread *thread, struct nf_mutex *mutex, bool restartable);
void native_unlock(struct nf_mutex *mutex);
static inline bool native_try(struct nf_mutex *mutex)
{
    uint32_t free = 0;
    return atomic_compare_exchange_strong_explicit(&mutex->word, &free, 1, memory_order_acquire,
                                                   memory_order_relaxed);
}

/* The event of an acquisition whose native half was done (recording). */
static inline void lock_record(struct nf_thread *thread, struct log *log, struct nf_mutex *mutex)
{
    ev_order_record(&thread->core, log, &mutex->order);
    atomic_store_explicit(&mutex->holder, thread->core.index + 1, memory_order_release);
}

/* One attempt in replay: event and native half together. */
enum event lock_replay(struct nf_thread *thread, struct nf_mutex *mutex);

/* errno-style result of an acquisition by a thread that may already hold it; -1: go and acquire */
int lock_reentry(const struct nf_thread *thread, struct nf_mutex *mutex, bool try);

#endif
