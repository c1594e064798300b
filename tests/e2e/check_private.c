/*
 * What standby=check must name, and what not. A thread a port; each answers (torture/answers.h).
 *
 *   tally   the lan thread counts in it by name; the wan thread by an address that went through an
 *           integer. The pass follows it nowhere, and calls both private.
 *   errand  goes from lan to wan and back through locked queues, and whoever has it writes to it
 *           without a lock: as private as the report says.
 *   relay   one more errand on its way through a slot that two semaphores guard, and a number that
 *           two other threads write and read between barriers. The pass knows of neither: private.
 */
#include "torture/answers.h"

#include <semaphore.h>

#define LOST 64 /* errands on their way at most */

struct tally {
    uint64_t packets, bytes;
};

struct errand {
    struct errand *next;
    uint64_t steps, by;
    uint8_t load[40];
};

struct relay {
    sem_t full, empty;
    struct errand *slot;
    pthread_barrier_t barrier;
    uint64_t round, seen;
};

struct queue {
    pthread_mutex_t lock;
    struct errand *first;
    uint32_t count;
};

static struct chain chain = {.lock = PTHREAD_MUTEX_INITIALIZER};
static struct answerer lan = {.chain = &chain, .index = 0}, wan = {.chain = &chain, .index = 1};
static struct queue out = {.lock = PTHREAD_MUTEX_INITIALIZER},
                    back = {.lock = PTHREAD_MUTEX_INITIALIZER};
static struct tally tally;
static uintptr_t observed;

static void put(struct queue *queue, struct errand *errand)
{
    pthread_mutex_lock(&queue->lock);
    errand->next = queue->first;
    queue->first = errand;
    queue->count++;
    pthread_mutex_unlock(&queue->lock);
}

static struct errand *take(struct queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    struct errand *errand = queue->first;
    if (errand) {
        queue->first = errand->next;
        queue->count--;
    }
    pthread_mutex_unlock(&queue->lock);
    return errand;
}

__attribute__((noinline)) static void step(struct errand *errand, uint64_t by)
{
    errand->steps++;
    errand->by = by;
    memset(errand->load, (int)by, sizeof errand->load);
}

static uint64_t lan_deed(void *argument, uint32_t draw)
{
    struct relay *relay = argument;
    uint64_t steps = 0;
    tally.packets++; /* by name */
    struct errand *errand;
    while ((errand = take(&back))) {
        step(errand, draw);
        steps += errand->steps;
        free(errand);
    }
    pthread_mutex_lock(&out.lock);
    uint32_t waiting = out.count;
    pthread_mutex_unlock(&out.lock);
    if (waiting < LOST && (errand = calloc(1, sizeof *errand))) {
        step(errand, draw);
        put(&out, errand);
    }
    if (sem_trywait(&relay->empty) == 0) {
        relay->slot = calloc(1, sizeof *relay->slot);
        step(relay->slot, draw);
        sem_post(&relay->full);
    }
    return steps;
}

static uint64_t wan_deed(void *argument, uint32_t draw)
{
    struct tally *hidden = (struct tally *)observed;
    struct relay *relay = argument;
    hidden->packets++; /* by an integer */
    struct errand *errand = take(&out);
    if (errand) {
        step(errand, draw);
        put(&back, errand);
    }
    if (sem_trywait(&relay->full) == 0) {
        errand = relay->slot;
        step(errand, draw);
        sem_post(&relay->empty);
        put(&back, errand);
    }
    return draw;
}

static void *lan_work(void *argument)
{
    for (;;)
        answers_serve(&lan, lan_deed, argument);
}

static void *wan_work(void *argument)
{
    for (;;)
        answers_serve(&wan, wan_deed, argument);
}

static void *even_work(void *argument)
{
    struct relay *relay = argument;
    for (;;) {
        usleep(2000);
        relay->round++;
        pthread_barrier_wait(&relay->barrier);
        pthread_barrier_wait(&relay->barrier);
    }
}

static void *odd_work(void *argument)
{
    struct relay *relay = argument;
    for (;;) {
        pthread_barrier_wait(&relay->barrier);
        relay->seen += relay->round;
        pthread_barrier_wait(&relay->barrier);
    }
}

int main(int argc, char **argv)
{
    if (argc < 3)
        die("check_private LAN WAN");
    lan.port = answers_port(argv[1]);
    wan.port = answers_port(argv[2]);
    lan.socket = answers_socket(lan.port, 1);
    wan.socket = answers_socket(wan.port, 2);
    observed = (uintptr_t)&tally;
    struct relay *relay = calloc(1, sizeof *relay);
    if (relay == NULL || sem_init(&relay->empty, 0, 1) || sem_init(&relay->full, 0, 0) ||
        pthread_barrier_init(&relay->barrier, NULL, 2))
        die("check_private");
    pthread_t threads[4];
    pthread_create(&threads[0], NULL, lan_work, relay);
    pthread_create(&threads[1], NULL, wan_work, relay);
    pthread_create(&threads[2], NULL, even_work, relay);
    pthread_create(&threads[3], NULL, odd_work, relay);
    for (uint64_t tick = 1;; tick++) {
        usleep(100000);
        answers_print(&chain, tick, 0);
    }
}
