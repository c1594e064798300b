/*
 * What protects the master: snapshots, and with them what effects wait for. When its output logger
 * died, the way to a new base (R16):
 *
 *   WELCOME -> barrier: logs begin anew -> RESUME -> GO: logs, outputs and the image are shipped
 *           -> IMAGE_STORED: what lies below the barrier is stable, its effects are performed
 *           -> COMMITTED (R13): protected again
 *
 * A thread in effects_settle comes to no barrier, and waits for what only the barrier can bring.
 * When that is seen, effects are performed though nothing is stable. A crash in that very moment
 * cannot be recovered with or without it, for the base died with the logger, and is refused.
 */
#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>

#include "fault/fault.h"
#include "hooks/files/effect.h"
#include "hooks/packets/queue.h"
#include "io/io.h"
#include "replay/inputs.h"
#include "snapshot/snapshot.h"

#define SNAPSHOT_RETRY_NS 100000000 /* after one that found no safe moment */
/* The same when the output logger has no room: what threads log meanwhile may be its last. */
#define SNAPSHOT_RETRY_WANTED_NS 10000000
#define DRAIN_PATIENCE_NS 100000000 /* an NF has that long to consume a dead logger's inputs */
#define EFFECTS_BUDGET 64u

static struct {
    bool unsaved;     /* this output logger has no base of ours: its logs make nothing stable */
    bool imaged;      /* ... but an image, on the way to it: what that holds is */
    bool standby;     /* hot: it makes the snapshots */
    bool unprotected; /* effects are performed all the same */
    bool wanted;      /* by the output logger, which fills up, since the last snapshot */
    int64_t snapshot_ns, given_up_ns; /* the last one, the last attempt */
    int64_t retry_ns;
    int64_t drain_until_ns; /* 0: not draining */
    uint64_t performed[THREADS_MAX];
} protect;

/* ---- effects ---- */

static void effect_done(void *context, uint32_t thread, uint64_t number)
{
    (void)context;
    struct message message = {.kind = MESSAGE_EFFECTS,
                              .number = {.number = number, .thread = thread}};
    protect.performed[thread] = number;
    fault_point(FAULT_MASTER_EFFECT);
    if (!protect.unsaved || protect.imaged) /* else RESUME tells */
        io_send_ol(NULL, &message);
    fault_point(FAULT_MASTER_EFFECT_TOLD);
}

/* Has the output logger's kernel all we told it? Its process reads that even after our death. */
static bool effects_known(void *context)
{
    (void)context;
    int unread = 0;
    return (protect.unsaved && !protect.imaged) ||
           (io.ol_line && lifeline_queued(io.ol_line) == 0 &&
            ioctl(lifeline_fd(io.ol_line), SIOCOUTQ, &unread) == 0 && unread == 0);
}

static uint32_t effects_round(void)
{
    static struct positions all;
    if (!protect.unsaved)
        return effects_perform(&io.stable, EFFECTS_BUDGET, effect_done, effects_known, NULL);
    if (protect.imaged)
        return effects_perform(&snapshot_mark()->positions, EFFECTS_BUDGET, effect_done,
                               effects_known, NULL);
    if (!protect.unprotected)
        return 0;
    for (all.threads = 0; all.threads < THREADS_MAX;)
        all.at[all.threads++] = UINT64_MAX;
    return effects_perform(&all, EFFECTS_BUDGET, effect_done, effects_known, NULL);
}

/* ---- snapshots ---- */

/* May what the dead input logger had given us be forgotten? The NF consumed it, or had its time. */
static bool drained(void)
{
    if (io.rejoin.input != INPUT_CLAIMED) {
        protect.drain_until_ns = 0;
        return false;
    }
    if (protect.drain_until_ns == 0)
        protect.drain_until_ns = io.now_ns + DRAIN_PATIENCE_NS;
    return io.now_ns >= protect.drain_until_ns || deliver_all_consumed();
}

/* Threads that stand still in the middle of a call until the output logger has room lose nothing by
 * a barrier, and what it keeps back for them to come to one is little: so at once. */
static bool urgent(void)
{
    return protect.wanted && io.now_ns - protect.given_up_ns >= SNAPSHOT_RETRY_WANTED_NS &&
           snapshot_logs_full();
}

void protect_wanted(enum logger_side who)
{
    int64_t at = protect.snapshot_ns + snapshot_rest_ns();
    if (at < io.next_snapshot_ns)
        io.next_snapshot_ns = at;
    protect.wanted |= who == OUTPUT_LOGGER;
}

static bool snapshot_due(void)
{
    bool empty = drained();
    if (!atomic_load(&process.nf_ready) || !rejoin_may_snapshot(&io.rejoin))
        return false;
    /* Not before an input logger said from where it feeds us: inputs_from depends on it. */
    if (io.rejoin.inputs.of == 0 && !empty)
        return false;
    if (rejoin_wants_snapshot(&io.rejoin, empty))
        return io.now_ns >= protect.retry_ns;
    if (protect.standby)
        return false;
    return !inputs_kept() && (io.now_ns >= io.next_snapshot_ns || urgent());
}

static void send_resume(void)
{
    struct message message = {.kind = MESSAGE_RESUME, .resume = {.mark = *snapshot_mark()}};
    for (uint32_t t = 0; t < message.resume.mark.threads; t++) {
        message.resume.shipped[t] = ship_given(t);
        message.resume.performed[t] = protect.performed[t];
    }
    fault_point(FAULT_MASTER_RESUMES);
    io_send_ol(NULL, &message);
    fault_point(FAULT_MASTER_RESUME);
}

static void at_barrier(void)
{
    struct rejoin_barrier barrier = rejoin_at_barrier(&io.rejoin, drained());
    if (barrier.inputs_discard) {
        fault_point(FAULT_MASTER_IL_DRAINED);
        deliver_discard();
        fault_point(FAULT_MASTER_IL_DISCARDED);
    }
    struct input_claim next = io.rejoin.inputs;
    if (inputs_kept())
        next.from = inputs_end();
    snapshot_copy(next, barrier.logs_restart ? LOGS_RESTART : LOGS_SEGMENT);
    if (barrier.logs_restart)
        send_resume();
    protect.unprotected = protect.wanted = false;
    protect.snapshot_ns = io.now_ns;
    int64_t periodic = io.now_ns + process.options.snapshot_ms * 1000000ll;
    if (process.options.snapshot_ms && periodic < io.next_snapshot_ns)
        io.next_snapshot_ns = periodic;
}

static void given_up(void)
{
    journal_event(io.journal, "snapshot_given_up", "{}");
    protect.given_up_ns = io.now_ns;
    protect.retry_ns = io.next_snapshot_ns =
        io.now_ns + (protect.wanted ? SNAPSHOT_RETRY_WANTED_NS : SNAPSHOT_RETRY_NS);
    if (io.rejoin.output == OUTPUT_WELCOMED && effects_pending() && !protect.unprotected) {
        protect.unprotected = true;
        journal_event(io.journal, "effects_unprotected", "{}");
    }
}

static uint32_t snapshot_round(void)
{
    switch (snapshot_state()) {
    case SNAPSHOT_IDLE:
        if (!snapshot_due())
            return 0;
        snapshot_begin(io.now_ns);
        io.next_snapshot_ns = INT64_MAX; /* unless one is wanted meanwhile */
        return 1;
    case SNAPSHOT_BARRIER:
        if (snapshot_ready())
            at_barrier();
        else if (snapshot_give_up(io.now_ns))
            given_up();
        return !snapshot_logs_full(); /* stay awake: NF threads are waiting */
    case SNAPSHOT_SHIPPING:
        return rejoin_ships(&io.rejoin) && ship_image();
    case SNAPSHOT_COMMITTING:
        break;
    }
    return 0;
}

uint32_t protect_round(void)
{
    if (rejoin_ships(&io.rejoin))
        ship_update_stable();
    uint32_t work = effects_round();
    return work + snapshot_round();
}

/* ---- the output logger's word ---- */

void protect_go(void)
{
    rejoin_output_go(&io.rejoin);
    fault_point(FAULT_MASTER_GO);
}

static void saved(void)
{
    const struct positions *positions = &snapshot_mark()->positions;
    if (!protect.unsaved)
        return;
    protect.unsaved = protect.imaged = false;
    while (io.stable.threads < positions->threads)
        io.stable.at[io.stable.threads++] = 0;
    for (uint32_t t = 0; t < positions->threads; t++)
        if (io.stable.at[t] < positions->at[t])
            io.stable.at[t] = positions->at[t];
}

void protect_image_stored(uint64_t number)
{
    if (rejoin_ships(&io.rejoin) && number == snapshot_mark()->number)
        protect.imaged = protect.unsaved;
    fault_point(FAULT_MASTER_IMAGE_STORED);
}

void protect_standby(bool follows)
{
    protect.standby = follows;
    protect.wanted = false;
    io.next_snapshot_ns = io.now_ns;
    if (!protect.unsaved) /* the output logger drops an image of ours while a standby follows */
        snapshot_abandon();
    fault_point(follows ? FAULT_MASTER_STANDBY : FAULT_MASTER_STANDBY_LOST);
}

void protect_committed(uint64_t number)
{
    snapshot_numbers_above(number);
    if (!snapshot_committed(number))
        return;
    fault_point(FAULT_MASTER_COMMITTED);
    saved();
    logger_back(OUTPUT_LOGGER);
    const struct snapshot_mark *mark = snapshot_mark();
    if (io.rejoin.input != INPUT_SERVES || mark->inputs_of != io.rejoin.inputs.of)
        return; /* its inputs are nobody's any more, or their logger is away */
    logger_back(INPUT_LOGGER);
    io_truncate(mark->inputs_from);
    fault_point(FAULT_MASTER_TRUNCATED);
}

void protect_output_lost(void)
{
    rejoin_output_lost(&io.rejoin);
    ship_discard_logs();
    snapshot_abandon();
    protect.unsaved = true;
    protect.wanted = protect.standby = false;
    stall_note(&io.image_waits, false, io.now_ns);
    stall_note(&io.window_full, false, io.now_ns);
    protect.imaged = protect.unprotected = false;
    protect.retry_ns = 0;
}

void protect_go_live(void)
{
    for (uint32_t t = 0; t < THREADS_MAX; t++) {
        uint64_t effects = IMAGE->threads[t].core.effects;
        uint64_t done = process.effects_done[t];
        protect.performed[t] = done < effects ? done : effects;
    }
}
