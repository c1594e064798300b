#include <pthread.h>
#include <stdio.h>

int part(int x);
int two(void);
static long counter;

static void *work(void *argument)
{
    counter++;
    return argument;
}

int main(void)
{
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, work, NULL);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    printf("%d\n", part(40) + two());
    return 0;
}
