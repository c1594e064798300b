/*
 * Results that only this process's kernel knows: live they are logged, in replay they come from the
 * log. A number is one event. Bytes follow in pieces, and last an event that says whether they are
 * whole: who goes live in the middle cannot finish what another process was given, says "not
 * whole", and the caller begins again, or treats it as lost (docs/architecture.md).
 */
#ifndef PALISADE_HOOKS_LOGGED_H
#define PALISADE_HOOKS_LOGGED_H

#include <errno.h>
#include <sys/uio.h>

#include "hooks/threads/signal.h"
#include "replay/replay.h"

/* One event: the number `live` (evaluated only when it happens now), or that of the log. `expected`
 * adds no bytes. */
#define LOGGED(thread, what, expected, live)                                                       \
    LOGGED_AT(REPLAY_INSIDE, thread, what, expected, (void)0, live)
/* The same for a call that waits in the safe state ... */
#define LOGGED_SAFE(thread, what, expected, live)                                                  \
    LOGGED_AT(REPLAY_SAFE, thread, what, expected, (void)0, live)
/* ... and that a signal may end: see hooks/threads/signal.h. */
#define LOGGED_WAIT(thread, what, expected, call, live)                                            \
    LOGGED_AT(REPLAY_SAFE, thread, what, expected, signal_replay(thread, call), live)
/* `before`: done at every attempt of replay. */
#define LOGGED_AT(place, thread, what, expected, before, live)                                     \
    ({                                                                                             \
        int64_t logged_;                                                                           \
        if (!REPLAYED_AND(thread, what, place,                                                     \
                          (before, ev_number_replay(&(thread)->core, &run_of(thread)->reader,      \
                                                    expected, &logged_)),                          \
                          replay_passed_alone())) {                                                \
            logged_ = (live);                                                                      \
            ev_number_record(&(thread)->core, log_ready(thread), logged_, expected);               \
        }                                                                                          \
        logged_;                                                                                   \
    })
#define NOT_EXPECTED INT64_MIN

/* A libc call's result as one number: -errno when it failed. */
#define RESULT_OF(call)                                                                            \
    ({                                                                                             \
        int64_t result_ = (call);                                                                  \
        result_ < 0 ? -(int64_t)errno : result_;                                                   \
    })

/* The other way round: -1 and errno. */
static inline int64_t result_return(int64_t result)
{
    if (result >= 0)
        return result;
    errno = (int)-result;
    return -1;
}

/*
 * `length` bytes: those in `pieces` when they are `own` (this process's kernel gave them, after
 * the number that led here), else those of the log go there. False: not whole.
 */
bool logged_pieces(struct nf_thread *thread, const char *what, const struct iovec *pieces,
                   size_t length, bool own);
static inline bool logged_bytes(struct nf_thread *thread, const char *what, void *bytes,
                                size_t length, bool own)
{
    struct iovec piece = {.iov_base = bytes, .iov_len = length};
    return logged_pieces(thread, what, &piece, length, own);
}

#endif
