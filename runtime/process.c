/* See process.h. */
#include "process.h"

#include <errno.h>
#include <linux/futex.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "core/assert.h"
#include "io/io.h"

struct process process;
__thread struct nf_thread *nf_self;

void process_fail(enum status status, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    dprintf(STDERR_FILENO, "palisade: %s\n", text);
    _exit(status);
}

int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000ll + now.tv_nsec;
}

/*
 * errno is the program's, in the middle of whose calls we wait: how a wait of ours ended must not
 * show there, for in replay there is no wait (G2).
 */
int futex_wait(_Atomic uint32_t *word, uint32_t expected, int64_t timeout_ns)
{
    int saved = errno;
    struct timespec timeout = {.tv_sec = timeout_ns / 1000000000,
                               .tv_nsec = timeout_ns % 1000000000};
    long result = syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected,
                          timeout_ns < 0 ? NULL : &timeout, NULL, 0);
    int error = result < 0 ? -errno : 0;
    errno = saved;
    return error;
}

void futex_wake(_Atomic uint32_t *word, int count)
{
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
}

static void update_plain(void)
{
    atomic_store(&process.plain, process_mode() == MODE_RECORD && !barrier_up());
    atomic_store(&process.checks, process_mode() == MODE_REPLAY &&
                                      process.options.role == OPTION_ROLE_BACKUP &&
                                      process.options.standby == OPTION_STANDBY_CHECK);
}

void process_set_mode(enum mode mode)
{
    atomic_store(&process.mode, mode);
    update_plain();
}

void process_set_barrier(bool up)
{
    atomic_store(&process.barrier, up); /* seq_cst: see safe_enter */
    update_plain();
    if (!up)
        futex_wake(&process.barrier, INT32_MAX);
}

void safe_enter(struct nf_thread *thread)
{
    struct thread_run *run = run_of(thread);
    if (run->pinned)
        return;
    thread->saved_errno = errno;
    /* seq_cst pairs with barrier_raise: either it sees us safe or we see the barrier. */
    atomic_store(&run->safe, 1);
    /* Live, its log is to be shipped; in replay nobody wants to know but a barrier. */
    if (process_mode() != MODE_REPLAY || atomic_load(&process.barrier))
        io_kick();
}

void safe_leave(struct nf_thread *thread)
{
    struct thread_run *run = run_of(thread);
    if (run->pinned)
        return;
    for (;;) {
        atomic_store(&run->safe, 0);
        if (atomic_load(&process.barrier) == 0)
            break;
        atomic_store(&run->safe, 1);
        io_kick();
        futex_wait(&process.barrier, 1, -1);
    }
}

void safe_wait(struct nf_thread *thread, _Atomic uint32_t *word, uint32_t expected,
               int64_t timeout_ns)
{
    safe_enter(thread);
    futex_wait(word, expected, timeout_ns);
    safe_leave(thread);
}

void thread_wake(uint32_t thread)
{
    struct thread_run *run = &process.runs[thread];
    uint64_t one = 1;
    atomic_fetch_add(&run->wake, 1);
    futex_wake(&run->wake, 1);
    if (atomic_load(&run->polls)) {
        int saved = errno;
        if (write(run->wake_fd - 1, &one, sizeof one) < 0)
            ASSERT(errno == EAGAIN);
        errno = saved;
    }
}

void log_wait_room(struct nf_thread *thread)
{
    struct thread_run *run = run_of(thread);
    stall_note(&run->log_full, true, now_ns());
    while (!log_has_room(&run->log)) {
        uint32_t seen = atomic_load(&run->wake);
        io_kick();
        if (!log_has_room(&run->log))
            futex_wait(&run->wake, seen, 1000000);
    }
    stall_note(&run->log_full, false, now_ns());
}
