#include "parts.h"

struct ledger ledger;
uint64_t marks[ENTRIES];

uint64_t ledger_add(uint64_t number)
{
    ledger.total = mix(ledger.total, number);
    return ledger.total;
}

uint64_t marks_set(uint64_t number)
{
    uint64_t before = marks[number % ENTRIES];
    marks[number % ENTRIES] = mix(before, number);
    return before;
}
