// A plan sees that a lock, named by what lies first in an object, is the object's own.
// RUN: sh %inputs/program/build.sh %t %lib %palisade-cc %clang
// RUN: cp %s %t/a.c
// RUN: cd %t && %t/bin/palisade-cc -Werror -c a.c && %t/bin/palisade-cc a.o -o nf
// RUN: %palisade report --plan %t/nf > %t/nf.plan
// RUN: %python %inputs/plan.py < %t/nf.plan | FileCheck %s
// RUN: cd %t && %t/bin/palisade-cc --palisade-plan=nf.plan -c a.c && %t/bin/palisade-cc a.o -o nf
// RUN: %palisade report --plan %t/nf | cmp - %t/nf.plan
// CHECK-DAG: (struct derived).mixed racy
// CHECK-DAG: (struct derived).covered assumed-covered
// CHECK-DAG: (struct derived).other assumed-private
#include <pthread.h>
#include <stdlib.h>

struct base {
    pthread_mutex_t lock;
};
struct derived {
    struct base base;
    int mixed, covered, other;
};

static struct derived *object;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static void *worker(void *argument)
{
    struct derived *own = calloc(1, sizeof *own);
    object->other = 1; // "other" of some object under some lock, of this one under none
    pthread_mutex_lock(&mutex);
    own->other = 1;
    pthread_mutex_unlock(&mutex);

    struct derived *same = object; // found before the lock is taken
    pthread_mutex_lock(&same->base.lock);
    same->mixed = 1;
    same->covered = 1;
    pthread_mutex_unlock(&same->base.lock);
    same->mixed = 2;
    return argument;
}

int main(void)
{
    object = calloc(1, sizeof *object);
    pthread_t thread;
    for (unsigned long i = 0; i < 2; i++)
        pthread_create(&thread, NULL, worker, (void *)i);
}
