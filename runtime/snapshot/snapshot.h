/*
 * Taking snapshots, in the master or in a standby that replays: barrier, copy, ship, commit. I/O
 * thread only.
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
    uint32_t let_go;  /* times that the barrier was lowered meanwhile, in replay */
    uint64_t bytes;   /* in the image */
    uint64_t shipped_bytes;
};

void snapshot_init(void);
/* First number to give, and everything shipped whole: at start and after a takeover. */
void snapshot_restart(uint64_t next_number);
/* Another process's snapshot `number` is the base: ours come after it. */
void snapshot_numbers_above(uint64_t number);
/* What is under way ends, the next one is shipped whole: the output logger is gone, or a standby
 * has other things to do. */
void snapshot_abandon(void);
enum snapshot_state snapshot_state(void);

/* Raises the barrier. */
void snapshot_begin(int64_t now);
/*
 * In SNAPSHOT_BARRIER: are all threads safe? They stay so until snapshot_copy. In replay, when all
 * that are not wait, most probably for who is, it lowers the barrier for as long as that lasts.
 */
bool snapshot_ready(void);
/* What becomes of the logs at the barrier. */
enum snapshot_logs {
    LOGS_SEGMENT, /* a segment begins */
    LOGS_RESTART, /* and nobody will want what lies before (R16) */
    LOGS_REPLAYED /* they are the master's, and go on: the image carries their codecs */
};
/*
 * Then: copies, and lets the threads go on. `next` is the id after the last one delivered to a
 * queue, or consumed in replay, and whose it is.
 */
void snapshot_copy(struct input_claim next, enum snapshot_logs logs);
/* Of the snapshot copied last. */
const struct snapshot_mark *snapshot_mark(void);
/*
 * In SNAPSHOT_BARRIER for too long: lowers the barrier, back to SNAPSHOT_IDLE; true then. A thread
 * that comes to no wait may itself be spinning for one that is held at the barrier.
 */
bool snapshot_give_up(int64_t now);
/* In replay: the call that somebody waited in last when the barrier was lowered for it. */
const char *snapshot_stuck_in(void);
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
/* Rest after one: a logger that fills up may want one after the other, and gets a fifth of the time
 * at most. */
int64_t snapshot_rest_ns(void);
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
