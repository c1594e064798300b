/* See digest.h. */
#include "hooks/digest.h"

static uint64_t digest_plain(const void *bytes, size_t length)
{
    return XXH3_64bits(bytes, length);
}

uint64_t (*digest_long)(const void *bytes, size_t length) = digest_plain;

__attribute__((constructor)) static void choose(void)
{
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2"))
        digest_long = digest_avx2;
}
