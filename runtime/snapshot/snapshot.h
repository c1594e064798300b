/*
 * Taking snapshots in the master: barrier, copy, ship, commit. I/O thread only.
 *
 *   idle -> barrier (threads come to a safe state) -> copied (threads run again)
 *        -> shipping (pages that differ from the last image) -> shipped -> committed by the OL
 *
 * One snapshot at a time; the next begins after the last was committed (R13).
 */
#ifndef PALISADE_SNAPSHOT_H
#define PALISADE_SNAPSHOT_H

#include "core/message.h"
#include "process.h"

enum snapshot_state { SNAPSHOT_IDLE, SNAPSHOT_BARRIER, SNAPSHOT_SHIPPING, SNAPSHOT_COMMITTING };

struct snapshot_figures {
    uint64_t number;
    int64_t pause_ns; /* barrier raised to threads released */
    int64_t copy_ns;  /* of that, with all threads stopped */
    uint64_t bytes;   /* in the image */
    uint64_t shipped_bytes;
};

void snapshot_init(void);
/* First number to give, and everything shipped whole: at start and after a takeover. */
void snapshot_restart(uint64_t next_number);
/* Another process's snapshot `number` is the base: ours come after it. */
void snapshot_numbers_above(uint64_t number);
/* The output logger is gone: what is under way ends, the next one is shipped whole. */
void snapshot_abandon(void);
enum snapshot_state snapshot_state(void);

/* Raises the barrier. */
void snapshot_begin(int64_t now);
/* In SNAPSHOT_BARRIER: are all threads safe? They stay so until snapshot_copy. */
bool snapshot_ready(void);
/*
 * Then: copies, and lets the threads go on. `next` is the id after the last one delivered to a
 * queue, and whose it is. `logs_restart`: nobody will want the logs before (R16).
 */
void snapshot_copy(struct input_claim next, bool logs_restart);
/* Of the snapshot copied last. */
const struct snapshot_mark *snapshot_mark(void);
/*
 * In SNAPSHOT_BARRIER for too long: lowers the barrier, back to SNAPSHOT_IDLE; true then. A thread
 * that comes to no wait may itself be spinning for one that is held at the barrier.
 */
bool snapshot_give_up(int64_t now);
/* Does a thread wait for room in its log, that is, for the output logger? */
bool snapshot_logs_full(void);
/*
 * In SNAPSHOT_SHIPPING: hands the next messages to `send` (0 or -errno) as long as `room` bytes
 * last. Reaches SNAPSHOT_COMMITTING when all are sent.
 */
int snapshot_ship(size_t room, int (*send)(void *context, const struct message *message),
                  void *context);
/* The OL committed `number`; true when it was ours. */
bool snapshot_committed(uint64_t number);
const struct snapshot_figures *snapshot_figures(void);
/* The mark of the snapshot that was copied and is not committed yet, or NULL. */
const struct snapshot_mark *snapshot_pending(void);

/* The description that travels in IMAGE_BEGIN: inputs delivered but not consumed. */
struct snapshot_inputs {
    packet_id next;
    uint32_t count;
    packet_id *pending; /* ascending; owned by the caller (free) */
};
int snapshot_inputs_read(const uint8_t *bytes, uint32_t length, struct snapshot_inputs *out);

#endif
