/*
 * One NF process, master or backup: the toy NF, the part of the runtime around it (logs, rings,
 * inputs, barrier, effects) and its ends of the two links. The hooks' work is done by record.c,
 * replay's by replay.c, the I/O thread's by process.c.
 */
#ifndef PALISADE_SIM_PROCESS_H
#define PALISADE_SIM_PROCESS_H

#include "core/link.h"
#include "core/message.h"
#include "core/rejoin.h"
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
#define SIM_SNAPSHOTS_OPEN 3u /* under way to a base */

enum control_kind {
    CONTROL_SNAPSHOT, /* to the OL */
    CONTROL_EFFECTS,
    CONTROL_RESUME,
    CONTROL_GO, /* from the OL */
    CONTROL_IMAGE_STORED,
    CONTROL_COMMITTED,
    CONTROL_STANDBY, /* to the master */
    CONTROL_FOLLOW,  /* to the standby */
    CONTROL_STORED_LOG,
    CONTROL_PROGRESS, /* from whoever replays */
    CONTROL_DEPARTED,
    CONTROL_REIGN, /* to the IL, and its answer */
    CONTROL_COPY,
    CONTROL_TRUNCATE
};

/* A message on a lifeline: delivered in order, or lost with the sender's death. */
struct control {
    enum control_kind kind;
    uint32_t epoch, thread;
    uint64_t number; /* EFFECTS: effect; TRUNCATE: input; IMAGE_STORED: snapshot; STANDBY: 0, 1 */
    struct input_claim claim;
    struct resume resume; /* SNAPSHOT and COMMITTED: its mark only */
    struct toy_nf *image; /* owned */
    bool tainted;         /* of a process that had departed from the log */
    union {
        struct message_stored_log *piece; /* with its bytes, in one allocation; owned */
        struct message_progress *progress;
        void *body;
    };
};

struct controls {
    struct control queue[SIM_CONTROLS_MAX];
    uint32_t head, tail;
};

/* One link between this process and a logger: both ends and the network between them. */
struct connection {
    uint64_t of; /* incarnation of the logger; 0: it is lost, and that was noticed */
    struct link *own, *logger;
    struct network up, down;              /* towards the logger; towards the process */
    uint64_t committed, logger_committed; /* last frame of each end */
    struct controls to, from;             /* the lifeline: towards the logger; the process */
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
    struct causes causes; /* for the oracle */
};

/* An operation under way. All zero between operations, so also at a barrier. */
struct step {
    uint32_t phase;
    struct choice choice;
    struct word word;
    struct version version;
    uint64_t stamp, sequence, first;
    struct causes causes;
    struct input_name inputs[TOY_RECEIVE_MAX];
    uint32_t input_count;
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

/* One thread's stream, as runtime/replay/stored.c has it: what is written lies there twice, in
 * place of a ring that is mapped twice. */
struct replay_thread {
    struct log_reader reader;
    uint8_t *ring;
    struct log_segment segments[STORED_SEGMENTS_MAX];
    uint64_t length, segment_count;
    position to, told;
    struct id_range ranges[RECORD_RANGES_MAX]; /* received, their bytes not yet here */
    uint32_t range_count;
};

struct replay {
    struct snapshot_mark base;
    uint64_t number;                                          /* of its last snapshot */
    bool open;                                                /* on its way to the base */
    uint64_t held[SIM_THREADS_MAX], effects[SIM_THREADS_MAX]; /* the OL has */
    struct takeover takeover;                                 /* once it is told */
    struct replay_thread thread[SIM_THREADS_MAX];
};

/* What the OL we speak to could recover (R16, R18). */
enum based {
    BASED_NOT,    /* nothing */
    BASED_STORED, /* an image is there whole: it is about to be its first base */
    BASED         /* a base is committed, and the logs since */
};

enum process_mode { PROCESS_DEAD, PROCESS_LIVE, PROCESS_REPLAY };

struct process {
    enum process_mode mode;
    uint32_t epoch;
    uint64_t claimant;
    struct random *random;
    const int64_t *now_ns;
    const struct faults *faults;
    struct oracle *oracle; /* NULL: its events are not, or no longer, the surviving execution's */
    struct oracle *judge;  /* the same, for effects: those are seen whoever performs them */

    struct toy_nf nf;
    struct step step[SIM_THREADS_MAX];
    struct causality truth;
    struct log log[SIM_THREADS_MAX];
    struct log *logs[SIM_THREADS_MAX];
    uint8_t log_bytes[SIM_THREADS_MAX][SIM_LOG_BYTES + RECORD_MAX_BYTES];
    struct output_ring ring[SIM_THREADS_MAX];

    struct input_name queue[SIM_INPUTS_MAX]; /* received, not consumed */
    uint32_t queue_count;
    struct rejoin rejoin; /* .inputs: every input below has arrived over the link */
    uint32_t patience;    /* looks at the queue until what is left of a dead IL is dropped */

    struct effect effects[SIM_EFFECTS_MAX]; /* FIFO over all threads */
    uint32_t effects_head, effects_tail;
    struct shipped_log shipped[4 * LINK_WINDOW_FRAMES];
    uint32_t shipped_head, shipped_tail;
    struct positions acked; /* by this OL */
    enum based based;
    struct snapshot_mark stored;         /* BASED_STORED: of the image */
    uint64_t given[SIM_THREADS_MAX];     /* outputs put into a link, the highest */
    uint64_t performed[SIM_THREADS_MAX]; /* effects */

    int64_t partition_until_ns; /* until then its networks lose everything */

    bool draining; /* no new operation is begun */
    bool barrier;
    bool standby;                /* one makes the snapshots */
    bool due;                    /* a snapshot: none does any more */
    bool departed;               /* planted: its state is not what it should be (G6) */
    bool noticed;                /* ... as it knows */
    uint64_t snapshots, settled; /* made; of those committed, or lost with an OL */

    struct connection output, input;
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

/* Replay: see replay.c. From `image` on, which is `base`; logs and inputs are still to come. */
void process_replay_begin(struct process *process, const struct snapshot_mark *base,
                          const struct toy_nf *image, struct input_claim inputs);
/* The rest of the logs is coming, then it takes over. */
void process_replay_take_over(struct process *process, const struct takeover *takeover);
enum event process_replay_step(struct process *process, uint32_t thread);
/* True when every thread has come to rest, and nothing that is still to come could change that: the
 * maximal cut. */
bool process_replay_at_rest(struct process *process);

/* The stream of logs: follow.c. Messages of the OL while it replays. */
void process_control_replay(struct process *process);
void process_tell_progress(struct process *process);
/* A snapshot of the standby. False: some thread is in the middle of an event. */
bool process_standby_snapshot(struct process *process);

/* The I/O thread. */
void process_ship(struct process *process);
void process_transmit(struct process *process);
void process_receive_input(struct process *process);
void process_receive_output(struct process *process);
/* `recoverable`: what would survive our death now, for the oracle; NULL: nothing. */
void process_perform_effects(struct process *process, const struct positions *recoverable);
/* At the barrier: makes the snapshot and queues it. False: not yet. */
bool process_snapshot(struct process *process);
bool process_quiet(const struct process *process);

/* A logger that died and came back (R16): rejoin.c. */
void process_output_lost(struct process *process);
void process_output_welcomed(struct process *process, uint64_t of);
void process_input_lost(struct process *process);
/* Connected to an input logger: claims. */
void process_input_connected(struct process *process, uint64_t of);
/* Logs are dropped that nobody wants. */
void process_discard(struct process *process);
/* Messages from the loggers. */
void process_control_output(struct process *process);
void process_control_input(struct process *process);
/* A snapshot should be made now, whatever else calls for one. */
bool process_wants_snapshot(struct process *process);
/* At the barrier, before and after the mark is made. */
struct rejoin_barrier process_rejoin_barrier(struct process *process);
void process_resume(struct process *process, const struct snapshot_mark *mark);

struct control *control_push(struct controls *controls);
/* Next message, to be handled at once; NULL when empty. */
struct control *control_pop(struct controls *controls);

void connection_open(struct connection *connection, uint32_t session, uint32_t epoch);
void connection_close(struct connection *connection);
/* The logger is dead: its end, and all messages to it. What it had sent is still under way. */
void connection_logger_dies(struct connection *connection);
/* Nothing of it is of use any more, but that its frames are still in the network. */
void connection_lost(struct connection *connection);
/* A new session with a logger, in the same network. */
void connection_renew(struct connection *connection, uint32_t session, uint32_t epoch, uint64_t of);
/* A frame for the end at `down` or `up` that is due; true when `header` is the next in order. */
bool connection_receive(struct process *process, struct network *network, struct link *link,
                        struct frame *header, const uint8_t **payload);
/* Puts what `link` wants to send on the network. */
void connection_transmit(struct process *process, struct network *network, struct link *link);

#endif
