/*
 * What belongs to this process and not to the NF: mode, rings, futexes, options. Shared by the
 * hooks (NF threads) and the I/O thread.
 *
 * Who runs where
 *   NF threads run the program and the hooks; they touch memory only: their log ring, their
 *   output ring, the queues of their sockets. One I/O thread (the process's first) owns both
 *   wires and both lifelines, ships logs and outputs, delivers inputs, takes snapshots, leads a
 *   takeover. Nobody else exists.
 *
 * Safe state (snapshot barrier)
 *   A thread that waits inside a restartable hook is `safe`: its context is saved, it touches no
 *   image memory until it has left the safe state, and leaving waits while a barrier is up. So
 *   a barrier needs to wake nobody.
 */
#ifndef PALISADE_PROCESS_H
#define PALISADE_PROCESS_H

#include <pthread.h>

#include "core/message.h"
#include "core/stall.h"
#include "core/status.h"
#include "image.h"
#include "options.h"

struct iovec;

enum mode {
    MODE_OFF,    /* role=off: hooks call libc */
    MODE_RECORD, /* live */
    MODE_REPLAY, /* a backup during takeover */
};

/* One packet of a queue or of the memory of inputs. */
struct slot {
    packet_id id;
    uint16_t port;
    uint16_t length;
    uint8_t bytes[PACKET_MAX_BYTES];
};

/* Inputs of one queue of the image: the I/O thread writes, one NF thread at a time reads. */
struct queue {
    _Alignas(64) _Atomic uint64_t head; /* written by the I/O thread */
    _Alignas(64) _Atomic uint64_t tail; /* written by the reader, under `reading` */
    pthread_mutex_t reading;
    _Atomic uint64_t waiters; /* bit per NF thread asleep until something comes */
    struct slot *slots;       /* options.queue_packets, a power of two */
};

/* Outputs of one thread on their way to the I/O thread: { struct output; bytes } 8-aligned. */
struct output {
    uint64_t number;
    uint16_t port;
    uint16_t length;
    uint32_t total; /* bytes of this entry; port == UINT16_MAX: padding to the ring's end */
};
#define OUTPUT_RING_BYTES (256u << 10) /* two largest batches; small, to spare the NF's cache */
struct output_ring {
    _Alignas(64) _Atomic uint64_t head; /* written by the NF thread */
    uint64_t tail_seen;
    _Alignas(64) _Atomic uint64_t tail; /* written by the I/O thread */
    uint8_t *bytes;
};

/* In replay, for the report of a departure (replay/departure.h). */
#define TRAIL_SITES 16u
struct trail {
    uint32_t count; /* events since the last output that was compared */
    uint32_t site[TRAIL_SITES];
    position at[TRAIL_SITES];
};
struct sending {
    const struct iovec *pieces; /* NULL: no output is being compared */
    uint32_t count;             /* of pieces */
    int32_t port;               /* -1: an effect */
};

/* The process's side of one NF thread. */
struct thread_run {
    struct log log;
    struct output_ring outputs;
    struct log_reader reader;
    struct trail trail;
    struct sending sending;
    _Alignas(64) _Atomic uint32_t safe;   /* see top */
    _Atomic uint32_t wake;                /* futex: inputs, log or output room */
    _Atomic(_Atomic uint32_t *) waits_on; /* futex of a safe_wait: a signal wakes it */
    _Atomic uint64_t accepts;             /* signals that would end or interrupt its wait */
    _Atomic uint32_t tid;         /* futex; 0 until its thread runs, which thread_spawn waits for */
    _Atomic uint32_t polls;       /* asleep in poll: write to wake_fd as well */
    int wake_fd;                  /* eventfd + 1, made when first needed */
    uint32_t pinned;              /* in a hook that is not restartable: waits are not safe */
    _Atomic(const char *) inside; /* replay: it waits in this call, where it is not safe */
    _Atomic uint32_t inside_waits; /* times */
    uint8_t *tcb;                  /* thread pointer: the program's TLS ends here */
    /* its waits for room: in the two rings, the queue of effects, a socket's backlog */
    struct stall log_full, outputs_full, effects_full, socket_full;
};

struct process {
    _Atomic uint32_t mode; /* enum mode; changes only while every NF thread waits */
    struct nf_options options;
    _Atomic uint32_t barrier; /* 1 while a snapshot is being taken */
    _Atomic uint32_t plain;   /* MODE_RECORD and no barrier: one look for the fast paths */
    _Atomic uint32_t checks;  /* a standby=check replays: accesses are looked at (check/check.h) */
    _Atomic uint32_t io_asleep; /* I/O thread blocks in poll: wake it by io_wake() */
    _Atomic uint32_t nf_ready;  /* the NF has begun to receive */
    struct thread_run *runs;    /* THREADS_MAX */
    struct log *logs[THREADS_MAX];
    struct queue *queues[QUEUES_MAX];
    uint16_t port_count;
    struct port *ports; /* as the IL announced them */
    struct heap *heap;
    const struct memory_io *memory_io; /* io=memory: packets from memory, for benchmarks */
    int64_t clock_offset_ns[RECORD_CLOCKS];
    uint64_t held[THREADS_MAX];         /* takeover: outputs the OL already has (R14) */
    uint64_t effects_done[THREADS_MAX]; /* takeover: effects already performed (R18) */
};

#define HIDDEN __attribute__((visibility("hidden"))) /* reached without the GOT */
extern struct process process HIDDEN;

/* This thread's record, NULL on threads that are not the NF's. entry.S reads it too. */
extern __thread struct nf_thread *nf_self HIDDEN __attribute__((tls_model("initial-exec")));

static inline enum mode process_mode(void)
{
    return (enum mode)atomic_load_explicit(&process.mode, memory_order_relaxed);
}

static inline struct thread_run *run_of(const struct nf_thread *thread)
{
    return thread->run;
}

/* Ends the process with one sentence: "palisade: ...". Any thread. */
__attribute__((noreturn, format(printf, 2, 3))) void process_fail(enum status status,
                                                                  const char *format, ...);

/* ---- safe state; restartable hooks only (or, while `pinned`, no safe state at all) ---- */

void safe_enter(struct nf_thread *thread);
void safe_leave(struct nf_thread *thread);
/* Whatever a program may repeat until another thread acts (locks, tries, racy loads, yields) must
 * look at this, or a barrier that stopped the other thread would wait for ever. */
static inline bool barrier_up(void)
{
    return atomic_load_explicit(&process.barrier, memory_order_relaxed) != 0;
}
/* Live, and nothing special going on; a hint like barrier_up. */
static inline bool recording_plainly(void)
{
    return atomic_load_explicit(&process.plain, memory_order_relaxed) != 0;
}

/* The only ways to change mode and barrier: `plain` follows. I/O thread. */
void process_set_mode(enum mode mode);
void process_set_barrier(bool up);

/* A restartable hook calls this first: stops here while a barrier is up. */
static inline void safe_point(struct nf_thread *thread)
{
    if (__builtin_expect(barrier_up(), 0)) {
        safe_enter(thread);
        safe_leave(thread);
    }
}

/* Wakes the I/O thread if it sleeps. Any thread. */
void io_wake(void);
/*
 * Replay departs from the log (G6): `text` says where. A standby that follows tells the output
 * logger and begins anew; in a takeover the process ends, for what it would go live with is not
 * what the world was told. NF threads in replay.
 */
__attribute__((noreturn)) void replay_departed(const char *text);
static inline void io_kick(void)
{
    atomic_thread_fence(memory_order_seq_cst);
    if (__builtin_expect(atomic_load_explicit(&process.io_asleep, memory_order_relaxed), 0))
        io_wake();
}

/* The thread waits in the runtime until `*word` may have left `expected`; a restartable wait. */
void safe_wait(struct nf_thread *thread, _Atomic uint32_t *word, uint32_t expected,
               int64_t timeout_ns);

/* Wakes an NF thread that waits on its `wake`, by futex or in poll. Any thread. */
void thread_wake(uint32_t thread);

/* Waits for log room; not restartable, the I/O thread makes room even during a barrier. */
void log_wait_room(struct nf_thread *thread);
static inline struct log *log_ready(struct nf_thread *thread)
{
    struct log *log = &run_of(thread)->log;
    if (__builtin_expect(!log_has_room(log), 0))
        log_wait_room(thread);
    return log;
}

int futex_wait(_Atomic uint32_t *word, uint32_t expected, int64_t timeout_ns);
void futex_wake(_Atomic uint32_t *word, int count);

int64_t now_ns(void); /* CLOCK_MONOTONIC */

#endif
