// What main sets up before the first thread needs no log: neither do its later readers.
// RUN: %clang_whole -O0 %s %remarks 2>&1 | FileCheck %s
// RUN: %clang_whole -O0 %s %ir | FileCheck --check-prefix=IR %s
#include <pthread.h>

static int workers, limit;
static const int constant = 3;
static int never;

// IR-NOT: __palisade_{{load|store}}4(ptr @{{workers|limit|never}}
static void configure(int value)
{
    // CHECK: [[@LINE+1]]:{{.*}} store to workers elided: before any other thread exists
    workers = value;
    limit = constant + never;
}

static void *worker(void *argument)
{
    // CHECK: [[@LINE+1]]:{{.*}} load of limit elided
    return limit ? argument : 0;
}

// IR: define {{.*}}@late(
// IR: __palisade_store4(ptr @late_value
static int late_value;
static void late(void) { late_value = 1; }
static void *reader(void *argument) { return late_value ? argument : 0; }

int main(int argc, char **argv)
{
    pthread_t thread;
    configure(argc);
    // CHECK: [[@LINE+1]]:{{.*}} load of workers elided
    for (int i = 0; i < workers; i++) {
        pthread_create(&thread, 0, worker, argv);
        pthread_create(&thread, 0, reader, argv);
    }
    late();
}
