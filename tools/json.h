/* Short words for reading what the pass and the report wrote. A missing member is "" or 0. */
#ifndef PALISADE_TOOLS_JSON_H
#define PALISADE_TOOLS_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <string.h>

static inline const char *text(const json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));
    return value ? value : "";
}

static inline int number(const json_t *object, const char *key)
{
    return (int)json_integer_value(json_object_get(object, key));
}

static inline bool is(const json_t *object, const char *key, const char *value)
{
    return strcmp(text(object, key), value) == 0;
}

static inline const char *plural(int count)
{
    return count == 1 ? "" : "s";
}

static inline const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

#endif
