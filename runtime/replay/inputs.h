/*
 * The memory of inputs during replay: what the input logger feeds again from the base on, or copies
 * to a hot standby as it enters.
 *
 * Replay consumes by id, in the order the logs say. What nobody consumed within the cut is
 * offered again to the live NF: the set, not a suffix (R15).
 */
#ifndef PALISADE_REPLAY_INPUTS_H
#define PALISADE_REPLAY_INPUTS_H

#include "core/frame.h"

/*
 * Starts empty: the first input to come is `first`; of those below `next` only the ids in
 * `pending` (ascending) were not yet consumed at the base. I/O thread.
 */
void inputs_begin(packet_id first, packet_id next, const packet_id *pending, uint32_t count);
/* The next input arrived; ids are contiguous (-EBADMSG otherwise). I/O thread. */
int inputs_add(const struct packet_item *item);
/* Those before `id` that did not arrive never will, and nobody needs them. I/O thread. */
void inputs_skip(packet_id id);
/* The bytes of an input that replay receives; waits for it to arrive. NULL: it was consumed
 * before. Valid until inputs_done. NF threads in replay. */
const uint8_t *inputs_consume(packet_id id, uint16_t *port, uint16_t *length);
void inputs_done(packet_id id);
/* Frees what replay is done with. I/O thread. */
void inputs_trim(void);
/* Are less than `most_bytes` kept, or does replay wait for one that did not arrive? I/O thread. */
bool inputs_wanted(uint64_t most_bytes);

/* After replay: the oldest input nobody consumed, false when there is none left. I/O thread. */
bool inputs_next(struct packet_item *item);
void inputs_pop(void);
/*
 * The ids below `next` that nobody consumed yet, ascending; returns how many (`ids` may be NULL).
 * After replay, or while nobody consumes.
 */
uint32_t inputs_waiting(packet_id next, packet_id *ids);
/*
 * One past the last input consumed, at the base or since: with inputs_waiting() below it all that
 * is not consumed. False: of what was known at the base not all has arrived. I/O thread.
 */
bool inputs_consumed_to(packet_id *next);
/* Nobody will consume the rest; returns how many that were. After replay. */
uint32_t inputs_discard(void);
/* True until all was handed on; then inputs may bypass this memory. */
bool inputs_kept(void);
/* One past the last input that arrived here. */
packet_id inputs_end(void);
/* Bytes that arrived since inputs_begin. */
uint64_t inputs_bytes(void);

#endif
