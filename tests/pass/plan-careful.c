// What a plan must not believe: a lock that another unit gives back, locks and variables of one
// name in two units, callers through pointers, units and libraries that may use what they can name.
// RUN: sh %inputs/program/build.sh %t %lib %palisade-cc %clang
// RUN: cp %s %t/a.c && cp %s %t/b.c
// RUN: cd %t && %t/bin/palisade-cc -Werror -DA -c a.c && %t/bin/palisade-cc -Werror -DB -c b.c
// RUN: cd %t && %t/bin/palisade-cc a.o b.o -o nf && %palisade report --plan nf > nf.plan
// RUN: %python %inputs/plan.py < %t/nf.plan | FileCheck %s
// RUN: %palisade report %t/nf | FileCheck --check-prefix=TEXT %s
// CHECK-DAG: counted a.c covered
// CHECK-DAG: counted b.c private
// CHECK-DAG: two_locks racy
// CHECK-DAG: given_up racy
// CHECK-DAG: by_pointer racy
// CHECK-DAG: in_row racy
// CHECK-DAG: kept covered
// CHECK-DAG: by_callers b.c covered
// CHECK-DAG: pair.first covered
// CHECK-DAG: copied racy
// CHECK-DAG: copied.second racy
// CHECK-DAG: numbered.third racy
// CHECK-DAG: before init
// CHECK-DAG: alone private

// A block copy in one unit, under a lock that the other does not hold: no hook logs it.
// TEXT: Units disagree
// TEXT-NEXT: copied
// TEXT-NEXT: a.c:{{[0-9]+}} load in worker, under lock
// TEXT-NEXT: b.c:{{[0-9]+}} store in b_thread, without a lock

// Fields have numbers in a unit without -g: any of them may be the one.
// RUN: cd %t && %t/bin/palisade-cc -DB -g0 -c b.c -o bare.o && %t/bin/palisade-cc a.o bare.o -o nf
// RUN: %palisade report --plan %t/nf | %python %inputs/plan.py | FileCheck --check-prefix=BARE %s
// BARE-DAG: pair.first covered
// BARE-DAG: pair.0 covered
// BARE-DAG: numbered.third racy
// BARE-DAG: numbered.2 racy

// A unit without the pass, and names that shared libraries may use.
// RUN: cd %t && echo 'int foreign;' > c.c && %clang -c c.c && %t/bin/palisade-cc a.o b.o c.o -o nf
// RUN: %palisade report --plan %t/nf | %python %inputs/plan.py | FileCheck --check-prefix=OPEN %s
// RUN: cd %t && %t/bin/palisade-cc a.o b.o -rdynamic -o nf
// RUN: %palisade report --plan %t/nf | %python %inputs/plan.py | FileCheck --check-prefix=OPEN %s
// OPEN-DAG: counted a.c covered
// OPEN-DAG: kept racy
// OPEN-DAG: before racy
// OPEN-DAG: by_callers b.c racy

// Two units of one name.
// RUN: mkdir -p %t/x && cp %t/a.c %t/x/a.c && cp %t/b.c %t/x/b.c
// RUN: cd %t/x && %t/bin/palisade-cc -DA -c a.c && mv a.o one.o
// RUN: cd %t/x && mv b.c a.c && %t/bin/palisade-cc -DB -c a.c && mv a.o two.o
// RUN: cd %t/x && %t/bin/palisade-cc one.o two.o -o nf
// RUN: not %palisade report --plan %t/x/nf 2>&1 | FileCheck --check-prefix=SAME %s
// SAME: two units are called a.c: a plan tells units by their names
#include <pthread.h>

struct pair {
    long first, second, third, fourth;
};
struct large { /* too large to be logged word by word */
    long first, second, more[38];
};
extern pthread_mutex_t lock;
extern long two_locks, given_up, by_pointer, in_row, kept, before, alone;
extern struct pair pair, numbered;
extern struct large copied;
extern void (*handler)(void);
void *b_thread(void *argument);
void b_gives_it_back(void);
void b_handler(void);
void b_under_lock(void);
void b_sets(void);
unsigned long strlcpy(char *to, const char *from, unsigned long bytes);

static pthread_mutex_t own = PTHREAD_MUTEX_INITIALIZER;
static long counted;

#ifdef A
pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
long two_locks, given_up, by_pointer, in_row, kept, before, alone;
struct pair pair, numbered;
struct large copied;
void (*handler)(void) = b_handler;

static void *worker(void *argument)
{
    pthread_mutex_lock(&own);
    counted++;
    two_locks++;
    pthread_mutex_unlock(&own);
    pthread_mutex_lock(&lock);
    kept++;
    pair.first++;
    numbered.third++;
    struct large here = copied;
    handler();
    b_under_lock();
    char text[4];
    in_row += strlcpy(text, "text", 4) == (unsigned long)here.first;
    b_gives_it_back();
    given_up++;
    return before ? argument : 0;
}

int main(void)
{
    pthread_t thread;
    b_sets();
    for (int i = 0; i < 2; i++)
        pthread_create(&thread, 0, worker, 0);
    pthread_create(&thread, 0, b_thread, 0);
    alone++;
    return 0;
}
#else
static long by_callers;

void *b_thread(void *argument)
{
    counted++;
    pthread_mutex_lock(&own);
    two_locks++;
    pthread_mutex_unlock(&own);
    pthread_mutex_lock(&lock);
    kept++;
    pair.first++;
    given_up++;
    b_under_lock();
    pthread_mutex_unlock(&lock);
    copied.second++;
    numbered.third = 0;
    return argument;
}

void b_gives_it_back(void)
{
    pthread_mutex_unlock(&lock);
}

void b_handler(void)
{
    by_pointer++;
}

void b_under_lock(void)
{
    by_callers++;
}

void b_sets(void)
{
    before = 1;
}

/* In the model, not in this libc: the program defines it itself. */
unsigned long strlcpy(char *to, const char *from, unsigned long bytes)
{
    in_row++;
    *to = *from;
    return bytes;
}
#endif
