#include "planted.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <x86intrin.h>

uint64_t planted_random(void)
{
    return __rdtsc();
}

uint64_t planted_constant(void)
{
    static const char name[] = "PALISADE_PLANTED=";
    char bytes[65536]; /* getenv would tell the master's: it travels with the image */
    int fd = open("/proc/self/environ", O_RDONLY | O_CLOEXEC);
    ssize_t length = read(fd, bytes, sizeof bytes - 1);
    close(fd);
    bytes[length > 0 ? length : 0] = 0;
    for (const char *at = bytes; at < bytes + length; at += strlen(at) + 1)
        if (strncmp(at, name, sizeof name - 1) == 0)
            return strtoull(at + sizeof name - 1, NULL, 10);
    return 0;
}

void planted_stand(void)
{
    if (planted_constant() == 2)
        for (;;)
            pause();
}

static uint64_t counter;

void planted_count(void)
{
    __atomic_fetch_add(&counter, 1, __ATOMIC_SEQ_CST);
}

uint64_t planted_counted(void)
{
    return __atomic_load_n(&counter, __ATOMIC_SEQ_CST);
}
