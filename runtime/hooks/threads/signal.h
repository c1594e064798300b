/*
 * Signals at runtime calls (R19).
 *
 * A hook that waits, and lets a signal end or interrupt the wait, does three things:
 *
 *   replay   (signal_replay(thread, call), ev_..._replay(...))   as the attempt of REPLAYED
 *   live     signal_check(thread, call)   before each sleep, after loading the futex word
 *   live     signal_wait(...)             in place of safe_wait
 *
 * signal_replay and signal_check do not return when a handler runs: they leave the hook as a
 * kernel leaves a system call. So they stand where the hook has not changed anything that a second
 * call from the start would not (R20), and before the hook's own event. The hook must be a
 * restartable one (entry.S), and must have an event of its own after them.
 */
#ifndef PALISADE_HOOKS_SIGNAL_H
#define PALISADE_HOOKS_SIGNAL_H

#include "process.h"

/* What the call does when the handler has returned. */
struct signal_call {
    enum {
        CALL_RETURNS,
        CALL_RESTARTS,
        CALL_AGAIN
    } after; /* RESTARTS: if SA_RESTART, else returns */
    int64_t result;
    int error; /* errno, 0: as before */
};
extern const struct signal_call signal_eintr HIDDEN;   /* -1, EINTR: poll, select, sleeps */
extern const struct signal_call signal_restart HIDDEN; /* recv, read, accept ...: SA_RESTART */
extern const struct signal_call signal_again HIDDEN;   /* goes on waiting: join, conditions */

void signal_replay(struct nf_thread *thread, const struct signal_call *call);
void signal_check(struct nf_thread *thread, const struct signal_call *call);
/* Is there anything for signal_check? A hint. Live. */
bool signal_waits(const struct nf_thread *thread);
void signal_wait(struct nf_thread *thread, _Atomic uint32_t *word, uint32_t expected,
                 int64_t timeout_ns);

/* The same for a set of signals: sigwait. */
void signal_wait_for(struct nf_thread *thread, uint64_t accept, _Atomic uint32_t *word,
                     uint32_t expected, int64_t timeout_ns);
uint64_t signal_bits(const sigset_t *set);

/* A delivery taken apart, for calls that look at it first. */
struct signal_taken {
    uint32_t what;
    int64_t left_ns; /* of the wait */
};
/* True: the event happened, and signal_run must follow. `accept`: bit per signal - 1. */
bool signal_take(struct nf_thread *thread, uint64_t accept, int64_t left_ns,
                 struct signal_taken *out);
enum event signal_take_replay(struct nf_thread *thread, struct signal_taken *out);
/* Takes it off what is pending, without a handler: the signal, 0 when it is gone. */
int signal_accept(struct nf_thread *thread, const struct signal_taken *taken, siginfo_t *info);
/* Runs the handler and does not return; returns when there is none to run. */
void signal_run(struct nf_thread *thread, const struct signal_taken *taken,
                const struct signal_call *call);
/* Unblocked signals of a thread: what signal_check accepts. */
uint64_t signal_unblocked(const struct nf_thread *thread);

/* ppoll, pselect, epoll_pwait: another mask while waiting. Both may be called again (R20). */
void signal_mask_swap(struct nf_thread *thread, const sigset_t *mask);
void signal_mask_back(struct nf_thread *thread);

/* ---- I/O thread ---- */

/* Before the first thread: dispositions are the process's own. */
void signals_open(void);
/* At go-live: the dispositions of the image become those of this process. */
void signals_go_live(void);
/* Each round of a live process: timers, and who missed a wake-up. Returns when to look again. */
int64_t signals_round(int64_t now);

/* ---- timers (timer.c), signals_lock held or at a round ---- */

/* Posts due timers by `fire`; returns the next moment, INT64_MAX: none. I/O thread. */
int64_t timers_round(int64_t now, void (*fire)(uint32_t timer));
/* Delivery of a timer's signal: false when it was disarmed meanwhile. One event. */
bool timer_expire(struct nf_thread *thread, uint32_t timer);
void timers_go_live(void);

#endif
