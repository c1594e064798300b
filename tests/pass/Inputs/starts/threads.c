#include "nf.h"

long received, both;
static long last, expired;

static void count(long *what)
{
    last = ++*what;
}

void *receive(void *argument)
{
    count(&received);
    both = last;
#ifdef AGAIN
    start_all();
#endif
    return argument;
}

void *expire(void *argument)
{
    expired++;
    both = expired;
#ifdef MORE
    pthread_t thread;
    pthread_create(&thread, 0, receive, 0);
#endif
    return argument;
}
