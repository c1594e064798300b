/*
 * The environment, kept in the NF's heap: what getenv returns is a pointer into it, and a
 * successor goes on with it. libc's own `environ` points to the same vector, so that TZ and the
 * like mean the same to libc.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "abi_internal.h"
#include "hooks/memory.h"
#include "hooks/sharing/lock.h"
#include "hooks/values/environment.h"

void environment_use(void)
{
    environ = IMAGE->environment;
}

/* Caller holds environment_lock. NULL: not set. */
static char **find(const char *name, size_t length)
{
    for (char **at = IMAGE->environment; *at; at++)
        if (strncmp(*at, name, length) == 0 && (*at)[length] == '=')
            return at;
    return NULL;
}

static size_t count(void)
{
    size_t variables = 0;
    while (IMAGE->environment[variables])
        variables++;
    return variables;
}

HOOK char *__palisade_getenv(const char *name)
{
    SITE_HERE();
    if (nf_self == NULL)
        return getenv(name);
    size_t length = strlen(name);
    ordered_lock(nf_self, &IMAGE->values.environment_lock);
    char **at = find(name, length);
    ordered_unlock(&IMAGE->values.environment_lock);
    return at ? *at + length + 1 : NULL;
}

/* Caller holds environment_lock. `text` is NAME=VALUE and stays. */
static int put(char *text, size_t name_length)
{
    char **at = find(text, name_length);
    if (at) {
        *at = text; /* the old text may still be pointed to: it is never freed, as in glibc */
        return 0;
    }
    size_t variables = count();
    if (variables + 1 >= IMAGE->values.environment_room) {
        size_t room = 2 * variables + 16;
        char **longer = __palisade_malloc(room * sizeof *longer);
        if (longer == NULL)
            return -1;
        memcpy(longer, IMAGE->environment, (variables + 1) * sizeof *longer);
        IMAGE->environment = longer;
        IMAGE->values.environment_room = room;
        environment_use();
    }
    IMAGE->environment[variables] = text;
    IMAGE->environment[variables + 1] = NULL;
    return 0;
}

static bool is_name(const char *name)
{
    if (name && *name && strchr(name, '=') == NULL)
        return true;
    errno = EINVAL;
    return false;
}

HOOK int __palisade_setenv(const char *name, const char *value, int overwrite)
{
    SITE_HERE();
    if (nf_self == NULL)
        return setenv(name, value, overwrite);
    if (!is_name(name))
        return -1;
    size_t length = strlen(name), value_bytes = strlen(value) + 1;
    int result = 0;
    ordered_lock(nf_self, &IMAGE->values.environment_lock);
    if (overwrite || !find(name, length)) {
        char *text = __palisade_malloc(length + 1 + value_bytes);
        result = -1;
        if (text) {
            memcpy(text, name, length);
            text[length] = '=';
            memcpy(text + length + 1, value, value_bytes);
            result = put(text, length);
        }
    }
    ordered_unlock(&IMAGE->values.environment_lock);
    return result;
}

static void drop(const char *name, size_t length)
{
    for (char **at; (at = find(name, length));)
        for (; *at; at++)
            *at = at[1];
}

HOOK int __palisade_unsetenv(const char *name)
{
    SITE_HERE();
    if (nf_self == NULL)
        return unsetenv(name);
    if (!is_name(name))
        return -1;
    ordered_lock(nf_self, &IMAGE->values.environment_lock);
    drop(name, strlen(name));
    ordered_unlock(&IMAGE->values.environment_lock);
    return 0;
}

HOOK int __palisade_putenv(char *text)
{
    SITE_HERE();
    if (nf_self == NULL)
        return putenv(text);
    const char *equal = strchr(text, '=');
    if (equal == NULL)
        return __palisade_unsetenv(text);
    ordered_lock(nf_self, &IMAGE->values.environment_lock);
    int result = put(text, (size_t)(equal - text));
    ordered_unlock(&IMAGE->values.environment_lock);
    return result;
}

HOOK int __palisade_clearenv(void)
{
    SITE_HERE();
    if (nf_self == NULL)
        return clearenv();
    ordered_lock(nf_self, &IMAGE->values.environment_lock);
    IMAGE->environment[0] = NULL;
    ordered_unlock(&IMAGE->values.environment_lock);
    return 0;
}
