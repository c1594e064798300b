// Other units may touch what is not static, and call what is not static, without the lock: logged,
// unless this unit is the whole program.
// RUN: %clang_pass -O0 %s %remarks 2>&1 | FileCheck --check-prefix=UNIT %s
// RUN: %clang_whole -O0 %s %remarks 2>&1 | FileCheck --check-prefix=WHOLE %s
#include <pthread.h>

pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
long visible;
static long hidden;

void add(void)
{
    // UNIT: [[@LINE+2]]:{{.*}} store to hidden logged: no lock is held at
    // WHOLE: [[@LINE+1]]:{{.*}} store to hidden elided: covered by lock
    hidden++;
}

static void *worker(void *argument)
{
    pthread_mutex_lock(&lock);
    // UNIT: [[@LINE+2]]:{{.*}} store to visible logged: other units of the program may touch it without lock
    // WHOLE: [[@LINE+1]]:{{.*}} store to visible elided: covered by lock
    visible++;
    add();
    pthread_mutex_unlock(&lock);
    return argument;
}

int main(void)
{
    pthread_t thread;
    for (int i = 0; i < 2; i++)
        pthread_create(&thread, 0, worker, 0);
}
