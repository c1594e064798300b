/*
 * Effects: outputs other than packets (R18). Here: what the NF writes to stdout and stderr.
 *
 * An effect is an event with predicted success. It is queued with its VOR and performed by the
 * I/O thread once that is stable, then acknowledged to the output logger. After a takeover those
 * not acknowledged are performed again: at least once, in order.
 */
#ifndef PALISADE_HOOKS_EFFECT_H
#define PALISADE_HOOKS_EFFECT_H

#include "process.h"

/* Performs what is stable, at most `limit`; calls `done` per effect. I/O thread. */
uint32_t effects_perform(const struct positions *stable, uint32_t limit,
                         void (*done)(void *context, uint32_t thread, uint64_t number),
                         void *context);
bool effects_pending(void);
/* exit() was called: status + 1, else 0. */
uint32_t effects_exit_status(void);
/* write on a descriptor that is not virtual. NF threads. */
ssize_t effect_write(int fd, const void *bytes, size_t length);
/* The NF's main returned. NF thread 0. */
__attribute__((noreturn)) void effects_exit(struct nf_thread *thread, int status);

#endif
