/*
 * The loop of the I/O thread. Each round moves what there is to move; after some empty rounds it
 * sleeps in poll until a wire, a lifeline, an NF thread (io_wake) or a time-out wants it.
 */
#include "io/io.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/assert.h"
#include "fault/fault.h"
#include "hooks/files/effect.h"
#include "hooks/files/socket.h"
#include "hooks/threads/signal.h"
#include "io/counters.h"
#include "replay/inputs.h"
#include "replay/replay.h"
#include "replay/stored.h"
#include "snapshot/snapshot.h"

#define WIRE_BUDGET_FRAMES 256u
#define IDLE_ROUNDS 20u             /* empty rounds before sleeping */
#define SLEEP_MAX_NS 20000000       /* timers are checked at least that often */
#define SLEEP_RUNNING_NS 1000000    /* while NF threads compute: their logs must not wait (R3) */
#define EXIT_PATIENCE_NS 2000000000 /* a normal exit waits that long to become stable */

struct io io;

void io_wake(void)
{
    uint64_t one = 1;
    int saved = errno; /* the NF's, or of what a signal interrupted */
    if (io.wake_fd > 0 && write(io.wake_fd, &one, sizeof one) < 0)
        ASSERT(errno == EAGAIN); /* the counter is full: it is awake */
    errno = saved;
}

int io_send_ol(void *context, const struct message *message)
{
    (void)context;
    if (io.ol_line == NULL)
        return 0;
    struct message stamped = *message;
    stamped.epoch = io.epoch;
    int error = lifeline_send(io.ol_line, &stamped);
    if (error)
        logger_broken(OUTPUT_LOGGER, error);
    return 0;
}

void io_truncate(packet_id first)
{
    struct message message = {
        .kind = MESSAGE_TRUNCATE, .epoch = io.epoch, .number = {.number = first}};
    int error = io.il_line ? lifeline_send(io.il_line, &message) : 0;
    if (error)
        logger_broken(INPUT_LOGGER, error);
}

/* ---- messages ---- */

__attribute__((noreturn)) static void refused(const struct message_refuse *refuse)
{
    if (refuse->status == STATUS_BEHIND)
        standby_start_over("%s", refuse->text);
    process_fail((enum status)refuse->status, "%s", refuse->text);
}

static int from_output_logger(void *context, const struct message *message)
{
    (void)context;
    if (message->kind == MESSAGE_REFUSE)
        refused(&message->refuse);
    if (io.phase != IO_LIVE)
        return backup_message(message);
    if (message->kind == MESSAGE_STANDBY)
        protect_standby(message->number.number != 0);
    if (message->kind == MESSAGE_COMMITTED)
        protect_committed(message->number.number);
    else if (message->kind == MESSAGE_IMAGE_STORED)
        protect_image_stored(message->number.number);
    else if (message->kind == MESSAGE_GO && io.rejoin.output == OUTPUT_RESUMES)
        protect_go();
    else if (message->kind == MESSAGE_WANT_SNAPSHOT)
        protect_wanted(OUTPUT_LOGGER);
    return 0;
}

static int from_input_logger(void *context, const struct message *message)
{
    (void)context;
    if (message->kind == MESSAGE_REFUSE)
        refused(&message->refuse);
    if (message->kind == MESSAGE_REIGN)
        logger_claimed(message->reign.claim);
    else if (message->kind == MESSAGE_WANT_SNAPSHOT && io.phase == IO_LIVE)
        protect_wanted(INPUT_LOGGER);
    else if (message->kind == MESSAGE_WANT_SNAPSHOT && io.phase == IO_FOLLOWING)
        standby_snapshot_wanted();
    return 0;
}

/* ---- the parts of a round ---- */

static void ignore_frame(void *context, const struct frame *frame, const uint8_t *payload)
{
    (void)context;
    (void)frame;
    (void)payload;
}

static uint32_t move_packets(void)
{
    uint32_t work = deliver_inputs();
    if (io.phase == IO_LIVE && rejoin_ships(&io.rejoin)) {
        work += ship_logs();
        work += ship_outputs();
        stall_note(&io.window_full, link_window_full(wire_link(io.ol_wire)), io.now_ns);
    } else if (io.phase == IO_LIVE && rejoin_discards(&io.rejoin)) {
        ship_discard_logs();
        stall_note(&io.window_full, false, io.now_ns);
    }
    work += wire_receive(io.ol_wire, io.now_ns, WIRE_BUDGET_FRAMES, ignore_frame, NULL);
    if (io.ol_line)
        work += wire_transmit(io.ol_wire, io.now_ns);
    if (io.il_line)
        work += wire_transmit(io.il_wire, io.now_ns);
    return work;
}

void io_goodbye(enum logger_side which, const struct message *message)
{
    bool output = which == OUTPUT_LOGGER;
    struct lifeline *line = output ? io.ol_line : io.il_line;
    struct message stamped = *message;
    stamped.epoch = io.epoch;
    if (line == NULL || lifeline_send(line, &stamped) != 0)
        return;
    for (int i = 0; i < 100 && lifeline_queued(line); i++) {
        if (lifeline_service(line, now_ns(), output ? from_output_logger : from_input_logger,
                             NULL) != 0)
            return;
        usleep(1000);
    }
}

/* exit() was called: go when all is stable, or when patience ends. */
static void exit_round(void)
{
    static int64_t since_ns;
    uint32_t status = effects_exit_status();
    if (status == 0)
        return;
    if (since_ns == 0)
        since_ns = io.now_ns;
    struct link *link = wire_link(io.ol_wire);
    bool clean = rejoin_ships(&io.rejoin) && !ship_pending() && !effects_pending() &&
                 !socket_backlogs_pending() && link_next_wake(link) == INT64_MAX;
    if (!clean && io.now_ns - since_ns < EXIT_PATIENCE_NS)
        return;
    struct message message = {.kind = MESSAGE_REFUSE,
                              .refuse = {.status = STATUS_OK, .text = "the program ended"}};
    fault_point(FAULT_MASTER_ENDS);
    io_goodbye(OUTPUT_LOGGER, &message);
    fault_point(FAULT_MASTER_ENDS_HALF);
    io_goodbye(INPUT_LOGGER, &message);
    fault_point(FAULT_MASTER_ENDED);
    journal_event(io.journal, "exit", "{s:I}", "status", (json_int_t)(status - 1));
    _exit((int)(status - 1));
}

/* ---- sleeping ---- */

static bool nf_computes(void)
{
    if (io.phase == IO_WARM)
        return false; /* the threads in the image are the master's */
    if (io.phase == IO_FOLLOWING)
        return !replay_idle() || stored_untold();
    if (process_mode() == MODE_REPLAY)
        return true; /* those that wait are safe, but how far they are has to be told */
    for (uint32_t t = 0; t < IMAGE->thread_count; t++)
        if (IMAGE->threads[t].lifecycle != THREAD_EXITED &&
            !atomic_load_explicit(&process.runs[t].safe, memory_order_relaxed))
            return true;
    return false;
}

static int64_t earliest(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void clear_wake(void)
{
    uint64_t wakes;
    if (read(io.wake_fd, &wakes, sizeof wakes) < 0)
        ASSERT(errno == EAGAIN);
}

void io_sleep(int timeout_ms)
{
    struct pollfd fd = {.fd = io.wake_fd, .events = POLLIN};
    atomic_store(&process.io_asleep, 1);
    if (poll(&fd, 1, timeout_ms) > 0)
        clear_wake();
    atomic_store(&process.io_asleep, 0);
}

static void sleep_until_needed(void)
{
    atomic_store(&process.io_asleep, 1);
    bool ships =
        io.phase == IO_LIVE && rejoin_ships(&io.rejoin) && !link_window_full(wire_link(io.ol_wire));
    if ((ships && ship_pending()) || deliver_can_hand_on() ||
        (io.phase == IO_REPLAYING && replay_quiescent())) {
        atomic_store(&process.io_asleep, 0);
        return;
    }
    int64_t now = now_ns(), limit = nf_computes() ? SLEEP_RUNNING_NS : SLEEP_MAX_NS;
    int64_t until = earliest(now + limit, logger_next_wake());
    if (io.ol_line)
        until = earliest(until, wire_next_wake(io.ol_wire));
    if (io.il_line)
        until = earliest(until, wire_next_wake(io.il_wire));
    if (io.phase == IO_LIVE)
        until = earliest(until, io.next_timer_ns);
    if (snapshot_state() == SNAPSHOT_IDLE)
        until = earliest(until, io.next_snapshot_ns > now ? io.next_snapshot_ns : INT64_MAX);
    struct timespec timeout = {.tv_nsec = until > now ? until - now : 0};
    struct pollfd fds[] = {
        {.fd = io.wake_fd, .events = POLLIN},
        {.fd = wire_fd(io.ol_wire), .events = POLLIN},
        {.fd = wire_fd(io.il_wire), .events = deliver_wants_frames() ? POLLIN : 0},
        logger_poll(OUTPUT_LOGGER),
        logger_poll(INPUT_LOGGER),
    };
    ppoll(fds, sizeof fds / sizeof *fds, &timeout, NULL);
    atomic_store(&process.io_asleep, 0);
    if (fds[0].revents & POLLIN)
        clear_wake();
}

void io_run(enum io_phase phase)
{
    io.phase = phase;
    sigset_t pipe; /* who closed our stdout does not end a NF: see effects_perform */
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, NULL);
    for (uint32_t idle = 0;;) {
        io.now_ns = now_ns();
        uint32_t work = move_packets();
        logger_service(OUTPUT_LOGGER, from_output_logger);
        logger_service(INPUT_LOGGER, from_input_logger);
        if (io.phase == IO_LIVE) {
            socket_backlogs();
            work += protect_round();
            io.next_timer_ns = signals_round(io.now_ns);
            exit_round();
            takeover_tidy();
        } else {
            work += backup_step();
        }
        counters_answer();
        idle = work ? 0 : idle + 1;
        if (idle > IDLE_ROUNDS)
            sleep_until_needed();
    }
}
