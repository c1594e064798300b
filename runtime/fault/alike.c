#include "alike.h"

#include <stdint.h>
#include <string.h>

#include "core/assert.h"

static size_t least3(size_t a, size_t b, size_t c)
{
    size_t least = a < b ? a : b;
    return least < c ? least : c;
}

/* Edits (insert, delete, replace, swap neighbours) from a to b; both below ALIKE_MAX_BYTES. */
static size_t edits(const char *a, const char *b)
{
    size_t rows = strlen(a), columns = strlen(b);
    size_t cost[ALIKE_MAX_BYTES][ALIKE_MAX_BYTES];
    ASSERT(rows < ALIKE_MAX_BYTES && columns < ALIKE_MAX_BYTES);
    for (size_t i = 0; i <= rows; i++) {
        for (size_t j = 0; j <= columns; j++) {
            if (i == 0 || j == 0) {
                cost[i][j] = i + j;
                continue;
            }
            cost[i][j] = least3(cost[i - 1][j] + 1, cost[i][j - 1] + 1,
                                cost[i - 1][j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                cost[i - 2][j - 2] + 1 < cost[i][j])
                cost[i][j] = cost[i - 2][j - 2] + 1;
        }
    }
    return cost[rows][columns];
}

size_t alike(const char *given, const char *meant)
{
    size_t length = strlen(given);
    if (length == 0 || length >= ALIKE_MAX_BYTES)
        return SIZE_MAX;
    if (length >= 3 && strncmp(given, meant, length) == 0)
        return 0;
    size_t apart = edits(given, meant);
    return apart <= 2 && apart < length ? apart : SIZE_MAX;
}
