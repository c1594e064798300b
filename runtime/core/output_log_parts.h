/*
 * What the parts of the output logger's protocol share: output_log.c (intake and release),
 * output_base.c (snapshots), output_takeover.c. Nobody else includes this.
 */
#ifndef PALISADE_CORE_OUTPUT_LOG_PARTS_H
#define PALISADE_CORE_OUTPUT_LOG_PARTS_H

#include "held.h"
#include "output_log.h"
#include "stored_log.h"

#define MARKS_PENDING_MAX 4u

enum phase { PHASE_IDLE, PHASE_REIGN, PHASE_TAKEOVER };

struct output_thread {
    struct stored_log log;
    struct held_packets held;
    struct vor_queue vors;
    uint64_t logged;    /* number of the last output whose OUT record was parsed */
    uint64_t arrived;   /* number of the last output packet received, contiguous */
    uint64_t satisfied; /* outputs up to this one may be released */
    uint64_t released;  /* number of the last output released */
    uint64_t effects;   /* number of the last effect performed */
    /* The head's VOR is not covered before R[waits_for] reaches waits_until. */
    uint32_t waits_for;
    position waits_until;
};

struct output_log {
    struct output_log_actions actions;
    void *context;
    enum phase phase;
    uint32_t epoch;
    uint64_t incarnation;
    uint32_t threads; /* seen so far: highest index + 1 */
    struct positions received;
    struct snapshot_mark base; /* number 0: none */
    struct snapshot_mark pending[MARKS_PENDING_MAX];
    uint32_t pending_count;
    struct held_pool pool;
    size_t memory, memory_most, log_bytes, held_bytes;
    size_t overdrawn; /* so much may be used, for the room that a snapshot was given is under way */
    uint64_t released, held, stale, malformed, log_bytes_total;
    uint64_t records[RECORD_KINDS], record_bytes[RECORD_KINDS];
    struct output_thread thread[THREADS_MAX];
};

/* Persists and takes the next epoch; the negative errno of persist_epoch when it fails. */
int output_log_raise_epoch(struct output_log *ol);
/* Who speaks? 0, -ESTALE for an older epoch (G5), -EBADMSG while nobody may speak. */
int output_log_check_epoch(struct output_log *ol, uint32_t epoch);
/* Releases what may be released. */
void output_log_release_all(struct output_log *ol);
/* A head that waited for a position is to be looked at afresh. */
void output_thread_forget_wait(struct output_thread *thread);
/* Does a pending mark wait for logs or outputs? (For effects alone nothing is to be stored.) */
bool output_log_mark_awaited(const struct output_log *ol);
/* Notes how much of the memory may be used, before a pending mark goes or logs come. Returns how
 * much is. */
size_t output_log_overdraw(struct output_log *ol);
/* Makes every pending mark that R13 allows the base, oldest first. */
void output_log_commit_covered(struct output_log *ol);

#endif
