/*
 * The input logger's protocol: number every packet that enters, keep a copy until a committed
 * snapshot no longer needs it, feed the reigning NF (R15, R16, R17), and copy it all to a hot
 * standby.
 *
 * Bounded: a fixed ring of bytes. When it is full nothing more is accepted: the network in front
 * may drop, as it always may; nothing numbered is ever dropped. One thread at a time.
 */
#ifndef PALISADE_CORE_INPUT_LOG_H
#define PALISADE_CORE_INPUT_LOG_H

#include "frame.h"

struct input_log;

/* `bytes` of memory for packet copies; `epoch` as kept on disk (0 at first); `incarnation` of this
 * process, random, not 0 (R16). NULL: no memory. */
struct input_log *input_log_create(size_t bytes, uint32_t epoch, uint64_t incarnation);
void input_log_destroy(struct input_log *il);

/* A packet entered on `port`: its id, or 0 when the ring is full (counted; offer again or drop). */
packet_id input_log_accept(struct input_log *il, uint16_t port, const uint8_t *bytes,
                           uint16_t length);
/* Is there room for so many packets, whatever their lengths? Else leave them where they are. */
bool input_log_has_room(const struct input_log *il, uint32_t packets);
/* It fills up: the reigning NF should take a snapshot now, which frees what was consumed. */
bool input_log_wants_snapshot(const struct input_log *il);

/* Which inputs an NF claims: ids `from` on of the input logger `of`. */
struct input_claim {
    uint64_t of;    /* incarnation; 0: a master without a past at this logger ... */
    packet_id from; /* ... is fed what is kept and no other master was sent; then 0 */
};
/*
 * An NF claims the inputs under `epoch`. -ESTALE when the epoch is older than the reigning one, or
 * equal but of another claimant (R17); -ENODATA when it wants inputs of another incarnation, which
 * died with that (R16); -ERANGE when they are no longer kept, but for who reigns already: what its
 * standby truncated was consumed. On 0 *claim says what will be fed, and the caller persists the
 * epoch before it sends anything, then feeds the NF.
 */
int input_log_reign(struct input_log *il, uint32_t epoch, uint64_t claimant,
                    struct input_claim *claim);

/* Next packet to send to the reigning NF; false when all were sent. Advance with _sent. */
bool input_log_next(const struct input_log *il, struct packet_item *item);
void input_log_sent(struct input_log *il);

/*
 * A hot standby is copied every input of `claim` on, from another place of the same ring: what the
 * reigning NF is fed does not depend on it. One at a time: the last one asked. -ENODATA, -ERANGE as
 * above. A reign of its own ends it (the standby claims what it was not copied).
 */
int input_log_copy(struct input_log *il, const struct input_claim *claim);
/* Next packet to copy; false when there is none, or nobody is copied to. Advance with _copied. */
bool input_log_copy_next(const struct input_log *il, struct packet_item *item);
void input_log_copied(struct input_log *il);
void input_log_copy_stop(struct input_log *il);

/* A snapshot was committed that needs no input below `first` (from the reigning epoch only). When
 * it is a standby's that may be more than the reigning NF was sent: it needs none of them either,
 * for they were consumed before it reigned, and is fed those behind the gap. A
 * standby that was not copied all below by then is no longer copied to (input_log_state). */
int input_log_truncate(struct input_log *il, uint32_t epoch, packet_id first);

struct input_log_state {
    uint64_t incarnation;
    uint32_t epoch;
    packet_id oldest, next; /* kept: [oldest, next) */
    packet_id unsent;       /* first not yet sent to the reigning NF */
    packet_id uncopied;     /* first not yet copied to the standby; 0: there is none */
    uint64_t accepted, refused_full, bytes_used, bytes_total;
};
void input_log_state(const struct input_log *il, struct input_log_state *out);

#endif
