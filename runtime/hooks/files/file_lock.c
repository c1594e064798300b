/*
 * Locks on files, between processes: flock, lockf, fcntl. Their results are logged; what is held is
 * in the image, and a takeover tries to take it again (file.c, revive).
 */
#include <sys/file.h>
#include <unistd.h>

#include "abi_internal.h"
#include "hooks/files/file.h"

#define LOCK_RETRY_NS 10000000

/* A lock on a file: with `wait`, tried again and again. Live. */
#define TRY_LOCK(thread, wait, call)                                                               \
    ({                                                                                             \
        int64_t locked_;                                                                           \
        while ((locked_ = RESULT_OF(call)) < 0 && (wait) &&                                        \
               (locked_ == -EAGAIN || locked_ == -EACCES)) {                                       \
            uint32_t seen_ = atomic_load(&run_of(thread)->wake);                                   \
            safe_wait(thread, &run_of(thread)->wake, seen_, LOCK_RETRY_NS);                        \
        }                                                                                          \
        locked_;                                                                                   \
    })

int palisade_flock_restartable(int fd, int operation)
{
    struct nf_thread *thread = nf_self;
    if (thread == NULL)
        return flock(fd, operation);
    uint32_t index = file_index(fd);
    if (index == DESCRIPTORS_MAX)
        return -1;
    safe_point(thread);
    int64_t result = LOGGED_SAFE(
        thread, "flock", 0,
        TRY_LOCK(thread, !(operation & LOCK_NB), flock(native_fd(index), operation | LOCK_NB)));
    if (result == 0)
        file_of(index)->flock = operation & LOCK_UN ? 0 : operation & ~LOCK_NB;
    return (int)result_return(result);
}

int file_lock(struct nf_thread *thread, uint32_t index, int command, struct flock *lock)
{
    struct nf_file *file = file_of(index);
    if (command == F_GETLK)
        process_fail(STATUS_UNMODELLED, "fcntl: F_GETLK cannot be replayed; use F_SETLK (G8)");
    int64_t result =
        LOGGED(thread, "fcntl", 0, ({
                   int64_t r;
                   while ((r = RESULT_OF(fcntl(native_fd(index), F_SETLK, lock))) < 0 &&
                          command == F_SETLKW && (r == -EAGAIN || r == -EACCES))
                       usleep(LOCK_RETRY_NS / 1000);
                   r;
               }));
    if (result == 0) {
        file->record_lock = *lock;
        file->record_locked = lock->l_type != F_UNLCK;
    }
    return (int)result_return(result);
}

HOOK int __palisade_lockf(int fd, int command, off_t length)
{
    SITE_HERE();
    if (nf_self == NULL)
        return lockf(fd, command, length);
    uint32_t index = file_index(fd);
    if (index == DESCRIPTORS_MAX)
        return -1;
    if (command == F_TEST)
        process_fail(STATUS_UNMODELLED, "lockf: F_TEST cannot be replayed; use F_TLOCK (G8)");
    struct flock lock = {.l_type = command == F_ULOCK ? F_UNLCK : F_WRLCK,
                         .l_whence = SEEK_SET,
                         .l_start = file_of(index)->offset,
                         .l_len = length};
    return file_lock(nf_self, index, command == F_LOCK ? F_SETLKW : F_SETLK, &lock);
}
