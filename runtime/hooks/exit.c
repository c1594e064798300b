/* How a program ends by its own will: everything it did becomes stable first. */
#include <stdlib.h>
#include <unistd.h>

#include "abi_internal.h"
#include "hooks/effect.h"
#include "hooks/stream.h"
#include "replay/replay.h"

static _Atomic uint32_t exit_status;

uint32_t effects_exit_status(void)
{
    return atomic_load(&exit_status);
}

static __attribute__((noreturn)) void leave(struct nf_thread *thread, int status)
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

void effects_exit(struct nf_thread *thread, int status)
{
    stdio_flush_all(thread);
    leave(thread, status);
}

HOOK __attribute__((noreturn)) void __palisade_exit(int status)
{
    if (nf_self == NULL)
        exit(status);
    effects_exit(nf_self, status);
}

HOOK __attribute__((noreturn)) void __palisade__exit(int status)
{
    if (nf_self == NULL)
        _exit(status);
    leave(nf_self, status);
}

HOOK __attribute__((noreturn)) void __palisade_abort(void)
{
    abort(); /* a crash like any other: the backup takes over */
}
