/* A program of four units and a library of two, for the tests of whole programs. */
#ifndef NF_H
#define NF_H
#include <pthread.h>

struct flow {
    struct flow *next;
    long key, packets, bytes, age;
};

struct slot {
    long hits, limit;
};

extern pthread_mutex_t lock;
extern long everywhere;      /* under `lock` in all units */
extern long somewhere;       /* under `lock` in worker.c, without it in clock.c */
extern long limit;           /* set by main before the threads */
extern struct slot slots[4]; /* hits under `lock`, limit before the threads */
extern struct flow *flows;
extern int ready; /* written by the clock alone, read without lock */

void *worker(void *argument);       /* worker.c */
void *clock_thread(void *argument); /* clock.c */
void prepare(long value);           /* setup.c: before the threads */
void count_locked(long by);         /* setup.c: the caller holds `lock` */
void guard_take(void);              /* libguard.a */
void guard_give(void);
void guard_count(void);
extern long guarded; /* under the library's own lock everywhere */
#endif
