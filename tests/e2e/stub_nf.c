/*
 * A toy NF with the whole protocol in one small program, to test the loggers without the runtime:
 * one thread that counts packets, stamps each with the count and sends it out of the other port.
 * Its only state is that count; lose it, replay it wrongly, or take over too early, and the stamps
 * tell.
 *
 *   stub_nf master|backup IDENTITY IL-DEVICE IL-ADDRESS OL-DEVICE OL-ADDRESS
 *
 * Environment: STUB_CLAIMANT=N is who it says it is; STUB_STALL=1: a backup claims the inputs and
 * then hangs in the middle of its takeover; STUB_EPOCH=N: a master says that it comes back from
 * epoch N; STUB_DIE=welcome|resume: a master that came back dies when it is welcome, or when it has
 * said where its logs go on.
 *
 * SIGTERM ends a master in the normal way. A refused process ends with the refusal's status. A live
 * one whose logger dies waits for the next one and goes on (core/rejoin.h).
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/assert.h"
#include "core/event.h"
#include "core/rejoin.h"
#include "lifeline.h"
#include "stub_packet.h"
#include "wire.h"

#define IL_PORT 7601
#define OL_PORT 7602
#define SNAPSHOT_EVERY_NS 200000000
#define PENDING (1u << 16) /* inputs received and not consumed; power of two */
#define LOG_BYTES (1u << 16)
#define IMAGE_ADDRESS 0x10000000u
/* The first image begins with this much of nothing, so that handing out the base takes a while and
 * the state comes last. */
#define BALLAST_PAGES (24u * 256u)
#define BALLAST_ADDRESS (IMAGE_ADDRESS - BALLAST_PAGES * IMAGE_PAGE_BYTES)
#define BATCH 16u
#define REJOIN_EVERY_NS 20000000

/* Everything that belongs to the NF's image (R11). */
struct state {
    struct thread_state thread;
    packet_id next_input;
    uint64_t counted;
};
#define STATE_PAGES ((sizeof(struct state) + IMAGE_PAGE_BYTES - 1) / IMAGE_PAGE_BYTES)

union image {
    struct state state;
    uint8_t bytes[STATE_PAGES * IMAGE_PAGE_BYTES];
};

struct end { /* of the connection to one logger */
    const char *name, *address;
    uint16_t port;
    struct lifeline *line; /* NULL: it died */
    struct wire *wire;
    struct message_welcome welcome;
    bool welcomed;
};

struct input {
    packet_id id;
    uint16_t port, length;
    uint8_t bytes[PACKET_MAX_BYTES];
};

static enum phase { WAITING, REPLAYING, WAITING_GO, LIVE } phase;
static struct end il, ol;
static uint64_t claimant;
static uint32_t epoch;
static union image now_image, staged, base;
static uint8_t ballast[IMAGE_PAGES_MAX * IMAGE_PAGE_BYTES];
static struct log pal;
static uint8_t pal_bytes[LOG_BYTES + RECORD_MAX_BYTES];
static struct input *pending;
static uint64_t pending_head, pending_tail;
static struct input *unsent; /* outputs */
static uint64_t unsent_head, unsent_tail;
static bool stalls, reigning, snapshot_wanted, imaging;
static uint64_t snapshots, last_frame;
static const char *identity;
static struct rejoin rejoin;
static uint64_t given;            /* number of the last output handed to a link */
static struct input_claim marked; /* inputs that the image on its way needs */
static int64_t now_ns, snapshot_ns, rejoin_ns;
static volatile sig_atomic_t stopping;

static struct takeover takeover;
static uint8_t *stored;
static size_t stored_length;
static struct log_segment segments[64];
static size_t segment_count;
static struct log_reader reader;

#define S (&now_image.state)

static __attribute__((noreturn)) void quit(int status, const char *text)
{
    fprintf(stderr, "stub_nf: %s\n", text);
    exit(status);
}

static void must_send(struct lifeline *line, const struct message *message)
{
    int error = lifeline_send(line, message);
    if (error && error != -EPIPE) /* then reading tells why, perhaps by a REFUSE */
        quit(1, strerror(-error));
}

static void die_at(const char *moment)
{
    const char *wanted = getenv("STUB_DIE");

    if (wanted && strcmp(wanted, moment) == 0)
        raise(SIGKILL);
}

/* ---- the NF proper: one batch ---- */

static void output_add(const struct input *input, uint64_t number, uint64_t stamp)
{
    struct input *out = &unsent[unsent_tail++ % PENDING];

    ASSERT(unsent_tail - unsent_head <= PENDING);
    *out = *input;
    out->id = number;
    out->port = 1 - input->port;
    ((struct stub_packet *)(void *)out->bytes)->stamp = stamp;
}

static void batch_send(uint32_t count, uint64_t first)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct input *input = &pending[pending_head++ % PENDING];
        ASSERT(input->id == S->next_input);
        S->next_input++;
        S->counted++;
        /* A backup does not send again what the OL has (R14). */
        if (phase == LIVE || first + i > takeover.held[0])
            output_add(input, first + i, S->counted);
    }
}

static void work_live(void)
{
    struct log *logs[] = {&pal};
    struct positions vor;
    uint64_t ready = pending_tail - pending_head;

    if (!ready || !log_has_room(&pal) || unsent_tail - unsent_head + BATCH > PENDING)
        return;
    uint32_t count = ready < BATCH ? (uint32_t)ready : BATCH;
    struct id_range range = {.first = S->next_input, .count = count};
    ev_receive_record(&S->thread, &pal, 0, &range, 1);
    if (!log_has_room(&pal))
        quit(1, "log full between receive and send: make it longer");
    uint64_t first = ev_out_record(&S->thread, &pal, count, (uint32_t)S->counted, logs, 1, &vor);
    batch_send(count, first);
}

static void diverged(void)
{
    quit(STATUS_DIVERGED, reader.why ? reader.why : "diverged");
}

/* Replays as far as the inputs are here; true at the end of the log. */
static bool work_replay(void)
{
    struct id_range ranges[RECORD_RANGES_MAX];

    for (;;) {
        struct log_reader before = reader;
        struct thread_state thread = S->thread;
        uint32_t count;
        uint64_t first;
        enum event event = ev_receive_replay(&S->thread, &reader, 0, ranges, &count);
        if (event == EVENT_END)
            return true;
        if (event != EVENT_PASS || (count && (count != 1 || ranges[0].first != S->next_input)))
            diverged();
        if (!count)
            continue;
        if (pending_tail - pending_head < ranges[0].count) {
            reader = before; /* its packets are still on their way */
            S->thread = thread;
            return false;
        }
        event = ev_out_replay(&S->thread, &reader, ranges[0].count, (uint32_t)S->counted, &first);
        if (event == EVENT_END) {
            /* The log ends between receive and send: the cut lies before both. */
            reader = before;
            S->thread = thread;
            return true;
        }
        if (event != EVENT_PASS)
            diverged();
        batch_send(ranges[0].count, first);
    }
}

/* ---- to the OL ---- */

static void ship(void)
{
    struct link *link = wire_link(ol.wire);
    uint8_t *payload;
    struct log_chunk chunk;

    while ((payload = link_reserve(link)) &&
           log_take(&pal, payload + LOG_HEADER_BYTES, FRAME_PAYLOAD_MAX_BYTES - LOG_HEADER_BYTES,
                    &chunk)) {
        log_header_write(payload, chunk.from, chunk.to);
        last_frame = link_commit(link, FRAME_LOG, 0, chunk.reset ? FRAME_RESET : 0,
                                 LOG_HEADER_BYTES + chunk.length);
    }
    while (unsent_head < unsent_tail && (payload = link_reserve(link))) {
        uint32_t length = 0, wrote;
        while (unsent_head < unsent_tail) {
            const struct input *out = &unsent[unsent_head % PENDING];
            const struct packet_item item = {
                .number = out->id, .port = out->port, .length = out->length, .bytes = out->bytes};
            wrote = packet_item_write(payload + length, FRAME_PAYLOAD_MAX_BYTES - length, &item);
            if (!wrote)
                break;
            length += wrote;
            given = out->id;
            unsent_head++;
        }
        last_frame = link_commit(link, FRAME_OUTPUT, 0, 0, length);
    }
}

static bool shipped(void)
{
    return unsent_head == unsent_tail && pal.taken == log_published(&pal);
}

static void pages_send(uint64_t address, uint32_t count, const uint8_t *bytes)
{
    must_send(ol.line, &(struct message){
                           .kind = MESSAGE_IMAGE_PAGES,
                           .epoch = epoch,
                           .image_pages = {.address = address, .count = count, .bytes = bytes}});
}

static bool snapshot_due(bool empty)
{
    if (!rejoin_may_snapshot(&rejoin))
        return false;
    if (rejoin.output == OUTPUT_SERVES && (imaging || !shipped()))
        return false;
    return rejoin_wants_snapshot(&rejoin, empty) || snapshot_wanted ||
           now_ns - snapshot_ns >= SNAPSHOT_EVERY_NS;
}

static void resume_send(const struct snapshot_mark *mark)
{
    struct message message = {.kind = MESSAGE_RESUME, .epoch = epoch, .resume = {.mark = *mark}};

    message.resume.shipped[0] = given;
    must_send(ol.line, &message);
    die_at("resume");
}

/* One thread: between two batches it always stands at a barrier. */
static void snapshot(void)
{
    bool empty = pending_head == pending_tail;

    if (!snapshot_due(empty))
        return;
    struct rejoin_barrier barrier = rejoin_at_barrier(&rejoin, empty);
    if (barrier.inputs_discard)
        S->next_input = rejoin.inputs.from;
    if (barrier.logs_restart)
        log_restart(&pal);
    else
        log_reset(&pal);
    thread_state_segment(&S->thread);
    struct message message = {.kind = MESSAGE_IMAGE_BEGIN, .epoch = epoch};
    struct snapshot_mark *mark = &message.image_begin.mark;
    mark->number = ++snapshots;
    mark->threads = mark->positions.threads = 1;
    mark->positions.at[0] = S->thread.position;
    mark->outputs[0] = S->thread.outputs;
    marked = (struct input_claim){.of = rejoin.inputs.of, .from = S->next_input};
    mark->inputs_of = marked.of;
    mark->inputs_from = marked.from;
    if (barrier.logs_restart)
        resume_send(mark);
    message.image_begin.whole = snapshots == 1 || barrier.logs_restart;
    message.image_begin.description = (const uint8_t *)"stub";
    message.image_begin.description_bytes = 4;
    must_send(ol.line, &message);
    for (uint32_t at = 0; message.image_begin.whole && at < BALLAST_PAGES; at += IMAGE_PAGES_MAX)
        pages_send(BALLAST_ADDRESS + at * IMAGE_PAGE_BYTES, IMAGE_PAGES_MAX, ballast);
    pages_send(IMAGE_ADDRESS, STATE_PAGES, now_image.bytes);
    must_send(ol.line, &(struct message){.kind = MESSAGE_IMAGE_END,
                                         .epoch = epoch,
                                         .number = {.number = mark->number}});
    imaging = true;
    snapshot_wanted = false;
    snapshot_ns = now_ns;
}

/* ---- messages ---- */

static void reign(struct input_claim claim)
{
    link_set_epoch(wire_link(il.wire), epoch, 0);
    must_send(il.line, &(struct message){.kind = MESSAGE_REIGN,
                                         .epoch = epoch,
                                         .reign = {.claimant = claimant, .claim = claim}});
}

static int welcome(struct end *end, const struct message *message)
{
    if (message->kind == MESSAGE_REFUSE && message->refuse.status == STATUS_BUSY && phase == LIVE)
        return -EBUSY; /* our last attempt is not quite gone */
    if (message->kind == MESSAGE_REFUSE)
        quit(message->refuse.status, message->refuse.text);
    if (message->kind != MESSAGE_WELCOME)
        return 0;
    end->welcome = message->welcome;
    end->welcomed = true;
    return wire_session(end->wire, message->welcome.session, message->welcome.epoch,
                        message->welcome.mac);
}

static int from_il(void *context, const struct message *message)
{
    (void)context;
    if (message->kind == MESSAGE_REIGN) {
        if (reigning) {
            rejoin_input_claimed(&rejoin, message->reign.claim);
            return 0;
        }
        reigning = true;
        rejoin_init(&rejoin, message->reign.claim);
        if (stalls)
            fprintf(stderr, "stub_nf: stalled\n");
        if (phase == LIVE && !S->next_input)
            S->next_input = message->reign.claim.from;
        return 0;
    }
    int error = welcome(&il, message);
    if (!error && message->kind == MESSAGE_WELCOME && phase == LIVE && reigning)
        reign(rejoin_input_claim(&rejoin, il.welcome.incarnation));
    return error;
}

static void stored_take(const struct message_stored_log *piece)
{
    ASSERT(piece->thread == 0);
    if (piece->offset == 0)
        segment_count = 0;
    ASSERT(segment_count + piece->segment_count <= STORED_SEGMENTS_MAX);
    stored_length = piece->offset + piece->length;
    stored = realloc(stored, stored_length + 1);
    memcpy(stored + piece->offset, piece->bytes, piece->length);
    memcpy(segments + segment_count, piece->segments,
           piece->segment_count * sizeof *piece->segments);
    segment_count += piece->segment_count;
}

/* A run may hold ballast and state. */
static void pages_take(const struct message_image_pages *pages)
{
    for (uint32_t i = 0; i < pages->count; i++) {
        uint64_t address = pages->address + (uint64_t)i * IMAGE_PAGE_BYTES;
        if (address >= IMAGE_ADDRESS)
            memcpy(staged.bytes + (address - IMAGE_ADDRESS),
                   pages->bytes + (size_t)i * IMAGE_PAGE_BYTES, IMAGE_PAGE_BYTES);
    }
}

static int from_ol(void *context, const struct message *message)
{
    (void)context;
    switch (message->kind) {
    case MESSAGE_IMAGE_BEGIN:
        staged = base;
        break;
    case MESSAGE_IMAGE_PAGES:
        pages_take(&message->image_pages);
        break;
    case MESSAGE_COMMITTED:
        if (phase == LIVE) {
            imaging = false;
            if (il.welcomed && marked.of == il.welcome.incarnation)
                must_send(il.line, &(struct message){.kind = MESSAGE_TRUNCATE,
                                                     .epoch = epoch,
                                                     .number = {.number = marked.from}});
        } else {
            base = staged;
        }
        break;
    case MESSAGE_WANT_SNAPSHOT:
        snapshot_wanted = true;
        break;
    case MESSAGE_TAKEOVER:
        takeover = message->takeover;
        epoch = takeover.epoch;
        snapshots = takeover.base.number;
        now_image = base;
        link_set_epoch(wire_link(ol.wire), epoch, 0);
        break;
    case MESSAGE_STORED_LOG:
        stored_take(&message->stored_log);
        break;
    case MESSAGE_STORED_END:
        log_reader_init(&reader, stored, stored_length, segments, segment_count,
                        takeover.end.at[0]);
        phase = REPLAYING;
        reign((struct input_claim){takeover.base.inputs_of, takeover.base.inputs_from});
        break;
    case MESSAGE_GO:
        if (phase == LIVE) {
            rejoin_output_go(&rejoin);
            fprintf(stderr, "stub_nf: goes on under epoch %u\n", epoch);
            break;
        }
        given = takeover.held[0] < S->thread.outputs ? takeover.held[0] : S->thread.outputs;
        thread_state_segment(&S->thread);
        log_init(&pal, pal_bytes, LOG_BYTES, S->thread.position);
        log_reset(&pal);
        phase = LIVE;
        snapshot_wanted = true;
        fprintf(stderr, "stub_nf: live under epoch %u\n", epoch);
        break;
    default:
        if (welcome(&ol, message))
            return -EBUSY;
        if (message->kind == MESSAGE_WELCOME && rejoin.output == OUTPUT_LOST)
            rejoin_output_welcomed(&rejoin);
        if (rejoin.output == OUTPUT_WELCOMED)
            die_at("welcome");
    }
    return 0;
}

static void input_frame(void *context, const struct frame *frame, const uint8_t *payload)
{
    (void)context;
    for (uint32_t at = 0; at < frame->length;) {
        struct packet_item item;
        int taken = packet_item_read(payload + at, frame->length - at, &item);
        ASSERT(frame->kind == FRAME_INPUT && taken > 0);
        at += (uint32_t)taken;
        struct input *input = &pending[pending_tail++ % PENDING];
        ASSERT(pending_tail - pending_head <= PENDING);
        input->id = item.number;
        input->port = item.port;
        input->length = item.length;
        memcpy(input->bytes, item.bytes, item.length);
        rejoin.inputs.from = item.number + 1;
    }
}

static void ignore_frame(void *context, const struct frame *frame, const uint8_t *payload)
{
    (void)context;
    (void)frame;
    (void)payload;
}

/* ---- start and loop ---- */

static int64_t clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void hello_send(struct end *end, enum role role)
{
    const char *pretended = getenv("STUB_EPOCH");
    struct message hello = {.kind = MESSAGE_HELLO,
                            .epoch = phase == LIVE ? epoch : 0,
                            .hello = {.role = (uint8_t)role, .claimant = claimant}};

    if (pretended)
        hello.epoch = (uint32_t)strtoul(pretended, NULL, 10);
    memcpy(hello.hello.mac, wire_mac(end->wire), 6);
    snprintf(hello.hello.identity, sizeof hello.hello.identity, "%s", identity);
    must_send(end->line, &hello);
}

static void end_open(struct end *end, enum role role, const char *device)
{
    char why[256];
    enum status status = wire_open(&end->wire, device, 0, why);
    if (status == STATUS_OK)
        status = lifeline_connect(&end->line, end->address, end->port, 2000, why);
    if (status != STATUS_OK)
        quit((int)status, why);
    hello_send(end, role);
}

static void end_lost(struct end *end)
{
    fprintf(stderr, "stub_nf: the %s logger is gone\n", end->name);
    if (phase != LIVE || !reigning)
        exit(STATUS_UNREACHABLE);
    lifeline_close(end->line);
    end->line = NULL;
    end->welcomed = false;
    if (end == &ol)
        rejoin_output_lost(&rejoin);
    else
        rejoin_input_lost(&rejoin);
    imaging = imaging && end != &ol;
    last_frame = end == &ol ? 0 : last_frame;
}

static void service(struct end *end, int (*handler)(void *context, const struct message *message))
{
    if (end->line && lifeline_service(end->line, now_ns, handler, NULL))
        end_lost(end);
}

static void services(void)
{
    service(&il, from_il);
    service(&ol, from_ol);
    if (now_ns < rejoin_ns)
        return;
    rejoin_ns = now_ns + REJOIN_EVERY_NS;
    for (struct end *end = &il; end; end = end == &il ? &ol : NULL) {
        char why[256];
        if (!end->line && phase == LIVE &&
            lifeline_connect(&end->line, end->address, end->port, 10, why) == STATUS_OK)
            hello_send(end, ROLE_MASTER);
    }
}

static void on_term(int signal)
{
    (void)signal;
    stopping = 1;
}

static void finish(void)
{
    const struct message end = {.kind = MESSAGE_REFUSE, .epoch = epoch, .refuse = {.text = "end"}};

    must_send(ol.line, &end);
    must_send(il.line, &end);
    services();
    exit(0);
}

static void cut_send(void)
{
    struct message cut = {.kind = MESSAGE_CUT, .epoch = epoch};

    cut.cut.cut.threads = 1;
    cut.cut.cut.at[0] = S->thread.position;
    cut.cut.outputs[0] = S->thread.outputs;
    must_send(ol.line, &cut);
    phase = WAITING_GO;
}

static void round_once(void)
{
    uint32_t work = 0;

    now_ns = clock_ns();
    if (rejoin_takes(&rejoin) && pending_tail - pending_head < PENDING / 2)
        work += wire_receive(il.wire, now_ns, 64, input_frame, NULL);
    work += wire_receive(ol.wire, now_ns, 64, ignore_frame, NULL);
    if (phase == REPLAYING && !stalls && work_replay())
        cut_send();
    if (phase == LIVE && !stopping && reigning)
        work_live();
    if (phase == LIVE) {
        if (rejoin_ships(&rejoin))
            ship();
        if (rejoin_discards(&rejoin))
            log_discard(&pal);
        if (reigning)
            snapshot();
    }
    work += wire_transmit(ol.wire, now_ns) + wire_transmit(il.wire, now_ns);
    if (stopping && phase == LIVE && il.welcomed && ol.welcomed && shipped() &&
        link_acked(wire_link(ol.wire)) == last_frame)
        finish();
    static int64_t serviced_ns;
    if (!work || now_ns - serviced_ns > 1000000) {
        services();
        serviced_ns = now_ns;
    }
    if (work || pending_head != pending_tail)
        return;
    int64_t wake = wire_next_wake(ol.wire), other = wire_next_wake(il.wire);
    int64_t wait = (other < wake ? other : wake) - now_ns;
    wait = wait < 0 ? 0 : wait > 20000000 ? 20000000 : wait;
    struct pollfd fds[] = {{.fd = wire_fd(il.wire), .events = POLLIN},
                           {.fd = wire_fd(ol.wire), .events = POLLIN},
                           {.fd = il.line ? lifeline_fd(il.line) : -1, .events = POLLIN},
                           {.fd = ol.line ? lifeline_fd(ol.line) : -1, .events = POLLIN}};
    ppoll(fds, 4, &(struct timespec){.tv_nsec = wait}, NULL);
}

static void welcome_wait(const struct end *end)
{
    while (!end->welcomed && end->line) {
        now_ns = clock_ns();
        services();
        usleep(1000);
    }
}

int main(int argc, char **argv)
{
    if (argc != 7)
        quit(STATUS_USAGE,
             "usage: stub_nf master|backup IDENTITY IL-DEVICE ADDRESS OL-DEVICE ADDRESS");
    enum role role = !strcmp(argv[1], "master") ? ROLE_MASTER : ROLE_BACKUP;
    signal(SIGTERM, on_term);
    claimant = ((uint64_t)getpid() << 32) ^ (uint64_t)clock_ns();
    if (getenv("STUB_CLAIMANT"))
        claimant = strtoull(getenv("STUB_CLAIMANT"), NULL, 10);
    stalls = getenv("STUB_STALL") != NULL;
    pending = calloc(PENDING, sizeof *pending);
    unsent = calloc(PENDING, sizeof *unsent);
    /* The input logger first: to a backup the output logger may say TAKEOVER with its WELCOME. */
    identity = argv[2];
    il = (struct end){.name = "input", .address = argv[4], .port = IL_PORT};
    ol = (struct end){.name = "output", .address = argv[6], .port = OL_PORT};
    end_open(&il, role, argv[3]);
    welcome_wait(&il);
    end_open(&ol, role, argv[5]);
    welcome_wait(&ol);
    if (role == ROLE_MASTER) {
        epoch = ol.welcome.epoch;
        log_init(&pal, pal_bytes, LOG_BYTES, 0);
        log_reset(&pal);
        phase = LIVE;
        reign((struct input_claim){0});
    }
    fprintf(stderr, "stub_nf: %s ready\n", argv[1]);
    for (;;)
        round_once();
}
