// After a try-lock that failed nothing is held.
// RUN: %clang_whole -O0 %s %remarks 2>&1 | FileCheck %s
#include <pthread.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long counter;

static void *worker(void *argument)
{
    if (pthread_mutex_trylock(&lock) != 0) {
        // CHECK: [[@LINE+1]]:{{.*}} store to counter logged: no lock is held at
        counter++;
        return argument;
    }
    pthread_mutex_unlock(&lock);
    return 0;
}

int main(void)
{
    pthread_t thread;
    for (int i = 0; i < 2; i++)
        pthread_create(&thread, 0, worker, 0);
}
