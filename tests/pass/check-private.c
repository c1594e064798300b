// -palisade-check-private: the runtime is told of every access that the report lists, in the
// report's words, before it happens; not of mixed loads (R10), and not of locals.
// RUN: %clang_whole -O1 -mllvm -palisade-check-private %ir %s > %t.ll
// RUN: %python %inputs/sites.py < %t.ll | FileCheck %s --implicit-check-not='threads'
// RUN: %clang_whole -O0 -mllvm -palisade-check-private %ir %s > %t.ll
// RUN: %python %inputs/sites.py < %t.ll | FileCheck %s --implicit-check-not='threads'
// A unit that is not the whole program has mixed loads.
// RUN: %clang_pass -O1 -mllvm -palisade-check-private %ir %s > %t.ll
// RUN: %python %inputs/sites.py < %t.ll | FileCheck %s --check-prefix=MIXED
// MIXED-NOT: load (struct flow).bytes
// MIXED: store (struct flow).bytes, 8 bytes, logged
//
// Without the option the code is what it was.
// RUN: %clang_whole -O1 -c %s -o %t.o
// RUN: %clang_whole -O1 -c -mllvm -palisade-check-private=false %s -o %t.off.o
// RUN: cmp %t.o %t.off.o && llvm-readelf -SsW %t.o | FileCheck %s --check-prefix=PLAIN
// PLAIN: .note.palisade
// PLAIN-NOT: {{palisade_sites|__palisade_private}}
//
// By palisade-cc, in one step or by LTO.
// RUN: %palisade-cc --palisade-check -O1 -c %s -o %t.o
// RUN: llvm-readelf -SsW %t.o | FileCheck %s --check-prefix=ELF
// RUN: %palisade-cc --palisade-check -flto -O1 %s -o %t.nf
// RUN: llvm-readelf -SsW %t.nf | FileCheck %s --check-prefix=ELF
// ELF: palisade_sites
// ELF: __palisade_private
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct flow {
    struct flow *next;
    long packets, bytes;
    char name[64];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct flow *flows; // guarded by lock
static long seen;          // one thread's
static long racy;
static int limit;

static void *work(void *argument);
static void *other(void *argument);
static void count(struct flow *flow, const char *name);

int main(int argc, char **argv)
{
    pthread_t threads[2];
    (void)argv;
    // CHECK: check-private.c:[[@LINE+1]]: store limit, 4 bytes, unwritten, then store i32 {{.*}} @limit
    limit = argc;
    pthread_create(&threads[0], NULL, work, NULL);
    pthread_create(&threads[1], NULL, other, NULL);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    return 0;
}

static void *work(void *argument)
{
    struct flow *own = calloc(1, sizeof *own);
    char bytes[64] = "a local";
    for (;;) {
        // CHECK: work: check-private.c:[[@LINE+2]]: load seen, 8 bytes, private, then load i64, ptr @seen
        // CHECK: work: check-private.c:[[@LINE+1]]: store seen, 8 bytes, private, then store i64 {{.*}} @seen
        seen++;
        // CHECK: work: check-private.c:[[@LINE+2]]: load racy, 8 bytes, logged, then {{.*}}@__palisade_load8
        // CHECK: work: check-private.c:[[@LINE+1]]: store racy, 8 bytes, logged, then {{.*}}@__palisade_store8
        racy++;
        count(own, bytes);
        pthread_mutex_lock(&lock);
        // CHECK: work: check-private.c:[[@LINE+2]]: load flows, 8 bytes, covered, then load ptr, ptr @flows
        // CHECK: work: check-private.c:[[@LINE+1]]: store (struct flow).next, 8 bytes, covered, then store ptr
        own->next = flows;
        flows = own;
        pthread_mutex_unlock(&lock);
        // CHECK: work: check-private.c:[[@LINE+1]]: load limit, 4 bytes, unwritten, then load i32, ptr @limit
        if (seen > limit)
            return argument;
    }
}

static void *other(void *argument)
{
    racy++;
    pthread_mutex_lock(&lock);
    if (flows)
        flows->bytes = 0;
    flows = NULL;
    pthread_mutex_unlock(&lock);
    return argument;
}

__attribute__((noinline)) static void count(struct flow *flow, const char *name)
{
    // CHECK: count: check-private.c:[[@LINE+2]]: load (struct flow).packets, 8 bytes, private, then load i64
    // CHECK: count: check-private.c:[[@LINE+1]]: store (struct flow).packets, 8 bytes, private, then store i64
    flow->packets++;
    // What is copied is a local here, which the function cannot know.
    // CHECK: load what is copied to (struct flow).name, 64 bytes, private
    // CHECK-NEXT: store (struct flow).name, 64 bytes, private, then {{.*}}@llvm.memcpy
    memcpy(flow->name, name, sizeof flow->name);
    // CHECK: count: check-private.c:[[@LINE+1]]: load (struct flow).bytes, 8 bytes, logged
    flow->bytes++;
}
