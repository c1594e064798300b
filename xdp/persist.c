#include "persist.h"

#include <pthread.h>
#include <time.h>

#define ROUND_NS 1000000

struct writing {
    struct epoch_file *file;
    uint32_t epoch;
    int error;
};

static void *write_it(void *context)
{
    struct writing *writing = context;

    writing->error = epoch_file_write(writing->file, writing->epoch);
    return NULL;
}

static void heartbeats(struct logger *logger)
{
    static const struct message heartbeat = {.kind = MESSAGE_HEARTBEAT};

    for (uint32_t i = 0; i < PEERS_MAX; i++)
        if (logger->peers[i] && !logger->peers[i]->leaving &&
            !lifeline_queued(logger->peers[i]->line))
            lifeline_send(logger->peers[i]->line, &heartbeat);
}

int epoch_persist(struct logger *logger, struct epoch_file *file, uint32_t epoch,
                  void (*meanwhile)(struct logger *logger))
{
    struct writing writing = {.file = file, .epoch = epoch};
    struct timespec until;
    pthread_t thread;
    int64_t beaten_ns = logger->now_ns;

    if (pthread_create(&thread, NULL, write_it, &writing)) /* then without heartbeats */
        return epoch_file_write(file, epoch);
    do {
        logger->now_ns = logger_clock_ns();
        if (meanwhile)
            meanwhile(logger);
        if (logger->now_ns - beaten_ns >= HEARTBEAT_EVERY_NS) {
            heartbeats(logger);
            beaten_ns = logger->now_ns;
        }
        until.tv_sec = (logger->now_ns + ROUND_NS) / 1000000000;
        until.tv_nsec = (logger->now_ns + ROUND_NS) % 1000000000;
    } while (pthread_clockjoin_np(thread, NULL, CLOCK_MONOTONIC, &until));
    logger->now_ns = logger_clock_ns();
    return writing.error;
}
