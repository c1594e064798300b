/*
 * The backup: keeps the committed image in place, takes over when told (R12).
 *
 *   warm       pages of a coming image are staged; COMMITTED puts them where they belong, so a
 *              takeover has nothing left to copy
 *   replaying  TAKEOVER: claim the inputs; threads resume from their contexts and replay the stored
 *              logs as they come, until none can go on
 *   cut        the positions reached go to the output logger; its GO makes us the master
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/assert.h"
#include "fault/fault.h"
#include "heap/heap.h"
#include "hooks/files/descriptor.h"
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
#include "snapshot/regions.h"
#include "snapshot/snapshot.h"

struct staged {
    struct staged *next;
    uint64_t address;
    uint32_t count;
    uint8_t bytes[];
};

static struct {
    /* the image being received */
    struct staged *first, **last;
    struct snapshot_mark mark;
    struct snapshot_inputs inputs;
    bool whole_image; /* IMAGE_END seen */
    /* the image in place */
    uint64_t base;
    struct snapshot_inputs base_inputs;
    /* the takeover */
    struct takeover takeover;
    int64_t begun_ns;
} backup = {.last = &backup.first};

/* ---- warm ---- */

static void drop_staged(void)
{
    while (backup.first) {
        struct staged *next = backup.first->next;
        free(backup.first);
        backup.first = next;
    }
    backup.last = &backup.first;
    backup.whole_image = false;
}

static int image_begin(const struct message_image_begin *begin)
{
    if (!begin->whole && backup.base == 0)
        process_fail(STATUS_PROTOCOL,
                     "the output logger sent the changes of snapshot %llu, but no "
                     "whole snapshot before",
                     (unsigned long long)begin->mark.number);
    drop_staged();
    backup.mark = begin->mark;
    free(backup.inputs.pending);
    return snapshot_inputs_read(begin->description, begin->description_bytes, &backup.inputs);
}

static bool in_image(uint64_t address, uint64_t bytes)
{
    struct region program = regions_program();
    uint64_t stacks = THREADS_MAX * ((uint64_t)process.options.stack_kib * 1024 + STACK_TOP_BYTES);
    struct region areas[] = {program,
                             {IMAGE_BASE, IMAGE_BASE + ((sizeof(struct image) + 4095) & ~4095ul)},
                             {STACKS_BASE, STACKS_BASE + stacks},
                             {HEAP_BASE, HEAP_BASE + ((uint64_t)process.options.heap_mib << 20)}};
    for (size_t i = 0; i < sizeof areas / sizeof *areas; i++)
        if (address >= areas[i].start && address < areas[i].end && bytes <= areas[i].end - address)
            return true;
    return false;
}

static int image_pages(const struct message_image_pages *pages)
{
    uint64_t bytes = (uint64_t)pages->count * IMAGE_PAGE_BYTES;
    if (pages->address % IMAGE_PAGE_BYTES || !in_image(pages->address, bytes))
        return -EBADMSG;
    struct staged *staged = malloc(sizeof *staged + bytes);
    if (staged == NULL)
        process_fail(STATUS_MEMORY, "no memory for an image of the master");
    staged->next = NULL;
    staged->address = pages->address;
    staged->count = pages->count;
    memcpy(staged->bytes, pages->bytes, bytes);
    *backup.last = staged;
    backup.last = &staged->next;
    fault_point(FAULT_BACKUP_PAGES);
    return 0;
}

static void image_committed(uint64_t number)
{
    if (!backup.whole_image || number != backup.mark.number)
        process_fail(STATUS_PROTOCOL,
                     "the output logger committed snapshot %llu, which did not "
                     "arrive here",
                     (unsigned long long)number);
    for (struct staged *staged = backup.first; staged; staged = staged->next) {
        for (uint32_t i = 0; i < staged->count; i++)
            regions_apply_page(staged->address + i * (uint64_t)IMAGE_PAGE_BYTES,
                               staged->bytes + i * (size_t)IMAGE_PAGE_BYTES);
        fault_point(FAULT_BACKUP_APPLYING);
    }
    drop_staged();
    if (backup.base == 0)
        journal_event(io.journal, "base", "{s:I}", "number", (json_int_t)number);
    backup.base = number;
    free(backup.base_inputs.pending);
    backup.base_inputs = backup.inputs;
    backup.inputs.pending = NULL;
    fault_point(FAULT_BACKUP_APPLIED);
}

void backup_output_lost(void)
{
    drop_staged();
    backup.base = 0; /* pages in place are no base of the next one's: it begins with all */
}

/* ---- takeover ---- */

/* The threads go on from their contexts, in replay, as far as logs have come. */
static void restore(void)
{
    uint32_t living = 0;
    stored_begin();
    settings_restore();
    for (uint32_t q = 0; q < QUEUES_MAX; q++)
        if (IMAGE->queues[q].used)
            queue_open(q);
    for (uint32_t t = 0; t < IMAGE->thread_count; t++) {
        thread_run_open(t, IMAGE->threads[t].core.position);
        stored_reader_open(t);
        living += IMAGE->threads[t].lifecycle != THREAD_EXITED;
    }
    replay_begin(living);
    uint32_t threads = IMAGE->thread_count; /* replay may create more */
    for (uint32_t t = 0; t < threads; t++)
        if (IMAGE->threads[t].lifecycle != THREAD_EXITED)
            thread_spawn(t);
    io.phase = IO_REPLAYING;
    journal_event(io.journal, "restored", "{s:I,s:I}", "threads", (json_int_t)living, "ns",
                  (json_int_t)(now_ns() - backup.begun_ns));
    fault_point(FAULT_BACKUP_RESTORED);
}

static int take_over(const struct takeover *takeover)
{
    backup.takeover = *takeover;
    backup.begun_ns = now_ns();
    io.epoch = takeover->epoch;
    journal_event(io.journal, "takeover", "{s:I,s:I}", "epoch", (json_int_t)io.epoch, "base",
                  (json_int_t)takeover->base.number);
    fault_point(FAULT_BACKUP_TAKEOVER);
    if (backup.base != takeover->base.number || backup.base == 0)
        process_fail(STATUS_NO_BACKUP,
                     "told to take over from snapshot %llu, but snapshot %llu is in place",
                     (unsigned long long)takeover->base.number, (unsigned long long)backup.base);
    if (io.il_line == NULL)
        process_fail(STATUS_UNREACHABLE,
                     "told to take over, but the input logger is away, too: its packets died with "
                     "it, and the state of the dead master cannot be recovered");
    memcpy(process.held, takeover->held, sizeof process.held);
    memcpy(process.effects_done, takeover->effects, sizeof process.effects_done);
    inputs_begin(takeover->base.inputs_from, backup.base_inputs.next, backup.base_inputs.pending,
                 backup.base_inputs.count);
    io_reign((struct input_claim){takeover->base.inputs_of, takeover->base.inputs_from});
    fault_point(FAULT_BACKUP_CLAIMED);
    restore();
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
        events += state->position - positions_get(&backup.takeover.base.positions, t);
    }
    journal_event(io.journal, "replayed", "{s:I,s:I,s:I}", "events", (json_int_t)events, "ns",
                  (json_int_t)(now_ns() - backup.begun_ns), "input_bytes",
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
    snapshot_restart(backup.takeover.base.number + 1);
    io.next_snapshot_ns = 0;
    io.phase = IO_LIVE;
    atomic_store(&process.nf_ready, 1);
    replay_go_live();
    stored_clear();
    journal_event(io.journal, "live", "{s:I,s:I}", "epoch", (json_int_t)io.epoch, "ns",
                  (json_int_t)(now_ns() - backup.begun_ns));
    fault_point(FAULT_BACKUP_LIVE);
    return 0;
}

/* More of the logs may come when what came is used up. */
static bool send_progress(void)
{
    static struct message message = {.kind = MESSAGE_PROGRESS};
    if (!stored_progress(&message.progress))
        return false;
    io_send_ol(NULL, &message);
    return true;
}

bool backup_step(void)
{
    if (io.phase != IO_REPLAYING)
        return false;
    ship_collect_replayed();
    inputs_trim();
    if (!replay_quiescent())
        return send_progress();
    send_cut();
    return true;
}

int backup_message(const struct message *message)
{
    switch (message->kind) {
    case MESSAGE_IMAGE_BEGIN:
        return io.phase == IO_WARM ? image_begin(&message->image_begin) : 0;
    case MESSAGE_IMAGE_PAGES:
        return io.phase == IO_WARM ? image_pages(&message->image_pages) : 0;
    case MESSAGE_IMAGE_END:
        backup.whole_image = message->number.number == backup.mark.number;
        fault_point(FAULT_BACKUP_IMAGE);
        return 0;
    case MESSAGE_COMMITTED:
        if (io.phase == IO_WARM)
            image_committed(message->number.number);
        return 0;
    case MESSAGE_TAKEOVER:
        return io.phase == IO_WARM ? take_over(&message->takeover) : -EBADMSG;
    case MESSAGE_STORED_LOG:
        return io.phase == IO_REPLAYING ? stored_add(&message->stored_log) : -EBADMSG;
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
