/*
 * The end, and what runs before main and after it. Exit handlers lie in the image and run on the
 * thread that ends the program, instrumented, before the end is told. Constructors of instrumented
 * units run on thread 0 before main: the pass leaves them in a section instead of the loader's
 * list.
 */
#include "hooks/threads/exit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "abi_internal.h"
#include "hooks/files/effect.h"
#include "hooks/files/stream.h"
#include "hooks/sharing/lock.h"
#include "replay/replay.h"

#define V (&IMAGE->values)

enum { EXIT_PLAIN, EXIT_WITH_ARGUMENT, EXIT_WITH_STATUS };

static int add(struct nf_exit_handler *handlers, uint32_t *count, void *function, void *argument,
               uint32_t kind)
{
    int result = -1;
    ordered_lock(nf_self, &V->exit_lock);
    if (*count < ATEXIT_MAX) {
        handlers[(*count)++] = (struct nf_exit_handler){function, argument, kind};
        result = 0;
    }
    ordered_unlock(&V->exit_lock);
    if (result)
        errno = ENOMEM;
    return result;
}

/* Handlers may add handlers. */
static void run(struct nf_exit_handler *handlers, uint32_t *count, int status)
{
    for (;;) {
        struct nf_exit_handler handler = {0};
        ordered_lock(nf_self, &V->exit_lock);
        if (*count > 0)
            handler = handlers[--*count];
        ordered_unlock(&V->exit_lock);
        if (handler.function == NULL)
            return;
        if (handler.kind == EXIT_WITH_STATUS)
            ((void (*)(int, void *))(void *)handler.function)(status, handler.argument);
        else
            handler.function(handler.argument);
    }
}

/* ---- the end ---- */

static _Atomic uint32_t exit_status;

uint32_t effects_exit_status(void)
{
    return atomic_load(&exit_status);
}

void effects_exit(struct nf_thread *thread, int status)
{
    int64_t value;
    if (!REPLAYED_ALONE(thread, "exit",
                        ev_number_replay(&thread->core, &run_of(thread)->reader, 0, &value)))
        ev_number_record(&thread->core, log_ready(thread), 0, 0);
    else
        replay_thread_gone();
    atomic_store(&exit_status, (uint32_t)(status & 0xff) + 1);
    io_kick();
    for (;;)
        pause(); /* the I/O thread ends the process when everything is stable */
}

void exit_normally(struct nf_thread *thread, int status)
{
    run(V->exit_handlers, &V->exit_count, status);
    stdio_flush_all(thread);
    effects_exit(thread, status);
}

HOOK __attribute__((noreturn)) void __palisade_exit(int status)
{
    SITE_HERE();
    if (nf_self == NULL)
        exit(status);
    exit_normally(nf_self, status);
}

HOOK __attribute__((noreturn)) void __palisade__exit(int status)
{
    SITE_HERE();
    if (nf_self == NULL)
        _exit(status);
    effects_exit(nf_self, status);
}

HOOK __attribute__((noreturn)) void __palisade_quick_exit(int status)
{
    SITE_HERE();
    if (nf_self == NULL)
        quick_exit(status);
    run(V->quick_handlers, &V->quick_count, status); /* and no stream is flushed */
    effects_exit(nf_self, status);
}

HOOK __attribute__((noreturn)) void __palisade_abort(void)
{
    SITE_HERE();
    abort(); /* a crash like any other: the backup takes over */
}

HOOK int __palisade_atexit(void (*function)(void))
{
    SITE_HERE();
    return nf_self ? add(V->exit_handlers, &V->exit_count, (void *)function, NULL, EXIT_PLAIN)
                   : atexit(function);
}

HOOK int __palisade_at_quick_exit(void (*function)(void))
{
    SITE_HERE();
    return nf_self ? add(V->quick_handlers, &V->quick_count, (void *)function, NULL, EXIT_PLAIN)
                   : at_quick_exit(function);
}

HOOK int __palisade_on_exit(void (*function)(int, void *), void *argument)
{
    SITE_HERE();
    return nf_self
               ? add(V->exit_handlers, &V->exit_count, (void *)function, argument, EXIT_WITH_STATUS)
               : on_exit(function, argument);
}

int __cxa_atexit(void (*function)(void *), void *argument, void *object);

HOOK int __palisade___cxa_atexit(void (*function)(void *), void *argument, void *object)
{
    SITE_HERE();
    return nf_self ? add(V->exit_handlers, &V->exit_count, (void *)function, argument,
                         EXIT_WITH_ARGUMENT)
                   : __cxa_atexit(function, argument, object);
}

/* ---- before main ---- */

/* In the order of their priorities, equal ones as they lie. */
static const struct palisade_constructor *next(const struct palisade_constructor *first,
                                               const struct palisade_constructor *end,
                                               const struct palisade_constructor *after)
{
    const struct palisade_constructor *best = NULL;
    for (const struct palisade_constructor *at = first; at < end; at++) {
        bool later = after == NULL || at->priority > after->priority ||
                     (at->priority == after->priority && at > after);
        if (later && (best == NULL || at->priority < best->priority))
            best = at;
    }
    return best;
}

HOOK void __palisade_constructors(const struct palisade_constructor *first,
                                  const struct palisade_constructor *end,
                                  const struct palisade_constructor *first_destructor,
                                  const struct palisade_constructor *end_destructor, int argc,
                                  char **argv, char **envp)
{
    SITE_HERE();
    const struct palisade_constructor *at = NULL;
    while (first && (at = next(first, end, at)))
        at->function(argc, argv, envp);
    /* Handlers run last in, first out, and so do destructors: the lowest priority at the end. */
    for (at = NULL; first_destructor && (at = next(first_destructor, end_destructor, at));)
        if (__palisade_atexit((void (*)(void))(void *)at->function) != 0)
            process_fail(STATUS_UNMODELLED, "more than %u destructors (G8)", ATEXIT_MAX);
}
