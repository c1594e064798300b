#include "model.h"

#include <string.h>

static const struct model_row rows[] = {
#define PALISADE_ROW(name, class, lock, hook, drop, note)                                          \
    {#name, MODEL_##class, lock, hook, drop, note},
#include "model.def"
};

const struct model_row *model_rows(size_t *count)
{
    *count = sizeof rows / sizeof *rows;
    return rows;
}

const struct model_row *model_find(const char *name)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strcmp(rows[i].name, name) == 0)
            return &rows[i];
    return NULL;
}

int model_is_inline(const char *name)
{
    static const char *const names[] = {
#define PALISADE_INLINE(name) #name,
#include "inline.def"
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i], name) == 0)
            return 1;
    return 0;
}

const char *model_class_name(enum model_class class_)
{
    static const char *const names[MODEL_CLASSES] = {
        [MODEL_LOCK] = "lock",
        [MODEL_TRY] = "try",
        [MODEL_UNLOCK] = "unlock",
        [MODEL_VALUE] = "value",
        [MODEL_PURE] = "pure",
        [MODEL_MEMORY] = "memory",
        [MODEL_THREAD] = "thread",
        [MODEL_PACKET_IN] = "packet_in",
        [MODEL_PACKET_OUT] = "packet_out",
        [MODEL_EFFECT] = "effect",
        [MODEL_FORBIDDEN] = "forbidden",
    };
    return (unsigned)class_ < MODEL_CLASSES ? names[class_] : "?";
}
