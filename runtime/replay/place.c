/* See place.h. */
#include "replay/place.h"

#include <dlfcn.h>
#include <elfutils/libdwfl.h>
#include <link.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *without_folder(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* ---- from the low half to the whole address ---- */

static int search_object(struct dl_phdr_info *info, size_t size, void *context)
{
    (void)size;
    struct place *place = context;
    for (ElfW(Half) i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        if (segment->p_type != PT_LOAD || !(segment->p_flags & PF_X))
            continue;
        uint64_t start = info->dlpi_addr + segment->p_vaddr;
        uint32_t offset = place->site - 1 - (uint32_t)start; /* the call lies before its return */
        if (offset >= segment->p_memsz)
            continue;
        place->address = start + offset;
        const char *name = info->dlpi_name && *info->dlpi_name ? info->dlpi_name : "the program";
        snprintf(place->object, sizeof place->object, "%s", without_folder(name));
        return 1;
    }
    return 0;
}

/* ---- debug information ---- */

static struct {
    __typeof__(dwfl_begin) *begin;
    __typeof__(dwfl_end) *end;
    __typeof__(dwfl_linux_proc_report) *report;
    __typeof__(dwfl_report_end) *report_end;
    __typeof__(dwfl_linux_proc_find_elf) *find_elf;
    __typeof__(dwfl_addrmodule) *module;
    __typeof__(dwfl_module_addrname) *name;
    __typeof__(dwfl_module_nextcu) *next_unit;
    __typeof__(dwarf_haspc) *has;
    __typeof__(dwarf_getsrc_die) *line;
    __typeof__(dwarf_linesrc) *file;
    __typeof__(dwarf_lineno) *number;
} dw;

static bool load(void)
{
    void *library = dlopen("libdw.so.1", RTLD_NOW | RTLD_LOCAL);
    if (library == NULL)
        return false;
#define FIND(member, symbol) (dw.member = (__typeof__(dw.member))dlsym(library, #symbol))
    return FIND(begin, dwfl_begin) && FIND(end, dwfl_end) && FIND(report, dwfl_linux_proc_report) &&
           FIND(report_end, dwfl_report_end) && FIND(find_elf, dwfl_linux_proc_find_elf) &&
           FIND(module, dwfl_addrmodule) && FIND(name, dwfl_module_addrname) &&
           FIND(next_unit, dwfl_module_nextcu) && FIND(has, dwarf_haspc) &&
           FIND(line, dwarf_getsrc_die) && FIND(file, dwarf_linesrc) && FIND(number, dwarf_lineno);
}

/* What the program does not carry itself is not looked for: that may ask the network. */
static int no_other_file(Dwfl_Module *module, void **user, const char *name, Dwarf_Addr base,
                         const char *file, const char *link, GElf_Word crc, char **found)
{
    (void)module, (void)user, (void)name, (void)base, (void)file, (void)link, (void)crc;
    *found = NULL;
    return -1;
}

static void look_up(Dwfl *session, struct place *place)
{
    Dwfl_Module *module = place->address ? dw.module(session, place->address) : NULL;
    if (module == NULL)
        return;
    const char *function = dw.name(module, place->address);
    if (function)
        snprintf(place->function, sizeof place->function, "%s", function);
    /* Unit by unit: clang writes no table of the addresses of units. */
    Dwarf_Addr bias = 0;
    for (Dwarf_Die *unit = NULL; (unit = dw.next_unit(module, unit, &bias)) != NULL;) {
        if (dw.has(unit, place->address - bias) != 1)
            continue;
        Dwarf_Line *line = dw.line(unit, place->address - bias);
        const char *file = line ? dw.file(line, NULL, NULL) : NULL;
        if (file && dw.number(line, &place->line) == 0)
            snprintf(place->file, sizeof place->file, "%s", without_folder(file));
        return;
    }
}

struct work {
    struct place *places;
    size_t count;
};

static void *work(void *argument)
{
    struct work *work = argument;
    if (!load())
        return NULL;
    const Dwfl_Callbacks callbacks = {.find_elf = dw.find_elf, .find_debuginfo = no_other_file};
    Dwfl *session = dw.begin(&callbacks);
    if (session == NULL)
        return NULL;
    if (dw.report(session, getpid()) == 0 && dw.report_end(session, NULL, NULL) == 0)
        for (size_t i = 0; i < work->count; i++)
            look_up(session, &work->places[i]);
    dw.end(session);
    return NULL;
}

void places_find(struct place *places, size_t count)
{
    struct work todo = {places, count};
    pthread_t thread;
    for (size_t i = 0; i < count; i++) {
        places[i] = (struct place){.site = places[i].site};
        if (places[i].site)
            dl_iterate_phdr(search_object, &places[i]);
    }
    if (pthread_create(&thread, NULL, work, &todo) == 0)
        pthread_join(thread, NULL);
}

const char *place_text(const struct place *place, char *out, size_t length)
{
    if (place->address == 0)
        snprintf(out, length, "an unknown place");
    else if (*place->file == 0)
        snprintf(out, length, "0x%llx in %s%s%s%s (compile with -g to see its line)",
                 (unsigned long long)place->address, place->object, *place->function ? " (" : "",
                 place->function, *place->function ? ")" : "");
    else
        snprintf(out, length, "%s:%d (%s)", place->file, place->line, place->function);
    return out;
}
