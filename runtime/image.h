/*
 * The image: everything of the NF that a snapshot carries and a backup overlays.
 *
 * Fixed addresses
 *   A pointer in the NF's memory must mean the same thing in the backup, so all memory the NF can
 *   point into lies at addresses chosen here: the tables below, the thread stacks, the heap. The
 *   program itself is linked non-PIE, libraries are at equal addresses because address
 *   randomisation is off (checked by the identity).
 *
 * What is not here
 *   Rings, sockets, links, option values: they belong to the process, not to the NF, and live in
 *   ordinary memory of libpalisade.so (struct process in process.h).
 */
#ifndef PALISADE_IMAGE_H
#define PALISADE_IMAGE_H

#include <stddef.h>

#include "core/event.h"
#include "image_locks.h"
#include "image_values.h"

#define IMAGE_BASE 0xa0000000000ull
#define STACKS_BASE 0xa0100000000ull
#define HEAP_BASE 0xa0200000000ull

#define STACK_TOP_BYTES (64u << 10) /* of each stack: TCB, TLS and the runtime's first frames */
#define QUEUES_MAX 32u              /* sockets and handles that receive packets */
#define DESCRIPTOR_BASE                                                                            \
    512 /* virtual descriptors: below FD_SETSIZE, above what the process opens */
#define DESCRIPTORS_MAX 448u
#define DESCRIPTOR_WORDS 8u
#define WORD_SLOTS                                                                                 \
    4096u /* assigned locks and versions of words; power of two: hooks/sharing/word.h */
#define FDS_MAX (3u + DESCRIPTORS_MAX) /* 0 .. 2, then DESCRIPTOR_BASE .. */
#define PATH_BYTES 4096u
#define TLS_MAX_BYTES 4096u

/*
 * A pthread_mutex_t as instrumented code sees it: 40 bytes in place of glibc's, so that the
 * shadow of a lock needs no look-up and travels with the program's memory (R11). `kind` keeps
 * glibc's offset, so static initialisers mean what they say.
 */
struct nf_mutex {
    _Atomic uint32_t word;   /* 0 free, 1 held, 2 held and waited for */
    uint32_t depth;          /* recursive acquisitions beyond the first */
    _Atomic uint32_t holder; /* thread + 1; set after the acquisition was recorded */
    uint32_t unused;
    uint32_t kind;
    uint32_t unused2;
    struct order order; /* guarded by word */
};
_Static_assert(sizeof(struct nf_mutex) == 40, "must fit a pthread_mutex_t");

/* A pthread_cond_t as instrumented code sees it. Who is woken is never replayed: see
 * hooks/sharing/cond.c
 */
struct nf_cond {
    _Atomic uint32_t signals; /* futex word */
    _Atomic uint32_t waiters; /* at least the number of sleepers */
    uint32_t clock;           /* CLOCK_REALTIME or CLOCK_MONOTONIC */
    uint32_t unused[9];
};
_Static_assert(sizeof(struct nf_cond) == 48, "must fit a pthread_cond_t");

/* Registers at the entry of a restartable hook (R20). Offsets are known to hooks/entry.S. */
struct context {
    uint64_t rbx, rbp, r12, r13, r14, r15, rsp, rip; /*   0 */
    uint64_t rdi, rsi, rdx, rcx, r8, r9;             /*  64 */
    uint32_t mxcsr;                                  /* 112 */
    uint16_t x87;                                    /* 116 */
};

enum lifecycle { THREAD_NONE, THREAD_FRESH, THREAD_RUNNING, THREAD_EXITED };

struct nf_thread {
    struct context context; /* must stay first: entry.S */
    struct thread_run *run; /* of this process, set when the native thread starts */
    struct thread_state core;
    _Atomic uint32_t lifecycle;
    uint32_t wait_phase; /* enum wait_phase in hooks/sharing/lock.h (R9) */
    int32_t wait_result;
    uint32_t wait_round; /* of the barrier it waits at */
    int32_t saved_errno;
    uint64_t canary;        /* fs:0x28 */
    uint64_t pointer_guard; /* fs:0x30: setjmp buffers in the image are mangled with it */
    void *(*entry)(void *);
    void *argument;
    void *result;
    struct nf_specific specific[KEYS_MAX];
    struct nf_thread_values values;
};

/* What receives packets: a packet socket, a TUN descriptor, a capture handle. See
 * hooks/packets/queue.h. */
struct nf_queue {
    uint32_t used;
    uint32_t protocol; /* host order; 0: does not receive */
    uint32_t port;     /* index + 1; 0 = not bound */
    uint32_t fanout;   /* group + 1; 0 = none */
    uint32_t reads;    /* the NF has polled or received: packets are delivered from then on */
};

/* What a descriptor of the NF stands for (several after dup). See hooks/files/descriptor.h. */
struct nf_descriptor {
    uint32_t family; /* enum family_id; 0: free */
    uint32_t nonblock;
    uint32_t queue;   /* families that receive packets: index of the queue + 1; else 0 */
    uint32_t numbers; /* descriptors that stand for it */
    uint64_t own[DESCRIPTOR_WORDS]; /* the family's */
};

/* What libc would keep for all threads: image_values.h. */
struct nf_values {
    struct nf_mutex random_lock; /* guards the two generators */
    struct random_data random;
    int32_t random_table[32]; /* 128 bytes: what glibc starts with */
    struct drand48_data drand48;
    struct nf_mutex environment_lock; /* guards image.environment */
    uint64_t environment_room;
    struct nf_mutex settings_lock; /* guards settings and identity */
    struct nf_settings settings;
    struct nf_identity identity;
    struct nf_mutex mappings_lock;
    struct nf_mapping mappings[MAPPINGS_MAX];
    struct nf_mutex signals_lock; /* guards actions, pending signals and timers */
    struct sigaction actions[SIGNALS_MAX];
    _Atomic uint64_t signals_pending; /* for the process, raised by the NF itself */
    struct nf_timer timers[TIMERS_MAX];
    struct nf_mutex exit_lock;
    uint32_t exit_count, quick_count;
    struct nf_exit_handler exit_handlers[ATEXIT_MAX];
    struct nf_exit_handler quick_handlers[ATEXIT_MAX];
};

/* What openlog and setlogmask said. */
struct nf_syslog {
    struct nf_mutex lock;
    const char *identity; /* the NF's, or NULL */
    int32_t options, facility, mask;
};

/*
 * Assigned lock and version of the words whose address leads here (R5, R6): hooks/sharing/word.h.
 * The last owner is the last writer, so `order` and `written` are the version.
 */
struct word_slot {
    _Atomic uint64_t lock; /* two more with every store, odd during one: lock and seqlock */
    struct order order;    /* guarded by lock */
    position written;      /* by order.owner */
};
_Static_assert(sizeof(struct word_slot) == 32, "two to a cache line");

struct image {
    uint32_t thread_count; /* indices ever given out; guarded by threads_lock */
    struct nf_mutex threads_lock;
    struct nf_mutex descriptors_lock; /* descriptors and queues are given out under it */
    struct nf_mutex heap_lock;
    struct nf_mutex keys_lock;
    struct nf_queue queues[QUEUES_MAX];
    struct nf_descriptor descriptors[DESCRIPTORS_MAX];
    uint32_t fds[FDS_MAX + 1];  /* index of a descriptor + 1, 0: closed; the last stays 0 */
    char directory[PATH_BYTES]; /* the NF's working directory; guarded by descriptors_lock */
    struct nf_mutex streams_lock;
    struct nf_stream *streams;     /* open ones: hooks/files/stream.h */
    struct nf_stream *standard[3]; /* stdin, stdout, stderr */
    struct nf_syslog syslog;
    char **environment; /* as main sees it, in the heap: what getenv points into */
    int64_t clock_floor_ns[RECORD_CLOCKS]; /* no clock goes back below this after a takeover */
    struct word_order word_orders[WORD_ORDERS];
    struct opaque_lock opaque_locks[OPAQUE_LOCKS_MAX];
    struct nf_key keys[KEYS_MAX]; /* guarded by keys_lock */
    struct nf_values values;
    _Alignas(64) struct word_slot words[WORD_SLOTS];
    struct nf_thread threads[THREADS_MAX]; /* snapshots carry the first thread_count of these */
    _Alignas(4096) uint8_t tls[THREADS_MAX][TLS_MAX_BYTES]; /* PT_TLS, gathered at the barrier */
};

#define IMAGE ((struct image *)IMAGE_BASE)

#endif
