#include "parts.h"

static uint64_t deed(void *argument, uint32_t draw)
{
    const struct answerer *self = argument;
    unsigned at = draw % ENTRIES;
    uint64_t digest = mix(clock_us, ++turns);
    ledger_take();
    digest = mix(digest, ledger.entries[at] % limits[at]);
    ledger.entries[at] = mix(ledger.entries[at], self->index + draw);
    digest = mix(digest, ledger_add(draw));
    ledger_give();
    return digest;
}

static uint64_t deed_of_lan(void *argument, uint32_t draw)
{
    return mix(deed(argument, draw), marks_set(draw));
}

void *serve_lan(void *lan)
{
    for (;;)
        answers_serve(lan, deed_of_lan, lan);
    return NULL;
}

void *serve_wan(void *wan)
{
    for (;;)
        answers_serve(wan, deed, wan);
    return NULL;
}
