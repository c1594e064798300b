/* stdio: streams from fopen to fclose, and what writes to them. Reading is in stdio_read.c. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "abi_internal.h"
#include "heap/heap.h"
#include "hooks/files/file.h"
#include "hooks/files/stream.h"
#include "hooks/memory.h"
#include "hooks/sharing/lock.h"

int __palisade_dup2(int fd, int wanted);
off_t __palisade_lseek(int fd, off_t offset, int whence);

/* ---- open and close ---- */

static struct nf_stream initial(int fd, bool reads, bool writes, int buffering)
{
    return (struct nf_stream){.magic = STREAM_MAGIC,
                              .lock = {.kind = PTHREAD_MUTEX_RECURSIVE},
                              .fd = fd,
                              .reads = reads,
                              .writes = writes,
                              .buffering = buffering};
}

void stdio_begin(void)
{
    for (int fd = 0; fd < 3; fd++) {
        struct nf_stream *stream = heap_alloc(process.heap, 0, sizeof *stream, NULL);
        if (stream == NULL)
            process_fail(STATUS_MEMORY, "heap_mib is too small");
        *stream = initial(fd, fd == 0, fd != 0, _IONBF);
        IMAGE->standard[fd] = stream;
    }
}

/* What a mode means to open; -1: nothing. */
static int flags_of(const char *mode)
{
    int flags = mode[0] == 'r' ? 0 : mode[0] == 'w' ? O_CREAT | O_TRUNC : O_CREAT | O_APPEND;
    if (mode[0] != 'r' && mode[0] != 'w' && mode[0] != 'a')
        return -1;
    for (const char *at = mode + 1; *at && *at != ','; at++)
        if (*at == 'x')
            flags |= O_EXCL;
    return flags | (strchr(mode, '+') ? O_RDWR : mode[0] == 'r' ? O_RDONLY : O_WRONLY);
}

static FILE *make(struct nf_thread *thread, int fd, int flags)
{
    int access = flags & O_ACCMODE;
    struct nf_stream *stream = __palisade_malloc(sizeof *stream);
    if (stream == NULL)
        return NULL;
    *stream = initial(fd, access != O_WRONLY, access != O_RDONLY, _IOFBF);
    ordered_lock(thread, &IMAGE->streams_lock);
    stream->next = IMAGE->streams;
    IMAGE->streams = stream;
    ordered_unlock(&IMAGE->streams_lock);
    return (FILE *)stream;
}

static int open_for(struct nf_thread *thread, const char *path, int flags)
{
    char name[PATH_BYTES];
    int error = path_resolve(AT_FDCWD, path, name);
    if (error)
        return fail(error);
    return file_open(thread, name, flags, 0666);
}

HOOK FILE *__palisade_fopen(const char *path, const char *mode)
{
    SITE_HERE();
    if (nf_self == NULL)
        return fopen(path, mode);
    int flags = flags_of(mode);
    int fd = flags < 0 ? fail(EINVAL) : open_for(nf_self, path, flags);
    return fd < 0 ? NULL : make(nf_self, fd, flags);
}

HOOK FILE *__palisade_fdopen(int fd, const char *mode)
{
    SITE_HERE();
    if (nf_self == NULL)
        return fdopen(fd, mode);
    int flags = flags_of(mode);
    if (flags < 0 || !descriptor_is(fd))
        return errno = flags < 0 ? EINVAL : EBADF, NULL;
    return make(nf_self, fd, flags);
}

HOOK FILE *__palisade_freopen(const char *path, const char *mode, FILE *file)
{
    SITE_HERE();
    if (nf_self == NULL)
        return freopen(path, mode, file);
    struct nf_stream *stream = stream_of(file);
    int flags = flags_of(mode);
    if (path == NULL || flags < 0)
        return errno = EINVAL, NULL;
    stream_lock(nf_self, stream);
    stream_settle(nf_self, stream);
    int fd = open_for(nf_self, path, flags);
    if (fd >= 0 && descriptor_is(stream->fd)) {
        __palisade_dup2(fd, stream->fd);
        descriptor_close(nf_self, fd);
    } else if (fd >= 0) {
        stream->fd = fd;
    }
    stream->reads = (flags & O_ACCMODE) != O_WRONLY;
    stream->writes = (flags & O_ACCMODE) != O_RDONLY;
    stream->eof = stream->error = 0;
    stream_unlock(stream);
    return fd < 0 ? NULL : file;
}

HOOK int __palisade_fclose(FILE *file)
{
    SITE_HERE();
    if (nf_self == NULL)
        return fclose(file);
    struct nf_stream *stream = stream_of(file);
    stream_lock(nf_self, stream);
    bool written = stream_flush(nf_self, stream);
    stream_settle(nf_self, stream);
    stream_unlock(stream);
    if (descriptor_is(stream->fd))
        descriptor_close(nf_self, stream->fd);
    ordered_lock(nf_self, &IMAGE->streams_lock);
    for (struct nf_stream **at = &IMAGE->streams; *at; at = &(*at)->next)
        if (*at == stream) {
            *at = stream->next;
            break;
        }
    ordered_unlock(&IMAGE->streams_lock);
    if (stream == IMAGE->standard[0] || stream == IMAGE->standard[1] ||
        stream == IMAGE->standard[2])
        return written ? 0 : EOF;
    __palisade_free(stream->bytes);
    stream->magic = 0;
    __palisade_free(stream);
    return written ? 0 : EOF;
}

void stdio_flush_all(struct nf_thread *thread)
{
    ordered_lock(thread, &IMAGE->streams_lock);
    for (struct nf_stream *stream = IMAGE->streams; stream; stream = stream->next) {
        stream_lock(thread, stream);
        stream_flush(thread, stream);
        stream_unlock(stream);
    }
    ordered_unlock(&IMAGE->streams_lock);
}

HOOK int __palisade_fflush(FILE *file)
{
    SITE_HERE();
    if (nf_self == NULL)
        return fflush(file);
    if (file == NULL)
        return stdio_flush_all(nf_self), 0;
    struct nf_stream *stream = stream_of(file);
    stream_lock(nf_self, stream);
    bool written = stream_flush(nf_self, stream);
    stream_unlock(stream);
    return written ? 0 : EOF;
}

/* ---- write ---- */

static bool put(FILE *file, const void *bytes, size_t length)
{
    struct nf_stream *stream = stream_of(file);
    stream_lock(nf_self, stream);
    bool written = stream_write(nf_self, stream, bytes, length);
    stream_unlock(stream);
    return written;
}

/* A text of any length; free it when it is not `few`. */
static char *format_text(char *few, size_t room, int *length, const char *format, va_list arguments)
{
    va_list again;
    char *text = few;
    va_copy(again, arguments);
    *length = vsnprintf(few, room, format, arguments);
    if (*length >= (int)room) {
        text = malloc((size_t)*length + 1);
        if (text == NULL)
            process_fail(STATUS_MEMORY, "no memory to print %d bytes", *length);
        vsnprintf(text, (size_t)*length + 1, format, again);
    }
    va_end(again);
    return text;
}

static int print(FILE *file, const char *format, va_list arguments)
{
    if (nf_self == NULL)
        return vfprintf(file, format, arguments);
    char few[STREAM_BYTES];
    int length;
    char *text = format_text(few, sizeof few, &length, format, arguments);
    if (length > 0 && !put(file, text, (size_t)length))
        length = -1;
    if (text != few)
        free(text);
    return length;
}

#define PRINT(file, format)                                                                        \
    va_list arguments;                                                                             \
    va_start(arguments, format);                                                                   \
    int length = print(file, format, arguments);                                                   \
    va_end(arguments);                                                                             \
    return length

HOOK int __palisade_printf(const char *format, ...)
{
    SITE_HERE();
    PRINT(stdout, format);
}

HOOK int __palisade___printf_chk(int flag, const char *format, ...)
{
    SITE_HERE();
    (void)flag;
    PRINT(stdout, format);
}

HOOK int __palisade_fprintf(FILE *file, const char *format, ...)
{
    SITE_HERE();
    PRINT(file, format);
}

HOOK int __palisade___fprintf_chk(FILE *file, int flag, const char *format, ...)
{
    SITE_HERE();
    (void)flag;
    PRINT(file, format);
}

HOOK int __palisade_vprintf(const char *format, va_list arguments)
{
    SITE_HERE();
    return print(stdout, format, arguments);
}

HOOK int __palisade___vprintf_chk(int flag, const char *format, va_list arguments)
{
    SITE_HERE();
    (void)flag;
    return print(stdout, format, arguments);
}

HOOK int __palisade_vfprintf(FILE *file, const char *format, va_list arguments)
{
    SITE_HERE();
    return print(file, format, arguments);
}

HOOK int __palisade___vfprintf_chk(FILE *file, int flag, const char *format, va_list arguments)
{
    SITE_HERE();
    (void)flag;
    return print(file, format, arguments);
}

static int print_to(int fd, const char *format, va_list arguments)
{
    if (nf_self == NULL)
        return vdprintf(fd, format, arguments);
    char few[STREAM_BYTES];
    int length;
    char *text = format_text(few, sizeof few, &length, format, arguments);
    run_of(nf_self)->pinned++;
    if (length > 0 && palisade_write_restartable(fd, text, (size_t)length) < 0)
        length = -1;
    run_of(nf_self)->pinned--;
    if (text != few)
        free(text);
    return length;
}

HOOK int __palisade_vdprintf(int fd, const char *format, va_list arguments)
{
    SITE_HERE();
    return print_to(fd, format, arguments);
}

HOOK int __palisade_dprintf(int fd, const char *format, ...)
{
    SITE_HERE();
    va_list arguments;
    va_start(arguments, format);
    int length = print_to(fd, format, arguments);
    va_end(arguments);
    return length;
}

HOOK size_t __palisade_fwrite(const void *bytes, size_t size, size_t count, FILE *file)
{
    SITE_HERE();
    if (nf_self == NULL)
        return fwrite(bytes, size, count, file);
    return size * count == 0 || put(file, bytes, size * count) ? (size ? count : 0) : 0;
}

HOOK int __palisade_fputs(const char *text, FILE *file)
{
    SITE_HERE();
    if (nf_self == NULL)
        return fputs(text, file);
    return put(file, text, strlen(text)) ? 1 : EOF;
}

HOOK int __palisade_puts(const char *text)
{
    SITE_HERE();
    return __palisade_printf("%s\n", text);
}

HOOK int __palisade_fputc(int byte, FILE *file)
{
    SITE_HERE();
    uint8_t one = (uint8_t)byte;
    if (nf_self == NULL)
        return fputc(byte, file);
    return put(file, &one, 1) ? one : EOF;
}

HOOK int __palisade_putchar(int byte)
{
    SITE_HERE();
    return __palisade_fputc(byte, stdout);
}

HOOK int __palisade_putc(int byte, FILE *file)
{
    SITE_HERE();
    return __palisade_fputc(byte, file);
}

HOOK void __palisade_perror(const char *text)
{
    SITE_HERE();
    int error = errno;
    if (text && *text)
        __palisade_fprintf(stderr, "%s: %s\n", text, strerror(error));
    else
        __palisade_fprintf(stderr, "%s\n", strerror(error));
    errno = error;
}

/* ---- state ---- */

HOOK int __palisade_fseeko(FILE *file, off_t offset, int whence)
{
    SITE_HERE();
    if (nf_self == NULL)
        return fseeko(file, offset, whence);
    struct nf_stream *stream = stream_of(file);
    stream_lock(nf_self, stream);
    stream_settle(nf_self, stream);
    off_t result = __palisade_lseek(stream->fd, offset, whence);
    if (result >= 0)
        stream->eof = 0;
    stream_unlock(stream);
    return result < 0 ? -1 : 0;
}

HOOK int __palisade_fseek(FILE *file, long offset, int whence)
{
    SITE_HERE();
    return __palisade_fseeko(file, offset, whence);
}

HOOK off_t __palisade_ftello(FILE *file)
{
    SITE_HERE();
    if (nf_self == NULL)
        return ftello(file);
    struct nf_stream *stream = stream_of(file);
    stream_lock(nf_self, stream);
    stream_flush(nf_self, stream);
    off_t result = __palisade_lseek(stream->fd, 0, SEEK_CUR);
    if (result >= 0)
        result -= (off_t)stream_has(stream);
    stream_unlock(stream);
    return result;
}

HOOK long __palisade_ftell(FILE *file)
{
    SITE_HERE();
    return __palisade_ftello(file);
}

HOOK void __palisade_rewind(FILE *file)
{
    SITE_HERE();
    if (nf_self == NULL) {
        rewind(file);
        return;
    }
    __palisade_fseeko(file, 0, SEEK_SET);
    stream_of(file)->error = 0;
}

HOOK int __palisade_feof(FILE *file)
{
    SITE_HERE();
    return nf_self ? (int)stream_of(file)->eof : feof(file);
}

HOOK int __palisade_ferror(FILE *file)
{
    SITE_HERE();
    return nf_self ? (int)stream_of(file)->error : ferror(file);
}

HOOK void __palisade_clearerr(FILE *file)
{
    SITE_HERE();
    if (nf_self == NULL)
        clearerr(file);
    else
        stream_of(file)->eof = stream_of(file)->error = 0;
}

HOOK int __palisade_fileno(FILE *file)
{
    SITE_HERE();
    return nf_self ? stream_of(file)->fd : fileno(file);
}

/* stdout and stderr stay unbuffered: what the NF has printed is an effect at once. */
HOOK int __palisade_setvbuf(FILE *file, char *buffer, int mode, size_t size)
{
    SITE_HERE();
    if (nf_self == NULL)
        return setvbuf(file, buffer, mode, size);
    struct nf_stream *stream = stream_of(file);
    if (stream->fd > STDERR_FILENO)
        stream->buffering = mode;
    return 0;
}

HOOK void __palisade_setbuf(FILE *file, char *buffer)
{
    SITE_HERE();
    __palisade_setvbuf(file, buffer, buffer ? _IOFBF : _IONBF, BUFSIZ);
}

HOOK void __palisade_setlinebuf(FILE *file)
{
    SITE_HERE();
    __palisade_setvbuf(file, NULL, _IOLBF, 0);
}

HOOK void __palisade_flockfile(FILE *file)
{
    SITE_HERE();
    if (nf_self == NULL)
        flockfile(file);
    else
        stream_lock(nf_self, stream_of(file));
}

HOOK void __palisade_funlockfile(FILE *file)
{
    SITE_HERE();
    if (nf_self == NULL)
        funlockfile(file);
    else
        stream_unlock(stream_of(file));
}
