/*
 * The calls for any file: open, read, write and their kin. On a virtual descriptor one call is one
 * message of its family. What is no virtual descriptor is stdout or stderr (effects), or refused.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "abi_internal.h"
#include "hooks/descriptor.h"
#include "hooks/effect.h"

static bool allowed(void)
{
    return process.options.unmodelled == OPTION_UNMODELLED_ALLOW;
}

/* ---- open ---- */

static int open_virtual(const struct family *family, const char *path, int flags)
{
    return family->open(nf_self, path, flags);
}

static __attribute__((noreturn)) void refuse_open(const char *path)
{
    process_fail(STATUS_UNMODELLED,
                 "open: %s cannot be replayed yet, only /dev/net/tun can; or set "
                 "unmodelled=allow (G8)",
                 path);
}

/* The mode is there when the call may create a file; garbage else, and then not looked at. */
#define MODE_ARGUMENT(last)                                                                        \
    ({                                                                                             \
        va_list arguments_;                                                                        \
        va_start(arguments_, last);                                                                \
        mode_t mode_ = va_arg(arguments_, mode_t);                                                 \
        va_end(arguments_);                                                                        \
        mode_;                                                                                     \
    })

HOOK int __palisade_open(const char *path, int flags, ...)
{
    mode_t mode = MODE_ARGUMENT(flags);
    const struct family *family = nf_self ? descriptor_owner(path) : NULL;
    if (family)
        return open_virtual(family, path, flags);
    if (nf_self && !allowed())
        refuse_open(path);
    return open(path, flags, mode);
}

HOOK int __palisade_openat(int directory, const char *path, int flags, ...)
{
    mode_t mode = MODE_ARGUMENT(flags);
    const struct family *family = nf_self && *path == '/' ? descriptor_owner(path) : NULL;
    if (family)
        return open_virtual(family, path, flags);
    if (nf_self && !allowed())
        refuse_open(path);
    return openat(directory, path, flags, mode);
}

/* ---- read ---- */

static ssize_t read_pieces(int fd, const struct iovec *pieces, int count)
{
    uint32_t index = descriptor_index(fd);
    const struct family *family = descriptor_family(index);
    struct mmsghdr one = {
        .msg_hdr = {.msg_iov = (struct iovec *)pieces, .msg_iovlen = (size_t)count}};
    if (family->receive == NULL)
        return fail(EINVAL);
    return family->receive(nf_self, index, &one, 1, 0) < 0 ? -1 : (ssize_t)one.msg_len;
}

static void refuse_read(int fd)
{
    if (!allowed())
        process_fail(STATUS_UNMODELLED, "read of descriptor %d cannot be replayed yet (G8)", fd);
}

ssize_t palisade_read_restartable(int fd, void *buffer, size_t room)
{
    const struct iovec piece = {.iov_base = buffer, .iov_len = room};
    if (nf_self && descriptor_is(fd))
        return read_pieces(fd, &piece, 1);
    if (nf_self)
        refuse_read(fd);
    return read(fd, buffer, room);
}

ssize_t palisade_readv_restartable(int fd, const struct iovec *pieces, int count)
{
    if (nf_self && descriptor_is(fd))
        return count < 0 || count > IOV_MAX ? fail(EINVAL) : read_pieces(fd, pieces, count);
    if (nf_self)
        refuse_read(fd);
    return readv(fd, pieces, count);
}

/* ---- write ---- */

static ssize_t write_pieces(int fd, const struct iovec *pieces, int count)
{
    uint32_t index = descriptor_index(fd);
    const struct family *family = descriptor_family(index);
    struct mmsghdr one = {
        .msg_hdr = {.msg_iov = (struct iovec *)pieces, .msg_iovlen = (size_t)count}};
    if (family->transmit == NULL)
        return fail(EINVAL);
    return family->transmit(nf_self, index, &one, 1, 0) < 0 ? -1 : (ssize_t)one.msg_len;
}

ssize_t palisade_write_restartable(int fd, const void *bytes, size_t length)
{
    const struct iovec piece = {.iov_base = (void *)bytes, .iov_len = length};
    if (nf_self == NULL)
        return write(fd, bytes, length);
    return descriptor_is(fd) ? write_pieces(fd, &piece, 1) : effect_write(fd, bytes, length);
}

ssize_t palisade_writev_restartable(int fd, const struct iovec *pieces, int count)
{
    if (nf_self == NULL)
        return writev(fd, pieces, count);
    if (count < 0 || count > IOV_MAX)
        return fail(EINVAL);
    if (descriptor_is(fd))
        return write_pieces(fd, pieces, count);
    ssize_t written = 0;
    for (int i = 0; i < count; i++)
        written += effect_write(fd, pieces[i].iov_base, pieces[i].iov_len);
    return written;
}
