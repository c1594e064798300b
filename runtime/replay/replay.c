/*
 * See replay.h. All is guarded by `mutex`; generation and waiting are also read outside.
 *
 * A thread that was counted in `waiting` leaves only by a stir, which sets the count to zero. It
 * must not leave because the generation moved: whoever moved it stirs only a moment later, and
 * meanwhile the thread would be counted twice, and everybody seem to wait.
 */
#include "replay/replay.h"

#include <errno.h>

#include "core/assert.h"
#include "replay/departure.h"

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t progress;
    _Atomic uint64_t generation; /* of progress */
    _Atomic uint32_t waiting;    /* threads that found nothing to do in this generation */
    uint32_t living;
    uint64_t stirs; /* times everybody was made to ask again */
    /* Threads whose log ends, for which only more of it is news: whoever brings it takes them out.
     */
    uint32_t ended;
    struct {
        bool waits;
        pthread_cond_t grown;
    } log[THREADS_MAX];
    bool final; /* no log will grow */
} replay = {.mutex = PTHREAD_MUTEX_INITIALIZER, .progress = PTHREAD_COND_INITIALIZER};

_Atomic int32_t replay_watchers;

void replay_watch(int change)
{
    atomic_fetch_add(&replay_watchers, change);
}

#define OBJECTS 64u
static _Atomic uint32_t objects[OBJECTS];

static _Atomic uint32_t *object_word(const void *object)
{
    return &objects[((uintptr_t)object >> 4) * 0x9E3779B1u >> 16 & (OBJECTS - 1)];
}

void replay_object_lock(const void *object)
{
    while (atomic_exchange(object_word(object), 1))
        __builtin_ia32_pause();
}

void replay_object_unlock(const void *object)
{
    atomic_store(object_word(object), 0);
}

uint64_t replay_look(void)
{
    return atomic_load(&replay.generation);
}

/* mutex held */
static bool quiescent(void)
{
    return replay.final && replay.waiting + replay.ended == replay.living &&
           process_mode() == MODE_REPLAY;
}

static void check_quiescent(void)
{
    if (quiescent())
        io_wake();
}

/* mutex held: its log has grown, or will never. */
static void log_waiter_release(uint32_t thread)
{
    if (!replay.log[thread].waits)
        return;
    replay.log[thread].waits = false;
    replay.ended--;
    pthread_cond_signal(&replay.log[thread].grown);
}

static void wait_for_log(struct nf_thread *thread)
{
    const struct log_reader *reader = &run_of(thread)->reader;
    uint32_t index = thread->core.index;
    pthread_mutex_lock(&replay.mutex);
    if (thread->core.position >= __atomic_load_n(&reader->end, __ATOMIC_ACQUIRE) &&
        process_mode() == MODE_REPLAY) {
        replay.log[index].waits = true;
        replay.ended++;
        check_quiescent();
        while (replay.log[index].waits)
            pthread_cond_wait(&replay.log[index].grown, &replay.mutex);
    }
    pthread_mutex_unlock(&replay.mutex);
}

void replay_log_grown(uint32_t thread)
{
    pthread_mutex_lock(&replay.mutex);
    log_waiter_release(thread);
    pthread_mutex_unlock(&replay.mutex);
}

void replay_final(void)
{
    pthread_mutex_lock(&replay.mutex);
    replay.final = true;
    check_quiescent();
    pthread_mutex_unlock(&replay.mutex);
}

static bool is_safe(const struct nf_thread *thread, enum replay_place place)
{
    return place == REPLAY_SAFE && run_of(thread)->pinned == 0;
}

static void wait_begin(struct nf_thread *thread, enum replay_place place, const char *what)
{
    struct thread_run *run = run_of(thread);
    if (is_safe(thread, place)) {
        safe_enter(thread);
    } else {
        atomic_fetch_add(&run->inside_waits, 1);
        atomic_store(&run->inside, what);
    }
}

static void wait_end(struct nf_thread *thread, enum replay_place place)
{
    if (is_safe(thread, place))
        safe_leave(thread);
    else
        atomic_store(&run_of(thread)->inside, NULL);
}

void replay_wait_log(struct nf_thread *thread)
{
    const struct log_reader *reader = &run_of(thread)->reader;
    while (process_mode() == MODE_REPLAY &&
           thread->core.position >= __atomic_load_n(&reader->end, __ATOMIC_ACQUIRE)) {
        wait_begin(thread, REPLAY_SAFE, "a call that sends");
        wait_for_log(thread);
        wait_end(thread, REPLAY_SAFE);
    }
}

static void wait_for_others(uint64_t look)
{
    pthread_mutex_lock(&replay.mutex);
    /* Count first, look second: replay_passed does it the other way round, so one of us sees the
     * other. */
    atomic_fetch_add(&replay.waiting, 1);
    if (atomic_load(&replay.generation) != look) {
        atomic_fetch_sub(&replay.waiting, 1);
    } else {
        uint64_t stirs = replay.stirs;
        check_quiescent();
        while (replay.stirs == stirs)
            pthread_cond_wait(&replay.progress, &replay.mutex);
    }
    pthread_mutex_unlock(&replay.mutex);
}

void replay_wait(struct nf_thread *thread, uint64_t look, enum event event, const char *what,
                 enum replay_place place)
{
    if (event == EVENT_DIVERGED)
        departure_tell(thread, what);
    wait_begin(thread, place, what);
    if (event == EVENT_END)
        wait_for_log(thread);
    else
        wait_for_others(look);
    wait_end(thread, place);
}

/* mutex held: everybody asks again. */
static void stir(void)
{
    atomic_fetch_add(&replay.generation, 1);
    atomic_store(&replay.waiting, 0);
    replay.stirs++;
    pthread_cond_broadcast(&replay.progress);
}

void replay_passed(void)
{
    atomic_fetch_add(&replay.generation, 1);
    if (atomic_load(&replay.waiting) == 0)
        return;
    pthread_mutex_lock(&replay.mutex);
    stir();
    pthread_mutex_unlock(&replay.mutex);
}

void replay_thread_born(void)
{
    pthread_mutex_lock(&replay.mutex);
    replay.living++;
    pthread_mutex_unlock(&replay.mutex);
}

void replay_thread_gone(void)
{
    pthread_mutex_lock(&replay.mutex);
    ASSERT(replay.living > 0);
    replay.living--;
    stir();
    /* stir() made all others ask again; the last of them to find nothing notices. With nobody left
     * this is the end. */
    check_quiescent();
    pthread_mutex_unlock(&replay.mutex);
}

void replay_begin(uint32_t living)
{
    pthread_mutex_lock(&replay.mutex);
    replay.living = living;
    replay.waiting = replay.ended = 0;
    replay.final = false;
    for (uint32_t t = 0; t < THREADS_MAX; t++)
        pthread_cond_init(&replay.log[t].grown, NULL);
    process_set_mode(MODE_REPLAY);
    pthread_mutex_unlock(&replay.mutex);
}

bool replay_quiescent(void)
{
    pthread_mutex_lock(&replay.mutex);
    bool is = quiescent();
    pthread_mutex_unlock(&replay.mutex);
    return is;
}

bool replay_idle(void)
{
    pthread_mutex_lock(&replay.mutex);
    bool is = replay.ended == replay.living;
    pthread_mutex_unlock(&replay.mutex);
    return is;
}

bool replay_starves(void)
{
    pthread_mutex_lock(&replay.mutex);
    bool is = !replay.final && replay.ended != replay.living &&
              replay.waiting + replay.ended == replay.living;
    pthread_mutex_unlock(&replay.mutex);
    return is;
}

void replay_go_live(void)
{
    pthread_mutex_lock(&replay.mutex);
    ASSERT(quiescent());
    process_set_mode(MODE_RECORD);
    stir();
    for (uint32_t t = 0; t < THREADS_MAX; t++)
        log_waiter_release(t);
    pthread_mutex_unlock(&replay.mutex);
}
