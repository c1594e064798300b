// A plan follows the analysis of one unit: locks of an object's own, atomics, new blocks, elements
// that threads were given, callbacks of other units, one start function created twice.
// RUN: sh %inputs/program/build.sh %t %lib %palisade-cc %clang
// RUN: cp %s %t/a.c && cp %s %t/b.c
// RUN: cd %t && %t/bin/palisade-cc -Werror -DA -c a.c && %t/bin/palisade-cc -Werror -DB -c b.c
// RUN: cd %t && %t/bin/palisade-cc a.o b.o -o nf && %palisade report --plan nf > nf.plan
// RUN: %python %inputs/plan.py < %t/nf.plan | FileCheck %s
// RUN: FileCheck --check-prefix=THREADS %s < %t/nf.plan
// RUN: cd %t && %t/bin/palisade-cc --palisade-plan=nf.plan -DA -c a.c && %t/bin/palisade-cc --palisade-plan=nf.plan -DB -c b.c
// RUN: cd %t && %t/bin/palisade-cc a.o b.o -o nf && %palisade report --plan nf | cmp - nf.plan
// RUN: %palisade report --json %t/nf | %python %inputs/classes.py | FileCheck --check-prefix=BUILT %s
// CHECK-DAG: (struct entry).found racy
// CHECK-DAG: (struct entry).passing assumed-private
// CHECK-DAG: (struct entry).born assumed-covered
// CHECK-DAG: (struct entry).flag racy
// CHECK-DAG: (struct entry).read racy
// CHECK-DAG: elements[].count a.c assumed-private
// CHECK-DAG: once_only b.c covered
// CHECK-DAG: of_first a.c private
// CHECK-DAG: of_both racy
// THREADS: "entry": "two",
// THREADS-NEXT: "many": true,
// THREADS-NOT: "entry": "two.1"

// Both units: also the plain access.
// BUILT-DAG: a.c (struct entry).found racy logged
// BUILT-DAG: b.c (struct entry).found racy logged
// BUILT-DAG: a.c (struct entry).flag racy logged 1
// BUILT-DAG: b.c (struct entry).flag racy logged 1
// BUILT-DAG: a.c elements[].count assumed-private{{$}}
#include <pthread.h>
#include <stdlib.h>

struct entry {
    long key, found, passing, born, read;
    int flag;
};
extern struct entry *entries, *mine;
extern pthread_mutex_t lock;
extern pthread_rwlock_t readers;
extern long of_both;
int b_compare(const void *a, const void *b);
void b_touch(void);

#ifdef A
struct entry *entries, *mine;
pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
pthread_rwlock_t readers = PTHREAD_RWLOCK_INITIALIZER;
long of_both;
static long of_first;
static struct {
    long count;
} elements[4];

static void *worker(void *argument)
{
    long *count = argument;
    ++*count;
    struct entry *own = mine;
    pthread_mutex_lock(&lock);
    entries->found++; // found under the lock that is held
    own->passing++; // it is held for something else
    struct entry *fresh = calloc(1, sizeof *fresh);
    entries->born++;
    pthread_mutex_unlock(&lock);
    if (!fresh)
        return NULL;
    fresh->born = 1; // nobody else can know it yet
    pthread_mutex_lock(&lock);
    entries = fresh;
    pthread_mutex_unlock(&lock);
    pthread_rwlock_rdlock(&readers);
    entries->read++; // a reading lock covers no store
    pthread_rwlock_unlock(&readers);
    __atomic_store_n(&own->flag, 1, __ATOMIC_SEQ_CST);
    int numbers[2] = {2, 1};
    pthread_mutex_lock(&lock);
    qsort(numbers, 2, sizeof *numbers, b_compare);
    pthread_mutex_unlock(&lock);
    return NULL;
}

static void *two(void *argument)
{
    ++*(long *)argument;
    return NULL;
}

int main(void)
{
    pthread_t thread;
    for (int i = 0; i < 4; i++)
        pthread_create(&thread, NULL, worker, &elements[i]);
    pthread_create(&thread, NULL, two, &of_first);
    pthread_create(&thread, NULL, two, &of_both);
    b_touch();
    return 0;
}
#else
static long once_only;

int b_compare(const void *a, const void *b)
{
    once_only++;
    return *(const int *)a - *(const int *)b;
}

void b_touch(void)
{
    struct entry *own = mine;
    own->found++;
    own->passing++;
    own->flag = 0;
    own->read++;
    of_both++;
}
#endif
