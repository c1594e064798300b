/* See file.h: descriptors. What names files is in path.c. */
#include "hooks/files/file.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "abi_internal.h"
#include "heap/heap.h"
#include "hooks/files/effect.h"
#include "hooks/files/stream.h"
#include "hooks/memory.h"
#include "hooks/sharing/lock.h"
#include "hooks/threads/wait.h"
#include "hooks/values/logged.h"

#define ONCE (O_CREAT | O_EXCL | O_TRUNC)

/* ---- the process's side ---- */

struct file_spec {
    int32_t flags, standard;
    uint32_t mode, gone;
    char path[PATH_BYTES];
};

/* Opens for the runtime: at explicit positions, never blocking, readable where possible. */
static int open_native(const char *path, int flags, mode_t mode)
{
    int saved = errno;
    int ours = (flags & ~O_APPEND) | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
    if ((flags & O_APPEND) && (flags & O_ACCMODE) == O_WRONLY) {
        int fd = open(path, (ours & ~O_ACCMODE) | O_RDWR, mode); /* append_performed reads */
        if (fd >= 0 || (errno != EACCES && errno != EINVAL))
            return fd;
        errno = saved;
    }
    return open(path, ours, mode);
}

static int reopen(const void *context)
{
    const struct file_spec *spec = context;
    if (spec->standard)
        return spec->standard - 1;
    if (spec->gone)
        return -1;
    int create = (spec->flags & O_ACCMODE) == O_RDONLY ? 0 : O_CREAT;
    return open_native(spec->path, spec->flags | create, spec->mode);
}

static void make_spec(const struct nf_file *file, struct file_spec *spec)
{
    *spec = (struct file_spec){
        .flags = file->flags, .standard = file->standard, .mode = file->mode, .gone = file->gone};
    if (file->path)
        strncpy(spec->path, file->path, sizeof spec->path - 1);
}

static void revive(uint32_t index)
{
    const struct nf_file *file = file_of(index);
    struct file_spec spec;
    if (file == NULL)
        return; /* file_open goes on by itself */
    make_spec(file, &spec);
    int fd = reopen(&spec);
    if (fd < 0)
        dprintf(STDERR_FILENO, "palisade: %s cannot be opened again after the takeover: %s\n",
                spec.path, file->gone ? "it has no name any more" : strerror(errno));
    else if (file->flock)
        flock(fd, file->flock | LOCK_NB);
    if (fd >= 0 && file->record_locked) {
        struct flock lock = file->record_lock;
        fcntl(fd, F_SETLK, &lock);
    }
    native_install(index, fd);
}

/* ---- effects ---- */

static void put_at(struct effect *effect, int fd, int64_t at)
{
    while (effect->done < effect->length) {
        ssize_t n = pwrite(fd, effect->bytes + effect->done, effect->length - effect->done,
                           at + effect->done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            atomic_store(&effect->native->error, n < 0 ? errno : ENOSPC);
            return;
        }
        effect->done += (uint32_t)n;
    }
}

static bool perform_write(struct effect *effect)
{
    int fd = effect_native(effect);
    if (fd >= 0)
        put_at(effect, fd, effect->offset);
    return true;
}

/* How much of the effect the file holds at `at` already: a dead master may have written it. */
static uint32_t held_already(const struct effect *effect, int fd, int64_t at, int64_t size)
{
    uint8_t there[EFFECT_MAX_BYTES];
    uint32_t length = size - at < effect->length ? (uint32_t)(size - at) : effect->length;
    return pread(fd, there, length, at) == (ssize_t)length &&
                   memcmp(there, effect->bytes, length) == 0
               ? length
               : 0;
}

/*
 * To the end of the file, wherever that is: others may append to it too, or have emptied it. Only
 * for effects of a dead master the expected place counts, lest a line come twice.
 */
static bool perform_append(struct effect *effect)
{
    int fd = effect_native(effect);
    struct stat now;
    if (fd < 0 || fstat(fd, &now) != 0)
        return true;
    int64_t at = effect->offset + effect->native->shift;
    if (now.st_size > at && effect_replayed(effect))
        effect->done = held_already(effect, fd, at, now.st_size);
    if (effect->done == 0 && now.st_size != at) {
        effect->native->shift = now.st_size - effect->offset;
        at = now.st_size;
    }
    put_at(effect, fd, at);
    return true;
}

/* ---- read and write ---- */

static int64_t total(const struct msghdr *message)
{
    int64_t length = 0;
    for (size_t i = 0; i < message->msg_iovlen; i++)
        length += (int64_t)message->msg_iov[i].iov_len;
    return length;
}

/* Live. */
static int64_t read_stream(struct nf_thread *thread, uint32_t index, const struct msghdr *message)
{
    for (;;) {
        int fd = native_fd(index);
        if (fd < 0)
            return -EIO;
        if (!IMAGE->descriptors[index].nonblock)
            wait_native(thread, fd, POLLIN, -1, &signal_restart);
        else
            wait_native(thread, fd, POLLIN, 0, NULL);
        struct pollfd in = {.fd = fd, .events = POLLIN};
        if (poll(&in, 1, 0) == 0) { /* descriptors 0 to 2 may be blocking ones */
            if (IMAGE->descriptors[index].nonblock)
                return -EAGAIN;
            continue;
        }
        int64_t n = RESULT_OF(readv(fd, message->msg_iov, (int)message->msg_iovlen));
        if (n != -EAGAIN && n != -EINTR)
            return n;
        if (IMAGE->descriptors[index].nonblock)
            return n;
    }
}

/* Live. `message` NULL: none. */
static int64_t read_at(uint32_t index, const struct iovec *pieces, size_t count, int64_t offset)
{
    int fd = native_fd(index);
    effects_files_written();
    return fd < 0 ? -EIO : RESULT_OF(preadv(fd, pieces, (int)count, offset));
}

static int64_t read_regular(struct nf_thread *thread, uint32_t index, const struct iovec *pieces,
                            size_t count, int64_t length, int64_t offset)
{
    for (;;) {
        bool own = false;
        int64_t n = LOGGED(thread, "read", length, ({
                               own = true;
                               read_at(index, pieces, count, offset);
                           }));
        if (n <= 0 || logged_pieces(thread, "read", pieces, (size_t)n, own))
            return n;
    }
}

static int receive(struct nf_thread *thread, uint32_t index, struct mmsghdr *messages,
                   uint32_t count, int flags)
{
    (void)count;
    (void)flags;
    struct nf_file *file = file_of(index);
    struct msghdr *message = &messages->msg_hdr;
    int64_t n, length = total(message);
    if (file->kind == FILE_DIRECTORY)
        return fail(EISDIR);
    if ((file->flags & O_ACCMODE) == O_WRONLY)
        return fail(EBADF);
    safe_point(thread);
    if (file->kind == FILE_STREAM) {
        for (;;) {
            bool own = false;
            n = LOGGED_WAIT(thread, "read", -EAGAIN, &signal_restart, ({
                                own = true;
                                length ? read_stream(thread, index, message) : 0;
                            }));
            if (n <= 0 || logged_pieces(thread, "read", message->msg_iov, (size_t)n, own))
                break;
        }
    } else {
        ordered_lock(thread, &file->lock);
        n = read_regular(thread, index, message->msg_iov, message->msg_iovlen, length,
                         file->offset);
        if (n > 0)
            file->offset += n;
        ordered_unlock(&file->lock);
    }
    messages->msg_len = n > 0 ? (uint32_t)n : 0;
    return n < 0 ? fail((int)-n) : 1;
}

static int64_t write_regular(struct nf_thread *thread, uint32_t index, const struct iovec *pieces,
                             uint32_t count, int64_t offset, bool append)
{
    struct native *native = native_of(index);
    struct effect like = {.native = native,
                          .perform = append ? perform_append : perform_write,
                          .file = true,
                          .offset = offset};
    int64_t refused = effect_stream(thread, "write", -(int64_t)atomic_exchange(&native->error, 0),
                                    &like, pieces, count);
    native_put(native);
    return refused;
}

static int transmit(struct nf_thread *thread, uint32_t index, struct mmsghdr *messages,
                    uint32_t count, int flags)
{
    (void)count;
    (void)flags;
    struct nf_file *file = file_of(index);
    const struct msghdr *message = &messages->msg_hdr;
    int64_t length = total(message), refused = 0;
    if (!file->standard && (file->flags & O_ACCMODE) == O_RDONLY)
        return fail(EBADF);
    if (file->kind == FILE_STREAM) {
        struct native *native = native_of(index);
        struct effect like = {.native = native, .perform = effect_write};
        refused = effect_stream(thread, "write", 0, &like, message->msg_iov,
                                (uint32_t)message->msg_iovlen);
        native_put(native);
    } else {
        bool append = (file->flags & O_APPEND) != 0;
        ordered_lock(thread, &file->lock);
        int64_t at = append ? file->end : file->offset;
        refused = write_regular(thread, index, message->msg_iov, (uint32_t)message->msg_iovlen, at,
                                append);
        if (refused == 0) {
            file->offset = at + length;
            if (append)
                file->end = file->offset;
        }
        ordered_unlock(&file->lock);
    }
    messages->msg_len = (uint32_t)length;
    return refused ? fail((int)-refused) : 1;
}

/* ---- the family ---- */

static int control(struct nf_thread *thread, uint32_t index, unsigned long request, void *argument)
{
    struct winsize size = {0};
    int bytes = 0;
    switch (request) {
    case FIONREAD: {
        int64_t n = LOGGED(thread, "ioctl", 0, ({
                               effects_files_written();
                               int64_t r = RESULT_OF(ioctl(native_fd(index), FIONREAD, &bytes));
                               r < 0 ? r : bytes;
                           }));
        if (n >= 0)
            *(int *)argument = (int)n;
        return n < 0 ? fail((int)-n) : 0;
    }
    case TIOCGWINSZ:
        for (;;) {
            bool own = false;
            int64_t n = LOGGED(thread, "ioctl", -ENOTTY, ({
                                   own = true;
                                   RESULT_OF(ioctl(native_fd(index), TIOCGWINSZ, &size));
                               }));
            if (n < 0)
                return fail((int)-n);
            if (logged_bytes(thread, "ioctl", &size, sizeof size, own))
                break;
        }
        *(struct winsize *)argument = size;
        return 0;
    default:
        process_fail(STATUS_UNMODELLED, "ioctl: request 0x%lx on %s cannot be replayed (G8)",
                     request, file_of(index)->path ? file_of(index)->path : "a standard stream");
    }
}

static int flags_of(uint32_t index)
{
    return file_of(index)->flags & ~O_CLOEXEC;
}

static void close_file(struct nf_thread *thread, uint32_t index)
{
    struct nf_file *file = file_of(index);
    struct file_spec spec;
    (void)thread;
    make_spec(file, &spec);
    native_close(index, &spec, sizeof spec, reopen);
    __palisade_free(file->path);
    __palisade_free(file);
}

static int native(uint32_t index)
{
    return native_fd(index);
}

const struct family family_file = {
    .name = "file",
    .receive = receive,
    .transmit = transmit,
    .control = control,
    .flags = flags_of,
    .close = close_file,
    .native = native,
    .revive = revive,
};

void descriptors_begin(void)
{
    IMAGE->syslog.mask = 0xff;
    if (getcwd(IMAGE->directory, sizeof IMAGE->directory) == NULL)
        strcpy(IMAGE->directory, "/");
    for (int fd = 0; fd < 3; fd++) {
        struct nf_file *file = heap_alloc(process.heap, 0, sizeof *file, NULL);
        if (file == NULL)
            process_fail(STATUS_MEMORY, "heap_mib is too small");
        *file = (struct nf_file){.kind = FILE_STREAM, .flags = O_RDWR, .standard = fd + 1};
        IMAGE->descriptors[fd] = (struct nf_descriptor){.family = FAMILY_FILE, .numbers = 1};
        IMAGE->descriptors[fd].own[0] = (uint64_t)file;
        IMAGE->fds[fd] = (uint32_t)fd + 1;
        native_install((uint32_t)fd, fd);
    }
    stdio_begin();
}

/* ---- open ---- */

static int64_t kind_of(int fd)
{
    struct stat status;
    if (fstat(fd, &status) != 0)
        return -(int64_t)errno;
    return S_ISREG(status.st_mode)   ? FILE_REGULAR
           : S_ISDIR(status.st_mode) ? FILE_DIRECTORY
                                     : FILE_STREAM;
}

/* Live: waits for what must come first, and opens. `again`: the dead master may have done so. */
static int64_t open_live(struct nf_thread *thread, const char *path, int flags, mode_t mode,
                         bool again, int *fd)
{
    if (flags & (O_CREAT | O_TRUNC))
        effects_settle(thread);
    else
        effects_files_written();
    *fd = open_native(path, again ? flags & ~O_EXCL : flags, mode);
    return *fd < 0 ? -(int64_t)errno : kind_of(*fd);
}

static int64_t size_of(const char *path, int flags, int *fd)
{
    if (*fd < 0) /* went live after the event of open */
        *fd = open_native(path, flags & ~ONCE, 0);
    return *fd < 0 ? 0 : lseek(*fd, 0, SEEK_END);
}

int file_open(struct nf_thread *thread, const char *path, int flags, mode_t mode)
{
    const struct family *owner = descriptor_owner(path);
    if (owner)
        return owner->open(thread, path, flags);
    if ((flags & O_TMPFILE) == O_TMPFILE)
        process_fail(STATUS_UNMODELLED,
                     "open: a file without a name (O_TMPFILE) cannot be found again (G8)");
    int native = -1;
    bool again = process_mode() == MODE_REPLAY;
    int64_t kind =
        LOGGED(thread, "open", FILE_REGULAR, open_live(thread, path, flags, mode, again, &native));
    if (kind < 0) {
        if (native >= 0)
            close(native);
        return fail((int)-kind);
    }
    int64_t end = 0;
    if (kind == FILE_REGULAR && (flags & O_APPEND))
        end = LOGGED(thread, "open", 0, size_of(path, flags, &native));
    int fd = descriptor_open(thread, FAMILY_FILE, (flags & O_NONBLOCK) != 0, -1);
    struct nf_file *file = fd < 0 ? NULL : __palisade_malloc(sizeof *file);
    char *name = file ? __palisade_strdup(path) : NULL;
    if (name == NULL) {
        if (native >= 0)
            close(native);
        if (fd < 0)
            return -1;
        process_fail(STATUS_MEMORY, "no memory to open %s; raise heap_mib", path);
    }
    *file = (struct nf_file){.kind = (uint32_t)kind,
                             .flags = flags & ~(ONCE | O_NONBLOCK),
                             .mode = mode,
                             .end = end,
                             .path = name};
    uint32_t index = descriptor_index(fd);
    IMAGE->descriptors[index].own[0] = (uint64_t)file;
    if (native >= 0)
        native_install(index, native);
    else if (process_mode() == MODE_RECORD)
        revive(index);
    return fd;
}

void file_renamed(struct nf_thread *thread, const char *from, const char *to)
{
    ordered_lock(thread, &IMAGE->descriptors_lock);
    for (uint32_t i = 0; i < DESCRIPTORS_MAX; i++) {
        if (IMAGE->descriptors[i].family != FAMILY_FILE || file_of(i) == NULL ||
            file_of(i)->path == NULL || file_of(i)->gone)
            continue;
        struct nf_file *file = file_of(i);
        if (to && strcmp(file->path, to) == 0)
            file->gone = 1; /* replaced */
        if (strcmp(file->path, from) != 0)
            continue;
        char *name = to ? __palisade_strdup(to) : NULL;
        if (name) {
            __palisade_free(file->path);
            file->path = name;
        } else {
            file->gone = 1;
        }
    }
    ordered_unlock(&IMAGE->descriptors_lock);
}

/* ---- positions ---- */

uint32_t file_index(int fd)
{
    if (!descriptor_is(fd)) {
        errno = EBADF;
        return DESCRIPTORS_MAX;
    }
    uint32_t index = descriptor_index(fd);
    if (IMAGE->descriptors[index].family == FAMILY_FILE)
        return index;
    errno = ESPIPE;
    return DESCRIPTORS_MAX;
}

HOOK off_t __palisade_lseek(int fd, off_t offset, int whence)
{
    SITE_HERE();
    if (nf_self == NULL)
        return lseek(fd, offset, whence);
    uint32_t index = file_index(fd);
    if (index == DESCRIPTORS_MAX)
        return -1;
    struct nf_file *file = file_of(index);
    if (file->kind != FILE_REGULAR)
        return fail(ESPIPE);
    int64_t base = 0, result;
    ordered_lock(nf_self, &file->lock);
    if (whence == SEEK_END)
        base = LOGGED(nf_self, "lseek", 0, ({
                          effects_files_written();
                          RESULT_OF(lseek(native_fd(index), 0, SEEK_END));
                      }));
    else if (whence == SEEK_CUR)
        base = file->offset;
    result = base < 0 ? base : base + offset;
    if (result < 0 || whence > SEEK_END)
        result = base < 0 ? base : -EINVAL;
    else
        file->offset = result;
    ordered_unlock(&file->lock);
    return result_return(result);
}

HOOK ssize_t __palisade_pread(int fd, void *buffer, size_t room, off_t offset)
{
    SITE_HERE();
    if (nf_self == NULL)
        return pread(fd, buffer, room, offset);
    uint32_t index = file_index(fd);
    if (index == DESCRIPTORS_MAX)
        return -1;
    if (file_of(index)->kind == FILE_STREAM)
        return fail(ESPIPE);
    struct iovec piece = {.iov_base = buffer, .iov_len = room};
    return result_return(read_regular(nf_self, index, &piece, 1, (int64_t)room, offset));
}

HOOK ssize_t __palisade_pwrite(int fd, const void *bytes, size_t length, off_t offset)
{
    SITE_HERE();
    if (nf_self == NULL)
        return pwrite(fd, bytes, length, offset);
    uint32_t index = file_index(fd);
    if (index == DESCRIPTORS_MAX)
        return -1;
    struct nf_file *file = file_of(index);
    if (file->kind == FILE_STREAM)
        return fail(ESPIPE);
    if ((file->flags & O_ACCMODE) == O_RDONLY)
        return fail(EBADF);
    struct iovec piece = {.iov_base = (void *)bytes, .iov_len = length};
    int64_t refused = write_regular(nf_self, index, &piece, 1, offset, false);
    return refused ? fail((int)-refused) : (ssize_t)length;
}

/* ---- sizes, safety ---- */

HOOK int __palisade_ftruncate(int fd, off_t length)
{
    SITE_HERE();
    if (nf_self == NULL)
        return ftruncate(fd, length);
    uint32_t index = file_index(fd);
    if (index == DESCRIPTORS_MAX)
        return -1;
    struct nf_file *file = file_of(index);
    ordered_lock(nf_self, &file->lock);
    int64_t result = SETTLED(nf_self, "ftruncate", 0, ftruncate(native_fd(index), length));
    if (result == 0)
        file->end = length;
    ordered_unlock(&file->lock);
    return (int)result_return(result);
}

HOOK int __palisade_fsync(int fd)
{
    SITE_HERE();
    if (nf_self == NULL)
        return fsync(fd);
    uint32_t index = file_index(fd);
    if (index == DESCRIPTORS_MAX)
        return fail(errno == ESPIPE ? EINVAL : EBADF);
    return (int)result_return(SETTLED(nf_self, "fsync", 0, fsync(native_fd(index))));
}

HOOK void __palisade_sync(void)
{
    SITE_HERE();
    if (nf_self)
        SETTLED(nf_self, "sync", 0, ({
                    sync();
                    0;
                }));
    else
        sync();
}

HOOK int __palisade_isatty(int fd)
{
    SITE_HERE();
    if (nf_self == NULL)
        return isatty(fd);
    uint32_t index = file_index(fd);
    if (index == DESCRIPTORS_MAX)
        return errno = errno == ESPIPE ? ENOTTY : EBADF, 0;
    int64_t result = LOGGED(nf_self, "isatty", -ENOTTY, ({
                                int yes = isatty(native_fd(index));
                                yes ? 1 : -(int64_t)errno;
                            }));
    return result > 0 ? 1 : (errno = (int)-result, 0);
}
