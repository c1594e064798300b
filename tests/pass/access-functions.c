// Functions too intricate to be inlined: pointers are followed into their arguments and out of
// their results, and the locks they give back are no longer held.
// RUN: %clang_whole -O0 %s %remarks 2>&1 | FileCheck --implicit-check-not="through a pointer" %s
#include <pthread.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long covered, bare, cells[8], lost;

static void add(long *to, int depth)
{
    // CHECK: [[@LINE+1]]:{{.*}} load of bare logged: no lock is held at
    *to += 1;
    if (depth > 0)
        add(to, depth - 1);
}

static void add_locked(long *to, int depth)
{
    // CHECK: [[@LINE+1]]:{{.*}} load of covered elided: covered by lock
    *to += 1;
    if (depth > 0)
        add_locked(to, depth - 1);
}

static long *cell(int index)
{
    return index > 8 ? cell(index - 8) : &cells[index];
}

static void give(int depth)
{
    if (depth > 0)
        give(depth - 1);
    else
        pthread_mutex_unlock(&lock);
}

static void *worker(void *argument)
{
    add(&bare, 3);
    pthread_mutex_lock(&lock);
    add_locked(&covered, 3);
    // CHECK: [[@LINE+1]]:{{.*}} store to cells[] elided: covered by lock
    *cell(12) = 1;
    give(2);
    // CHECK: [[@LINE+1]]:{{.*}} store to lost logged: no lock is held
    lost = 1;
    return argument;
}

int main(void)
{
    pthread_t thread;
    for (int i = 0; i < 2; i++)
        pthread_create(&thread, 0, worker, 0);
}
