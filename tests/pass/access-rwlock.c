// Under a reader-writer lock reads are covered by either side, writes only by the writers' side.
// RUN: %clang_whole -O0 %s %remarks 2>&1 | FileCheck %s
// RUN: %clang_whole -O0 -DWRONG %s %remarks 2>&1 | FileCheck --check-prefix=WRONG %s
// RUN: %clang_whole -O0 -DTRIES %s %remarks 2>&1 | FileCheck --check-prefix=TRIES %s
#include <pthread.h>

static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
static long routes, lookups;

static void *worker(void *argument)
{
#ifdef TRIES
    if (pthread_rwlock_tryrdlock(&lock) == 0) {
        // TRIES: load of routes elided: covered by lock
        lookups = routes;
        // TRIES: store to lookups logged
        pthread_rwlock_unlock(&lock);
    }
#else
    pthread_rwlock_rdlock(&lock);
    // CHECK: load of routes elided: covered by lock
    long seen = routes;
#ifdef WRONG
    // WRONG: load of lookups logged
    // WRONG: store to lookups logged
    lookups += seen;
#endif
    pthread_rwlock_unlock(&lock);
    (void)seen;
#endif
    pthread_rwlock_wrlock(&lock);
    // CHECK: store to routes elided: covered by lock
    routes++;
    pthread_rwlock_unlock(&lock);
    return argument;
}

int main(void)
{
    pthread_t thread;
    for (int i = 0; i < 2; i++)
        pthread_create(&thread, 0, worker, 0);
}
