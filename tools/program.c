/*
 * Reads what the pass left in an ELF file: the notes (runtime/note.c), and from the symbol table
 * the names of all source files, so that units compiled without the pass can be told.
 */
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/status.h"
#include "note.h"
#include "tools.h"

static int unit_add(const struct note *note, void *context)
{
    struct program *program = context;
    if (!note->json || note->head.abi != PALISADE_ABI_VERSION) {
        program->foreign++;
        return 0;
    }
    json_t *unit = json_loadb(note->json, note->head.json_bytes, 0, NULL);
    if (!json_is_object(unit)) {
        json_decref(unit);
        return -EBADMSG;
    }
    json_array_append_new(program->units, unit);
    for (const char *name = note->defines; *name; name += strlen(name) + 1)
        json_object_set_new(program->defines, name, json_true());
    for (const char *name = note->externals; *name; name += strlen(name) + 1)
        json_array_append_new(program->externals,
                              json_pack("{s:s, s:i}", "name", name, "unit",
                                        (int)json_array_size(program->units) - 1));
    return 0;
}

/* Files of the C library's start-up code are in every program. */
static bool is_startup(const char *name)
{
    static const char *const names[] = {"crtstuff.c", "init.c", "abi-note.c", "dynamic-reloc.c"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    const char *dot = strrchr(name, '.');
    return !dot || strcmp(dot, ".o") == 0; /* crt1.o and the like; names without a suffix */
}

static void sources_add(struct program *program, Elf *elf, Elf_Scn *section, const GElf_Shdr *head)
{
    Elf_Data *data = elf_getdata(section, NULL);
    size_t count = data && head->sh_entsize ? head->sh_size / head->sh_entsize : 0;
    for (size_t i = 0; i < count; i++) {
        GElf_Sym symbol;
        if (!gelf_getsym(data, (int)i, &symbol) || GELF_ST_TYPE(symbol.st_info) != STT_FILE)
            continue;
        const char *name = elf_strptr(elf, head->sh_link, symbol.st_name);
        if (name && *name && !is_startup(name))
            json_array_append_new(program->sources, json_string(name));
    }
}

static void exported_add(struct program *program, Elf *elf, Elf_Scn *section, const GElf_Shdr *head)
{
    Elf_Data *data = elf_getdata(section, NULL);
    size_t count = data && head->sh_entsize ? head->sh_size / head->sh_entsize : 0;
    for (size_t i = 0; i < count; i++) {
        GElf_Sym symbol;
        if (!gelf_getsym(data, (int)i, &symbol) || symbol.st_shndx == SHN_UNDEF)
            continue;
        const char *name = elf_strptr(elf, head->sh_link, symbol.st_name);
        if (name && *name)
            json_object_set_new(program->exported, name, json_true());
    }
}

/* Programs that lost their section headers still have their segments. */
static int segments_read(struct program *program, Elf *elf)
{
    size_t count;
    if (elf_getphdrnum(elf, &count) != 0)
        return 0;
    for (size_t i = 0; i < count; i++) {
        GElf_Phdr segment;
        if (!gelf_getphdr(elf, (int)i, &segment) || segment.p_type != PT_NOTE ||
            segment.p_align > 4)
            continue;
        Elf_Data *data =
            elf_getdata_rawchunk(elf, (off_t)segment.p_offset, segment.p_filesz, ELF_T_BYTE);
        int status = data ? notes_read(data->d_buf, data->d_size, unit_add, program) : -EBADMSG;
        if (status != 0)
            return status;
    }
    return 0;
}

static int elf_read(struct program *program, Elf *elf)
{
    size_t names;
    bool by_section = false;
    program->stripped = true;
    if (elf_getshdrstrndx(elf, &names) != 0)
        return segments_read(program, elf);
    for (Elf_Scn *section = NULL; (section = elf_nextscn(elf, section)) != NULL;) {
        GElf_Shdr head;
        if (!gelf_getshdr(section, &head))
            continue;
        if (head.sh_type == SHT_SYMTAB) {
            program->stripped = false;
            sources_add(program, elf, section, &head);
        }
        if (head.sh_type == SHT_DYNSYM)
            exported_add(program, elf, section, &head);
        const char *name = elf_strptr(elf, names, head.sh_name);
        if (!name || strcmp(name, ".note.palisade") != 0)
            continue;
        by_section = true;
        Elf_Data *data = elf_rawdata(section, NULL);
        int status = data ? notes_read(data->d_buf, data->d_size, unit_add, program) : -EBADMSG;
        if (status != 0)
            return status;
    }
    return by_section ? 0 : segments_read(program, elf);
}

int program_read(struct program *out, const char *path)
{
    *out = (struct program){.units = json_array(),
                            .defines = json_object(),
                            .externals = json_array(),
                            .sources = json_array(),
                            .exported = json_object()};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        fprintf(stderr, "palisade: %s: %s\n", path, strerror(errno));
        return STATUS_USAGE;
    }
    int status = STATUS_OK;
    elf_version(EV_CURRENT);
    Elf *elf = elf_begin(fd, ELF_C_READ_MMAP, NULL);
    if (!elf || elf_kind(elf) != ELF_K_ELF) {
        fprintf(stderr, "palisade: %s: not a program (no ELF file)\n", path);
        status = STATUS_USAGE;
    } else if (elf_read(out, elf) != 0) {
        fprintf(stderr, "palisade: %s: the notes of Palisade are damaged: build it again\n", path);
        status = STATUS_PROTOCOL;
    }
    elf_end(elf);
    close(fd);
    return status;
}

void program_free(struct program *program)
{
    json_decref(program->units);
    json_decref(program->defines);
    json_decref(program->externals);
    json_decref(program->sources);
    json_decref(program->exported);
}
