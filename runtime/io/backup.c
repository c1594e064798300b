/*
 * What a backup has in place: pages of a coming image are staged; COMMITTED puts them where they
 * belong, so that a takeover, or a standby that begins to follow, has nothing left to copy.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fault/fault.h"
#include "hooks/threads/thread.h"
#include "io/io.h"
#include "replay/inputs.h"
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
    struct snapshot_mark base; /* number 0: none */
    struct snapshot_inputs base_inputs;
} backup = {.last = &backup.first};

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
    if (!begin->whole && backup.base.number == 0)
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

/* A large image takes long, and who is silent for a second is dead. */
static void keep_alive(void)
{
    static int64_t told_ns;
    const struct message alive = {.kind = MESSAGE_HEARTBEAT};
    int64_t now = now_ns();
    if (now - told_ns < HEARTBEAT_EVERY_NS)
        return;
    told_ns = now;
    if (io.ol_line)
        lifeline_send(io.ol_line, &alive);
    if (io.il_line)
        lifeline_send(io.il_line, &alive);
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
        keep_alive();
        fault_point(FAULT_BACKUP_APPLYING);
    }
    drop_staged();
    if (backup.base.number == 0)
        journal_event(io.journal, "base", "{s:I}", "number", (json_int_t)number);
    backup.base = backup.mark;
    free(backup.base_inputs.pending);
    backup.base_inputs = backup.inputs;
    backup.inputs.pending = NULL;
    fault_point(FAULT_BACKUP_APPLIED);
}

void backup_output_lost(void)
{
    drop_staged();
    backup.base.number = 0; /* pages in place are no base of the next one's: it begins with all */
}

const struct snapshot_mark *backup_base(void)
{
    return &backup.base;
}

void backup_inputs_begin(void)
{
    inputs_begin(backup.base.inputs_from, backup.base_inputs.next, backup.base_inputs.pending,
                 backup.base_inputs.count);
}

int backup_image(const struct message *message)
{
    switch (message->kind) {
    case MESSAGE_IMAGE_BEGIN:
        return image_begin(&message->image_begin);
    case MESSAGE_IMAGE_PAGES:
        return image_pages(&message->image_pages);
    case MESSAGE_IMAGE_END:
        backup.whole_image = message->number.number == backup.mark.number;
        fault_point(FAULT_BACKUP_IMAGE);
        return 0;
    default:
        image_committed(message->number.number);
        return 0;
    }
}
