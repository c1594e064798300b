// What a thread is given at its creation is told apart by creation: two named objects are each
// private, and an element of an array is taken as its thread's own, unless others touch the field.
// RUN: %clang_whole -O1 -c %s -o %t.o && %palisade report --json %t.o | FileCheck %s
// RUN: %clang_whole -O1 %remarks %s 2>&1 | FileCheck %s --check-prefix=REMARK \
// RUN:     --implicit-check-not='buffer[] logged' --implicit-check-not='lan.sum logged'
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define WORKERS 4

struct worker {
    unsigned long packets, sum;
    char buffer[64];
};

static struct worker lan, wan, workers[WORKERS];

static void work(struct worker *worker, const char *bytes)
{
    memcpy(worker->buffer, bytes, sizeof worker->buffer);
    worker->sum += (unsigned char)worker->buffer[3];
    // REMARK-DAG: access-own.c:[[@LINE+1]]:{{.*}}store to workers[].packets logged
    worker->packets++;
}

static void *run(void *argument)
{
    char bytes[64] = "packet";
    for (;;)
        work(argument, bytes);
    return NULL;
}

static void start(void *(*function)(void *), struct worker *worker)
{
    pthread_t thread;
    pthread_create(&thread, NULL, function, worker);
}

// CHECK: "name": "wan.buffer[]",
// CHECK-NEXT: "class": "private"
// CHECK: "name": "workers[].buffer[]",
// CHECK-NEXT: "class": "assumed-private"
// CHECK: "name": "workers[].packets",
// CHECK-NEXT: "class": "racy"
int main(void)
{
    start(run, &lan);
    start(run, &wan);
    for (int i = 0; i < WORKERS; i++)
        start(run, &workers[i]);
    for (;;) {
        unsigned long sum = 0;
        for (int i = 0; i < WORKERS; i++)
            sum += workers[i].packets;
        printf("%lu\n", sum);
        sleep(1);
    }
}
