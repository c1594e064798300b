// What one lock always covers is elided; names come from debug information.
// RUN: %clang_pass -O0 %s %ir | FileCheck --check-prefix=IR %s
// RUN: %clang_pass -O0 %s %remarks 2>&1 | FileCheck %s
// RUN: %clang_pass -O2 %s %remarks 2>&1 | FileCheck %s
#include <pthread.h>
#include <stdlib.h>

// IR-NOT: __palisade_load
// IR-NOT: __palisade_store

struct node {
    struct node *next;
    int key;
};
static struct {
    struct bucket {
        pthread_mutex_t lock;
        struct node *first;
        struct {
            long hits[3], misses;
        } counts;
    } buckets[16];
} table;
static pthread_mutex_t stats_lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
    unsigned long received, dropped;
} stats;

static void *worker(void *argument)
{
    struct bucket *bucket = &table.buckets[(unsigned long)argument % 16];
    pthread_mutex_lock(&bucket->lock);
    // CHECK: [[@LINE+1]]:{{.*}} load of table.buckets[].first elided: covered by table.buckets[].lock
    for (struct node *node = bucket->first; node; node = node->next)
        // CHECK: [[@LINE+1]]:{{.*}} load of (struct node).key elided
        if (node->key == 3)
            // CHECK: [[@LINE+1]]:{{.*}} load of table.buckets[].counts.hits[] elided: covered by table.buckets[].lock
            bucket->counts.hits[node->key % 3]++;
    bucket->first = NULL;
    // CHECK: [[@LINE+2]]:{{.*}} load of table.buckets[].counts.misses elided
    // CHECK: [[@LINE+1]]:{{.*}} store to table.buckets[].counts.misses elided
    bucket->counts.misses++;
    pthread_mutex_unlock(&bucket->lock);

    pthread_mutex_lock(&stats_lock);
    // CHECK: [[@LINE+1]]:{{.*}} store to stats.received elided: covered by stats_lock
    stats.received++;
    // CHECK: [[@LINE+1]]:{{.*}} store to stats.dropped elided: covered by stats_lock
    stats.dropped += argument == NULL;
    pthread_mutex_unlock(&stats_lock);
    return NULL;
}

int main(void)
{
    pthread_t thread;
    for (unsigned long i = 0; i < 2; i++)
        pthread_create(&thread, NULL, worker, (void *)i);
    pthread_mutex_lock(&stats_lock);
    // CHECK: [[@LINE+1]]:{{.*}} load of stats.dropped elided: covered by stats_lock
    int status = (int)stats.dropped;
    pthread_mutex_unlock(&stats_lock);
    return status;
}
