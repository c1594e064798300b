/*
 * The hot standby (R14): the loggers' side of it, as far as they carry out what core/following and
 * core/log_feed say, and when it begins and ends. What it does itself is in follow.c and replay.c.
 *
 * It starts over, as a backup that has nothing, whenever it loses a logger, falls behind what the
 * IL keeps, or departs from the log; each of the loggers may also lose it while it goes on for a
 * while (G5).
 */
#include <stdlib.h>
#include <string.h>

#include "core/assert.h"
#include "world.h"

#define NOTICE_STEPS_MAX 30u
#define PIECES_UNDER_WAY 12u
#define STILL_NS 2000000000

static uint32_t under_way(const struct controls *controls)
{
    return controls->tail - controls->head;
}

static void tell_master(struct world *world, uint64_t follows)
{
    struct control *control = world_tell(world, CONTROL_STANDBY);

    if (control != NULL)
        control->number = follows;
}

/* ---- the output logger ---- */

static bool may_follow(const struct world *world)
{
    const struct process *master = world->reigning;
    const struct backup *backup = &world->backup;
    const struct snapshot_mark *coming =
        world->image_count > 0 ? &world->image[world->image_count - 1].mark : NULL;

    return backup->there && backup->hot && backup->of == world->ol_of && world->ol != NULL &&
           world->il != NULL && world->standby.process == NULL && world->standby.noticed_in == 0 &&
           master != NULL && master->mode == PROCESS_LIVE && master->output.of == world->ol_of &&
           following_may_begin(&world->standby.following, world->ol, backup->fed.mark.number,
                               coming);
}

static void follow(struct world *world)
{
    struct hot_standby *standby = &world->standby;
    struct backup *backup = &world->backup;
    struct input_claim inputs = {backup->fed.mark.inputs_of, backup->fed.mark.inputs_from};

    if (standby->distrust)
        sim_violation("G6: a standby follows from base %lx, which may be of one that departed",
                      backup->fed.mark.number);
    following_begin(&standby->following, world->ol, &standby->feed);
    world_images_drop(world);
    standby->process = world_process_create(world, world->reigning->epoch);
    standby->process->departed = backup->fed.tainted;
    process_replay_begin(standby->process, &backup->fed.mark, backup->fed.nf, inputs);
    control_push(&standby->process->output.from)->kind = CONTROL_FOLLOW;
    standby->moved_ns = world->now_ns;
    tell_master(world, 1);
    world->totals->follows++;
}

void world_standby_lost(struct world *world, bool departed)
{
    struct hot_standby *standby = &world->standby;

    if (departed) {
        following_departed(&standby->following, world->ol);
        standby->distrust = true;
    } else {
        following_lost(&standby->following, world->ol);
    }
    world_images_drop(world);
    tell_master(world, 0);
    if (standby->process == NULL)
        world_backup_next(world);
}

/* To the standby, or to whoever takes over. */
void world_feed_logs(struct world *world, struct process *process)
{
    struct hot_standby *standby = &world->standby;
    struct controls *from = &process->output.from;
    struct message_stored_log piece;

    if (process->output.logger == NULL || !standby->feed.active)
        return;
    for (uint32_t i = random_below(&world->random, 4); i > 0; i--) {
        if (under_way(from) >= PIECES_UNDER_WAY ||
            !log_feed_next(&standby->feed, world->ol, &piece))
            break;
        struct control *control = control_push(from);
        control->kind = CONTROL_STORED_LOG;
        control->piece = malloc(sizeof(piece) + piece.length);
        ASSERT(control->piece != NULL);
        *control->piece = piece;
        memcpy(control->piece + 1, piece.bytes, piece.length);
        control->piece->bytes = (const uint8_t *)(control->piece + 1);
        world->totals->pieces++;
    }
}

static void progress_refused(const struct hot_standby *standby,
                             const struct message_progress *progress)
{
    for (uint32_t t = 0; t < progress->positions.threads; t++) {
        const struct log_feed_thread *thread = &standby->feed.threads[t];
        if (progress->consumed[t] < thread->consumed || progress->consumed[t] > thread->sent ||
            progress->positions.at[t] < thread->replayed || progress->positions.at[t] > thread->to)
            sim_violation("thread %u: a backup says it used up %lu bytes and stands at %lu; before "
                          "%lu and %lu, sent %lu and %lu",
                          t, progress->consumed[t], progress->positions.at[t], thread->consumed,
                          thread->replayed, thread->sent, thread->to);
    }
    sim_violation("PROGRESS was refused");
}

void world_standby_progress(struct world *world, const struct process *process,
                            const struct control *control)
{
    struct hot_standby *standby = &world->standby;

    if (!standby->feed.active || process->mode != PROCESS_REPLAY)
        return; /* from before its cut */
    if (log_feed_progress(&standby->feed, control->progress) < 0)
        progress_refused(standby, control->progress);
    standby->moved_ns = world->now_ns;
}

void world_standby_image(struct world *world, const struct process *process,
                         struct control *control)
{
    struct hot_standby *standby = &world->standby;

    if (process != standby->process || world->raised ||
        !following_takes_image(&standby->following, true))
        return;
    ASSERT(world->image_count < WORLD_IMAGES_MAX);
    world->image[world->image_count++] = (struct image){
        .mark = control->resume.mark, .nf = control->image, .tainted = control->tainted};
    control->image = NULL;
    int error = output_log_snapshot(world->ol, control->epoch, &control->resume.mark);
    if (error < 0)
        sim_violation("R13: a standby's snapshot was refused: %s", strerror(-error));
    world->totals->standby_images++;
}

/* May the master ship so much more? The lag is bounded; but a standby may need one thread's log to
 * use up another's. */
bool world_standby_lags(struct world *world)
{
    struct hot_standby *standby = &world->standby;

    return standby->following.follows && world->ol != NULL &&
           log_feed_lag(&standby->feed, world->ol).size > world->lag_bytes &&
           random_percent(&world->random, 95);
}

void world_standby_output_forgotten(struct world *world)
{
    struct hot_standby *standby = &world->standby;
    bool gone = standby->following.follows && standby->process == NULL;

    standby->following = (struct following){0};
    standby->feed = (struct log_feed){0};
    standby->noticed_in = 0;
    standby->departed = standby->distrust = false;
    if (standby->process != NULL) {
        connection_logger_dies(&standby->process->output);
        standby->process->oracle = NULL; /* nobody waits for it */
    }
    if (gone)
        world_backup_next(world);
}

/* ---- the input logger ---- */

void world_copy_stop(struct world *world, const struct process *process)
{
    if (world->standby.copied != process)
        return;
    world->standby.copied = NULL;
    if (world->il != NULL)
        input_log_copy_stop(world->il);
}

void world_copy_begin(struct world *world, struct process *process, const struct control *control)
{
    if (input_log_copy(world->il, &control->claim) < 0) {
        connection_logger_dies(&process->input); /* it is told to start over */
        world->totals->behind++;
        return;
    }
    world->standby.copied = process;
}

/* False: what it needs next was truncated. */
bool world_copy_goes_on(struct world *world)
{
    struct process *process = world->standby.copied;
    struct input_log_state state;

    input_log_state(world->il, &state);
    if (state.uncopied != 0 && state.uncopied < state.oldest)
        sim_violation("R15: the IL is to copy input %lu, but keeps them from %lu on only",
                      state.uncopied, state.oldest);
    if (state.uncopied != 0)
        return true;
    world->standby.copied = NULL;
    connection_logger_dies(&process->input);
    world->totals->behind++;
    return false;
}

/* ---- its life ---- */

void world_standby_ends(struct world *world)
{
    struct hot_standby *standby = &world->standby;
    struct process *process = standby->process;

    standby->departed |= process->noticed;
    if (process->noticed)
        world->totals->departures++;
    world_copy_stop(world, process);
    process_destroy(process);
    standby->process = NULL;
    if (standby->following.follows)
        standby->noticed_in = 1 + random_below(&world->random, NOTICE_STEPS_MAX);
    else
        world_backup_next(world);
}

void world_standby_output_cut(struct world *world)
{
    struct hot_standby *standby = &world->standby;

    if (standby->process == NULL || !standby->following.follows)
        return;
    connection_logger_dies(&standby->process->output);
    standby->process->oracle = NULL; /* nobody waits for it */
    world_standby_lost(world, false);
    world->totals->standby_cuts++;
}

void world_standby_input_cut(struct world *world)
{
    struct hot_standby *standby = &world->standby;

    if (standby->process == NULL)
        return;
    world_copy_stop(world, standby->process);
    connection_logger_dies(&standby->process->input);
    world->totals->standby_cuts++;
}

static bool lost_a_logger(const struct world *world, const struct process *process)
{
    return process->output.of != world->ol_of || process->output.logger == NULL ||
           process->input.of != world->il_of || process->input.logger == NULL;
}

/* An error of the NF, or of the recording: what replay has is not what the master has. */
static void plant(struct world *world, struct process *process)
{
    struct toy_nf *nf = &process->nf;

    process->departed = true;
    world->totals->planted++;
    if (random_percent(&world->random, 50))
        nf->lock[random_below(&world->random, TOY_LOCKS)].data ^= 1;
    else
        nf->thread[random_below(&world->random, nf->threads)].hash ^= 1;
}

static bool snapshot_due(struct world *world, const struct process *process)
{
    struct random *random = &world->random;

    if (process->replay->open || under_way(&process->output.to) > 2 || world->ol == NULL ||
        world->il == NULL)
        return false;
    if (random_below(random, 300) < world->snapshot_permille && !world->draining)
        return true;
    return random_percent(random, 5) &&
           (output_log_wants_snapshot(world->ol) || input_log_wants_snapshot(world->il));
}

static void act(struct world *world, struct process *process)
{
    struct random *random = &world->random;

    if (random_percent(random, 60))
        process_control_replay(process);
    for (uint32_t i = random_below(random, 12); i > 0 && !process->noticed; i--)
        process_replay_step(process, random_below(random, process->nf.threads));
    if (under_way(&process->output.to) < 8 && random_percent(random, 30))
        process_tell_progress(process);
    process_receive_input(process);
    process_transmit(process);
    if (snapshot_due(world, process))
        process_standby_snapshot(process);
    if (random_below(random, 10000) < world->plant_rate && !process->departed && !world->draining)
        plant(world, process);
}

/* One whose replay went astray may wait for ever, and never come to an output that tells of it. */
static bool stands_still(struct world *world)
{
    struct hot_standby *standby = &world->standby;

    if (!standby->following.follows || standby->process == NULL ||
        !random_percent(&world->random, 2))
        return false;
    if (log_feed_lag(&standby->feed, world->ol).events == 0)
        standby->moved_ns = world->now_ns;
    if (world->now_ns - standby->moved_ns < STILL_NS)
        return false;
    world->totals->stood_still++;
    return true;
}

void world_standby_step(struct world *world)
{
    struct hot_standby *standby = &world->standby;
    struct random *random = &world->random;

    if (standby->noticed_in > 0 && --standby->noticed_in == 0) {
        world_standby_lost(world, standby->departed);
        standby->departed = false;
    }
    if (may_follow(world) && random_percent(random, 10))
        follow(world);
    if (stands_still(world))
        world_standby_output_cut(world);
    struct process *process = standby->process;
    if (process == NULL)
        return;
    if (standby->following.follows && random_percent(random, 40))
        world_feed_logs(world, process);
    if (random_percent(random, 40))
        world_serve_input(world, process);
    if (random_percent(random, 20))
        world_control_output(world, process);
    if (random_percent(random, 20))
        world_control_input(world, process);
    if (random_percent(random, world->standby_percent))
        act(world, process);
    if (process->noticed ||
        (lost_a_logger(world, process) && random_below(random, 1000) < world->notice_permille))
        world_standby_ends(world);
}
