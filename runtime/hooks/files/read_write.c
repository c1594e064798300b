/*
 * read, write and their vectors: on any descriptor one call is one message of its family.
 */
#include <limits.h>
#include <sys/uio.h>
#include <unistd.h>

#include "hooks/files/descriptor.h"

ssize_t palisade_readv_restartable(int fd, const struct iovec *pieces, int count)
{
    const struct family *family = family_of(fd);
    if (family == NULL)
        return to_libc() ? readv(fd, pieces, count) : fail(EBADF);
    if (count < 0 || count > IOV_MAX)
        return fail(EINVAL);
    struct mmsghdr one = {
        .msg_hdr = {.msg_iov = (struct iovec *)pieces, .msg_iovlen = (size_t)count}};
    if (family->receive == NULL)
        return fail(EINVAL);
    return family->receive(nf_self, descriptor_index(fd), &one, 1, 0) < 0 ? -1
                                                                          : (ssize_t)one.msg_len;
}

ssize_t palisade_read_restartable(int fd, void *buffer, size_t room)
{
    if (family_of(fd) == NULL)
        return to_libc() ? read(fd, buffer, room) : fail(EBADF);
    struct iovec piece = {.iov_base = buffer, .iov_len = room};
    return palisade_readv_restartable(fd, &piece, 1);
}

ssize_t palisade_writev_restartable(int fd, const struct iovec *pieces, int count)
{
    const struct family *family = family_of(fd);
    if (family == NULL)
        return to_libc() ? writev(fd, pieces, count) : fail(EBADF);
    if (count < 0 || count > IOV_MAX)
        return fail(EINVAL);
    struct mmsghdr one = {
        .msg_hdr = {.msg_iov = (struct iovec *)pieces, .msg_iovlen = (size_t)count}};
    if (family->transmit == NULL)
        return fail(EINVAL);
    return family->transmit(nf_self, descriptor_index(fd), &one, 1, 0) < 0 ? -1
                                                                           : (ssize_t)one.msg_len;
}

ssize_t palisade_write_restartable(int fd, const void *bytes, size_t length)
{
    if (family_of(fd) == NULL)
        return to_libc() ? write(fd, bytes, length) : fail(EBADF);
    struct iovec piece = {.iov_base = (void *)bytes, .iov_len = length};
    return palisade_writev_restartable(fd, &piece, 1);
}
