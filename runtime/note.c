#include "note.h"

#include <elf.h>
#include <errno.h>
#include <link.h>
#include <stdbool.h>
#include <string.h>

static size_t align4(size_t bytes)
{
    return (bytes + 3) & ~(size_t)3;
}

/* The end of the list that starts at `list`, or NULL when it does not end before `end`. */
static const char *list_end(const char *list, const char *end)
{
    while (list < end && *list != 0) {
        const char *stop = memchr(list, 0, (size_t)(end - list));
        if (!stop)
            return NULL;
        list = stop + 1;
    }
    return list < end ? list + 1 : NULL;
}

/* Points *note into the descriptor. */
static int note_decode(const char *bytes, size_t length, struct note *note)
{
    *note = (struct note){0};
    if (length < sizeof note->head)
        return -EBADMSG;
    memcpy(&note->head, bytes, sizeof note->head);
    if (note->head.format != PALISADE_NOTE_FORMAT)
        return 0;
    const char *end = bytes + length;
    const char *json = bytes + sizeof note->head;
    if (note->head.json_bytes >= (size_t)(end - json) || json[note->head.json_bytes] != 0)
        return -EBADMSG;
    const char *defines = json + note->head.json_bytes + 1;
    const char *externals = list_end(defines, end);
    const char *plan = externals ? list_end(externals, end) : NULL;
    if (!plan)
        return -EBADMSG;
    note->json = json;
    note->defines = defines;
    note->externals = externals;
    note->plan = plan < end && memchr(plan, 0, (size_t)(end - plan)) ? plan : "";
    return 0;
}

int notes_read(const void *bytes, size_t length, note_callback callback, void *context)
{
    const char *at = bytes;
    while (length >= sizeof(ElfW(Nhdr))) {
        ElfW(Nhdr) head;
        memcpy(&head, at, sizeof head);
        size_t name = align4(head.n_namesz), description = align4(head.n_descsz);
        size_t room = length - sizeof head;
        if (name > room || head.n_descsz > room - name)
            return -EBADMSG;
        if (head.n_type == PALISADE_NOTE_TYPE && head.n_namesz == sizeof PALISADE_NOTE_NAME &&
            memcmp(at + sizeof head, PALISADE_NOTE_NAME, sizeof PALISADE_NOTE_NAME) == 0) {
            struct note note;
            int status = note_decode(at + sizeof head + name, head.n_descsz, &note);
            if (status == 0)
                status = callback(&note, context);
            if (status != 0)
                return status;
        }
        size_t taken = sizeof head + name + description;
        if (taken >= length)
            break;
        at += taken;
        length -= taken;
    }
    return 0;
}

struct walk {
    note_callback callback;
    void *context;
    int status;
};

/* dl_iterate_phdr calls with the main program first; returning nonzero ends it there. */
static int walk_program(struct dl_phdr_info *info, size_t size, void *context)
{
    (void)size;
    struct walk *walk = context;
    for (ElfW(Half) i = 0; i < info->dlpi_phnum && walk->status == 0; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        /* Segments aligned to 8 hold GNU properties in another layout. */
        if (segment->p_type != PT_NOTE || segment->p_align > 4)
            continue;
        walk->status = notes_read((const void *)(info->dlpi_addr + segment->p_vaddr),
                                  segment->p_memsz, walk->callback, walk->context);
    }
    return 1;
}

int notes_each(note_callback callback, void *context)
{
    struct walk walk = {callback, context, 0};
    dl_iterate_phdr(walk_program, &walk);
    return walk.status;
}

struct search {
    const char *name;
    bool found;
};

static int search_note(const struct note *note, void *context)
{
    struct search *search = context;
    for (const char *name = note->defines; name && *name; name += strlen(name) + 1)
        search->found |= strcmp(name, search->name) == 0;
    return 0;
}

static int total_note(const struct note *note, void *context)
{
    struct notes_total *total = context;
    total->units++;
    if (!note->json || note->head.abi != PALISADE_ABI_VERSION) {
        total->foreign++;
        return 0;
    }
    if (!total->first_plan)
        total->first_plan = note->plan;
    total->planless += strcmp(total->first_plan, note->plan) != 0;
    total->unhandled += note->head.unhandled;
    for (const char *name = note->externals; *name; name += strlen(name) + 1) {
        struct search search = {name, false};
        notes_each(search_note, &search);
        if (search.found)
            continue;
        total->missing++;
        if (!total->first_missing)
            total->first_missing = name;
    }
    return 0;
}

int notes_total(struct notes_total *out)
{
    *out = (struct notes_total){0};
    return notes_each(total_note, out);
}
