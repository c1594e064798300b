/*
 * The toy NF: threads that lock, try, race on words, plain, atomic and wide ones, receive, read
 * clocks, wait on a condition, send and perform effects in an order that depends on everything they
 * have seen, so that any divergence shows in the hash of a thread's state.
 *
 * `struct toy_nf` is the image: plain memory, copied whole at a snapshot. Operations are cut into
 * steps where another thread may come in between: native lock, record, effect, unlock (R1). An
 * operation that waits stands in its step 0, from which it can be begun again (R20).
 */
#ifndef PALISADE_SIM_TOY_H
#define PALISADE_SIM_TOY_H

#include "core/event_rw.h"
#include "core/output_log.h"
#include "oracle.h"
#include "random.h"

#define TOY_LOCKS 3u
#define TOY_RWLOCKS 2u
#define TOY_WORDS 4u
#define TOY_WIDE 1u  /* this word has 16 bytes */
#define TOY_SLOTS 2u /* assigned locks and versions: words share them */
#define TOY_SEND_MAX 3u
#define TOY_RECEIVE_MAX 3u
#define TOY_KINDS_MAX 32u

enum operation {
    OPERATION_RECEIVE,
    OPERATION_LOCK,
    OPERATION_TRY,
    OPERATION_READ, /* takes a reader-writer lock */
    OPERATION_WRITE,
    OPERATION_TRY_READ,
    OPERATION_TRY_WRITE,
    OPERATION_LOAD,
    OPERATION_STORE,
    OPERATION_CHANGE,   /* RMW that always changes the word */
    OPERATION_EXCHANGE, /* RMW that may leave it as it is */
    OPERATION_COMPARE,  /* compare-exchange, which may fail (R6) */
    OPERATION_MIXED,    /* load of what is stored without an event, under the first lock (R10) */
    OPERATION_CLOCK,
    OPERATION_NUMBER,
    OPERATION_BYTES,
    OPERATION_PRODUCE,
    OPERATION_CONSUME,
    OPERATION_EFFECT,
    OPERATION_SEND,
    OPERATION_KINDS, /* those below follow from the state */
    OPERATION_UNLOCK = OPERATION_KINDS,
    OPERATION_RW_UNLOCK,
    OPERATION_CONSUME_WAIT,
};

struct choice {
    enum operation operation;
    uint32_t object;
    uint64_t salt;
};

struct toy_lock {
    struct order order;
    uint32_t holder; /* + 1; the native lock */
    bool recorded;   /* the holder's acquisition is recorded: `order` names it */
    uint64_t data;   /* covered by the lock */
};

struct toy_rwlock {
    struct rworder order;
    uint32_t writer;  /* + 1; the native lock */
    uint32_t readers; /* that hold it; the native lock */
    bool recorded;    /* the writer's acquisition is recorded */
    uint64_t data;    /* covered by the lock */
};

/* Assigned lock and version of several words. */
struct toy_slot {
    struct toy_lock lock;
    struct version version;
    uint64_t stamp; /* its seqlock: 0 before the first store, odd while the lock is held */
};

struct toy_thread {
    struct thread_state state;
    uint64_t hash;
    uint32_t operations;
    uint32_t held; /* a bit a lock */
    uint32_t rw;   /* reader-writer lock it holds, + 1 */
    bool writes;   /* and for writing */
    bool waiting;  /* on the condition */
};

struct toy_nf {
    uint32_t threads;
    uint8_t kinds[TOY_KINDS_MAX];
    uint32_t kind_count;
    bool large; /* long values and packets */
    struct toy_thread thread[SIM_THREADS_MAX];
    struct toy_lock lock[TOY_LOCKS];
    struct toy_rwlock rwlock[TOY_RWLOCKS];
    struct toy_slot slot[TOY_SLOTS];
    struct word word[TOY_WORDS];
    uint64_t mixed;          /* written under the first lock, read without */
    uint32_t items;          /* covered by the last lock */
    uint32_t waiters, woken; /* a bit a thread */
    uint8_t consumed[SIM_INPUTS_MAX / 8];
};

void toy_create(struct toy_nf *nf, uint32_t threads, struct random *random);
/* What `thread` does next: a function of its own state only. */
struct choice toy_choose(const struct toy_nf *nf, uint32_t thread);
/* Where in the program that is (G6). */
static inline uint32_t toy_site(const struct choice *choice)
{
    return 0x400000 + 64 * (uint32_t)choice->operation + choice->object;
}

/* What each kind of operation does to the state, the same in recording and replay. */
void toy_absorb(struct toy_thread *thread, enum operation operation, uint64_t value);
void toy_locked(struct toy_nf *nf, uint32_t thread, uint32_t lock);
void toy_rw_locked(struct toy_nf *nf, uint32_t thread, uint32_t lock, bool writes);
void toy_rw_unlock(struct toy_nf *nf, uint32_t thread);
void toy_produced(struct toy_nf *nf);
void toy_consumed(struct toy_nf *nf, uint32_t thread);
uint64_t toy_address(uint32_t word);
uint64_t toy_rw_address(uint32_t lock);
/* What a store or RMW makes of a word; `choice` is a struct choice. */
struct word toy_update(const void *choice, struct word old);
/* Seed, port and length of the n-th packet of a send. */
uint64_t toy_packet(const struct toy_nf *nf, const struct toy_thread *thread, uint32_t n,
                    uint16_t *port, uint16_t *length);
uint32_t toy_packet_count(const struct choice *choice);
/* Digest of the packets of a send (G6). */
uint32_t toy_sent(const struct toy_nf *nf, const struct toy_thread *thread, uint32_t packets);
uint32_t toy_bytes_length(const struct toy_nf *nf, const struct choice *choice);
uint64_t toy_digest(const uint8_t *bytes, uint32_t length);
uint64_t input_seed(struct input_name input);
uint16_t input_length(struct input_name input);

static inline bool toy_has_consumed(const struct toy_nf *nf, packet_id id)
{
    return nf->consumed[id / 8] >> (id % 8) & 1;
}

static inline void toy_consume_input(struct toy_nf *nf, packet_id id)
{
    nf->consumed[id / 8] |= (uint8_t)(1u << (id % 8));
}

#endif
