/*
 * A hot standby: it has the base in place, and replays what the master does as the logs become
 * stable and the inputs enter. What stands in its way for good (a logger is lost, the input
 * logger's ring went on without it) is answered by beginning anew, as a backup just started: the
 * process executes itself again.
 */
#include <errno.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fault/fault.h"
#include "hooks/files/effect.h"
#include "io/io.h"
#include "replay/departure.h"
#include "replay/inputs.h"
#include "replay/replay.h"
#include "replay/stored.h"

#define LOGGER_PATIENCE_MS 1000
#define STARTED_OVER "PALISADE_STARTED_OVER" /* since when, for who is executed again */
/* That long the kernel, or a logger, may take who we were for alive. */
#define BUSY_PATIENCE_NS 10000000000
#define RETRY_US 50000

/* As main got them. Replay puts the image's environment, the master's, in the place of ours. */
static char *const *arguments;
static char **environment;
static sigset_t signals;

static int64_t started_over_ns; /* 0: this process did not */
static char mark[sizeof STARTED_OVER + 24];

void standby_arguments(char *const *argv)
{
    const char *since = getenv(STARTED_OVER);
    started_over_ns = since ? strtoll(since, NULL, 10) : 0;
    snprintf(mark, sizeof mark, STARTED_OVER "=%lld", (long long)started_over_ns);
    if (putenv(mark) != 0)
        process_fail(STATUS_MEMORY, "no memory for the environment");
    arguments = argv;
    environment = environ;
    pthread_sigmask(SIG_BLOCK, NULL, &signals);
}

int standby_follow(uint32_t epoch, uint64_t number)
{
    const struct snapshot_mark *base = backup_base();
    if (base->number != number || number == 0)
        return -EBADMSG;
    if (io.il_line == NULL)
        standby_start_over("the input logger is away");
    io.epoch = epoch; /* its master may have come after us */
    struct message message = {
        .kind = MESSAGE_COPY,
        .epoch = io.epoch,
        .reign = {.claimant = io.claimant, .claim = {base->inputs_of, base->inputs_from}}};
    memset(process.held, 0, sizeof process.held);
    memset(process.effects_done, 0, sizeof process.effects_done);
    backup_inputs_begin();
    fault_point(FAULT_BACKUP_FOLLOW);
    if (lifeline_send(io.il_line, &message) != 0)
        standby_start_over("the input logger is gone");
    fault_point(FAULT_BACKUP_COPY);
    io.phase = IO_FOLLOWING;
    standby_snapshots_begin(number);
    uint32_t living = takeover_replay_begin();
    journal_event(io.journal, "follows", "{s:I,s:I}", "base", (json_int_t)number, "threads",
                  (json_int_t)living);
    fault_point(FAULT_BACKUP_FOLLOWS);
    return 0;
}

static struct {
    char text[DEPARTURE_TEXT_BYTES];
    _Atomic bool set;
} departure;

void replay_departed(const char *text)
{
    snprintf(departure.text, sizeof departure.text, "%s", text);
    atomic_store(&departure.set, true);
    io_wake();
    for (;;)
        pause();
}

void standby_departure_round(void)
{
    if (!atomic_load(&departure.set))
        return;
    if (io.phase != IO_FOLLOWING)
        process_fail(STATUS_DIVERGED, "%s", departure.text);
    struct message message = {.kind = MESSAGE_REFUSE, .refuse = {.status = STATUS_DIVERGED}};
    snprintf(message.refuse.text, sizeof message.refuse.text, "%s", departure.text);
    io_goodbye(OUTPUT_LOGGER, &message);
    standby_start_over("%s", departure.text);
}

bool standby_round(void)
{
    ship_collect_replayed();
    effects_forget(process.effects_done);
    inputs_trim();
    takeover_progress();
    return standby_snapshot_round();
}

__attribute__((noreturn)) static void execute_again(void)
{
    close_range(3, UINT32_MAX, CLOSE_RANGE_CLOEXEC);
    pthread_sigmask(SIG_SETMASK, &signals, NULL);
    execve("/proc/self/exe", arguments, environment);
    process_fail(STATUS_KERNEL, "cannot start this standby over: %s", strerror(errno));
}

/* Until one is there, however long that takes: as a backup that waits. */
static void await_logger(const struct option_link *link, uint32_t port)
{
    struct lifeline *line;
    char why[256];
    while (lifeline_connect(&line, link->address, (uint16_t)port, LOGGER_PATIENCE_MS, why) !=
           STATUS_OK)
        ;
    lifeline_close(line);
}

static void leave(struct lifeline **line)
{
    if (*line)
        lifeline_close(*line);
    *line = NULL;
}

void standby_start_over(const char *format, ...)
{
    char why[DEPARTURE_TEXT_BYTES];
    va_list values;
    va_start(values, format);
    vsnprintf(why, sizeof why, format, values);
    va_end(values);
    journal_event(io.journal, "starts_over", "{s:s}", "why", why);
    fprintf(stderr, "palisade: this standby starts over: %s\n", why);
    leave(&io.ol_line);
    leave(&io.il_line);
    fault_point(FAULT_BACKUP_STARTS_OVER);
    await_logger(&process.options.ol, process.options.ol_port);
    await_logger(&process.options.il, process.options.il_port);
    snprintf(mark, sizeof mark, STARTED_OVER "=%lld", (long long)now_ns());
    fault_point(FAULT_BACKUP_EXECUTES);
    execute_again();
}

void standby_retry(enum status status)
{
    bool patient = status == STATUS_UNREACHABLE ||
                   (status == STATUS_BUSY && now_ns() - started_over_ns < BUSY_PATIENCE_NS);
    if (started_over_ns == 0 || !patient)
        return;
    usleep(RETRY_US);
    execute_again();
}
