#include "nf.h"

static pthread_t threads[2];

void start_all(void)
{
    static void *table[] = {receive, expire};
    for (unsigned i = 0; i < 2; i++)
        pthread_create(&threads[i], 0, table[i], 0);
}

int main(int argc, char **argv)
{
    (void)argv;
    if (argc > 1)
        return 64;
    start_all();
    for (unsigned i = 0; i < 2; i++)
        pthread_join(threads[i], 0);
    return both == 0;
}
