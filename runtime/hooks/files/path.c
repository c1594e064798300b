/*
 * Names of files: open, what stat and its kin tell, and what changes names. The working directory
 * is the NF's own, in the image, so that a name means the same in the backup.
 */
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "abi_internal.h"
#include "hooks/files/effect.h"
#include "hooks/files/file.h"
#include "hooks/memory.h"
#include "hooks/sharing/lock.h"
#include "hooks/values/logged.h"

static const char *directory_of(int fd)
{
    if (fd == AT_FDCWD)
        return IMAGE->directory;
    if (!descriptor_is(fd))
        return NULL;
    uint32_t index = descriptor_index(fd);
    return IMAGE->descriptors[index].family == FAMILY_FILE ? file_of(index)->path : NULL;
}

int path_resolve(int directory, const char *path, char *out)
{
    if (path[0] == '\0')
        return ENOENT;
    const char *base = path[0] == '/' ? "" : directory_of(directory);
    if (base == NULL)
        return EBADF;
    size_t length = strlen(base), more = strlen(path);
    if (length + more + 2 > PATH_BYTES)
        return ENAMETOOLONG;
    memcpy(out, base, length);
    if (path[0] != '/' && (length == 0 || base[length - 1] != '/'))
        out[length++] = '/';
    memcpy(out + length, path, more + 1);
    return 0;
}

/* Declares `name`, the resolved path, or makes the hook fail. */
#define RESOLVED(name, directory, path)                                                            \
    char name[PATH_BYTES];                                                                         \
    int name##_error = path_resolve(directory, path, name);                                        \
    if (name##_error)                                                                              \
    return fail(name##_error)

/* ---- open ---- */

static int open_at(int directory, const char *path, int flags, mode_t mode)
{
    RESOLVED(name, directory, path);
    return file_open(nf_self, name, flags, mode);
}

#define MODE_ARGUMENT(flags)                                                                       \
    mode_t mode = 0;                                                                               \
    if ((flags) & (O_CREAT | O_TMPFILE)) {                                                         \
        va_list arguments;                                                                         \
        va_start(arguments, flags);                                                                \
        mode = va_arg(arguments, mode_t);                                                          \
        va_end(arguments);                                                                         \
    }

HOOK int __palisade_open(const char *path, int flags, ...)
{
    SITE_HERE();
    MODE_ARGUMENT(flags)
    return nf_self ? open_at(AT_FDCWD, path, flags, mode) : open(path, flags, mode);
}

HOOK int __palisade_openat(int directory, const char *path, int flags, ...)
{
    SITE_HERE();
    MODE_ARGUMENT(flags)
    return nf_self ? open_at(directory, path, flags, mode) : openat(directory, path, flags, mode);
}

HOOK int __palisade_creat(const char *path, mode_t mode)
{
    SITE_HERE();
    return nf_self ? open_at(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode)
                   : creat(path, mode);
}

HOOK int __palisade_mkstemp(char *pattern)
{
    SITE_HERE();
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEF";
    size_t length = strlen(pattern);
    if (nf_self == NULL)
        return mkstemp(pattern);
    if (length < 6 || strcmp(pattern + length - 6, "XXXXXX") != 0)
        return fail(EINVAL);
    for (;;) {
        int64_t draw = LOGGED(nf_self, "mkstemp", NOT_EXPECTED, random());
        for (size_t i = 0; i < 6; i++, draw = (draw * 31 + 7) & INT32_MAX)
            pattern[length - 6 + i] = letters[(draw >> 8) % 42];
        int fd = open_at(AT_FDCWD, pattern, O_CREAT | O_EXCL | O_RDWR, 0600);
        if (fd >= 0 || errno != EEXIST)
            return fd;
    }
}

/* ---- what is known of a file ---- */

/* A result and `length` bytes that come with success. */
#define LOGGED_BYTES_OF(what, bytes, length, call)                                                 \
    ({                                                                                             \
        int64_t result_;                                                                           \
        for (;;) {                                                                                 \
            bool own_ = false;                                                                     \
            result_ = LOGGED(nf_self, what, 0, ({                                                  \
                                 own_ = true;                                                      \
                                 effects_files_written();                                          \
                                 RESULT_OF(call);                                                  \
                             }));                                                                  \
            if (result_ < 0 || logged_bytes(nf_self, what, bytes, length, own_))                   \
                break;                                                                             \
        }                                                                                          \
        result_;                                                                                   \
    })

HOOK int __palisade_stat(const char *path, struct stat *out)
{
    SITE_HERE();
    if (nf_self == NULL)
        return stat(path, out);
    RESOLVED(name, AT_FDCWD, path);
    return (int)result_return(LOGGED_BYTES_OF("stat", out, sizeof *out, stat(name, out)));
}

HOOK int __palisade_lstat(const char *path, struct stat *out)
{
    SITE_HERE();
    if (nf_self == NULL)
        return lstat(path, out);
    RESOLVED(name, AT_FDCWD, path);
    return (int)result_return(LOGGED_BYTES_OF("lstat", out, sizeof *out, lstat(name, out)));
}

HOOK int __palisade_fstat(int fd, struct stat *out)
{
    SITE_HERE();
    if (nf_self == NULL || !descriptor_is(fd))
        return to_libc() ? fstat(fd, out) : fail(EBADF);
    uint32_t index = descriptor_index(fd);
    if (IMAGE->descriptors[index].family != FAMILY_FILE) {
        memset(out, 0, sizeof *out);
        out->st_mode = descriptor_family(index)->socket ? S_IFSOCK | 0777 : S_IFIFO | 0600;
        out->st_nlink = 1;
        out->st_blksize = 4096;
        return 0;
    }
    return (int)result_return(
        LOGGED_BYTES_OF("fstat", out, sizeof *out, fstat(native_fd(index), out)));
}

HOOK int __palisade_fstatat(int directory, const char *path, struct stat *out, int flags)
{
    SITE_HERE();
    if (nf_self == NULL)
        return fstatat(directory, path, out, flags);
    if ((flags & AT_EMPTY_PATH) && path[0] == '\0')
        return __palisade_fstat(directory, out);
    RESOLVED(name, directory, path);
    return (int)result_return(
        LOGGED_BYTES_OF("fstatat", out, sizeof *out, fstatat(AT_FDCWD, name, out, flags)));
}

HOOK int __palisade_statvfs(const char *path, struct statvfs *out)
{
    SITE_HERE();
    if (nf_self == NULL)
        return statvfs(path, out);
    RESOLVED(name, AT_FDCWD, path);
    return (int)result_return(LOGGED_BYTES_OF("statvfs", out, sizeof *out, statvfs(name, out)));
}

static int access_at(int directory, const char *path, int mode, int flags)
{
    RESOLVED(name, directory, path);
    return (int)result_return(LOGGED(nf_self, "access", 0, ({
                                         effects_files_written();
                                         RESULT_OF(faccessat(AT_FDCWD, name, mode, flags));
                                     })));
}

HOOK int __palisade_access(const char *path, int mode)
{
    SITE_HERE();
    return nf_self ? access_at(AT_FDCWD, path, mode, 0) : access(path, mode);
}

HOOK int __palisade_faccessat(int directory, const char *path, int mode, int flags)
{
    SITE_HERE();
    return nf_self ? access_at(directory, path, mode, flags)
                   : faccessat(directory, path, mode, flags);
}

HOOK ssize_t __palisade_readlink(const char *path, char *out, size_t room)
{
    SITE_HERE();
    if (nf_self == NULL)
        return readlink(path, out, room);
    RESOLVED(name, AT_FDCWD, path);
    for (;;) {
        bool own = false;
        int64_t n = LOGGED(nf_self, "readlink", -EINVAL, ({
                               own = true;
                               RESULT_OF(readlink(name, out, room));
                           }));
        if (n < 0 || logged_bytes(nf_self, "readlink", out, (size_t)n, own))
            return result_return(n);
    }
}

HOOK char *__palisade_realpath(const char *path, char *out)
{
    SITE_HERE();
    if (nf_self == NULL)
        return realpath(path, out);
    char name[PATH_BYTES], real[PATH_MAX];
    int error = path_resolve(AT_FDCWD, path, name);
    if (error)
        return errno = error, NULL;
    int64_t n;
    for (;;) {
        bool own = false;
        n = LOGGED(nf_self, "realpath", NOT_EXPECTED, ({
                       own = true;
                       realpath(name, real) ? (int64_t)strlen(real) : -(int64_t)errno;
                   }));
        if (n < 0 || logged_bytes(nf_self, "realpath", real, (size_t)n, own))
            break;
    }
    if (n < 0)
        return errno = (int)-n, NULL;
    real[n] = '\0';
    return out ? strcpy(out, real) : __palisade_strdup(real);
}

/* ---- the working directory ---- */

HOOK int __palisade_chdir(const char *path)
{
    SITE_HERE();
    if (nf_self == NULL)
        return chdir(path);
    RESOLVED(name, AT_FDCWD, path);
    char real[PATH_BYTES];
    if (__palisade_realpath(name, real) == NULL)
        return -1;
    struct stat status;
    if (__palisade_stat(real, &status) != 0)
        return -1;
    if (!S_ISDIR(status.st_mode))
        return fail(ENOTDIR);
    ordered_lock(nf_self, &IMAGE->descriptors_lock);
    strcpy(IMAGE->directory, real);
    ordered_unlock(&IMAGE->descriptors_lock);
    return 0;
}

HOOK char *__palisade_getcwd(char *out, size_t room)
{
    SITE_HERE();
    if (nf_self == NULL)
        return getcwd(out, room);
    size_t length = strlen(IMAGE->directory) + 1;
    if (out == NULL)
        return __palisade_strdup(IMAGE->directory);
    if (room < length)
        return errno = ERANGE, NULL;
    return memcpy(out, IMAGE->directory, length);
}

/* ---- changes ---- */

HOOK int __palisade_unlink(const char *path)
{
    SITE_HERE();
    if (nf_self == NULL)
        return unlink(path);
    RESOLVED(name, AT_FDCWD, path);
    int64_t result = SETTLED(nf_self, "unlink", ENOENT, unlink(name));
    if (result == 0)
        file_renamed(nf_self, name, NULL);
    return (int)result_return(result);
}

HOOK int __palisade_rmdir(const char *path)
{
    SITE_HERE();
    if (nf_self == NULL)
        return rmdir(path);
    RESOLVED(name, AT_FDCWD, path);
    return (int)result_return(SETTLED(nf_self, "rmdir", ENOENT, rmdir(name)));
}

HOOK int __palisade_remove(const char *path)
{
    SITE_HERE();
    if (nf_self == NULL)
        return remove(path);
    RESOLVED(name, AT_FDCWD, path);
    int64_t result = SETTLED(nf_self, "remove", ENOENT, remove(name));
    if (result == 0)
        file_renamed(nf_self, name, NULL);
    return (int)result_return(result);
}

HOOK int __palisade_unlinkat(int directory, const char *path, int flags)
{
    SITE_HERE();
    if (nf_self == NULL)
        return unlinkat(directory, path, flags);
    RESOLVED(name, directory, path);
    return flags & AT_REMOVEDIR ? __palisade_rmdir(name) : __palisade_unlink(name);
}

HOOK int __palisade_rename(const char *from, const char *to)
{
    SITE_HERE();
    if (nf_self == NULL)
        return rename(from, to);
    RESOLVED(source, AT_FDCWD, from);
    RESOLVED(target, AT_FDCWD, to);
    int64_t result = SETTLED(nf_self, "rename", ENOENT, rename(source, target));
    if (result == 0)
        file_renamed(nf_self, source, target);
    return (int)result_return(result);
}

HOOK int __palisade_renameat(int from_directory, const char *from, int to_directory, const char *to)
{
    SITE_HERE();
    if (nf_self == NULL)
        return renameat(from_directory, from, to_directory, to);
    RESOLVED(source, from_directory, from);
    RESOLVED(target, to_directory, to);
    return __palisade_rename(source, target);
}

HOOK int __palisade_link(const char *from, const char *to)
{
    SITE_HERE();
    if (nf_self == NULL)
        return link(from, to);
    RESOLVED(source, AT_FDCWD, from);
    RESOLVED(target, AT_FDCWD, to);
    return (int)result_return(SETTLED(nf_self, "link", EEXIST, link(source, target)));
}

HOOK int __palisade_symlink(const char *text, const char *to)
{
    SITE_HERE();
    if (nf_self == NULL)
        return symlink(text, to);
    RESOLVED(target, AT_FDCWD, to);
    return (int)result_return(SETTLED(nf_self, "symlink", EEXIST, symlink(text, target)));
}

HOOK int __palisade_mkdir(const char *path, mode_t mode)
{
    SITE_HERE();
    if (nf_self == NULL)
        return mkdir(path, mode);
    RESOLVED(name, AT_FDCWD, path);
    return (int)result_return(SETTLED(nf_self, "mkdir", EEXIST, mkdir(name, mode)));
}

HOOK int __palisade_mkdirat(int directory, const char *path, mode_t mode)
{
    SITE_HERE();
    if (nf_self == NULL)
        return mkdirat(directory, path, mode);
    RESOLVED(name, directory, path);
    return __palisade_mkdir(name, mode);
}

HOOK int __palisade_mkfifo(const char *path, mode_t mode)
{
    SITE_HERE();
    if (nf_self == NULL)
        return mkfifo(path, mode);
    RESOLVED(name, AT_FDCWD, path);
    return (int)result_return(SETTLED(nf_self, "mkfifo", EEXIST, mkfifo(name, mode)));
}

HOOK int __palisade_chmod(const char *path, mode_t mode)
{
    SITE_HERE();
    if (nf_self == NULL)
        return chmod(path, mode);
    RESOLVED(name, AT_FDCWD, path);
    return (int)result_return(SETTLED(nf_self, "chmod", 0, chmod(name, mode)));
}

HOOK int __palisade_fchmod(int fd, mode_t mode)
{
    SITE_HERE();
    if (nf_self == NULL || !descriptor_is(fd))
        return to_libc() ? fchmod(fd, mode) : fail(EBADF);
    return (int)result_return(
        SETTLED(nf_self, "fchmod", 0, fchmod(native_fd(descriptor_index(fd)), mode)));
}

HOOK int __palisade_chown(const char *path, uid_t user, gid_t group)
{
    SITE_HERE();
    if (nf_self == NULL)
        return chown(path, user, group);
    RESOLVED(name, AT_FDCWD, path);
    return (int)result_return(SETTLED(nf_self, "chown", 0, chown(name, user, group)));
}

HOOK int __palisade_fchown(int fd, uid_t user, gid_t group)
{
    SITE_HERE();
    if (nf_self == NULL || !descriptor_is(fd))
        return to_libc() ? fchown(fd, user, group) : fail(EBADF);
    return (int)result_return(
        SETTLED(nf_self, "fchown", 0, fchown(native_fd(descriptor_index(fd)), user, group)));
}

HOOK int __palisade_truncate(const char *path, off_t length)
{
    SITE_HERE();
    if (nf_self == NULL)
        return truncate(path, length);
    RESOLVED(name, AT_FDCWD, path);
    return (int)result_return(SETTLED(nf_self, "truncate", 0, truncate(name, length)));
}
