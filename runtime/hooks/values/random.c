/*
 * Random numbers.
 *
 * The generators of libc keep their state in the image: libc's reentrant functions work on it, so
 * the sequences are glibc's, and after a takeover they go on. A call is an acquisition of one
 * ordered lock, which adds nothing to the log while one thread draws. What the kernel gives is
 * logged.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "abi_internal.h"
#include "core/assert.h"
#include "hooks/sharing/lock.h"
#include "hooks/values/random.h"
#include "hooks/values/value.h"

#define V (&IMAGE->values)

void random_open(void)
{
    V->random = (struct random_data){0};
    int error = initstate_r(1, (char *)V->random_table, sizeof V->random_table, &V->random);
    ASSERT(error == 0);
    V->drand48 = (struct drand48_data){0};
}

/* Runs `call` on the generators in the image, or `plain` on libc's. */
#define GENERATOR(type, plain, ...)                                                                \
    if (nf_self == NULL)                                                                           \
        return plain;                                                                              \
    ordered_lock(nf_self, &V->random_lock);                                                        \
    type result = 0;                                                                               \
    __VA_ARGS__;                                                                                   \
    ordered_unlock(&V->random_lock);                                                               \
    return result

HOOK long __palisade_random(void)
{
    SITE_HERE();
    GENERATOR(int32_t, random(), random_r(&V->random, &result));
}

HOOK int __palisade_rand(void)
{
    SITE_HERE();
    return nf_self ? (int)__palisade_random() : rand();
}

HOOK void __palisade_srandom(unsigned int seed)
{
    SITE_HERE();
    if (nf_self == NULL) {
        srandom(seed);
        return;
    }
    ordered_lock(nf_self, &V->random_lock);
    srandom_r(seed, &V->random);
    ordered_unlock(&V->random_lock);
}

HOOK void __palisade_srand(unsigned int seed)
{
    SITE_HERE();
    __palisade_srandom(seed); /* as in glibc, one generator */
}

HOOK char *__palisade_initstate(unsigned int seed, char *state, size_t bytes)
{
    SITE_HERE();
    GENERATOR(char *, initstate(seed, state, bytes), {
        char *before = (char *)(V->random.state - 1);
        result = initstate_r(seed, state, bytes, &V->random) == 0 ? before : NULL;
    });
}

HOOK char *__palisade_setstate(char *state)
{
    SITE_HERE();
    GENERATOR(char *, setstate(state), {
        char *before = (char *)(V->random.state - 1);
        result = setstate_r(state, &V->random) == 0 ? before : NULL;
    });
}

HOOK double __palisade_drand48(void)
{
    SITE_HERE();
    GENERATOR(double, drand48(), drand48_r(&V->drand48, &result));
}

HOOK double __palisade_erand48(unsigned short state[3])
{
    SITE_HERE();
    GENERATOR(double, erand48(state), erand48_r(state, &V->drand48, &result));
}

HOOK long __palisade_lrand48(void)
{
    SITE_HERE();
    GENERATOR(long, lrand48(), lrand48_r(&V->drand48, &result));
}

HOOK long __palisade_nrand48(unsigned short state[3])
{
    SITE_HERE();
    GENERATOR(long, nrand48(state), nrand48_r(state, &V->drand48, &result));
}

HOOK long __palisade_mrand48(void)
{
    SITE_HERE();
    GENERATOR(long, mrand48(), mrand48_r(&V->drand48, &result));
}

HOOK long __palisade_jrand48(unsigned short state[3])
{
    SITE_HERE();
    GENERATOR(long, jrand48(state), jrand48_r(state, &V->drand48, &result));
}

HOOK void __palisade_srand48(long seed)
{
    SITE_HERE();
    if (nf_self == NULL) {
        srand48(seed);
        return;
    }
    ordered_lock(nf_self, &V->random_lock);
    srand48_r(seed, &V->drand48);
    ordered_unlock(&V->random_lock);
}

HOOK unsigned short *__palisade_seed48(unsigned short state[3])
{
    SITE_HERE();
    GENERATOR(unsigned short *, seed48(state), {
        seed48_r(state, &V->drand48);
        result = V->drand48.__old_x;
    });
}

HOOK void __palisade_lcong48(unsigned short parameters[7])
{
    SITE_HERE();
    if (nf_self == NULL) {
        lcong48(parameters);
        return;
    }
    ordered_lock(nf_self, &V->random_lock);
    lcong48_r(parameters, &V->drand48);
    ordered_unlock(&V->random_lock);
}

/* ---- the kernel's ---- */

static void fill_natively(void *buffer, size_t length)
{
    for (size_t got = 0; got < length;) {
        ssize_t more = getrandom((uint8_t *)buffer + got, length - got, 0);
        if (more > 0)
            got += (size_t)more;
    }
}

static void fill(struct nf_thread *thread, const char *what, uint8_t *buffer, size_t length)
{
    for (size_t at = 0; at < length; at += RECORD_VALUE_MAX_BYTES) {
        size_t piece = length - at;
        if (piece > RECORD_VALUE_MAX_BYTES)
            piece = RECORD_VALUE_MAX_BYTES;
        VALUE_BYTES(thread, what, buffer + at, piece, fill_natively(buffer + at, piece));
    }
}

HOOK ssize_t __palisade_getrandom(void *buffer, size_t length, unsigned int flags)
{
    SITE_HERE();
    if (nf_self == NULL)
        return getrandom(buffer, length, flags);
    fill(nf_self, "getrandom", buffer, length);
    return (ssize_t)length;
}

HOOK int __palisade_getentropy(void *buffer, size_t length)
{
    SITE_HERE();
    if (nf_self == NULL)
        return getentropy(buffer, length);
    if (length > 256) {
        errno = EIO;
        return -1;
    }
    fill(nf_self, "getentropy", buffer, length);
    return 0;
}

HOOK void __palisade_arc4random_buf(void *buffer, size_t length)
{
    SITE_HERE();
    if (nf_self)
        fill(nf_self, "arc4random_buf", buffer, length);
    else
        arc4random_buf(buffer, length);
}

HOOK uint32_t __palisade_arc4random(void)
{
    SITE_HERE();
    uint32_t value;
    __palisade_arc4random_buf(&value, sizeof value);
    return value;
}

HOOK uint32_t __palisade_arc4random_uniform(uint32_t bound)
{
    SITE_HERE();
    if (bound < 2)
        return 0;
    uint32_t least = -bound % bound; /* of those below it, some remainders are one too many */
    for (;;) {
        uint32_t value = __palisade_arc4random();
        if (value >= least)
            return value % bound;
    }
}
