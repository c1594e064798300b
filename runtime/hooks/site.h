/*
 * Where in the NF an event happens: the return address of the hook (`site` in core/event.h, G6).
 *
 * A hook sets it before its first event, and the same on every way through it: a digest of the
 * sites is compared in replay. Restartable hooks have it set by entry.S, their short ways in C by
 * site_is, all others by SITE_HERE. One that does not leaves the last hook's: the same in replay,
 * but a departure is then named by that place.
 */
#ifndef PALISADE_HOOKS_SITE_H
#define PALISADE_HOOKS_SITE_H

#include "process.h"

_Static_assert(offsetof(struct nf_thread, core) + offsetof(struct thread_state, site) == 132,
               "known to entry.S");

static inline void site_is(struct nf_thread *thread, const void *address)
{
    thread->core.site = (uint32_t)(uintptr_t)address;
}

/* Bounds of the runtime's own code, from the linker. */
extern const char __ehdr_start[] HIDDEN, etext[] HIDDEN;

/* Not when another hook has called: the place in the NF is what counts. */
static inline void site_here(struct nf_thread *thread, const void *address)
{
    uintptr_t bytes = (uintptr_t)etext - (uintptr_t)__ehdr_start;
    if (thread && (uintptr_t)address - (uintptr_t)__ehdr_start >= bytes)
        site_is(thread, address);
}
#define SITE_HERE() site_here(nf_self, __builtin_return_address(0))

#endif
