/* The two threads of a log, and those of a stream, alone: what the tsan preset runs. usage:
 * log-race [SEEDS] */
#include <stdio.h>
#include <stdlib.h>

#include "log_race.h"
#include "stream_race.h"

int main(int argc, char **argv)
{
    long seeds = argc > 1 ? atol(argv[1]) : 20;
    for (long seed = 1; seed <= seeds; seed++) {
        log_race_run((uint64_t)seed);
        stream_race_run((uint64_t)seed);
    }
    printf("%ld seeds\n", seeds);
    return seeds > 0 ? 0 : 64;
}
