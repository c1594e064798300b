/*
 * syslog: an effect like any other, sent by the I/O thread, which does not wait for the system's
 * logger: what that does not take is lost, as it is on a machine that runs none.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "abi_internal.h"
#include "hooks/files/effect.h"
#include "hooks/sharing/lock.h"

#define TEXT_BYTES 2048

int __palisade_fprintf(FILE *file, const char *format, ...);

/* ---- the I/O thread ---- */

static int connect_logger(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = _PATH_LOG};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof address) != 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

/* The effect's option is the priority; the moment is the one it leaves us. */
static bool perform(struct effect *effect)
{
    static int logger = -1;
    char line[TEXT_BYTES + 64], moment[32];
    time_t now = time(NULL);
    struct tm parts;
    localtime_r(&now, &parts);
    strftime(moment, sizeof moment, "%h %e %T", &parts);
    int length = snprintf(line, sizeof line, "<%d>%s %.*s", effect->option, moment,
                          (int)effect->length, (const char *)effect->bytes);
    for (int attempt = 0; attempt < 2; attempt++) {
        if (logger < 0)
            logger = connect_logger();
        if (logger < 0 || send(logger, line, (size_t)length, MSG_NOSIGNAL) >= 0 || errno == EAGAIN)
            break;
        close(logger); /* it was started again */
        logger = -1;
    }
    return true;
}

/* ---- hooks ---- */

static void write_log(int priority, const char *format, va_list arguments)
{
    struct nf_syslog *state = &IMAGE->syslog;
    char text[TEXT_BYTES], line[TEXT_BYTES];
    int error = errno;
    ordered_lock(nf_self, &state->lock);
    const char *identity = state->identity ? state->identity : program_invocation_short_name;
    int options = state->options, facility = state->facility, mask = state->mask;
    ordered_unlock(&state->lock);
    if (!(mask & LOG_MASK(LOG_PRI(priority))))
        return;
    if ((priority & LOG_FACMASK) == 0)
        priority |= facility ? facility : LOG_USER;
    errno = error; /* %m */
    vsnprintf(text, sizeof text, format, arguments);
    int length = options & LOG_PID ? snprintf(line, sizeof line, "%s[%d]: %s", identity, 2, text)
                                   : snprintf(line, sizeof line, "%s: %s", identity, text);
    if (length >= (int)sizeof line)
        length = sizeof line - 1;
    struct iovec piece = {.iov_base = line, .iov_len = (size_t)length};
    struct effect like = {.perform = perform, .option = priority};
    effect_emit(nf_self, "syslog", 0, &like, &piece, 1);
    if (options & LOG_PERROR)
        __palisade_fprintf(stderr, "%s\n", line);
    errno = error;
}

HOOK void __palisade_vsyslog(int priority, const char *format, va_list arguments)
{
    SITE_HERE();
    if (nf_self == NULL)
        vsyslog(priority, format, arguments);
    else
        write_log(priority, format, arguments);
}

HOOK void __palisade_syslog(int priority, const char *format, ...)
{
    SITE_HERE();
    va_list arguments;
    va_start(arguments, format);
    __palisade_vsyslog(priority, format, arguments);
    va_end(arguments);
}

HOOK void __palisade_openlog(const char *identity, int options, int facility)
{
    SITE_HERE();
    if (nf_self == NULL) {
        openlog(identity, options, facility);
        return;
    }
    ordered_lock(nf_self, &IMAGE->syslog.lock);
    IMAGE->syslog.identity = identity;
    IMAGE->syslog.options = options;
    IMAGE->syslog.facility = facility;
    ordered_unlock(&IMAGE->syslog.lock);
}

HOOK void __palisade_closelog(void)
{
    SITE_HERE();
    if (nf_self == NULL)
        closelog();
    else
        __palisade_openlog(NULL, 0, 0);
}

HOOK int __palisade_setlogmask(int mask)
{
    SITE_HERE();
    if (nf_self == NULL)
        return setlogmask(mask);
    ordered_lock(nf_self, &IMAGE->syslog.lock);
    int before = IMAGE->syslog.mask;
    if (mask)
        IMAGE->syslog.mask = mask;
    ordered_unlock(&IMAGE->syslog.lock);
    return before;
}
