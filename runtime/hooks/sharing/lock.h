/* Ordered locks, for the runtime's own shared tables in the image as well as for the NF's. */
#ifndef PALISADE_HOOKS_LOCK_H
#define PALISADE_HOOKS_LOCK_H

#include <time.h>

#include "process.h"
#include "replay/replay.h"

/* Where a thread stands in a wait of several steps (R20); one such wait at a time. */
enum wait_phase { PHASE_NONE, PHASE_WAITING, PHASE_RESULT, PHASE_BARRIER, PHASE_ONCE };

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

/* Nanoseconds until `until` on the clock the NF sees; live only. */
int64_t deadline_left_ns(clockid_t clock, const struct timespec *until);

/*
 * The lock of an object whose state changes under its own order (R8): held for one event, never
 * across a wait. In replay replay_object_lock takes its place.
 */
void assigned_lock(_Atomic uint32_t *word);
void assigned_unlock(_Atomic uint32_t *word);

/* How far every thread has come in replay. */
void replay_positions(struct positions *passed);

/* errno-style result of an acquisition by a thread that may already hold it; -1: go and acquire */
int lock_reentry(const struct nf_thread *thread, struct nf_mutex *mutex, bool try);

#endif
