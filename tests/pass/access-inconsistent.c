// A lock covers nothing when one access does without it, when paths differ, when it was given
// back, or when it is another element's.
// RUN: %clang_pass -O0 %s %remarks 2>&1 | FileCheck %s
#include <pthread.h>

static pthread_mutex_t a = PTHREAD_MUTEX_INITIALIZER, b = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t locks[4];
static int sometimes, either, branch, after, element;

static void *worker(void *argument)
{
    pthread_mutex_lock(&a);
    // CHECK: [[@LINE+1]]:{{.*}} store to sometimes logged: no lock is held at {{.*}}access-inconsistent.c:[[@LINE+5]]
    sometimes = 1;
    // CHECK: [[@LINE+1]]:{{.*}} store to either logged: its accesses share no lock
    either = 1;
    pthread_mutex_unlock(&a);
    sometimes = 2;
    pthread_mutex_lock(&b);
    either = 2;
    pthread_mutex_unlock(&b);

    if (argument)
        pthread_mutex_lock(&a);
    // CHECK: [[@LINE+1]]:{{.*}} store to branch logged: no lock is held at
    branch = 1;
    if (argument)
        pthread_mutex_unlock(&a);

    pthread_mutex_lock(&a);
    pthread_mutex_unlock(&a);
    // CHECK: [[@LINE+1]]:{{.*}} store to after logged
    after = 1;

    pthread_mutex_lock(&locks[argument != 0]);
    // CHECK: [[@LINE+1]]:{{.*}} store to element logged
    element = 1;
    pthread_mutex_unlock(&locks[argument != 0]);
    return 0;
}

int main(void)
{
    pthread_t thread;
    for (int i = 0; i < 2; i++)
        pthread_create(&thread, 0, worker, 0);
}
