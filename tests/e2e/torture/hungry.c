/*
 * hungry: logs far more than the loggers and its own rings hold: for each request 64 KiB of random
 * bytes in one call, which waits in its middle for room in the log. A thread and a socket a port;
 * one of them computes from time to time for longer than a snapshot waits, while the other logs.
 */
#include "answers.h"

#define BYTES 65536
#define TICK_US 2000

#define COMPUTES_EVERY 64
#define COMPUTES 60000000u

static struct chain chain = {.lock = PTHREAD_MUTEX_INITIALIZER};
static struct answerer lanes[2];

static uint64_t devour(void *argument, uint32_t draw)
{
    static __thread uint64_t hash;
    static __thread uint32_t served;
    uint64_t *bytes = argument;
    if (getrandom(bytes, BYTES, 0) != BYTES)
        die("hungry: getrandom");
    for (size_t i = 0; i < BYTES / sizeof *bytes; i++)
        hash = mix(hash, bytes[i]);
    if (++served % COMPUTES_EVERY == 0)
        for (uint32_t i = 0; i < COMPUTES; i++)
            hash = mix(hash, i);
    return mix(hash, draw);
}

static void *run(void *argument)
{
    uint64_t *bytes = malloc(BYTES);
    for (;;)
        answers_serve(argument, devour, bytes);
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t threads[2];
    if (argc != 3)
        return 64;
    for (int i = 0; i < 2; i++) {
        int port = answers_port(argv[1 + i]);
        lanes[i] = (struct answerer){
            .chain = &chain, .index = (uint64_t)i, .port = port, .socket = answers_socket(port, i)};
    }
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, run, &lanes[i]);
    for (uint64_t tick = 0;; tick++) {
        usleep(TICK_US);
        if (tick % 64 == 0)
            answers_print(&chain, tick, tick);
    }
}
