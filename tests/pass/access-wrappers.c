// Locks taken in wrappers, results of try-locks and accessors that return pointers are understood.
// RUN: %clang_whole -O0 %s %remarks 2>&1 | FileCheck %s
// RUN: %clang_whole -O2 %s %remarks 2>&1 | FileCheck %s
#include <pthread.h>
#include <stdbool.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long counter, tried, passed[8];

static void take(pthread_mutex_t *mutex) { pthread_mutex_lock(mutex); }
static void give(pthread_mutex_t *mutex) { pthread_mutex_unlock(mutex); }
static void take_it(void) { take(&lock); }
__attribute__((noinline)) static bool try_it(void) { return pthread_mutex_trylock(&lock) == 0; }
static long *slot(unsigned index) { return &passed[index % 8]; }
// CHECK: [[@LINE+1]]:{{.*}} load of counter elided: covered by lock
static void add(long *to) { *to += 1; }

static void *worker(void *argument)
{
    take_it();
    add(&counter);
    // CHECK: [[@LINE+1]]:{{.*}} store to passed[] elided: covered by lock
    *slot((unsigned long)argument) = 1;
    give(&lock);
    if (try_it()) {
        // CHECK: [[@LINE+1]]:{{.*}} store to tried elided: covered by lock
        tried++;
        give(&lock);
    }
    if (!pthread_mutex_trylock(&lock)) {
        // CHECK: [[@LINE+1]]:{{.*}} store to tried elided: covered by lock
        tried++;
        give(&lock);
    }
    return 0;
}

int main(void)
{
    pthread_t thread;
    for (int i = 0; i < 2; i++)
        pthread_create(&thread, 0, worker, 0);
}
