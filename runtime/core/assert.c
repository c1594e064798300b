#include "core/assert.h"

#include <stdio.h>
#include <stdlib.h>

void assert_failed(const char *file, int line, const char *text)
{
    fprintf(stderr, "palisade: %s:%d: broken invariant: %s\n", file, line, text);
    abort();
}
