// A lock that is the first member of a struct is known by the struct, like any other: what it
// guards in one place and not in another is logged.
// RUN: %clang_pass -O0 %s %remarks 2>&1 | FileCheck %s
// RUN: %clang_pass -O2 %s %remarks 2>&1 | FileCheck %s
#include <pthread.h>
#include <stdlib.h>

struct chain {
    pthread_mutex_t lock;
    int covered, mixed;
};
struct nested {
    struct {
        struct chain chain;
        int covered;
    } in;
    int mixed;
};
struct bucket {
    pthread_rwlock_t lock;
    int covered, mixed;
};
struct base {
    pthread_mutex_t lock;
    int count;
};
struct derived {
    struct base base;
    int mixed, covered;
};
struct queue { // what lies first is known as well, be it a lock or not
    int mixed;
    pthread_mutex_t lock;
};
struct bare {
    pthread_mutex_t lock;
    int mixed, covered;
};

static struct chain *chains[4];
static struct nested *nested;
static struct bucket *buckets;
static struct derived *derived;
static struct queue *queue;
static struct bare *bare;
static struct chain global, *current = &global;
static int given_back;

static void chain_lock(struct chain *chain)
{
    pthread_mutex_lock(&chain->lock);
}

static void heap(struct chain *chain)
{
    chain_lock(chain);
    // CHECK: [[@LINE+1]]:{{.*}} store to (struct chain).covered elided: covered by (struct chain).lock (assumed)
    chain->covered = 1;
    // CHECK: [[@LINE+1]]:{{.*}} store to (struct chain).mixed logged: touched both with and without a lock
    chain->mixed = 1;
    pthread_mutex_unlock(&chain->lock);
    // CHECK: [[@LINE+1]]:{{.*}} store to (struct chain).mixed logged: touched both with and without a lock
    chain->mixed = 2;
}

static void in_nested(void)
{
    pthread_mutex_lock(&nested->in.chain.lock);
    // CHECK: [[@LINE+1]]:{{.*}} store to (struct nested).in.covered elided: covered by (struct chain).lock (assumed)
    nested->in.covered = 1;
    pthread_mutex_unlock(&nested->in.chain.lock);
    // CHECK: [[@LINE+1]]:{{.*}} store to (struct nested).mixed logged: touched both with and without a lock
    nested->mixed = 1;
    pthread_mutex_lock(&nested->in.chain.lock);
    nested->mixed = 2;
    pthread_mutex_unlock(&nested->in.chain.lock);
}

static void in_array(unsigned long at)
{
    pthread_rwlock_rdlock(&buckets[at].lock);
    // CHECK: [[@LINE+1]]:{{.*}} load of (struct bucket).covered elided: covered by (struct bucket).lock (assumed)
    int covered = buckets[at].covered;
    pthread_rwlock_unlock(&buckets[at].lock);
    pthread_rwlock_wrlock(&buckets->lock);
    buckets->covered = covered + 1;
    // CHECK: [[@LINE+1]]:{{.*}} store to (struct bucket).mixed logged: touched both with and without a lock
    buckets->mixed = 1;
    pthread_rwlock_unlock(&buckets->lock);
    buckets[at].mixed = 2;
}

static void in_global(void)
{
    pthread_mutex_lock(&global.lock);
    // CHECK: [[@LINE+1]]:{{.*}} store to global.covered elided: covered by global.lock
    global.covered = 1;
    // CHECK: [[@LINE+1]]:{{.*}} store to global.mixed logged: no lock is held at
    global.mixed = 1;
    pthread_mutex_unlock(&global.lock);
    global.mixed = 2;

    // Given back through a pointer that may lead here.
    pthread_mutex_lock(&global.lock);
    given_back = 1;
    pthread_mutex_unlock(&current->lock);
    // CHECK: [[@LINE+1]]:{{.*}} store to given_back logged: no lock is held at
    given_back = 2;
}

static void base_add(struct base *base)
{
    pthread_mutex_lock(&base->lock);
    // CHECK: [[@LINE+1]]:{{.*}} load of (struct base).count elided: covered by (struct base).lock (assumed)
    base->count++;
}

// The lock's name does not tell the object, but it is in the same one.
static void by_cast(struct derived *object)
{
    base_add((struct base *)derived);
    // CHECK: [[@LINE+1]]:{{.*}} store to (struct derived).mixed logged: touched both with and without a lock
    object->mixed = 1;
    // CHECK: [[@LINE+1]]:{{.*}} store to (struct derived).covered elided: covered by (struct base).lock (assumed)
    object->covered = 1;
    pthread_mutex_unlock(&object->base.lock);
    // CHECK: [[@LINE+1]]:{{.*}} store to (struct derived).mixed logged: touched both with and without a lock
    object->mixed = 2;
}

static void by_bare_pointer(struct bare *object)
{
    pthread_mutex_lock((pthread_mutex_t *)object);
    // CHECK: [[@LINE+1]]:{{.*}} store to (struct bare).mixed logged: touched both with and without a lock
    object->mixed = 1;
    // CHECK: [[@LINE+1]]:{{.*}} store to (struct bare).covered elided: covered by (struct bare).lock (assumed)
    object->covered = 1;
    pthread_mutex_unlock((pthread_mutex_t *)object);
    // CHECK: [[@LINE+1]]:{{.*}} store to (struct bare).mixed logged: touched both with and without a lock
    object->mixed = 2;
}

static void set(struct queue *to, int value)
{
    to->mixed = value;
}

static void no_lock_first(void)
{
    pthread_mutex_lock(&queue->lock);
    // CHECK: [[@LINE+1]]:{{.*}} load of (struct queue).mixed logged: touched both with and without a lock
    set(queue, queue->mixed + 1);
    pthread_mutex_unlock(&queue->lock);
    // CHECK: [[@LINE+1]]:{{.*}} load of (struct queue).mixed logged: touched both with and without a lock
    set(queue, queue->mixed + 2);
}

static void *worker(void *argument)
{
    unsigned long at = (unsigned long)argument;
    heap(chains[at % 4]);
    in_nested();
    in_array(at);
    in_global();
    by_cast(derived);
    by_bare_pointer(bare);
    no_lock_first();
    return NULL;
}

int main(void)
{
    for (int i = 0; i < 4; i++)
        chains[i] = calloc(1, sizeof *chains[i]);
    nested = calloc(1, sizeof *nested);
    buckets = calloc(4, sizeof *buckets);
    derived = calloc(1, sizeof *derived);
    queue = calloc(1, sizeof *queue);
    bare = calloc(1, sizeof *bare);
    current = chains[0];
    pthread_t thread;
    for (unsigned long i = 0; i < 2; i++)
        pthread_create(&thread, NULL, worker, (void *)i);
}
