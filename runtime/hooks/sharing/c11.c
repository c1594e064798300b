/*
 * C11 threads: the same objects as those of pthread, other names for results. What has the same
 * results goes to pthread's hook directly (pass/model.def).
 */
#include <errno.h>
#include <threads.h>

#include "abi_internal.h"
#include "hooks/sharing/lock.h"
#include "hooks/threads/thread.h"

static int told(int error)
{
    switch (error) {
    case 0:
        return thrd_success;
    case EBUSY:
        return thrd_busy;
    case ENOMEM:
        return thrd_nomem;
    case ETIMEDOUT:
        return thrd_timedout;
    default:
        return thrd_error;
    }
}

HOOK int __palisade_mtx_init(mtx_t *native, int type)
{
    SITE_HERE();
    if (process_mode() == MODE_OFF)
        return mtx_init(native, type);
    if (type & ~(mtx_timed | mtx_recursive))
        return thrd_error;
    *(struct nf_mutex *)native = (struct nf_mutex){
        .kind = type & mtx_recursive ? PTHREAD_MUTEX_RECURSIVE : PTHREAD_MUTEX_NORMAL};
    return thrd_success;
}

int palisade_mtx_trylock_restartable(mtx_t *mutex)
{
    return told(palisade_mutex_trylock_restartable((pthread_mutex_t *)mutex));
}

int palisade_mtx_timedlock_restartable(mtx_t *mutex, const struct timespec *until)
{
    return told(palisade_mutex_timedlock_restartable((pthread_mutex_t *)mutex, until));
}

HOOK int __palisade_cnd_init(cnd_t *native)
{
    SITE_HERE();
    if (process_mode() == MODE_OFF)
        return cnd_init(native);
    *(struct nf_cond *)native = (struct nf_cond){.clock = CLOCK_REALTIME};
    return thrd_success;
}

int palisade_cnd_timedwait_restartable(cnd_t *cond, mtx_t *mutex, const struct timespec *until)
{
    return told(palisade_cond_timedwait_restartable((pthread_cond_t *)cond,
                                                    (pthread_mutex_t *)mutex, until));
}

/* The result of `entry` is an int; only its 32 bits are looked at (thrd_join). */
HOOK int __palisade_thrd_create(thrd_t *out, thrd_start_t entry, void *argument)
{
    SITE_HERE();
    if (nf_self == NULL)
        return thrd_create(out, entry, argument);
    return told(
        __palisade_pthread_create(out, NULL, (void *(*)(void *))(void (*)(void))entry, argument));
}

int palisade_thrd_join_restartable(thrd_t handle, int *result)
{
    void *value;
    if (nf_self == NULL)
        return thrd_join(handle, result);
    int error = palisade_join_restartable(handle, &value);
    if (error == 0 && result)
        *result = (int)(intptr_t)value;
    return told(error);
}

HOOK __attribute__((noreturn)) void __palisade_thrd_exit(int result)
{
    SITE_HERE();
    __palisade_pthread_exit((void *)(intptr_t)result);
}
