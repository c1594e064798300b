/*
 * Inputs from the input logger into the queues of the NF.
 *
 * Nothing is dropped for want of room: while a queue could not take a whole frame, no frame is
 * received, the link's window closes, the input logger keeps the packets (back-pressure). A packet
 * that no queue wants is given up; its id counts as consumed. After a takeover the memory of
 * inputs is emptied first, by the same measure: else a busy NF would let it grow for ever, and no
 * snapshot could be taken.
 */
#include "core/assert.h"
#include "hooks/packets/queue.h"
#include "io/io.h"
#include "replay/inputs.h"

#define PACKETS_IN_FRAME_MAX                                                                       \
    256u /* 3,346 payload bytes hold fewer; queue_packets is at least 512 */
#define DELIVER_BUDGET_FRAMES 64u
#define KEPT_BUDGET 64u /* packets: the first of a backlog must not wait for the last */
#define STANDBY_INPUT_BYTES (64u << 20) /* kept by one that follows */

static uint64_t touched; /* queues that got something this round */
_Static_assert(QUEUES_MAX <= 64, "touched has a bit per queue");

static bool room_for_frame(void)
{
    for (uint32_t q = 0; q < QUEUES_MAX; q++)
        if (process.queues[q] && IMAGE->queues[q].reads &&
            process.options.queue_packets - queue_used(process.queues[q]) < PACKETS_IN_FRAME_MAX)
            return false;
    return true;
}

/* False when the queue is full. */
static bool deliver(const struct packet_item *item)
{
    uint32_t queue = queue_for(item->port, item->bytes, item->length);
    if (queue == QUEUES_MAX) {
        io.unclaimed++;
        return true;
    }
    if (!queue_put(queue, item->number, item->port, item->bytes, item->length))
        return false;
    touched |= 1ull << queue;
    return true;
}

static void input_frame(void *context, const struct frame *frame, const uint8_t *payload)
{
    (void)context;
    struct packet_item item;
    if (frame->kind != FRAME_INPUT)
        return;
    for (uint32_t at = 0; at < frame->length;) {
        int took = packet_item_read(payload + at, frame->length - at, &item);
        if (took <= 0 || item.length > PACKET_MAX_BYTES)
            process_fail(STATUS_PROTOCOL, "the input logger sent a malformed packet list");
        at += (uint32_t)took;
        if (inputs_kept()) {
            if (item.number < inputs_end())
                continue; /* copied to this standby, and fed again after its claim */
            if (io.phase == IO_LIVE)
                inputs_skip(
                    item.number); /* our standby truncated those before: consumed long ago */
            if (inputs_add(&item) != 0)
                process_fail(STATUS_PROTOCOL, "the input logger sent input %llu where %llu was due",
                             (unsigned long long)item.number, (unsigned long long)inputs_end());
        } else {
            if (item.number < io.rejoin.inputs.from)
                continue;
            io.rejoin.inputs.from = item.number + 1;
            bool delivered = deliver(&item);
            ASSERT(delivered); /* room_for_frame */
        }
    }
}

/* After a takeover: what replay did not consume goes first, in order. */
static uint32_t deliver_kept(void)
{
    struct packet_item item;
    uint32_t moved = 0;
    while (moved < KEPT_BUDGET && inputs_next(&item) && deliver(&item)) {
        inputs_pop();
        moved++;
    }
    if (!inputs_kept())
        io.rejoin.inputs.from = inputs_end();
    return moved;
}

bool deliver_wants_frames(void)
{
    if (io.phase == IO_FOLLOWING)
        return inputs_wanted(STANDBY_INPUT_BYTES);
    bool wanted =
        io.phase != IO_LIVE || (rejoin_takes(&io.rejoin) && !inputs_kept() && room_for_frame());
    stall_note(&io.queues_full, !wanted, io.now_ns);
    return wanted;
}

bool deliver_all_consumed(void)
{
    if (inputs_kept())
        return false;
    for (uint32_t q = 0; q < QUEUES_MAX; q++)
        if (process.queues[q] && queue_ready(process.queues[q]))
            return false;
    return true;
}

void deliver_discard(void)
{
    io.inputs_discarded += inputs_discard();
    for (uint32_t q = 0; q < QUEUES_MAX; q++) {
        struct queue *queue = process.queues[q];
        if (queue == NULL)
            continue;
        io.inputs_discarded += queue_used(queue);
        atomic_store(&queue->tail, atomic_load(&queue->head)); /* its readers are parked */
    }
}

bool deliver_can_hand_on(void)
{
    return io.phase == IO_LIVE && inputs_kept() && room_for_frame();
}

uint32_t deliver_inputs(void)
{
    uint32_t done = 0;
    touched = 0;
    if (io.phase == IO_LIVE && inputs_kept())
        done += deliver_kept();
    for (uint32_t i = 0; i < DELIVER_BUDGET_FRAMES; i++) {
        if (!deliver_wants_frames())
            break;
        if (wire_receive(io.il_wire, io.now_ns, 1, input_frame, NULL) == 0)
            break;
        done++;
    }
    for (uint32_t q = 0; touched; q++, touched >>= 1)
        if (touched & 1)
            queue_wake(process.queues[q]);
    return done;
}
