/*
 * Control messages: what travels on the lifeline, the TCP connection that every NF process keeps
 * to each logger beside its AF_XDP link. Its closing is how a dead process is noticed at once;
 * its silence (HEARTBEAT_TIMEOUT_NS) how a dead host is. Bulk that may block (images, stored logs)
 * goes here, packets and live logs never. Layout: docs/protocol.md, "Messages".
 *
 * On the stream: u32 length of what follows, u8 version, u8 kind, u16 0, u32 epoch, body. Integers
 * little-endian. A malformed or unknown message ends the connection, never the process.
 */
#ifndef PALISADE_CORE_MESSAGE_H
#define PALISADE_CORE_MESSAGE_H

#include "input_log.h"
#include "output_log.h"

#define MESSAGE_VERSION 4u
#define MESSAGE_MAX_BYTES (4u << 20) /* after the length field */
#define MESSAGE_HEADER_BYTES 12u     /* length field included */
#define IMAGE_PAGE_BYTES 4096u
#define IMAGE_PAGES_MAX 256u /* in one IMAGE_PAGES message */
#define IDENTITY_MAX_BYTES 1024u
#define REFUSAL_MAX_BYTES 512u
#define PORT_NAME_BYTES 16u
#define HEARTBEAT_EVERY_NS 100000000 /* each way */
#define HEARTBEAT_TIMEOUT_NS 1000000000

enum message_kind {
    MESSAGE_HELLO = 1,     /* NF -> logger, first; a master with an epoch comes back (R16) */
    MESSAGE_WELCOME,       /* logger -> NF */
    MESSAGE_REFUSE,        /* either way, then close: one sentence */
    MESSAGE_HEARTBEAT,     /* either way; empty body */
    MESSAGE_REIGN,         /* NF -> IL: claim the inputs; the IL's answer is a REIGN back */
    MESSAGE_TRUNCATE,      /* NF -> IL: inputs below are no longer needed */
    MESSAGE_IMAGE_BEGIN,   /* master -> OL -> backup: mark and description of a snapshot */
    MESSAGE_IMAGE_PAGES,   /* master -> OL -> backup: pages that changed since the last image */
    MESSAGE_IMAGE_END,     /* master -> OL -> backup: the image is whole */
    MESSAGE_COMMITTED,     /* OL -> master, backup: snapshot `number` is the base (R13) */
    MESSAGE_WANT_SNAPSHOT, /* logger -> master: it fills up; or a new OL needs a base (R16) */
    MESSAGE_TAKEOVER,      /* OL -> backup: struct takeover */
    MESSAGE_STORED_LOG,    /* OL -> backup: the next piece of one thread's log since the base */
    MESSAGE_STORED_END,    /* OL -> backup: all logs of the dead master handed out */
    MESSAGE_CUT,           /* backup -> OL */
    MESSAGE_GO,      /* OL -> backup: the cut is committed, go live; or the answer to RESUME */
    MESSAGE_EFFECTS, /* NF -> OL: effects performed (R18) */
    MESSAGE_RESUME,  /* master -> a new OL: struct resume; nothing is shipped before GO (R16) */
    MESSAGE_IMAGE_STORED, /* OL -> master: image `number` is here whole, not yet committed; only of
                             an OL without a base, whose logs alone make nothing stable: until the
                             commit only what lies below its mark is, and no other image begins */
    MESSAGE_FOLLOW,   /* OL -> hot standby: base `number` is in place; replay what comes from now on
                       */
    MESSAGE_COPY,     /* hot standby -> IL: copy me the inputs of this claim, as they enter */
    MESSAGE_PROGRESS, /* backup -> OL: how far its replay is; more pieces may come */
    MESSAGE_SENTINEL, /* NF -> logger, instead of HELLO: the end of this connection is its death */
    MESSAGE_STANDBY,  /* OL -> master: 1: a standby follows and makes the snapshots; 0: none does */
    MESSAGE_KINDS
};

enum role { ROLE_MASTER = 1, ROLE_BACKUP = 2 };

/* How a backup waits. Hot: it replays while the master lives. Check: the same, and never takes
 * over. */
enum standby { STANDBY_COLD, STANDBY_HOT, STANDBY_CHECK, STANDBY_KINDS };

struct message_hello {
    uint8_t role;
    uint8_t standby;                   /* enum standby; of a master: COLD */
    uint8_t mac[6];                    /* of the NF's end of the link */
    uint64_t claimant;                 /* random, names this process */
    char identity[IDENTITY_MAX_BYTES]; /* build, layout, options, CPU: compared as text (G8) */
};

enum port_kind {
    PORT_ETHERNET = 1, /* a network device: packets begin with an Ethernet header */
    PORT_TUN,          /* packets are bare IPv4 or IPv6 */
    PORT_TAP           /* as Ethernet, from the kernel's end of a TAP device */
};

struct port {
    char name[PORT_NAME_BYTES]; /* as the NF knows it */
    uint8_t mac[6];             /* 0 for TUN */
    uint16_t mtu;
    uint16_t kind; /* enum port_kind */
};

struct message_welcome {
    uint32_t epoch;       /* OL: the one the master reigns under; backup: the present one */
    uint32_t session;     /* of the link */
    uint64_t incarnation; /* of this logger (R16) */
    uint8_t mac[6];       /* of the logger's end of the link */
    uint16_t port_count;  /* both loggers send the same table, by index */
    struct port ports[PORTS_MAX];
};

struct message_refuse {
    uint8_t status; /* exit status the refused process should end with */
    char text[REFUSAL_MAX_BYTES];
};

struct message_reign { /* and COPY */
    uint64_t claimant;
    struct input_claim claim; /* NF: feed me that; the IL answers with what it will feed */
};

struct message_sentinel { /* what WELCOME gave whom */
    uint64_t claimant;
    uint32_t session;
};

struct message_image_begin {
    struct snapshot_mark mark;
    bool whole; /* every page follows, not only changed ones */
    uint32_t description_bytes;
    const uint8_t *description; /* runtime's own table: regions, threads, pending inputs */
};

struct message_image_pages {
    uint64_t address; /* of the first page */
    uint32_t count;   /* contiguous pages, 1 .. IMAGE_PAGES_MAX */
    const uint8_t *bytes;
};

/*
 * Offsets count from the base: the first piece has 0, and is decoded with the codec that the
 * image carries for that thread. At most STREAM_RING_BYTES may lie between what the backup told to
 * have consumed (PROGRESS) and the end of a piece.
 */
struct message_stored_log {
    uint32_t thread;
    uint64_t offset;        /* of this piece in the thread's stream */
    position to;            /* with this piece every record at or below is there (R3) */
    uint64_t held;          /* outputs of the thread that the OL has, contiguous (R14) */
    uint64_t effects;       /* of the thread, performed (R18) */
    uint32_t segment_count; /* where the codec is reset, within this piece or at its end */
    struct log_segment segments[STORED_SEGMENTS_MAX];
    uint32_t length;
    const uint8_t *bytes;
};
#ifndef STREAM_RING_BYTES            /* the simulator has a smaller one */
#define STREAM_RING_BYTES (4u << 20) /* of each thread, at the backup */
#endif

struct message_progress {
    struct positions positions;     /* replayed */
    uint64_t consumed[THREADS_MAX]; /* bytes of each thread's stream that nobody will read again */
};

struct message_cut {
    struct positions cut;
    uint64_t outputs[THREADS_MAX];
    uint64_t effects[THREADS_MAX];
};

struct message_number { /* IMAGE_END, IMAGE_STORED, COMMITTED, FOLLOW: snapshot; TRUNCATE:
                           packet_id; EFFECTS; STANDBY */
    uint64_t number;
    uint32_t thread; /* EFFECTS */
};

struct message {
    enum message_kind kind;
    uint32_t epoch; /* of the sender */
    union {
        struct message_hello hello;
        struct message_welcome welcome;
        struct message_refuse refuse;
        struct message_reign reign;
        struct message_image_begin image_begin;
        struct message_image_pages image_pages;
        struct message_stored_log stored_log;
        struct message_progress progress;
        struct message_sentinel sentinel;
        struct message_cut cut;
        struct takeover takeover;
        struct resume resume;
        struct message_number number;
    };
};

/*
 * Encodes to `out`; returns the bytes including the length field, or -ENOSPC when `room` is too
 * small, -EINVAL when a bound is exceeded. MESSAGE_MAX_BYTES + 4 is always room enough.
 */
int64_t message_encode(const struct message *message, uint8_t *out, size_t room);
/*
 * Decodes the message at the start of `bytes`. Returns its total bytes, 0 when it is not yet
 * complete, -EBADMSG when malformed, -EPROTO for another version. Pointers in *out point into
 * `bytes`. Never reads past `length`.
 */
int64_t message_decode(const uint8_t *bytes, size_t length, struct message *out);
const char *message_kind_name(enum message_kind kind);

#endif
