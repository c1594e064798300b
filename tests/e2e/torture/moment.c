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

static int is_chosen(const char *moment, int (*look)(const char *))
{
    char path[512];
    const char *directory = getenv("PALISADE_MOMENT");
    if (directory == NULL)
        return 0;
    snprintf(path, sizeof path, "%s/die-%s", directory, moment);
    return look(path) == 0;
}

static void perhaps_die(const char *moment)
{
    if (is_chosen(moment, unlink))
        kill(getpid(), SIGKILL);
}

static int exists(const char *path)
{
    return access(path, F_OK);
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset)
{
    ssize_t (*real)(int, const void *, size_t, off_t) = dlsym(RTLD_NEXT, "pwrite");
    if (length > 7 && memcmp(bytes, "report ", 7) == 0 && is_chosen("rename", exists))
        usleep(20000); /* a rename that does not wait for this comes too early */
    ssize_t result = real(fd, bytes, length, offset);
    if (length > 5 && memcmp(bytes, "line ", 5) == 0) /* the log, not the report */
        perhaps_die("write");
    return result;
}

int rename(const char *from, const char *to)
{
    int (*real)(const char *, const char *) = dlsym(RTLD_NEXT, "rename");
    if (is_chosen("rename", exists))
        usleep(5000); /* until what came before is stable, and may be under way */
    int result = real(from, to);
    perhaps_die("rename");
    return result;
}
