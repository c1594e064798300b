// Who can be there: one thread alone needs no log; the only writer reads its own values.
// RUN: %clang_whole -O0 %s %remarks 2>&1 | FileCheck %s
// RUN: %clang_whole -O0 -c %s -o %t.o && %palisade report --json %t.o | FileCheck --check-prefix=NOTE %s
#include <pthread.h>

static long ticks, own, shared, now;
static _Thread_local long mine;

// NOTE: "threads": [
// NOTE: "entry": "main"
// NOTE-NEXT: "many": false
// NOTE: "entry": "clock_thread"
// NOTE-NEXT: "many": false
// NOTE-NEXT: "file": "{{.*}}access-threads.c"
// NOTE: "entry": "worker"
// NOTE-NEXT: "many": true
// NOTE: "name": "now"
// NOTE: "name": "own"
// NOTE-NEXT: "class": "private"

static void *clock_thread(void *argument)
{
    own++;
    mine++;
    // CHECK: [[@LINE+2]]:{{.*}} load of now elided: one thread alone
    // CHECK: [[@LINE+1]]:{{.*}} store to now logged
    now = now + 1;
    return argument;
}

static void *worker(void *argument)
{
    // CHECK-NOT: mine
    mine++;
    // CHECK: [[@LINE+1]]:{{.*}} store to shared logged
    shared++;
    // CHECK: [[@LINE+1]]:{{.*}} load of now logged
    return now ? argument : 0;
}

int main(void)
{
    pthread_t thread;
    pthread_create(&thread, 0, clock_thread, 0);
    for (int i = 0; i < 2; i++)
        pthread_create(&thread, 0, worker, 0);
    // CHECK: [[@LINE+1]]:{{.*}} store to ticks elided: one thread alone
    ticks++;
}
