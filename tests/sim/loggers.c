/* The two logger daemons around the real protocols, as far as they carry out actions. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/assert.h"
#include "world.h"

static void on_release(void *context, uint32_t thread, uint64_t number, uint16_t port,
                       const uint8_t *bytes, uint16_t length)
{
    struct world *world = context;
    struct output_log_state state;

    if (world->base.mark.number == 0)
        sim_violation("R16: output %lu of thread %u released before any base", number, thread);
    output_log_state(world->ol, &state);
    oracle_release(world->oracle, &state.received, thread, number, port, bytes, length);
    world->totals->outputs++;
}

static int on_persist_epoch(void *context, uint32_t epoch)
{
    struct world *world = context;

    (void)epoch;
    if (world->process_count == 0 || !random_percent(&world->random, 20))
        return 0;
    world->totals->persist_failed++;
    return -EIO;
}

static void on_committed(void *context, uint64_t number)
{
    struct world *world = context;
    uint32_t kept = 0;

    for (uint32_t i = 0; i < world->image_count; i++) {
        struct image *image = &world->image[i];
        if (image->mark.number == number) {
            free(world->base.nf);
            world->base = *image;
        } else if (image->mark.number < number) {
            free(image->nf);
        } else {
            world->image[kept++] = *image;
        }
    }
    world->image_count = kept;
    if (world->base.mark.number != number)
        sim_violation("R13: snapshot %lx committed without an image", number);
    world->totals->commits++;
    if (world->reigning != NULL && world->reigning->mode == PROCESS_LIVE)
        process_committed(world->reigning, &world->base.mark);
}

void world_loggers_create(struct world *world)
{
    struct random *random = &world->random;
    static const uint32_t ring_bytes[] = {2048, 8192, 65536};
    static const uint32_t memory_kib[] = {160, 256, 4096};
    const struct output_log_actions actions = {
        .release = on_release, .persist_epoch = on_persist_epoch, .committed = on_committed};

    world->memory = (size_t)memory_kib[random_below(random, 3)] << 10;
    world->credit = random_range(random, 1, SIM_LINK_FRAMES);
    world->il = input_log_create(ring_bytes[random_below(random, 3)], 0, SIM_INCARNATION);
    world->ol = output_log_create(world->memory, 0, 1, &actions, world);
    ASSERT(world->il != NULL && world->ol != NULL);
}

/* ---- output logger ---- */

static bool reigns(const struct world *world, const struct process *process)
{
    return process == world->reigning || process == world->dying;
}

static void judge(const struct world *world, const struct process *process, int error,
                  const char *what)
{
    if (error < 0 && reigns(world, process))
        sim_violation("the reigning master's %s was refused: %s", what, strerror(-error));
}

static int take_log(struct world *world, const struct frame *header, const uint8_t *payload)
{
    struct log_chunk chunk = {.reset = header->flags & FRAME_RESET};
    int taken = log_header_read(payload, header->length, &chunk.from, &chunk.to);

    if (taken < 0)
        sim_violation("malformed log frame");
    chunk.length = header->length - (uint32_t)taken;
    return output_log_chunk(world->ol, header->epoch, header->thread, &chunk, payload + taken);
}

static int take_outputs(struct world *world, const struct frame *header, const uint8_t *payload)
{
    struct packet_item item;

    for (uint32_t at = 0; at < header->length;) {
        int taken = packet_item_read(payload + at, header->length - at, &item);
        if (taken <= 0)
            sim_violation("malformed output frame");
        at += (uint32_t)taken;
        int error = output_log_packet(world->ol, header->epoch, header->thread, &item);
        if (error < 0)
            return error;
    }
    return 0;
}

void world_serve_output(struct world *world, struct process *process)
{
    struct connection *connection = &process->output;
    struct frame header;
    const uint8_t *payload;
    size_t frames = output_log_room(world->ol) / (2 * FRAME_MAX_BYTES);

    link_set_credit(connection->logger, frames < world->credit ? (uint32_t)frames : world->credit);
    if (connection_receive(process, &connection->up, connection->logger, &header, &payload)) {
        if (header.kind == FRAME_LOG)
            judge(world, process, take_log(world, &header, payload), "log");
        else if (header.kind == FRAME_OUTPUT)
            judge(world, process, take_outputs(world, &header, payload), "output");
        else
            sim_violation("the NF sent a frame of kind %u", header.kind);
    }
    connection_transmit(process, &connection->down, connection->logger);
}

void world_control_output(struct world *world, struct process *process)
{
    struct control *control = control_pop(&process->to_output);

    if (control == NULL)
        return;
    if (control->kind == CONTROL_EFFECTS) {
        judge(world, process,
              output_log_effects(world->ol, control->epoch, control->thread, control->number),
              "effect");
        return;
    }
    ASSERT(control->kind == CONTROL_SNAPSHOT && world->image_count < WORLD_IMAGES_MAX);
    struct image image = {.mark = control->mark, .nf = control->image};
    control->image = NULL;
    world->image[world->image_count++] = image;
    int error = output_log_snapshot(world->ol, control->epoch, &image.mark);
    judge(world, process, error, "snapshot");
    if (error < 0) {
        free(image.nf);
        world->image_count--;
    }
}

/* ---- input logger ---- */

static bool feed(struct world *world, struct process *process)
{
    struct connection *connection = &process->input;
    uint8_t *payload = link_reserve(connection->logger);
    struct packet_item item;
    uint32_t length = 0, most = random_range(&world->random, 1, SIM_FRAME_PACKETS);

    if (payload == NULL ||
        connection->logger_committed - link_acked(connection->logger) >= SIM_LINK_FRAMES)
        return false;
    for (uint32_t i = 0; i < most && input_log_next(world->il, &item); i++) {
        uint32_t taken =
            packet_item_write(payload + length, FRAME_PAYLOAD_MAX_BYTES - length, &item);
        ASSERT(taken > 0);
        length += taken;
        input_log_sent(world->il);
    }
    if (length > 0)
        connection->logger_committed = link_commit(connection->logger, FRAME_INPUT, 0, 0, length);
    return length > 0;
}

void world_serve_input(struct world *world, struct process *process)
{
    struct connection *connection = &process->input;
    struct frame header;
    const uint8_t *payload;

    if (process != world->il_peer)
        return; /* the IL has closed that link (R17) */
    if (connection_receive(process, &connection->up, connection->logger, &header, &payload))
        sim_violation("the NF sent the IL a numbered frame");
    feed(world, process);
    connection_transmit(process, &connection->down, connection->logger);
}

void world_control_input(struct world *world, struct process *process)
{
    struct control *control = control_pop(&process->to_input);

    if (control == NULL)
        return;
    int error = input_log_truncate(world->il, control->epoch, control->number);
    if (error < 0 && process == world->il_peer)
        sim_violation("the IL refused to truncate: %s", strerror(-error));
    if (error == 0 && process != world->il_peer)
        sim_violation("R17: the IL obeyed a fenced master");
}

void world_accept_input(struct world *world)
{
    uint8_t bytes[PACKET_MAX_BYTES];
    struct input_log_state state;

    input_log_state(world->il, &state);
    if (state.next == SIM_INPUTS_MAX)
        return;
    uint16_t length = input_length(state.next);
    packet_fill(bytes, length, input_seed(state.next));
    packet_id id = input_log_accept(world->il, 0, bytes, length);
    if (id == 0)
        world->totals->il_full++;
    else if (id != state.next)
        sim_violation("R16: the IL numbered %lu after %lu", id, state.next - 1);
    else
        world->totals->inputs++;
}
