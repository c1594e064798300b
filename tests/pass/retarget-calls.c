// Each call of a modelled function becomes a call of its hook, with the same prototype, whatever
// the optimisation.
// RUN: %clang_pass -O0 %s %ir | FileCheck %s
// RUN: %clang_pass -O2 -mllvm -opt-bisect-limit=0 %s %ir 2>/dev/null | FileCheck %s
// RUN: %clang_pass -O2 %s %ir | FileCheck %s
// RUN: %clang_pass -Os -DOPTNONE %s %ir | FileCheck %s
#define _GNU_SOURCE
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#ifdef OPTNONE
#define KEEP __attribute__((optnone, noinline))
#else
#define KEEP
#endif

// CHECK-LABEL: define {{.*}} @locks(
// CHECK: call i32 @__palisade_pthread_mutex_lock(ptr noundef{{.*}} %
// CHECK: call i32 @__palisade_pthread_cond_wait(
// CHECK: call i32 @__palisade_pthread_cond_signal(
// CHECK: call i32 @__palisade_pthread_mutex_unlock(
KEEP void locks(pthread_mutex_t *mutex, pthread_cond_t *condition)
{
    pthread_mutex_lock(mutex);
    pthread_cond_wait(condition, mutex);
    pthread_cond_signal(condition);
    pthread_mutex_unlock(mutex);
}

// CHECK-LABEL: define {{.*}} @clocks(
// CHECK: call i32 @__palisade_clock_gettime(i32 noundef{{.*}} 1,
// CHECK: call i64 @__palisade_time(
KEEP long clocks(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec + time(NULL);
}

// The hook keeps the attributes of malloc.
// CHECK-LABEL: define {{.*}} @memory(
// CHECK: call noalias {{.*}}ptr @__palisade_malloc(i64 noundef 10)
// CHECK: call void @__palisade_free(
KEEP char memory(void)
{
    volatile char *bytes = malloc(10);
    bytes[0] = 1;
    char first = bytes[0];
    free((void *)bytes);
    return first;
}

// CHECK-LABEL: define {{.*}} @packets(
// CHECK: call i32 @__palisade_socket(
// CHECK: call i32 @__palisade_poll(
// CHECK: call i32 @__palisade_recvmmsg(
// CHECK: call i32 @__palisade_sendmmsg(
KEEP int packets(struct mmsghdr *messages)
{
    int fd = socket(AF_PACKET, SOCK_RAW, 0);
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    poll(&ready, 1, -1);
    int count = recvmmsg(fd, messages, 8, MSG_DONTWAIT, NULL);
    return sendmmsg(fd, messages, (unsigned)count, 0);
}

// Variable arguments keep their prototype; pure functions are left alone.
// CHECK-LABEL: define {{.*}} @output(
// CHECK: call i32 (ptr, ...) @__palisade_printf(
// CHECK: call {{.*}}@strtol(
#include <stdio.h>
KEEP long output(const char *text)
{
    printf("%s\n", text);
    return strtol(text, NULL, 10);
}

// CHECK: declare noalias ptr @__palisade_malloc(i64 noundef){{.*}}#[[MALLOC:[0-9]+]]
// CHECK: attributes #[[MALLOC]] = { {{.*}}allocsize(0)
