#include <stdio.h>

#include "core/status.h"
#include "model.h"
#include "tools.h"

int model_list(void)
{
    size_t count;
    const struct model_row *rows = model_rows(&count);
    printf("%-28s %-10s %-4s %-32s %s\n", "function", "class", "lock", "hook", "note");
    for (size_t i = 0; i < count; i++) {
        char lock[12] = "-", hook[64] = "-";
        if (rows[i].lock >= 0)
            snprintf(lock, sizeof lock, "%d", rows[i].lock);
        if (*rows[i].hook)
            snprintf(hook, sizeof hook, "__palisade_%s", rows[i].hook);
        printf("%-28s %-10s %-4s %-32s %s\n", rows[i].name, model_class_name(rows[i].class_), lock,
               hook, *rows[i].note ? rows[i].note : "-");
    }
    return ferror(stdout) ? STATUS_DISK : STATUS_OK;
}
