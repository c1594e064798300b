/*
 * Directories: opendir reads all names at once, as one logged result; the rest is memory of the NF.
 */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "abi_internal.h"
#include "hooks/files/file.h"
#include "hooks/memory.h"

struct nf_dir { /* in the NF's heap; what it knows as a DIR */
    size_t length, at;
    struct dirent entry; /* of the last readdir */
    uint8_t names[];     /* type, inode, name with its zero; one after the other */
};

struct listing {
    uint8_t *bytes;
    size_t length, room;
};

static void add(struct listing *listing, const void *bytes, size_t length)
{
    if (listing->length + length > listing->room) {
        listing->room = 2 * listing->room + length + 1024;
        listing->bytes = realloc(listing->bytes, listing->room);
        if (listing->bytes == NULL)
            process_fail(STATUS_MEMORY, "no memory to list a directory");
    }
    memcpy(listing->bytes + listing->length, bytes, length);
    listing->length += length;
}

/* Live: the length of the listing, or -errno. */
static int64_t list(const char *path, struct listing *listing)
{
    effects_files_written();
    DIR *dir = opendir(path);
    if (dir == NULL)
        return -(int64_t)errno;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        add(listing, &entry->d_type, sizeof entry->d_type);
        add(listing, &entry->d_ino, sizeof entry->d_ino);
        add(listing, entry->d_name, strlen(entry->d_name) + 1);
    }
    closedir(dir);
    return (int64_t)listing->length;
}

HOOK DIR *__palisade_opendir(const char *path)
{
    SITE_HERE();
    if (nf_self == NULL)
        return opendir(path);
    char name[PATH_BYTES];
    int error = path_resolve(AT_FDCWD, path, name);
    if (error)
        return errno = error, NULL;
    for (;;) {
        struct listing listing = {0};
        bool own = false;
        int64_t length = LOGGED(nf_self, "opendir", NOT_EXPECTED, ({
                                    own = true;
                                    list(name, &listing);
                                }));
        struct nf_dir *dir = length < 0 ? NULL : __palisade_malloc(sizeof *dir + (size_t)length);
        if (dir && own && length)
            memcpy(dir->names, listing.bytes, (size_t)length);
        free(listing.bytes);
        if (dir == NULL)
            return errno = length < 0 ? (int)-length : ENOMEM, NULL;
        dir->length = (size_t)length;
        dir->at = 0;
        if (logged_bytes(nf_self, "opendir", dir->names, (size_t)length, own))
            return (DIR *)dir;
        __palisade_free(dir);
    }
}

HOOK struct dirent *__palisade_readdir(DIR *native)
{
    SITE_HERE();
    if (nf_self == NULL)
        return readdir(native);
    struct nf_dir *dir = (struct nf_dir *)native;
    struct dirent *entry = &dir->entry;
    if (dir->at >= dir->length)
        return NULL;
    const uint8_t *at = dir->names + dir->at;
    memset(entry, 0, sizeof *entry);
    entry->d_type = *at++;
    memcpy(&entry->d_ino, at, sizeof entry->d_ino);
    at += sizeof entry->d_ino;
    strncpy(entry->d_name, (const char *)at, sizeof entry->d_name - 1);
    dir->at = (size_t)(at - dir->names) + strlen((const char *)at) + 1;
    entry->d_off = (off_t)dir->at;
    entry->d_reclen = sizeof *entry;
    return entry;
}

HOOK void __palisade_rewinddir(DIR *native)
{
    SITE_HERE();
    if (nf_self == NULL)
        rewinddir(native);
    else
        ((struct nf_dir *)native)->at = 0;
}

HOOK int __palisade_closedir(DIR *native)
{
    SITE_HERE();
    if (nf_self == NULL)
        return closedir(native);
    __palisade_free(native);
    return 0;
}
