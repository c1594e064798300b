/*
 * What both daemons share: ports, link devices, lifelines, the loop. A daemon is a `struct
 * behaviour`: callbacks that the loop makes. One thread.
 *
 * A link device has at most one NF process behind it, its peer: known since its HELLO. Peers are
 * never freed inside a callback: peer_refuse and peer_drop mark them, and the loop lets them go
 * after telling the behaviour (lost).
 */
#ifndef PALISADE_XDP_LOGGER_H
#define PALISADE_XDP_LOGGER_H

#include "core/message.h"
#include "journal.h"
#include "lifeline.h"
#include "options.h"
#include "port.h"
#include "wire.h"

#define PEERS_MAX 32u
#define LOGGER_BATCH 64u /* frames or packets from one source in one round */
#define WHY_BYTES 256

struct logger;
struct peer;

struct link_device {
    struct logger *logger;
    const char *name;
    struct wire *wire;
    struct peer *peer; /* NULL: frames are thrown away */
    bool gone;         /* vanished; opened again when a connection comes over it */
};

struct peer {
    struct lifeline *line;
    struct link_device *device;
    bool admitted; /* HELLO accepted: the behaviour knows it and hears when it is lost */
    bool greeted;  /* WELCOME sent, the link is up */
    bool leaving;  /* to be dropped by the loop */
    enum role role;
    enum standby standby; /* of a backup */
    uint32_t epoch;       /* a master that comes back: under which it reigns; else 0 (R16) */
    uint64_t claimant;
    uint32_t session;  /* of its link */
    uint32_t sentinel; /* no NF process, but the sentinel of that claimant's session; else 0 */
    char identity[IDENTITY_MAX_BYTES];
    int64_t accepted_ns, serviced_ns;
};

struct behaviour {
    const struct options_defaults *defaults;
    enum port_side side; /* of the ports */

    /* All devices are open. */
    enum status (*start)(struct logger *logger, char *why);
    void (*stop)(struct logger *logger);
    /*
     * May this NF come in? 0, with epoch and incarnation of *welcome set; or refuse it
     * (peer_refuse) and return its value.
     */
    int (*hello)(struct logger *logger, struct peer *peer, struct message_welcome *welcome);
    /* WELCOME was sent and the link is up. */
    void (*greeted)(struct logger *logger, struct peer *peer);
    /* 0, or negative to drop the peer. */
    int (*message)(struct logger *logger, struct peer *peer, const struct message *message);
    void (*frame)(struct logger *logger, struct peer *peer, const struct frame *frame,
                  const uint8_t *payload);
    /* The peer goes: -EPIPE closed, -ETIMEDOUT silent, else dropped by us. Its wire still holds
     * what it sent. */
    void (*lost)(struct logger *logger, struct peer *peer, int error);
    /* Once a round: packets, credit, queues. Returns the work done, 0 when idle. */
    uint32_t (*step)(struct logger *logger);
    /* Shall the loop wake when a packet arrives at a port? NULL: never. */
    bool (*wants_packets)(struct logger *logger);
    /* Latest time of the next step; INT64_MAX: any. */
    int64_t (*next_wake)(struct logger *logger);
    /* Adds to the counters object. */
    void (*counters)(struct logger *logger, json_t *counters);
};

struct logger {
    const struct behaviour *behaviour;
    void *state; /* the behaviour's */
    struct options options;
    struct journal *journal;
    struct port_device ports[PORTS_MAX];
    struct link_device links[LINKS_MAX];
    struct peer *peers[PEERS_MAX];
    int listener, signals;
    int64_t now_ns;
    bool reign_open; /* the epoch's reign has not ended: its ports stay shut when we end */
    bool stopping;
    enum status status; /* to exit with */
    uint64_t refusals, frames_unexpected;
};

/* main() of a daemon: returns the exit status. */
int logger_run(const struct behaviour *behaviour, int argc, char **argv);

int64_t logger_clock_ns(void);
/* One sentence on stderr. */
void logger_say(const struct logger *logger, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Ends the loop with `status` after this round. */
void logger_end(struct logger *logger, enum status status);
/* Counters of everything shared, then the behaviour's: for the journal. */
json_t *logger_counters(struct logger *logger);

/* ---- peers.c ---- */

void peer_accept(struct logger *logger);
/* Reads, handles and writes; lets the peer go when it is lost. */
void peer_service(struct logger *logger, uint32_t index);
/* Sends REFUSE, marks the peer; returns -ECONNABORTED for handlers to return. */
int peer_refuse(struct logger *logger, struct peer *peer, enum status status, const char *format,
                ...) __attribute__((format(printf, 4, 5)));
/* Sends under `epoch`; on failure the peer is marked. */
void peer_send(struct logger *logger, struct peer *peer, const struct message *message);
void peer_drop(struct peer *peer);
/* Lets go whoever is marked. */
void peers_sweep(struct logger *logger);
void peers_close(struct logger *logger);
const char *peer_role_name(const struct peer *peer);

#endif
