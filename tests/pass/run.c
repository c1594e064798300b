// An instrumented program computes what it did before; the stub runtime counts its hooks.
// RUN: mkdir -p %t && %clang -shared -fPIC %inputs/stub.c -o %t/libpalisade.so -pthread
// RUN: %clang_whole -O0 %s -no-pie -pthread -o %t/run0 -L%t -lpalisade -Wl,-rpath,%t
// RUN: %clang_whole -O2 %s -no-pie -pthread -o %t/run2 -L%t -lpalisade -Wl,-rpath,%t
// RUN: env GREETING=hello %t/run0 a b > %t/out 2>&1
// RUN: FileCheck %s < %t/out
// RUN: env GREETING=hello %t/run2 a b > %t/out 2>&1
// RUN: FileCheck %s < %t/out
// CHECK: 3 arguments, b, hello
// CHECK: total 20000, small -7 60000, real 2.5 0.25, text racy
// CHECK: stub: abi 1, loads {{[1-9][0-9]*}}, stores {{[1-9][0-9]*}}, called
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long total;
static signed char small;
static unsigned short middle;
static float real;
static double wide;
static const char *text;
static bool flag;

static void *work(void *argument)
{
    for (int i = 0; i < 10000; i++) {
        pthread_mutex_lock(&lock);
        total++;
        pthread_mutex_unlock(&lock);
    }
    small = -7;
    middle = 60000;
    real = 2.5f;
    wide = 0.25;
    text = "racy";
    flag = true;
    return argument;
}

int main(int argc, char **argv, char **environment)
{
    pthread_t threads[2];
    const char *greeting = "?";
    for (char **variable = environment; *variable; variable++)
        if (strncmp(*variable, "GREETING=", 9) == 0)
            greeting = *variable + 9;
    printf("%d arguments, %s, %s\n", argc, argv[2], greeting);
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, work, NULL);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    pthread_mutex_lock(&lock);
    if (flag)
        printf("total %ld, small %d %d, real %g %g, text %s\n", total, small, middle, real, wide,
               text);
    pthread_mutex_unlock(&lock);
    return 0;
}
