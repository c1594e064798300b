/*
 * What the hooks do while replaying. Each operation is one step: it passes whole, or it waits for
 * another thread, or it stands at the end of the log (G3).
 */
#include <stdlib.h>
#include <string.h>

#include "core/assert.h"
#include "process.h"

void process_replay_begin(struct process *process, const struct snapshot_mark *base,
                          const struct toy_nf *image, struct input_claim inputs)
{
    struct replay *replay = calloc(1, sizeof(*replay));
    ASSERT(replay != NULL);
    process->mode = PROCESS_REPLAY;
    process->replay = replay;
    process->nf = *image;
    rejoin_init(&process->rejoin, inputs);
    replay->base = *base;
    replay->number = base->number;
    for (uint32_t t = 0; t < process->nf.threads; t++) {
        struct replay_thread *thread = &replay->thread[t];
        const struct thread_state *state = &process->nf.thread[t].state;

        if (state->position != positions_get(&base->positions, t))
            sim_violation("thread %u of a base stands at %lu, its mark says %lu", t,
                          state->position, positions_get(&base->positions, t));
        thread->ring = malloc(2 * STREAM_RING_BYTES);
        ASSERT(thread->ring != NULL);
        thread->to = thread->told = state->position;
        log_reader_open(&thread->reader, thread->ring, STREAM_RING_BYTES, thread->segments,
                        &state->codec, state->position);
    }
}

void process_replay_take_over(struct process *process, const struct takeover *takeover)
{
    struct replay *replay = process->replay;

    replay->takeover = *takeover;
    process->epoch = takeover->epoch;
    link_set_epoch(process->output.own, process->epoch, 0);
    link_set_epoch(process->input.own, process->epoch, 0);
    for (uint32_t t = 0; t < process->nf.threads; t++) {
        replay->held[t] = takeover->held[t];
        replay->effects[t] = takeover->effects[t];
    }
}

/* The log has come to inputs of a new IL, whose ids it takes for the dead one's: it is about to
 * notice that its IL is dead, or that it departs, and could never claim the dead one's inputs. */
static bool astray(const struct process *process)
{
    return process->oracle != NULL && process->oracle->ended[process->rejoin.inputs.of];
}

/* Is it what the oracle knows of? Not what was planted, nor a standby that nobody waits for. */
static bool compared(const struct process *process)
{
    return process->oracle != NULL && !process->departed && !astray(process);
}

static enum event replay_lock(struct process *process, uint32_t t, uint32_t object)
{
    struct toy_lock *lock = &process->nf.lock[object];

    if (lock->holder != 0)
        return EVENT_WAIT;
    enum event event = ev_order_replay(&process->nf.thread[t].state,
                                       &process->replay->thread[t].reader, &lock->order);
    if (event == EVENT_PASS) {
        lock->holder = t + 1;
        lock->recorded = true;
    }
    return event;
}

static struct positions passed_by_all(const struct process *process)
{
    struct positions passed = {.threads = process->nf.threads};

    for (uint32_t j = 0; j < passed.threads; j++)
        passed.at[j] = process->nf.thread[j].state.position;
    return passed;
}

/* A try whose lock is held may only fail: whether it does is tried on copies. */
static enum event replay_try(struct process *process, uint32_t t, uint32_t object, bool *failed)
{
    struct toy_lock *lock = &process->nf.lock[object];
    struct log_reader *reader = &process->replay->thread[t].reader;
    struct thread_state state = process->nf.thread[t].state;
    struct log_reader reader_copy = *reader;
    struct order order = lock->order;
    enum event event = ev_try_replay(&state, &reader_copy, &order, failed);

    if (event != EVENT_PASS)
        return ev_try_replay(&process->nf.thread[t].state, reader, &lock->order, failed);
    if (!*failed && lock->holder != 0)
        return EVENT_WAIT;
    event = ev_try_replay(&process->nf.thread[t].state, reader, &lock->order, failed);
    ASSERT(event == EVENT_PASS);
    if (!*failed) {
        lock->holder = t + 1;
        lock->recorded = true;
    }
    return event;
}

static enum event replay_rw(struct process *process, uint32_t t, const struct choice *choice)
{
    struct toy_rwlock *lock = &process->nf.rwlock[choice->object];
    struct toy_thread *thread = &process->nf.thread[t];
    struct log_reader *reader = &process->replay->thread[t].reader;
    bool writes = choice->operation == OPERATION_WRITE || choice->operation == OPERATION_TRY_WRITE;
    bool try = choice->operation == OPERATION_TRY_READ || choice->operation == OPERATION_TRY_WRITE;
    bool free = lock->writer == 0 && (!writes || lock->readers == 0);
    bool failed = false;
    struct positions passed = passed_by_all(process);
    uint64_t address = toy_rw_address(choice->object);
    enum event event = writes ? ev_write_replay(&thread->state, reader, &lock->order, address, free,
                                                &passed, try ? &failed : NULL)
                              : ev_read_replay(&thread->state, reader, &lock->order, address, free,
                                               try ? &failed : NULL);

    if (event != EVENT_PASS)
        return event;
    if (failed) {
        toy_absorb(thread, choice->operation, 0);
        return event;
    }
    lock->recorded = true;
    if (writes)
        lock->writer = t + 1;
    else
        lock->readers++;
    toy_rw_locked(&process->nf, t, choice->object, writes);
    return event;
}

static void replay_install(struct process *process, uint32_t object, struct word value,
                           struct version version)
{
    struct toy_slot *slot = &process->nf.slot[object % TOY_SLOTS];

    process->nf.word[object] = value;
    slot->version = version;
    slot->stamp += 2;
}

static enum event replay_store(struct process *process, uint32_t t, const struct choice *choice)
{
    struct thread_state *state = &process->nf.thread[t].state;
    struct log_reader *reader = &process->replay->thread[t].reader;
    uint32_t object = choice->object;
    struct order *order = &process->nf.slot[object % TOY_SLOTS].lock.order;
    struct word new = toy_update(choice, process->nf.word[object]);
    struct version version;
    enum event event =
        object == TOY_WIDE
            ? ev_wide_store_replay(state, reader, order, toy_address(object), new, &version)
            : ev_store_replay(state, reader, order, toy_address(object), new.low, &version);

    if (event == EVENT_PASS)
        replay_install(process, object, new, version);
    return event;
}

static enum event replay_rmw(struct process *process, uint32_t t, const struct choice *choice)
{
    struct toy_thread *thread = &process->nf.thread[t];
    uint32_t object = choice->object;
    struct positions passed = passed_by_all(process);
    struct word_rmw rmw = {.address = toy_address(object),
                           .wide = object == TOY_WIDE,
                           .memory = process->nf.word[object],
                           .update = toy_update,
                           .operation = choice};
    enum event event =
        ev_rmw_replay(&thread->state, &process->replay->thread[t].reader,
                      &process->nf.slot[object % TOY_SLOTS].lock.order, &passed, &rmw);

    if (event != EVENT_PASS)
        return event;
    if (rmw.stored)
        replay_install(process, object, rmw.new, rmw.version);
    toy_absorb(thread, choice->operation, rmw.old.low + 4 * rmw.old.high);
    return event;
}

static enum event replay_load(struct process *process, uint32_t t, const struct choice *choice)
{
    struct toy_thread *thread = &process->nf.thread[t];
    struct log_reader *reader = &process->replay->thread[t].reader;
    struct positions passed = passed_by_all(process);
    uint64_t address = toy_address(choice->object);
    struct word value = {0};
    enum event event;

    if (choice->operation == OPERATION_MIXED)
        event = ev_mixed_replay(&thread->state, reader, &passed, &value.low);
    else if (choice->object == TOY_WIDE)
        event = ev_wide_load_replay(&thread->state, reader, address, &passed, &value);
    else
        event = ev_load_replay(&thread->state, reader, address, &passed, &value.low);
    if (event == EVENT_PASS)
        toy_absorb(thread, choice->operation, value.low + 4 * value.high);
    return event;
}

/* The inputs' bytes may arrive later than the log that names them. */
static bool inputs_arrived(const struct process *process, const struct replay_thread *replay)
{
    for (uint32_t i = 0; i < replay->range_count; i++)
        if (replay->ranges[i].first + replay->ranges[i].count > process->rejoin.inputs.from)
            return false;
    return true;
}

static enum event replay_receive(struct process *process, uint32_t t)
{
    struct toy_thread *thread = &process->nf.thread[t];
    struct replay_thread *replay = &process->replay->thread[t];
    uint64_t inputs = 0;

    if (replay->range_count == 0) {
        enum event event = ev_receive_replay(&thread->state, &replay->reader, t, replay->ranges,
                                             &replay->range_count);
        if (event != EVENT_PASS)
            return event;
    }
    if (!inputs_arrived(process, replay))
        return EVENT_WAIT;
    for (uint32_t i = 0; i < replay->range_count; i++)
        inputs += replay->ranges[i].count;
    toy_absorb(thread, OPERATION_RECEIVE, inputs);
    for (uint32_t i = 0; i < replay->range_count; i++) {
        for (uint32_t n = 0; n < replay->ranges[i].count; n++) {
            struct input_name input = {process->rejoin.inputs.of, replay->ranges[i].first + n};
            if (compared(process))
                oracle_replayed_input(process->oracle, t, thread->state.position, input);
            toy_consume_input(&process->nf, input.id);
            toy_absorb(thread, OPERATION_RECEIVE, input_seed(input));
        }
    }
    replay->range_count = 0;
    return EVENT_PASS;
}

/* What departs from the log must be found at the output, whatever is different (G6). */
static void plant_departures(const struct toy_thread *thread, const struct log_reader *reader,
                             uint32_t packets, uint32_t sent)
{
    for (uint32_t planted = 0; planted < 3; planted++) {
        struct thread_state state = thread->state;
        struct log_reader ahead = *reader;
        uint64_t first;
        state.path ^= planted == 0;
        state.site ^= planted == 1;
        if (ev_out_replay(&state, &ahead, packets, sent ^ (planted == 2), &first) == EVENT_PASS)
            sim_violation("G6: a departure of kind %u is not found", planted);
    }
}

/* Every output is kept until the OL has it (R14); it may be sent again all the same (G4). */
static enum event replay_send(struct process *process, uint32_t t, const struct choice *choice)
{
    struct toy_thread *thread = &process->nf.thread[t];
    struct output_ring *ring = &process->ring[t];
    uint32_t packets = toy_packet_count(choice);
    uint32_t sent = toy_sent(&process->nf, thread, packets);
    struct log_reader *reader = &process->replay->thread[t].reader;
    uint64_t first;
    if (random_percent(process->random, 5) && !process->departed)
        plant_departures(thread, reader, packets, sent);
    enum event event = ev_out_replay(&thread->state, reader, packets, sent, &first);

    if (event != EVENT_PASS)
        return event;
    for (uint32_t i = 0; i < packets; i++) {
        struct held_output item = {.number = first + i};
        item.seed = toy_packet(&process->nf, thread, i, &item.port, &item.length);
        if (compared(process))
            oracle_replayed_output(process->oracle, t, item.number, item.seed, item.port,
                                   item.length);
        bool again = process->replay->takeover.epoch != 0 && random_percent(process->random, 50);
        if (item.number <= process->replay->held[t] && !again)
            continue;
        ASSERT(ring->tail - ring->head < SIM_RING_MAX);
        ring->item[ring->tail++ % SIM_RING_MAX] = item;
    }
    toy_absorb(thread, OPERATION_SEND, first);
    return event;
}

static enum event replay_value(struct process *process, uint32_t t, const struct choice *choice)
{
    struct toy_thread *thread = &process->nf.thread[t];
    struct log_reader *reader = &process->replay->thread[t].reader;
    int64_t number = 0;
    uint8_t bytes[RECORD_VALUE_MAX_BYTES];
    uint32_t length = toy_bytes_length(&process->nf, choice), what = 0;
    enum event event;

    switch (choice->operation) {
    case OPERATION_CLOCK:
        event = ev_clock_replay(&thread->state, reader, choice->salt % 3, &number);
        break;
    case OPERATION_NUMBER:
        event = ev_signal_replay(&thread->state, reader, &what, &number);
        if (event == EVENT_PASS)
            number = number == -(int64_t)what ? (int64_t)what : INT64_MIN;
        if (event == EVENT_WAIT)
            event = ev_number_replay(&thread->state, reader, 0, &number);
        break;
    default:
        event = ev_bytes_replay(&thread->state, reader, bytes, length);
        if (event == EVENT_PASS)
            number = (int64_t)toy_digest(bytes, length);
        break;
    }
    if (event == EVENT_PASS)
        toy_absorb(thread, choice->operation, (uint64_t)number);
    return event;
}

static enum event replay_condition(struct process *process, uint32_t t, enum operation operation)
{
    enum event event = replay_lock(process, t, TOY_LOCKS - 1);

    if (event != EVENT_PASS)
        return event;
    if (operation == OPERATION_PRODUCE)
        toy_produced(&process->nf);
    else
        toy_consumed(&process->nf, t);
    process->nf.lock[TOY_LOCKS - 1].holder = 0;
    return event;
}

static enum event replay_effect(struct process *process, uint32_t t)
{
    struct toy_thread *thread = &process->nf.thread[t];
    int64_t failed;
    enum event event = ev_effect_replay(&thread->state, &process->replay->thread[t].reader,
                                        (uint32_t)thread->hash, &failed);

    if (event != EVENT_PASS)
        return event;
    thread->state.effects++;
    if (thread->state.effects <= process->replay->effects[t])
        return event; /* performed and acknowledged (R18) */
    ASSERT(process->effects_tail - process->effects_head < SIM_EFFECTS_MAX);
    process->effects[process->effects_tail++ % SIM_EFFECTS_MAX] =
        (struct effect){.thread = t, .number = thread->state.effects, .content = thread->hash};
    return event;
}

static enum event replay_operation(struct process *process, uint32_t t, const struct choice *choice)
{
    bool failed;
    enum event event;

    switch (choice->operation) {
    case OPERATION_RECEIVE:
        return replay_receive(process, t);
    case OPERATION_LOCK:
        event = replay_lock(process, t, choice->object);
        if (event == EVENT_PASS)
            toy_locked(&process->nf, t, choice->object);
        return event;
    case OPERATION_TRY:
        event = replay_try(process, t, choice->object, &failed);
        if (event == EVENT_PASS && failed)
            toy_absorb(&process->nf.thread[t], OPERATION_TRY, 0);
        else if (event == EVENT_PASS)
            toy_locked(&process->nf, t, choice->object);
        return event;
    case OPERATION_READ:
    case OPERATION_WRITE:
    case OPERATION_TRY_READ:
    case OPERATION_TRY_WRITE:
        return replay_rw(process, t, choice);
    case OPERATION_LOAD:
    case OPERATION_MIXED:
        return replay_load(process, t, choice);
    case OPERATION_STORE:
        return replay_store(process, t, choice);
    case OPERATION_CHANGE:
    case OPERATION_EXCHANGE:
    case OPERATION_COMPARE:
        return replay_rmw(process, t, choice);
    case OPERATION_CLOCK:
    case OPERATION_NUMBER:
    case OPERATION_BYTES:
        return replay_value(process, t, choice);
    case OPERATION_PRODUCE:
    case OPERATION_CONSUME:
    case OPERATION_CONSUME_WAIT:
        return replay_condition(process, t, choice->operation);
    case OPERATION_EFFECT:
        return replay_effect(process, t);
    case OPERATION_SEND:
        return replay_send(process, t, choice);
    case OPERATION_RW_UNLOCK:
        toy_rw_unlock(&process->nf, t);
        return EVENT_PASS;
    case OPERATION_UNLOCK:
        process->nf.lock[choice->object].holder = 0;
        process->nf.thread[t].held &= ~(1u << choice->object);
        return EVENT_PASS;
    default:
        ASSERT(false);
        return EVENT_DIVERGED;
    }
}

enum event process_replay_step(struct process *process, uint32_t t)
{
    struct toy_thread *thread = &process->nf.thread[t];
    struct choice choice = toy_choose(&process->nf, t);
    thread->state.site = toy_site(&choice);
    enum event event = replay_operation(process, t, &choice);

    if (event == EVENT_DIVERGED &&
        (process->departed || process->oracle == NULL || astray(process)))
        process->noticed = true;
    else if (event == EVENT_DIVERGED)
        sim_violation("G6: thread %u diverged at %lu: %s", t, thread->state.position + 1,
                      process->replay->thread[t].reader.why);
    if (event == EVENT_PASS) {
        thread->operations++;
        if (compared(process))
            oracle_replayed(process->oracle, t, thread->state.position, thread->hash);
    }
    return event;
}

/* Of each thread to the end, or more than it can use up: then others hold it back. */
static bool log_is_there(const struct process *process)
{
    for (uint32_t t = 0; t < process->nf.threads; t++) {
        position to = process->replay->thread[t].to;
        if (to < positions_get(&process->replay->takeover.end, t) &&
            process->nf.thread[t].state.position >= to)
            return false;
    }
    return true;
}

bool process_replay_at_rest(struct process *process)
{
    for (uint32_t t = 0; t < process->nf.threads; t++) {
        if (process_replay_step(process, t) == EVENT_PASS)
            return false;
        if (process->replay->thread[t].range_count > 0)
            return false; /* the receive happened, its inputs are still under way */
    }
    return log_is_there(process);
}
