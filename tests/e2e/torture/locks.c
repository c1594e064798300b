/*
 * locks: a torture NF of every kind of lock but plain mutexes and conditions, which torture.c has.
 *
 * Four workers answer requests and do deeds with locks of all kinds; four helpers keep those locks
 * busy: one writes under the reader-writer locks, one posts and one takes from a semaphore, one
 * meets a worker at a barrier. All that is guarded lies behind a pointer, so that nothing but the
 * locks' orders repeats it; what a deed saw goes into the answer's digest (answers.h).
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <sched.h>
#include <semaphore.h>
#include <threads.h>

#include "answers.h"
#include "foreign_locks.h"
#include "shelf.h"

#define WORKERS 4
#define HELPERS 4
#define ROUTES 16
#define ONCES 4096
#define BIRTHS_MAX 40 /* the runtime gives out 64 indices */
#define BIRTH_GAP_NS 120000000
#define TICK_US 2000
#define TICKS_PRINTED 64

struct guarded {
    uint64_t hash, count;
};

struct shared {
    struct chain chain;
    uint64_t routes[ROUTES], routes_hash; /* `routes_lock` */
    uint64_t prices[ROUTES];              /* `prices_lock` */
    pthread_spinlock_t spin;
    struct guarded by_spin, by_rte, by_ticket, by_recursive, by_ck, by_rte_rw;
    rte_spinlock_t rte;
    rte_ticketlock_t ticket;
    rte_spinlock_recursive_t recursive;
    rte_rwlock_t rte_rw;
    ck_spinlock_fas_t ck;
    pthread_mutex_t checked, nested, adaptive;
    struct guarded by_checked, by_nested, by_adaptive;
    sem_t credits, slots;
    struct {
        pthread_mutex_t lock;
        pthread_cond_t changed;
        uint64_t count;
    } news;
    pthread_mutex_t party; /* one worker at a time meets the partner */
    pthread_barrier_t meeting;
    uint64_t meetings, given, taken, serials;
    uint64_t flags; /* by `flag` */
    mtx_t plain, timed;
    cnd_t bell;
    struct guarded by_plain, by_timed;
    tss_t mark;
    pthread_key_t own;
    struct {
        pthread_mutex_t lock;
        int64_t last_ns;
        unsigned count;
        uint64_t destroyed;
        uint8_t ended[BIRTHS_MAX + 1]; /* the destructor ran */
    } births;
    struct shelf shelf;
    int ports[2];
};

/* Who ran the routine. Not in struct shared: where no lock is near, only `onces` repeat it. */
struct runs {
    uint64_t by[ONCES];
};

struct worker {
    struct answerer answerer;
    struct shared *shared;
};

/* What only has a static initialiser. */
static pthread_rwlock_t routes_lock = PTHREAD_RWLOCK_INITIALIZER;
static pthread_rwlock_t prices_lock = PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;
static pthread_once_t onces[ONCES]; /* PTHREAD_ONCE_INIT is 0 */
static once_flag flag = ONCE_FLAG_INIT;
static struct shared *all; /* set before the threads start */
static struct runs *runs;  /* likewise */

static __thread uint64_t self;
static __thread unsigned once_now;

static struct timespec in_us(clockid_t clock, long us)
{
    struct timespec until;
    clock_gettime(clock, &until);
    until.tv_nsec += us * 1000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    return until;
}

static uint64_t touch(struct guarded *guarded, uint64_t value)
{
    guarded->hash = mix(guarded->hash, value + self);
    return guarded->hash + ++guarded->count;
}

/* Now and then, so that others meet a lock that is held. */
static void linger(uint32_t draw)
{
    if (draw % 16 == 0)
        usleep(60);
    else if (draw % 16 < 4)
        sched_yield();
}

/* ---- reader-writer locks ---- */

static uint64_t routes_read(struct shared *shared, uint32_t draw)
{
    return mix(shared->routes_hash, shared->routes[draw % ROUTES]);
}

static uint64_t do_read(struct shared *shared, uint32_t draw)
{
    pthread_rwlock_rdlock(&routes_lock);
    uint64_t digest = routes_read(shared, draw);
    linger(draw);
    digest = mix(digest, routes_read(shared, draw >> 4));
    pthread_rwlock_unlock(&routes_lock);
    return digest;
}

static void routes_write(struct shared *shared, uint32_t draw)
{
    shared->routes[draw % ROUTES] = mix(shared->routes_hash, draw);
    linger(draw);
    shared->routes_hash = mix(shared->routes_hash, shared->routes[draw % ROUTES] + self);
}

static uint64_t do_write(struct shared *shared, uint32_t draw)
{
    pthread_rwlock_wrlock(&routes_lock);
    routes_write(shared, draw);
    uint64_t digest = shared->routes_hash;
    pthread_rwlock_unlock(&routes_lock);
    return digest;
}

static uint64_t do_rw_tries(struct shared *shared, uint32_t draw)
{
    uint64_t digest = 0;
    struct timespec soon = in_us(CLOCK_REALTIME, draw % 200);
    struct timespec later = in_us(CLOCK_MONOTONIC, draw % 300);
    int results[] = {
        pthread_rwlock_tryrdlock(&routes_lock),
        0,
        0,
        0,
    };
    if (results[0] == 0) {
        digest = routes_read(shared, draw);
        linger(draw >> 4);
        pthread_rwlock_unlock(&routes_lock);
    }
    if ((results[1] = pthread_rwlock_trywrlock(&routes_lock)) == 0) {
        routes_write(shared, draw >> 8);
        pthread_rwlock_unlock(&routes_lock);
    }
    if ((results[2] = pthread_rwlock_timedwrlock(&routes_lock, &soon)) == 0) {
        routes_write(shared, draw >> 12);
        pthread_rwlock_unlock(&routes_lock);
    }
    if ((results[3] = pthread_rwlock_clockrdlock(&routes_lock, CLOCK_MONOTONIC, &later)) == 0) {
        digest = mix(digest, routes_read(shared, draw));
        pthread_rwlock_unlock(&routes_lock);
    }
    for (unsigned i = 0; i < 4; i++)
        digest = mix(digest, (uint64_t)results[i]);
    return digest;
}

static uint64_t do_prices(struct shared *shared, uint32_t draw)
{
    uint64_t digest = 0;
    if (draw % 4 == 0) {
        pthread_rwlock_wrlock(&prices_lock);
        digest = shared->prices[draw % ROUTES] = mix(shared->prices[draw / 16 % ROUTES], self);
        digest = mix(digest, (uint64_t)pthread_rwlock_rdlock(&prices_lock)); /* EDEADLK */
        pthread_rwlock_unlock(&prices_lock);
    } else {
        pthread_rwlock_rdlock(&prices_lock);
        for (unsigned i = 0; i < ROUTES; i++)
            digest = mix(digest, shared->prices[i]);
        pthread_rwlock_unlock(&prices_lock);
    }
    return digest;
}

/* ---- spin locks, libc's and foreign ones ---- */

static uint64_t do_spin(struct shared *shared, uint32_t draw)
{
    pthread_spin_lock(&shared->spin);
    uint64_t digest = touch(&shared->by_spin, draw);
    linger(draw);
    pthread_spin_unlock(&shared->spin);
    int result = pthread_spin_trylock(&shared->spin);
    if (result == 0) {
        digest = mix(digest, touch(&shared->by_spin, draw));
        pthread_spin_unlock(&shared->spin);
    }
    return mix(digest, (uint64_t)result);
}

static uint64_t do_rte(struct shared *shared, uint32_t draw)
{
    rte_spinlock_lock(&shared->rte);
    uint64_t digest = touch(&shared->by_rte, draw);
    linger(draw);
    rte_spinlock_unlock(&shared->rte);
    digest = mix(digest, (uint64_t)rte_spinlock_is_locked(&shared->rte));
    if (rte_spinlock_trylock(&shared->rte)) {
        digest = mix(digest, touch(&shared->by_rte, 1));
        rte_spinlock_unlock(&shared->rte);
    }
    rte_ticketlock_lock(&shared->ticket);
    digest = mix(digest, touch(&shared->by_ticket, draw));
    rte_ticketlock_unlock(&shared->ticket);
    if (rte_ticketlock_trylock(&shared->ticket)) {
        digest = mix(digest, touch(&shared->by_ticket, 2));
        rte_ticketlock_unlock(&shared->ticket);
    }
    rte_spinlock_recursive_lock(&shared->recursive);
    if (rte_spinlock_recursive_trylock(&shared->recursive)) {
        digest = mix(digest, touch(&shared->by_recursive, draw));
        linger(draw >> 5);
        rte_spinlock_recursive_unlock(&shared->recursive);
    }
    rte_spinlock_recursive_unlock(&shared->recursive);
    return digest;
}

static uint64_t do_rte_rw(struct shared *shared, uint32_t draw)
{
    uint64_t digest = 0;
    rte_rwlock_read_lock(&shared->rte_rw);
    digest = mix(shared->by_rte_rw.hash, shared->by_rte_rw.count);
    linger(draw);
    rte_rwlock_read_unlock(&shared->rte_rw);
    if (draw % 3 == 0) {
        rte_rwlock_write_lock(&shared->rte_rw);
        digest = mix(digest, touch(&shared->by_rte_rw, draw));
        linger(draw >> 4);
        rte_rwlock_write_unlock(&shared->rte_rw);
    }
    int result = rte_rwlock_write_trylock(&shared->rte_rw);
    if (result == 0) {
        touch(&shared->by_rte_rw, 3);
        rte_rwlock_write_unlock(&shared->rte_rw);
    }
    digest = mix(digest, (uint64_t)result);
    result = rte_rwlock_read_trylock(&shared->rte_rw);
    if (result == 0) {
        digest = mix(digest, shared->by_rte_rw.hash);
        rte_rwlock_read_unlock(&shared->rte_rw);
    }
    return mix(digest, (uint64_t)result);
}

static uint64_t do_ck(struct shared *shared, uint32_t draw)
{
    uint64_t digest = 0;
    if (draw % 2 || !ck_spinlock_fas_trylock(&shared->ck)) {
        digest = 1;
        ck_spinlock_fas_lock(&shared->ck);
    }
    digest = mix(digest, touch(&shared->by_ck, draw));
    linger(draw >> 3);
    ck_spinlock_fas_unlock(&shared->ck);
    return digest;
}

/* ---- kinds of mutexes, C11's among them ---- */

static uint64_t do_mutexes(struct shared *shared, uint32_t draw)
{
    struct timespec until = in_us(CLOCK_MONOTONIC, draw % 200);
    uint64_t digest = (uint64_t)pthread_mutex_clocklock(&shared->checked, CLOCK_MONOTONIC, &until);
    if (digest == 0) {
        digest = mix(digest, (uint64_t)pthread_mutex_lock(&shared->checked)); /* EDEADLK */
        digest = mix(digest, touch(&shared->by_checked, draw));
        linger(draw);
        pthread_mutex_unlock(&shared->checked);
        digest = mix(digest, (uint64_t)pthread_mutex_unlock(&shared->checked)); /* EPERM */
    }
    pthread_mutex_lock(&shared->nested);
    pthread_mutex_lock(&shared->nested);
    digest = mix(digest, touch(&shared->by_nested, draw));
    pthread_mutex_unlock(&shared->nested);
    linger(draw >> 4);
    pthread_mutex_unlock(&shared->nested);
    pthread_mutex_lock(&shared->adaptive);
    digest = mix(digest, touch(&shared->by_adaptive, draw));
    pthread_mutex_unlock(&shared->adaptive);
    return digest;
}

static uint64_t do_c11(struct shared *shared, uint32_t draw)
{
    struct timespec until = in_us(CLOCK_REALTIME, draw % 200);
    uint64_t digest = 0;
    mtx_lock(&shared->plain);
    digest = touch(&shared->by_plain, draw);
    if (draw % 8 == 0) {
        int waited = cnd_timedwait(&shared->bell, &shared->plain, &until);
        if (waited != thrd_success && waited != thrd_timedout)
            die("locks: cnd_timedwait");
        digest = mix(digest, (uint64_t)waited);
    } else {
        cnd_signal(&shared->bell);
    }
    digest = mix(digest, touch(&shared->by_plain, draw));
    mtx_unlock(&shared->plain);
    int result = mtx_trylock(&shared->timed);
    if (result != thrd_success)
        result += 10 * mtx_timedlock(&shared->timed, &until);
    if (result == thrd_success || result / 10 == thrd_success) {
        digest = mix(digest, touch(&shared->by_timed, draw));
        linger(draw >> 4);
        mtx_unlock(&shared->timed);
    }
    return mix(digest, (uint64_t)result);
}

static uint64_t do_news(struct shared *shared, uint32_t draw)
{
    struct timespec until = in_us(CLOCK_MONOTONIC, draw % 2500);
    int result = 0;
    pthread_mutex_lock(&shared->news.lock);
    uint64_t seen = shared->news.count;
    while (shared->news.count == seen && result == 0)
        result = pthread_cond_clockwait(&shared->news.changed, &shared->news.lock, CLOCK_MONOTONIC,
                                        &until);
    uint64_t digest = mix(shared->news.count, (uint64_t)result);
    pthread_mutex_unlock(&shared->news.lock);
    usleep(draw % 1024);                    /* the poster goes on, but in a replay nobody sleeps */
    return mix(digest, shared->news.count); /* raced for */
}

/* ---- semaphores, barriers, once ---- */

static uint64_t do_semaphore(struct shared *shared, uint32_t draw)
{
    struct timespec until = in_us(CLOCK_REALTIME, draw % 400);
    int value = 0, error = 0;
    if (sem_trywait(&shared->credits) != 0) {
        error = errno;
        if (sem_timedwait(&shared->credits, &until) != 0)
            error = error * 1000 + errno;
    }
    sem_getvalue(&shared->credits, &value);
    uint64_t digest = mix((uint64_t)error, (uint64_t)value);
    sem_wait(&shared->slots); /* two at a time */
    linger(draw);
    sem_getvalue(&shared->slots, &value);
    sem_post(&shared->slots);
    return mix(digest, (uint64_t)value);
}

static void run_once(void)
{
    runs->by[once_now] = self;
    if (once_now % 4 == 0)
        usleep(100);
    runs->by[once_now] += 100;
}

/* Two threads run for the same control. Who sleeps comes late, but in a replay nobody sleeps. */
static uint64_t race(struct shared *shared, bool late)
{
    once_now = (unsigned)(shared->meetings % ONCES);
    if (late)
        usleep(200);
    pthread_once(&onces[once_now], run_once);
    return mix(once_now, runs->by[once_now]);
}

static uint64_t do_meeting(struct shared *shared, uint32_t draw)
{
    pthread_mutex_lock(&shared->party);
    shared->given = draw;
    shared->meetings++;
    linger(draw);
    int first = pthread_barrier_wait(&shared->meeting);
    uint64_t digest = race(shared, draw & 1);
    int second = pthread_barrier_wait(&shared->meeting);
    digest = mix(mix(digest, shared->taken), shared->serials);
    pthread_mutex_unlock(&shared->party);
    return mix(digest, (uint64_t)(first * 3 + second));
}

/* ---- thread-specific values; threads of C11 ---- */

struct mark {
    unsigned number;
    uint64_t seen;
};

static void mark_destroy(void *value)
{
    struct shared *shared = all;
    const struct mark *mark = value;
    pthread_mutex_lock(&shared->births.lock);
    shared->births.destroyed = mix(shared->births.destroyed, mark->seen);
    shared->births.ended[mark->number] = 1;
    pthread_mutex_unlock(&shared->births.lock);
    free(value);
}

static void count_flag(void)
{
    all->flags++;
}

static int child_run(void *argument)
{
    struct mark *mark = argument;
    self = mark->number + 50;
    tss_set(all->mark, mark);
    call_once(&flag, count_flag);
    usleep(200);
    mark->seen = all->flags;
    ((struct mark *)tss_get(all->mark))->seen += do_c11(all, mark->number * 8);
    if (mark->number % 2)
        thrd_exit((int)mark->number);
    return (int)mark->number;
}

static uint64_t do_birth(struct shared *shared, uint32_t draw)
{
    struct mark *mark = NULL;
    unsigned number = 0;
    int64_t now = clock_ns();
    pthread_mutex_lock(&shared->births.lock);
    if (shared->births.count < BIRTHS_MAX && now - shared->births.last_ns > BIRTH_GAP_NS) {
        mark = calloc(1, sizeof *mark);
        mark->number = number = ++shared->births.count;
        shared->births.last_ns = now;
    }
    uint64_t digest = mix(shared->births.destroyed, draw);
    pthread_mutex_unlock(&shared->births.lock);
    if (mark == NULL)
        return digest;
    thrd_t thread;
    int result = 0;
    if (thrd_create(&thread, child_run, mark) != thrd_success ||
        thrd_join(thread, &result) != thrd_success || result != (int)number)
        die("locks: thread");
    pthread_mutex_lock(&shared->births.lock);
    if (!shared->births.ended[number])
        die("locks: the destructor of a thread's value did not run");
    digest = mix(digest, shared->births.destroyed);
    pthread_mutex_unlock(&shared->births.lock);
    return digest;
}

static uint64_t do_keys(struct shared *shared, uint32_t draw)
{
    pthread_key_t key;
    uint64_t digest = (uint64_t)pthread_getspecific(shared->own);
    pthread_setspecific(shared->own, (void *)(mix(digest, draw) | 1));
    if (pthread_key_create(&key, NULL) != 0)
        die("locks: key");
    digest = mix(digest, key + (uint64_t)pthread_getspecific(key)); /* NULL, whoever had it */
    pthread_setspecific(key, &key);
    linger(draw);
    pthread_key_delete(key);
    return digest;
}

/* ---- a lock of a library that is not instrumented ---- */

static uint64_t do_shelf(struct shared *shared, uint32_t draw)
{
    shelf_lock(&shared->shelf);
    uint64_t digest = shelf_put(&shared->shelf, draw + self);
    linger(draw);
    shelf_unlock(&shared->shelf);
    return digest;
}

static uint64_t (*const deeds[])(struct shared *, uint32_t) = {
    do_read,  do_write,   do_rw_tries, do_prices, do_spin,      do_rte,      do_rte_rw,
    do_ck,    do_mutexes, do_c11,      do_news,   do_semaphore, do_meeting,  do_meeting,
    do_birth, do_keys,    do_shelf,    do_read,   do_read,      do_rw_tries,
};
#define DEEDS (sizeof deeds / sizeof *deeds)

static uint64_t deed(void *argument, uint32_t draw)
{
    struct worker *worker = argument;
    uint64_t digest = 0;
    for (unsigned i = 0; i < 4; i++) {
        draw = draw * 1103515245u + 12345u;
        digest = mix(digest, deeds[draw / 65536 % DEEDS](worker->shared, draw >> 8));
    }
    return digest;
}

/* ---- threads ---- */

static void *worker_run(void *argument)
{
    struct worker *worker = argument;
    self = worker->answerer.index + 1;
    for (;;)
        answers_serve(&worker->answerer, deed, worker);
}

static void *writer_run(void *argument)
{
    self = 11;
    for (uint32_t turn = 0;; turn++) {
        usleep(400);
        do_write(argument, turn * 7);
        do_rw_tries(argument, turn * 13);
        do_rte_rw(argument, turn * 3);
    }
}

static void *poster_run(void *argument)
{
    struct shared *shared = argument;
    self = 12;
    for (;;) {
        usleep(700);
        sem_post(&shared->credits);
        pthread_mutex_lock(&shared->news.lock);
        shared->news.count++;
        pthread_cond_broadcast(&shared->news.changed);
        pthread_mutex_unlock(&shared->news.lock);
        do_spin(shared, 16);
    }
}

static void *taker_run(void *argument)
{
    struct shared *shared = argument;
    self = 13;
    for (;;) {
        sem_wait(&shared->credits);
        do_shelf(shared, 5);
        do_ck(shared, 48);
        struct timespec until = in_us(CLOCK_MONOTONIC, 900);
        if (sem_clockwait(&shared->credits, CLOCK_MONOTONIC, &until) != 0)
            do_c11(shared, 7);
    }
}

static void *partner_run(void *argument)
{
    struct shared *shared = argument;
    self = 14;
    for (uint64_t last = 0;;) { /* it may touch what they share between the two barriers only */
        uint64_t first = pthread_barrier_wait(&shared->meeting) != 0;
        shared->serials += first + 1000 * last;
        shared->taken = mix(shared->taken, mix(shared->given, race(shared, ~shared->given & 1)));
        last = pthread_barrier_wait(&shared->meeting) != 0;
    }
}

/* ---- main ---- */

static void locks_init(struct shared *shared)
{
    pthread_mutexattr_t attributes;
    pthread_mutex_init(&shared->chain.lock, NULL);
    pthread_spin_init(&shared->spin, PTHREAD_PROCESS_PRIVATE);
    rte_spinlock_init(&shared->rte);
    rte_ticketlock_init(&shared->ticket);
    rte_rwlock_init(&shared->rte_rw);
    shared->recursive = (rte_spinlock_recursive_t)RTE_SPINLOCK_RECURSIVE_INITIALIZER;
    ck_spinlock_fas_init(&shared->ck);
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ERRORCHECK);
    pthread_mutex_init(&shared->checked, &attributes);
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&shared->nested, &attributes);
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ADAPTIVE_NP);
    pthread_mutex_init(&shared->adaptive, &attributes);
    sem_init(&shared->credits, 0, 1);
    sem_init(&shared->slots, 0, 2);
    pthread_mutex_init(&shared->news.lock, NULL);
    pthread_cond_init(&shared->news.changed, NULL);
    pthread_mutex_init(&shared->party, NULL);
    pthread_barrier_init(&shared->meeting, NULL, 2);
    mtx_init(&shared->plain, mtx_plain);
    mtx_init(&shared->timed, mtx_timed);
    cnd_init(&shared->bell);
    pthread_mutex_init(&shared->births.lock, NULL);
    if (tss_create(&shared->mark, mark_destroy) != thrd_success ||
        pthread_key_create(&shared->own, NULL) != 0)
        die("locks: key");
}

int main(int argc, char **argv)
{
    static void *(*const helpers[HELPERS])(void *) = {writer_run, poster_run, taker_run,
                                                      partner_run};
    struct shared shared;
    pthread_t thread;

    if (argc != 3) {
        fprintf(stderr, "usage: %s LAN WAN\n", argv[0]);
        return 64;
    }
    memset(&shared, 0, sizeof shared);
    all = &shared;
    if ((runs = calloc(1, sizeof *runs)) == NULL)
        die("locks: memory");
    locks_init(&shared);
    for (int i = 0; i < 2; i++)
        shared.ports[i] = answers_port(argv[1 + i]);
    for (unsigned w = 0; w < WORKERS; w++) {
        struct worker *worker = calloc(1, sizeof *worker);
        if (worker == NULL)
            die("locks: memory");
        worker->shared = &shared;
        worker->answerer = (struct answerer){.chain = &shared.chain, .index = w};
        worker->answerer.port = shared.ports[w / 2];
        worker->answerer.socket = answers_socket(shared.ports[w / 2], 1 + (int)w / 2);
        if (pthread_create(&thread, NULL, worker_run, worker) != 0)
            die("locks: thread");
    }
    for (unsigned h = 0; h < HELPERS; h++)
        if (pthread_create(&thread, NULL, helpers[h], &shared) != 0)
            die("locks: thread");
    for (uint64_t ticks = 1;; ticks++) {
        usleep(TICK_US);
        uint64_t seen = do_read(&shared, (uint32_t)ticks);
        if (ticks % TICKS_PRINTED == 0)
            answers_print(&shared.chain, ticks, seen);
    }
}
