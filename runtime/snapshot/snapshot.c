/*
 * See snapshot.h.
 *
 * Stop and copy: with all threads safe the regions are copied to a mirror, which is one memcpy of
 * what the NF uses; the threads go on, and the I/O thread compares the mirror page by page with
 * what it shipped last, a slice at a time, and ships what differs. Mirrors are sparse mappings
 * of the same shape as the originals, so that finding a page's copy is arithmetic.
 */
#include "snapshot/snapshot.h"

#include <errno.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "core/assert.h"
#include "fault/fault.h"
#include "hooks/packets/queue.h"
#include "hooks/values/cycle.h"
#include "hooks/values/value.h"
#include "replay/inputs.h"
#include "replay/replay.h"
#include "snapshot/regions.h"

#define REGIONS_MAX (THREADS_MAX + 16u)
#define REST_NS 10000000
#define REST_COPIES 4
#define BARRIER_PATIENCE_NS 100000000 /* a thread may compute that long while others wait */

static struct {
    enum snapshot_state state;
    bool whole;
    uint64_t next_number;
    bool lowered; /* replay: until who waited inside a call for who is parked has gone on */
    uint32_t waits_seen[THREADS_MAX];
    const char *stuck_in;          /* what somebody waited in */
    uint32_t let_go;               /* times */
    int64_t raised_ns, patient_ns; /* the barrier; since when threads only compute */
    struct region regions[REGIONS_MAX];
    uint32_t region_count;
    struct snapshot_mark mark;
    uint8_t *description;
    uint32_t description_bytes;
    /* shipping */
    bool begun;
    uint32_t region;
    uint64_t address;
    struct snapshot_figures figures;
} snapshot;

/* ---- mirrors ---- */

struct area {
    uint64_t base, bytes;
    uint8_t *copied, *shipped;
};
#define AREAS 4u
static struct area areas[AREAS];

static void area_open(struct area *area, uint64_t base, uint64_t bytes)
{
    *area = (struct area){.base = base, .bytes = bytes};
    area->copied = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    area->shipped = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (area->copied == MAP_FAILED || area->shipped == MAP_FAILED)
        process_fail(STATUS_MEMORY, "no memory for the mirrors of snapshots");
}

static struct area *area_of(uint64_t address)
{
    for (uint32_t i = 0; i < AREAS; i++)
        if (address - areas[i].base < areas[i].bytes)
            return &areas[i];
    ASSERT(!"address of a region lies in no area");
    return NULL;
}

void snapshot_init(void)
{
    struct region program = regions_program();
    area_open(&areas[0], program.start, program.end - program.start);
    area_open(&areas[1], IMAGE_BASE, (sizeof(struct image) + 4095) & ~4095ul);
    area_open(&areas[2], STACKS_BASE,
              THREADS_MAX * ((uint64_t)process.options.stack_kib * 1024 + STACK_TOP_BYTES));
    area_open(&areas[3], HEAP_BASE, (uint64_t)process.options.heap_mib << 20);
    snapshot_restart(1);
}

void snapshot_restart(uint64_t next_number)
{
    snapshot.state = SNAPSHOT_IDLE;
    snapshot.whole = true;
    snapshot.next_number = next_number;
}

void snapshot_numbers_above(uint64_t number)
{
    if (snapshot.next_number <= number)
        snapshot.next_number = number + 1;
}

void snapshot_abandon(void)
{
    if (snapshot.state == SNAPSHOT_BARRIER)
        process_set_barrier(false);
    snapshot_restart(snapshot.next_number);
}

enum snapshot_state snapshot_state(void)
{
    return snapshot.state;
}

const struct snapshot_mark *snapshot_mark(void)
{
    return &snapshot.mark;
}

const struct snapshot_figures *snapshot_figures(void)
{
    return &snapshot.figures;
}

int64_t snapshot_rest_ns(void)
{
    int64_t rest = REST_COPIES * snapshot.figures.copy_ns;
    return rest > REST_NS ? rest : REST_NS;
}

const struct snapshot_mark *snapshot_pending(void)
{
    bool pending = snapshot.state == SNAPSHOT_SHIPPING || snapshot.state == SNAPSHOT_COMMITTING;
    return pending ? &snapshot.mark : NULL;
}

/* ---- barrier and copy ---- */

/* The step exists for whoever reigns, and for a standby that follows. */
static void point(enum fault master, enum fault standby)
{
    fault_point(process_mode() == MODE_RECORD ? master : standby);
}

void snapshot_begin(int64_t now)
{
    ASSERT(snapshot.state == SNAPSHOT_IDLE);
    snapshot.raised_ns = snapshot.patient_ns = now;
    snapshot.stuck_in = NULL;
    snapshot.lowered = false;
    snapshot.let_go = 0;
    snapshot.state = SNAPSHOT_BARRIER;
    process_set_barrier(true);
    point(FAULT_MASTER_BARRIER, FAULT_BACKUP_BARRIER);
}

static bool is_unsafe(uint32_t t)
{
    return atomic_load(&IMAGE->threads[t].lifecycle) != THREAD_EXITED &&
           !atomic_load(&process.runs[t].safe);
}

static bool all_safe(void)
{
    for (uint32_t t = 0; t < __atomic_load_n(&IMAGE->thread_count, __ATOMIC_ACQUIRE); t++)
        if (is_unsafe(t))
            return false;
    return true;
}

static const char *inside(uint32_t t)
{
    return atomic_load(&process.runs[t].inside);
}

/* Replay: all that are not safe wait, most probably for who is. */
static bool stuck(void)
{
    const char *where = NULL;
    for (uint32_t t = 0; t < __atomic_load_n(&IMAGE->thread_count, __ATOMIC_ACQUIRE); t++) {
        const char *what = inside(t);
        if (!is_unsafe(t))
            continue;
        if (what == NULL)
            return false;
        where = what;
    }
    if (where)
        snapshot.stuck_in = where;
    return where != NULL;
}

/* The barrier is lowered until those who waited when it was have gone on, or wait anew. */
static void lower(void)
{
    for (uint32_t t = 0; t < THREADS_MAX; t++)
        snapshot.waits_seen[t] = inside(t) ? atomic_load(&process.runs[t].inside_waits) : 0;
    snapshot.lowered = true;
    snapshot.let_go++;
    process_set_barrier(false);
}

static bool still_wait(void)
{
    for (uint32_t t = 0; t < THREADS_MAX; t++)
        if (snapshot.waits_seen[t] && inside(t) &&
            atomic_load(&process.runs[t].inside_waits) == snapshot.waits_seen[t])
            return true;
    return false;
}

const char *snapshot_stuck_in(void)
{
    return snapshot.stuck_in ? snapshot.stuck_in : "no call";
}

static int compare_ids(const void *a, const void *b)
{
    packet_id x = *(const packet_id *)a, y = *(const packet_id *)b;
    return x < y ? -1 : x > y;
}

/* Ids that lie in queues, or are still kept since a takeover: not consumed (R15). */
static void describe_inputs(struct input_claim next)
{
    uint32_t count = 0, room = inputs_waiting(next.from, NULL);
    for (uint32_t s = 0; s < QUEUES_MAX; s++)
        if (process.queues[s])
            room += queue_used(process.queues[s]);
    uint8_t *bytes = malloc(12 + room * sizeof(packet_id));
    packet_id *ids = malloc((room + 1) * sizeof(packet_id));
    if (bytes == NULL || ids == NULL)
        process_fail(STATUS_MEMORY, "no memory to describe a snapshot");
    for (uint32_t s = 0; s < QUEUES_MAX; s++) {
        struct queue *queue = process.queues[s];
        if (queue == NULL)
            continue;
        for (uint64_t at = queue->tail; at != queue->head; at++)
            ids[count++] = queue->slots[at & queue_mask()].id;
    }
    count += inputs_waiting(next.from, ids + count);
    ASSERT(count == room);
    qsort(ids, count, sizeof *ids, compare_ids);
    memcpy(bytes, &next.from, 8);
    memcpy(bytes + 8, &count, 4);
    memcpy(bytes + 12, ids, count * sizeof *ids);
    snapshot.mark.inputs_of = next.of;
    snapshot.mark.inputs_from = count ? ids[0] : next.from;
    free(snapshot.description);
    snapshot.description = bytes;
    snapshot.description_bytes = 12 + count * (uint32_t)sizeof *ids;
    free(ids);
}

int snapshot_inputs_read(const uint8_t *bytes, uint32_t length, struct snapshot_inputs *out)
{
    *out = (struct snapshot_inputs){0};
    if (length < 12)
        return -EBADMSG;
    memcpy(&out->next, bytes, 8);
    memcpy(&out->count, bytes + 8, 4);
    if (length != 12 + (uint64_t)out->count * sizeof(packet_id))
        return -EBADMSG;
    out->pending = malloc(length);
    if (out->pending == NULL)
        return -ENOMEM;
    memcpy(out->pending, bytes + 12, length - 12);
    return 0;
}

static void mark_log(uint32_t t, enum snapshot_logs logs)
{
    struct thread_run *run = &process.runs[t];
    struct thread_state *state = &IMAGE->threads[t].core;
    if (logs == LOGS_REPLAYED) {
        log_reader_codec(&run->reader, &state->codec);
        return;
    }
    thread_state_segment(state);
    if (logs == LOGS_RESTART)
        log_restart(&run->log);
    else
        log_reset(&run->log);
}

static void mark_threads(enum snapshot_logs logs)
{
    struct snapshot_mark *mark = &snapshot.mark;
    memset(mark, 0, sizeof *mark);
    mark->number = snapshot.next_number++;
    mark->replayed = logs == LOGS_REPLAYED;
    mark->threads = mark->positions.threads = IMAGE->thread_count;
    for (uint32_t t = 0; t < mark->threads; t++) {
        struct nf_thread *thread = &IMAGE->threads[t];
        mark->positions.at[t] = thread->core.position;
        mark->outputs[t] = thread->core.outputs;
        mark->effects[t] = thread->core.effects;
        mark_log(t, logs);
        if (thread->lifecycle == THREAD_RUNNING)
            regions_tls_gather(t, process.runs[t].tcb);
    }
}

bool snapshot_logs_full(void)
{
    for (uint32_t t = 0; t < IMAGE->thread_count; t++)
        if (stall_now(&process.runs[t].log_full))
            return true;
    return false;
}

bool snapshot_give_up(int64_t now)
{
    /* The others would only fill their logs, too, and it may be this snapshot that makes room. */
    if (snapshot_logs_full())
        snapshot.patient_ns = now;
    if (snapshot.state != SNAPSHOT_BARRIER || now - snapshot.patient_ns < BARRIER_PATIENCE_NS)
        return false;
    snapshot.state = SNAPSHOT_IDLE;
    process_set_barrier(false);
    return true;
}

bool snapshot_ready(void)
{
    ASSERT(snapshot.state == SNAPSHOT_BARRIER);
    if (snapshot.lowered) {
        if (still_wait())
            return false;
        snapshot.lowered = false;
        snapshot.raised_ns = now_ns();
        process_set_barrier(true);
        return false;
    }
    if (all_safe())
        return true;
    if (stuck())
        lower();
    return false;
}

void snapshot_copy(struct input_claim next, enum snapshot_logs logs)
{
    ASSERT(snapshot.state == SNAPSHOT_BARRIER);
    int64_t stopped = now_ns();
    mark_threads(logs);
    describe_inputs(next);
    if (logs != LOGS_REPLAYED) { /* else what the NF has seen is the floor: value_clock_seen */
        value_clocks_floor();
        cycle_floor();
    }
    snapshot.region_count = regions_collect(snapshot.regions, REGIONS_MAX);
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < snapshot.region_count; i++) {
        struct region region = snapshot.regions[i];
        struct area *area = area_of(region.start);
        ASSERT(region.end <= area->base + area->bytes);
        memcpy(area->copied + (region.start - area->base), (const void *)region.start,
               region.end - region.start);
        bytes += region.end - region.start;
    }
    point(FAULT_MASTER_COPIED, FAULT_BACKUP_COPIED);
    process_set_barrier(false);
    int64_t now = now_ns();
    snapshot.figures = (struct snapshot_figures){.number = snapshot.mark.number,
                                                 .pause_ns = now - snapshot.raised_ns,
                                                 .copy_ns = now - stopped,
                                                 .let_go = snapshot.let_go,
                                                 .bytes = bytes};
    snapshot.state = SNAPSHOT_SHIPPING;
    snapshot.begun = false;
    snapshot.region = 0;
    snapshot.address = snapshot.regions[0].start;
}

/* ---- shipping ---- */

static bool differs(uint64_t address)
{
    struct area *area = area_of(address);
    uint64_t offset = address - area->base;
    return snapshot.whole || memcmp(area->copied + offset, area->shipped + offset, 4096) != 0;
}

/* The next run of pages that must travel, from snapshot.address on; looks at `limit` pages. */
static uint32_t next_pages(uint32_t limit, uint64_t *start)
{
    uint32_t pages = 0;
    while (snapshot.region < snapshot.region_count && limit-- > 0 && pages < IMAGE_PAGES_MAX) {
        const struct region *region = &snapshot.regions[snapshot.region];
        if (snapshot.address == region->end) {
            if (pages)
                break;
            snapshot.region++;
            snapshot.address = snapshot.regions[snapshot.region].start;
            continue;
        }
        if (differs(snapshot.address)) {
            if (pages++ == 0)
                *start = snapshot.address;
        } else if (pages) {
            break;
        }
        snapshot.address += 4096;
    }
    return pages;
}

static int send_pages(uint64_t start, uint32_t pages,
                      int (*send)(void *context, const struct message *message), void *context)
{
    struct area *area = area_of(start);
    uint64_t offset = start - area->base;
    struct message message = {
        .kind = MESSAGE_IMAGE_PAGES,
        .image_pages = {.address = start, .count = pages, .bytes = area->copied + offset}};
    memcpy(area->shipped + offset, area->copied + offset, pages * 4096ul);
    snapshot.figures.shipped_bytes += pages * 4096ul;
    return send(context, &message);
}

int snapshot_ship(size_t room, int (*send)(void *context, const struct message *message),
                  void *context)
{
    ASSERT(snapshot.state == SNAPSHOT_SHIPPING);
    int error = 0;
    if (!snapshot.begun) {
        struct message begin = {.kind = MESSAGE_IMAGE_BEGIN,
                                .image_begin = {.mark = snapshot.mark,
                                                .whole = snapshot.whole,
                                                .description_bytes = snapshot.description_bytes,
                                                .description = snapshot.description}};
        error = send(context, &begin);
        snapshot.begun = true;
        point(FAULT_MASTER_IMAGE_BEGIN, FAULT_BACKUP_IMAGE_BEGIN);
    }
    /* A bounded slice, so that packets do not wait for a large comparison. */
    for (uint32_t slice = 0; slice < 8 && error == 0; slice++) {
        uint64_t start = 0;
        uint32_t pages = next_pages(IMAGE_PAGES_MAX, &start);
        if (pages) {
            error = send_pages(start, pages, send, context);
            point(FAULT_MASTER_PAGES, FAULT_BACKUP_PAGES_SENT);
            if (room < pages * 4096ul)
                break;
            room -= pages * 4096ul;
        }
        if (snapshot.region == snapshot.region_count) {
            struct message end = {.kind = MESSAGE_IMAGE_END,
                                  .number = {.number = snapshot.mark.number}};
            error = error ? error : send(context, &end);
            point(FAULT_MASTER_IMAGE_END, FAULT_BACKUP_IMAGE_END);
            snapshot.state = SNAPSHOT_COMMITTING;
            snapshot.whole = false;
            break;
        }
    }
    return error;
}

bool snapshot_committed(uint64_t number)
{
    if (snapshot.state != SNAPSHOT_COMMITTING || number != snapshot.mark.number)
        return false;
    snapshot.state = SNAPSHOT_IDLE;
    return true;
}
