/*
 * See keys.h. Which number a key gets follows from the order of keys_lock; a thread's values are
 * its own and need no event. A value counts only for the generation of its key it was set under, so
 * that a key made anew starts at NULL everywhere.
 */
#include "hooks/threads/keys.h"

#include <errno.h>
#include <limits.h>
#include <threads.h>

#include "abi_internal.h"
#include "hooks/sharing/lock.h"

static bool is_used(uint32_t generation)
{
    return generation & 1;
}

HOOK int __palisade_pthread_key_create(pthread_key_t *out, void (*destructor)(void *))
{
    SITE_HERE();
    struct nf_thread *thread = nf_self;
    if (thread == NULL)
        return pthread_key_create(out, destructor);
    int error = EAGAIN;
    ordered_lock(thread, &IMAGE->keys_lock);
    for (uint32_t i = 0; i < KEYS_MAX; i++)
        if (!is_used(IMAGE->keys[i].generation)) {
            IMAGE->keys[i].generation++;
            IMAGE->keys[i].destructor = destructor;
            *out = i;
            error = 0;
            break;
        }
    ordered_unlock(&IMAGE->keys_lock);
    return error;
}

HOOK int __palisade_pthread_key_delete(pthread_key_t key)
{
    SITE_HERE();
    struct nf_thread *thread = nf_self;
    if (thread == NULL)
        return pthread_key_delete(key);
    int error = EINVAL;
    ordered_lock(thread, &IMAGE->keys_lock);
    if (key < KEYS_MAX && is_used(IMAGE->keys[key].generation)) {
        IMAGE->keys[key].generation++;
        error = 0;
    }
    ordered_unlock(&IMAGE->keys_lock);
    return error;
}

HOOK void *__palisade_pthread_getspecific(pthread_key_t key)
{
    const struct nf_thread *thread = nf_self;
    if (thread == NULL)
        return pthread_getspecific(key);
    if (key >= KEYS_MAX || thread->specific[key].generation != IMAGE->keys[key].generation)
        return NULL;
    return thread->specific[key].value;
}

HOOK int __palisade_pthread_setspecific(pthread_key_t key, const void *value)
{
    struct nf_thread *thread = nf_self;
    if (thread == NULL)
        return pthread_setspecific(key, value);
    if (key >= KEYS_MAX || !is_used(IMAGE->keys[key].generation))
        return EINVAL;
    thread->specific[key] = (struct nf_specific){IMAGE->keys[key].generation, (void *)value};
    return 0;
}

/* As libc: again while a destructor left values behind, but not for ever. */
void keys_thread_exit(struct nf_thread *thread)
{
    bool again = true;
    for (uint32_t round = 0; again && round < PTHREAD_DESTRUCTOR_ITERATIONS; round++) {
        again = false;
        for (uint32_t i = 0; i < KEYS_MAX; i++) {
            struct nf_specific *specific = &thread->specific[i];
            void *value = specific->value;
            if (value == NULL || specific->generation != IMAGE->keys[i].generation)
                continue;
            specific->value = NULL;
            if (IMAGE->keys[i].destructor) {
                IMAGE->keys[i].destructor(value);
                again = true;
            }
        }
    }
}

/* ---- C11 ---- */

HOOK int __palisade_tss_create(tss_t *out, tss_dtor_t destructor)
{
    SITE_HERE();
    return __palisade_pthread_key_create(out, destructor) ? thrd_error : thrd_success;
}

HOOK int __palisade_tss_set(tss_t key, void *value)
{
    return __palisade_pthread_setspecific(key, value) ? thrd_error : thrd_success;
}
