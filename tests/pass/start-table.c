// Start functions in a table that nothing writes to: a loop that passes each entry once starts each
// of them once, and nobody else.
// RUN: %python %inputs/starts.py %palisade %s %t.o %clang_whole > %t && FileCheck %s < %t
#include <pthread.h>
#include <stddef.h>

static long received, expired;
static pthread_t id;

static void *receive(void *unused)
{
    received++;
    return unused == &id ? &id : 0;
}

static void *expire(void *unused)
{
    expired++;
    return unused == &id ? &id : 0;
}

static void *bystander(void *argument)
{
    return argument;
}
void *(*known)(void *) = bystander; // not in the table, but in memory

typedef void *routine(void *);
struct job {
    pthread_t id;
    routine *run;
    long done;
};

#if CASE == 1 // an int counts up
static routine *table[] = {receive, expire};
int main(void)
{
    for (int i = 0; i < 2; i++)
        pthread_create(&id, 0, table[i], 0);
}
// CHECK: up -O0: expire one, receive one; expired private, received private.
// CHECK: up -O2: expire one, receive one; expired private, received private.

#elif CASE == 2 // untyped pointers, an unsigned, inside main
int main(void)
{
    static void *table[] = {receive, expire};
    for (unsigned i = 0; i < 2; i++) {
        if (pthread_create(&id, 0, table[i], 0))
            return 1;
        pthread_detach(id);
    }
}
// CHECK: inside main -O0: expire one, receive one; expired private, received private.
// CHECK: inside main -O2: expire one, receive one; expired private, received private.

#elif CASE == 3 // a size_t counts down
static routine *const table[] = {receive, expire};
int main(void)
{
    for (size_t i = 2; i-- > 0;)
        pthread_create(&id, 0, table[i], 0);
}
// CHECK: down -O0: expire one, receive one; expired private, received private.
// CHECK: down -O2: expire one, receive one; expired private, received private.

#elif CASE == 4 // a pointer walks
static const struct job table[] = {{.run = receive}, {.run = expire}, {0}};
int main(void)
{
    for (const struct job *job = table; job->run; job++)
        pthread_create(&id, 0, job->run, 0);
}
// CHECK: walks -O0: expire one, receive one; expired private, received private.
// CHECK: walks -O2: expire one, receive one; expired private, received private.

#elif CASE == 5 // the rest of an entry is written, also by its thread
static void *work(void *argument)
{
    struct job *job = argument;
    job->done++;
    return job->run == work ? &id : 0;
}
static struct job jobs[] = {{.run = receive}, {.run = work}, {.run = expire}};
int main(void)
{
    for (int i = 0; i < 3; i++)
        pthread_create(&jobs[i].id, 0, jobs[i].run, &jobs[i]);
    for (int i = 0; i < 3; i++)
        pthread_join(jobs[i].id, 0);
}
// CHECK: by its thread -O0: expire one, receive one, work one; expired private, received private.
// CHECK: by its thread -O2: expire one, receive one, work one; expired private, received private.

#elif CASE == 6 // a function that main calls once; some entries are left out
static struct job jobs[] = {{.run = receive}, {.run = expire}};
static void start_all(struct job *from, int count, int without)
{
    for (int i = 0; i < count; i++)
        if (i != without)
            pthread_create(&from[i].id, 0, from[i].run, 0);
}
int main(int argc, char **argv)
{
    (void)argv;
    start_all(jobs, 2, argc);
}
// CHECK: left out -O0: expire one, receive one; expired private, received private.
// CHECK: left out -O2: expire one, receive one; expired private, received private.

#elif CASE == 7 // one entry, chosen at run time
static routine *table[] = {receive, expire};
int main(int argc, char **argv)
{
    (void)argv;
    pthread_create(&id, 0, table[argc % 2], 0);
}
// CHECK: chosen at run time -O0: expire one, receive one; expired private, received private.
// CHECK: chosen at run time -O2: expire one, receive one; expired private, received private.
#endif
