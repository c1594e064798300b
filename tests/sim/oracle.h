/*
 * The oracle: what really happened in the surviving execution, kept outside of everything that is
 * tested. For every event the true happened-before vector (not the VOR) and the hash of the
 * thread's state; for every output its bytes; for every input who consumed it.
 *
 * At a takeover the true maximal cut is computed from the vectors and compared with the one that
 * replay found (G3); what lies beyond it is forgotten. After it every earlier event is stable for
 * ever, so objects start with empty vectors again.
 */
#ifndef PALISADE_SIM_ORACLE_H
#define PALISADE_SIM_ORACLE_H

#include "core/types.h"

#define SIM_THREADS_MAX 4u
#define SIM_EVENTS_MAX 16384u /* of one thread in one run */
#define SIM_OUTPUTS_MAX 8192u
#define SIM_INPUTS_MAX 4096u /* of one run, over all input loggers */
#define SIM_LOGGERS_MAX 64u  /* input loggers, and output loggers, that follow one another */

struct causes {
    uint32_t at[SIM_THREADS_MAX];
};

static inline void causes_join(struct causes *causes, const struct causes *other)
{
    for (uint32_t t = 0; t < SIM_THREADS_MAX; t++)
        if (causes->at[t] < other->at[t])
            causes->at[t] = other->at[t];
}

struct event_truth {
    struct causes causes;
    uint64_t state; /* hash of the thread's state after the event's operation; 0: not known */
};

struct output_truth {
    uint64_t seed; /* of the packet's bytes */
    uint16_t port, length;
    position sent_at;
};

/* An input: ids are (incarnation, n), R16. Incarnations are 1, 2, ... here. */
struct input_name {
    uint64_t of;
    packet_id id;
};

struct consumption {
    uint32_t thread; /* + 1; 0 = not consumed */
    position at;
};

struct oracle {
    uint64_t effects[SIM_THREADS_MAX];                 /* performed, the highest */
    uint64_t effect[SIM_THREADS_MAX][SIM_OUTPUTS_MAX]; /* what was performed */
    uint32_t threads;
    struct event_truth event[SIM_THREADS_MAX][SIM_EVENTS_MAX];
    struct output_truth output[SIM_THREADS_MAX][SIM_OUTPUTS_MAX];
    position last[SIM_THREADS_MAX]; /* events known */
    uint64_t outputs[SIM_THREADS_MAX];
    uint64_t released[SIM_THREADS_MAX];
    uint64_t given[SIM_THREADS_MAX]; /* outputs put into a link to an OL, the highest */
    uint64_t lost_outputs;           /* in flight when an OL died */
    struct consumption consumed[SIM_INPUTS_MAX];
    uint32_t input_loggers;           /* so far */
    uint32_t first[SIM_LOGGERS_MAX];  /* place in `consumed` of the first input of each, less 1 */
    uint32_t inputs[SIM_LOGGERS_MAX]; /* numbered by each */
    bool ended[SIM_LOGGERS_MAX];      /* a barrier named its successor (R16) */
    position floor[SIM_THREADS_MAX];  /* last cut, or the base of a new OL: stable for ever */
};

/* Ends the run as a violation. */
__attribute__((noreturn, format(printf, 1, 2))) void sim_violation(const char *format, ...);

void oracle_reset(struct oracle *oracle, uint32_t threads);
void oracle_event(struct oracle *oracle, uint32_t thread, position at, const struct causes *causes);
/* The operation of the event `at` is complete. */
void oracle_state(struct oracle *oracle, uint32_t thread, position at, uint64_t state);
void oracle_output(struct oracle *oracle, uint32_t thread, uint64_t number, position at,
                   uint64_t seed, uint16_t port, uint16_t length);
void oracle_consume(struct oracle *oracle, uint32_t thread, position at, struct input_name input);

/* An input logger begins; it numbers its next input. */
void oracle_input_logger(struct oracle *oracle);
void oracle_accept(struct oracle *oracle, struct input_name input);
const struct consumption *oracle_consumption(const struct oracle *oracle, struct input_name input);
/* The barrier after which only inputs of others are taken (R16). */
void oracle_inputs_end(struct oracle *oracle, uint64_t of);
/* The output was put into the link: from now on it may leave, or be lost with the OL. */
void oracle_give(struct oracle *oracle, uint32_t thread, uint64_t number);
/* The master goes on with a new OL: what it gave to the dead one and was not released is lost, and
 * nothing else; `shipped` is what it says of that (R16). */
void oracle_resume(struct oracle *oracle, const uint64_t *shipped);

/* The output left: G1, G4, and the bytes of the surviving execution. */
void oracle_release(struct oracle *oracle, const struct positions *stable, uint32_t thread,
                    uint64_t number, uint16_t port, const uint8_t *bytes, uint16_t length);
/* An effect is performed: in order, at least once, never two different ones (R18). */
void oracle_perform(struct oracle *oracle, uint32_t thread, uint64_t number, uint64_t content);
/* Would all that happened before it survive the master now? `stable`: what would; NULL: nothing. */
void oracle_perform_stable(const struct oracle *oracle, uint32_t thread, uint64_t number,
                           const struct causes *causes, const struct positions *stable);
/* Replay reached `at`: same state, same outputs, same inputs (G2, G6). */
void oracle_replayed(const struct oracle *oracle, uint32_t thread, position at, uint64_t state);
void oracle_replayed_output(const struct oracle *oracle, uint32_t thread, uint64_t number,
                            uint64_t seed, uint16_t port, uint16_t length);
void oracle_replayed_input(const struct oracle *oracle, uint32_t thread, position at,
                           struct input_name input);
/* Replay of logs up to `end` came to rest at `cut`: closed, maximal, holds what was released (G3).
 * `given`: what the OL has of the outputs. */
void oracle_cut(struct oracle *oracle, const struct positions *end, const struct positions *cut,
                const uint64_t *outputs, const uint64_t *effects, const uint64_t *given);

void packet_fill(uint8_t *bytes, uint16_t length, uint64_t seed);

#endif
