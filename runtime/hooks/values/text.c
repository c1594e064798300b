/*
 * Texts that libc returns in buffers of its own: here in the thread's part of the image, where a
 * successor finds them. libc's reentrant functions do the work. And texts in fresh memory.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/ether.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "abi_internal.h"
#include "hooks/memory.h"
#include "process.h"

HOOK char *__palisade_strtok(char *text, const char *delimiters)
{
    SITE_HERE();
    return nf_self ? strtok_r(text, delimiters, &nf_self->values.strtok) : strtok(text, delimiters);
}

HOOK char *__palisade_strerror(int error)
{
    SITE_HERE();
    if (nf_self == NULL)
        return strerror(error);
    return strerror_r(error, nf_self->values.text, sizeof nf_self->values.text);
}

HOOK char *__palisade_strsignal(int signal)
{
    SITE_HERE();
    if (nf_self == NULL)
        return strsignal(signal);
    char *text = nf_self->values.text;
    const char *known = sigdescr_np(signal);
    if (known)
        snprintf(text, sizeof nf_self->values.text, "%s", known);
    else if (signal >= SIGRTMIN && signal <= SIGRTMAX)
        snprintf(text, sizeof nf_self->values.text, "Real-time signal %d", signal - SIGRTMIN);
    else
        snprintf(text, sizeof nf_self->values.text, "Unknown signal %d", signal);
    return text;
}

HOOK char *__palisade_inet_ntoa(struct in_addr address)
{
    SITE_HERE();
    if (nf_self == NULL)
        return inet_ntoa(address);
    inet_ntop(AF_INET, &address, nf_self->values.text, sizeof nf_self->values.text);
    return nf_self->values.text;
}

HOOK char *__palisade_ether_ntoa(const struct ether_addr *address)
{
    SITE_HERE();
    return nf_self ? ether_ntoa_r(address, nf_self->values.text) : ether_ntoa(address);
}

HOOK struct ether_addr *__palisade_ether_aton(const char *text)
{
    SITE_HERE();
    return nf_self ? ether_aton_r(text, (struct ether_addr *)nf_self->values.text)
                   : ether_aton(text);
}

/* ---- fresh memory ---- */

HOOK int __palisade_vasprintf(char **out, const char *format, va_list arguments)
{
    SITE_HERE();
    if (nf_self == NULL)
        return vasprintf(out, format, arguments);
    va_list again;
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    char *text = length < 0 ? NULL : __palisade_malloc((size_t)length + 1);
    if (text)
        vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    *out = text;
    return text ? length : -1;
}

#define ASPRINTF(out, format)                                                                      \
    va_list arguments;                                                                             \
    va_start(arguments, format);                                                                   \
    int length = __palisade_vasprintf(out, format, arguments);                                     \
    va_end(arguments);                                                                             \
    return length

HOOK int __palisade_asprintf(char **out, const char *format, ...)
{
    SITE_HERE();
    ASPRINTF(out, format);
}

HOOK int __palisade___asprintf_chk(char **out, int flag, const char *format, ...)
{
    SITE_HERE();
    (void)flag;
    ASPRINTF(out, format);
}

HOOK int __palisade___vasprintf_chk(char **out, int flag, const char *format, va_list arguments)
{
    SITE_HERE();
    (void)flag;
    return __palisade_vasprintf(out, format, arguments);
}
