#include "parts.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void ledger_take(void)
{
    pthread_mutex_lock(&lock);
}

void ledger_give(void)
{
    pthread_mutex_unlock(&lock);
}
