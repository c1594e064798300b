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
    while (controls->tail - controls->head > keep)
        free(controls->queue[--controls->tail % SIM_CONTROLS_MAX].image);
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

void connection_close(struct connection *connection)
{
    link_destroy(connection->own);
    link_destroy(connection->logger);
    connection->own = connection->logger = NULL;
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
    process->arrived = 1;
    connection_open(&process->output, (uint32_t)random_next(random) | 1, epoch);
    connection_open(&process->input, (uint32_t)random_next(random) | 1, epoch);
    return process;
}

static void replay_free(struct process *process)
{
    if (process->replay == NULL)
        return;
    for (uint32_t t = 0; t < SIM_THREADS_MAX; t++)
        free(process->replay->thread[t].bytes);
    free(process->replay);
    process->replay = NULL;
}

void process_destroy(struct process *process)
{
    if (process == NULL)
        return;
    connection_close(&process->output);
    connection_close(&process->input);
    controls_cut(&process->to_output, 0);
    controls_cut(&process->to_input, 0);
    replay_free(process);
    free(process);
}

void process_kill(struct process *process)
{
    process->mode = PROCESS_DEAD;
    link_destroy(process->output.own);
    link_destroy(process->input.own);
    process->output.own = process->input.own = NULL;
    controls_cut(&process->to_output, random_below(process->random, 4));
    controls_cut(&process->to_input, random_below(process->random, 4));
}

/* Received and not consumed: the set, not a suffix (R15). */
static void queue_build(struct process *process, packet_id first)
{
    process->queue_count = 0;
    for (packet_id id = first; id < process->arrived; id++)
        if (!toy_has_consumed(&process->nf, id))
            process->queue[process->queue_count++] = id;
}

void process_go_live(struct process *process)
{
    struct toy_nf *nf = &process->nf;

    process->stable.threads = nf->threads;
    for (uint32_t t = 0; t < nf->threads; t++) {
        struct thread_state *state = &nf->thread[t].state;

        thread_state_segment(state);
        log_init(&process->log[t], process->log_bytes[t], SIM_LOG_BYTES, state->position);
        process->logs[t] = &process->log[t];
        process->stable.at[t] = state->position;
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
    }
    process->output.committed =
        link_commit(process->output.own, FRAME_OUTPUT, (uint16_t)t, 0, length);
    return true;
}

/* One frame of anything, of any thread: nothing may rely on an order between them. */
void process_ship(struct process *process)
{
    uint32_t start = random_below(process->random, 2 * process->nf.threads);

    if (!window_open(&process->output))
        return;
    for (uint32_t i = 0; i < 2 * process->nf.threads; i++) {
        uint32_t choice = (start + i) % (2 * process->nf.threads);
        if (choice % 2 == 0 ? ship_log(process, choice / 2) : ship_outputs(process, choice / 2))
            return;
    }
}

void process_transmit(struct process *process)
{
    if (process->mode == PROCESS_DEAD)
        return;
    uint32_t used = process->queue_count;
    link_set_credit(process->input.own,
                    used < SIM_QUEUE_INPUTS ? (SIM_QUEUE_INPUTS - used) / SIM_FRAME_PACKETS : 0);
    connection_transmit(process, &process->output.up, process->output.own);
    connection_transmit(process, &process->input.up, process->input.own);
}

/* ---- receiving ---- */

static void take_input(struct process *process, const struct packet_item *item)
{
    uint8_t expected[PACKET_MAX_BYTES];

    if (item->number != process->arrived)
        sim_violation("input %lu arrived where %lu was due", item->number, process->arrived);
    packet_fill(expected, input_length(item->number), input_seed(item->number));
    if (item->length != input_length(item->number) ||
        memcmp(item->bytes, expected, item->length) != 0)
        sim_violation("input %lu arrived changed", item->number);
    process->arrived++;
    if (process->mode == PROCESS_LIVE && !toy_has_consumed(&process->nf, item->number))
        process->queue[process->queue_count++] = item->number;
}

void process_receive_input(struct process *process)
{
    struct frame header;
    const uint8_t *payload;
    struct packet_item item;

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
        process->stable.at[shipped->thread] = shipped->to;
        process->shipped_head++;
    }
}

/* R18: performed once the history is stable, in order, then acknowledged to the OL. */
void process_perform_effects(struct process *process)
{
    while (process->effects_head != process->effects_tail) {
        const struct effect *effect = &process->effects[process->effects_head % SIM_EFFECTS_MAX];
        if (!positions_cover(&process->stable, &effect->vor))
            return;
        oracle_perform(process->judge, effect->thread, effect->number, effect->content);
        struct control *control = control_push(&process->to_output);
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
    struct control *control = control_push(&process->to_output);
    struct snapshot_mark *mark = &control->mark;
    control->kind = CONTROL_SNAPSHOT;
    control->epoch = process->epoch;
    mark->number = ((uint64_t)process->epoch << 32) | ++process->snapshots;
    mark->threads = mark->positions.threads = nf->threads;
    for (uint32_t t = 0; t < nf->threads; t++) {
        struct thread_state *state = &nf->thread[t].state;

        thread_state_segment(state);
        log_reset(&process->log[t]);
        mark->positions.at[t] = state->position;
        mark->outputs[t] = state->outputs;
        mark->effects[t] = state->effects;
    }
    mark->inputs_of = SIM_INCARNATION;
    mark->inputs_from = process->arrived;
    for (uint32_t i = 0; i < process->queue_count; i++)
        if (process->queue[i] < mark->inputs_from)
            mark->inputs_from = process->queue[i];
    control->image = malloc(sizeof(*nf));
    ASSERT(control->image != NULL);
    *control->image = *nf;
    process->barrier = false;
    return true;
}

void process_committed(struct process *process, const struct snapshot_mark *mark)
{
    struct control *control = control_push(&process->to_input);

    control->kind = CONTROL_TRUNCATE;
    control->epoch = process->epoch;
    control->number = mark->inputs_from;
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
    return link_acked(process->output.own) == process->output.committed &&
           process->effects_head == process->effects_tail &&
           process->to_output.head == process->to_output.tail;
}
