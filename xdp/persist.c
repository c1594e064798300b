#include "persist.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define ROUND_NS 1000000

struct writing {
    struct epoch_file *file;
    struct epoch_state state;
    int error;
};

static void *write_it(void *context)
{
    struct writing *writing = context;

    writing->error = epoch_file_write(writing->file, writing->state);
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

int epoch_persist(struct logger *logger, struct epoch_file *file, struct epoch_state state,
                  void (*meanwhile)(struct logger *logger))
{
    struct writing writing = {.file = file, .state = state};
    struct timespec until;
    pthread_t thread;
    int64_t beaten_ns = logger->now_ns;

    if (pthread_create(&thread, NULL, write_it, &writing)) /* then without heartbeats */
        return epoch_file_write(file, state);
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

enum status epoch_start(struct logger *logger, struct epoch_file **file, struct epoch_state *state,
                        char *why)
{
    const char *directory = logger->options.state;
    enum status status =
        epoch_file_open(file, directory, logger->behaviour->defaults->program, state, why);

    if (status != STATUS_OK || !logger->options.forget)
        return status;
    if (!state->open) {
        logger_say(logger, "--forget: no reign is open, nothing is given up");
        return STATUS_OK;
    }
    state->open = false;
    int error = epoch_file_write(*file, *state);
    if (error) {
        snprintf(why, WHY_BYTES, "the epoch cannot be written to %s: %s", directory,
                 strerror(-error));
        return STATUS_DISK;
    }
    logger_say(logger, "--forget: what the master of epoch %u held is given up", state->number);
    journal_event(logger->journal, "forgotten", "{s:I}", "epoch", (json_int_t)state->number);
    return STATUS_OK;
}
