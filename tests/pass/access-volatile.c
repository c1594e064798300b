// Volatile variables are meant to be raced for: logged and told, the main thread's set-up apart.
// RUN: %clang_whole -O0 %s %remarks 2>&1 | FileCheck %s
// RUN: %clang_whole -O0 -c %s -o %t.o && %palisade report %t.o | FileCheck --check-prefix=NOTE %s
// NOTE: can be protected
// NOTE: stop{{ +}}logged at 2 places: it is volatile
// NOTE: Good to know
// NOTE: stop
// NOTE-NEXT: stop
// NOTE-NEXT: a volatile variable
#include <pthread.h>
#include <signal.h>

static volatile sig_atomic_t stop;

// CHECK: [[@LINE+1]]:{{.*}} store to stop logged: it is volatile
static void handle(int number) { stop = number; }

static void *worker(void *argument)
{
    // CHECK: [[@LINE+1]]:{{.*}} load of stop logged: it is volatile
    while (!stop)
        ;
    return argument;
}

int main(void)
{
    pthread_t thread;
    signal(SIGTERM, handle);
    pthread_create(&thread, 0, worker, 0);
}
