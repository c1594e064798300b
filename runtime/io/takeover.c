/*
 * A backup that replays, and the takeover (R12).
 *
 *   warm       nothing runs; images are put in place (backup.c)
 *   following  hot: FOLLOW came, threads replay what the living master does (standby.c)
 *   replaying  TAKEOVER: claim the inputs; the rest of the logs comes, until no thread can go on
 *   cut        the positions reached go to the output logger; its GO makes us the master
 */
#include <errno.h>
#include <string.h>

#include "fault/fault.h"
#include "hooks/files/descriptor.h"
#include "hooks/files/effect.h"
#include "hooks/packets/queue.h"
#include "hooks/threads/signal.h"
#include "hooks/threads/thread.h"
#include "hooks/values/cycle.h"
#include "hooks/values/settings.h"
#include "hooks/values/value.h"
#include "io/io.h"
#include "replay/inputs.h"
#include "replay/replay.h"
#include "replay/stored.h"
#include "snapshot/snapshot.h"

#define FIRST_SNAPSHOT_NS 1000000000 /* after the takeover of a hot standby */
#define PROGRESS_NS 500000

static struct {
    struct takeover takeover;
    int64_t begun_ns;
    bool followed;
    bool untidy; /* live, and the logs that were replayed are still in memory */
} told;

uint32_t takeover_replay_begin(void)
{
    uint32_t living = 0, threads = IMAGE->thread_count; /* replay may create more */
    stored_begin();
    settings_restore();
    for (uint32_t q = 0; q < QUEUES_MAX; q++)
        if (IMAGE->queues[q].used)
            queue_open(q);
    for (uint32_t t = 0; t < threads; t++) {
        thread_run_open(t, IMAGE->threads[t].core.position);
        stored_reader_open(t);
        living += IMAGE->threads[t].lifecycle != THREAD_EXITED;
    }
    replay_begin(living);
    for (uint32_t t = 0; t < threads; t++)
        if (IMAGE->threads[t].lifecycle != THREAD_EXITED)
            thread_spawn(t);
    return living;
}

/* More of the logs may come when what came is used up; or when nothing can go on without. */
void takeover_progress(void)
{
    static struct message message = {.kind = MESSAGE_PROGRESS};
    if (io.now_ns < io.next_progress_ns)
        return;
    io.next_progress_ns = io.now_ns + PROGRESS_NS;
    bool moved = stored_progress(&message.progress);
    if (!moved && !(io.phase == IO_FOLLOWING && replay_starves()))
        return;
    io_send_ol(NULL, &message);
    if (io.phase == IO_FOLLOWING)
        fault_point(FAULT_BACKUP_PROGRESS);
}

/* ---- takeover ---- */

static int take_over(const struct takeover *takeover)
{
    bool follows = io.phase == IO_FOLLOWING;
    const struct snapshot_mark *base = backup_base();
    if (follows)
        standby_snapshots_end();
    told.takeover = *takeover;
    told.followed = follows;
    told.begun_ns = now_ns();
    io.epoch = takeover->epoch;
    journal_event(io.journal, "takeover", "{s:I,s:I}", "epoch", (json_int_t)io.epoch, "base",
                  (json_int_t)takeover->base.number);
    fault_point(FAULT_BACKUP_TAKEOVER);
    if (!follows && (base->number != takeover->base.number || base->number == 0))
        process_fail(STATUS_NO_BACKUP,
                     "told to take over from snapshot %llu, but snapshot %llu is in place",
                     (unsigned long long)takeover->base.number, (unsigned long long)base->number);
    if (io.il_line == NULL)
        process_fail(STATUS_UNREACHABLE,
                     "told to take over, but the input logger is away, too: its packets died with "
                     "it, and the state of the dead master cannot be recovered");
    for (uint32_t t = 0; t < THREADS_MAX; t++) {
        __atomic_store_n(&process.held[t], takeover->held[t], __ATOMIC_RELAXED);
        __atomic_store_n(&process.effects_done[t], takeover->effects[t], __ATOMIC_RELAXED);
    }
    if (!follows)
        backup_inputs_begin();
    io.phase = IO_REPLAYING;
    io_reign(
        (struct input_claim){follows ? base->inputs_of : takeover->base.inputs_of, inputs_end()});
    fault_point(FAULT_BACKUP_CLAIMED);
    uint32_t living = follows ? 0 : takeover_replay_begin();
    journal_event(io.journal, "restored", "{s:I,s:I,s:b}", "threads", (json_int_t)living, "ns",
                  (json_int_t)(now_ns() - told.begun_ns), "followed", follows);
    fault_point(FAULT_BACKUP_RESTORED);
    return 0;
}

static void send_cut(void)
{
    struct message message = {.kind = MESSAGE_CUT, .epoch = io.epoch};
    uint64_t events = 0;
    message.cut.cut.threads = IMAGE->thread_count;
    for (uint32_t t = 0; t < IMAGE->thread_count; t++) {
        const struct thread_state *state = &IMAGE->threads[t].core;
        message.cut.cut.at[t] = state->position;
        message.cut.outputs[t] = state->outputs;
        message.cut.effects[t] = state->effects;
        events += state->position - positions_get(&told.takeover.base.positions, t);
    }
    journal_event(io.journal, "replayed", "{s:I,s:I,s:I}", "events", (json_int_t)events, "ns",
                  (json_int_t)(now_ns() - told.begun_ns), "input_bytes",
                  (json_int_t)inputs_bytes());
    fault_point(FAULT_BACKUP_REPLAYED);
    io_send_ol(NULL, &message);
    io.phase = IO_CUT;
    fault_point(FAULT_BACKUP_CUT);
}

/* The cut is committed: every thread goes on from the hook it waits in. */
static int go_live(void)
{
    fault_point(FAULT_BACKUP_GO);
    ship_go_live();
    effects_forget(process.effects_done);
    io.stable.threads = IMAGE->thread_count; /* the cut: beyond it positions begin anew */
    for (uint32_t t = 0; t < IMAGE->thread_count; t++) {
        struct nf_thread *thread = &IMAGE->threads[t];
        io.stable.at[t] = thread->core.position;
        thread_state_segment(&thread->core);
        thread_run_open(t, thread->core.position);
    }
    link_set_epoch(wire_link(io.ol_wire), io.epoch, 0);
    link_set_epoch(wire_link(io.il_wire), io.epoch, 0);
    value_clocks_go_live();
    settings_go_live();
    signals_go_live();
    protect_go_live();
    cycle_go_live();
    descriptors_revive();
    snapshot_restart(told.takeover.base.number + 1);
    /* The base and the logs since serve on; a large image is copied when the backlog is gone. A
     * cold backup has all of that to replay again: there it comes sooner, or masters that die
     * within a second of each other would never get to it. */
    int64_t rest_ns = told.followed ? FIRST_SNAPSHOT_NS : process.options.snapshot_ms * 1000000ll;
    io.next_snapshot_ns = process.options.snapshot_ms ? now_ns() + rest_ns : INT64_MAX;
    io.phase = IO_LIVE;
    atomic_store(&process.nf_ready, 1);
    replay_go_live();
    journal_event(io.journal, "live", "{s:I,s:I}", "epoch", (json_int_t)io.epoch, "ns",
                  (json_int_t)(now_ns() - told.begun_ns));
    told.untidy = true;
    fault_point(FAULT_BACKUP_LIVE);
    return 0;
}

void takeover_tidy(void)
{
    if (!told.untidy || inputs_kept())
        return;
    told.untidy = false;
    stored_clear();
}

bool backup_step(void)
{
    standby_departure_round();
    if (io.phase == IO_FOLLOWING)
        return standby_round();
    if (io.phase != IO_REPLAYING)
        return false;
    ship_collect_replayed();
    inputs_trim();
    if (!replay_quiescent()) {
        takeover_progress();
        return false;
    }
    send_cut();
    return true;
}

int backup_message(const struct message *message)
{
    bool replays = io.phase == IO_FOLLOWING || io.phase == IO_REPLAYING;
    switch (message->kind) {
    case MESSAGE_IMAGE_BEGIN:
    case MESSAGE_IMAGE_PAGES:
    case MESSAGE_IMAGE_END:
        return io.phase == IO_WARM ? backup_image(message) : 0;
    case MESSAGE_COMMITTED:
        if (io.phase == IO_FOLLOWING)
            standby_snapshot_committed(message->number.number);
        return io.phase == IO_WARM ? backup_image(message) : 0;
    case MESSAGE_WANT_SNAPSHOT:
        if (io.phase == IO_FOLLOWING)
            standby_snapshot_wanted();
        return 0;
    case MESSAGE_FOLLOW:
        return io.phase == IO_WARM ? standby_follow(message->epoch, message->number.number)
                                   : -EBADMSG;
    case MESSAGE_TAKEOVER:
        return io.phase == IO_WARM || io.phase == IO_FOLLOWING ? take_over(&message->takeover)
                                                               : -EBADMSG;
    case MESSAGE_STORED_LOG:
        if (io.phase == IO_FOLLOWING)
            fault_point(FAULT_BACKUP_FOLLOWS_LOG);
        return replays ? stored_add(&message->stored_log) : -EBADMSG;
    case MESSAGE_STORED_END:
        fault_point(FAULT_BACKUP_LOGS);
        replay_final();
        return io.phase == IO_REPLAYING ? 0 : -EBADMSG;
    case MESSAGE_GO:
        return io.phase == IO_CUT ? go_live() : -EBADMSG;
    default:
        return 0;
    }
}
