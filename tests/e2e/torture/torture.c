/*
 * torture: a network function that does nothing but tell on itself.
 *
 * Every answer carries a digest of all that the program knows: addresses of heap blocks, results
 * of tries and of timed waits, racy words, thread-local counters, exit values of threads. The
 * answers form one chain (answers.h).
 *
 * Threads. Four workers receive, each in its own way (blocking, poll, batches, two on one socket);
 * two helpers do jobs for them through a queue; two spinners pass batons by plain stores; a
 * sleeper waits for ticks, a dozer for nothing; a keeper holds a mutex that workers try; main
 * ticks. Workers start short-lived threads now and then.
 *
 * What they share lies in main's stack (struct shared), on the heap, and in the racy words below.
 * Locks in the order they are taken: outer, nested, jobs.lock, pool.lock, births.lock, chain.lock.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <poll.h>
#include <sched.h>

#include "answers.h"

#define WORKERS 4
#define HELPERS 2
#define POOL 32
#define JOBS 4
#define BATCH 8
#define BIRTHS_MAX 40 /* the runtime gives out 64 indices, 12 of them to the threads that stay */
#define BIRTH_GAP_NS 120000000
#define DEPTH 12
#define TICK_US 2000
#define BATONS 4
#define DOZE_US 1000000000u
#define TICKS_PRINTED 64

/* ---- racy words: no lock anywhere ---- */

static uint64_t now_word;          /* written by main */
static uint8_t phase;              /* written by main */
static uint16_t last_worker;       /* written by all workers, the last one wins */
static uint32_t progress[WORKERS]; /* each written by its worker, read by all */
static uint32_t batons[BATONS];    /* each written by the spinner whose turn it is */
static int stopped;                /* never written while threads run */

struct job {
    uint64_t input, output;
    uint64_t *result; /* allocated by the helper, freed by the worker */
    int done;
};

struct shared {
    pthread_mutex_t outer, nested, timed;
    uint64_t nested_count, timed_count;
    struct {
        pthread_mutex_t lock;
        pthread_cond_t filled, emptied, done;
        struct job *queue[JOBS];
        unsigned first, count;
        uint64_t handled;
    } jobs;
    struct {
        pthread_mutex_t lock;
        uint8_t *blocks[POOL];
        size_t bytes[POOL];
    } pool;
    struct {
        pthread_mutex_t lock;
        int64_t last_ns;
        unsigned count;
    } births;
    struct {
        pthread_mutex_t lock;
        pthread_cond_t changed;
        uint64_t count, seen;
    } tick;
    struct chain chain;
    int sockets[3]; /* lan, lan, wan */
    int ports[2];   /* interface indices: lan, wan */
};

struct worker {
    struct shared *shared;
    pthread_t thread;
    uint64_t index, n;
    uint64_t digest;
    uint32_t draw;
    uint8_t in[BATCH][2048], out[BATCH][256];
};

static __thread uint64_t own_calls;
static __thread uint64_t own_hash = 5;

static struct timespec realtime_in(long us)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += us * 1000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    return until;
}

/* ---- things a worker does, chosen at random through a table of functions ---- */

/* Blocks that other threads allocated are freed here, and the other way round. */
static uint64_t do_memory(struct worker *worker)
{
    struct shared *shared = worker->shared;
    unsigned slot = worker->draw % POOL;
    size_t bytes = 16 + worker->draw / POOL % (worker->draw % 64 == 0 ? 40000 : 600);
    uint8_t *block = worker->draw & 4096 ? calloc(1, bytes) : malloc(bytes);
    if (block == NULL)
        die("torture: memory");
    memset(block, (int)worker->index, bytes < 64 ? bytes : 64);
    pthread_mutex_lock(&shared->pool.lock);
    uint8_t *other = shared->pool.blocks[slot];
    size_t other_bytes = shared->pool.bytes[slot];
    shared->pool.blocks[slot] = block;
    shared->pool.bytes[slot] = bytes;
    pthread_mutex_unlock(&shared->pool.lock);
    uint64_t digest = mix((uint64_t)block, (uint64_t)other);
    if (other == NULL)
        return digest;
    digest = mix(digest, other[other_bytes < 16 ? 0 : 15]);
    if (worker->draw & 8192) {
        other = realloc(other, other_bytes + worker->draw % 1000);
        digest = mix(digest, (uint64_t)other);
    }
    free(other);
    return digest;
}

static uint64_t do_recursive(struct worker *worker)
{
    struct shared *shared = worker->shared;
    uint64_t count = 0;
    for (unsigned i = 0; i < 3; i++) {
        pthread_mutex_lock(&shared->nested);
        count = mix(count, ++shared->nested_count);
    }
    for (unsigned i = 0; i < 3; i++)
        pthread_mutex_unlock(&shared->nested);
    return count;
}

static uint64_t do_tries(struct worker *worker)
{
    struct shared *shared = worker->shared;
    uint64_t digest = 0;
    for (unsigned i = 0; i < 4; i++) {
        int result = pthread_mutex_trylock(&shared->timed);
        digest = mix(digest, (uint64_t)result);
        if (result == 0) {
            digest = mix(digest, ++shared->timed_count);
            if (worker->draw % 4 == 0)
                usleep(50);
            pthread_mutex_unlock(&shared->timed);
        }
    }
    struct timespec until = realtime_in(worker->draw % 300);
    int result = pthread_mutex_timedlock(&shared->timed, &until);
    if (result == 0) {
        digest = mix(digest, ++shared->timed_count);
        if (worker->draw % 8 == 0) {
            struct timespec length = {.tv_nsec = 200000};
            nanosleep(&length, NULL);
        }
        pthread_mutex_unlock(&shared->timed);
    }
    return mix(digest, (uint64_t)result);
}

/* A job for the helpers, waited for with and without a time limit. */
static uint64_t do_job(struct worker *worker)
{
    struct shared *shared = worker->shared;
    uint64_t timeouts = 0;
    struct job *job = calloc(1, sizeof *job);
    if (job == NULL)
        die("torture: memory");
    job->input = worker->draw;
    pthread_mutex_lock(&shared->jobs.lock);
    while (shared->jobs.count == JOBS)
        pthread_cond_wait(&shared->jobs.emptied, &shared->jobs.lock);
    shared->jobs.queue[(shared->jobs.first + shared->jobs.count++) % JOBS] = job;
    pthread_cond_signal(&shared->jobs.filled);
    while (!job->done) {
        if (worker->draw & 1) {
            pthread_cond_wait(&shared->jobs.done, &shared->jobs.lock);
        } else {
            struct timespec until = realtime_in(worker->draw % 200);
            timeouts +=
                pthread_cond_timedwait(&shared->jobs.done, &shared->jobs.lock, &until) == ETIMEDOUT;
        }
    }
    uint64_t digest = mix(shared->jobs.handled, job->output);
    pthread_mutex_unlock(&shared->jobs.lock);
    digest = mix(mix(digest, timeouts), (uint64_t)job ^ (uint64_t)job->result ^ *job->result);
    free(job->result);
    free(job);
    return digest;
}

static uint64_t do_racy(struct worker *worker)
{
    uint64_t digest = mix(now_word, phase);
    digest = mix(digest, last_worker);
    last_worker = (uint16_t)(worker->index * 1000 + worker->draw % 1000);
    for (unsigned i = 0; i < WORKERS; i++)
        digest = mix(digest, progress[i]);
    for (unsigned b = 0; b < BATONS; b++)
        digest = mix(digest, batons[b]);
    digest = mix(digest, last_worker);
    progress[worker->index]++;
    return digest;
}

static uint64_t do_values(struct worker *worker)
{
    uint64_t bytes[3];
    if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes)
        die("torture: getrandom");
    uint64_t digest = mix(mix(bytes[0], bytes[1]), bytes[2]);
    digest = mix(digest, (uint64_t)time(NULL));
    digest = mix(digest, (uint64_t)rand());
    digest = mix(digest, (uint64_t)random());
    if (worker->draw % 16 == 0)
        sched_yield();
    return mix(digest, (uint64_t)clock_ns());
}

struct birth {
    struct shared *shared;
    uint64_t number;
};

static void *child_run(void *argument)
{
    struct birth *birth = argument;
    uint64_t *value = malloc(64);
    if (value == NULL)
        die("torture: memory");
    own_calls += birth->number;
    usleep(300);
    pthread_mutex_lock(&birth->shared->nested);
    *value = mix(birth->shared->nested_count, own_calls + own_hash);
    pthread_mutex_unlock(&birth->shared->nested);
    if (birth->number % 2)
        pthread_exit(value);
    return value;
}

static uint64_t do_birth(struct worker *worker)
{
    struct shared *shared = worker->shared;
    struct birth *birth = NULL;
    int64_t now = clock_ns();
    pthread_mutex_lock(&shared->births.lock);
    if (shared->births.count < BIRTHS_MAX && now - shared->births.last_ns > BIRTH_GAP_NS) {
        birth = malloc(sizeof *birth);
        if (birth == NULL)
            die("torture: memory");
        birth->shared = shared;
        birth->number = ++shared->births.count;
        shared->births.last_ns = now;
    }
    pthread_mutex_unlock(&shared->births.lock);
    if (birth == NULL)
        return 0;
    pthread_t thread;
    void *value = NULL;
    if (pthread_create(&thread, NULL, child_run, birth) != 0 || pthread_join(thread, &value) != 0)
        die("torture: thread");
    uint64_t digest = mix(mix((uint64_t)thread, (uint64_t)value), *(uint64_t *)value);
    free(value);
    free(birth);
    return digest;
}

static uint64_t do_outer(struct worker *worker)
{
    pthread_mutex_lock(&worker->shared->outer);
    uint64_t digest = do_recursive(worker);
    if (worker->draw % 32 == 0)
        usleep(100);
    digest = mix(digest, do_memory(worker));
    pthread_mutex_unlock(&worker->shared->outer);
    return digest;
}

static uint64_t (*const deeds[])(struct worker *) = {
    do_memory, do_recursive, do_tries, do_job, do_racy, do_values, do_birth, do_outer,
};
#define DEEDS (sizeof deeds / sizeof *deeds)

/* A deed at the bottom of a deep stack whose every frame matters on the way back. */
static __attribute__((noinline)) uint64_t deep(struct worker *worker, unsigned level)
{
    uint64_t frame[24];
    for (unsigned i = 0; i < 24; i++)
        frame[i] = worker->draw + level * 31 + i;
    if (level == 0)
        return deeds[worker->draw % DEEDS](worker);
    uint64_t digest = deep(worker, level - 1);
    for (unsigned i = 0; i < 24; i++)
        digest = mix(digest, frame[i]);
    return digest;
}

/* ---- one packet ---- */

static size_t answer_write(struct worker *worker, const uint8_t *in, size_t length, uint8_t *out)
{
    struct request request;
    if (!answers_request(in, length, &request))
        return 0;
    own_calls++;
    worker->draw = (uint32_t)rand();
    worker->digest = mix(worker->digest, do_racy(worker));
    worker->digest = mix(worker->digest, deep(worker, worker->draw / 8 % DEPTH));
    worker->draw = worker->draw * 1103515245u + 12345u;
    worker->digest = mix(worker->digest, deeds[worker->draw / 65536 % DEEDS](worker));
    own_hash = mix(own_hash, worker->digest);
    return answers_write(&worker->shared->chain, &request, worker->index, &worker->n,
                         mix(own_hash, own_calls), 24 + worker->draw % 100, in, out);
}

/* ---- workers: four ways to receive, two to send ---- */

static void send_one(struct worker *worker, const uint8_t *in, size_t length)
{
    struct shared *shared = worker->shared;
    size_t bytes = answer_write(worker, in, length, worker->out[0]);
    if (bytes > 0)
        answers_send(shared->sockets[0], shared->ports[worker->draw >> 20 & 1], worker->out[0],
                     bytes);
}

static void send_batch(struct worker *worker, int fd, const struct mmsghdr *in, int count)
{
    struct mmsghdr messages[BATCH];
    struct iovec parts[BATCH];
    unsigned ready = 0;
    memset(messages, 0, sizeof messages);
    for (int i = 0; i < count; i++) {
        size_t bytes = answer_write(worker, worker->in[i], in[i].msg_len, worker->out[ready]);
        if (bytes == 0)
            continue;
        parts[ready] = (struct iovec){worker->out[ready], bytes};
        messages[ready].msg_hdr.msg_iov = &parts[ready];
        messages[ready++].msg_hdr.msg_iovlen = 1;
    }
    for (unsigned sent = 0; sent < ready;) {
        int n = sendmmsg(fd, messages + sent, ready - sent, 0);
        if (n <= 0)
            die("torture: sendmmsg");
        sent += (unsigned)n;
    }
}

static void receive_batch(struct worker *worker, int fd, int flags)
{
    struct mmsghdr messages[BATCH];
    struct iovec parts[BATCH];
    memset(messages, 0, sizeof messages);
    for (unsigned i = 0; i < BATCH; i++) {
        parts[i] = (struct iovec){worker->in[i], sizeof worker->in[i]};
        messages[i].msg_hdr.msg_iov = &parts[i];
        messages[i].msg_hdr.msg_iovlen = 1;
    }
    int received = recvmmsg(fd, messages, BATCH, flags, NULL);
    if (received > 0)
        send_batch(worker, fd, messages, received);
    else if (!(flags & MSG_DONTWAIT))
        die("torture: a blocking recvmmsg returned nothing");
}

static void receive_one(struct worker *worker, int fd, int flags)
{
    struct sockaddr_ll from;
    socklen_t length = sizeof from;
    ssize_t bytes =
        recvfrom(fd, worker->in[0], sizeof worker->in[0], flags, (struct sockaddr *)&from, &length);
    if (bytes > 0) {
        worker->digest = mix(worker->digest, (uint64_t)from.sll_ifindex);
        send_one(worker, worker->in[0], (size_t)bytes);
    } else if (!(flags & MSG_DONTWAIT)) {
        die("torture: a blocking recvfrom returned nothing");
    }
}

static void *worker_run(void *argument)
{
    struct worker *worker = argument;
    const int *sockets = worker->shared->sockets;
    own_hash += worker->index;
    while (!stopped) {
        struct pollfd ready = {.fd = sockets[worker->index == 1 ? 1 : 2], .events = POLLIN};
        switch (worker->index) {
        case 0:
            receive_one(worker, sockets[0], 0);
            break;
        case 1:
            if (poll(&ready, 1, -1) > 0)
                receive_batch(worker, sockets[1], MSG_DONTWAIT);
            break;
        case 2:
            worker->digest = mix(worker->digest, (uint64_t)poll(&ready, 1, 3));
            if (ready.revents & ~POLLIN)
                die("torture: poll");
            receive_one(worker, sockets[2], MSG_DONTWAIT);
            break;
        default:
            receive_batch(worker, sockets[2], MSG_WAITFORONE);
        }
    }
    return NULL;
}

/* ---- helpers, spinners, the sleeper ---- */

static void *helper_run(void *argument)
{
    struct shared *shared = argument;
    for (;;) {
        pthread_mutex_lock(&shared->jobs.lock);
        while (shared->jobs.count == 0)
            pthread_cond_wait(&shared->jobs.filled, &shared->jobs.lock);
        struct job *job = shared->jobs.queue[shared->jobs.first];
        shared->jobs.first = (shared->jobs.first + 1) % JOBS;
        shared->jobs.count--;
        pthread_cond_signal(&shared->jobs.emptied);
        pthread_mutex_unlock(&shared->jobs.lock);

        uint64_t *result = malloc(16 + job->input % 200);
        if (result == NULL)
            die("torture: memory");
        *result = mix(job->input, ++own_calls);
        uint64_t output = mix(*result, now_word);
        if (job->input % 64 == 0)
            usleep(150);

        pthread_mutex_lock(&shared->jobs.lock);
        job->result = result;
        job->output = output;
        job->done = 1;
        shared->jobs.handled++;
        pthread_cond_broadcast(&shared->jobs.done);
        pthread_mutex_unlock(&shared->jobs.lock);
    }
    return NULL;
}

struct spinner {
    uint32_t side;
};

static uint32_t look_at(const uint32_t *baton, uint32_t given)
{
    uint32_t seen = *baton;
    if (seen < given) {
        fprintf(stderr, "torture: a baton went back from %u to %u\n", given, seen);
        exit(1);
    }
    return seen;
}

/* Waits until the baton is on this side, now and then without patience, and gives it back. */
static void pass_baton(uint32_t *baton, uint32_t side, unsigned turn, uint32_t *given)
{
    while ((look_at(baton, *given) & 1) != side)
        if (turn % 16 >= 12)
            sched_yield();
        else if (turn % 16 != 0)
            usleep(30);
    *given = ++*baton;
}

/*
 * Two threads that pass words to and fro without any lock. One word was written last by this side,
 * the next one by that: memory is only right after a takeover if the order of the stores is,
 * whichever thread's replay is the faster one. The second pair rests longer, for a kill in the
 * middle of a turn.
 */
static void *spinner_run(void *argument)
{
    const struct spinner *spinner = argument;
    uint32_t given[BATONS] = {0};
    for (unsigned turn = 0;; turn++) {
        for (unsigned b = 0; b < (turn % 16 < 12 && turn % 4 == 1 ? BATONS : 2); b++)
            pass_baton(&batons[b], spinner->side ^ (b & 1), turn, &given[b]);
        usleep(1900 + 100 * spinner->side);
    }
    return NULL;
}

static void *sleeper_run(void *argument)
{
    struct shared *shared = argument;
    pthread_mutex_lock(&shared->tick.lock);
    for (;;) {
        uint64_t seen = shared->tick.count;
        while (shared->tick.count == seen)
            pthread_cond_wait(&shared->tick.changed, &shared->tick.lock);
        shared->tick.seen++;
    }
    return NULL;
}

/*
 * Holds the mutex that do_tries wants for longer than a timed lock waits. A replay does not sleep,
 * so that only the order lets these fail again.
 */
static void *keeper_run(void *argument)
{
    struct shared *shared = argument;
    for (;;) {
        pthread_mutex_lock(&shared->timed);
        shared->timed_count++;
        usleep(1500);
        pthread_mutex_unlock(&shared->timed);
        usleep(1500);
    }
    return NULL;
}

/* Sleeps through it all: no snapshot waits for it. */
static void *dozer_run(void *argument)
{
    for (;;)
        usleep(DOZE_US);
    return argument;
}

/* ---- main ---- */

static void start(void *(*run)(void *), void *argument)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, run, argument) != 0)
        die("torture: thread");
}

static void tick(struct shared *shared, uint64_t ticks)
{
    usleep(TICK_US);
    now_word = (uint64_t)clock_ns();
    phase = (uint8_t)ticks;
    pthread_mutex_lock(&shared->tick.lock);
    shared->tick.count++;
    pthread_cond_broadcast(&shared->tick.changed);
    uint64_t seen = shared->tick.seen;
    pthread_mutex_unlock(&shared->tick.lock);
    if (ticks % TICKS_PRINTED == 0)
        answers_print(&shared->chain, ticks, seen);
}

int main(int argc, char **argv)
{
    struct shared shared;
    struct spinner spinners[2] = {{0}, {1}};
    pthread_mutexattr_t recursive;

    if (argc != 3) {
        fprintf(stderr, "usage: %s LAN WAN\n", argv[0]);
        return 64;
    }
    memset(&shared, 0, sizeof shared);
    pthread_mutexattr_init(&recursive);
    pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&shared.nested, &recursive);
    pthread_mutex_init(&shared.outer, NULL);
    pthread_mutex_init(&shared.timed, NULL);
    pthread_mutex_init(&shared.jobs.lock, NULL);
    pthread_mutex_init(&shared.pool.lock, NULL);
    pthread_mutex_init(&shared.births.lock, NULL);
    pthread_mutex_init(&shared.tick.lock, NULL);
    pthread_mutex_init(&shared.chain.lock, NULL);
    pthread_cond_init(&shared.jobs.filled, NULL);
    pthread_cond_init(&shared.jobs.emptied, NULL);
    pthread_cond_init(&shared.jobs.done, NULL);
    pthread_cond_init(&shared.tick.changed, NULL);
    for (int i = 0; i < 2; i++)
        shared.ports[i] = answers_port(argv[1 + i]);
    for (int i = 0; i < 3; i++)
        shared.sockets[i] = answers_socket(shared.ports[i / 2], 1 + i / 2);

    for (unsigned w = 0; w < WORKERS; w++) {
        struct worker *worker = calloc(1, sizeof *worker);
        if (worker == NULL)
            die("torture: memory");
        worker->shared = &shared;
        worker->index = w;
        if (pthread_create(&worker->thread, NULL, worker_run, worker) != 0)
            die("torture: thread");
    }
    for (unsigned h = 0; h < HELPERS; h++)
        start(helper_run, &shared);
    for (unsigned s = 0; s < 2; s++)
        start(spinner_run, &spinners[s]);
    start(sleeper_run, &shared);
    start(keeper_run, &shared);
    start(dozer_run, NULL);
    for (uint64_t ticks = 1;; ticks++)
        tick(&shared, ticks);
}
