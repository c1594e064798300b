#include "nf.h"
#include <stdio.h>

pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
long everywhere, somewhere;

int main(void)
{
    pthread_t threads[3];
    prepare(7);
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], 0, worker, 0);
    pthread_create(&threads[2], 0, clock_thread, 0);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], 0);
    pthread_mutex_lock(&lock);
    printf("everywhere %ld, hits %ld\n", everywhere, slots[1].hits);
    pthread_mutex_unlock(&lock);
    guard_take();
    printf("guarded %ld, limit %ld\n", guarded, limit);
    guard_give();
    return 0;
}
