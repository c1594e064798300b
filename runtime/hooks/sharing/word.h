/*
 * Words that threads share without a lock, and their slots.
 *
 * A word's slot follows from its address alone, 16 bytes to a slot, so that accesses of any size to
 * the same bytes meet there: halves of a wide word, a byte of a flags word, pieces of a struct.
 * Other words may share it. `lock` is both the assigned lock and the seqlock over version and
 * value:
 *
 *   store   lock odd; order event; version and value; lock even (an exchange: a full barrier)
 *   load    value and version between two looks at an even lock
 *
 * The lock is held for a few instructions, never at a barrier, and nobody waits holding it.
 */
#ifndef PALISADE_HOOKS_WORD_H
#define PALISADE_HOOKS_WORD_H

#include "replay/replay.h"

static inline struct word_slot *slot_of(const void *address)
{
    uint64_t granule = (uint64_t)address >> 4;
    return &IMAGE->words[granule * 0x9E3779B97F4A7C15ull >> 52];
}
_Static_assert(WORD_SLOTS == 4096, "slot_of takes the top 12 bits of the hash");

static inline struct version slot_version(const struct word_slot *slot)
{
    return (struct version){slot->order.owner, slot->written};
}

/* Another thread holds the lock; when it goes on holding it, it may want this CPU. */
void slot_pause(uint32_t *turns);

/* Returns the lock as it was. */
static inline uint64_t slot_take(struct word_slot *slot)
{
    for (uint32_t turns = 0;;) {
        uint64_t lock = atomic_load_explicit(&slot->lock, memory_order_relaxed);
        if (__builtin_expect(!(lock & 1), 1) &&
            atomic_compare_exchange_strong_explicit(&slot->lock, &lock, lock + 1,
                                                    memory_order_acquire, memory_order_relaxed))
            return lock;
        slot_pause(&turns);
    }
}

/* `lock`: what slot_take returned when nothing was stored, else two more. */
static inline void slot_give(struct word_slot *slot, uint64_t lock)
{
    atomic_exchange_explicit(&slot->lock, lock, memory_order_seq_cst);
}

/* 1 to 16 bytes; what races with it is looked at under the slot's lock. */
static inline __attribute__((always_inline)) struct word word_read(const void *address,
                                                                   uint32_t bytes)
{
    switch (bytes) {
    case 1:
        return (struct word){*(const volatile uint8_t *)address, 0};
    case 2:
        return (struct word){*(const volatile uint16_t *)address, 0};
    case 4:
        return (struct word){*(const volatile uint32_t *)address, 0};
    case 8:
        return (struct word){*(const volatile uint64_t *)address, 0};
    default:
        return (struct word){((const volatile uint64_t *)address)[0],
                             ((const volatile uint64_t *)address)[1]};
    }
}

static inline __attribute__((always_inline)) void word_write(void *address, struct word value,
                                                             uint32_t bytes)
{
    switch (bytes) {
    case 1:
        *(volatile uint8_t *)address = (uint8_t)value.low;
        break;
    case 2:
        *(volatile uint16_t *)address = (uint16_t)value.low;
        break;
    case 4:
        *(volatile uint32_t *)address = (uint32_t)value.low;
        break;
    case 8:
        *(volatile uint64_t *)address = value.low;
        break;
    default:
        ((volatile uint64_t *)address)[0] = value.low;
        ((volatile uint64_t *)address)[1] = value.high;
    }
}

/* How far every thread has come in replay. */
struct positions word_positions(void);

/* Value and version as a pair; the lock that proves it. */
struct looked {
    struct word value;
    struct version version;
    uint64_t lock;
};
struct looked word_look(const void *address, uint32_t bytes);
/* The event of a load that saw this (recording). */
void word_load_record(struct nf_thread *thread, struct log *log, const void *address,
                      uint32_t bytes, const struct looked *looked);

/* A load of any size, in replay or live, the long way; the caller is an NF thread. */
struct word word_load(struct nf_thread *thread, const void *address, uint32_t bytes);
/* A store of any size; the caller is an NF thread. */
void word_store(struct nf_thread *thread, void *address, struct word value, uint32_t bytes);

#endif
