/* See effect.h. The queue is guarded by `mutex`; not a hot path. */
#include "hooks/effect.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "abi_internal.h"
#include "replay/replay.h"

#define EFFECT_MAX_BYTES 4096
#define EFFECTS_MAX 4096u /* queued; more wait: back-pressure */

struct effect {
    struct effect *next;
    uint32_t thread;
    int fd;
    uint64_t number;
    struct positions vor;
    uint32_t length;
    char bytes[];
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct effect *first, **last = &first; /* guarded by mutex */
static _Atomic uint32_t queued;
static _Atomic uint32_t exit_status;

static void enqueue(struct nf_thread *thread, int fd, const char *bytes, uint32_t length,
                    bool replayed)
{
    struct effect *effect = malloc(sizeof *effect + length);
    if (effect == NULL)
        process_fail(STATUS_MEMORY, "no memory to hold the program's output until it is stable");
    *effect = (struct effect){
        .thread = thread->core.index, .fd = fd, .number = thread->core.effects, .length = length};
    memcpy(effect->bytes, bytes, length);
    if (!replayed) {
        effect->vor.threads = IMAGE->thread_count;
        for (uint32_t t = 0; t < effect->vor.threads; t++)
            effect->vor.at[t] = log_published(process.logs[t]);
    }
    pthread_mutex_lock(&mutex);
    *last = effect;
    last = &effect->next;
    atomic_fetch_add(&queued, 1);
    pthread_mutex_unlock(&mutex);
    io_kick();
}

static void effect(struct nf_thread *thread, int fd, const char *bytes, size_t length)
{
    int64_t value;
    if (length == 0)
        return;
    for (uint32_t waiting;
         process_mode() == MODE_RECORD && (waiting = atomic_load(&queued)) >= EFFECTS_MAX;)
        futex_wait(&queued, waiting, 1000000);
    bool replayed = REPLAYED_ALONE(
        thread, "output", ev_number_replay(&thread->core, &run_of(thread)->reader, 0, &value));
    if (!replayed)
        ev_number_record(&thread->core, log_ready(thread), 0, 0);
    thread->core.effects++;
    if (!replayed || thread->core.effects > process.effects_done[thread->core.index])
        enqueue(thread, fd, bytes, (uint32_t)length, replayed);
}

/*
 * Would a write of an effect return at once? A pipe says yes when it has room for EFFECT_MAX_BYTES.
 * The I/O thread must not wait for who reads stdout: its silence would look like our death.
 */
static bool writable(int fd)
{
    struct pollfd out = {.fd = fd, .events = POLLOUT};
    return poll(&out, 1, 0) != 0; /* an error, too, is told by write */
}

uint32_t effects_perform(const struct positions *stable, uint32_t limit,
                         void (*done)(void *context, uint32_t thread, uint64_t number),
                         void *context)
{
    uint32_t performed = 0;
    while (performed < limit && atomic_load(&queued) > 0) {
        pthread_mutex_lock(&mutex);
        struct effect *head = first;
        if (head && positions_cover(stable, &head->vor) && writable(head->fd)) {
            first = head->next;
            if (first == NULL)
                last = &first;
            atomic_fetch_sub(&queued, 1);
        } else {
            head = NULL;
        }
        pthread_mutex_unlock(&mutex);
        if (head == NULL)
            break;
        for (uint32_t written = 0; written < head->length;) {
            ssize_t n = write(head->fd, head->bytes + written, head->length - written);
            if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN))
                break; /* a closed stdout is the NF's user's wish */
            written += n > 0 ? (uint32_t)n : 0;
        }
        done(context, head->thread, head->number);
        free(head);
        performed++;
    }
    return performed;
}

bool effects_pending(void)
{
    return atomic_load(&queued) > 0;
}

uint32_t effects_exit_status(void)
{
    return atomic_load(&exit_status);
}

void effects_exit(struct nf_thread *thread, int status)
{
    int64_t value;
    if (!REPLAYED_ALONE(thread, "exit",
                        ev_number_replay(&thread->core, &run_of(thread)->reader, 0, &value)))
        ev_number_record(&thread->core, log_ready(thread), 0, 0);
    else
        replay_thread_gone();
    atomic_store(&exit_status, (uint32_t)(status & 0xff) + 1);
    io_kick();
    for (;;)
        pause(); /* the I/O thread ends the process when everything is stable */
}

/* ---- hooks: stdio on stdout and stderr ---- */

static int stream_fd(FILE *stream)
{
    int fd = fileno(stream);
    if (fd != STDOUT_FILENO && fd != STDERR_FILENO)
        process_fail(STATUS_UNMODELLED,
                     "writing to a file (descriptor %d) cannot be replayed yet; "
                     "only stdout and stderr are (G8)",
                     fd);
    return fd;
}

/* Long texts are several effects. */
static void effects(struct nf_thread *thread, int fd, const char *bytes, size_t length)
{
    for (size_t done = 0; done < length;) {
        size_t piece = length - done > EFFECT_MAX_BYTES ? EFFECT_MAX_BYTES : length - done;
        effect(thread, fd, bytes + done, piece);
        done += piece;
    }
}

static int print(FILE *stream, const char *format, va_list arguments)
{
    if (nf_self == NULL)
        return vfprintf(stream, format, arguments);
    char text[EFFECT_MAX_BYTES], *longer = NULL;
    va_list again;
    va_copy(again, arguments);
    int length = vsnprintf(text, sizeof text, format, arguments);
    if (length >= (int)sizeof text) {
        longer = malloc((size_t)length + 1);
        if (longer == NULL)
            process_fail(STATUS_MEMORY, "no memory to print %d bytes", length);
        vsnprintf(longer, (size_t)length + 1, format, again);
    }
    va_end(again);
    if (length > 0)
        effects(nf_self, stream_fd(stream), longer ? longer : text, (size_t)length);
    free(longer);
    return length;
}

#define PRINT(stream, format)                                                                      \
    va_list arguments;                                                                             \
    va_start(arguments, format);                                                                   \
    int length = print(stream, format, arguments);                                                 \
    va_end(arguments);                                                                             \
    return length

HOOK int __palisade_printf(const char *format, ...)
{
    PRINT(stdout, format);
}

HOOK int __palisade___printf_chk(int flag, const char *format, ...)
{
    (void)flag;
    PRINT(stdout, format);
}

HOOK int __palisade_fprintf(FILE *stream, const char *format, ...)
{
    PRINT(stream, format);
}

HOOK int __palisade___fprintf_chk(FILE *stream, int flag, const char *format, ...)
{
    (void)flag;
    PRINT(stream, format);
}

HOOK int __palisade_vprintf(const char *format, va_list arguments)
{
    return print(stdout, format, arguments);
}

HOOK int __palisade___vprintf_chk(int flag, const char *format, va_list arguments)
{
    (void)flag;
    return print(stdout, format, arguments);
}

HOOK int __palisade_vfprintf(FILE *stream, const char *format, va_list arguments)
{
    return print(stream, format, arguments);
}

HOOK int __palisade___vfprintf_chk(FILE *stream, int flag, const char *format, va_list arguments)
{
    (void)flag;
    return print(stream, format, arguments);
}

HOOK size_t __palisade_fwrite(const void *bytes, size_t size, size_t count, FILE *stream)
{
    if (nf_self == NULL)
        return fwrite(bytes, size, count, stream);
    effects(nf_self, stream_fd(stream), bytes, size * count);
    return count;
}

HOOK int __palisade_fputs(const char *text, FILE *stream)
{
    return __palisade_fwrite(text, 1, strlen(text), stream) == 0 && *text ? EOF : 1;
}

HOOK int __palisade_puts(const char *text)
{
    return __palisade_printf("%s\n", text);
}

HOOK int __palisade_fputc(int byte, FILE *stream)
{
    char one = (char)byte;
    return __palisade_fwrite(&one, 1, 1, stream) == 1 ? (unsigned char)byte : EOF;
}

HOOK int __palisade_putchar(int byte)
{
    return __palisade_fputc(byte, stdout);
}

HOOK int __palisade_putc(int byte, FILE *stream)
{
    return __palisade_fputc(byte, stream);
}

HOOK int __palisade_fflush(FILE *stream)
{
    return nf_self ? 0 : fflush(stream); /* effects are not buffered */
}

HOOK void __palisade_perror(const char *text)
{
    int error = errno;
    if (text && *text)
        __palisade_fprintf(stderr, "%s: %s\n", text, strerror(error));
    else
        __palisade_fprintf(stderr, "%s\n", strerror(error));
}

ssize_t effect_write(int fd, const void *bytes, size_t length)
{
    if (fd == STDOUT_FILENO)
        return (ssize_t)__palisade_fwrite(bytes, 1, length, stdout);
    if (fd == STDERR_FILENO)
        return (ssize_t)__palisade_fwrite(bytes, 1, length, stderr);
    process_fail(STATUS_UNMODELLED, "write to descriptor %d cannot be replayed yet (G8)", fd);
}

HOOK __attribute__((noreturn)) void __palisade_exit(int status)
{
    if (nf_self == NULL)
        exit(status);
    effects_exit(nf_self, status);
}

HOOK __attribute__((noreturn)) void __palisade__exit(int status)
{
    if (nf_self == NULL)
        _exit(status);
    effects_exit(nf_self, status);
}

HOOK __attribute__((noreturn)) void __palisade_abort(void)
{
    abort(); /* a crash like any other: the backup takes over */
}

HOOK void __palisade_syslog(int priority, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    __palisade_fprintf(stderr, "syslog %d: %s\n", priority & 7, text);
}
