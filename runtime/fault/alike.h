/* What the user may have meant: mistyped keys, values and names. */
#ifndef PALISADE_ALIKE_H
#define PALISADE_ALIKE_H

#include <stddef.h>

#define ALIKE_MAX_BYTES 32u /* what is meant is shorter */

/* How far apart, 0 a forgotten end ("heap" for heap_mib); SIZE_MAX: not alike at all. */
size_t alike(const char *given, const char *meant);

#endif
