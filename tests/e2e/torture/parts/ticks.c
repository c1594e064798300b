#include "parts.h"

void *tell_time(void *nothing)
{
    for (uint64_t tick = 0;; tick++) {
        usleep(1500);
        clock_us = (uint64_t)clock_ns() / 1000;
        ledger_take();
        ledger.entries[tick % ENTRIES] += tick;
        ledger_give();
    }
    return nothing;
}
