// A model file tells what functions of other libraries do.
// RUN: echo '# ours' > %t.model
// RUN: echo 'table_lock lock 0' >> %t.model
// RUN: echo 'table_unlock unlock 0' >> %t.model
// RUN: echo 'checksum pure' >> %t.model
// RUN: %clang_whole -O0 %s %remarks -mllvm -palisade-model=%t.model 2>&1 | FileCheck %s
// RUN: %clang_whole -O0 %s %remarks 2>&1 | FileCheck --check-prefix=WITHOUT %s
// RUN: echo 'checksum impure' > %t.bad
// RUN: not %clang_whole -c -o /dev/null %s -mllvm -palisade-model=%t.bad 2>&1 | FileCheck --check-prefix=BAD %s
// RUN: not %clang_whole -c -o /dev/null %s -mllvm -palisade-model=%t.none 2>&1 | FileCheck --check-prefix=NONE %s
// BAD: error: palisade: model file '{{.*}}.bad', line 1: 'impure' is not a class; expected NAME [opaque] pure|
// NONE: error: palisade: model file '{{.*}}.none': No such file or directory
#include <pthread.h>

struct table {
    int lock;
};
void table_lock(struct table *), table_unlock(struct table *);
int checksum(long);
static struct table table;
static long counter;

static void *worker(void *argument)
{
    table_lock(&table);
    // CHECK-NOT: call of
    // CHECK: store to counter elided: covered by table
    // WITHOUT: store to counter logged
    // WITHOUT: call of checksum is not modelled, unless another unit of the program defines it
    counter += checksum(counter);
    table_unlock(&table);
    return argument;
}

int main(void)
{
    pthread_t thread;
    for (int i = 0; i < 2; i++)
        pthread_create(&thread, 0, worker, 0);
}
