/*
 * Locks as instrumented code sees them, in place of libc's: the shadow lies inside the object where
 * that has room, needs no look-up and travels with the program's memory (R11). What a static
 * initialiser sets keeps its offset. Included by image.h only.
 */
#ifndef PALISADE_IMAGE_LOCKS_H
#define PALISADE_IMAGE_LOCKS_H

#include "core/event_rw.h"

/* A pthread_rwlock_t: hooks/sharing/rwlock.c. */
struct nf_rwlock {
    _Atomic uint32_t word;     /* RW_WRITER, or the number of readers */
    _Atomic uint32_t waited;   /* somebody may sleep on `releases` */
    _Atomic uint32_t releases; /* futex word */
    _Atomic uint32_t holder;   /* writer + 1; set after its acquisition was recorded */
    struct rworder order;
    uint32_t kind;
    uint32_t unused;
};
_Static_assert(sizeof(struct nf_rwlock) == 56, "must fit a pthread_rwlock_t");
_Static_assert(offsetof(struct nf_rwlock, kind) == 48, "where glibc has it");
#define RW_WRITER 0x80000000u

/* A sem_t (R8): hooks/sharing/semaphore.c. All but the futex word is guarded by `word`. */
struct nf_sem {
    _Atomic uint32_t word;
    uint32_t value;
    uint32_t waited;        /* somebody may sleep on `posts` */
    _Atomic uint32_t posts; /* futex word */
    struct order order;
};
_Static_assert(sizeof(struct nf_sem) == 32, "must fit a sem_t");

/* A pthread_barrier_t: hooks/sharing/barrier.c. `needed` and `arrived` are guarded by `word`. */
struct nf_barrier {
    _Atomic uint32_t word;
    uint16_t needed, arrived;
    _Atomic uint32_t round;   /* futex word; grows when the last one arrives */
    _Atomic uint32_t leaving; /* arrived and not gone yet: the barrier must stay */
    struct order order;
};
_Static_assert(sizeof(struct nf_barrier) == 32, "must fit a pthread_barrier_t");

/*
 * Orders of locks of one word, which have no room for it: spin locks, and foreign ones. The lock's
 * address selects the entry, and several locks may share one: their acquisitions then have one
 * common sequence. That is correct, for it is an order in which they did happen, so replay can
 * follow it: who waits for the lock at its turn waits for a holder whose next events have earlier
 * turns. It costs records, and a cut may end earlier. `guard` is held for one event only.
 */
#define WORD_ORDERS 1024u /* power of two */
struct word_order {
    _Atomic uint32_t guard;
    struct order order;
};

/* Locks of a library that is not instrumented (opaque rows of a model file):
 * hooks/sharing/opaque.c. */
#define OPAQUE_LOCKS_MAX 1024u /* power of two */
struct opaque_lock {
    _Atomic uint64_t address; /* 0: free entry */
    _Atomic uint32_t word;    /* as hooks/sharing/word_lock.h */
    struct order order;
};

#define KEYS_MAX 64u
struct nf_key {
    uint32_t generation; /* odd while the key exists */
    void (*destructor)(void *);
};
struct nf_specific {
    uint32_t generation; /* of the key when the value was set */
    void *value;
};

#endif
