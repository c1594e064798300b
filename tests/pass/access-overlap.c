// A block and the fields in it are the same memory: what touches one touches the other.
// RUN: %clang_whole -O0 %s %remarks 2>&1 | FileCheck %s
#include <pthread.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
    struct counters {
        long received[4], dropped;
    } sum;
    long apart;
} stats;

static void *worker(void *argument)
{
    struct counters copy;
    pthread_mutex_lock(&lock);
    // CHECK: [[@LINE+1]]:{{.*}} store to stats.sum.dropped logged: no lock is held at {{.*}}access-overlap.c:[[#READER:]]
    stats.sum.dropped++;
    // CHECK: store to stats.apart elided: covered by lock
    stats.apart++;
    pthread_mutex_unlock(&lock);
    copy = stats.sum;
    return (void *)copy.dropped;
}

int main(void)
{
    pthread_t thread;
    for (int i = 0; i < 2; i++)
        pthread_create(&thread, 0, worker, 0);
}
