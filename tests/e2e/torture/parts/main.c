#include "parts.h"

#define TICK_US 2000
#define TICKS_PRINTED 64

uint64_t limits[ENTRIES], clock_us, turns;

static struct chain chain = {.lock = PTHREAD_MUTEX_INITIALIZER};
static struct answerer lan = {.chain = &chain, .index = 0};
static struct answerer wan = {.chain = &chain, .index = 1};

static struct {
    pthread_t thread;
    void *(*run)(void *);
    struct answerer *answerer;
} jobs[] = {
    {.run = serve_lan, .answerer = &lan},
    {.run = serve_wan, .answerer = &wan},
    {.run = tell_time},
};
#define JOBS (sizeof jobs / sizeof *jobs)

int main(int argc, char **argv)
{
    if (argc != 3)
        return 64;
    lan.port = answers_port(argv[1]);
    wan.port = answers_port(argv[2]);
    lan.socket = answers_socket(lan.port, 1);
    wan.socket = answers_socket(wan.port, 2);
    for (unsigned i = 0; i < ENTRIES; i++)
        limits[i] = 3 + i;
    for (unsigned i = 0; i < JOBS; i++)
        if (pthread_create(&jobs[i].thread, NULL, jobs[i].run, jobs[i].answerer) != 0)
            die("torture: thread");
    for (uint64_t tick = 1;; tick++) {
        usleep(TICK_US);
        if (tick % TICKS_PRINTED != 0)
            continue;
        ledger_take();
        uint64_t total = ledger.total;
        ledger_give();
        answers_print(&chain, tick, total);
    }
}
