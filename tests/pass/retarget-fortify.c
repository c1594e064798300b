// _FORTIFY_SOURCE turns calls into checked variants: they meet the same hooks.
// RUN: %clang_pass -O2 -D_FORTIFY_SOURCE=2 %s %ir | FileCheck %s
// RUN: %clang_pass -O2 -D_FORTIFY_SOURCE=2 -c %s -o %t.o
// RUN: %palisade report --json %t.o | FileCheck --check-prefix=NOTE %s
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>

// Clang does not inline glibc's checks of recv; a unit compiled by hand may call them all the same.
extern ssize_t __recvfrom_chk(int, void *, size_t, size_t, int, struct sockaddr *, socklen_t *);
extern int __poll_chk(struct pollfd *, nfds_t, int, size_t);
extern void __syslog_chk(int, int, const char *, ...);

// CHECK-LABEL: define {{.*}} @print(
// CHECK: call i32 (i32, ptr, ...) @__palisade___printf_chk(
void print(const char *text) { printf("%s %d\n", text, 1); }

// The size of the buffer is dropped.
// CHECK-LABEL: define {{.*}} @receive(
// CHECK: call i64 @__palisade_recvfrom(i32{{.*}} %{{.*}}, ptr{{.*}} %{{.*}}, i64{{.*}} 64, i32{{.*}} 7, ptr {{.*}}null, ptr {{.*}}null)
ssize_t receive(int fd, char *bytes) { return __recvfrom_chk(fd, bytes, 64, 64, 7, NULL, NULL); }

// CHECK-LABEL: define {{.*}} @await(
// CHECK: call i32 @__palisade_poll(ptr {{.*}}, i64 {{.*}}1, i32 {{.*}}5)
int await(struct pollfd *fd) { return __poll_chk(fd, 1, 5, sizeof *fd); }

// CHECK-LABEL: define {{.*}} @log_it(
// CHECK: call void (i32, ptr, ...) @__palisade_syslog(i32{{.*}} 3, ptr {{.*}}, i32{{.*}} 7)
void log_it(void) { __syslog_chk(3, 1, "%d", 7); }

// CHECK-LABEL: define {{.*}} @copy(
// CHECK: ret void
void copy(char *to, const char *from) { strcpy(to, from); }

// NOTE: "unhandled": []
