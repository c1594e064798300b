/*
 * The I/O thread: everything of an NF process that touches the network (see process.h). One struct
 * for the room; only this thread reads or writes it.
 */
#ifndef PALISADE_IO_H
#define PALISADE_IO_H

#include "core/rejoin.h"
#include "journal/journal.h"
#include "process.h"
#include "xdp/lifeline.h"
#include "xdp/wire.h"

enum io_phase {
    IO_LIVE,      /* master */
    IO_WARM,      /* backup: collects images */
    IO_FETCHING,  /* takeover: logs come in */
    IO_REPLAYING, /* takeover: threads replay */
    IO_CUT,       /* takeover: the cut is at the output logger */
};

struct io {
    enum io_phase phase;
    uint32_t epoch;
    uint64_t claimant;
    struct wire *il_wire, *ol_wire;
    struct lifeline *il_line, *ol_line;
    struct journal *journal;
    int64_t now_ns;
    int64_t next_snapshot_ns, last_snapshot_ns;
    int64_t given_up_ns;   /* the last attempt, when threads had to run on */
    bool snapshot_wanted;  /* by the output logger, since the last one */
    int64_t next_timer_ns; /* of the NF's timers */
    struct rejoin rejoin;  /* what the loggers of this moment allow (R16) */
    uint64_t unclaimed;    /* inputs that no queue wanted */
    struct positions stable;
    /* Waits: queues full, so that no inputs are taken; the window of the output logger's link; an
     * image for the lifeline's queue. */
    struct stall queues_full, window_full, image_waits;
    int wake_fd;
};
extern struct io io;

/* ---- start (connect.c) ---- */

/* Opens wires and lifelines, says hello in the given role. Ends the process when refused. */
void io_connect(enum role role, char *const *arguments);
/* Claims inputs under io.epoch. Does not wait for the answer. */
void io_reign(struct input_claim claim);

/* The loop (io.c). Never returns. */
__attribute__((noreturn)) void io_run(enum io_phase phase);
/* Sleeps until io_wake, at most so long (io=memory; the loop has its own way). */
void io_sleep(int timeout_ms);
/* Sends to the output logger's lifeline; a failure is a lost logger. Fits snapshot_ship. */
int io_send_ol(void *context, const struct message *message);

/* ---- outgoing (ship.c) ---- */

/* Logs, then outputs, of all threads into the link. Returns frames made. */
uint32_t ship_logs(void);
uint32_t ship_outputs(void);
/* Moves what replaying threads send out of their rings, to be shipped after the go-live. */
void ship_collect_replayed(void);
/* Acknowledged log frames are stable (R18). */
void ship_update_stable(void);
/* Is there anything a thread has left to ship? */
bool ship_pending(void);

/* ---- incoming (deliver.c) ---- */

/* Receives inputs as far as queues have room. Returns frames and packets handled. */
uint32_t deliver_inputs(void);
/* May a frame of inputs be received now? When not, the NF's next receive wakes us. */
bool deliver_wants_frames(void);
/* Do inputs kept since a takeover fit into the queues by now? */
bool deliver_can_hand_on(void);

/* ---- takeover (backup.c) ---- */

/* A message from the output logger in any backup phase. 0 or -errno. */
int backup_message(const struct message *message);
/* Called each round: quiescence, go-live. Returns true when something moved. */
bool backup_step(void);

#endif
