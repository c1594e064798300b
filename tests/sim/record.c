/*
 * What the hooks do while recording, one step at a time: every point where another thread may
 * come in between is the end of a step (R1: native act, record and publish, effect, release).
 */
#include "core/assert.h"
#include "process.h"

static struct toy_thread *toy_thread(struct process *process, uint32_t t)
{
    return &process->nf.thread[t];
}

/* The event was recorded: tell the oracle what it depends on. */
static void happened(struct process *process, uint32_t t)
{
    position at = toy_thread(process, t)->state.position;

    process->truth.thread[t].at[t] = (uint32_t)at;
    if (process->oracle != NULL)
        oracle_event(process->oracle, t, at, &process->truth.thread[t]);
}

static void depends_on(struct process *process, uint32_t t, const struct causes *causes)
{
    causes_join(&process->truth.thread[t], causes);
}

static bool finish(struct process *process, uint32_t t)
{
    struct toy_thread *thread = toy_thread(process, t);

    thread->operations++;
    process->step[t] = (struct step){0};
    if (process->oracle != NULL && thread->state.position > 0)
        oracle_state(process->oracle, t, thread->state.position, thread->hash);
    return true;
}

static bool lock_take(struct process *process, uint32_t t, struct toy_lock *lock)
{
    if (lock->holder != 0)
        return false;
    lock->holder = t + 1;
    lock->recorded = false;
    process->step[t].phase = 1;
    return true;
}

static void lock_record(struct process *process, uint32_t t, uint32_t object)
{
    struct toy_lock *lock = &process->nf.lock[object];

    depends_on(process, t, &process->truth.lock[object]);
    struct thread_state *state = &toy_thread(process, t)->state;
    ev_order_record(state, &process->log[t], &lock->order);
    lock->recorded = true;
    happened(process, t);
    process->truth.acquired[object] = process->truth.thread[t];
    process->step[t].phase = 2;
}

static void lock_release(struct process *process, uint32_t t, uint32_t object)
{
    process->truth.lock[object] = process->truth.thread[t];
    process->nf.lock[object].holder = 0;
}

static bool step_lock(struct process *process, uint32_t t, uint32_t object)
{
    struct toy_lock *lock = &process->nf.lock[object];

    switch (process->step[t].phase) {
    case 0:
        return lock_take(process, t, lock);
    case 1:
        lock_record(process, t, object);
        return true;
    default:
        toy_locked(&process->nf, t, object);
        if (object == 0)
            process->truth.mixed = process->truth.thread[t];
        return finish(process, t);
    }
}

static bool step_try(struct process *process, uint32_t t, uint32_t object)
{
    struct toy_lock *lock = &process->nf.lock[object];
    struct step *step = &process->step[t];

    if (step->phase == 0 && lock->holder != 0) {
        if (!lock->recorded)
            return false; /* the hook spins until the holder's sequence is known (R4) */
        step->sequence = lock->order.sequence;
        step->causes = process->truth.acquired[object];
        step->phase = 3;
        return true;
    }
    if (step->phase == 3) {
        depends_on(process, t, &step->causes);
        ev_fail_record(&toy_thread(process, t)->state, &process->log[t], step->sequence);
        happened(process, t);
        toy_absorb(toy_thread(process, t), OPERATION_TRY, 0);
        return finish(process, t);
    }
    return step_lock(process, t, object);
}

/* Native lock, record, effect; a failed try looks at a moment at which it is held (R4). */
static bool step_rw(struct process *process, uint32_t t, const struct choice *choice)
{
    struct toy_rwlock *lock = &process->nf.rwlock[choice->object];
    struct toy_thread *thread = toy_thread(process, t);
    struct step *step = &process->step[t];
    bool writes = choice->operation == OPERATION_WRITE || choice->operation == OPERATION_TRY_WRITE;
    bool try = choice->operation == OPERATION_TRY_READ || choice->operation == OPERATION_TRY_WRITE;
    uint64_t address = toy_rw_address(choice->object);

    switch (step->phase) {
    case 0:
        if (lock->writer == 0 && (!writes || lock->readers == 0)) {
            if (writes) {
                lock->writer = t + 1;
                lock->recorded = false;
            } else {
                lock->readers++;
            }
            step->phase = 1;
            return true;
        }
        if (!try)
            return false;
        step->sequence = lock->order.sequence;
        step->phase = lock->writer != 0 ? 3 : 4;
        if (lock->writer != 0 && !lock->recorded)
            step->phase = 0; /* the hook spins */
        if (lock->writer == 0 && lock->order.reads == lock->order.reads_done)
            step->phase = 0;
        step->causes = process->truth.rw_acquired[choice->object];
        return step->phase != 0;
    case 1:
        depends_on(process, t, &process->truth.written[choice->object]);
        if (writes) {
            depends_on(process, t, &process->truth.read[choice->object]);
            ev_write_record(&thread->state, &process->log[t], &lock->order, address);
            lock->recorded = true;
        } else {
            ev_read_record(&thread->state, &process->log[t], &lock->order, address);
        }
        happened(process, t);
        if (writes)
            process->truth.rw_acquired[choice->object] = process->truth.thread[t];
        step->phase = 2;
        return true;
    case 2:
        toy_rw_locked(&process->nf, t, choice->object, writes);
        return finish(process, t);
    case 3:
        depends_on(process, t, &step->causes);
        ev_fail_record(&thread->state, &process->log[t], step->sequence);
        break;
    default: /* some reader: it depends on everybody */
        for (uint32_t j = 0; j < process->nf.threads; j++)
            depends_on(process, t, &process->truth.thread[j]);
        ev_fail_readers_record(&thread->state, &process->log[t], step->sequence, process->logs,
                               process->nf.threads);
    }
    happened(process, t);
    toy_absorb(thread, choice->operation, 0);
    return finish(process, t);
}

static void rw_release(struct process *process, uint32_t t)
{
    const struct toy_thread *thread = toy_thread(process, t);

    if (thread->writes) {
        process->truth.written[thread->rw - 1] = process->truth.thread[t];
        process->truth.read[thread->rw - 1] = (struct causes){0};
    } else {
        causes_join(&process->truth.read[thread->rw - 1], &process->truth.thread[t]);
    }
    toy_rw_unlock(&process->nf, t);
}

/* As the hook does: the short way when the seqlock did not move since this thread looked last. */
static void load_record(struct process *process, uint32_t t, uint32_t index)
{
    struct thread_state *state = &toy_thread(process, t)->state;
    const struct step *step = &process->step[t];
    struct log *log = &process->log[t];
    uint64_t address = toy_address(index);

    if (index == TOY_WIDE) {
        ev_wide_load_record(state, log, address, step->word, step->version);
        return;
    }
    if (step->stamp != 0 && ev_load_stamped(state, log, address, step->stamp, step->word.low))
        return;
    ev_load_record(state, log, address, step->word.low, step->version);
    if (step->stamp != 0)
        ev_load_stamp(state, address, step->stamp);
}

/* Value and version as a pair (R5). False: somebody stores. */
static bool load_look(struct process *process, uint32_t t, uint32_t word)
{
    struct step *step = &process->step[t];
    const struct toy_slot *slot = &process->nf.slot[word % TOY_SLOTS];

    if (slot->stamp & 1)
        return false;
    step->word = process->nf.word[word];
    step->version = slot->version;
    step->stamp = slot->stamp;
    step->causes = process->truth.slot[word % TOY_SLOTS];
    return true;
}

static bool load_finish(struct process *process, uint32_t t, const struct choice *choice)
{
    struct toy_thread *thread = toy_thread(process, t);
    struct word value = process->step[t].word;

    depends_on(process, t, &process->step[t].causes);
    load_record(process, t, choice->object);
    happened(process, t);
    toy_absorb(thread, choice->operation, value.low + 4 * value.high);
    return finish(process, t);
}

static bool step_load(struct process *process, uint32_t t, const struct choice *choice)
{
    if (process->step[t].phase == 1)
        return load_finish(process, t, choice);
    if (!load_look(process, t, choice->object))
        return false;
    process->step[t].phase = 1;
    return true;
}

/* The positions are read after the value: they cover the store that made it (R10). */
static bool step_mixed(struct process *process, uint32_t t)
{
    struct step *step = &process->step[t];
    struct log *logs[SIM_THREADS_MAX];
    struct positions needed;

    if (step->phase == 0) {
        step->word.low = process->nf.mixed;
        step->causes = process->truth.mixed;
        step->phase = 1;
        return true;
    }
    for (uint32_t j = 0; j < process->nf.threads; j++)
        logs[j] = &process->log[j];
    struct thread_state *state = &toy_thread(process, t)->state;
    ev_mixed_record(state, &process->log[t], step->word.low, logs, process->nf.threads, &needed);
    depends_on(process, t, &step->causes);
    for (uint32_t j = 0; j < needed.threads; j++) /* it waits for all of them in replay, too */
        if (process->truth.thread[t].at[j] < needed.at[j])
            process->truth.thread[t].at[j] = (uint32_t)needed.at[j];
    happened(process, t);
    toy_absorb(toy_thread(process, t), OPERATION_MIXED, step->word.low);
    return finish(process, t);
}

static void slot_release(struct process *process, const struct choice *choice, bool stored)
{
    struct toy_slot *slot = &process->nf.slot[choice->object % TOY_SLOTS];

    slot->stamp += stored ? 1 : -1;
    slot->lock.holder = 0;
}

/* Under the assigned lock: a store, or an RMW that found the word changed and changes nothing. */
static bool store_record(struct process *process, uint32_t t, const struct choice *choice)
{
    uint32_t word = choice->object;
    struct toy_slot *slot = &process->nf.slot[word % TOY_SLOTS];
    struct step *step = &process->step[t];
    struct toy_thread *thread = toy_thread(process, t);
    struct word old = process->nf.word[word], new = toy_update(choice, old);

    if (choice->operation != OPERATION_STORE && word_same(old, new)) {
        step->word = old;
        step->version = slot->version;
        step->stamp = 0;
        step->causes = process->truth.slot[word % TOY_SLOTS];
        slot_release(process, choice, false);
        return load_finish(process, t, choice);
    }
    depends_on(process, t, &process->truth.slot[word % TOY_SLOTS]);
    if (word == TOY_WIDE)
        step->version = ev_wide_store_record(&thread->state, &process->log[t], &slot->lock.order,
                                             toy_address(word), new);
    else
        step->version = ev_store_record(&thread->state, &process->log[t], &slot->lock.order,
                                        toy_address(word), new.low);
    happened(process, t);
    step->word = old;
    step->phase = 3;
    return true;
}

/* Store or RMW; one that would change nothing looks without the lock. */
static bool step_store(struct process *process, uint32_t t, const struct choice *choice)
{
    uint32_t word = choice->object;
    struct toy_slot *slot = &process->nf.slot[word % TOY_SLOTS];
    struct step *step = &process->step[t];
    struct toy_thread *thread = toy_thread(process, t);

    switch (step->phase) {
    case 0:
        if (!load_look(process, t, word))
            return false;
        bool idle = choice->operation != OPERATION_STORE &&
                    word_same(step->word, toy_update(choice, step->word));
        step->phase = idle ? 5 : 1;
        return true;
    case 1:
        if (slot->lock.holder != 0)
            return false;
        slot->lock.holder = t + 1;
        slot->stamp++;
        step->phase = 2;
        return true;
    case 2:
        return store_record(process, t, choice);
    case 3:
        process->nf.word[word] = toy_update(choice, process->nf.word[word]);
        slot->version = step->version;
        process->truth.slot[word % TOY_SLOTS] = process->truth.thread[t];
        step->phase = 4;
        return true;
    case 4:
        slot_release(process, choice, true);
        if (choice->operation != OPERATION_STORE)
            toy_absorb(thread, choice->operation, step->word.low + 4 * step->word.high);
        return finish(process, t);
    default:
        return load_finish(process, t, choice);
    }
}

static bool step_condition(struct process *process, uint32_t t, enum operation operation)
{
    struct toy_nf *nf = &process->nf;
    uint32_t object = TOY_LOCKS - 1;

    switch (process->step[t].phase) {
    case 0:
        if (operation == OPERATION_CONSUME_WAIT && !(nf->woken >> t & 1))
            return false;
        return lock_take(process, t, &nf->lock[object]);
    case 1:
        lock_record(process, t, object);
        return true;
    case 2:
        if (operation == OPERATION_PRODUCE)
            toy_produced(nf);
        else
            toy_consumed(nf, t);
        process->step[t].phase = 3;
        return true;
    default:
        lock_release(process, t, object);
        return finish(process, t);
    }
}

/* Takes up to `want` inputs from the queue, not always the oldest: threads have queues of their
 * own. */
static void take_inputs(struct process *process, struct step *step, uint32_t want)
{
    while (step->input_count < want && process->queue_count > 0) {
        uint32_t i = random_percent(process->random, 20) ? process->queue_count - 1 : 0;
        struct input_name input = process->queue[i];
        for (uint32_t j = i + 1; j < process->queue_count; j++)
            process->queue[j - 1] = process->queue[j];
        process->queue_count--;
        step->inputs[step->input_count++] = input;
    }
}

static bool step_receive(struct process *process, uint32_t t, const struct choice *choice)
{
    struct step *step = &process->step[t];
    struct toy_thread *thread = toy_thread(process, t);
    struct id_range ranges[TOY_RECEIVE_MAX];
    uint32_t count = 0;

    if (step->phase == 0) {
        take_inputs(process, step, 1 + (uint32_t)(choice->salt >> 16) % TOY_RECEIVE_MAX);
        step->phase = 1;
        return true;
    }
    for (uint32_t i = 0; i < step->input_count; i++) {
        packet_id id = step->inputs[i].id;
        if (count > 0 && id == ranges[count - 1].first + ranges[count - 1].count)
            ranges[count - 1].count++;
        else
            ranges[count++] = (struct id_range){.first = id, .count = 1};
    }
    ev_receive_record(&thread->state, &process->log[t], t, ranges, count);
    happened(process, t);
    toy_absorb(thread, OPERATION_RECEIVE, step->input_count);
    for (uint32_t i = 0; i < step->input_count; i++) {
        toy_consume_input(&process->nf, step->inputs[i].id);
        toy_absorb(thread, OPERATION_RECEIVE, input_seed(step->inputs[i]));
        if (process->oracle != NULL)
            oracle_consume(process->oracle, t, thread->state.position, step->inputs[i]);
    }
    return finish(process, t);
}

static bool step_send(struct process *process, uint32_t t, const struct choice *choice)
{
    struct step *step = &process->step[t];
    struct toy_thread *thread = toy_thread(process, t);
    struct output_ring *ring = &process->ring[t];
    uint32_t packets = toy_packet_count(choice);
    struct positions vor;

    if (step->phase == 0) {
        if (ring->tail - ring->head + packets > SIM_RING_OUTPUTS) {
            process->waits_ring++;
            return false;
        }
        step->first = ev_out_record(&thread->state, &process->log[t], packets,
                                    toy_sent(&process->nf, thread, packets), process->logs,
                                    process->nf.threads, &vor);
        happened(process, t);
        for (uint32_t i = 0; i < packets && process->oracle != NULL; i++) {
            uint16_t port, length;
            uint64_t seed = toy_packet(&process->nf, thread, i, &port, &length);
            oracle_output(process->oracle, t, step->first + i, thread->state.position, seed, port,
                          length);
        }
        step->phase = 1;
        return true;
    }
    uint32_t i = step->phase - 1; /* one packet a step */
    struct held_output *item = &ring->item[ring->tail++ % SIM_RING_MAX];
    item->number = step->first + i;
    item->seed = toy_packet(&process->nf, thread, i, &item->port, &item->length);
    if (++step->phase <= packets)
        return true;
    toy_absorb(thread, OPERATION_SEND, step->first);
    return finish(process, t);
}

static bool step_value(struct process *process, uint32_t t, const struct choice *choice)
{
    struct toy_thread *thread = toy_thread(process, t);
    struct log *log = &process->log[t];
    int64_t number;
    uint8_t bytes[RECORD_VALUE_MAX_BYTES];

    switch (choice->operation) {
    case OPERATION_CLOCK:
        number = *process->now_ns + (int64_t)random_below(process->random, 1000);
        ev_clock_record(&thread->state, log, choice->salt % 3, number);
        break;
    case OPERATION_NUMBER:
        if (random_percent(process->random, 20)) { /* a signal ends the wait for it (R19) */
            number = (int64_t)random_below(process->random, 64);
            ev_signal_record(&thread->state, log, (uint32_t)number, -number);
            break;
        }
        number = (int64_t)random_below(process->random, 5) - 2;
        if (random_percent(process->random, 5))
            number = (int64_t)random_next(process->random);
        ev_number_record(&thread->state, log, number, 0);
        break;
    default: {
        uint32_t length = toy_bytes_length(&process->nf, choice);
        packet_fill(bytes, (uint16_t)length, random_next(process->random));
        ev_bytes_record(&thread->state, log, bytes, length);
        number = (int64_t)toy_digest(bytes, length);
        break;
    }
    }
    happened(process, t);
    toy_absorb(thread, choice->operation, (uint64_t)number);
    return finish(process, t);
}

static bool step_effect(struct process *process, uint32_t t)
{
    struct toy_thread *thread = toy_thread(process, t);

    if (process->effects_tail - process->effects_head == 8)
        return false;
    ev_effect_record(&thread->state, &process->log[t], 0, (uint32_t)thread->hash);
    happened(process, t);
    struct effect *effect = &process->effects[process->effects_tail++ % SIM_EFFECTS_MAX];
    *effect = (struct effect){.thread = t, .number = ++thread->state.effects};
    effect->content = thread->hash;
    effect->causes = process->truth.thread[t];
    effect->vor.threads = process->nf.threads;
    for (uint32_t j = 0; j < process->nf.threads; j++)
        effect->vor.at[j] = log_published(&process->log[j]);
    return finish(process, t);
}

bool process_thread_idle(const struct process *process, uint32_t t)
{
    return process->step[t].phase == 0;
}

bool process_record_step(struct process *process, uint32_t t)
{
    struct step *step = &process->step[t];

    if (step->phase == 0) {
        if (process->barrier || process->draining)
            return false;
        if (!log_has_room(&process->log[t])) {
            process->waits_log++;
            return false;
        }
        step->choice = toy_choose(&process->nf, t);
        toy_thread(process, t)->state.site = toy_site(&step->choice);
    }
    const struct choice choice = step->choice;
    switch (choice.operation) {
    case OPERATION_RECEIVE:
        return step_receive(process, t, &choice);
    case OPERATION_LOCK:
        return step_lock(process, t, choice.object);
    case OPERATION_TRY:
        return step_try(process, t, choice.object);
    case OPERATION_READ:
    case OPERATION_WRITE:
    case OPERATION_TRY_READ:
    case OPERATION_TRY_WRITE:
        return step_rw(process, t, &choice);
    case OPERATION_LOAD:
        return step_load(process, t, &choice);
    case OPERATION_MIXED:
        return step_mixed(process, t);
    case OPERATION_STORE:
    case OPERATION_CHANGE:
    case OPERATION_EXCHANGE:
    case OPERATION_COMPARE:
        return step_store(process, t, &choice);
    case OPERATION_CLOCK:
    case OPERATION_NUMBER:
    case OPERATION_BYTES:
        return step_value(process, t, &choice);
    case OPERATION_PRODUCE:
    case OPERATION_CONSUME:
    case OPERATION_CONSUME_WAIT:
        return step_condition(process, t, choice.operation);
    case OPERATION_EFFECT:
        return step_effect(process, t);
    case OPERATION_SEND:
        return step_send(process, t, &choice);
    case OPERATION_UNLOCK:
        lock_release(process, t, choice.object);
        toy_thread(process, t)->held &= ~(1u << choice.object);
        return finish(process, t);
    case OPERATION_RW_UNLOCK:
        rw_release(process, t);
        return finish(process, t);
    }
    ASSERT(false);
    return false;
}
