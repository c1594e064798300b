// The neighbours of start-table.c: tables that are written to, loops that pass an entry twice.
// RUN: %python %inputs/starts.py %palisade %s %t.o %clang_whole > %t && FileCheck %s < %t
#include <pthread.h>
#include <setjmp.h>
#include <string.h>

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

typedef void *routine(void *);
struct job {
    pthread_t id;
    routine *run;
    long done;
};

#if CASE == 1 // stands there twice
static routine *table[] = {receive, receive, expire};
int main(void)
{
    for (int i = 0; i < 3; i++)
        pthread_create(&id, 0, table[i], 0);
}
// CHECK: there twice -O0: expire one, receive one, receive one; expired private, received racy.
// CHECK: there twice -O2: expire one, receive one, receive one; expired private, received racy.

#elif CASE == 2 // written by main
static routine *table[] = {receive, receive};
int main(int argc, char **argv)
{
    (void)argv;
    if (argc > 1)
        table[1] = expire;
    for (int i = 0; i < 2; i++)
        pthread_create(&id, 0, table[i], 0);
}
// CHECK: by main -O0: expire several, receive several; expired racy, received racy.
// CHECK: by main -O2: expire several, receive several; expired racy, received racy.

#elif CASE == 3 // written through the argument of a thread
static struct job jobs[2] = {{.run = receive}, {.run = expire}};
static void *change(void *argument)
{
    struct job *job = argument;
    job->run = receive;
    return 0;
}
int main(void)
{
    pthread_create(&id, 0, change, &jobs[1]);
    for (int i = 0; i < 2; i++)
        pthread_create(&jobs[i].id, 0, jobs[i].run, &jobs[i]);
}
// CHECK: of a thread -O0: change one, expire several, receive several; expired racy, received racy.
// CHECK: of a thread -O2: change one, expire several, receive several; expired racy, received racy.

#elif CASE == 4 // written by a thread of its own
static void *change(void *argument)
{
    struct job *job = argument;
    job[1].run = receive;
    return 0;
}
static struct job jobs[2] = {{.run = change}, {.run = expire}};
int main(void)
{
    for (int i = 0; i < 2; i++)
        pthread_create(&jobs[i].id, 0, jobs[i].run, &jobs[i]);
}
// CHECK: its own -O0: change several, expire several, receive several; expired racy, received racy.
// CHECK: its own -O2: change several, expire several, receive several; expired racy, received racy.

#elif CASE == 5 // copied to
static routine *table[] = {receive, receive}, *other[] = {expire, expire};
int main(void)
{
    memcpy(table, other, sizeof table);
    for (int i = 0; i < 2; i++)
        pthread_create(&id, 0, table[i], 0);
}
// CHECK: copied to -O0: expire several, receive several; expired racy, received racy.
// CHECK: copied to -O2: expire several, receive several; expired racy, received racy.

#elif CASE == 6 // shown to somebody
static routine *table[] = {receive, expire}, **shown;
int main(void)
{
    shown = table;
    for (int i = 0; i < 2; i++)
        pthread_create(&id, 0, table[i], 0);
}
// CHECK: somebody -O0: expire several, receive several; expired racy, received racy.
// CHECK: somebody -O2: expire several, receive several; expired racy, received racy.

#elif CASE == 7 // another field, reached by a step that is no entry long
static struct job jobs[2] = {{.run = receive}, {.run = expire}};
int main(int argc, char **argv)
{
    (void)argv;
    ((routine **)jobs)[argc] = receive;
    for (int i = 0; i < 2; i++)
        pthread_create(&jobs[i].id, 0, jobs[i].run, 0);
}
// CHECK: entry long -O0: expire several, receive several; expired racy, received racy.
// CHECK: entry long -O2: expire several, receive several; expired racy, received racy.

#elif CASE == 8 // called as well
static routine *table[] = {receive, expire};
int main(void)
{
    for (int i = 0; i < 2; i++)
        pthread_create(&id, 0, table[i], 0);
    table[0](0);
}
// CHECK: called as well -O0: expire one, receive one; expired racy, received racy.
// CHECK: called as well -O2: expire one, receive one; expired racy, received racy.

#elif CASE == 9 // in a loop
static routine *table[] = {receive, expire};
int main(void)
{
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < 2; i++)
            pthread_create(&id, 0, table[i], 0);
}
// CHECK: in a loop -O0: expire several, receive several; expired racy, received racy.
// CHECK: in a loop -O2: expire several, receive several; expired racy, received racy.

#elif CASE == 10 // called twice
static routine *table[] = {receive, expire};
static void start_all(void)
{
    for (int i = 0; i < 2; i++)
        pthread_create(&id, 0, table[i], 0);
}
int main(void)
{
    start_all();
    start_all();
}
// CHECK: called twice -O0: expire one, expire one, receive one, receive one; expired racy, received
// racy. CHECK: called twice -O2: expire one, expire one, receive one, receive one; expired racy,
// received racy.

#elif CASE == 11 // by a thread
static routine *table[] = {receive, expire};
static void *start_all(void *argument)
{
    for (int i = 0; i < 2; i++)
        pthread_create(&id, 0, table[i], 0);
    return argument;
}
int main(void)
{
    pthread_create(&id, 0, start_all, 0);
}
// CHECK: by a thread -O0: expire several, receive several, start_all one; expired racy, received
// racy. CHECK: by a thread -O2: expire several, receive several, start_all one; expired racy,
// received racy.

#elif CASE == 12 // from the start again
static routine *table[] = {receive, expire};
int main(void)
{
    for (int i = 0; i < 2; i++)
        if (pthread_create(&id, 0, table[i], 0))
            i = 0;
}
// CHECK: start again -O0: expire several, receive several; expired racy, received racy.
// CHECK: start again -O2: expire several, receive several; expired racy, received racy.

#elif CASE == 13 // does not count each time
static routine *table[] = {receive, expire};
int main(void)
{
    for (int i = 0; i < 2;)
        if (!pthread_create(&id, 0, table[i], 0))
            i++;
}
// CHECK: each time -O0: expire several, receive several; expired racy, received racy.
// CHECK: each time -O2: expire several, receive several; expired racy, received racy.

#elif CASE == 14 // tries again
static routine *table[] = {receive, expire};
int main(void)
{
    for (int i = 0; i < 2; i++)
        while (pthread_create(&id, 0, table[i], 0))
            ;
}
// CHECK: tries again -O0: expire several, receive several; expired racy, received racy.
// CHECK: tries again -O2: expire several, receive several; expired racy, received racy.

#elif CASE == 15 // wraps around
static routine *table[] = {receive, expire};
int main(void)
{
    for (unsigned i = 0;; i++)
        if (i < 2)
            pthread_create(&id, 0, table[i], 0);
}
// CHECK: wraps around -O0: expire several, receive several; expired racy, received racy.
// CHECK: wraps around -O2: expire several, receive several; expired racy, received racy.

#elif CASE == 16 // to and fro
static routine *table[] = {receive, expire};
int main(int argc, char **argv)
{
    for (int i = 0; i < 2;) {
        pthread_create(&id, 0, table[i], 0);
        if (argv[argc]) {
            i--;
            continue;
        }
        i++;
    }
}
// CHECK: to and fro -O0: expire several, receive several; expired racy, received racy.
// CHECK: to and fro -O2: expire several, receive several; expired racy, received racy.

#elif CASE == 17 // jumped back to
static routine *table[] = {receive, expire};
static jmp_buf before;
int main(void)
{
    setjmp(before);
    for (int i = 0; i < 2; i++)
        pthread_create(&id, 0, table[i], 0);
    longjmp(before, 1);
}
// CHECK: back to -O0: expire several, receive several; expired racy, received racy.
// CHECK: back to -O2: expire several, receive several; expired racy, received racy.

#elif CASE == 18 // a goto into the loop
static routine *table[] = {receive, expire};
int main(int argc, char **argv)
{
    int i = 0;
    if (argc > 1)
        goto middle;
    while (i < 2) {
        pthread_create(&id, 0, table[i], 0);
    middle:
        i++;
        if (argv[i])
            i = 0;
    }
}
// CHECK: into the loop -O0: expire several, receive several; expired racy, received racy.
// CHECK: into the loop -O2: expire several, receive several; expired racy, received racy.
#endif
