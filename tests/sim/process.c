#include "process.h"

#include <stdlib.h>
#include <string.h>

#include "core/assert.h"

/* ---- lifelines ---- */

struct control *control_push(struct controls *controls)
{
    ASSERT(controls->tail - controls->head < SIM_CONTROLS_MAX);
    struct control *control = &controls->queue[controls->tail++ % SIM_CONTROLS_MAX];
    *control = (struct control){0};
    return control;
}

struct control *control_pop(struct controls *controls)
{
    if (controls->head == controls->tail)
        return NULL;
    return &controls->queue[controls->head++ % SIM_CONTROLS_MAX];
}

static void controls_cut(struct controls *controls, uint32_t keep)
{
    while (controls->tail - controls->head > keep) {
        struct control *control = &controls->queue[--controls->tail % SIM_CONTROLS_MAX];
        free(control->image);
        free(control->body);
    }
}

static bool controls_empty(const struct controls *controls)
{
    return controls->head == controls->tail;
}

/* ---- connections ---- */

void connection_open(struct connection *connection, uint32_t session, uint32_t epoch)
{
    static const uint8_t process_mac[6] = {2, 0, 0, 0, 0, 1}, logger_mac[6] = {2, 0, 0, 0, 0, 2};

    connection->own = link_create(session, epoch);
    connection->logger = link_create(session, epoch);
    ASSERT(connection->own != NULL && connection->logger != NULL);
    link_set_addresses(connection->own, process_mac, logger_mac);
    link_set_addresses(connection->logger, logger_mac, process_mac);
}

void connection_logger_dies(struct connection *connection)
{
    link_destroy(connection->logger);
    connection->logger = NULL;
    controls_cut(&connection->to, 0);
}

void connection_lost(struct connection *connection)
{
    connection_logger_dies(connection);
    link_destroy(connection->own);
    connection->own = NULL;
    controls_cut(&connection->from, 0);
    connection->of = 0;
}

void connection_renew(struct connection *connection, uint32_t session, uint32_t epoch, uint64_t of)
{
    connection_open(connection, session, epoch);
    connection->committed = connection->logger_committed = 0;
    connection->of = of;
}

void connection_close(struct connection *connection)
{
    connection_lost(connection);
    network_free(&connection->up);
    network_free(&connection->down);
}

bool connection_receive(struct process *process, struct network *network, struct link *link,
                        struct frame *header, const uint8_t **payload)
{
    const struct datagram *frame = network_receive(network, process->random, *process->now_ns);

    return frame != NULL && link != NULL &&
           link_receive(link, *process->now_ns, frame->bytes, frame->length, header, payload);
}

void connection_transmit(struct process *process, struct network *network, struct link *link)
{
    const uint8_t *frame;
    uint32_t length;

    if (link == NULL)
        return;
    while ((length = link_transmit(link, *process->now_ns, &frame)) > 0)
        if (*process->now_ns >= process->partition_until_ns)
            network_send(network, process->faults, process->random, *process->now_ns, frame,
                         length);
}

/* ---- life ---- */

struct process *process_create(struct random *random, const int64_t *now_ns,
                               const struct faults *faults, uint32_t epoch, uint64_t claimant)
{
    struct process *process = calloc(1, sizeof(*process));
    ASSERT(process != NULL);
    process->mode = PROCESS_LIVE;
    process->random = random;
    process->now_ns = now_ns;
    process->faults = faults;
    process->epoch = epoch;
    process->claimant = claimant;
    connection_open(&process->output, (uint32_t)random_next(random) | 1, epoch);
    connection_open(&process->input, (uint32_t)random_next(random) | 1, epoch);
    return process;
}

static void replay_free(struct process *process)
{
    if (process->replay == NULL)
        return;
    for (uint32_t t = 0; t < SIM_THREADS_MAX; t++)
        free(process->replay->thread[t].ring);
    free(process->replay);
    process->replay = NULL;
}

void process_destroy(struct process *process)
{
    if (process == NULL)
        return;
    connection_close(&process->output);
    connection_close(&process->input);
    replay_free(process);
    free(process);
}

void process_kill(struct process *process)
{
    process->mode = PROCESS_DEAD;
    replay_free(process);
    link_destroy(process->output.own);
    link_destroy(process->input.own);
    process->output.own = process->input.own = NULL;
    controls_cut(&process->output.to, random_below(process->random, 4));
    controls_cut(&process->input.to, random_below(process->random, 4));
}

/* Received and not consumed: the set, not a suffix (R15). */
static void queue_build(struct process *process, packet_id first)
{
    process->queue_count = 0;
    for (packet_id id = first; id < process->rejoin.inputs.from; id++)
        if (!toy_has_consumed(&process->nf, id))
            process->queue[process->queue_count++] =
                (struct input_name){process->rejoin.inputs.of, id};
}

void process_go_live(struct process *process)
{
    struct toy_nf *nf = &process->nf;

    process->acked.threads = nf->threads;
    process->based = process->replay != NULL ? BASED : BASED_NOT;
    for (uint32_t t = 0; t < nf->threads; t++) {
        struct thread_state *state = &nf->thread[t].state;

        thread_state_segment(state);
        log_init(&process->log[t], process->log_bytes[t], SIM_LOG_BYTES, state->position);
        process->logs[t] = &process->log[t];
        process->acked.at[t] = state->position;
        if (process->replay != NULL) {
            uint64_t held = process->replay->takeover.held[t];
            process->given[t] = held < state->outputs ? held : state->outputs;
            process->performed[t] = process->replay->takeover.effects[t];
        }
        process->truth.thread[t] = (struct causes){0};
        process->truth.thread[t].at[t] = (uint32_t)state->position;
        if (nf->thread[t].waiting)
            nf->woken |= 1u << t; /* R9 */
    }
    nf->waiters = 0;
    queue_build(process, process->replay ? process->replay->takeover.base.inputs_from : 1);
    replay_free(process);
    process->mode = PROCESS_LIVE;
}

/* ---- shipping ---- */

static bool window_open(const struct connection *connection)
{
    return connection->committed - link_acked(connection->own) < SIM_LINK_FRAMES;
}

static bool ship_log(struct process *process, uint32_t t)
{
    struct log_chunk chunk;
    uint8_t *payload = link_reserve(process->output.own);
    uint32_t room = FRAME_PAYLOAD_MAX_BYTES - LOG_HEADER_BYTES;

    if (payload == NULL)
        return false;
    if (random_percent(process->random, 50)) /* cut anywhere */
        room = random_range(process->random, 1, 60);
    if (!log_take(&process->log[t], payload + LOG_HEADER_BYTES, room, &chunk))
        return false;
    log_header_write(payload, chunk.from, chunk.to);
    process->output.committed =
        link_commit(process->output.own, FRAME_LOG, (uint16_t)t, chunk.reset ? FRAME_RESET : 0,
                    LOG_HEADER_BYTES + chunk.length);
    uint32_t slot = process->shipped_tail++ % (4 * LINK_WINDOW_FRAMES);
    process->shipped[slot] =
        (struct shipped_log){.frame = process->output.committed, .thread = t, .to = chunk.to};
    return true;
}

static bool ship_outputs(struct process *process, uint32_t t)
{
    struct output_ring *ring = &process->ring[t];
    uint8_t *payload = link_reserve(process->output.own);
    uint32_t length = 0, most = random_range(process->random, 1, SIM_FRAME_PACKETS);
    uint8_t bytes[PACKET_MAX_BYTES];

    if (payload == NULL || ring->head == ring->tail)
        return false;
    for (uint32_t i = 0; i < most && ring->head != ring->tail; i++) {
        const struct held_output *output = &ring->item[ring->head % SIM_RING_MAX];
        struct packet_item item = {.number = output->number,
                                   .port = output->port,
                                   .length = output->length,
                                   .bytes = bytes};
        packet_fill(bytes, output->length, output->seed);
        uint32_t taken =
            packet_item_write(payload + length, FRAME_PAYLOAD_MAX_BYTES - length, &item);
        if (taken == 0)
            break;
        length += taken;
        ring->head++;
        if (process->given[t] < output->number)
            process->given[t] = output->number;
        if (process->oracle != NULL)
            oracle_give(process->oracle, t, output->number);
    }
    process->output.committed =
        link_commit(process->output.own, FRAME_OUTPUT, (uint16_t)t, 0, length);
    return true;
}

/* One frame of anything, of any thread: nothing may rely on an order between them. */
void process_ship(struct process *process)
{
    uint32_t start = random_below(process->random, 2 * process->nf.threads);

    if (rejoin_discards(&process->rejoin))
        process_discard(process);
    if (!rejoin_ships(&process->rejoin) || process->output.own == NULL)
        return;
    if (!window_open(&process->output))
        return;
    for (uint32_t i = 0; i < 2 * process->nf.threads; i++) {
        uint32_t choice = (start + i) % (2 * process->nf.threads);
        if (choice % 2 == 0 ? ship_log(process, choice / 2) : ship_outputs(process, choice / 2))
            return;
    }
}

/* What the queue has room for; nothing, while inputs of a dead IL are in it (R16). */
static void input_credit(struct process *process)
{
    uint32_t used = process->queue_count;
    bool takes = used < SIM_QUEUE_INPUTS && rejoin_takes(&process->rejoin);

    if (process->input.own != NULL)
        link_set_credit(process->input.own,
                        takes ? (SIM_QUEUE_INPUTS - used) / SIM_FRAME_PACKETS : 0);
}

void process_transmit(struct process *process)
{
    if (process->mode == PROCESS_DEAD)
        return;
    input_credit(process);
    connection_transmit(process, &process->output.up, process->output.own);
    connection_transmit(process, &process->input.up, process->input.own);
}

/* ---- receiving ---- */

static void take_input(struct process *process, const struct packet_item *item)
{
    struct input_claim *due = &process->rejoin.inputs;
    struct input_name input = {process->input.of, item->number};
    uint8_t expected[PACKET_MAX_BYTES];

    if (due->of == input.of && input.id < due->from)
        return; /* copied, and fed again after its claim */
    if (due->of == input.of && input.id > due->from && process->mode == PROCESS_LIVE)
        due->from = input.id; /* its standby truncated those between: consumed at a base of it */
    if (due->of != input.of || due->from != input.id)
        sim_violation("input %lu of %lu arrived where %lu of %lu was due", input.id, input.of,
                      due->from, due->of);
    packet_fill(expected, input_length(input), input_seed(input));
    if (item->length != input_length(input) || memcmp(item->bytes, expected, item->length) != 0)
        sim_violation("input %lu arrived changed", input.id);
    due->from++;
    if (process->mode == PROCESS_LIVE && !toy_has_consumed(&process->nf, input.id))
        process->queue[process->queue_count++] = input;
}

void process_receive_input(struct process *process)
{
    struct frame header;
    const uint8_t *payload;
    struct packet_item item;

    input_credit(process);
    if (!connection_receive(process, &process->input.down, process->input.own, &header, &payload))
        return;
    if (header.kind != FRAME_INPUT)
        sim_violation("the IL sent a frame of kind %u", header.kind);
    for (uint32_t at = 0; at < header.length;) {
        int taken = packet_item_read(payload + at, header.length - at, &item);
        if (taken <= 0)
            sim_violation("malformed input frame");
        at += (uint32_t)taken;
        take_input(process, &item);
    }
}

void process_receive_output(struct process *process)
{
    struct frame header;
    const uint8_t *payload;

    if (connection_receive(process, &process->output.down, process->output.own, &header, &payload))
        sim_violation("the OL sent a numbered frame");
    if (process->output.own == NULL)
        return;
    uint64_t acked = link_acked(process->output.own);
    while (process->shipped_head != process->shipped_tail) {
        const struct shipped_log *shipped =
            &process->shipped[process->shipped_head % (4 * LINK_WINDOW_FRAMES)];
        if (shipped->frame > acked)
            break;
        process->acked.at[shipped->thread] = shipped->to;
        process->shipped_head++;
    }
}

/* Of an OL without a base logs alone make nothing stable (R16). */
static bool effect_stable(const struct process *process, const struct effect *effect)
{
    switch (process->based) {
    case BASED:
        return positions_cover(&process->acked, &effect->vor);
    case BASED_STORED:
        return positions_cover(&process->stored.positions, &effect->vor);
    default:
        return false;
    }
}

/* R18: performed once the history is stable, in order, then acknowledged to the OL. */
void process_perform_effects(struct process *process, const struct positions *recoverable)
{
    while (process->effects_head != process->effects_tail) {
        const struct effect *effect = &process->effects[process->effects_head % SIM_EFFECTS_MAX];
        if (!effect_stable(process, effect))
            return;
        if (process->oracle != NULL)
            oracle_perform_stable(process->oracle, effect->thread, effect->number, &effect->causes,
                                  recoverable);
        oracle_perform(process->judge, effect->thread, effect->number, effect->content);
        process->performed[effect->thread] = effect->number;
        struct control *control = control_push(&process->output.to);
        control->kind = CONTROL_EFFECTS;
        control->epoch = process->epoch;
        control->thread = effect->thread;
        control->number = effect->number;
        process->effects_head++;
        if (random_percent(process->random, 50))
            return;
    }
}

/* ---- snapshots ---- */

bool process_snapshot(struct process *process)
{
    struct toy_nf *nf = &process->nf;

    for (uint32_t t = 0; t < nf->threads; t++)
        if (!process_thread_idle(process, t) || process->log[t].boundary)
            return false; /* one boundary of a log at a time */
    struct rejoin_barrier rejoin = process_rejoin_barrier(process);
    struct snapshot_mark made = {0}, *mark = &made;
    mark->number = ((uint64_t)process->epoch << 32) | ++process->snapshots;
    mark->threads = mark->positions.threads = nf->threads;
    for (uint32_t t = 0; t < nf->threads; t++) {
        struct thread_state *state = &nf->thread[t].state;

        thread_state_segment(state);
        if (rejoin.logs_restart)
            log_restart(&process->log[t]);
        else
            log_reset(&process->log[t]);
        mark->positions.at[t] = state->position;
        mark->outputs[t] = state->outputs;
        mark->effects[t] = state->effects;
    }
    mark->inputs_of = process->rejoin.inputs.of;
    mark->inputs_from = process->rejoin.inputs.from;
    for (uint32_t i = 0; i < process->queue_count; i++)
        if (process->queue[i].id < mark->inputs_from)
            mark->inputs_from = process->queue[i].id;
    if (rejoin.logs_restart)
        process_resume(process, mark);
    struct control *control = control_push(&process->output.to);
    control->kind = CONTROL_SNAPSHOT;
    control->epoch = process->epoch;
    control->resume.mark = *mark;
    control->image = malloc(sizeof(*nf));
    ASSERT(control->image != NULL);
    *control->image = *nf;
    process->barrier = process->due = false;
    return true;
}

static bool log_all_taken(const struct log *log)
{
    return atomic_load(&log->head) == atomic_load(&log->tail) && log->taken == log_published(log);
}

bool process_quiet(const struct process *process)
{
    for (uint32_t t = 0; t < process->nf.threads; t++)
        if (!process_thread_idle(process, t) || !log_all_taken(&process->log[t]) ||
            process->ring[t].head != process->ring[t].tail)
            return false;
    return process->rejoin.output == OUTPUT_SERVES && process->rejoin.input == INPUT_SERVES &&
           process->output.own != NULL && process->input.own != NULL &&
           link_acked(process->output.own) == process->output.committed &&
           process->effects_head == process->effects_tail && controls_empty(&process->output.to) &&
           controls_empty(&process->output.from) && controls_empty(&process->input.from);
}
