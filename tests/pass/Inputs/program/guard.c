#include "nf.h"

static pthread_mutex_t guard = PTHREAD_MUTEX_INITIALIZER;

void guard_take(void)
{
    pthread_mutex_lock(&guard);
}

void guard_give(void)
{
    pthread_mutex_unlock(&guard);
}
