/* See rejoin.h. */
#include "rejoin.h"

#include "assert.h"

void rejoin_init(struct rejoin *rejoin, struct input_claim inputs)
{
    *rejoin = (struct rejoin){.output = OUTPUT_SERVES, .input = INPUT_SERVES, .inputs = inputs};
}

void rejoin_output_lost(struct rejoin *rejoin)
{
    rejoin->output = OUTPUT_LOST;
}

void rejoin_output_welcomed(struct rejoin *rejoin)
{
    ASSERT(rejoin->output == OUTPUT_LOST);
    rejoin->output = OUTPUT_WELCOMED;
}

void rejoin_output_go(struct rejoin *rejoin)
{
    ASSERT(rejoin->output == OUTPUT_RESUMES);
    rejoin->output = OUTPUT_SERVES;
}

void rejoin_input_lost(struct rejoin *rejoin)
{
    rejoin->input = INPUT_LOST;
}

struct input_claim rejoin_input_claim(const struct rejoin *rejoin, uint64_t incarnation)
{
    return incarnation == rejoin->inputs.of ? rejoin->inputs : (struct input_claim){0};
}

void rejoin_input_claimed(struct rejoin *rejoin, struct input_claim next)
{
    ASSERT(rejoin->input == INPUT_LOST);
    rejoin->input = next.of == rejoin->inputs.of ? INPUT_SERVES : INPUT_CLAIMED;
    rejoin->next = next;
}

bool rejoin_wants_snapshot(const struct rejoin *rejoin, bool empty)
{
    return rejoin->output == OUTPUT_WELCOMED ||
           (rejoin->output == OUTPUT_SERVES && rejoin->input == INPUT_CLAIMED && empty);
}

struct rejoin_barrier rejoin_at_barrier(struct rejoin *rejoin, bool empty)
{
    struct rejoin_barrier barrier = {0};

    ASSERT(rejoin_may_snapshot(rejoin));
    if (rejoin->output == OUTPUT_WELCOMED) {
        rejoin->output = OUTPUT_RESUMES;
        barrier.logs_restart = true;
    }
    if (rejoin->input == INPUT_CLAIMED && empty) {
        rejoin->input = INPUT_SERVES;
        rejoin->inputs = rejoin->next;
        barrier.inputs_discard = true;
    }
    return barrier;
}
