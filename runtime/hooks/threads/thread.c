/*
 * NF threads.
 *
 * Index and birth are ordered (threads_lock), indices are never reused (R19), and the index decides
 * where stack, TCB and TLS lie. The native thread gets the whole slot as its pthread stack; glibc
 * puts TCB and TLS at the top, the NF's function runs on the part below STACK_TOP_BYTES, so that no
 * frame of glibc or of the runtime lies in what a snapshot copies:
 *
 *   thread_stack(i)                 thread_stack_top(i)                    end of slot
 *   | guard |  ... <- NF's stack    | runtime's first frames | TLS | TCB |
 *
 * A pthread_t is the index + 1. An exited thread stays in the table, so joining it twice is the
 * program's error, and joining it late works after a restore too.
 */
#include "hooks/threads/thread.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "abi_internal.h"
#include "check/check.h"
#include "core/assert.h"
#include "heap/heap.h"
#include "hooks/sharing/lock.h"
#include "hooks/threads/keys.h"
#include "hooks/threads/signal.h"
#include "hooks/values/value.h"
#include "replay/replay.h"
#include "replay/stored.h"
#include "snapshot/regions.h"

#define SPAWN_TRIES 200
#define SPAWN_REST_US 10000

__attribute__((noreturn)) void context_resume(const struct context *context);
__attribute__((noreturn)) void stack_enter(void *top, void (*function)(void *), void *argument);

static size_t slot_bytes(void)
{
    return (size_t)process.options.stack_kib * 1024 + STACK_TOP_BYTES;
}

uint8_t *thread_stack(uint32_t index)
{
    return (uint8_t *)STACKS_BASE + index * slot_bytes();
}

uint8_t *thread_stack_top(uint32_t index)
{
    return thread_stack(index) + (size_t)process.options.stack_kib * 1024;
}

static void map_at(uint64_t address, size_t bytes, const char *what)
{
    void *got = mmap((void *)address, bytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    if (got != (void *)address)
        process_fail(STATUS_MEMORY,
                     "cannot map %zu MiB for the %s at 0x%llx: %s; lower heap_mib or "
                     "stack_kib in PALISADE_OPTIONS",
                     bytes >> 20, what, (unsigned long long)address, strerror(errno));
}

void thread_space_map(void)
{
    map_at(IMAGE_BASE, (sizeof(struct image) + 4095) & ~4095ul, "tables");
    map_at(STACKS_BASE, slot_bytes() * THREADS_MAX, "stacks");
    map_at(HEAP_BASE, (size_t)process.options.heap_mib << 20, "heap");
    for (uint32_t t = 0; t < THREADS_MAX; t++)
        if (mprotect(thread_stack(t), 4096, PROT_NONE) != 0)
            process_fail(STATUS_MEMORY, "cannot protect a stack: %s", strerror(errno));
    process.runs = aligned_alloc(64, sizeof *process.runs * THREADS_MAX);
    if (process.runs == NULL)
        process_fail(STATUS_MEMORY, "no memory for the thread table");
    memset(process.runs, 0, sizeof *process.runs * THREADS_MAX);
    for (uint32_t t = 0; t < THREADS_MAX; t++)
        process.logs[t] = &process.runs[t].log;
}

void thread_run_open(uint32_t index, position start)
{
    struct thread_run *run = &process.runs[index];
    uint64_t capacity = (uint64_t)process.options.log_kib * 1024;
    uint8_t *bytes = run->log.bytes ? run->log.bytes : malloc(capacity + RECORD_MAX_BYTES);
    if (run->outputs.bytes == NULL)
        run->outputs.bytes = aligned_alloc(64, OUTPUT_RING_BYTES);
    if (bytes == NULL || run->outputs.bytes == NULL)
        process_fail(STATUS_MEMORY, "no memory for the log of thread %u; lower log_kib", index);
    log_init(&run->log, bytes, capacity, start);
}

/* ---- a native thread becomes an NF thread ---- */

static void finish(struct nf_thread *thread, void *result) __attribute__((noreturn));

static void begin(void *argument)
{
    struct nf_thread *thread = argument;
    safe_leave(thread);
    atomic_store(&thread->lifecycle, THREAD_RUNNING);
    finish(thread, thread->entry(thread->argument));
}

/* Its own frame must not be checked: it replaces the canary. */
__attribute__((no_stack_protector)) static void resume(struct nf_thread *thread)
{
    regions_tls_restore(thread->core.index, run_of(thread)->tcb);
    __asm__ volatile("movq %0, %%fs:0x28" : : "r"(thread->canary));
    __asm__ volatile("movq %0, %%fs:0x30" : : "r"(thread->pointer_guard));
    errno = thread->saved_errno;
    context_resume(&thread->context);
}

/*
 * All NF threads have the first one's: what one of them lets libc keep (tables of NSS, exit
 * handlers), another uses. A thread that an image has as not yet begun comes with the backup's.
 */
static void take_pointer_guard(struct nf_thread *thread)
{
    uint64_t *first = &IMAGE->threads[0].pointer_guard;
    if (thread->core.index == 0)
        __asm__("movq %%fs:0x30, %0" : "=r"(*first));
    else
        __asm__ volatile("movq %0, %%fs:0x30" : : "r"(*first));
    thread->pointer_guard = *first;
}

static void *native_start(void *argument)
{
    struct nf_thread *thread = argument;
    nf_self = thread;
    thread->run = &process.runs[thread->core.index]; /* an image carries the master's */
    run_of(thread)->tcb = (uint8_t *)pthread_self();
    atomic_store(&run_of(thread)->tid, (uint32_t)gettid());
    futex_wake(&run_of(thread)->tid, 1);
    if (atomic_load(&thread->lifecycle) == THREAD_RUNNING) {
        resume(thread);
    } else {
        __asm__("movq %%fs:0x28, %0" : "=r"(thread->canary));
        take_pointer_guard(thread);
        stack_enter(thread_stack_top(thread->core.index), begin, thread);
    }
    return NULL;
}

/*
 * Signals go to the I/O thread: a handler that interrupts a hook would make events in the middle of
 * one. What a thread does to itself stays with it.
 */
static void block_signals(sigset_t *before)
{
    static const int own[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS};
    sigset_t all;
    sigfillset(&all);
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        sigdelset(&all, own[i]);
    pthread_sigmask(SIG_BLOCK, &all, before);
}

/* EAGAIN: at this moment another thread executes a program, most probably a standby itself, to
 * start over; that ends us, too. */
static int spawn(pthread_t *handle, const pthread_attr_t *attributes, struct nf_thread *thread)
{
    int error;
    for (int tries = 0; tries < SPAWN_TRIES; tries++) {
        error = pthread_create(handle, attributes, native_start, thread);
        if (error != EAGAIN)
            break;
        usleep(SPAWN_REST_US);
    }
    return error;
}

void thread_spawn(uint32_t index)
{
    pthread_attr_t attributes;
    pthread_t handle;
    sigset_t before;
    block_signals(&before);
    struct thread_run *run = &process.runs[index];
    /* One that begins is safe until it runs the NF's code; one that resumes has to come to its
     * hook: its thread-local variables are not yet in place. */
    atomic_store(&run->safe, atomic_load(&IMAGE->threads[index].lifecycle) != THREAD_RUNNING);
    atomic_store(&run->tid, 0);
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    int error = pthread_attr_setstack(&attributes, thread_stack(index) + 4096, slot_bytes() - 4096);
    if (error == 0)
        error = spawn(&handle, &attributes, &IMAGE->threads[index]);
    if (error)
        process_fail(STATUS_MEMORY, "cannot start thread %u: %s", index, strerror(error));
    pthread_attr_destroy(&attributes);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    while (atomic_load(&run->tid) == 0) /* its creator may name or pin it at once */
        futex_wait(&run->tid, 0, -1);
}

/* Death: an event, then visible to joiners. Never returns to glibc: see the picture above. */
static void finish(struct nf_thread *thread, void *result)
{
    int64_t value;
    keys_thread_exit(thread);
    memory_thread_exit(thread);
    thread->result = result;
    check_release(&thread->lifecycle);
    bool replayed = REPLAYED_ALONE(
        thread, "thread exit", ev_number_replay(&thread->core, &run_of(thread)->reader, 0, &value));
    if (!replayed)
        ev_number_record(&thread->core, log_ready(thread), 0, 0);
    atomic_store(&thread->lifecycle, THREAD_EXITED);
    futex_wake((_Atomic uint32_t *)&thread->lifecycle, INT32_MAX);
    if (process_mode() == MODE_REPLAY)
        replay_thread_gone();
    io_kick();
    syscall(SYS_exit, 0);
    __builtin_unreachable();
}

static struct nf_thread *birth(void *(*entry)(void *), void *argument)
{
    uint32_t index = IMAGE->thread_count;
    if (index == THREADS_MAX)
        return NULL;
    struct nf_thread *thread = &IMAGE->threads[index];
    thread->core.index = index;
    thread->entry = entry;
    thread->argument = argument;
    thread->values.signal_mask = nf_self ? nf_self->values.signal_mask : 0;
    atomic_store(&thread->lifecycle, THREAD_FRESH);
    thread_run_open(index, 0);
    IMAGE->thread_count = index + 1;
    return thread;
}

void thread_main(void *(*entry)(void *), void *argument)
{
    struct nf_thread *thread = birth(entry, argument);
    ASSERT(thread != NULL && thread->core.index == 0);
    thread_spawn(0);
}

/* ---- hooks ---- */

HOOK int __palisade_pthread_create(pthread_t *out, const pthread_attr_t *attributes,
                                   void *(*entry)(void *), void *argument)
{
    SITE_HERE();
    struct nf_thread *self = nf_self;
    if (self == NULL)
        return pthread_create(out, attributes, entry, argument);
    ordered_lock(self, &IMAGE->threads_lock);
    struct nf_thread *thread = birth(entry, argument);
    ordered_unlock(&IMAGE->threads_lock);
    if (thread == NULL)
        return EAGAIN;
    if (process_mode() == MODE_REPLAY) {
        stored_reader_open(thread->core.index);
        replay_thread_born();
    }
    *out = thread->core.index + 1;
    check_start(thread->core.index);
    thread_spawn(thread->core.index);
    return 0;
}

int palisade_join_restartable(pthread_t handle, void **result)
{
    struct nf_thread *self = nf_self;
    if (self == NULL)
        return pthread_join(handle, result);
    if (handle < 1 || handle > IMAGE->thread_count)
        return ESRCH;
    struct nf_thread *other = &IMAGE->threads[handle - 1];
    if (other == self)
        return EDEADLK;
    safe_point(self);
    for (;;) {
        uint64_t look = replay_look();
        bool replaying = process_mode() == MODE_REPLAY;
        uint32_t state = atomic_load(&other->lifecycle);
        if (state == THREAD_EXITED)
            break;
        if (replaying)
            signal_replay(self, &signal_again);
        else
            signal_check(self, &signal_again);
        if (replaying)
            replay_wait(self, look, EVENT_WAIT, "pthread_join", REPLAY_SAFE);
        else
            signal_wait(self, &other->lifecycle, state, -1);
    }
    check_acquire(&other->lifecycle);
    /* The event tells signals of this wait from those of the next. */
    LOGGED(self, "pthread_join", 0, 0);
    if (result)
        *result = other->result;
    return 0;
}

HOOK int __palisade_pthread_detach(pthread_t handle)
{
    SITE_HERE();
    return nf_self ? 0 : pthread_detach(handle);
}

HOOK pthread_t __palisade_pthread_self(void)
{
    return nf_self ? nf_self->core.index + 1 : pthread_self();
}

HOOK __attribute__((noreturn)) void __palisade_pthread_exit(void *result)
{
    SITE_HERE();
    if (nf_self == NULL)
        pthread_exit(result);
    finish(nf_self, result);
}
