/*
 * One NF process, master or backup: the toy NF, the part of the runtime around it (logs, rings,
 * inputs, barrier, effects) and its ends of the two links. The hooks' work is done by record.c,
 * replay's by replay.c, the I/O thread's by process.c.
 */
#ifndef PALISADE_SIM_PROCESS_H
#define PALISADE_SIM_PROCESS_H

#include "core/link.h"
#include "network.h"
#include "toy.h"

#define SIM_LOG_BYTES 8192u  /* of one thread's ring: the least log_init takes */
#define SIM_RING_OUTPUTS 16u /* a thread that finds its ring this full waits */
#define SIM_RING_MAX 4096u   /* what a backup regenerates fits too */
#define SIM_QUEUE_INPUTS 48u
#define SIM_FRAME_PACKETS 4u
#define SIM_LINK_FRAMES 8u /* unacknowledged frames of one end */
#define SIM_EFFECTS_MAX 2048u
#define SIM_CONTROLS_MAX 256u

enum control_kind { CONTROL_SNAPSHOT, CONTROL_EFFECTS, CONTROL_TRUNCATE };

/* A message on a lifeline: delivered in order, or lost with the sender's death. */
struct control {
    enum control_kind kind;
    uint32_t epoch, thread;
    uint64_t number; /* EFFECTS: effect; TRUNCATE: input */
    struct snapshot_mark mark;
    struct toy_nf *image; /* owned */
};

struct controls {
    struct control queue[SIM_CONTROLS_MAX];
    uint32_t head, tail;
};

/* One link between this process and a logger: both ends and the network between them. */
struct connection {
    struct link *own, *logger;
    struct network up, down;              /* towards the logger; towards the process */
    uint64_t committed, logger_committed; /* last frame of each end */
};

struct held_output {
    uint64_t number, seed;
    uint16_t port, length;
};

struct output_ring {
    struct held_output item[SIM_RING_MAX];
    uint32_t head, tail;
};

struct effect {
    uint32_t thread;
    uint64_t number, content;
    struct positions vor;
};

/* An operation under way. All zero between operations, so also at a barrier. */
struct step {
    uint32_t phase;
    struct choice choice;
    struct word word;
    struct version version;
    uint64_t stamp, sequence, first;
    struct causes causes;
    packet_id ids[TOY_RECEIVE_MAX];
    uint32_t id_count;
};

/* True causes, for the oracle only. */
struct causality {
    struct causes thread[SIM_THREADS_MAX];
    struct causes lock[TOY_LOCKS], acquired[TOY_LOCKS];
    struct causes slot[TOY_SLOTS], mixed;
    /* of the last write, and of what was read since; of the writer's acquisition */
    struct causes written[TOY_RWLOCKS], read[TOY_RWLOCKS], rw_acquired[TOY_RWLOCKS];
};

struct shipped_log { /* a LOG frame under way: stable when acknowledged */
    uint64_t frame;
    uint32_t thread;
    position to;
};

struct replay_thread {
    struct log_reader reader;
    uint8_t *bytes;
    struct log_segment segments[64];
    struct id_range ranges[RECORD_RANGES_MAX]; /* received, their bytes not yet here */
    uint32_t range_count;
};

struct replay {
    struct takeover takeover;
    struct replay_thread thread[SIM_THREADS_MAX];
};

enum process_mode { PROCESS_DEAD, PROCESS_LIVE, PROCESS_REPLAY };

struct process {
    enum process_mode mode;
    uint32_t epoch;
    uint64_t claimant;
    struct random *random;
    const int64_t *now_ns;
    const struct faults *faults;
    struct oracle *oracle; /* NULL: fenced, its events are not the surviving execution's */
    struct oracle *judge;  /* the same, for effects: those are seen whoever performs them */

    struct toy_nf nf;
    struct step step[SIM_THREADS_MAX];
    struct causality truth;
    struct log log[SIM_THREADS_MAX];
    struct log *logs[SIM_THREADS_MAX];
    uint8_t log_bytes[SIM_THREADS_MAX][SIM_LOG_BYTES + RECORD_MAX_BYTES];
    struct output_ring ring[SIM_THREADS_MAX];

    packet_id queue[SIM_INPUTS_MAX]; /* received, not consumed */
    uint32_t queue_count;
    packet_id arrived; /* every input below has arrived over the link */

    struct effect effects[SIM_EFFECTS_MAX]; /* FIFO over all threads */
    uint32_t effects_head, effects_tail;
    struct shipped_log shipped[4 * LINK_WINDOW_FRAMES];
    uint32_t shipped_head, shipped_tail;
    struct positions stable; /* acknowledged by the OL */

    int64_t partition_until_ns; /* until then its networks lose everything */

    bool draining; /* no new operation is begun */
    bool barrier;
    uint64_t snapshots;

    struct connection output, input;
    struct controls to_output, to_input;
    struct replay *replay;
    uint64_t waits_log, waits_ring; /* back-pressure that really happened */
};

struct process *process_create(struct random *random, const int64_t *now_ns,
                               const struct faults *faults, uint32_t epoch, uint64_t claimant);
void process_destroy(struct process *process);
/* kill -9: what is in the networks and a random part of its messages stays under way. */
void process_kill(struct process *process);

/* First start; or go live after replay: new log segments, every waiter wakes (R9). */
void process_go_live(struct process *process);

/* One step of one thread in record mode; false when it waits. */
bool process_record_step(struct process *process, uint32_t thread);
bool process_thread_idle(const struct process *process, uint32_t thread);

/* Replay: see replay.c. */
void process_replay_begin(struct process *process, const struct takeover *takeover,
                          const struct output_log *ol, const struct toy_nf *image);
enum event process_replay_step(struct process *process, uint32_t thread);
/* True when every thread has come to rest: the maximal cut. */
bool process_replay_at_rest(struct process *process);

/* The I/O thread. */
void process_ship(struct process *process);
void process_transmit(struct process *process);
void process_receive_input(struct process *process);
void process_receive_output(struct process *process);
void process_perform_effects(struct process *process);
/* At the barrier: makes the snapshot and queues it. False: not yet. */
bool process_snapshot(struct process *process);
void process_committed(struct process *process, const struct snapshot_mark *mark);
bool process_quiet(const struct process *process);

struct control *control_push(struct controls *controls);
/* Next message, to be handled at once; NULL when empty. */
struct control *control_pop(struct controls *controls);

void connection_open(struct connection *connection, uint32_t session, uint32_t epoch);
void connection_close(struct connection *connection);
/* A frame for the end at `down` or `up` that is due; true when `header` is the next in order. */
bool connection_receive(struct process *process, struct network *network, struct link *link,
                        struct frame *header, const uint8_t **payload);
/* Puts what `link` wants to send on the network. */
void connection_transmit(struct process *process, struct network *network, struct link *link);

#endif
