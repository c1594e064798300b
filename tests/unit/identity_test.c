/* The identity of a process: stable, bounded, and different where the process is. */
#include <criterion/criterion.h>
#include <dlfcn.h>
#include <errno.h>
#include <gnu/libc-version.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/message.h"
#include "identity.h"

#define OPTIONS "heap_mib=1024,stack_kib=1024"

Test(identity, names_every_part)
{
    char text[IDENTITY_MAX_BYTES], again[IDENTITY_MAX_BYTES], sentence[512];
    int length = identity_text(text, sizeof text, OPTIONS);
    cr_assert_eq(length, (int)strlen(text));
    static const char *const names[] = {
        "program=", " libc=", " libraries=", " layout=", " options=" OPTIONS " ", " cpu="};
    for (uint32_t i = 0; i < sizeof names / sizeof *names; i++)
        cr_assert_not_null(strstr(text, names[i]), "%s lacks %s", text, names[i]);
    cr_assert_not_null(strstr(text, gnu_get_libc_version()));
    cr_assert_not_null(strstr(text, "ld-linux"));
    cr_assert_null(strstr(text, "vdso"));
    cr_assert_null(strchr(text, '\n'));
    identity_text(again, sizeof again, OPTIONS);
    cr_assert_str_eq(text, again);
    cr_assert_eq(identity_difference(text, again, sentence, sizeof sentence), 0);
    cr_assert_str_eq(sentence, "the same");
}

static int object_count(struct dl_phdr_info *info, size_t size, void *count)
{
    (void)info, (void)size;
    ++*(uint32_t *)count;
    return 0;
}

/* All objects but the program, libc and the vDSO are libraries, shown or counted. */
Test(identity, counts_every_library)
{
    char text[IDENTITY_MAX_BYTES];
    uint32_t loaded = 0, told = 0;
    identity_text(text, sizeof text, NULL);
    char *list = strstr(text, " libraries="), *end = strstr(text, " layout=");
    *end = 0;
    for (const char *entry = strtok(list + 11, ","); entry; entry = strtok(NULL, ","))
        told += strstr(entry, "-more:") ? (uint32_t)atoi(entry) : 1;
    dl_iterate_phdr(object_count, &loaded);
    cr_assert_eq(told, loaded - 3, "%u told, %u loaded", told, loaded);
}

Test(identity, room)
{
    char text[IDENTITY_MAX_BYTES];
    int length = identity_text(text, sizeof text, NULL);
    cr_assert_eq(identity_text(text, (size_t)length, NULL), -ENOSPC);
    cr_assert_eq(identity_text(text, (size_t)length + 1, NULL), length);
    cr_assert_not_null(strstr(text, " options=none "));
    char *options = malloc(100000);
    memset(options, 'o', 99999);
    options[99999] = 0;
    cr_assert_gt(identity_text(text, sizeof text, options), 0);
    cr_assert_not_null(strstr(text, " options=digest:"));
    free(options);
}

/* Loads a library built from `source` without (or with) a build-id; NULL: no compiler here. */
static void *load(const char *directory, const char *name, const char *source, const char *flags)
{
    char command[1024], path[256];
    snprintf(path, sizeof path, "%s/%s.so", directory, name);
    snprintf(command, sizeof command,
             "CC=$(command -v clang-19 || command -v cc) && printf '%%s' '%s' |"
             " $CC -x c -shared -fPIC -nostdlib %s -o %s -",
             source, flags, path);
    cr_assert_eq(system(command), 0, "%s", command);
    void *handle = dlopen(path, RTLD_NOW);
    cr_assert_not_null(handle, "%s", dlerror());
    unlink(path);
    return handle;
}

static void hash_of(const char *name, char hash[9])
{
    char text[IDENTITY_MAX_BYTES], key[64];
    identity_text(text, sizeof text, NULL);
    snprintf(key, sizeof key, "%s.so:", name);
    const char *at = strstr(text, key);
    cr_assert_not_null(at, "%s not in %s", key, text);
    memcpy(hash, at + strlen(key), 8);
    hash[8] = 0;
}

Test(identity, objects_without_build_id_by_content)
{
    char directory[] = "/tmp/identity.XXXXXX", hashes[5][9];
    cr_assert_not_null(mkdtemp(directory));
    static const char *const none = "-Wl,--build-id=none";
    load(directory, "aone", "int f(void) { return 1; }", none);
    load(directory, "atwo", "int f(void) { return 1; }", none);
    load(directory, "athree", "int f(void) { return 2; }", none);
    load(directory, "afour", "int f(void) { return 1; }", "-Wl,--build-id=0x1234");
    load(directory, "afive", "int f(void) { return 2; }", "-Wl,--build-id=0x1234");
    hash_of("aone", hashes[0]);
    hash_of("atwo", hashes[1]);
    hash_of("athree", hashes[2]);
    hash_of("afour", hashes[3]);
    hash_of("afive", hashes[4]);
    cr_assert_str_eq(hashes[0], hashes[1]);
    cr_assert_str_neq(hashes[0], hashes[2]);
    cr_assert_str_neq(hashes[0], hashes[3]);
    cr_assert_str_eq(hashes[3], hashes[4]); /* the build-id speaks for the content */
    rmdir(directory);
}

Test(identity, a_library_more_is_told)
{
    char before[IDENTITY_MAX_BYTES], after[IDENTITY_MAX_BYTES], sentence[1024];
    char directory[] = "/tmp/identity.XXXXXX";
    cr_assert_not_null(mkdtemp(directory));
    identity_text(before, sizeof before, OPTIONS);
    load(directory, "aone", "int f(void) { return 1; }", "");
    identity_text(after, sizeof after, OPTIONS);
    cr_assert_eq(identity_difference(before, after, sentence, sizeof sentence), 2);
    cr_assert_not_null(strstr(sentence, "the libraries: "));
    cr_assert_not_null(strstr(strstr(sentence, " here, "), "aone.so:"));
    cr_assert_not_null(strstr(sentence, "the memory layout"));
    rmdir(directory);
}

Test(identity, another_address_is_another_layout)
{
    char before[IDENTITY_MAX_BYTES], after[IDENTITY_MAX_BYTES], sentence[1024];
    char directory[] = "/tmp/identity.XXXXXX";
    cr_assert_not_null(mkdtemp(directory));
    void *handle = load(directory, "aone", "int f(void) { return 1; }", "-Wl,--build-id=0x1234");
    Dl_info where;
    cr_assert_neq(dladdr(dlsym(handle, "f"), &where), 0);
    identity_text(before, sizeof before, OPTIONS);
    dlclose(handle);
    mmap(where.dli_fbase, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1,
         0);
    load(directory, "aone", "int f(void) { return 1; }", "-Wl,--build-id=0x1234");
    identity_text(after, sizeof after, OPTIONS);
    cr_assert_eq(identity_difference(before, after, sentence, sizeof sentence), 1, "%s", sentence);
    cr_assert_not_null(strstr(sentence, "different in the memory layout"));
    rmdir(directory);
}

Test(identity, many_libraries_have_room)
{
    char directory[] = "/tmp/identity.XXXXXX", text[IDENTITY_MAX_BYTES], more[IDENTITY_MAX_BYTES];
    cr_assert_not_null(mkdtemp(directory));
    for (uint32_t i = 0; i < 15; i++) {
        char name[64];
        snprintf(name, sizeof name, "z-a-library-whose-name-is-rather-long-%u", i);
        load(directory, name, "int f(void) { return 1; }", "");
    }
    cr_assert_gt(identity_text(text, sizeof text, OPTIONS), 0);
    cr_assert_not_null(strstr(text, "-more:"));
    /* Those that have no room are told apart all the same. */
    void *last = load(directory, "zz-last", "int f(void) { return 3; }", "");
    identity_text(text, sizeof text, OPTIONS);
    dlclose(last);
    load(directory, "zz-last", "int f(void) { return 4; }", "");
    identity_text(more, sizeof more, OPTIONS);
    char sentence[1024];
    cr_assert_geq(identity_difference(text, more, sentence, sizeof sentence), 1);
    cr_assert_not_null(strstr(sentence, "the libraries: "), "%s", sentence);
    rmdir(directory);
}

Test(identity, differences_are_one_sentence)
{
    static const char a[] = "program=1 libc=2.36:5 libraries=a.so:1,b.so:2 layout=7 "
                            "options=heap_mib=1,io=links cpu=6-1:9";
    static const char b[] = "program=2 libc=2.36:5 libraries=a.so:1,b.so:3 layout=7 "
                            "options=heap_mib=2,io=links cpu=6-1:9";
    char sentence[512];
    cr_assert_eq(identity_difference(a, b, sentence, sizeof sentence), 3);
    cr_assert_str_eq(sentence, "different in the program (another build): 1 here, 2 there; "
                               "the libraries: b.so:2 here, b.so:3 there; "
                               "the options: heap_mib=1 here, heap_mib=2 there");
    cr_assert_eq(identity_difference(a, "", sentence, sizeof sentence), 6);
    cr_assert_not_null(strstr(sentence, "missing there"));
    cr_assert_eq(identity_difference("x", "y", sentence, sizeof sentence), 1);
    char small[10];
    cr_assert_eq(identity_difference(a, b, small, sizeof small), 3);
    cr_assert_str_eq(small, "different");
}

Test(identity, arguments_are_entries)
{
    char text[64];
    char *none[] = {NULL}, *some[] = {"--lan", "a b", "1,2%", NULL},
         *other[] = {"--lan", "a b2", NULL};
    identity_arguments(text, sizeof text, none);
    cr_assert_str_eq(text, "");
    identity_arguments(text, sizeof text, some);
    cr_assert_str_eq(text, "arguments:--lan,a%20b,1%2c2%25");
    char narrow[27], differs[27];
    identity_arguments(narrow, sizeof narrow, some);
    identity_arguments(differs, sizeof differs, other);
    cr_assert_eq(strlen(narrow), 26, "no hash in place of long arguments: %s", narrow);
    cr_assert_str_neq(narrow, differs);
}
