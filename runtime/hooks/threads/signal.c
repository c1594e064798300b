/*
 * Signals (R19). Dispositions, masks and what is pending lie in the image; NF threads block all
 * signals natively.
 *
 * Arrival. A native handler on the I/O thread sets a bit and wakes waiting threads. A signal whose
 * disposition is the default has no such handler, so it does what it always did. What the NF raises
 * itself is pending in the image, under the ordered signals_lock.
 *
 * Delivery happens in a waiting call of a thread that does not block the signal; of several, the
 * first by index. It is an event of its own kind: the record says which signal and where it came
 * from. Whatever it touches in the image happens after it under signals_lock, so that it repeats.
 *
 * Running the handler. No frame of the runtime may lie under it (R20), for a snapshot may come
 * while it runs. So the hook is left for good, as a kernel leaves a system call: a frame with the
 * hook's saved context goes onto the NF's stack, the handler runs above it, and then the context is
 * either resumed, which calls the hook again, or left with a result.
 *
 *   NF's stack   ... caller | return address | frame (context, mask, siginfo) | handler ...
 */
#include "hooks/threads/signal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "abi_internal.h"
#include "core/assert.h"
#include "hooks/files/effect.h"
#include "hooks/sharing/lock.h"
#include "hooks/values/value.h"
#include "io/counters.h"
#include "io/io.h"

#define V (&IMAGE->values)
#define BIT(signal) (1ull << ((signal)-1))
#define NUDGE_NS 20000000 /* a thread that missed its wake-up gets another */

/* What a record names: signal | source. */
#define WHAT_SIGNAL 0xffu
#define WHAT_INSIDE 0x100u /* pending in the image */
#define WHAT_TIMER(timer) (((timer) + 1) << 16)

const struct signal_call signal_eintr = {CALL_RETURNS, -1, EINTR};
const struct signal_call signal_restart = {CALL_RESTARTS, -1, EINTR};
const struct signal_call signal_again = {CALL_AGAIN, 0, 0};

static _Atomic uint64_t arrived;      /* for the process, from outside */
static _Atomic uint32_t timers_fired; /* bit per timer */
static _Atomic uint64_t blocked_ever; /* some thread blocks it, or did */
static _Atomic uint32_t posted;       /* something may be deliverable */

struct signal_frame {
    struct context context;
    uint64_t mask;
    struct signal_call call;
    int32_t saved_errno;
    siginfo_t info;
};

__attribute__((noreturn)) void context_resume(const struct context *context);
__attribute__((noreturn)) void context_return(const struct context *context, int64_t result);
__attribute__((noreturn)) void signal_enter(const struct signal_frame *from,
                                            struct signal_frame *frame, size_t bytes, void *handler,
                                            int signal, siginfo_t *info);

/* ---- kinds of signals ---- */

/* What a thread does to itself: never deferred, it kills and the backup takes over. */
static bool is_fault(int signal)
{
    static const uint64_t faults = BIT(SIGSEGV) | BIT(SIGBUS) | BIT(SIGFPE) | BIT(SIGILL) |
                                   BIT(SIGTRAP) | BIT(SIGABRT) | BIT(SIGSYS);
    return faults & BIT(signal);
}

static bool ignored_by_default(int signal)
{
    static const uint64_t ignored = BIT(SIGCHLD) | BIT(SIGURG) | BIT(SIGWINCH) | BIT(SIGCONT) |
                                    BIT(SIGTSTP) | BIT(SIGTTIN) | BIT(SIGTTOU) | BIT(SIGPIPE);
    return ignored & BIT(signal);
}

static bool is_signal(int signal)
{
    return signal >= 1 && signal < (int)SIGNALS_MAX;
}

uint64_t signal_bits(const sigset_t *set)
{
    uint64_t bits = 0;
    for (int s = 1; s < (int)SIGNALS_MAX; s++)
        if (sigismember(set, s) == 1)
            bits |= BIT(s);
    return bits & ~(BIT(SIGKILL) | BIT(SIGSTOP));
}

static void to_set(uint64_t bits, sigset_t *set)
{
    sigemptyset(set);
    for (int s = 1; s < (int)SIGNALS_MAX; s++)
        if (bits & BIT(s))
            sigaddset(set, s);
}

uint64_t signal_unblocked(const struct nf_thread *thread)
{
    return ~thread->values.signal_mask;
}

/* ---- waking ---- */

static void wake_all(void)
{
    for (uint32_t t = 0; t < IMAGE->thread_count; t++) {
        thread_wake(t);
        _Atomic uint32_t *word = atomic_load(&process.runs[t].waits_on);
        if (word)
            futex_wake(word, INT32_MAX);
    }
}

static void post(void)
{
    atomic_store(&posted, 1);
    wake_all();
    io_kick();
}

void signal_wait_for(struct nf_thread *thread, uint64_t accept, _Atomic uint32_t *word,
                     uint32_t expected, int64_t timeout_ns)
{
    struct thread_run *run = run_of(thread);
    atomic_store(&run->accepts, accept);
    atomic_store(&run->waits_on, word);
    safe_wait(thread, word, expected, timeout_ns);
    atomic_store(&run->waits_on, NULL);
    atomic_store(&run->accepts, 0);
}

void signal_wait(struct nf_thread *thread, _Atomic uint32_t *word, uint32_t expected,
                 int64_t timeout_ns)
{
    signal_wait_for(thread, signal_unblocked(thread), word, expected, timeout_ns);
}

/* ---- taking one ---- */

/* Does a thread with a lower index wait for it? Then it is that thread's. */
static bool others(const struct nf_thread *thread, uint64_t bit)
{
    for (uint32_t t = 0; t < thread->core.index; t++)
        if (atomic_load(&process.runs[t].accepts) & bit)
            return true;
    return false;
}

static uint32_t claim_arrived(const struct nf_thread *thread, uint64_t accept)
{
    for (uint64_t left = atomic_load(&arrived) & accept; left; left &= left - 1) {
        uint64_t bit = left & -left;
        if (!others(thread, bit) && (atomic_fetch_and(&arrived, ~bit) & bit))
            return (uint32_t)__builtin_ctzll(bit) + 1;
    }
    return 0;
}

static uint32_t claim_timer(const struct nf_thread *thread, uint64_t accept)
{
    for (uint32_t left = atomic_load(&timers_fired); left; left &= left - 1) {
        uint32_t timer = (uint32_t)__builtin_ctz(left);
        int signal = V->timers[timer].signal;
        if (is_signal(signal) && (accept & BIT(signal)) && !others(thread, BIT(signal)) &&
            (atomic_fetch_and(&timers_fired, ~(1u << timer)) & (1u << timer)))
            return (uint32_t)signal | WHAT_TIMER(timer);
    }
    return 0;
}

bool signal_waits(const struct nf_thread *thread)
{
    uint64_t accept = signal_unblocked(thread);
    if (atomic_load_explicit(&posted, memory_order_acquire) == 0)
        return false;
    for (uint32_t left = atomic_load(&timers_fired); left; left &= left - 1)
        if (accept & BIT(V->timers[__builtin_ctz(left)].signal))
            return true;
    return (atomic_load(&thread->values.signals_pending) | atomic_load(&V->signals_pending) |
            atomic_load(&arrived)) &
           accept;
}

bool signal_take(struct nf_thread *thread, uint64_t accept, int64_t left_ns,
                 struct signal_taken *out)
{
    if (__builtin_expect(atomic_load_explicit(&posted, memory_order_acquire) == 0, 1))
        return false;
    uint64_t inside =
        (atomic_load(&thread->values.signals_pending) | atomic_load(&V->signals_pending)) & accept;
    uint32_t what = inside ? ((uint32_t)__builtin_ctzll(inside) + 1) | WHAT_INSIDE : 0;
    if (what == 0)
        what = claim_arrived(thread, accept);
    if (what == 0)
        what = claim_timer(thread, accept);
    if (what == 0)
        return false;
    *out = (struct signal_taken){what, left_ns};
    ev_signal_record(&thread->core, log_ready(thread), what, left_ns);
    return true;
}

enum event signal_take_replay(struct nf_thread *thread, struct signal_taken *out)
{
    return ev_signal_replay(&thread->core, &run_of(thread)->reader, &out->what, &out->left_ns);
}

/* After the event: is there still something to deliver, and to whom? The action, then. */
static bool settle(struct nf_thread *thread, const struct signal_taken *taken,
                   struct sigaction *action)
{
    int signal = (int)(taken->what & WHAT_SIGNAL);
    bool there = is_signal(signal);
    ordered_lock(thread, &V->signals_lock);
    if (there && (taken->what & WHAT_INSIDE)) {
        uint64_t bit = BIT(signal);
        there = (atomic_fetch_and(&thread->values.signals_pending, ~bit) & bit) ||
                (atomic_fetch_and(&V->signals_pending, ~bit) & bit);
    } else if (there && taken->what >> 16) {
        there = timer_expire(thread, (taken->what >> 16) - 1);
    }
    if (there) {
        *action = V->actions[signal];
        if (action->sa_flags & (int)SA_RESETHAND)
            V->actions[signal].sa_handler = SIG_DFL;
    }
    ordered_unlock(&V->signals_lock);
    return there;
}

/* ---- running handlers ---- */

/* Not a crash: the backup would meet the same signal. */
__attribute__((noreturn)) static void terminate(struct nf_thread *thread, int signal)
{
    effects_exit(thread, 128 + signal);
}

static void fill_info(siginfo_t *info, int signal, uint32_t what)
{
    memset(info, 0, sizeof *info);
    info->si_signo = signal;
    info->si_code = what & WHAT_INSIDE ? SI_TKILL : SI_USER;
    if (what >> 16) {
        const struct nf_timer *timer = &V->timers[(what >> 16) - 1];
        info->si_code = SI_TIMER;
        info->si_timerid = (int)(what >> 16);
        info->si_overrun = (int)timer->overrun;
        info->si_value.sival_ptr = (void *)timer->value;
    }
}

__attribute__((noreturn)) static void run_handler(struct nf_thread *thread,
                                                  const struct sigaction *action, uint32_t what,
                                                  const struct signal_call *call)
{
    int signal = (int)(what & WHAT_SIGNAL);
    struct nf_thread_values *values = &thread->values;
    /* Made elsewhere: our own frames lie where it goes. Its place must not depend on them. */
    static struct signal_frame staged[THREADS_MAX];
    struct signal_frame *frame = &staged[thread->core.index];
    struct signal_frame *place =
        (struct signal_frame *)((thread->context.rsp - sizeof *frame) & ~63ull);
    frame->context = thread->context;
    frame->mask = values->signal_mask_is_saved ? values->signal_mask_saved : values->signal_mask;
    frame->call = *call;
    if (call->after == CALL_RESTARTS)
        frame->call.after = action->sa_flags & SA_RESTART ? CALL_AGAIN : CALL_RETURNS;
    frame->saved_errno = errno;
    fill_info(&frame->info, signal, what);
    values->signal_mask_is_saved = 0;
    values->signal_mask |= signal_bits(&action->sa_mask);
    if (!(action->sa_flags & SA_NODEFER))
        values->signal_mask |= BIT(signal);
    signal_enter(frame, place, sizeof *frame, (void *)action->sa_handler, signal, &place->info);
}

/* The handler has returned (entry.S). */
__attribute__((noreturn, used)) void palisade_signal_leave(const struct signal_frame *frame)
{
    struct nf_thread *thread = nf_self;
    thread->context = frame->context;
    thread->values.signal_mask = frame->mask;
    errno = frame->saved_errno;
    if (frame->call.after == CALL_AGAIN)
        context_resume(&thread->context);
    if (frame->call.error)
        errno = frame->call.error;
    context_return(&thread->context, frame->call.result);
}

void signal_run(struct nf_thread *thread, const struct signal_taken *taken,
                const struct signal_call *call)
{
    struct sigaction action;
    int signal = (int)(taken->what & WHAT_SIGNAL);
    if (!settle(thread, taken, &action) || action.sa_handler == SIG_IGN)
        return;
    if (action.sa_handler != SIG_DFL)
        run_handler(thread, &action, taken->what, call);
    if (!ignored_by_default(signal))
        terminate(thread, signal);
}

int signal_accept(struct nf_thread *thread, const struct signal_taken *taken, siginfo_t *info)
{
    struct sigaction action;
    int signal = (int)(taken->what & WHAT_SIGNAL);
    if (!settle(thread, taken, &action))
        return 0;
    if (info)
        fill_info(info, signal, taken->what);
    return signal;
}

void signal_replay(struct nf_thread *thread, const struct signal_call *call)
{
    struct signal_taken taken;
    while (signal_take_replay(thread, &taken) == EVENT_PASS)
        signal_run(thread, &taken, call);
}

void signal_check(struct nf_thread *thread, const struct signal_call *call)
{
    struct signal_taken taken;
    while (signal_take(thread, signal_unblocked(thread), 0, &taken))
        signal_run(thread, &taken, call);
}

/* ---- masks ---- */

void signal_mask_swap(struct nf_thread *thread, const sigset_t *mask)
{
    struct nf_thread_values *values = &thread->values;
    if (mask == NULL || values->signal_mask_is_saved)
        return;
    values->signal_mask_saved = values->signal_mask;
    values->signal_mask_is_saved = 1;
    values->signal_mask = signal_bits(mask);
}

void signal_mask_back(struct nf_thread *thread)
{
    struct nf_thread_values *values = &thread->values;
    if (values->signal_mask_is_saved)
        values->signal_mask = values->signal_mask_saved;
    values->signal_mask_is_saved = 0;
}

static void natively(int signal);

static void block(uint64_t bits)
{
    uint64_t fresh = bits & ~atomic_fetch_or(&blocked_ever, bits);
    for (int s = 1; process_mode() == MODE_RECORD && s < (int)SIGNALS_MAX; s++)
        if (fresh & BIT(s))
            natively(s);
}

/* What becomes unblocked is delivered here, in the one event such a call has. */
static int change_mask(struct nf_thread *thread, int how, const sigset_t *set, sigset_t *old)
{
    static const struct signal_call done = {CALL_RETURNS, 0, 0};
    struct nf_thread_values *values = &thread->values;
    uint64_t before = values->signal_mask, bits = set ? signal_bits(set) : 0;
    if (set && how != SIG_BLOCK && how != SIG_UNBLOCK && how != SIG_SETMASK)
        return EINVAL;
    if (set)
        values->signal_mask = how == SIG_BLOCK     ? before | bits
                              : how == SIG_UNBLOCK ? before & ~bits
                                                   : bits;
    if (old)
        to_set(before, old);
    block(values->signal_mask & ~before);
    if ((before & ~values->signal_mask) == 0)
        return 0;
    int64_t none;
    struct signal_taken taken;
    if (REPLAYED_ALONE(thread, "pthread_sigmask",
                       (signal_replay(thread, &done),
                        ev_number_replay(&thread->core, &run_of(thread)->reader, 0, &none))))
        return 0;
    while (signal_take(thread, signal_unblocked(thread), 0, &taken))
        signal_run(thread, &taken, &done);
    ev_number_record(&thread->core, log_ready(thread), 0, 0);
    return 0;
}

int palisade_pthread_sigmask_restartable(int how, const sigset_t *set, sigset_t *old)
{
    return nf_self ? change_mask(nf_self, how, set, old) : pthread_sigmask(how, set, old);
}

int palisade_sigprocmask_restartable(int how, const sigset_t *set, sigset_t *old)
{
    if (nf_self == NULL)
        return sigprocmask(how, set, old);
    errno = change_mask(nf_self, how, set, old) ? EINVAL : errno;
    return set && how != SIG_BLOCK && how != SIG_UNBLOCK && how != SIG_SETMASK ? -1 : 0;
}

HOOK int __palisade_sigpending(sigset_t *out)
{
    SITE_HERE();
    struct nf_thread *thread = nf_self;
    if (thread == NULL)
        return sigpending(out);
    int64_t bits =
        LOGGED(thread, "sigpending", 0,
               (int64_t)((atomic_load(&arrived) | atomic_load(&thread->values.signals_pending) |
                          atomic_load(&V->signals_pending)) &
                         thread->values.signal_mask));
    to_set((uint64_t)bits, out);
    return 0;
}

/* ---- dispositions ---- */

static bool all_block(int signal)
{
    for (uint32_t t = 0; t < IMAGE->thread_count; t++)
        if (IMAGE->threads[t].lifecycle == THREAD_RUNNING &&
            !(IMAGE->threads[t].values.signal_mask & BIT(signal)))
            return false;
    return true;
}

/* Native handler, on the I/O thread. */
static void arrive(int signal)
{
    int saved = errno;
    if (V->actions[signal].sa_handler == SIG_DFL && !all_block(signal)) {
        struct sigaction fallback = {.sa_handler = SIG_DFL};
        sigaction(signal, &fallback, NULL);
        raise(signal); /* delivered when this handler has returned */
        return;
    }
    atomic_fetch_or(&arrived, BIT(signal));
    post();
    errno = saved;
}

/* The process's own disposition, as the NF's and its masks want it. */
static void natively(int signal)
{
    void (*handler)(int) = V->actions[signal].sa_handler;
    struct sigaction action = {.sa_handler = arrive, .sa_flags = SA_RESTART};
    if (is_fault(signal) || signal == SIGPIPE || signal == SIGKILL || signal == SIGSTOP ||
        (signal >= 32 && signal < SIGRTMIN))
        return; /* 32, 33: glibc's own */
    if (handler == SIG_IGN || handler == SIG_DFL)
        action.sa_handler = handler;
    if (handler == SIG_DFL && (atomic_load(&blocked_ever) & BIT(signal)))
        action.sa_handler = arrive;
    if (signal == SIGUSR1 && action.sa_handler == SIG_DFL)
        counters_on_signal();
    else
        sigaction(signal, &action, NULL);
}

HOOK int __palisade_sigaction(int signal, const struct sigaction *action, struct sigaction *old)
{
    SITE_HERE();
    if (nf_self == NULL)
        return sigaction(signal, action, old);
    if (!is_signal(signal) || (action && (signal == SIGKILL || signal == SIGSTOP))) {
        errno = EINVAL;
        return -1;
    }
    ordered_lock(nf_self, &V->signals_lock);
    if (old)
        *old = V->actions[signal];
    if (action) {
        V->actions[signal] = *action;
        if (action->sa_handler == SIG_IGN) {
            atomic_fetch_and(&V->signals_pending, ~BIT(signal));
            atomic_fetch_and(&arrived, ~BIT(signal));
        }
        if (process_mode() == MODE_RECORD)
            natively(signal);
    }
    ordered_unlock(&V->signals_lock);
    return 0;
}

static sighandler_t install(int signal, sighandler_t handler, int flags)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags}, old;
    return __palisade_sigaction(signal, &action, &old) == 0 ? old.sa_handler : SIG_ERR;
}

HOOK sighandler_t __palisade_signal(int number, sighandler_t handler)
{
    SITE_HERE();
    return nf_self ? install(number, handler, SA_RESTART) : signal(number, handler);
}

HOOK sighandler_t __palisade___sysv_signal(int number, sighandler_t handler)
{
    SITE_HERE();
    return nf_self ? install(number, handler, (int)SA_RESETHAND | SA_NODEFER)
                   : __sysv_signal(number, handler);
}

HOOK int __palisade_siginterrupt(int number, int interrupt)
{
    SITE_HERE();
    struct sigaction action;
    if (__palisade_sigaction(number, NULL, &action) != 0)
        return -1;
    action.sa_flags = interrupt ? action.sa_flags & ~SA_RESTART : action.sa_flags | SA_RESTART;
    return __palisade_sigaction(number, &action, NULL);
}

HOOK int __palisade_sigignore(int number)
{
    SITE_HERE();
    struct sigaction action = {.sa_handler = SIG_IGN};
    return __palisade_sigaction(number, &action, NULL);
}

/* Handlers run on the thread's own stack: the other one is remembered only. */
HOOK int __palisade_sigaltstack(const stack_t *stack, stack_t *old)
{
    SITE_HERE();
    if (nf_self == NULL)
        return sigaltstack(stack, old);
    if (old) {
        *old = nf_self->values.alternate_stack;
        if (old->ss_sp == NULL)
            old->ss_flags = SS_DISABLE;
    }
    if (stack)
        nf_self->values.alternate_stack = *stack;
    return 0;
}

/* ---- the NF's own signals ---- */

/* To itself and not blocked: now, and without an event, for nobody else has a part in it. */
static int raise_here(struct nf_thread *thread, int signal)
{
    static const struct signal_call done = {CALL_RETURNS, 0, 0};
    if (is_fault(signal)) {
        struct sigaction fallback = {.sa_handler = SIG_DFL};
        sigaction(signal, &fallback, NULL);
        raise(signal);
        _exit(128 + signal);
    }
    ordered_lock(thread, &V->signals_lock);
    bool blocked = thread->values.signal_mask & BIT(signal);
    if (blocked)
        atomic_fetch_or(&thread->values.signals_pending, BIT(signal));
    ordered_unlock(&V->signals_lock);
    if (blocked) {
        atomic_store(&posted, 1);
        return 0;
    }
    signal_run(thread, &(struct signal_taken){.what = (uint32_t)signal}, &done);
    return 0;
}

int palisade_raise_restartable(int signal)
{
    if (nf_self == NULL)
        return raise(signal);
    if (signal != 0 && !is_signal(signal)) {
        errno = EINVAL;
        return -1;
    }
    return signal ? raise_here(nf_self, signal) : 0;
}

int palisade_pthread_kill_restartable(pthread_t handle, int signal)
{
    struct nf_thread *self = nf_self;
    if (self == NULL)
        return pthread_kill(handle, signal);
    if (handle < 1 || handle > IMAGE->thread_count)
        return ESRCH;
    if (signal != 0 && !is_signal(signal))
        return EINVAL;
    if (signal == 0)
        return 0;
    struct nf_thread *other = &IMAGE->threads[handle - 1];
    if (other == self)
        return raise_here(self, signal);
    ordered_lock(self, &V->signals_lock);
    atomic_fetch_or(&other->values.signals_pending, BIT(signal));
    ordered_unlock(&V->signals_lock);
    if (process_mode() == MODE_RECORD)
        post();
    return 0;
}

int palisade_kill_restartable(pid_t pid, int signal)
{
    struct nf_thread *self = nf_self;
    if (self == NULL)
        return kill(pid, signal);
    if (pid != NF_PID && pid != 0 && pid != -NF_PID)
        process_fail(STATUS_UNMODELLED,
                     "kill(%d, %d): signals to other processes cannot be replayed (G8)", pid,
                     signal);
    if (signal != 0 && !is_signal(signal)) {
        errno = EINVAL;
        return -1;
    }
    if (signal == 0)
        return 0;
    if (is_fault(signal) || !(self->values.signal_mask & BIT(signal)))
        return raise_here(self, signal);
    ordered_lock(self, &V->signals_lock);
    atomic_fetch_or(&V->signals_pending, BIT(signal));
    ordered_unlock(&V->signals_lock);
    if (process_mode() == MODE_RECORD)
        post();
    return 0;
}

/* ---- I/O thread ---- */

void signals_open(void)
{
    atomic_store(&arrived, 0);
    atomic_store(&timers_fired, 0);
}

void signals_go_live(void)
{
    uint64_t blocked = 0;
    signals_open();
    timers_go_live();
    for (uint32_t t = 0; t < IMAGE->thread_count; t++)
        blocked |= IMAGE->threads[t].values.signal_mask;
    atomic_store(&blocked_ever, blocked);
    for (int s = 1; s < (int)SIGNALS_MAX; s++)
        if (V->actions[s].sa_handler != SIG_DFL || (blocked & BIT(s)))
            natively(s);
    atomic_store(&posted, 1); /* signals pending in the image */
}

static void fire(uint32_t timer)
{
    atomic_fetch_or(&timers_fired, 1u << timer);
    post();
}

int64_t signals_round(int64_t now)
{
    static int64_t nudged_ns;
    int64_t next = timers_round(now, fire);
    if (atomic_load_explicit(&posted, memory_order_relaxed) && now - nudged_ns >= NUDGE_NS) {
        nudged_ns = now;
        atomic_store(&posted, 0);
        uint64_t left = atomic_load(&arrived) | atomic_load(&V->signals_pending);
        for (uint32_t t = 0; t < IMAGE->thread_count; t++)
            left |= atomic_load(&IMAGE->threads[t].values.signals_pending);
        if (left || atomic_load(&timers_fired))
            post();
    }
    return next;
}
