/*
 * The I/O thread: everything of an NF process that touches the network (see process.h). One struct
 * for the room; only this thread reads or writes it.
 */
#ifndef PALISADE_IO_H
#define PALISADE_IO_H

#include <poll.h>

#include "core/rejoin.h"
#include "journal/journal.h"
#include "process.h"
#include "xdp/lifeline.h"
#include "xdp/wire.h"

enum io_phase {
    IO_LIVE,      /* master */
    IO_WARM,      /* backup: collects images */
    IO_FOLLOWING, /* hot standby: threads replay what the master does */
    IO_REPLAYING, /* takeover: logs come in, threads replay */
    IO_CUT,       /* takeover: the cut is at the output logger */
};

enum logger_side { OUTPUT_LOGGER, INPUT_LOGGER, LOGGER_SIDES };

struct io {
    enum io_phase phase;
    uint32_t epoch;
    uint64_t claimant;
    struct wire *il_wire, *ol_wire;
    struct lifeline *il_line, *ol_line; /* NULL while the logger is away (rejoin.c) */
    struct journal *journal;
    int64_t now_ns;
    int64_t next_snapshot_ns;
    int64_t next_timer_ns;     /* of the NF's timers */
    int64_t next_progress_ns;  /* of replay, told to the output logger */
    struct rejoin rejoin;      /* what the loggers of this moment allow (R16) */
    uint64_t unclaimed;        /* inputs that no queue wanted */
    uint64_t inputs_discarded; /* of a dead input logger, consumed by nobody (R16) */
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
/* What coming back later shares with it (rejoin.c). */
struct message connect_hello(enum role role, const struct wire *wire);
void connect_session(struct wire *wire, const struct message_welcome *welcome, const char *logger);
/* The same ports as ever? Ends the process when not. */
void connect_check_ports(const struct message_welcome *welcome, const char *logger);
/* Claims inputs under io.epoch. Does not wait for the answer. */
void io_reign(struct input_claim claim);

/* ---- the thread that tells of our death at once (sentinel.c) ---- */

void sentinel_start(void);
/* The logger has welcomed us to `session`: so it hears when that ends. I/O thread. */
void sentinel_watch(enum logger_side which, uint32_t session);

/* The loop (io.c). Never returns. */
__attribute__((noreturn)) void io_run(enum io_phase phase);
/* Sleeps until io_wake, at most so long (io=memory; the loop has its own way). */
void io_sleep(int timeout_ms);
/* Tells the input logger, if it is there, which inputs a committed snapshot still needs. */
void io_truncate(packet_id first);
/* A last word: waits a little until it is out. */
void io_goodbye(enum logger_side which, const struct message *message);
/* Sends to the output logger if it is there; a failure is told by the next logger_service. Always
 * 0: fits snapshot_ship. */
int io_send_ol(void *context, const struct message *message);

/* ---- a logger dies and comes back (rejoin.c) ---- */

/* Reads, writes and handles what comes from it; when it is lost, or away, sees to its return. */
void logger_service(enum logger_side which,
                    int (*handler)(void *context, const struct message *message));
/* Something could not be sent to it: it is lost at the next logger_service. */
void logger_broken(enum logger_side which, int error);
/* The input logger answered our claim. */
void logger_claimed(struct input_claim claim);
/* We are protected again, on its side: told once. */
void logger_back(enum logger_side which);
/* What to poll for it. */
struct pollfd logger_poll(enum logger_side which);
/* Latest time of the next logger_service. */
int64_t logger_next_wake(void);

/* ---- what protects the master: snapshots, effects, a new base (protect.c) ---- */

/* Once a round of a master. Returns the work done. */
uint32_t protect_round(void);
/* A master's output logger is lost: what it had is void. */
void protect_output_lost(void);
/* A logger fills up: only a snapshot frees what it keeps. */
void protect_wanted(enum logger_side who);
/* A hot standby follows, and makes the snapshots; or none does any more. */
void protect_standby(bool follows);
/* Numbers of snapshots, from the output logger. */
void protect_committed(uint64_t number);
void protect_go(void);
void protect_image_stored(uint64_t number);
/* After a takeover: what had been performed before. */
void protect_go_live(void);

/* ---- outgoing (ship.c) ---- */

/* Logs, then outputs, of all threads into the link. Returns frames made. */
uint32_t ship_logs(void);
uint32_t ship_outputs(void);
/* The next pieces of a snapshot; false when the lifeline's queue has no room for them. */
bool ship_image(void);
/* Moves what replaying threads send out of their rings, to be shipped after the go-live; forgets
 * what the output logger has by now (R14). */
void ship_collect_replayed(void);
/* Logs that nobody will want (R16). */
void ship_discard_logs(void);
/* A new link: what the old one had not delivered is lost. */
void ship_link_renewed(void);
/* Number of the last output given to any output logger. */
uint64_t ship_given(uint32_t thread);
/* After replay: what the output logger has counts as given to it; collects the rest. */
void ship_go_live(void);
/* Acknowledged log frames are stable (R18). */
void ship_update_stable(void);
/* Is there anything a thread has left to ship? */
bool ship_pending(void);

/* ---- incoming (deliver.c) ---- */

/* Receives inputs as far as queues have room. Returns frames and packets handled. */
uint32_t deliver_inputs(void);
/* May a frame of inputs be received now? When not, the NF's next receive wakes us. */
bool deliver_wants_frames(void);
/* Has the NF consumed all that was delivered? */
bool deliver_all_consumed(void);
/* Drops what it has not. While all threads are parked. */
void deliver_discard(void);
/* Do inputs kept since a takeover fit into the queues by now? */
bool deliver_can_hand_on(void);

/* ---- what a backup has in place (backup.c) ---- */

/* Messages of an image. 0 or -errno. */
int backup_image(const struct message *message);
/* Of the image in place; number 0: none. */
const struct snapshot_mark *backup_base(void);
/* Its inputs go to the memory of inputs, which begins there. */
void backup_inputs_begin(void);

/* ---- a backup that replays (standby.c, takeover.c) ---- */

/* What to execute again. */
void standby_arguments(char *const *argv);
/* FOLLOW. */
int standby_follow(uint32_t epoch, uint64_t base);
/* Once a round of replay: has a thread departed from the log? */
void standby_departure_round(void);
/* Once a round while it follows. Returns true when something moved. */
bool standby_round(void);
/* It cannot go on from where it is: begins anew as a fresh backup. */
__attribute__((noreturn, format(printf, 1, 2))) void standby_start_over(const char *format, ...);
/* At start: another attempt, when this process began anew by itself and nobody else would make it;
 * else it returns. */
void standby_retry(enum status status);

/* ---- the snapshots of a standby that follows (standby_snapshot.c) ---- */

void standby_snapshots_begin(uint64_t base);
/* A takeover begins: the barrier is lowered, what is under way ends. */
void standby_snapshots_end(void);
bool standby_snapshot_round(void);
/* A logger fills up. */
void standby_snapshot_wanted(void);
void standby_snapshot_committed(uint64_t number);

/* Threads go on from the image's contexts. Returns how many live. */
uint32_t takeover_replay_begin(void);
void takeover_progress(void);

/* A waiting backup's output logger is lost: the next one begins with a whole image. */
void backup_output_lost(void);
/* A message from the output logger in any backup phase. 0 or -errno. */
int backup_message(const struct message *message);
/* Called each round: quiescence, go-live. Returns true when something moved. */
bool backup_step(void);
/* Once a round of a master: after a takeover, when its backlog is gone, what replay needed is
 * freed. */
void takeover_tidy(void);

#endif
