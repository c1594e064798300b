/*
 * Effects: outputs other than packets (R18). Here: their queue.
 *
 * An effect is an event: it takes place, and a digest of its bytes is compared in replay (G6), or
 * the program is told an error. It is queued with its VOR and performed by the I/O thread once that
 * is stable, then acknowledged to the output logger. After a takeover those not acknowledged are
 * performed again: at least once, in order. So performing one again, and all after it, must leave
 * things as they were: files are written at explicit offsets.
 *
 * What cannot be repeated that way (rename, creating a file, ...) is no effect: the thread waits
 * in effects_settle until everything before is stable, performed and acknowledged, does it itself,
 * and logs what came of it.
 */
#ifndef PALISADE_HOOKS_EFFECT_H
#define PALISADE_HOOKS_EFFECT_H

#include <sys/uio.h>

#include "hooks/files/native.h"

#define EFFECT_MAX_BYTES 4096u

struct effect {
    struct effect *next;
    struct native *native; /* NULL: needs none */
    /* I/O thread. False: not now, it would block; all later ones wait. */
    bool (*perform)(struct effect *effect);
    bool file; /* changes what a file holds: see effects_files_written */
    uint32_t thread;
    uint64_t number;
    struct positions vor;
    int64_t offset;
    int32_t option; /* the kind's own */
    uint32_t head;  /* so many of `bytes` come before the data (an address) */
    uint32_t done;  /* bytes of the data that are out */
    uint32_t length;
    uint8_t bytes[];
};

/*
 * The event of an effect. Live, `verdict` decides: 0 takes place, another value is only logged.
 * Returns it, or the log's. What takes place is queued: native, perform, file, offset, option, head
 * of `like`; its bytes are `pieces`, EFFECT_MAX_BYTES or a datagram. NF threads.
 */
int64_t effect_emit(struct nf_thread *thread, const char *what, int64_t verdict,
                    const struct effect *like, const struct iovec *pieces, uint32_t count);
/* The same for any length, in pieces of EFFECT_MAX_BYTES at ascending offsets; the first one's
 * verdict decides. Nothing happens when there are no bytes. */
int64_t effect_stream(struct nf_thread *thread, const char *what, int64_t verdict,
                      const struct effect *like, const struct iovec *pieces, uint32_t count);
/* Is it one of a dead master, which may have performed it already? */
static inline bool effect_replayed(const struct effect *effect)
{
    return effect->vor.threads == 0;
}

/* Waits until all effects queued so far are performed and acknowledged, and all that has happened
 * is stable. Live. NF threads, not restartable: the I/O thread sees to it even in a barrier. */
void effects_settle(struct nf_thread *thread);
/* Waits until files hold what was written to them so far. Live. NF threads. */
void effects_files_written(void);

/* perform: writes the rest to the native, a pipe or terminal; ends with success or an error. */
bool effect_write(struct effect *effect);
/* The native's number, opened again if need be; -1 when that fails. I/O thread. */
int effect_native(struct effect *effect);

/* ---- I/O thread ---- */

/* Performs what is stable, at most `limit`; calls `done` per effect. `acknowledged` tells whether
 * the output logger has all that `done` was called for. */
uint32_t effects_perform(const struct positions *stable, uint32_t limit,
                         void (*done)(void *context, uint32_t thread, uint64_t number),
                         bool (*acknowledged)(void *context), void *context);
/* Replay: those of each thread up to `done` have been performed by the master, and are known to the
 * output logger. I/O thread. */
void effects_forget(const uint64_t *done);
uint32_t effects_queued(void);
static inline bool effects_pending(void)
{
    return effects_queued() > 0;
}

/* ---- the end (exit.c) ---- */

/* exit() was called: status + 1, else 0. */
uint32_t effects_exit_status(void);
/* _exit: nothing of the program runs any more. NF threads. */
__attribute__((noreturn)) void effects_exit(struct nf_thread *thread, int status);

#endif
