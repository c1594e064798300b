// Remarks and report say the same of every access and of every call that stands in the way.
// RUN: %clang_whole -O0 %s -c -o %t.o -Rpass=palisade -Rpass-missed=palisade 2> %t.remarks
// RUN: not %palisade report --json %t.o > %t.json
// RUN: %python %inputs/remarks.py %t.remarks %t.json | FileCheck %s
// RUN: %clang_pass -O2 %s -c -o %t.o -Rpass=palisade -Rpass-missed=palisade 2> %t.remarks
// RUN: not %palisade report --json %t.o > %t.json
// RUN: %python %inputs/remarks.py %t.remarks %t.json
// CHECK: agree on {{[0-9]+}} accesses: assumed-covered assumed-private elided init
// CHECK-SAME: logged private read-only
// CHECK: agree on 3 items: External Unhandled
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct item {
    struct item *next;
    pthread_mutex_t lock;
    int counted, own;
};
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long covered, racy, early, alone;
static int never = 3;
static struct item whole;
static volatile int stop;
int nobody_knows(void);

static void count(struct item *item)
{
    pthread_mutex_lock(&item->lock);
    item->counted++;
    pthread_mutex_unlock(&item->lock);
    item->own++;
}

static void *worker(void *argument)
{
    while (!stop) {
        pthread_mutex_lock(&lock);
        covered += early + never;
        pthread_mutex_unlock(&lock);
        racy++, racy += 2;
        count(argument);
    }
    memset(&whole, 0, sizeof whole);
    return argument;
}

int main(void)
{
    pthread_t threads[2];
    early = 7;
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, worker, malloc(sizeof(struct item)));
    alone++;
    stop = 1;
    if (tmpfile() || nobody_knows())
        alone = fgetpos(stdin, NULL);
    return 0;
}
