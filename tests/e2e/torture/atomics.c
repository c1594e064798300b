/*
 * atomics: a network function that shares everything but its sockets without locks of libc.
 *
 * Spin locks by hand (test-and-set, compare-exchange, ticket) around plain memory; a sequence lock;
 * a double buffer that is published by a pointer and reused when its readers have left; a stack
 * whose head is swapped with a tag by a compare-exchange of 16 bytes; a ring between two threads;
 * volatile words; counters on the heap, some atomic, some merely raced for. Each deed digests what
 * it saw, and the answers' chain tells the driver when a backup saw anything else.
 */
#define _GNU_SOURCE 1
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "answers.h"

#define WORKERS 4
#define NODES 8
#define RING 16
#define TICK_US 2000
#define TICKS_PRINTED 64

struct node {
    struct node *next;
    uint64_t payload; /* its owner's */
};

struct head { /* swapped as a whole */
    struct node *first;
    uint64_t tag;
};

struct buffer {
    atomic_uint readers;
    uint64_t words[6]; /* plain: written while nobody reads */
};

struct shared {
    struct chain chain;
    struct {
        atomic_flag lock;
        uint64_t data;
    } tas;
    struct {
        atomic_uint lock;
        uint64_t data;
    } cas;
    struct {
        atomic_ushort next, serving;
        uint64_t data;
    } ticket;
    struct {
        atomic_uint sequence;
        _Atomic uint64_t a, b;
    } sequenced;
    _Atomic(struct buffer *) published;
    struct buffer buffers[2];
    _Alignas(16) _Atomic struct head stack;
    struct node nodes[NODES];
    _Alignas(16) unsigned __int128 wide;
    struct {
        atomic_uint head, tail;
        uint64_t slots[RING];
    } ring;
    atomic_ullong counted;
    uint64_t raced; /* atomic here, plain there */
    uint32_t handed[WORKERS];
    _Atomic uint8_t small;
    _Atomic double real;
};

static volatile int stop;      /* nobody sets it */
static volatile uint64_t last; /* written by all, the last one wins */
static volatile struct {
    uint32_t low, high;
} pair;

static uint64_t with_tas(struct shared *shared, uint64_t value)
{
    while (atomic_flag_test_and_set_explicit(&shared->tas.lock, memory_order_acquire))
        ;
    shared->tas.data = mix(shared->tas.data, value);
    uint64_t seen = shared->tas.data;
    if (value % 64 == 0)
        usleep(50); /* the others spin, a snapshot may come */
    atomic_flag_clear_explicit(&shared->tas.lock, memory_order_release);
    return seen;
}

static uint64_t with_cas(struct shared *shared, uint64_t value)
{
    unsigned free = 0;
    while (!atomic_compare_exchange_weak(&shared->cas.lock, &free, 1)) {
        free = 0;
        if (value % 4 == 0)
            sched_yield();
    }
    shared->cas.data = mix(shared->cas.data, value);
    uint64_t seen = shared->cas.data;
    __sync_lock_release((unsigned *)&shared->cas.lock);
    return seen;
}

static uint64_t with_ticket(struct shared *shared, uint64_t value)
{
    unsigned short mine = atomic_fetch_add(&shared->ticket.next, 1);
    while (atomic_load_explicit(&shared->ticket.serving, memory_order_acquire) != mine)
        sched_yield();
    shared->ticket.data = mix(shared->ticket.data, value);
    uint64_t seen = shared->ticket.data;
    atomic_store_explicit(&shared->ticket.serving, (unsigned short)(mine + 1),
                          memory_order_release);
    return mix(seen, mine);
}

static uint64_t read_sequenced(struct shared *shared)
{
    for (;;) {
        unsigned before = atomic_load_explicit(&shared->sequenced.sequence, memory_order_acquire);
        uint64_t a = atomic_load_explicit(&shared->sequenced.a, memory_order_relaxed);
        uint64_t b = atomic_load_explicit(&shared->sequenced.b, memory_order_relaxed);
        atomic_thread_fence(memory_order_acquire);
        if (before % 2 == 0 &&
            atomic_load_explicit(&shared->sequenced.sequence, memory_order_relaxed) == before) {
            if (b != mix(a, 1))
                die("atomics: a torn pair");
            return mix(a, before);
        }
    }
}

/* Main alone writes. */
static void write_sequenced(struct shared *shared, uint64_t value)
{
    atomic_fetch_add_explicit(&shared->sequenced.sequence, 1, memory_order_acq_rel);
    atomic_store_explicit(&shared->sequenced.a, value, memory_order_relaxed);
    atomic_store_explicit(&shared->sequenced.b, mix(value, 1), memory_order_relaxed);
    atomic_fetch_add_explicit(&shared->sequenced.sequence, 1, memory_order_release);
}

static uint64_t read_published(struct shared *shared)
{
    struct buffer *buffer;
    for (;;) {
        buffer = atomic_load(&shared->published);
        atomic_fetch_add(&buffer->readers, 1);
        if (atomic_load(&shared->published) == buffer)
            break;
        atomic_fetch_sub(&buffer->readers, 1);
    }
    uint64_t digest = 0;
    for (unsigned i = 0; i < 6; i++)
        digest = mix(digest, buffer->words[i]);
    atomic_fetch_sub(&buffer->readers, 1);
    return digest;
}

static void publish(struct shared *shared, uint64_t value)
{
    struct buffer *old = atomic_load(&shared->published);
    struct buffer *spare = &shared->buffers[old == &shared->buffers[0]];
    while (atomic_load(&spare->readers) != 0)
        sched_yield();
    for (unsigned i = 0; i < 6; i++)
        spare->words[i] = mix(old->words[i], value + i);
    atomic_exchange(&shared->published, spare);
}

static struct node *pop(struct shared *shared)
{
    struct head old = atomic_load(&shared->stack), new;
    do {
        if (old.first == NULL)
            return NULL;
        new.first = __atomic_load_n(&old.first->next, __ATOMIC_RELAXED);
        new.tag = old.tag + 1;
    } while (!atomic_compare_exchange_weak(&shared->stack, &old, new));
    return old.first;
}

static void push(struct shared *shared, struct node *node)
{
    struct head old = atomic_load(&shared->stack), new;
    do {
        __atomic_store_n(&node->next, old.first, __ATOMIC_RELAXED);
        new.first = node;
        new.tag = old.tag + 1;
    } while (!atomic_compare_exchange_weak(&shared->stack, &old, new));
}

static uint64_t use_stack(struct shared *shared, uint64_t value)
{
    struct node *one = pop(shared), *two = pop(shared);
    uint64_t digest = one ? mix(one->payload, (uint64_t)(one - shared->nodes)) : 1;
    if (one) {
        one->payload = mix(one->payload, value);
        push(shared, one);
    }
    if (two) {
        digest = mix(digest, two->payload++);
        push(shared, two);
    }
    return digest;
}

static uint64_t use_wide(struct shared *shared, uint64_t value)
{
    unsigned __int128 old = __atomic_load_n(&shared->wide, __ATOMIC_ACQUIRE), new;
    do {
        new = old + ((unsigned __int128)value << 32) + 1;
    } while (!__atomic_compare_exchange_n(&shared->wide, &old, new, 0, __ATOMIC_SEQ_CST,
                                          __ATOMIC_SEQ_CST));
    return mix((uint64_t)old, (uint64_t)(old >> 64));
}

static uint64_t use_counters(struct shared *shared, uint64_t value)
{
    uint64_t digest = atomic_fetch_add(&shared->counted, value % 7);
    digest = mix(digest, __sync_fetch_and_xor(&shared->raced, value));
    digest = mix(digest, shared->raced); /* the plain side */
    digest = mix(digest, __atomic_fetch_max((uint8_t *)&shared->small, value % 251, 5));
    digest = mix(digest, atomic_fetch_and(&shared->small, (uint8_t)(value >> 8)));
    digest = mix(digest, (uint64_t)(shared->real += 0.5));
    for (unsigned w = 0; w < WORKERS; w++)
        digest = mix(digest, __atomic_load_n(&shared->handed[w], __ATOMIC_RELAXED));
    digest = mix(digest, last);
    last = value;
    pair.low++;
    return mix(digest, pair.high + pair.low);
}

struct worker {
    struct answerer answerer;
    struct shared *shared;
};

/* To the ring's other end; one worker only. */
static void hand_over(struct shared *shared, uint64_t value)
{
    unsigned head = atomic_load_explicit(&shared->ring.head, memory_order_relaxed);
    while (head - atomic_load_explicit(&shared->ring.tail, memory_order_acquire) == RING)
        sched_yield();
    shared->ring.slots[head % RING] = value;
    atomic_store_explicit(&shared->ring.head, head + 1, memory_order_release);
}

static uint64_t deed(void *argument, uint32_t draw)
{
    struct worker *worker = argument;
    struct shared *shared = worker->shared;
    uint64_t digest = use_counters(shared, draw);
    __atomic_add_fetch(&shared->handed[worker->answerer.index], 1, __ATOMIC_RELAXED);
    for (unsigned i = 0; i < 4; i++, draw = draw * 1103515245u + 12345u)
        switch (draw / 65536 % 7) {
        case 0:
            digest = mix(digest, with_tas(shared, draw));
            break;
        case 1:
            digest = mix(digest, with_cas(shared, draw));
            break;
        case 2:
            digest = mix(digest, with_ticket(shared, draw));
            break;
        case 3:
            digest = mix(digest, read_sequenced(shared));
            break;
        case 4:
            digest = mix(digest, read_published(shared));
            break;
        case 5:
            digest = mix(digest, use_stack(shared, draw));
            break;
        default:
            digest = mix(digest, use_wide(shared, draw));
        }
    digest = mix(digest, __builtin_ia32_rdtsc());
    if (worker->answerer.index == 0)
        hand_over(shared, digest);
    return digest;
}

static void *worker_run(void *argument)
{
    struct worker *worker = argument;
    while (!stop)
        answers_serve(&worker->answerer, deed, worker);
    return NULL;
}

struct rival {
    struct shared *shared;
    bool takes; /* from the ring: one of them */
};

static void *rival_run(void *argument)
{
    struct rival *rival = argument;
    struct shared *shared = rival->shared;
    uint64_t digest = 0;
    for (uint64_t turn = 0; !stop; turn++) {
        unsigned tail = atomic_load_explicit(&shared->ring.tail, memory_order_relaxed);
        if (rival->takes &&
            atomic_load_explicit(&shared->ring.head, memory_order_acquire) != tail) {
            digest = mix(digest, shared->ring.slots[tail % RING]);
            atomic_store_explicit(&shared->ring.tail, tail + 1, memory_order_release);
        }
        digest = mix(digest, with_tas(shared, digest));
        digest = mix(digest, with_cas(shared, turn));
        digest = mix(digest, with_ticket(shared, turn));
        digest = mix(digest, use_stack(shared, digest));
        digest = mix(digest, use_wide(shared, turn));
        shared->raced = digest; /* the plain side */
        pair.high = (uint32_t)digest;
        if (turn % 8 == 0)
            usleep(400);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    int ports[2], sockets[2];
    pthread_t thread;
    if (argc != 3) {
        fprintf(stderr, "usage: %s LAN WAN\n", argv[0]);
        return 64;
    }
    struct shared *shared = aligned_alloc(64, (sizeof *shared + 63) / 64 * 64);
    if (shared == NULL)
        die("atomics: memory");
    memset(shared, 0, sizeof *shared);
    pthread_mutex_init(&shared->chain.lock, NULL);
    atomic_store(&shared->sequenced.b, mix(0, 1));
    atomic_store(&shared->published, &shared->buffers[0]);
    for (unsigned i = 0; i < NODES; i++)
        push(shared, &shared->nodes[i]);
    for (unsigned p = 0; p < 2; p++) {
        ports[p] = answers_port(argv[1 + p]);
        sockets[p] = answers_socket(ports[p], 1 + (int)p);
    }
    for (unsigned w = 0; w < WORKERS; w++) {
        struct worker *worker = calloc(1, sizeof *worker);
        if (worker == NULL)
            die("atomics: memory");
        worker->shared = shared;
        worker->answerer.chain = &shared->chain;
        worker->answerer.index = w;
        worker->answerer.socket = w < 2 ? sockets[w] : answers_socket(ports[w % 2], 1 + (int)w % 2);
        worker->answerer.port = ports[w / 2];
        if (pthread_create(&thread, NULL, worker_run, worker) != 0)
            die("atomics: thread");
    }
    for (unsigned i = 0; i < 2; i++) {
        struct rival *rival = malloc(sizeof *rival);
        if (rival == NULL)
            die("atomics: memory");
        *rival = (struct rival){shared, i == 0};
        if (pthread_create(&thread, NULL, rival_run, rival) != 0)
            die("atomics: thread");
    }
    for (uint64_t ticks = 1;; ticks++) {
        usleep(TICK_US);
        write_sequenced(shared, ticks);
        publish(shared, ticks);
        if (ticks % TICKS_PRINTED == 0)
            answers_print(&shared->chain, ticks, atomic_load(&shared->counted));
    }
}
