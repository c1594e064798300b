/*
 * The loop of the I/O thread. Each round moves what there is to move; after some empty rounds it
 * sleeps in poll until a wire, a lifeline, an NF thread (io_wake) or a time-out wants it.
 */
#include "io/io.h"

#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "core/assert.h"
#include "fault/fault.h"
#include "hooks/effect.h"
#include "hooks/signal.h"
#include "hooks/socket.h"
#include "io/counters.h"
#include "replay/inputs.h"
#include "replay/replay.h"
#include "snapshot/snapshot.h"

#define WIRE_BUDGET_FRAMES 256u
#define IDLE_ROUNDS 20u             /* empty rounds before sleeping */
#define SLEEP_MAX_NS 20000000       /* timers are checked at least that often */
#define SLEEP_RUNNING_NS 1000000    /* while NF threads compute: their logs must not wait (R3) */
#define EXIT_PATIENCE_NS 2000000000 /* a normal exit waits that long to become stable */
#define IMAGE_QUEUE_BYTES (2u << 20)
#define SNAPSHOT_RETRY_NS 100000000 /* after one that found no safe moment */

struct io io;

void io_wake(void)
{
    uint64_t one = 1;
    int saved = errno; /* the NF's, or of what a signal interrupted */
    if (io.wake_fd > 0 && write(io.wake_fd, &one, sizeof one) < 0)
        ASSERT(errno == EAGAIN); /* the counter is full: it is awake */
    errno = saved;
}

static void logger_lost(const char *logger, int error)
{
    process_fail(STATUS_UNREACHABLE, "lost the %s logger (%s); nothing more can be released",
                 logger, error == -EPIPE ? "it closed the connection" : strerror(-error));
}

int io_send_ol(void *context, const struct message *message)
{
    (void)context;
    struct message stamped = *message;
    stamped.epoch = io.epoch;
    int error = lifeline_send(io.ol_line, &stamped);
    if (error)
        logger_lost("output", error);
    return 0;
}

/* ---- messages ---- */

static void committed(uint64_t number)
{
    packet_id inputs_from;
    if (!snapshot_committed(number, &inputs_from))
        return;
    fault_point(FAULT_MASTER_COMMITTED);
    struct message message = {
        .kind = MESSAGE_TRUNCATE, .epoch = io.epoch, .number = {.number = inputs_from}};
    if (lifeline_send(io.il_line, &message) != 0)
        logger_lost("input", -EPIPE);
    fault_point(FAULT_MASTER_TRUNCATED);
}

static int from_output_logger(void *context, const struct message *message)
{
    (void)context;
    if (message->kind == MESSAGE_REFUSE)
        process_fail((enum status)message->refuse.status, "%s", message->refuse.text);
    if (io.phase != IO_LIVE)
        return backup_message(message);
    if (message->kind == MESSAGE_COMMITTED)
        committed(message->number.number);
    else if (message->kind == MESSAGE_WANT_SNAPSHOT)
        io.next_snapshot_ns = 0;
    return 0;
}

static int from_input_logger(void *context, const struct message *message)
{
    (void)context;
    if (message->kind == MESSAGE_REFUSE)
        process_fail((enum status)message->refuse.status, "%s", message->refuse.text);
    if (message->kind == MESSAGE_REIGN && io.rejoin.inputs.of == 0)
        rejoin_init(&io.rejoin, message->reign.claim);
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
    if (io.phase == IO_LIVE) {
        work += ship_logs();
        work += ship_outputs();
    }
    work += wire_receive(io.ol_wire, io.now_ns, WIRE_BUDGET_FRAMES, ignore_frame, NULL);
    work += wire_transmit(io.ol_wire, io.now_ns);
    work += wire_transmit(io.il_wire, io.now_ns);
    return work;
}

static void effect_done(void *context, uint32_t thread, uint64_t number)
{
    (void)context;
    struct message message = {.kind = MESSAGE_EFFECTS,
                              .number = {.number = number, .thread = thread}};
    fault_point(FAULT_MASTER_EFFECT);
    io_send_ol(NULL, &message);
    fault_point(FAULT_MASTER_EFFECT_TOLD);
}

/* Has the output logger's kernel all we told it? Its process reads that even after our death. */
static bool effects_known(void *context)
{
    (void)context;
    int unread = 0;
    return lifeline_queued(io.ol_line) == 0 &&
           ioctl(lifeline_fd(io.ol_line), SIOCOUTQ, &unread) == 0 && unread == 0;
}

static void snapshot_report(void)
{
    const struct snapshot_figures *figures = snapshot_figures();
    journal_event(io.journal, "snapshot", "{s:I,s:I,s:I,s:I,s:I}", "number",
                  (json_int_t)figures->number, "pause_ns", (json_int_t)figures->pause_ns, "copy_ns",
                  (json_int_t)figures->copy_ns, "bytes", (json_int_t)figures->bytes,
                  "shipped_bytes", (json_int_t)figures->shipped_bytes);
}

static uint32_t snapshot_round(void)
{
    switch (snapshot_state()) {
    case SNAPSHOT_IDLE:
        /* Not before the input logger said from where it feeds us: inputs_from depends on it. */
        if (!atomic_load(&process.nf_ready) || io.rejoin.inputs.of == 0 || inputs_kept() ||
            io.now_ns < io.next_snapshot_ns)
            return 0;
        snapshot_begin(io.now_ns);
        return 1;
    case SNAPSHOT_BARRIER:
        if (snapshot_try_copy(io.rejoin.inputs)) {
            io.next_snapshot_ns = process.options.snapshot_ms
                                      ? io.now_ns + process.options.snapshot_ms * 1000000ll
                                      : INT64_MAX;
        } else if (snapshot_give_up(io.now_ns)) {
            journal_event(io.journal, "snapshot_given_up", "{}");
            io.next_snapshot_ns = io.now_ns + SNAPSHOT_RETRY_NS;
        }
        return 1; /* stay awake: NF threads are waiting */
    case SNAPSHOT_SHIPPING:
        if (lifeline_queued(io.ol_line) > IMAGE_QUEUE_BYTES)
            return 0;
        snapshot_ship(IMAGE_QUEUE_BYTES, io_send_ol, NULL);
        if (snapshot_state() == SNAPSHOT_COMMITTING)
            snapshot_report();
        return 1;
    case SNAPSHOT_COMMITTING:
        break;
    }
    return 0;
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
    bool clean = !ship_pending() && !effects_pending() && !socket_backlogs_pending() &&
                 link_next_wake(link) == INT64_MAX;
    if (!clean && io.now_ns - since_ns < EXIT_PATIENCE_NS)
        return;
    struct message message = {.kind = MESSAGE_REFUSE,
                              .refuse = {.status = STATUS_OK, .text = "the program ended"}};
    fault_point(FAULT_MASTER_ENDS);
    io_send_ol(NULL, &message);
    lifeline_send(io.il_line, &message);
    for (int i = 0; i < 100 && lifeline_queued(io.ol_line) + lifeline_queued(io.il_line); i++) {
        lifeline_service(io.ol_line, now_ns(), from_output_logger, NULL);
        lifeline_service(io.il_line, now_ns(), from_input_logger, NULL);
        usleep(1000);
    }
    fault_point(FAULT_MASTER_ENDED);
    journal_event(io.journal, "exit", "{s:I}", "status", (json_int_t)(status - 1));
    _exit((int)(status - 1));
}

static void service_lifelines(void)
{
    int error = lifeline_service(io.ol_line, io.now_ns, from_output_logger, NULL);
    if (error)
        logger_lost("output", error);
    error = lifeline_service(io.il_line, io.now_ns, from_input_logger, NULL);
    if (error)
        logger_lost("input", error);
}

/* ---- sleeping ---- */

static bool nf_computes(void)
{
    if (io.phase == IO_WARM)
        return false; /* the threads in the image are the master's */
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
    bool window_full = link_window_full(wire_link(io.ol_wire));
    if ((io.phase == IO_LIVE && ship_pending() && !window_full) || deliver_can_hand_on() ||
        (io.phase == IO_REPLAYING && replay_quiescent())) {
        atomic_store(&process.io_asleep, 0);
        return;
    }
    int64_t now = now_ns(), limit = nf_computes() ? SLEEP_RUNNING_NS : SLEEP_MAX_NS;
    int64_t until =
        earliest(now + limit, earliest(wire_next_wake(io.ol_wire), wire_next_wake(io.il_wire)));
    if (io.phase == IO_LIVE)
        until = earliest(until, io.next_timer_ns);
    if (snapshot_state() == SNAPSHOT_IDLE)
        until = earliest(until, io.next_snapshot_ns > now ? io.next_snapshot_ns : INT64_MAX);
    struct timespec timeout = {.tv_nsec = until > now ? until - now : 0};
    struct pollfd fds[] = {
        {.fd = io.wake_fd, .events = POLLIN},
        {.fd = wire_fd(io.ol_wire), .events = POLLIN},
        {.fd = wire_fd(io.il_wire), .events = deliver_wants_frames() ? POLLIN : 0},
        {.fd = lifeline_fd(io.ol_line), .events = lifeline_events(io.ol_line)},
        {.fd = lifeline_fd(io.il_line), .events = lifeline_events(io.il_line)},
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
        service_lifelines();
        if (io.phase == IO_LIVE) {
            ship_update_stable();
            socket_backlogs();
            work += effects_perform(&io.stable, 64, effect_done, effects_known, NULL);
            work += snapshot_round();
            io.next_timer_ns = signals_round(io.now_ns);
            exit_round();
        } else {
            work += backup_step();
        }
        counters_answer();
        idle = work ? 0 : idle + 1;
        if (idle > IDLE_ROUNDS)
            sleep_until_needed();
    }
}
