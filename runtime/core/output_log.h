/*
 * The output logger's protocol: store the logs, hold every output until its VOR is stable (G1),
 * decide which snapshot is the base (R13), lead the takeover (R12), raise epochs (R17).
 *
 * A state machine: the caller feeds events and carries out the actions it gets back through
 * `struct output_log_actions`. It makes no system call; "durable" is the caller's duty inside
 * persist_epoch. One thread at a time. The same code runs in palisade-output-logger and in
 * tests/sim.
 *
 * Takeover, in the order of R12:
 *   output_log_takeover      epoch + 1 persisted, older frames refused from here on
 *   (caller hands out)       base number, logs since the base, R as end marks, output counters
 *   output_log_cut           the backup replayed to C: logs and outputs beyond are deleted, R := C,
 *                            held outputs within C are released; then, and only then, the backup
 *                            may go live (the function returning 0 is that permission)
 */
#ifndef PALISADE_CORE_OUTPUT_LOG_H
#define PALISADE_CORE_OUTPUT_LOG_H

#include "event.h"
#include "frame.h"
#include "stored_log.h"

struct output_log;

struct output_log_actions {
    /* Send this packet into the world. Exactly once per (thread, number), in order (G4). */
    void (*release)(void *context, uint32_t thread, uint64_t number, uint16_t port,
                    const uint8_t *bytes, uint16_t length);
    /* Write the epoch to disk and sync. Must not return before. -errno refuses the takeover. */
    int (*persist_epoch)(void *context, uint32_t epoch);
    /* Snapshot `number` is now the base: tell master and backup. */
    void (*committed)(void *context, uint64_t number);
};

/* What a snapshot stands for (R11, R13, R15); made at a barrier, of the master or of a standby. */
struct snapshot_mark {
    uint64_t number; /* 1, 2, ... within an epoch's reign; never repeats across epochs */
    struct positions positions;
    uint32_t threads;
    uint64_t outputs[THREADS_MAX];
    uint64_t effects[THREADS_MAX];
    uint64_t inputs_of;    /* incarnation of the input logger whose ids these are (R16) */
    packet_id inputs_from; /* every input below was consumed */
    bool replayed; /* a standby's: the logs go on across it with the codecs in its image; at a
                      master's own barrier they begin anew */
};

/*
 * How a living master goes on with an output logger that knows nothing of its past (R16): from a
 * barrier on. Its logs begin there; outputs above `shipped` follow, those at or below it were given
 * to the logger before, and whatever had not left there is lost.
 */
struct resume {
    struct snapshot_mark mark;       /* of the barrier; its image follows */
    uint64_t shipped[THREADS_MAX];   /* at most mark.outputs */
    uint64_t performed[THREADS_MAX]; /* effects (R18), at most mark.effects */
};

/* `memory_bytes` bounds logs plus held outputs. `epoch` as kept on disk; the first master reigns
 * under epoch + 1 (output_log_start). Incarnation: of this process, random; see R16. */
struct output_log *output_log_create(size_t memory_bytes, uint32_t epoch, uint64_t incarnation,
                                     const struct output_log_actions *actions, void *context);
void output_log_destroy(struct output_log *ol);

/* A first master appears: raises and persists the epoch; -EBUSY when another one reigns. */
int output_log_start(struct output_log *ol, uint32_t *epoch);
/*
 * The master that reigned when the output logger before this one died goes on (R16). 0; -ESTALE:
 * not under the epoch on disk, so it was replaced (R17; an epoch is given to one process only);
 * -ENODATA: under a newer one, this disk is not the one it was written to; -EBUSY: another one
 * reigns; -EBADMSG: `resume` contradicts itself. Nothing is released before the image of
 * `resume->mark` is committed.
 */
int output_log_resume(struct output_log *ol, uint32_t epoch, const struct resume *resume);

/* ---- from the reigning NF ---- */

/* All return 0; -ESTALE: older epoch, counted (G5); -EBADMSG: malformed or not contiguous;
 * -ENOSPC: over memory_bytes (the caller withholds link credit long before, see _room). */
int output_log_chunk(struct output_log *ol, uint32_t epoch, uint32_t thread,
                     const struct log_chunk *chunk, const uint8_t *bytes);
int output_log_packet(struct output_log *ol, uint32_t epoch, uint32_t thread,
                      const struct packet_item *item);
/* Effects up to `number` of `thread` were performed (R18). */
int output_log_effects(struct output_log *ol, uint32_t epoch, uint32_t thread, uint64_t number);
/* A snapshot's image has arrived whole; it becomes the base once R13 holds (-> committed).
 * -ECANCELED: a master's, and a standby's that is the base by now has overtaken it. */
int output_log_snapshot(struct output_log *ol, uint32_t epoch, const struct snapshot_mark *mark);

/* Snapshots that wait to become the base never will: they leave a standby behind that follows. */
void output_log_marks_drop(struct output_log *ol);

/*
 * Bytes that may still be stored; the caller turns this into link credit. While a snapshot waits
 * for logs or outputs there is always a little: they free more than they take (R13). So the bound
 * is exceeded by what the master had before its barrier, if it ships that first. Should the
 * snapshot be dropped, what was granted for it may still come.
 */
size_t output_log_room(const struct output_log *ol);
/* Most memory that a frame of this payload can take: a VOR has 8 bytes where the log has one. */
#define OUTPUT_LOG_FRAME_BYTES (9 * (size_t)FRAME_PAYLOAD_MAX_BYTES)
/* It fills up: the master should take a snapshot now. */
bool output_log_wants_snapshot(const struct output_log *ol);

/* ---- takeover ---- */

struct takeover {
    uint32_t epoch;             /* the new one */
    struct snapshot_mark base;  /* base.number == 0: none was committed, nothing can be recovered */
    struct positions end;       /* E = R */
    uint64_t held[THREADS_MAX]; /* outputs received contiguously: replayed ones at or below need
                                   not be sent again (R14) */
    uint64_t effects[THREADS_MAX]; /* performed: replayed ones at or below are not repeated (R18) */
};
/* The master is dead or cut off. -ENOENT: no base yet. */
int output_log_takeover(struct output_log *ol, struct takeover *out);
/*
 * The stored log of `thread` since the base; valid until the next output_log_* call. Segments stand
 * where a barrier (its snapshot not committed, or not yet) or a go-live reset the codec; before the
 * first one it is the base's.
 */
const struct stored_log *output_log_stored(const struct output_log *ol, uint32_t thread);
/* Outputs of `thread` received, contiguous, and its effects performed. */
uint64_t output_log_arrived(const struct output_log *ol, uint32_t thread);
uint64_t output_log_effects_done(const struct output_log *ol, uint32_t thread);
/* The present base; number 0: none. */
const struct snapshot_mark *output_log_base(const struct output_log *ol);
/*
 * The backup's cut: positions C, output and effect counters within C. -ESTALE: wrong epoch.
 * Afterwards chunks and packets under the new epoch are accepted; each thread's next chunk
 * starts a segment at C. Until the new master's first snapshot is committed the old base and the
 * kept logs up to C still serve for a further takeover.
 */
int output_log_cut(struct output_log *ol, uint32_t epoch, const struct positions *cut,
                   const uint64_t *outputs, const uint64_t *effects);

struct output_log_state {
    uint32_t epoch;
    uint64_t incarnation, base;
    struct positions received; /* R */
    uint64_t released, held, stale_frames, malformed, log_bytes, log_bytes_total;
    uint64_t memory_used, memory_most; /* logs, held packets, VORs */
    uint64_t records[RECORD_KINDS];    /* by kind: for bytes-per-packet figures */
    uint64_t record_bytes[RECORD_KINDS];
};
void output_log_state(const struct output_log *ol, struct output_log_state *out);

#endif
