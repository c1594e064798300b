/*
 * Reads what the pass left in an ELF file, or in the members of an archive: the notes
 * (runtime/note.c), and from the symbol table the names of all source files, so that units compiled
 * without the pass can be told. Files may hold anything: what is damaged is said, never trusted.
 */
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/status.h"
#include "json.h"
#include "note.h"
#include "tools.h"

json_t *safe_string(const char *name)
{
    json_t *string = json_string(name);
    if (string)
        return string;
    char copy[256];
    size_t length = 0;
    for (; name[length] && length < sizeof copy - 1; length++)
        copy[length] = (unsigned char)name[length] < 0x80 ? name[length] : '?';
    copy[length] = 0;
    return json_string(copy);
}

static void other_version_add(struct program *program, const struct note *note)
{
    json_t *other = json_pack("{s:I, s:I}", "format", (json_int_t)note->head.format, "abi",
                              (json_int_t)note->head.abi);
    json_t *unit = note->json ? json_loadb(note->json, note->head.json_bytes, 0, NULL) : NULL;
    if (*text(unit, "file"))
        json_object_set(other, "file", json_object_get(unit, "file"));
    json_decref(unit);
    json_array_append_new(program->other_versions, other);
}

static int unit_add(const struct note *note, void *context)
{
    struct program *program = context;
    if (!note->json || note->head.abi != PALISADE_ABI_VERSION) {
        other_version_add(program, note);
        return 0;
    }
    json_t *unit = json_loadb(note->json, note->head.json_bytes, 0, NULL);
    if (!json_is_object(unit) || number(unit, "schema") != 1) {
        json_decref(unit);
        return -EBADMSG;
    }
    json_array_append_new(program->units, unit);
    for (const char *name = note->defines; *name; name += strlen(name) + 1)
        json_object_set_new(program->defines, name, json_true());
    for (const char *name = note->externals; *name; name += strlen(name) + 1)
        json_array_append_new(program->externals,
                              json_pack("{s:o, s:i}", "name", safe_string(name), "unit",
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
            json_array_append_new(program->sources, safe_string(name));
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
    bool by_section = false, symbols = false;
    if (elf_getshdrstrndx(elf, &names) != 0) {
        program->stripped = true;
        return segments_read(program, elf);
    }
    for (Elf_Scn *section = NULL; (section = elf_nextscn(elf, section)) != NULL;) {
        GElf_Shdr head;
        if (!gelf_getshdr(section, &head))
            continue;
        if (head.sh_type == SHT_SYMTAB) {
            symbols = true;
            sources_add(program, elf, section, &head);
        }
        if (head.sh_type == SHT_DYNSYM)
            exported_add(program, elf, section, &head);
        const char *name = elf_strptr(elf, names, head.sh_name);
        if (!name || strcmp(name, ".note.palisade") != 0 || head.sh_type == SHT_NOBITS)
            continue;
        by_section = true;
        Elf_Data *data = elf_rawdata(section, NULL);
        int status = data ? notes_read(data->d_buf, data->d_size, unit_add, program) : -EBADMSG;
        if (status != 0)
            return status;
    }
    program->stripped |= !symbols;
    return by_section ? 0 : segments_read(program, elf);
}

static bool is_bitcode(Elf *member)
{
    size_t size = 0;
    const char *bytes = elf_rawfile(member, &size);
    return bytes && size >= 4 && memcmp(bytes, "BC\xC0\xDE", 4) == 0;
}

/* Archives hold objects; what has neither a note nor a source's name is told by its own. */
static int archive_read(struct program *program, Elf *archive, int fd)
{
    Elf_Cmd command = ELF_C_READ_MMAP;
    Elf *member;
    int status = 0;
    while (status == 0 && (member = elf_begin(fd, command, archive)) != NULL) {
        const Elf_Arhdr *head = elf_getarhdr(member);
        const char *name = head ? head->ar_name : NULL;
        if (name && *name != '/' && elf_kind(member) == ELF_K_ELF) {
            size_t known = json_array_size(program->units) + json_array_size(program->sources) +
                           json_array_size(program->other_versions);
            status = elf_read(program, member);
            if (status == 0 && known == json_array_size(program->units) +
                                            json_array_size(program->sources) +
                                            json_array_size(program->other_versions))
                json_array_append_new(program->sources, safe_string(name));
            program->members++;
        } else if (name && is_bitcode(member)) {
            json_array_append_new(program->sources, safe_string(name));
        }
        command = elf_next(member);
        elf_end(member);
    }
    return status;
}

static enum program_kind kind_of(Elf *elf)
{
    GElf_Ehdr head;
    size_t count = 0;
    if (!gelf_getehdr(elf, &head))
        return PROGRAM_UNKNOWN;
    if (head.e_type == ET_REL)
        return PROGRAM_OBJECT;
    if (head.e_type == ET_EXEC)
        return PROGRAM_EXECUTABLE;
    if (head.e_type != ET_DYN || elf_getphdrnum(elf, &count) != 0)
        return PROGRAM_UNKNOWN;
    for (size_t i = 0; i < count; i++) {
        GElf_Phdr segment;
        if (gelf_getphdr(elf, (int)i, &segment) && segment.p_type == PT_INTERP)
            return PROGRAM_EXECUTABLE;
    }
    return PROGRAM_LIBRARY;
}

/* What a file is that is no ELF file, as far as it helps. */
static const char *describe(int fd)
{
    char first[8] = {0};
    if (pread(fd, first, sizeof first, 0) <= 0)
        return "not a program (an empty file, or none)";
    if (memcmp(first, "BC\xC0\xDE", 4) == 0)
        return "LLVM bitcode, not linked yet: ask for the linked program";
    if (memcmp(first, "!<thin>\n", 8) == 0)
        return "a thin archive: ask for the program, or for the objects";
    if (memcmp(first, "#!", 2) == 0)
        return "a script, not a program (libtool keeps the program in .libs/)";
    return "not a program (no ELF file)";
}

int program_read(struct program *out, const char *path)
{
    *out = (struct program){.units = json_array(),
                            .defines = json_object(),
                            .externals = json_array(),
                            .sources = json_array(),
                            .other_versions = json_array(),
                            .exported = json_object()};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        fprintf(stderr, "palisade: %s: %s\n", path, strerror(errno));
        return STATUS_USAGE;
    }
    int status = STATUS_OK, read = 0;
    elf_version(EV_CURRENT);
    Elf *elf = elf_begin(fd, ELF_C_READ_MMAP, NULL);
    Elf_Kind kind = elf ? elf_kind(elf) : ELF_K_NONE;
    if (kind == ELF_K_ELF) {
        out->kind = kind_of(elf);
        read = out->kind == PROGRAM_UNKNOWN ? -EBADMSG : elf_read(out, elf);
    } else if (kind == ELF_K_AR) {
        out->kind = PROGRAM_ARCHIVE;
        read = archive_read(out, elf, fd);
    }
    if (kind != ELF_K_ELF && kind != ELF_K_AR) {
        fprintf(stderr, "palisade: %s: %s\n", path, describe(fd));
        status = STATUS_USAGE;
    } else if (kind == ELF_K_ELF && out->kind == PROGRAM_UNKNOWN) {
        fprintf(stderr, "palisade: %s: not a program (neither executable, library nor object)\n",
                path);
        status = STATUS_USAGE;
    } else if (read != 0) {
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
    json_decref(program->other_versions);
    json_decref(program->exported);
}
