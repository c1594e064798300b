// A reader without the lock makes the variable racy as a writer does.
// RUN: %clang_whole -O0 %s %remarks 2>&1 | FileCheck %s
#include <pthread.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long counter;

static void *worker(void *argument)
{
    pthread_mutex_lock(&lock);
    // CHECK: [[@LINE+1]]:{{.*}} store to counter logged: no lock is held at {{.*}}:[[@LINE+3]]
    counter++;
    pthread_mutex_unlock(&lock);
    return counter ? argument : 0;
}

int main(void)
{
    pthread_t thread;
    for (int i = 0; i < 2; i++)
        pthread_create(&thread, 0, worker, 0);
}
