/*
 * Replay's waiting: "every thread waits" must never be seen while one of them can go on. Threads
 * hand a counter round; whoever watches must see quiescence at its end only.
 */
#include <criterion/criterion.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "io/io.h"

/* POSIX allows a wait to end for no reason, and anybody to be late: let it happen all the time. */
static void dawdle(void)
{
    static __thread uint32_t random = 1;
    random = random * 1664525u + 1013904223u;
    if (random >> 30 == 0)
        usleep(random >> 24 & 63);
    else
        sched_yield();
}

static int wait_spuriously(pthread_cond_t *cond, pthread_mutex_t *mutex)
{
    (void)cond;
    pthread_mutex_unlock(mutex);
    dawdle();
    return pthread_mutex_lock(mutex);
}

static int lock_late(pthread_mutex_t *mutex)
{
    dawdle();
    return pthread_mutex_lock(mutex);
}

#define pthread_cond_wait wait_spuriously
#define pthread_mutex_lock lock_late
#include "replay/replay.c"
#undef pthread_mutex_lock

/* What replay.c needs of the runtime. */
struct process process;
__thread struct nf_thread *nf_self;

#define PLAYERS 3u
#define TURNS 4000u

static _Atomic uint32_t turn, called_early;

/* Replay calls it at the moment it finds that everybody waits. */
void process_set_mode(enum mode mode)
{
    atomic_store(&process.mode, mode);
}

void departure_tell(struct nf_thread *thread, const char *what)
{
    (void)thread;
    fprintf(stderr, "%s\n", what);
    abort();
}

void safe_enter(struct nf_thread *thread)
{
    atomic_store(&run_of(thread)->safe, 1);
}

void safe_leave(struct nf_thread *thread)
{
    atomic_store(&run_of(thread)->safe, 0);
}

void io_wake(void)
{
    if (atomic_load(&turn) != TURNS)
        atomic_store(&called_early, atomic_load(&turn) + 1);
}

void process_fail(enum status status, const char *format, ...)
{
    fprintf(stderr, "process_fail %d: %s\n", status, format);
    abort();
}

static enum event my_turn(uint32_t player)
{
    uint32_t now = atomic_load(&turn);
    if (now == TURNS)
        return EVENT_END;
    if (now % PLAYERS != player)
        return EVENT_WAIT;
    atomic_store(&turn, now + 1);
    return EVENT_PASS;
}

static void *play(void *argument)
{
    struct thread_run run = {0};
    struct nf_thread thread = {.run = &run, .core = {.index = (uint32_t)(uintptr_t)argument}};
    while (REPLAYED(&thread, "turn", my_turn(thread.core.index)))
        ;
    return NULL;
}

Test(replay, quiescent_only_at_the_end, .timeout = 120)
{
    pthread_t players[PLAYERS];
    replay_begin(PLAYERS);
    for (uintptr_t i = 0; i < PLAYERS; i++)
        cr_assert(pthread_create(&players[i], NULL, play, (void *)i) == 0);
    while (atomic_load(&turn) != TURNS) {
        cr_expect_not(replay_quiescent(), "more of the logs may come");
        sched_yield();
    }
    replay_final();
    while (!replay_quiescent())
        sched_yield();
    cr_expect(called_early == 0, "called quiescent at turn %u of %u", called_early - 1, TURNS);
    replay_go_live();
    for (uint32_t i = 0; i < PLAYERS; i++)
        pthread_join(players[i], NULL);
}

/* ---- who waits where: for a snapshot's barrier ---- */

struct waiter {
    enum replay_place place;
    bool pinned;
    struct thread_run run;
    struct nf_thread thread;
    pthread_t native;
};

static void *wait_once(void *argument)
{
    struct waiter *waiter = argument;
    while (REPLAYED_AND(&waiter->thread, "its log", waiter->place,
                        waiter->run.reader.end ? EVENT_PASS : EVENT_END, (void)0) == false)
        ;
    return NULL;
}

static void *wait_log(void *argument)
{
    struct waiter *waiter = argument;
    replay_wait_log(&waiter->thread);
    return NULL;
}

static void until_waiting(uint32_t count)
{
    for (;;) {
        pthread_mutex_lock(&replay.mutex);
        bool all = replay.ended == count;
        pthread_mutex_unlock(&replay.mutex);
        if (all)
            return;
        sched_yield();
    }
}

Test(replay, a_wait_is_safe_where_the_hook_may_restart, .timeout = 120)
{
    static struct waiter waiters[] = {{REPLAY_SAFE, false, {}, {}, 0},
                                      {REPLAY_INSIDE, false, {}, {}, 0},
                                      {REPLAY_SAFE, true, {}, {}, 0},
                                      {REPLAY_SAFE, false, {}, {}, 0}};
    const bool safe[] = {true, false, false, true};
    const uint32_t count = sizeof waiters / sizeof *waiters;
    replay_begin(count);
    for (uint32_t i = 0; i < count; i++) {
        struct waiter *waiter = &waiters[i];
        waiter->thread.run = &waiter->run;
        waiter->thread.core.index = i;
        waiter->run.pinned = waiter->pinned;
        cr_assert(pthread_create(&waiter->native, NULL, i == 3 ? wait_log : wait_once, waiter) ==
                  0);
    }
    until_waiting(count);
    for (uint32_t i = 0; i < count; i++) {
        cr_expect(atomic_load(&waiters[i].run.safe) == safe[i], "waiter %u", i);
        cr_expect((atomic_load(&waiters[i].run.inside) == NULL) == safe[i], "waiter %u", i);
    }
    for (uint32_t i = 0; i < count; i++) {
        __atomic_store_n(&waiters[i].run.reader.end, 1, __ATOMIC_RELEASE);
        replay_log_grown(i);
        pthread_join(waiters[i].native, NULL);
        cr_expect(atomic_load(&waiters[i].run.safe) == 0, "waiter %u", i);
        cr_expect(atomic_load(&waiters[i].run.inside) == NULL, "waiter %u", i);
    }
}
