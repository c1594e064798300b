/* Logged values, and clocks across a takeover. */
#ifndef PALISADE_HOOKS_VALUE_H
#define PALISADE_HOOKS_VALUE_H

#include "hooks/values/logged.h"

/* One event: `length` bytes (at most RECORD_VALUE_MAX_BYTES), filled by `live` or from the log. */
#define VALUE_BYTES(thread, what, buffer, length, live)                                            \
    do {                                                                                           \
        if (!REPLAYED_ALONE(thread, what,                                                          \
                            ev_bytes_replay(&(thread)->core, &run_of(thread)->reader, buffer,      \
                                            (uint32_t)(length)))) {                                \
            live;                                                                                  \
            ev_bytes_record(&(thread)->core, log_ready(thread), buffer, (uint32_t)(length));       \
        }                                                                                          \
    } while (0)

/* errno-style calls: the result, or -1 with errno, in one event; predicted when it is 0. */
#define VALUE_RESULT(thread, what, live)                                                           \
    ({                                                                                             \
        int64_t result_ = LOGGED(thread, what, 0, ({                                               \
                                     int64_t live_ = (live);                                       \
                                     live_ == -1 ? -(int64_t)errno : live_;                        \
                                 }));                                                              \
        if (result_ < 0)                                                                           \
            errno = (int)-result_;                                                                 \
        result_ < 0 ? -1 : result_;                                                                \
    })

/* A result of any length, in memory of the process (malloc). */
struct blob {
    uint8_t *bytes;
    size_t length, room;
};
void blob_add(struct blob *blob, const void *bytes, size_t length);
void blob_text(struct blob *blob, const char *text); /* NULL is told apart from "" */
/* Reading on from *at; both end the process on a blob that is too short. */
void blob_take(const struct blob *blob, size_t *at, void *bytes, size_t length);
const char *blob_take_text(const struct blob *blob, size_t *at);

/*
 * Several events: the blob that `produce` makes, or that of the log. With `waits`, produce runs in
 * the safe state: the hook must be restartable, and this its first event. The caller frees it.
 */
void value_blob(struct nf_thread *thread, const char *what, bool waits,
                void (*produce)(void *context, struct blob *out), void *context, struct blob *out);

#define NF_PID 2 /* one virtual process, whoever runs it */

/* What the NF's clock shows now, unlogged (0 .. 11, no CPU clock). Any thread. */
int64_t value_clock_now(clockid_t clock);
/* The NF has seen this reading in replay. NF threads. */
void value_clock_seen(uint32_t slot, int64_t ns);
/* At a snapshot barrier: no clock of a successor may show less than now. I/O thread. */
void value_clocks_floor(void);
/* At go-live: shift clocks that are behind what was seen. I/O thread. */
void value_clocks_go_live(void);

#endif
