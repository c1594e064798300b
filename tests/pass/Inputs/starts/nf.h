#ifndef NF_H
#define NF_H
#include <pthread.h>

extern long both; /* written by both threads */
void *receive(void *argument);
void *expire(void *argument);
void start_all(void);
#endif
