/*
 * A living master whose logger died and came back (R16): what it may ship, take and snapshot until
 * it is protected again. Both sides may be in trouble at once; they do not depend on each other,
 * but that only a served output logger can hold the image that ends the input side's trouble.
 *
 * Output logger. Its logs and held outputs are gone. Outputs already given to it are in flight:
 * never given again, for they may have left. Outputs still here wait. Logs up to a barrier are of
 * use to nobody; the barrier's image is the new logger's base.
 *
 *   SERVES --lost--> LOST --welcome--> WELCOMED --barrier--> RESUMES --GO--> SERVES
 *                    logs are discarded .......              RESUME sent, nothing shipped
 *
 * Input logger. Ids of the dead one name packets nobody can offer again, so none of them may be
 * pending at the barrier that makes the base valid for the new one: they are consumed, or, when the
 * NF does not consume them, discarded there.
 *
 *   SERVES --lost--> LOST --claim answered--> CLAIMED --barrier, nothing pending--> SERVES
 *                    the queues empty ............
 *                         --the same logger answered--> SERVES
 *
 * A base made before that barrier names the dead logger (snapshot_mark.inputs_of): a takeover from
 * it is refused by the new one, loudly. One thread at a time.
 */
#ifndef PALISADE_CORE_REJOIN_H
#define PALISADE_CORE_REJOIN_H

#include "input_log.h"

enum output_side { OUTPUT_SERVES, OUTPUT_LOST, OUTPUT_WELCOMED, OUTPUT_RESUMES };
enum input_side { INPUT_SERVES, INPUT_LOST, INPUT_CLAIMED };

struct rejoin {
    enum output_side output;
    enum input_side input;
    struct input_claim inputs; /* the next input for the queues, and of whom */
    struct input_claim next;   /* INPUT_CLAIMED: the same after the barrier */
};

/* Served by both; `inputs` is what the input logger answered to the claim. */
void rejoin_init(struct rejoin *rejoin, struct input_claim inputs);

void rejoin_output_lost(struct rejoin *rejoin);
/* A new output logger said WELCOME. */
void rejoin_output_welcomed(struct rejoin *rejoin);
/* It answered RESUME. */
void rejoin_output_go(struct rejoin *rejoin);

void rejoin_input_lost(struct rejoin *rejoin);
/* What to claim of an input logger of this incarnation: the rest, when it is the one we had (the
 * connection alone broke), else all it has. */
struct input_claim rejoin_input_claim(const struct rejoin *rejoin, uint64_t incarnation);
/* It answered. */
void rejoin_input_claimed(struct rejoin *rejoin, struct input_claim next);

/* Logs and outputs may go into the link. */
static inline bool rejoin_ships(const struct rejoin *rejoin)
{
    return rejoin->output == OUTPUT_SERVES;
}

/* Logs are discarded as they come, or their rings would stop threads that the barrier needs. */
static inline bool rejoin_discards(const struct rejoin *rejoin)
{
    return rejoin->output == OUTPUT_LOST || rejoin->output == OUTPUT_WELCOMED;
}

/* Inputs that arrive may go into the queues. */
static inline bool rejoin_takes(const struct rejoin *rejoin)
{
    return rejoin->input == INPUT_SERVES;
}

/* May a barrier be raised at all? */
static inline bool rejoin_may_snapshot(const struct rejoin *rejoin)
{
    return rejoin->output == OUTPUT_SERVES || rejoin->output == OUTPUT_WELCOMED;
}

/* Is one due at once? `empty`: no input delivered is unconsumed, or we stopped waiting for that. */
bool rejoin_wants_snapshot(const struct rejoin *rejoin, bool empty);

struct rejoin_barrier {
    bool logs_restart;   /* all logs begin here: log_restart; the mark goes into RESUME */
    bool inputs_discard; /* what lies in the queues is dropped; `inputs` has moved on */
};
/* All threads stand at the barrier: what is to be done there, before the mark is made. */
struct rejoin_barrier rejoin_at_barrier(struct rejoin *rejoin, bool empty);

#endif
