// A copy of a small object without a lock is logged word by word; a large one, or one by a function of
// libc, has no hook and stands in the way. With a lock it is elided.
// RUN: %clang_whole -O0 %s %ir | FileCheck --check-prefix=IR %s
// RUN: %clang_whole -O0 -c %s -o %t.o
// RUN: not %palisade report %t.o | FileCheck %s
// CHECK: would be refused: 2 places cannot be replayed
// CHECK: {{.*}}access-block.c:[[#WRITE:]]: write of bare as a whole
// CHECK-NEXT: {{.*}}access-block.c:[[#WRITE+1]]: write of now as a whole
// CHECK-NEXT: guard it with a mutex
// CHECK-NOT: as a whole
// CHECK: now{{ +}}cannot be logged
// CHECK: sum{{ +}}covered by lock
#include <pthread.h>
#include <string.h>
#include <time.h>

struct big {
    long words[8];
};
struct huge {
    long words[80];
};
static struct big small, sum;
static struct huge bare;
static struct timespec now;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void *worker(void *argument)
{
    struct big local = {{1}};
    struct huge large = {{1}};
    // IR-COUNT-8: call void @__palisade_store8(ptr {{.*}}@small
    small = local;
    // IR-NOT: call void @__palisade_store{{.*}}@bare
    bare = large;
    clock_gettime(CLOCK_REALTIME, &now);
    pthread_mutex_lock(&lock);
    sum = local;
    pthread_mutex_unlock(&lock);
    return argument;
}

int main(void)
{
    pthread_t thread;
    memset(&bare, 1, sizeof bare);
    for (int i = 0; i < 2; i++)
        pthread_create(&thread, 0, worker, 0);
}
