/* The output logger's protocol: release, base, takeover, fences (G1, G4, G5, R12, R13, R16). */
#include <errno.h>
#include <string.h>

#include <criterion/criterion.h>

#include "core/output_log.h"

#define MEMORY_BYTES 65536u

static struct output_log *ol;
static uint32_t epoch;
static uint64_t released[8]; /* number of the last output released, by thread */
static uint64_t committed;   /* number of the last base */
static uint8_t last_byte;
static int persist_error;
static uint32_t persisted;

static void on_release(void *context, uint32_t thread, uint64_t number, uint16_t port,
                       const uint8_t *bytes, uint16_t length)
{
    (void)context;
    (void)port;
    cr_assert_eq(number, released[thread] + 1, "G4");
    released[thread] = number;
    last_byte = bytes[length - 1];
}

static int on_persist(void *context, uint32_t raised)
{
    (void)context;
    if (persist_error == 0)
        persisted = raised;
    return persist_error;
}

static void on_committed(void *context, uint64_t number)
{
    (void)context;
    committed = number;
}

/* One thread's log as its master writes it. */
static struct sender {
    struct codec codec;
    position sent; /* `to` of the last chunk */
    bool reset;
    uint8_t bytes[RECORD_MAX_BYTES];
    uint32_t length; /* not yet sent */
} sender[4];

static const struct output_log_actions actions = {
    .release = on_release, .persist_epoch = on_persist, .committed = on_committed};

static void setup(void)
{
    ol = output_log_create(MEMORY_BYTES, 0, 99, &actions, NULL);
    cr_assert_eq(output_log_start(ol, &epoch), 0);
    cr_assert_eq(epoch, 1);
    for (uint32_t t = 0; t < 4; t++)
        sender[t].reset = true;
}
static void teardown(void)
{
    output_log_destroy(ol);
}
TestSuite(output_log, .init = setup, .fini = teardown);

static void write_out(uint32_t t, position at, uint32_t packets, position own, position other)
{
    struct sender *s = &sender[t];
    struct positions vor = {.threads = 2};

    vor.at[t] = own;
    vor.at[1 - t] = other;
    s->length +=
        record_out(&s->codec, s->bytes + s->length, at, packets, &vor, (struct digests){0});
}

static int send_log(uint32_t t, position to)
{
    struct sender *s = &sender[t];
    struct log_chunk chunk = {.from = s->sent, .to = to, .reset = s->reset, .length = s->length};
    int error = output_log_chunk(ol, epoch, t, &chunk, s->bytes);

    if (error == 0) {
        s->sent = to;
        s->length = 0;
        s->reset = false;
    }
    return error;
}

/* A barrier or a go-live: the next chunk starts a segment. */
static void start_segment(uint32_t t)
{
    codec_reset(&sender[t].codec, sender[t].sent);
    sender[t].reset = true;
}

static int send_packet(uint32_t t, uint64_t number)
{
    uint8_t bytes[64];
    struct packet_item item = {.number = number, .port = 1, .length = 64, .bytes = bytes};

    memset(bytes, (int)number, sizeof(bytes));
    return output_log_packet(ol, epoch, t, &item);
}

static struct snapshot_mark mark_of(uint64_t number, position a, position b, uint64_t outputs)
{
    struct snapshot_mark mark = {.number = number, .threads = 2, .positions = {.threads = 2}};

    mark.positions.at[0] = a;
    mark.positions.at[1] = b;
    mark.outputs[0] = outputs;
    return mark;
}

static void first_base(void)
{
    struct snapshot_mark mark = mark_of(1, 0, 0, 0);

    cr_assert_eq(output_log_snapshot(ol, epoch, &mark), 0);
    cr_assert_eq(committed, 1);
}

static struct output_log_state state(void)
{
    struct output_log_state out;

    output_log_state(ol, &out);
    return out;
}

/* ---- release ---- */

Test(output_log, waits_for_its_own_record_and_every_position_of_its_vor)
{
    first_base();
    write_out(0, 3, 2, 3, 5);
    cr_assert_eq(send_packet(0, 1), 0);
    cr_assert_eq(released[0], 0, "no OUT record yet");
    cr_assert_eq(send_log(0, 3), 0);
    cr_assert_eq(released[0], 0, "thread 1 is not at 5");
    cr_assert_eq(send_log(1, 4), 0);
    cr_assert_eq(released[0], 0);
    cr_assert_eq(send_log(1, 5), 0);
    cr_assert_eq(released[0], 1);
    cr_assert_eq(send_packet(0, 2), 0);
    cr_assert_eq(released[0], 2, "one record stands for two packets");
    cr_assert_eq(last_byte, 2);
    cr_assert_eq(state().held, 0);
}

Test(output_log, a_record_ahead_of_its_position_releases_nothing)
{
    first_base();
    write_out(0, 3, 1, 3, 0);
    cr_assert_eq(send_packet(0, 1), 0);
    struct log_chunk piece = {.from = 0, .to = 0, .reset = true, .length = sender[0].length};
    cr_assert_eq(output_log_chunk(ol, epoch, 0, &piece, sender[0].bytes), 0);
    cr_assert_eq(released[0], 0, "R did not advance");
    struct log_chunk rest = {.from = 0, .to = 3};
    cr_assert_eq(output_log_chunk(ol, epoch, 0, &rest, NULL), 0);
    cr_assert_eq(released[0], 1);
}

Test(output_log, a_log_may_be_cut_anywhere)
{
    first_base();
    for (position at = 1; at <= 40; at++)
        write_out(0, at, 1, at, 0);
    for (uint32_t i = 0; i < sender[0].length; i++) {
        bool last = i + 1 == sender[0].length;
        struct log_chunk piece = {.from = 0, .to = last ? 40 : 0, .reset = i == 0, .length = 1};
        cr_assert_eq(output_log_chunk(ol, epoch, 0, &piece, sender[0].bytes + i), 0);
    }
    for (uint64_t n = 1; n <= 40; n++)
        cr_assert_eq(send_packet(0, n), 0);
    cr_assert_eq(released[0], 40);
    cr_assert_eq(state().records[RECORD_OUT], 40);
}

Test(output_log, nothing_leaves_before_the_first_base)
{
    write_out(0, 1, 1, 1, 0);
    cr_assert_eq(send_log(0, 1), 0);
    cr_assert_eq(send_packet(0, 1), 0);
    cr_assert_eq(released[0], 0, "R16");
    cr_assert(output_log_wants_snapshot(ol));
    start_segment(0);
    struct snapshot_mark mark = mark_of(1, 1, 0, 1);
    cr_assert_eq(output_log_snapshot(ol, epoch, &mark), 0);
    cr_assert_eq(released[0], 1);
    cr_assert_not(output_log_wants_snapshot(ol));
}

Test(output_log, doubles_are_dropped_and_gaps_refused)
{
    first_base();
    cr_assert_eq(send_packet(0, 1), 0);
    cr_assert_eq(send_packet(0, 1), 0);
    cr_assert_eq(state().held, 1);
    cr_assert_eq(send_packet(0, 3), -EBADMSG);
    cr_assert_eq(state().malformed, 1);
}

/* ---- malformed ---- */

Test(output_log, chunks_that_do_not_follow_are_refused)
{
    struct log_chunk unreset = {.from = 0, .to = 1};
    cr_assert_eq(output_log_chunk(ol, epoch, 0, &unreset, NULL), -EBADMSG, "no segment yet");
    cr_assert_eq(send_log(0, 5), 0);
    struct log_chunk gap = {.from = 6, .to = 7};
    cr_assert_eq(output_log_chunk(ol, epoch, 0, &gap, NULL), -EBADMSG);
    struct log_chunk back = {.from = 5, .to = 4};
    cr_assert_eq(output_log_chunk(ol, epoch, 0, &back, NULL), -EBADMSG);
    cr_assert_eq(output_log_chunk(ol, epoch, THREADS_MAX, &gap, NULL), -EBADMSG);
    cr_assert_eq(state().malformed, 4);
    cr_assert_eq(send_log(0, 6), 0, "and nothing was spoilt");
}

Test(output_log, nonsense_breaks_the_log_but_keeps_what_was_good)
{
    const uint8_t nonsense[] = {0x0f, 0xff, 0xff};
    struct log_chunk chunk = {.from = 1, .to = 2, .length = sizeof(nonsense)};

    write_out(0, 1, 1, 1, 0);
    cr_assert_eq(send_log(0, 1), 0);
    size_t before = state().log_bytes;
    cr_assert_eq(output_log_chunk(ol, epoch, 0, &chunk, nonsense), -EBADMSG);
    cr_assert_eq(state().log_bytes, before);
    cr_assert_eq(state().received.at[0], 1);
    cr_assert_eq(send_log(0, 2), -EBADMSG, "nothing may follow a hole");
}

Test(output_log, an_out_record_that_leaves_out_its_own_send_is_refused)
{
    write_out(0, 3, 1, 2, 0);
    cr_assert_eq(send_log(0, 3), -EBADMSG);
}

Test(output_log, memory_is_bounded)
{
    uint64_t number = 0;
    int error;

    while ((error = send_packet(0, number + 1)) == 0)
        number++;
    cr_assert_eq(error, -ENOSPC);
    cr_assert_lt(output_log_room(ol), 64 + PACKET_ITEM_HEADER_BYTES);
    cr_assert_eq(number, MEMORY_BYTES / (64 + PACKET_ITEM_HEADER_BYTES));
}

static int send_bytes(uint32_t t)
{
    static const uint8_t bytes[1000];
    struct sender *s = &sender[t];

    s->length = record_bytes(&s->codec, s->bytes, s->sent + 1, bytes, sizeof(bytes));
    return send_log(t, s->sent + 1);
}

Test(output_log, held_packets_without_their_logs_want_a_snapshot)
{
    first_base();
    cr_assert_not(output_log_wants_snapshot(ol));
    for (uint64_t n = 1; state().memory_used <= MEMORY_BYTES / 2; n++)
        cr_assert_eq(send_packet(0, n), 0);
    cr_assert(output_log_wants_snapshot(ol));
}

/* Else a full memory would keep out what the snapshot needs that would free it (R13). */
Test(output_log, full_memory_takes_what_a_snapshot_waits_for)
{
    first_base();
    while (send_bytes(0) == 0)
        ;
    cr_assert_lt(output_log_room(ol), RECORD_MAX_BYTES);
    cr_assert_eq(send_log(0, sender[0].sent + 1), -ENOSPC);
    struct snapshot_mark mark = mark_of(2, sender[0].sent + 1, 0, 1);
    cr_assert_eq(output_log_snapshot(ol, epoch, &mark), 0);
    cr_assert_gt(output_log_room(ol), RECORD_MAX_BYTES);
    cr_assert_eq(send_log(0, sender[0].sent + 1), 0);
    cr_assert_gt(output_log_room(ol), RECORD_MAX_BYTES, "an output is missing");
    cr_assert_eq(send_packet(0, 1), 0);
    cr_assert_eq(committed, 2);
    cr_assert_eq(state().memory_used, 0);
    cr_assert_gt(state().memory_most, MEMORY_BYTES - RECORD_MAX_BYTES);
    cr_assert_eq(released[0], 1);
}

/* It was granted, and is under way, when a standby begins to follow or is lost. */
Test(output_log, what_a_snapshot_was_given_room_for_may_come_when_it_is_dropped)
{
    uint64_t number = 0;

    first_base();
    while (send_bytes(0) == 0)
        ;
    struct snapshot_mark mark = mark_of(2, sender[0].sent, 0, 1000);
    cr_assert_eq(output_log_snapshot(ol, epoch, &mark), 0);
    size_t given = output_log_room(ol);
    output_log_marks_drop(ol);
    cr_assert_lt(output_log_room(ol), RECORD_MAX_BYTES);
    while (send_packet(0, number + 1) == 0)
        number++;
    cr_assert_eq(number, given / (64 + PACKET_ITEM_HEADER_BYTES));
}

Test(output_log, what_waits_for_effects_alone_gets_no_room)
{
    first_base();
    while (send_bytes(0) == 0)
        ;
    struct snapshot_mark mark = mark_of(2, sender[0].sent, 0, 0);
    mark.effects[0] = 1;
    cr_assert_eq(output_log_snapshot(ol, epoch, &mark), 0);
    cr_assert_eq(send_log(0, sender[0].sent + 1), -ENOSPC);
    cr_assert_eq(output_log_effects(ol, epoch, 0, 1), 0);
    cr_assert_eq(committed, 2);
}

/* ---- the base ---- */

Test(output_log, a_snapshot_waits_for_logs_outputs_and_effects_below_it)
{
    first_base();
    write_out(0, 4, 2, 4, 0);
    cr_assert_eq(send_log(0, 4), 0);
    struct snapshot_mark mark = mark_of(2, 4, 3, 2);
    mark.effects[1] = 1;
    cr_assert_eq(output_log_snapshot(ol, epoch, &mark), 0);
    cr_assert_eq(committed, 1);
    cr_assert_eq(send_packet(0, 1), 0);
    cr_assert_eq(send_packet(0, 2), 0);
    cr_assert_eq(committed, 1, "thread 1 is not at 3");
    cr_assert_eq(send_log(1, 3), 0);
    cr_assert_eq(committed, 1, "effect 1 was not performed");
    cr_assert_eq(output_log_effects(ol, epoch, 1, 1), 0);
    cr_assert_eq(committed, 2);
    cr_assert_eq(state().base, 2);
    cr_assert_eq(state().log_bytes, 0, "all lies before the base");
}

Test(output_log, logs_after_the_mark_survive_the_commit)
{
    const struct stored_log *stored;

    first_base();
    write_out(0, 4, 1, 4, 0);
    cr_assert_eq(send_log(0, 4), 0);
    start_segment(0);
    write_out(0, 6, 1, 6, 0);
    uint32_t tail = sender[0].length;
    cr_assert_eq(send_log(0, 7), 0);
    struct snapshot_mark mark = mark_of(2, 4, 0, 1);
    cr_assert_eq(output_log_snapshot(ol, epoch, &mark), 0);
    cr_assert_eq(send_packet(0, 1), 0);
    cr_assert_eq(committed, 2);
    stored = output_log_stored(ol, 0);
    cr_assert_eq(stored->length, tail);
    cr_assert_eq(stored->segment_count, 1);
    cr_assert_eq(stored->segments[0].offset, 0);
    cr_assert_eq(stored->segments[0].start, 4);
    cr_assert_eq(send_packet(0, 2), 0);
    cr_assert_eq(released[0], 2);
}

Test(output_log, a_mark_between_segments_is_no_base)
{
    first_base();
    write_out(0, 4, 1, 4, 0);
    cr_assert_eq(send_log(0, 6), 0);
    struct snapshot_mark mark = mark_of(2, 5, 0, 0);
    cr_assert_eq(output_log_snapshot(ol, epoch, &mark), 0);
    cr_assert_eq(committed, 1);
    cr_assert_eq(state().malformed, 1);
}

Test(output_log, marks_may_not_go_back)
{
    first_base();
    cr_assert_eq(send_log(0, 5), 0);
    struct snapshot_mark late = mark_of(3, 5, 0, 0), number = mark_of(2, 5, 0, 0),
                         position = mark_of(4, 4, 0, 0);
    cr_assert_eq(output_log_snapshot(ol, epoch, &late), 0);
    cr_assert_eq(output_log_snapshot(ol, epoch, &number), -EBADMSG);
    cr_assert_eq(output_log_snapshot(ol, epoch, &position), -EBADMSG);
}

/* Two barriers with only predicted events between them: both are segment starts at one offset. */
Test(output_log, two_barriers_at_one_offset_may_both_become_the_base)
{
    first_base();
    cr_assert_eq(send_log(0, 4), 0);
    start_segment(0);
    cr_assert_eq(send_log(0, 6), 0);
    start_segment(0);
    cr_assert_eq(send_log(0, 9), 0);
    struct snapshot_mark first = mark_of(2, 4, 0, 0), second = mark_of(3, 6, 0, 0);
    cr_assert_eq(output_log_snapshot(ol, epoch, &first), 0);
    cr_assert_eq(committed, 2);
    cr_assert_eq(output_log_snapshot(ol, epoch, &second), 0);
    cr_assert_eq(committed, 3);
}

/* ---- takeover ---- */

static struct takeover takeover;

static int send_cut(position a, position b, uint64_t outputs)
{
    struct positions cut = {.threads = 2, .at = {a, b}};
    uint64_t counters[THREADS_MAX] = {outputs}, effects[THREADS_MAX] = {0};

    return output_log_cut(ol, takeover.epoch, &cut, counters, effects);
}

/* Thread 0 sends at 2 (1 packet), 4 (1) and 6 (1); the last two depend on thread 1 at 3. */
static void some_past(void)
{
    first_base();
    write_out(0, 2, 1, 2, 0);
    write_out(0, 4, 1, 4, 3);
    write_out(0, 6, 1, 6, 3);
    cr_assert_eq(send_log(0, 7), 0);
    cr_assert_eq(send_log(1, 2), 0);
    cr_assert_eq(send_packet(0, 1), 0);
    cr_assert_eq(send_packet(0, 2), 0);
    cr_assert_eq(send_packet(0, 3), 0);
    cr_assert_eq(released[0], 1);
}

Test(output_log, no_takeover_without_a_base)
{
    cr_assert_eq(output_log_takeover(ol, &takeover), -ENOENT);
    cr_assert_eq(state().epoch, 1);
}

Test(output_log, a_takeover_needs_its_epoch_on_disk)
{
    some_past();
    persist_error = -EIO;
    cr_assert_eq(output_log_takeover(ol, &takeover), -EIO);
    cr_assert_eq(state().epoch, 1);
    cr_assert_eq(send_log(0, 8), 0, "the old master still reigns");
    persist_error = 0;
    cr_assert_eq(output_log_takeover(ol, &takeover), 0);
    cr_assert_eq(persisted, 2);
}

Test(output_log, a_takeover_fences_and_hands_out)
{
    uint32_t second;

    some_past();
    cr_assert_eq(output_log_takeover(ol, &takeover), 0);
    cr_assert_eq(takeover.epoch, 2);
    cr_assert_eq(takeover.base.number, 1);
    cr_assert_eq(takeover.end.at[0], 7);
    cr_assert_eq(takeover.end.at[1], 2);
    cr_assert_eq(takeover.held[0], 3);
    cr_assert_eq(send_log(1, 3), -ESTALE, "G5");
    cr_assert_eq(send_packet(0, 4), -ESTALE);
    cr_assert_eq(output_log_effects(ol, epoch, 0, 1), -ESTALE);
    struct snapshot_mark mark = mark_of(2, 7, 2, 3);
    cr_assert_eq(output_log_snapshot(ol, epoch, &mark), -ESTALE);
    cr_assert_eq(state().stale_frames, 4);
    epoch = takeover.epoch;
    cr_assert_eq(send_log(1, 3), -EBADMSG, "not before the cut");
    cr_assert_eq(output_log_start(ol, &second), -EBUSY);
    cr_assert_eq(released[0], 1);
}

Test(output_log, a_cut_deletes_beyond_and_releases_within)
{
    const struct stored_log *stored;

    some_past();
    cr_assert_eq(output_log_takeover(ol, &takeover), 0);
    cr_assert_eq(send_cut(5, 2, 2), 0);
    cr_assert_eq(released[0], 2, "within the cut: satisfied (R12)");
    cr_assert_eq(state().held, 0, "beyond it: deleted");
    cr_assert_eq(state().received.at[0], 5);
    stored = output_log_stored(ol, 0);
    struct codec codec = {0};
    struct record record;
    size_t offset = 0;
    for (position at = 2; at <= 4; at += 2) {
        offset +=
            (size_t)record_decode(&codec, stored->bytes + offset, stored->length - offset, &record);
        cr_assert_eq(record.position, at);
    }
    cr_assert_eq(offset, stored->length, "the record at 6 is gone");

    epoch = takeover.epoch;
    sender[0].sent = 5;
    sender[0].reset = false;
    cr_assert_eq(send_log(0, 6), -EBADMSG, "the new master starts a segment");
    start_segment(0);
    write_out(0, 8, 1, 8, 2);
    cr_assert_eq(send_log(0, 8), 0);
    cr_assert_eq(send_packet(0, 3), 0);
    cr_assert_eq(released[0], 3);
    stored = output_log_stored(ol, 0);
    cr_assert_eq(stored->segments[stored->segment_count - 1].start, 5);
    cr_assert_eq(stored->segments[stored->segment_count - 1].offset, offset);
}

Test(output_log, outputs_that_never_arrived_are_taken_from_the_replay)
{
    first_base();
    write_out(0, 2, 2, 2, 0);
    cr_assert_eq(send_log(0, 2), 0);
    cr_assert_eq(send_packet(0, 1), 0);
    cr_assert_eq(output_log_takeover(ol, &takeover), 0);
    cr_assert_eq(takeover.held[0], 1);
    cr_assert_eq(send_cut(2, 0, 2), 0);
    epoch = takeover.epoch;
    cr_assert_eq(send_packet(0, 1), 0, "it need not, but it may");
    cr_assert_eq(send_packet(0, 2), 0);
    cr_assert_eq(released[0], 2);
}

Test(output_log, a_cut_that_contradicts_the_logs_is_refused)
{
    some_past();
    cr_assert_eq(output_log_takeover(ol, &takeover), 0);
    cr_assert_eq(send_cut(8, 2, 3), -EBADMSG, "beyond the end");
    cr_assert_eq(send_cut(5, 2, 3), -EBADMSG, "the log counts 2 outputs");
    cr_assert_eq(send_cut(1, 2, 0), -EBADMSG, "output 1 was released (G3)");
    takeover.epoch = 1;
    cr_assert_eq(send_cut(5, 2, 2), -ESTALE);
    takeover.epoch = 2;
    cr_assert_eq(send_cut(5, 2, 2), 0);
    cr_assert_eq(send_cut(5, 2, 2), -EBADMSG, "once");
}

Test(output_log, a_backup_that_dies_in_replay_is_succeeded)
{
    some_past();
    cr_assert_eq(output_log_takeover(ol, &takeover), 0);
    struct takeover first = takeover;
    cr_assert_eq(output_log_takeover(ol, &takeover), 0);
    cr_assert_eq(takeover.epoch, first.epoch + 1);
    cr_assert_eq(takeover.base.number, first.base.number);
    cr_assert_eq(takeover.end.at[0], first.end.at[0]);
    cr_assert_eq(send_cut(5, 2, 2), 0);
}

Test(output_log, a_snapshot_on_its_way_dies_with_its_master)
{
    some_past();
    struct snapshot_mark mark = mark_of(2, 7, 3, 3);
    cr_assert_eq(output_log_snapshot(ol, epoch, &mark), 0);
    cr_assert_eq(output_log_takeover(ol, &takeover), 0);
    cr_assert_eq(send_cut(5, 2, 2), 0);
    epoch = takeover.epoch;
    sender[1].sent = 2;
    start_segment(1);
    cr_assert_eq(send_log(1, 3), 0);
    cr_assert_eq(committed, 1);
}

Test(output_log, two_takeovers_without_a_snapshot_between)
{
    const struct stored_log *stored;

    some_past();
    cr_assert_eq(output_log_takeover(ol, &takeover), 0);
    cr_assert_eq(send_cut(5, 2, 2), 0);
    epoch = takeover.epoch;
    sender[0].sent = 5;
    start_segment(0);
    write_out(0, 7, 1, 7, 2);
    cr_assert_eq(send_log(0, 9), 0);
    cr_assert_eq(output_log_takeover(ol, &takeover), 0);
    cr_assert_eq(send_cut(8, 2, 3), 0);
    stored = output_log_stored(ol, 0);
    cr_assert_eq(stored->segment_count, 2);
    cr_assert_eq(stored->segments[0].start, 0);
    cr_assert_eq(stored->segments[1].start, 5);
    epoch = takeover.epoch;
    cr_assert_eq(send_packet(0, 3), 0);
    cr_assert_eq(released[0], 3);
}

/* ---- an output logger that knows nothing of its master's past (R16) ---- */

/* Output logger and its memory died under epoch 1; at the barrier thread 0 stood at 10 after 5
 * outputs. */
static struct resume some_resume(void)
{
    struct resume resume = {.mark = mark_of(7, 10, 4, 5), .shipped = {3}, .performed = {2}};

    resume.mark.effects[0] = 3;
    output_log_destroy(ol);
    ol = output_log_create(MEMORY_BYTES, 1, 100, &actions, NULL);
    for (uint32_t t = 0; t < 2; t++) {
        sender[t].sent = positions_get(&resume.mark.positions, t);
        start_segment(t);
    }
    return resume;
}

Test(output_log, a_living_master_resumes_at_a_new_output_logger)
{
    struct resume resume = some_resume();

    released[0] = 3; /* at most: by the one that died */
    cr_assert_eq(send_log(0, 11), -EBADMSG, "before RESUME nobody speaks");
    cr_assert_eq(output_log_resume(ol, 1, &resume), 0);
    write_out(0, 12, 1, 12, 4);
    cr_assert_eq(send_log(0, 12), 0);
    cr_assert_eq(send_packet(0, 4), 0, "it had not left the master");
    cr_assert_eq(send_packet(0, 6), -EBADMSG);
    cr_assert_eq(send_packet(0, 5), 0);
    cr_assert_eq(send_packet(0, 6), 0);
    cr_assert_eq(released[0], 3, "no base, no release");
    cr_assert_eq(output_log_takeover(ol, &takeover), -ENOENT);
    cr_assert_eq(output_log_snapshot(ol, 1, &resume.mark), 0);
    cr_assert_eq(committed, 0, "an effect before it is not performed (R13)");
    cr_assert_eq(output_log_effects(ol, 1, 0, 3), 0);
    cr_assert_eq(committed, 7);
    cr_assert_eq(released[0], 6);
    cr_assert_eq(output_log_takeover(ol, &takeover), 0);
    cr_assert_eq(takeover.base.number, 7);
    cr_assert_eq(takeover.end.at[0], 12);
    cr_assert_eq(takeover.end.at[1], 4);
    cr_assert_eq(takeover.held[0], 6);
    epoch = 2;
    cr_assert_eq(send_cut(12, 4, 6), 0);
}

Test(output_log, who_may_resume)
{
    struct resume resume = some_resume();

    cr_assert_eq(output_log_resume(ol, 0, &resume), -ESTALE, "it was replaced (R17)");
    cr_assert_eq(output_log_resume(ol, 2, &resume), -ENODATA, "another disk");
    resume.shipped[0] = 6;
    cr_assert_eq(output_log_resume(ol, 1, &resume), -EBADMSG, "more than there are");
    resume.shipped[0] = 3;
    cr_assert_eq(output_log_resume(ol, 1, &resume), 0);
    cr_assert_eq(output_log_resume(ol, 1, &resume), -EBUSY);
    cr_assert_eq(output_log_start(ol, &epoch), -EBUSY);
}
