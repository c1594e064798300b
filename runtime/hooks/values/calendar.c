/*
 * Local time. The time zone is the machine's: what a conversion takes from it (offset, daylight
 * saving, name) is logged when it differs from this thread's last one, so that a successor with
 * other zone files computes the same. The rest is arithmetic. Results lie in the thread's part of
 * the image.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "abi_internal.h"
#include "hooks/values/value.h"

#define NO_TIME INT64_MAX

static int64_t code_of(const struct tm *time)
{
    return time->tm_gmtoff * 4 + (time->tm_isdst > 0 ? 2 : 0) + 1; /* never 0: nothing seen yet */
}

static struct tm *local(struct nf_thread *thread, time_t when, struct tm *out)
{
    struct nf_thread_values *values = &thread->values;
    struct tm native = {0};
    int64_t code = LOGGED(thread, "localtime", values->zone_code, ({
                              struct tm *done = localtime_r(&when, &native);
                              done ? code_of(&native) : NO_TIME;
                          }));
    if (code == NO_TIME) {
        errno = EOVERFLOW;
        return NULL;
    }
    if (code != values->zone_code) {
        VALUE_BYTES(thread, "localtime", values->zone, sizeof values->zone, ({
                        memset(values->zone, 0, sizeof values->zone);
                        if (native.tm_zone == NULL)
                            localtime_r(&when, &native);
                        strncpy(values->zone, native.tm_zone, sizeof values->zone - 1);
                    }));
        values->zone_code = code;
    }
    time_t shifted = when + (code >> 2);
    if (gmtime_r(&shifted, out) == NULL)
        return NULL;
    out->tm_gmtoff = (code >> 2);
    out->tm_isdst = (code & 2) != 0;
    out->tm_zone = values->zone;
    return out;
}

HOOK struct tm *__palisade_localtime_r(const time_t *when, struct tm *out)
{
    SITE_HERE();
    return nf_self ? local(nf_self, *when, out) : localtime_r(when, out);
}

HOOK struct tm *__palisade_localtime(const time_t *when)
{
    SITE_HERE();
    return nf_self ? local(nf_self, *when, &nf_self->values.calendar) : localtime(when);
}

HOOK struct tm *__palisade_gmtime(const time_t *when)
{
    SITE_HERE();
    return nf_self ? gmtime_r(when, &nf_self->values.calendar) : gmtime(when);
}

/* Predicted: the offset of the last conversion still holds. */
HOOK time_t __palisade_mktime(struct tm *time)
{
    SITE_HERE();
    struct nf_thread *thread = nf_self;
    if (thread == NULL)
        return mktime(time);
    struct tm copy = *time;
    int64_t expected = timegm(&copy) - (thread->values.zone_code >> 2);
    copy = *time;
    time_t when = LOGGED(thread, "mktime", expected, mktime(&copy));
    if (when != -1)
        local(thread, when, time);
    return when;
}

static char *text(char *out, const struct tm *time)
{
    return time ? asctime_r(time, out) : NULL;
}

HOOK char *__palisade_ctime_r(const time_t *when, char *out)
{
    SITE_HERE();
    struct tm time;
    return nf_self ? text(out, local(nf_self, *when, &time)) : ctime_r(when, out);
}

HOOK char *__palisade_ctime(const time_t *when)
{
    SITE_HERE();
    struct tm time;
    return nf_self ? text(nf_self->values.text, local(nf_self, *when, &time)) : ctime(when);
}

HOOK char *__palisade_asctime(const struct tm *time)
{
    SITE_HERE();
    return nf_self ? text(nf_self->values.text, time) : asctime(time);
}
