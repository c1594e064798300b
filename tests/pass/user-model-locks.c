// Wrappers of a model file: readers, tries of both kinds, and locks that only have a name.
// RUN: printf 't_read rdlock @t\nt_write lock @t\nt_done unlock @t\n' > %t.model
// RUN: printf 'm_take take 0\nm_give unlock 0\n' >> %t.model
// RUN: %clang_whole -O0 %s %remarks -mllvm -palisade-model=%t.model 2>&1 | FileCheck %s
// RUN: %clang_whole -O0 -DWRONG %s %remarks -mllvm -palisade-model=%t.model 2>&1 | FileCheck --check-prefix=WRONG %s
#include <pthread.h>

void t_read(void), t_write(void), t_done(void);
struct m;
int m_take(struct m *);
void m_give(struct m *);
extern struct m m;
static long routes, hits;

static void *worker(void *argument)
{
    t_read();
    // CHECK: load of routes elided: covered by @t
    // WRONG: load of routes logged
    long seen = routes;
#ifdef WRONG
    // WRONG: store to routes logged
    routes = 0;
#endif
    t_done();
    t_write();
    // CHECK: store to routes elided: covered by @t
    routes = seen + 1;
    t_done();
    if (m_take(&m)) {
        // CHECK: store to hits elided: covered by m
        hits++;
        m_give(&m);
    }
    return argument;
}

int main(void)
{
    pthread_t thread;
    for (int i = 0; i < 2; i++)
        pthread_create(&thread, 0, worker, 0);
}
