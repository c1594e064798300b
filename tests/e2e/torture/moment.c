/*
 * Preloaded into a tortured program: ends it at a moment that a kill from outside hardly ever
 * meets, right after a write or a rename was done and before anybody could be told. The moment is
 * chosen by a file (PALISADE_MOMENT names the directory): die-write, die-rename.
 */
#define _GNU_SOURCE 1
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void perhaps_die(const char *moment)
{
    char path[512];
    const char *directory = getenv("PALISADE_MOMENT");
    if (directory == NULL)
        return;
    snprintf(path, sizeof path, "%s/die-%s", directory, moment);
    if (unlink(path) == 0)
        kill(getpid(), SIGKILL);
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset)
{
    ssize_t (*real)(int, const void *, size_t, off_t) = dlsym(RTLD_NEXT, "pwrite");
    ssize_t result = real(fd, bytes, length, offset);
    if (length > 5 && memcmp(bytes, "line ", 5) == 0) /* the log, not the report */
        perhaps_die("write");
    return result;
}

int rename(const char *from, const char *to)
{
    int (*real)(const char *, const char *) = dlsym(RTLD_NEXT, "rename");
    int result = real(from, to);
    perhaps_die("rename");
    return result;
}
