#include "oracle.h"

#include <string.h>

#include "core/assert.h"
#include "random.h"

void oracle_reset(struct oracle *oracle, uint32_t threads)
{
    for (uint32_t t = 0; t < SIM_THREADS_MAX; t++) {
        memset(oracle->event[t], 0, (oracle->last[t] + 1) * sizeof(oracle->event[t][0]));
        oracle->last[t] = 0;
        oracle->outputs[t] = oracle->released[t] = oracle->effects[t] = 0;
        oracle->floor[t] = oracle->given[t] = 0;
    }
    memset(oracle->consumed, 0, sizeof(oracle->consumed));
    memset(oracle->inputs, 0, sizeof(oracle->inputs));
    memset(oracle->ended, 0, sizeof(oracle->ended));
    oracle->input_loggers = 0;
    oracle->lost_outputs = 0;
    oracle->threads = threads;
}

void oracle_event(struct oracle *oracle, uint32_t thread, position at, const struct causes *causes)
{
    ASSERT(at < SIM_EVENTS_MAX);
    if (at != oracle->last[thread] + 1)
        sim_violation("thread %u recorded event %lu after %lu", thread, at, oracle->last[thread]);
    oracle->last[thread] = at;
    oracle->event[thread][at] = (struct event_truth){.causes = *causes};
}

void oracle_state(struct oracle *oracle, uint32_t thread, position at, uint64_t state)
{
    ASSERT(at <= oracle->last[thread]);
    oracle->event[thread][at].state = state;
}

void oracle_output(struct oracle *oracle, uint32_t thread, uint64_t number, position at,
                   uint64_t seed, uint16_t port, uint16_t length)
{
    ASSERT(number < SIM_OUTPUTS_MAX);
    if (number != oracle->outputs[thread] + 1)
        sim_violation("G4: thread %u numbered output %lu after %lu", thread, number,
                      oracle->outputs[thread]);
    oracle->outputs[thread] = number;
    oracle->output[thread][number] =
        (struct output_truth){.seed = seed, .port = port, .length = length, .sent_at = at};
}

void oracle_input_logger(struct oracle *oracle)
{
    uint32_t of = ++oracle->input_loggers;

    ASSERT(of < SIM_LOGGERS_MAX);
    oracle->first[of] = of == 1 ? 0 : oracle->first[of - 1] + oracle->inputs[of - 1];
}

void oracle_accept(struct oracle *oracle, struct input_name input)
{
    if (input.id != oracle->inputs[input.of] + 1)
        sim_violation("R16: the IL numbered %lu after %u", input.id, oracle->inputs[input.of]);
    oracle->inputs[input.of]++;
    ASSERT(oracle->first[input.of] + input.id < SIM_INPUTS_MAX);
}

const struct consumption *oracle_consumption(const struct oracle *oracle, struct input_name input)
{
    if (input.of == 0 || input.of > oracle->input_loggers || input.id == 0 ||
        input.id > oracle->inputs[input.of])
        sim_violation("R16: input %lu of %lu never entered", input.id, input.of);
    return &oracle->consumed[oracle->first[input.of] + input.id];
}

void oracle_consume(struct oracle *oracle, uint32_t thread, position at, struct input_name input)
{
    struct consumption *consumed = (struct consumption *)oracle_consumption(oracle, input);

    if (oracle->ended[input.of])
        sim_violation("R16: input %lu of the dead IL %lu consumed after the barrier", input.id,
                      input.of);
    if (consumed->thread != 0)
        sim_violation("input %lu consumed twice: by thread %u at %lu and by thread %u at %lu",
                      input.id, consumed->thread - 1, consumed->at, thread, at);
    *consumed = (struct consumption){.thread = thread + 1, .at = at};
}

void oracle_inputs_end(struct oracle *oracle, uint64_t of)
{
    if (of == oracle->input_loggers)
        sim_violation("R16: inputs of the living IL %lu are given up", of);
    oracle->ended[of] = true;
}

void oracle_give(struct oracle *oracle, uint32_t thread, uint64_t number)
{
    if (oracle->given[thread] < number)
        oracle->given[thread] = number;
}

void oracle_resume(struct oracle *oracle, const uint64_t *shipped)
{
    for (uint32_t t = 0; t < oracle->threads; t++) {
        if (shipped[t] != oracle->given[t])
            sim_violation("R16: thread %u gave outputs up to %lu to the dead OL, its master "
                          "says %lu",
                          t, oracle->given[t], shipped[t]);
        ASSERT(oracle->released[t] <= oracle->given[t]);
        oracle->lost_outputs += oracle->given[t] - oracle->released[t];
        oracle->released[t] = oracle->given[t];
    }
}

void packet_fill(uint8_t *bytes, uint16_t length, uint64_t seed)
{
    for (uint16_t i = 0; i < length; i += 8) {
        uint64_t word = hash2(seed, i);
        memcpy(bytes + i, &word, length - i < 8 ? (size_t)(length - i) : 8);
    }
}

void oracle_release(struct oracle *oracle, const struct positions *stable, uint32_t thread,
                    uint64_t number, uint16_t port, const uint8_t *bytes, uint16_t length)
{
    uint8_t expected[PACKET_MAX_BYTES];

    if (thread >= oracle->threads || number != oracle->released[thread] + 1)
        sim_violation("G4: thread %u released output %lu after %lu", thread, number,
                      oracle->released[thread]);
    if (number > oracle->outputs[thread])
        sim_violation("G1: released output %lu of thread %u is not of the surviving execution",
                      number, thread);
    oracle->released[thread] = number;
    const struct output_truth *output = &oracle->output[thread][number];
    packet_fill(expected, output->length, output->seed);
    if (port != output->port || length != output->length || memcmp(bytes, expected, length) != 0)
        sim_violation("released output %lu of thread %u differs from the surviving execution's",
                      number, thread);
    const struct causes *causes = &oracle->event[thread][output->sent_at].causes;
    for (uint32_t t = 0; t < oracle->threads; t++)
        if (causes->at[t] > positions_get(stable, t) && causes->at[t] > oracle->floor[t])
            sim_violation("G1: output %lu of thread %u released before event %u of thread %u "
                          "was stable (%lu)",
                          number, thread, causes->at[t], t, positions_get(stable, t));
}

void oracle_perform(struct oracle *oracle, uint32_t thread, uint64_t number, uint64_t content)
{
    ASSERT(number < SIM_OUTPUTS_MAX);
    if (number > oracle->effects[thread] + 1)
        sim_violation("R18: thread %u performed effect %lu after %lu", thread, number,
                      oracle->effects[thread]);
    if (number <= oracle->effects[thread] && oracle->effect[thread][number] != content)
        sim_violation("R18: thread %u performed two different effects %lu", thread, number);
    oracle->effect[thread][number] = content;
    if (number > oracle->effects[thread])
        oracle->effects[thread] = number;
}

void oracle_perform_stable(const struct oracle *oracle, uint32_t thread, uint64_t number,
                           const struct causes *causes, const struct positions *stable)
{
    if (stable == NULL)
        sim_violation("R18: effect %lu of thread %u performed while nobody could take over", number,
                      thread);
    for (uint32_t t = 0; t < oracle->threads; t++)
        if (causes->at[t] > positions_get(stable, t) && causes->at[t] > oracle->floor[t])
            sim_violation("R18: effect %lu of thread %u performed before event %u of thread %u "
                          "was stable (%lu)",
                          number, thread, causes->at[t], t, positions_get(stable, t));
}

void oracle_replayed(const struct oracle *oracle, uint32_t thread, position at, uint64_t state)
{
    if (at > oracle->last[thread])
        sim_violation("thread %u replayed event %lu that never happened", thread, at);
    uint64_t truth = oracle->event[thread][at].state;
    if (truth != 0 && truth != state)
        sim_violation("G2: thread %u diverged at or before event %lu", thread, at);
}

void oracle_replayed_output(const struct oracle *oracle, uint32_t thread, uint64_t number,
                            uint64_t seed, uint16_t port, uint16_t length)
{
    const struct output_truth *output = &oracle->output[thread][number];

    if (number == 0 || number > oracle->outputs[thread] || output->seed != seed ||
        output->port != port || output->length != length)
        sim_violation("G2: thread %u replayed another output %lu", thread, number);
}

void oracle_replayed_input(const struct oracle *oracle, uint32_t thread, position at,
                           struct input_name input)
{
    const struct consumption *consumed = oracle_consumption(oracle, input);
    if (consumed->thread != thread + 1 || consumed->at != at)
        sim_violation("G2: thread %u replayed another input %lu of %lu at %lu", thread, input.id,
                      input.of, at);
}

/* The largest causally closed prefix of what is stable, by the true vectors. */
static void true_cut(const struct oracle *oracle, const struct positions *end, position *cut)
{
    bool changed = true;

    for (uint32_t t = 0; t < oracle->threads; t++)
        cut[t] = positions_get(end, t);
    while (changed) {
        changed = false;
        for (uint32_t t = 0; t < oracle->threads; t++) {
            while (cut[t] > oracle->floor[t]) {
                const struct causes *causes = &oracle->event[t][cut[t]].causes;
                bool closed = true;
                for (uint32_t j = 0; j < oracle->threads; j++)
                    closed &= causes->at[j] <= cut[j];
                if (closed)
                    break;
                cut[t]--;
                changed = true;
            }
        }
    }
}

static void forget_beyond(struct oracle *oracle, const position *cut, const uint64_t *outputs)
{
    for (uint32_t t = 0; t < oracle->threads; t++) {
        oracle->last[t] = cut[t];
        oracle->floor[t] = cut[t];
        oracle->outputs[t] = outputs[t];
    }
    for (uint32_t of = 1; of <= oracle->input_loggers; of++) {
        for (packet_id id = 1; id <= oracle->inputs[of]; id++) {
            struct consumption *consumed = &oracle->consumed[oracle->first[of] + id];
            if (consumed->thread == 0 || consumed->at <= cut[consumed->thread - 1])
                continue;
            if (oracle->ended[of])
                sim_violation("R16: input %lu of the dead IL %u was consumed before the barrier "
                              "and lies beyond the cut",
                              id, of);
            *consumed = (struct consumption){0};
        }
    }
}

void oracle_cut(struct oracle *oracle, const struct positions *end, const struct positions *cut,
                const uint64_t *outputs, const uint64_t *effects, const uint64_t *given)
{
    position truth[SIM_THREADS_MAX];

    true_cut(oracle, end, truth);
    for (uint32_t t = 0; t < oracle->threads; t++) {
        position at = positions_get(cut, t);
        if (at < oracle->floor[t])
            sim_violation("G3: thread %u rolled back to %lu behind the last cut %lu", t, at,
                          oracle->floor[t]);
        if (at > truth[t])
            sim_violation("G3: cut not closed: thread %u at %lu, closed is %lu", t, at, truth[t]);
        if (at < truth[t])
            sim_violation("G3: cut not maximal: thread %u at %lu, possible is %lu (end %lu)", t, at,
                          truth[t], positions_get(end, t));
        if (oracle->released[t] > outputs[t])
            sim_violation("G3: released output %lu of thread %u is outside the cut (%lu)",
                          oracle->released[t], t, outputs[t]);
        if (oracle->effects[t] > effects[t])
            sim_violation("G3: performed effect %lu of thread %u is outside the cut (%lu)",
                          oracle->effects[t], t, effects[t]);
    }
    forget_beyond(oracle, truth, outputs);
    for (uint32_t t = 0; t < oracle->threads; t++)
        oracle->given[t] = given[t] < outputs[t] ? given[t] : outputs[t];
}
