#include "identity.h"

#include <cpuid.h>
#include <elf.h>
#include <errno.h>
#include <gnu/libc-version.h>
#include <link.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <xxhash.h>

#include "core/assert.h"
#include "core/message.h"

#define OBJECTS_MAX 256u
#define NAME_MAX_BYTES 48u
#define LIBRARIES_MAX_BYTES 440u /* of the text; with the rest below IDENTITY_MAX_BYTES */
#define OPTIONS_MAX_BYTES 300u

/* ---- text that ends at its room ---- */

struct text {
    char *at;
    size_t room, length;
};

__attribute__((format(printf, 2, 3))) static void text_add(struct text *text, const char *format,
                                                           ...)
{
    size_t left = text->room > text->length ? text->room - text->length : 0;
    va_list arguments;
    va_start(arguments, format);
    int wrote = vsnprintf(left ? text->at + text->length : NULL, left, format, arguments);
    va_end(arguments);
    ASSERT(wrote >= 0);
    text->length += (size_t)wrote;
}

/* ---- loaded objects ---- */

struct object {
    char name[NAME_MAX_BYTES]; /* file name; empty: the program */
    uint64_t hash;
    uintptr_t address;
};

struct objects {
    uint32_t count;
    struct object of[OBJECTS_MAX];
};

/* The build-id note among the notes at [bytes, bytes + length); NULL when there is none. */
static const uint8_t *build_id_find(const uint8_t *bytes, size_t length, size_t *id_bytes)
{
    while (length >= sizeof(ElfW(Nhdr))) {
        const ElfW(Nhdr) *note = (const void *)bytes;
        size_t name = (note->n_namesz + 3ul) & ~3ul, descriptor = note->n_descsz;
        size_t whole = sizeof *note + name + descriptor;
        if (whole > length)
            return NULL;
        if (note->n_type == NT_GNU_BUILD_ID && note->n_namesz == 4 &&
            memcmp(bytes + sizeof *note, "GNU", 4) == 0) {
            *id_bytes = note->n_descsz;
            return bytes + sizeof *note + name;
        }
        whole = (whole + 3) & ~3ul; /* the last one may lack its padding */
        if (whole >= length)
            return NULL;
        bytes += whole;
        length -= whole;
    }
    return NULL;
}

static uint64_t object_hash(const struct dl_phdr_info *info)
{
    for (uint32_t i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];
        size_t id_bytes;
        if (header->p_type != PT_NOTE)
            continue;
        const uint8_t *id = build_id_find((const uint8_t *)(info->dlpi_addr + header->p_vaddr),
                                          header->p_memsz, &id_bytes);
        if (id) { /* its beginning, as readelf -n prints it */
            uint64_t beginning = 0;
            memcpy(&beginning, id, id_bytes < sizeof beginning ? id_bytes : sizeof beginning);
            return __builtin_bswap64(beginning);
        }
    }
    uint64_t hash = 0; /* linked without a build-id: what nobody writes to stands for it */
    for (uint32_t i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];
        if (header->p_type == PT_LOAD && (header->p_flags & (PF_R | PF_W)) == PF_R)
            hash = XXH64((const void *)(info->dlpi_addr + header->p_vaddr), header->p_filesz, hash);
    }
    return hash;
}

static bool object_is_vdso(const struct dl_phdr_info *info)
{
    uintptr_t vdso = getauxval(AT_SYSINFO_EHDR);
    for (uint32_t i = 0; vdso && i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];
        if (header->p_type == PT_LOAD &&
            vdso - (info->dlpi_addr + header->p_vaddr) < header->p_memsz)
            return true;
    }
    return false;
}

static int object_add(struct dl_phdr_info *info, size_t size, void *context)
{
    (void)size;
    struct objects *objects = context;
    if (object_is_vdso(info))
        return 0;
    ASSERT(objects->count < OBJECTS_MAX);
    struct object *object = &objects->of[objects->count];
    const char *slash = strrchr(info->dlpi_name, '/');
    /* The program comes first. Its file's name says nothing about what it is. */
    snprintf(object->name, sizeof object->name, "%s",
             objects->count == 0 ? ""
             : slash             ? slash + 1
                                 : info->dlpi_name);
    for (char *c = object->name; *c; c++)
        if (strchr(" ,:=", *c))
            *c = '_';
    object->hash = object_hash(info);
    object->address = info->dlpi_addr;
    objects->count++;
    return 0;
}

static int object_compare(const void *a, const void *b)
{
    const struct object *x = a, *y = b;
    int order = strcmp(x->name, y->name);
    return order ? order : x->address < y->address ? -1 : x->address > y->address;
}

/* ---- parts ---- */

static void add_libraries(struct text *text, const struct objects *objects)
{
    size_t start = text->length;
    uint64_t rest_hash = 0;
    uint32_t rest = 0;
    bool first = true;
    text_add(text, " libraries=");
    for (uint32_t i = 1; i < objects->count; i++) {
        const struct object *object = &objects->of[i];
        if (strncmp(object->name, "libc.so", 7) == 0)
            continue;
        if (text->length - start + NAME_MAX_BYTES + 18 > LIBRARIES_MAX_BYTES) {
            rest_hash = XXH64(object->name, strlen(object->name), rest_hash ^ object->hash);
            rest++;
            continue;
        }
        text_add(text, "%s%s:%08x", first ? "" : ",", object->name, (uint32_t)object->hash);
        first = false;
    }
    if (rest > 0)
        text_add(text, ",%u-more:%016lx", rest, rest_hash);
    else if (first)
        text_add(text, "none");
}

static uint64_t layout_hash(const struct objects *objects)
{
    uint64_t hash = 0;
    for (uint32_t i = 0; i < objects->count; i++) {
        const struct object *object = &objects->of[i];
        hash = XXH64(object->name, strlen(object->name), hash);
        hash = XXH64(&object->address, sizeof object->address, hash);
    }
    return hash;
}

/* The leaves from which glibc's and compilers' IFUNC resolvers choose. */
static void add_cpu(struct text *text)
{
    uint32_t words[16] = {0}, count = 0, a, b, c, d;
    uint32_t family = 0, model = 0;
    if (__get_cpuid(1, &a, &b, &c, &d)) { /* b holds the core's number: not a feature */
        family = ((a >> 8) & 15) + ((a >> 20) & 255);
        model = ((a >> 4) & 15) | ((a >> 12) & 0xf0);
        words[count++] = a;
        words[count++] = c;
        words[count++] = d;
        if (c & bit_OSXSAVE) {
            uint32_t low, high;
            __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
            words[count++] = low; /* vector state that the kernel saves */
        }
    }
    for (uint32_t sub = 0; sub < 2; sub++) {
        if (__get_cpuid_count(7, sub, &a, &b, &c, &d)) {
            words[count++] = sub ? a : 0; /* of sub-leaf 0: a count */
            words[count++] = b;
            words[count++] = c;
            words[count++] = d;
        }
    }
    if (__get_cpuid(0x80000001u, &a, &b, &c, &d)) {
        words[count++] = c;
        words[count++] = d;
    }
    ASSERT(count <= sizeof words / sizeof *words);
    text_add(text, " cpu=%u-%u:%016lx", family, model, XXH64(words, count * sizeof *words, 0));
}

static void add_options(struct text *text, const char *options)
{
    if (!options || !options[0])
        options = "none";
    size_t length = strlen(options);
    if (length <= OPTIONS_MAX_BYTES && !strpbrk(options, " \t\n"))
        text_add(text, " options=%s", options);
    else
        text_add(text, " options=digest:%016lx", XXH64(options, length, 0));
}

/* What would end an entry or the part. */
static bool is_plain(char c)
{
    return c > ' ' && c < 0x7f && c != ',' && c != '%';
}

void identity_arguments(char *out, size_t room, char *const *arguments)
{
    struct text text = {out, room, 0};
    uint64_t hash = 0;
    ASSERT(room > 0);
    out[0] = 0;
    for (size_t i = 0; arguments[i]; i++) {
        hash = XXH64(arguments[i], strlen(arguments[i]) + 1, hash);
        text_add(&text, i ? "," : "arguments:");
        for (const char *c = arguments[i]; *c; c++)
            text_add(&text, is_plain(*c) ? "%c" : "%%%02x", (unsigned char)*c);
    }
    if (text.length >= room)
        snprintf(out, room, "arguments:%016lx", hash);
}

int identity_text(char *out, size_t room, const char *options)
{
    struct objects *objects = calloc(1, sizeof *objects);
    struct text text = {out, room, 0};
    ASSERT(objects && room > 0);
    dl_iterate_phdr(object_add, objects);
    ASSERT(objects->count > 0);
    qsort(objects->of, objects->count, sizeof *objects->of, object_compare);
    ASSERT(objects->of[0].name[0] == 0);

    uint64_t libc_hash = 0;
    for (uint32_t i = 0; i < objects->count; i++)
        if (strncmp(objects->of[i].name, "libc.so", 7) == 0)
            libc_hash = objects->of[i].hash;
    text_add(&text, "program=%016lx libc=%s:%016lx", objects->of[0].hash, gnu_get_libc_version(),
             libc_hash);
    add_libraries(&text, objects);
    text_add(&text, " layout=%016lx", layout_hash(objects));
    add_options(&text, options);
    add_cpu(&text);
    free(objects);
    return text.length < room ? (int)text.length : -ENOSPC;
}

/* ---- comparing ---- */

static const struct part {
    const char *name, *said;
    bool list; /* entries separated by ',': only those that differ are shown */
} parts[] = {
    {"program", "the program (another build)", false},
    {"libc", "libc", false},
    {"libraries", "the libraries", true},
    {"options", "the options", true},
    {"cpu", "the CPU (other features)", false},
    {"layout", "the memory layout (address randomisation, LD_* variables or ulimit -s)", false},
};
#define PART_COUNT (sizeof parts / sizeof *parts)

struct span {
    const char *at;
    size_t length;
};

static bool span_same(struct span a, struct span b)
{
    return a.length == b.length && memcmp(a.at, b.at, a.length) == 0;
}

/* The value of part `name`; length 0 when the identity has no such part. */
static struct span part_find(const char *identity, const char *name)
{
    size_t name_length = strlen(name);
    for (const char *at = identity; *at;) {
        size_t length = strcspn(at, " ");
        if (length > name_length && memcmp(at, name, name_length) == 0 && at[name_length] == '=')
            return (struct span){at + name_length + 1, length - name_length - 1};
        at += length + (at[length] == ' ');
    }
    return (struct span){"", 0};
}

static bool list_next(struct span *list, struct span *entry)
{
    if (list->length == 0)
        return false;
    const char *comma = memchr(list->at, ',', list->length);
    *entry = (struct span){list->at, comma ? (size_t)(comma - list->at) : list->length};
    size_t taken = entry->length + (comma != NULL);
    *list = (struct span){list->at + taken, list->length - taken};
    return true;
}

/* The entries of `list` that `other` lacks. */
static void add_lacking(struct text *text, struct span list, struct span other)
{
    struct span entry, candidate;
    const char *between = "";
    while (list_next(&list, &entry)) {
        struct span rest = other;
        bool found = false;
        while (!found && list_next(&rest, &candidate))
            found = span_same(entry, candidate);
        if (!found) {
            text_add(text, "%s%.*s", between, (int)entry.length, entry.at);
            between = ",";
        }
    }
    if (!between[0])
        text_add(text, "none of these");
}

int identity_difference(const char *a, const char *b, char *out, size_t room)
{
    struct text text = {out, room, 0};
    int differ = 0;
    ASSERT(room > 0);
    for (size_t i = 0; i < PART_COUNT; i++) {
        const struct part *part = &parts[i];
        struct span here = part_find(a, part->name), there = part_find(b, part->name);
        if (span_same(here, there))
            continue;
        text_add(&text, "%s%s: ", differ++ ? "; " : "different in ", part->said);
        if (part->list) {
            add_lacking(&text, here, there);
            text_add(&text, " here, ");
            add_lacking(&text, there, here);
        } else {
            text_add(&text, "%.*s here, %.*s", here.length ? (int)here.length : 7,
                     here.length ? here.at : "missing", there.length ? (int)there.length : 7,
                     there.length ? there.at : "missing");
        }
        text_add(&text, " there");
    }
    if (differ == 0 && strcmp(a, b) != 0) {
        differ = 1;
        text_add(&text, "different in form: one comes from another version of Palisade");
    }
    if (differ == 0)
        text_add(&text, "the same");
    return differ;
}
