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

    if (world->process_count == 0 || !random_percent(&world->random, 20)) {
        world->ol_epoch = epoch;
        return 0;
    }
    world->totals->persist_failed++;
    return -EIO;
}

/* A message to the reigning master, if it is there to hear it. */
struct control *world_tell(struct world *world, enum control_kind kind)
{
    struct process *process = world->reigning;

    if (process == NULL || process->mode != PROCESS_LIVE || process->output.of != world->ol_of)
        return NULL;
    struct control *control = control_push(&process->output.from);
    control->kind = kind;
    return control;
}

static void tell(struct world *world, enum control_kind kind, const struct snapshot_mark *mark)
{
    struct control *control = world_tell(world, kind);

    if (control != NULL && mark != NULL)
        control->resume.mark = *mark;
}

static void tell_standby(struct world *world, const struct snapshot_mark *mark)
{
    struct process *process = world->standby.process;

    if (process == NULL || !world->standby.following.follows || process->output.logger == NULL)
        return;
    struct control *control = control_push(&process->output.from);
    control->kind = CONTROL_COMMITTED;
    control->resume.mark = *mark;
}

void world_images_drop(struct world *world)
{
    for (uint32_t i = 0; i < world->image_count; i++)
        free(world->image[i].nf);
    world->image_count = 0;
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
    world->born = true;
    world->output_bare = false;
    if (world->base.mark.inputs_of == world->il_of)
        world->input_bare = false;
    following_based(&world->standby.following, world->ol);
    if (!world->base.mark.replayed)
        world->standby.distrust = false;
    tell(world, CONTROL_COMMITTED, &world->base.mark);
    tell_standby(world, &world->base.mark);
}

const struct positions *world_recoverable(const struct world *world, uint64_t of)
{
    static struct output_log_state state;

    if (of != world->ol_of)
        return world->had_base[of] ? &world->recoverable[of] : NULL;
    if (world->ol == NULL)
        return NULL;
    output_log_state(world->ol, &state);
    if (state.base != 0)
        return &state.received;
    return world->image_count > 0 ? &world->image[0].mark.positions : NULL;
}

void world_loggers_create(struct world *world)
{
    struct random *random = &world->random;
    static const uint32_t ring_bytes[] = {2048, 8192, 65536};
    static const uint32_t memory_kib[] = {160, 256, 4096};

    world->memory = (size_t)memory_kib[random_below(random, 3)] << 10;
    world->credit = random_range(random, 1, SIM_LINK_FRAMES);
    world->il_bytes = ring_bytes[random_below(random, 3)];
    world_input_logger_begins(world);
    world_output_logger_begins(world);
}

void world_input_logger_begins(struct world *world)
{
    world->il_of = ++world->il_births;
    world->il = input_log_create(world->il_bytes, world->il_epoch, world->il_of);
    ASSERT(world->il != NULL);
    oracle_input_logger(world->oracle);
}

void world_output_logger_begins(struct world *world)
{
    const struct output_log_actions actions = {
        .release = on_release, .persist_epoch = on_persist_epoch, .committed = on_committed};

    world->ol_of = ++world->ol_births;
    world->ol = output_log_create(world->memory, world->ol_epoch, world->ol_of, &actions, world);
    ASSERT(world->ol != NULL);
}

/* ---- output logger ---- */

static bool reigns(const struct world *world, const struct process *process)
{
    return process == world->reigning || (process == world->dying && !world->raised);
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

    if (connection->logger == NULL) { /* frames of a session that is no more */
        connection_receive(process, &connection->up, NULL, &header, &payload);
        return;
    }
    size_t frames = output_log_room(world->ol) / (2 * FRAME_MAX_BYTES);
    uint32_t credit = frames < world->credit ? (uint32_t)frames : world->credit;
    if (process == world->reigning && world_standby_lags(world))
        credit = 0;
    link_set_credit(connection->logger, credit);
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

/* The master goes on here, if it is one (R16, R17). */
static void take_resume(struct world *world, struct process *process, const struct control *control)
{
    const struct resume *resume = &control->resume;

    if (output_log_resume(world->ol, world->ol_epoch + 1, resume) != -ENODATA)
        sim_violation("R17: the OL let a master resume under an epoch that its disk never had");
    int error = output_log_resume(world->ol, control->epoch, resume);
    if (!reigns(world, process)) {
        if (error != -ESTALE)
            sim_violation("G5: a fenced master wants to resume, the OL says: %s", strerror(-error));
        world->totals->fenced++;
        if (process->mode == PROCESS_LIVE)
            process_kill(process);
        return;
    }
    judge(world, process, error, "resume");
    if (output_log_resume(world->ol, control->epoch, resume) != -EBUSY)
        sim_violation("R16: the OL let two masters resume");
    oracle_resume(world->oracle, resume->shipped);
    world->totals->resumes++;
    tell(world, CONTROL_GO, NULL);
}

static void take_image(struct world *world, struct process *process, struct control *control)
{
    struct output_log_state state;

    if (!following_takes_image(&world->standby.following, false))
        return;
    ASSERT(world->image_count < WORLD_IMAGES_MAX);
    struct image image = {.mark = control->resume.mark, .nf = control->image};
    control->image = NULL;
    world->image[world->image_count++] = image;
    int error = output_log_snapshot(world->ol, control->epoch, &image.mark);
    if (error == -ECANCELED)
        world->totals->overtaken++;
    else
        judge(world, process, error, "snapshot");
    if (error < 0) {
        free(image.nf);
        world->image_count--;
        return;
    }
    output_log_state(world->ol, &state);
    /* The first one only: it will be the base, and a takeover then knows of no other. */
    if (state.base == 0 && world->image_count == 1)
        tell(world, CONTROL_IMAGE_STORED, &image.mark);
}

void world_control_output(struct world *world, struct process *process)
{
    struct control *control = NULL;

    if (process->output.logger != NULL)
        control = control_pop(&process->output.to);
    if (control == NULL)
        return;
    switch (control->kind) {
    case CONTROL_EFFECTS:
        judge(world, process,
              output_log_effects(world->ol, control->epoch, control->thread, control->number),
              "effect");
        break;
    case CONTROL_RESUME:
        take_resume(world, process, control);
        break;
    case CONTROL_PROGRESS:
        world_standby_progress(world, process, control);
        break;
    default:
        ASSERT(control->kind == CONTROL_SNAPSHOT);
        if (control->resume.mark.replayed)
            world_standby_image(world, process, control);
        else
            take_image(world, process, control);
    }
    free(control->image);
    free(control->body);
    control->image = NULL;
    control->body = NULL;
}

/* ---- input logger ---- */

/* What is on its way to an NF: the reigning one, or its standby. */
struct feed {
    bool (*next)(const struct input_log *il, struct packet_item *item);
    void (*sent)(struct input_log *il);
};
static const struct feed feed_reigning = {input_log_next, input_log_sent};
static const struct feed feed_standby = {input_log_copy_next, input_log_copied};

static bool feed(struct world *world, struct process *process, const struct feed *feed)
{
    struct connection *connection = &process->input;
    uint8_t *payload = link_reserve(connection->logger);
    struct packet_item item;
    uint32_t length = 0, most = random_range(&world->random, 1, SIM_FRAME_PACKETS);

    if (payload == NULL ||
        connection->logger_committed - link_acked(connection->logger) >= SIM_LINK_FRAMES)
        return false;
    for (uint32_t i = 0; i < most && feed->next(world->il, &item); i++) {
        uint32_t taken =
            packet_item_write(payload + length, FRAME_PAYLOAD_MAX_BYTES - length, &item);
        ASSERT(taken > 0);
        length += taken;
        feed->sent(world->il);
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

    bool copy = process == world->standby.copied && process != world->il_peer;
    if ((process != world->il_peer && !copy) || connection->logger == NULL)
        return; /* the IL has closed that link (R17) */
    if (connection_receive(process, &connection->up, connection->logger, &header, &payload))
        sim_violation("the NF sent the IL a numbered frame");
    if (copy && !world_copy_goes_on(world))
        return;
    feed(world, process, copy ? &feed_standby : &feed_reigning);
    connection_transmit(process, &connection->down, connection->logger);
}

static void take_reign(struct world *world, struct process *process, const struct control *control)
{
    struct input_claim claim = control->claim;
    int error = input_log_reign(world->il, control->epoch, process->claimant, &claim);

    if (error == -ESTALE && (process->oracle == NULL || process->mode == PROCESS_DEAD)) {
        world->totals->fenced++;
        if (process->mode == PROCESS_LIVE)
            process_kill(process);
        return;
    }
    if (error < 0)
        sim_violation("the IL refused a master that came back: %s", strerror(-error));
    world->il_epoch = control->epoch;
    world->il_peer = process;
    struct control *answer = control_push(&process->input.from);
    answer->kind = CONTROL_REIGN;
    answer->claim = claim;
}

void world_control_input(struct world *world, struct process *process)
{
    struct control *control = NULL;

    if (process->input.logger != NULL)
        control = control_pop(&process->input.to);
    if (control == NULL)
        return;
    if (control->kind == CONTROL_REIGN) {
        take_reign(world, process, control);
        return;
    }
    if (control->kind == CONTROL_COPY) {
        world_copy_begin(world, process, control);
        return;
    }
    int error = input_log_truncate(world->il, control->epoch, control->number);
    if (error < 0 && process == world->il_peer && control->epoch == process->epoch)
        sim_violation("the IL refused to truncate: %s", strerror(-error));
    if (error == 0 && process != world->il_peer && process != world->standby.process)
        sim_violation("R17: the IL obeyed a fenced master");
}

void world_accept_input(struct world *world)
{
    uint8_t bytes[PACKET_MAX_BYTES];
    struct input_log_state state;

    if (world->il == NULL)
        return;
    input_log_state(world->il, &state);
    if (world->oracle->first[world->il_of] + state.next >= SIM_INPUTS_MAX)
        return;
    struct input_name input = {world->il_of, state.next};
    uint16_t length = input_length(input);
    packet_fill(bytes, length, input_seed(input));
    input.id = input_log_accept(world->il, 0, bytes, length);
    if (input.id == 0) {
        world->totals->il_full++;
        return;
    }
    oracle_accept(world->oracle, input);
    world->totals->inputs++;
}
