#include "persist.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define ROUND_NS 1000000

/* One at a time. A takeover goes on as soon as it has ended, not when its thread is gone, too. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t ended;
    struct epoch_file *file;
    struct epoch_state state;
    bool done;
    int error;
} writing = {.lock = PTHREAD_MUTEX_INITIALIZER, .ended = PTHREAD_COND_INITIALIZER};

static void *write_it(void *unused)
{
    (void)unused;
    int error = epoch_file_write(writing.file, writing.state);
    pthread_mutex_lock(&writing.lock);
    writing.error = error;
    writing.done = true;
    pthread_cond_signal(&writing.ended);
    pthread_mutex_unlock(&writing.lock);
    return NULL;
}

static bool written_by(int64_t until_ns)
{
    const struct timespec until = {until_ns / 1000000000, until_ns % 1000000000};
    int error = 0;

    pthread_mutex_lock(&writing.lock);
    while (!writing.done && error == 0)
        error = pthread_cond_clockwait(&writing.ended, &writing.lock, CLOCK_MONOTONIC, &until);
    bool done = writing.done;
    pthread_mutex_unlock(&writing.lock);
    return done;
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
    pthread_t thread;
    int64_t beaten_ns = logger->now_ns;

    writing.file = file;
    writing.state = state;
    writing.done = false;
    if (pthread_create(&thread, NULL, write_it, NULL)) /* then without heartbeats */
        return epoch_file_write(file, state);
    pthread_detach(thread);
    do {
        logger->now_ns = logger_clock_ns();
        if (meanwhile)
            meanwhile(logger);
        if (logger->now_ns - beaten_ns >= HEARTBEAT_EVERY_NS) {
            heartbeats(logger);
            beaten_ns = logger->now_ns;
        }
    } while (!written_by(logger->now_ns + ROUND_NS));
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
