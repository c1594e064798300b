#include "toy.h"

#include <string.h>

#include "core/assert.h"

/* Some programs do everything, some little else than race, or than lock. */
static void toy_choose_kinds(struct toy_nf *nf, struct random *random)
{
    static const uint8_t racing[] = {OPERATION_LOAD, OPERATION_STORE, OPERATION_CHANGE,
                                     OPERATION_EXCHANGE, OPERATION_COMPARE};
    static const uint8_t locking[] = {OPERATION_LOCK, OPERATION_TRY, OPERATION_PRODUCE,
                                      OPERATION_CONSUME};
    static const uint8_t reading[] = {OPERATION_READ, OPERATION_WRITE, OPERATION_TRY_READ,
                                      OPERATION_TRY_WRITE};
    uint32_t sort = random_below(random, 5), kinds = random_range(random, 4, 14);

    for (uint32_t i = 0; i < kinds; i++) {
        uint8_t kind = (uint8_t)random_below(random, OPERATION_KINDS);
        if (sort == 0)
            kind = racing[random_below(random, sizeof(racing))];
        else if (sort == 1)
            kind = locking[random_below(random, sizeof(locking))];
        else if (sort == 2)
            kind = reading[random_below(random, sizeof(reading))];
        nf->kinds[nf->kind_count++] = kind;
    }
}

void toy_create(struct toy_nf *nf, uint32_t threads, struct random *random)
{
    *nf = (struct toy_nf){.threads = threads};
    nf->large = random_percent(random, 15);
    toy_choose_kinds(nf, random);
    nf->kinds[nf->kind_count++] = OPERATION_SEND;
    nf->kinds[nf->kind_count++] = OPERATION_RECEIVE;
    for (uint32_t t = 0; t < threads; t++) {
        nf->thread[t].state.index = t;
        nf->thread[t].hash = mix64(t);
        thread_state_segment(&nf->thread[t].state);
    }
}

static uint32_t lowest_free_lock(uint32_t held)
{
    uint32_t lock = 0;

    while (held >> lock)
        lock++;
    return lock;
}

static bool takes_lock(enum operation operation)
{
    return operation == OPERATION_LOCK || operation == OPERATION_TRY ||
           operation == OPERATION_PRODUCE || operation == OPERATION_CONSUME;
}

struct choice toy_choose(const struct toy_nf *nf, uint32_t index)
{
    const struct toy_thread *thread = &nf->thread[index];
    uint64_t salt = hash2(thread->hash, thread->operations);
    uint64_t pick = hash2(salt, index);
    struct choice choice = {.operation = nf->kinds[pick % nf->kind_count], .salt = salt};

    if (thread->waiting)
        choice.operation = OPERATION_CONSUME_WAIT;
    bool reads = choice.operation >= OPERATION_READ && choice.operation <= OPERATION_TRY_WRITE;
    if (thread->rw != 0 && (salt % 3 == 0 || reads || takes_lock(choice.operation)))
        choice.operation = OPERATION_RW_UNLOCK;
    uint32_t first = lowest_free_lock(thread->held); /* ascending: no deadlock */
    if (thread->held != 0) {
        bool locks = choice.operation == OPERATION_LOCK || choice.operation == OPERATION_TRY;
        if (salt % 3 == 0 || reads || choice.operation == OPERATION_PRODUCE ||
            choice.operation == OPERATION_CONSUME || (locks && first == TOY_LOCKS))
            choice.operation = OPERATION_UNLOCK;
    }
    salt >>= 8;
    switch (choice.operation) {
    case OPERATION_LOCK:
    case OPERATION_TRY:
        choice.object = first + (uint32_t)(salt % (TOY_LOCKS - first));
        break;
    case OPERATION_UNLOCK:
        choice.object = first - 1;
        break;
    case OPERATION_READ:
    case OPERATION_WRITE:
    case OPERATION_TRY_READ:
    case OPERATION_TRY_WRITE:
        choice.object = (uint32_t)(salt % TOY_RWLOCKS);
        break;
    case OPERATION_LOAD:
    case OPERATION_STORE:
    case OPERATION_CHANGE:
    case OPERATION_EXCHANGE:
    case OPERATION_COMPARE:
        choice.object = (uint32_t)(salt % TOY_WORDS);
        break;
    default:
        break;
    }
    return choice;
}

void toy_absorb(struct toy_thread *thread, enum operation operation, uint64_t value)
{
    thread->hash = hash2(thread->hash + operation, value);
}

void toy_locked(struct toy_nf *nf, uint32_t index, uint32_t object)
{
    struct toy_lock *lock = &nf->lock[object];
    struct toy_thread *thread = &nf->thread[index];

    thread->held |= 1u << object;
    lock->data = hash2(lock->data, thread->hash);
    if (object == 0)
        nf->mixed = lock->data % 3;
    toy_absorb(thread, OPERATION_LOCK, lock->data);
}

void toy_rw_locked(struct toy_nf *nf, uint32_t index, uint32_t object, bool writes)
{
    struct toy_rwlock *lock = &nf->rwlock[object];
    struct toy_thread *thread = &nf->thread[index];

    thread->rw = object + 1;
    thread->writes = writes;
    if (writes)
        lock->data = hash2(lock->data, thread->hash);
    toy_absorb(thread, writes ? OPERATION_WRITE : OPERATION_READ, lock->data);
}

void toy_rw_unlock(struct toy_nf *nf, uint32_t index)
{
    struct toy_thread *thread = &nf->thread[index];
    struct toy_rwlock *lock = &nf->rwlock[thread->rw - 1];

    if (thread->writes) {
        lock->writer = 0;
    } else {
        ev_read_done(&lock->order);
        lock->readers--;
    }
    thread->rw = 0;
}

void toy_produced(struct toy_nf *nf)
{
    nf->items++;
    if (nf->waiters != 0) {
        uint32_t first = nf->waiters & -nf->waiters;
        nf->waiters &= ~first;
        nf->woken |= first;
    }
}

void toy_consumed(struct toy_nf *nf, uint32_t index)
{
    struct toy_thread *thread = &nf->thread[index];

    nf->waiters &= ~(1u << index);
    nf->woken &= ~(1u << index);
    thread->waiting = nf->items == 0;
    if (thread->waiting)
        nf->waiters |= 1u << index;
    else
        nf->items--;
    toy_absorb(thread, OPERATION_CONSUME, nf->items);
}

uint64_t toy_address(uint32_t word)
{
    static struct thread_state any;
    static uint64_t shared;
    const uint64_t first = 0x10000;

    if (word + 1 < TOY_WORDS)
        return first + 16 * word;
    /* The last word shares its place in the threads' caches with the first (R5). */
    if (shared == 0) {
        shared = first + 16 * word;
        while (word_cache(&any, shared) != word_cache(&any, first))
            shared += 8;
    }
    return shared;
}

uint64_t toy_rw_address(uint32_t lock)
{
    return 0x20000 + 8 * lock;
}

struct word toy_update(const void *context, struct word old)
{
    /* Few values, so that a word often returns to an earlier one. */
    const struct choice *choice = context;
    uint64_t salt = choice->salt >> 16;
    bool wide = choice->object == TOY_WIDE;
    struct word given = {salt % 3, wide ? salt / 3 % 2 : 0};

    if (choice->operation == OPERATION_CHANGE)
        return (struct word){(old.low + 1) % 3, wide ? (old.high + 1) % 2 : 0};
    if (choice->operation == OPERATION_COMPARE && old.low != salt / 6 % 3)
        return old;
    return given;
}

uint32_t toy_packet_count(const struct choice *choice)
{
    return 1 + (uint32_t)(choice->salt >> 16) % TOY_SEND_MAX;
}

uint64_t toy_packet(const struct toy_nf *nf, const struct toy_thread *thread, uint32_t n,
                    uint16_t *port, uint16_t *length)
{
    uint64_t seed = hash2(thread->hash, n);

    *port = (uint16_t)(seed % 3);
    *length = (uint16_t)(14 + (seed >> 8) % (nf->large ? 1500 : 50));
    return seed;
}

uint32_t toy_sent(const struct toy_nf *nf, const struct toy_thread *thread, uint32_t packets)
{
    uint64_t digest = packets;

    for (uint32_t i = 0; i < packets; i++) {
        uint16_t port, length;
        digest = hash2(digest, toy_packet(nf, thread, i, &port, &length));
        digest = hash2(digest, (uint64_t)port << 16 | length);
    }
    return (uint32_t)digest;
}

uint32_t toy_bytes_length(const struct toy_nf *nf, const struct choice *choice)
{
    return (uint32_t)(choice->salt >> 16) % (nf->large ? RECORD_VALUE_MAX_BYTES + 1 : 33);
}

uint64_t toy_digest(const uint8_t *bytes, uint32_t length)
{
    uint64_t digest = length;

    for (uint32_t i = 0; i < length; i++)
        digest = (digest ^ bytes[i]) * 0x100000001b3u;
    return digest;
}

uint64_t input_seed(struct input_name input)
{
    return hash2(0x1234 + input.of, input.id);
}

uint16_t input_length(struct input_name input)
{
    return (uint16_t)(14 + input_seed(input) % 90);
}
