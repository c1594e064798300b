/*
 * The output logger's protocol. The contract is in output_log.h; here is why it holds.
 *
 * Release (G1, G4). Outputs of a thread are numbered 1, 2, ... The packets arrive in order, the OUT
 * records (count, VOR) arrive in the thread's log, in order too, so both are FIFOs and only their
 * heads matter. `satisfied` is the highest number known to be releasable: it grows when R covers
 * the VOR at the head, when a base covers it, and at a cut. A head that waits remembers the one
 * position it waits for, so that each chunk costs one comparison a thread.
 *
 * Base (R13, R16). A mark waits until outputs, effects and logs up to it have been received. Then
 * everything at or below it is history that the image itself holds: its outputs are satisfied and
 * its logs are dropped. Nothing is released before this incarnation's first base: of a master that
 * resumes (R16), all that came before its barrier is known only from there.
 *
 * Takeover (R12). The epoch is raised first, so R and the stored logs stand still while the backup
 * replays. A cut that contradicts the logs, or leaves out what was released, is refused (G3, G6).
 *
 * PALISADE_BREAK_* are test-only mutants: each switches one rule off, and the simulator must find
 * out (tests/sim). They are never defined in the product.
 */
#include "output_log_parts.h"

#include <errno.h>
#include <stdlib.h>

#include "assert.h"

struct output_log *output_log_create(size_t memory_bytes, uint32_t epoch, uint64_t incarnation,
                                     const struct output_log_actions *actions, void *context)
{
    ASSERT(actions->release && actions->persist_epoch && actions->committed);
    struct output_log *ol = calloc(1, sizeof(*ol));
    if (ol == NULL)
        return NULL;
    ol->actions = *actions;
    ol->context = context;
    ol->epoch = epoch;
    ol->incarnation = incarnation;
    ol->memory = memory_bytes;
    for (uint32_t t = 0; t < THREADS_MAX; t++)
        stored_log_init(&ol->thread[t].log);
    return ol;
}

void output_log_destroy(struct output_log *ol)
{
    if (ol == NULL)
        return;
    for (uint32_t t = 0; t < THREADS_MAX; t++) {
        stored_log_free(&ol->thread[t].log);
        held_cut(&ol->pool, &ol->thread[t].held, 0);
        vor_queue_free(&ol->thread[t].vors);
    }
    held_pool_free(&ol->pool);
    free(ol);
}

int output_log_raise_epoch(struct output_log *ol)
{
    int error = ol->actions.persist_epoch(ol->context, ol->epoch + 1);
    if (error < 0)
        return error;
    ol->epoch++;
    return 0;
}

int output_log_start(struct output_log *ol, uint32_t *epoch)
{
    if (ol->phase != PHASE_IDLE)
        return -EBUSY;
    int error = output_log_raise_epoch(ol);
    if (error < 0)
        return error;
    ol->phase = PHASE_REIGN;
    *epoch = ol->epoch;
    return 0;
}

static bool resume_fits(const struct resume *resume)
{
    const struct snapshot_mark *mark = &resume->mark;

    if (mark->number == 0 || mark->threads > THREADS_MAX ||
        mark->positions.threads != mark->threads)
        return false;
    for (uint32_t t = 0; t < mark->threads; t++)
        if (resume->shipped[t] > mark->outputs[t] || resume->performed[t] > mark->effects[t])
            return false;
    return true;
}

int output_log_resume(struct output_log *ol, uint32_t epoch, const struct resume *resume)
{
    const struct snapshot_mark *mark = &resume->mark;

    if (epoch < ol->epoch) {
        ol->stale++;
        return -ESTALE;
    }
    if (epoch > ol->epoch)
        return -ENODATA;
    if (ol->phase != PHASE_IDLE || ol->threads > 0)
        return -EBUSY;
    if (!resume_fits(resume)) {
        ol->malformed++;
        return -EBADMSG;
    }
    ol->phase = PHASE_REIGN;
    ol->threads = ol->received.threads = mark->threads;
    for (uint32_t t = 0; t < mark->threads; t++) {
        struct output_thread *thread = &ol->thread[t];

        stored_log_begin(&thread->log, positions_get(&mark->positions, t));
        ol->received.at[t] = thread->log.received;
        thread->logged = mark->outputs[t]; /* no OUT record tells of those before the barrier */
        thread->arrived = thread->satisfied = thread->released = resume->shipped[t];
        thread->effects = resume->performed[t];
    }
    return 0;
}

/* ---- release ---- */

/* Does R cover the VOR at the head of the queue? If not, remembers what it waits for. */
static bool head_covered(struct output_log *ol, struct output_thread *thread)
{
    struct positions vor;

    if (positions_get(&ol->received, thread->waits_for) < thread->waits_until)
        return false;
    vor_queue_peek(&thread->vors, &vor);
    for (uint32_t t = 0; t < vor.threads; t++) {
        if (positions_get(&ol->received, t) < vor.at[t]) {
            thread->waits_for = t;
            thread->waits_until = vor.at[t];
            return false;
        }
    }
    return true;
}

void output_thread_forget_wait(struct output_thread *thread)
{
    thread->waits_for = 0;
    thread->waits_until = 0;
}

/* May the output `number`, the oldest held, be released now? */
static bool may_release(struct output_log *ol, struct output_thread *thread, uint64_t number)
{
#ifdef PALISADE_BREAK_RELEASE
    return true;
#endif
    while (number > thread->satisfied) {
        uint64_t last = vor_queue_last(&thread->vors);
        if (last == 0)
            return false; /* its OUT record has not arrived */
        if (last > thread->satisfied) {
            if (!head_covered(ol, thread))
                return false;
            thread->satisfied = last;
        }
        vor_queue_pop(&thread->vors);
        output_thread_forget_wait(thread);
    }
    return true;
}

static void release_ready(struct output_log *ol, uint32_t index)
{
    struct output_thread *thread = &ol->thread[index];
    struct packet_item item;

    if (ol->base.number == 0)
        return; /* R16 */
    while (held_peek(&thread->held, &item) && may_release(ol, thread, item.number)) {
        ASSERT(item.number == thread->released + 1);
        thread->released = item.number;
        ol->released++;
        ol->held--;
        ol->actions.release(ol->context, index, item.number, item.port, item.bytes, item.length);
        ol->held_bytes -= held_pop(&ol->pool, &thread->held);
    }
}

void output_log_release_all(struct output_log *ol)
{
    for (uint32_t t = 0; t < ol->threads; t++)
        release_ready(ol, t);
}

/* ---- from the reigning NF ---- */

static size_t memory_used(const struct output_log *ol)
{
    size_t used = ol->log_bytes + ol->held_bytes;

    for (uint32_t t = 0; t < ol->threads; t++)
        used += vor_queue_bytes(&ol->thread[t].vors);
    return used;
}

static void note_used(struct output_log *ol)
{
    size_t used = memory_used(ol);
    if (ol->memory_most < used)
        ol->memory_most = used;
}

/* Who speaks? Older epochs are refused (G5); while a backup replays nobody may speak. */
int output_log_check_epoch(struct output_log *ol, uint32_t epoch)
{
#ifdef PALISADE_BREAK_FENCE
    return 0;
#endif
    if (epoch < ol->epoch) {
        ol->stale++;
        return -ESTALE;
    }
    if (epoch > ol->epoch || ol->phase != PHASE_REIGN) {
        ol->malformed++;
        return -EBADMSG;
    }
    return 0;
}

static int check_sender(struct output_log *ol, uint32_t epoch, uint32_t thread)
{
    int error = output_log_check_epoch(ol, epoch);
    if (error < 0)
        return error;
    if (thread >= THREADS_MAX) {
        ol->malformed++;
        return -EBADMSG;
    }
    if (thread >= ol->threads) {
        ol->threads = thread + 1;
        while (ol->received.threads < ol->threads)
            ol->received.at[ol->received.threads++] = 0;
    }
    return 0;
}

static size_t little(const struct output_log *ol)
{
    return ol->memory / 16;
}

size_t output_log_overdraw(struct output_log *ol)
{
    size_t used = memory_used(ol);

    if (output_log_mark_awaited(ol))
        ol->overdrawn = used + little(ol);
    else if (used + little(ol) <= ol->memory)
        ol->overdrawn = 0;
    return used;
}

static bool fits(struct output_log *ol, size_t bytes)
{
    size_t used = output_log_overdraw(ol);
    size_t most = ol->overdrawn > ol->memory ? ol->overdrawn : ol->memory;
    return used + bytes <= most;
}

struct parsing {
    struct output_log *ol;
    struct output_thread *thread;
    uint32_t index;
};

static int take_record(void *context, const struct record *record, int bytes)
{
    struct parsing *parsing = context;
    struct output_log *ol = parsing->ol;
    struct output_thread *thread = parsing->thread;

    ol->records[record->kind]++;
    ol->record_bytes[record->kind] += (uint64_t)bytes;
    if (record->kind != RECORD_OUT)
        return 0;
    if (record->count == 0 || positions_get(&record->vector, parsing->index) < record->position)
        return -EBADMSG; /* the send itself belongs to its history (R2) */
    thread->logged += record->count;
    return vor_queue_push(&thread->vors, thread->logged, &record->vector) < 0 ? -ENOSPC : 0;
}

int output_log_chunk(struct output_log *ol, uint32_t epoch, uint32_t index,
                     const struct log_chunk *chunk, const uint8_t *bytes)
{
    int error = check_sender(ol, epoch, index);
    if (error < 0)
        return error;
    if (!fits(ol, chunk->length))
        return -ENOSPC;
    struct output_thread *thread = &ol->thread[index];
    struct parsing parsing = {.ol = ol, .thread = thread, .index = index};
    size_t before = thread->log.length;
    error = stored_log_append(&thread->log, chunk, bytes, take_record, &parsing);
    ol->log_bytes += thread->log.length - before;
    if (error < 0) {
        ol->malformed += error == -EBADMSG;
        return error;
    }
    ol->log_bytes_total += chunk->length;
    note_used(ol);
    ol->received.at[index] = thread->log.received;
    output_log_release_all(ol);
    output_log_commit_covered(ol);
    return 0;
}

int output_log_packet(struct output_log *ol, uint32_t epoch, uint32_t index,
                      const struct packet_item *item)
{
    int error = check_sender(ol, epoch, index);
    if (error < 0)
        return error;
    struct output_thread *thread = &ol->thread[index];
    if (item->number <= thread->arrived)
        return 0; /* replayed, and here since before the takeover (G4) */
    if (item->number != thread->arrived + 1 || item->length > PACKET_MAX_BYTES ||
        item->port >= PORTS_MAX) {
        ol->malformed++;
        return -EBADMSG;
    }
    if (!fits(ol, PACKET_ITEM_HEADER_BYTES + (size_t)item->length))
        return -ENOSPC;
    int taken = held_push(&ol->pool, &thread->held, item);
    if (taken < 0)
        return -ENOSPC;
    ol->held_bytes += (size_t)taken;
    ol->held++;
    note_used(ol);
    thread->arrived = item->number;
    release_ready(ol, index);
    output_log_commit_covered(ol);
    return 0;
}

int output_log_effects(struct output_log *ol, uint32_t epoch, uint32_t index, uint64_t number)
{
    int error = check_sender(ol, epoch, index);
    if (error < 0)
        return error;
    if (ol->thread[index].effects < number)
        ol->thread[index].effects = number;
    output_log_commit_covered(ol);
    return 0;
}

size_t output_log_room(const struct output_log *ol)
{
    size_t used = memory_used(ol);
    size_t room = used < ol->memory ? ol->memory - used : 0;
    return room < little(ol) && output_log_mark_awaited(ol) ? little(ol) : room;
}

bool output_log_wants_snapshot(const struct output_log *ol)
{
    return ol->phase == PHASE_REIGN && ol->pending_count == 0 &&
           (ol->base.number == 0 || memory_used(ol) > ol->memory / 2);
}

void output_log_state(const struct output_log *ol, struct output_log_state *out)
{
    *out = (struct output_log_state){
        .epoch = ol->epoch,
        .incarnation = ol->incarnation,
        .base = ol->base.number,
        .received = ol->received,
        .released = ol->released,
        .held = ol->held,
        .stale_frames = ol->stale,
        .malformed = ol->malformed,
        .log_bytes = ol->log_bytes,
        .log_bytes_total = ol->log_bytes_total,
        .memory_used = memory_used(ol),
        .memory_most = ol->memory_most,
    };
    for (uint32_t kind = 0; kind < RECORD_KINDS; kind++) {
        out->records[kind] = ol->records[kind];
        out->record_bytes[kind] = ol->record_bytes[kind];
    }
}
