// Without -g fields have numbers, and everything else is the same.
// RUN: %clang -O0 -fplugin=%plugin -fpass-plugin=%plugin -c %s -o %t.o && %palisade report %t.o | FileCheck %s
// CHECK: can be protected
// CHECK: stats.1{{ +}}covered by stats.0
#include <pthread.h>
static struct {
    pthread_mutex_t lock;
    long counter;
} stats;
static void *worker(void *argument)
{
    pthread_mutex_lock(&stats.lock);
    stats.counter++;
    pthread_mutex_unlock(&stats.lock);
    return argument;
}
int main(void)
{
    pthread_t thread;
    for (int i = 0; i < 2; i++)
        pthread_create(&thread, 0, worker, 0);
}
