#include "nf.h"

long guarded;

void guard_count(void)
{
    guard_take();
    guarded++;
    guard_give();
}
