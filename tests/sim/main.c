/*
 * palisade-sim: thousands of seeded runs of the protocols against an oracle.
 * A violation prints its seed; the same seed repeats it: palisade-sim --first SEED --seeds 1.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/status.h"
#include "world.h"

static jmp_buf violated;
static uint64_t seed;
static struct oracle oracle;

void sim_violation(const char *format, ...)
{
    va_list arguments;

    printf("seed %lu: ", seed);
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    printf("\n");
    longjmp(violated, 1);
}

static void on_abort(int signal)
{
    char text[96];
    int length =
        snprintf(text, sizeof(text), "seed %lu: broken invariant (signal %d)\n", seed, signal);

    if (write(STDOUT_FILENO, text, (size_t)length) < 0)
        _exit(2);
    _exit(1);
}

static void print_totals(const struct totals *t)
{
    printf(
        "runs %lu; refused: before any base %lu, OL and master dead %lu, IL and master dead %lu\n"
        "takeovers %lu, most in a run %lu: cut off alive %lu, backup killed in replay %lu, epoch "
        "not persisted %lu\n"
        "other deaths: OL %lu, IL %lu, waiting backup %lu, link to the IL %lu, to the OL %lu; two "
        "at once %lu\n"
        "resumed %lu, moved on to a new IL %lu, fenced masters refused %lu, fresh masters "
        "refused %lu\n"
        "lost in flight: outputs %lu, inputs %lu\n"
        "events %lu, outputs released %lu, inputs %lu, effects %lu, snapshots committed %lu\n"
        "undone at cuts: events %lu, held outputs %lu; outputs sent again %lu; stale frames "
        "%lu\n"
        "network: resent %lu, dropped by links %lu, without credit %lu, partitions %lu\n"
        "hot standby: follows %lu, takes over %lu, pieces %lu, snapshots %lu, cut off from a "
        "logger "
        "%lu, behind %lu, master's snapshots overtaken %lu\n"
        "departures: planted %lu, noticed %lu, refused to take over %lu, no output told of it %lu; "
        "stood still %lu\n"
        "back-pressure: log full %lu, ring full %lu, input log full %lu; drain steps %lu\n",
        t->runs, t->unborn, t->refused_output, t->refused_input, t->takeovers, t->most_takeovers,
        t->cut_off, t->backups_killed, t->persist_failed, t->ol_deaths, t->il_deaths,
        t->backups_waiting_killed, t->il_cuts, t->ol_cuts, t->twice, t->resumes, t->input_barriers,
        t->fenced, t->strangers, t->lost_outputs, t->lost_inputs, t->events, t->outputs, t->inputs,
        t->effects, t->commits, t->undone_events, t->held_beyond, t->replayed_outputs,
        t->stale_frames, t->resent, t->dropped, t->no_credit, t->partitions, t->follows,
        t->hot_takeovers, t->pieces, t->standby_images, t->standby_cuts, t->behind, t->overtaken,
        t->planted, t->departures, t->refused_departed, t->unseen, t->stood_still, t->waits_log,
        t->waits_ring, t->il_full, t->drain_steps);
}

static uint64_t number_option(const char *name, const char *text)
{
    char *end;

    errno = 0;
    uint64_t number = text == NULL ? 0 : strtoull(text, &end, 10);
    if (text == NULL || errno != 0 || *end != '\0' || end == text) {
        fprintf(stderr, "palisade-sim: %s needs a number\n", name);
        exit(STATUS_USAGE);
    }
    return number;
}

int main(int argc, char **argv)
{
    static struct totals totals;
    uint64_t first = 1, seeds = 2000;
    bool verbose = false;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--seeds") == 0) {
            seeds = number_option("--seeds", argv[++i]);
        } else if (strcmp(argv[i], "--first") == 0) {
            first = number_option("--first", argv[++i]);
        } else if (strcmp(argv[i], "--verbose") == 0) {
            verbose = true;
        } else {
            fprintf(stderr, "usage: palisade-sim [--seeds N] [--first SEED] [--verbose]\n");
            return STATUS_USAGE;
        }
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGABRT, on_abort);
    signal(SIGSEGV, on_abort);
    if (setjmp(violated) != 0) {
        printf("repeat: palisade-sim --first %lu --seeds 1\n", seed);
        return 1;
    }
    for (seed = first; seed < first + seeds; seed++)
        world_run(seed, &oracle, &totals);
    if (verbose)
        print_totals(&totals);
    printf("%lu seeds from %lu: no violation\n", seeds, first);
    return 0;
}
