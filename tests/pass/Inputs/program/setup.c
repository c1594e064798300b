#include "nf.h"
#include <stdlib.h>

long limit;
struct slot slots[4];
struct flow *flows;
static long counted;

void prepare(long value)
{
    limit = value;
    for (int i = 0; i < 4; i++)
        slots[i].limit = 1;
    flows = calloc(1, sizeof *flows);
    flows->key = value;
}

void count_locked(long by)
{
    counted += by;
}
