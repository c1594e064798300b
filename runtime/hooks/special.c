/* Paths that stand for something other than a file: see descriptor.h. */
#include <string.h>

#include "hooks/descriptor.h"

static const struct special_path paths[] = {
    {NULL, NULL}, /* e.g. {"/dev/net/tun", tun_open}; this one ends the list */
};

const struct special_path *special_path(const char *path)
{
    for (const struct special_path *at = paths; at->path; at++)
        if (strcmp(at->path, path) == 0)
            return at;
    return NULL;
}
