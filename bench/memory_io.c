/*
 * The generator at work: phases, streams, CPU time, report.
 *
 * Warm-up. Worker 0 gets the gateway's ARP question until the NF has answered it. Then each worker
 * gets every flow of its own until the NF has sent it on; `send` learns the external port. When
 * the last flow is learned the answers are made, and all workers walk their lists, round and
 * round, until each has settled.
 *
 * Measurement. The clocks start for all when the last worker has settled, and the first with
 * enough packets stops all: measured packets are those of workers that compete for the locks.
 */
#include "memory_io.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "packets.h"

#define OUT_BUFFERS 64u
#define NOTES_MAX 32u
#define EXIT_USAGE 64

struct memory_stream {
    uint32_t port, worker;
    uint32_t at; /* next arrival of the list */
    uint64_t lap;
};

struct worker {
    _Alignas(128) bool known; /* its thread has come */
    bool settled, measuring, done;
    _Atomic uint32_t unlearned; /* flows of its own that were not sent yet */
    uint64_t received, sent;    /* since the measurement started; before: since ever */
    int64_t started_cpu_ns, started_wall_ns, cpu_ns, wall_ns;
    uint32_t out_at;
    uint8_t (*out)[2048];
    struct memory_stream streams[PACKETS_PORTS];
};

enum phase { GREETING, LEARNING, SETTLING, MEASURING, ENDING };

static struct {
    const char *arm, *file;
    bool pin;
    uint64_t count, settle; /* packets a worker */
    struct packets packets;
    struct worker workers[PACKETS_WORKERS_MAX];
    struct memory_port ports[PACKETS_PORTS];
    _Atomic uint32_t phase;
    _Atomic uint64_t warm_ids;
    uint64_t first_id; /* of the measurement */
    _Atomic uint32_t learned, settled, done;
    _Atomic uint8_t *flow_learned;
    void (*at_end)(void);
    struct note {
        const char *key;
        double value;
    } notes[NOTES_MAX];
    uint32_t note_count;
} bench;

__attribute__((noreturn)) static void die(const char *what)
{
    fprintf(stderr, "bench: %s\n", what);
    _exit(EXIT_USAGE);
}

static int64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec * 1000000000ll + now.tv_nsec;
}

/* ---- report ---- */

static void note(const char *key, double value)
{
    uint32_t i = 0;
    while (i < bench.note_count && strcmp(bench.notes[i].key, key) != 0)
        i++;
    if (i == NOTES_MAX)
        die("too many notes");
    bench.notes[i] = (struct note){key, value};
    if (i == bench.note_count)
        bench.note_count++;
}

static void at_end(void (*call)(void))
{
    bench.at_end = call;
}

static void report(void)
{
    const struct packets_config *config = &bench.packets.config;
    uint64_t packets = 0;
    int64_t cpu_ns = 0;
    if (bench.at_end != NULL)
        bench.at_end();
    FILE *out = bench.file != NULL ? fopen(bench.file, "w") : stdout;
    if (out == NULL)
        die("cannot write the report (file=)");
    fprintf(out, "{\"arm\":\"%s\",\"profile\":\"%s\",\"flows\":%u,\"seed\":%llu,\"workers\":[",
            bench.arm, config->profile == PACKETS_SMALL ? "small" : "mixed", config->flows,
            (unsigned long long)config->seed);
    for (uint32_t w = 0; w < config->workers; w++) {
        const struct worker *worker = &bench.workers[w];
        packets += worker->received;
        cpu_ns += worker->cpu_ns;
        fprintf(
            out, "%s{\"packets\":%llu,\"sent\":%llu,\"cpu_ns_per_packet\":%.2f,\"wall_ms\":%.1f}",
            w ? "," : "", (unsigned long long)worker->received, (unsigned long long)worker->sent,
            worker->received ? (double)worker->cpu_ns / (double)worker->received : 0,
            (double)worker->wall_ns / 1e6);
    }
    fprintf(out, "],\"packets\":%llu,\"cpu_ns_per_packet\":%.3f", (unsigned long long)packets,
            packets ? (double)cpu_ns / (double)packets : 0);
    for (uint32_t i = 0; i < bench.note_count; i++)
        fprintf(out, ",\"%s\":%.6g", bench.notes[i].key, bench.notes[i].value);
    fprintf(out, "}\n");
    if (fflush(out) != 0)
        die("cannot write the report (file=)");
}

/* The worker's measurement is over: the last one reports; no one returns. */
__attribute__((noreturn)) static void worker_end(struct worker *worker)
{
    if (!worker->done) {
        worker->done = true;
        if (worker->measuring) {
            worker->cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) - worker->started_cpu_ns;
            worker->wall_ns = clock_ns(CLOCK_MONOTONIC) - worker->started_wall_ns;
        } else { /* never came to run */
            worker->received = worker->sent = 0;
        }
        if (atomic_fetch_add(&bench.done, 1) + 1 == bench.packets.config.workers) {
            report();
            _exit(0);
        }
    }
    for (;;)
        pause();
}

/* ---- streams ---- */

static void worker_meet(struct worker *worker)
{
    worker->known = true;
    cpu_set_t set;
    uint32_t index = (uint32_t)(worker - bench.workers);
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    if (!bench.pin || cpus < (long)bench.packets.config.workers)
        return;
    CPU_ZERO(&set);
    CPU_SET(index % (uint32_t)cpus, &set);
    pthread_setaffinity_np(pthread_self(), sizeof set, &set);
}

static struct memory_stream *stream_open(uint32_t port, uint32_t worker)
{
    if (port >= PACKETS_PORTS || worker >= bench.packets.config.workers)
        return NULL;
    return &bench.workers[worker].streams[port];
}

static bool stream_ready(struct memory_stream *stream)
{
    struct worker *worker = &bench.workers[stream->worker];
    if (!worker->known)
        worker_meet(worker);
    switch (atomic_load_explicit(&bench.phase, memory_order_acquire)) {
    case GREETING:
        return stream->port == PACKETS_WAN && stream->worker == 0;
    case LEARNING:
        return stream->port == PACKETS_LAN && atomic_load(&worker->unlearned) > 0;
    case SETTLING:
    case MEASURING:
        return true;
    default:
        worker_end(worker);
    }
}

/* Flows of this worker that the NF has not sent on yet. */
static uint32_t next_unlearned(struct memory_stream *stream, struct memory_packet *packets,
                               uint32_t limit)
{
    const struct packets_list *list = &bench.packets.lists[PACKETS_LAN][stream->worker];
    uint32_t taken = 0;
    for (uint32_t seen = 0; seen < list->count && taken < limit; seen++) {
        uint32_t flow = list->arrivals[stream->at].flow;
        stream->at = (stream->at + 1) % list->count;
        if (atomic_load_explicit(&bench.flow_learned[flow], memory_order_relaxed))
            continue;
        const struct packet_bytes *packet = &bench.packets.flows[PACKETS_LAN][flow];
        packets[taken++] = (struct memory_packet){atomic_fetch_add(&bench.warm_ids, 1) + 1,
                                                  packet->bytes, packet->length};
    }
    return taken;
}

static void worker_count(struct worker *worker, uint32_t taken)
{
    uint32_t phase = atomic_load_explicit(&bench.phase, memory_order_relaxed);
    worker->received += taken;
    if (phase == SETTLING && !worker->settled && worker->received >= bench.settle) {
        worker->settled = true;
        if (atomic_fetch_add(&bench.settled, 1) + 1 == bench.packets.config.workers)
            atomic_store(&bench.phase, MEASURING);
    } else if (phase == MEASURING && !worker->measuring) {
        worker->measuring = true;
        worker->received = worker->sent = 0;
        worker->started_wall_ns = clock_ns(CLOCK_MONOTONIC);
        worker->started_cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    } else if (phase == MEASURING && worker->received >= bench.count) {
        atomic_store(&bench.phase, ENDING);
    }
}

static uint32_t stream_next(struct memory_stream *stream, struct memory_packet *packets,
                            uint32_t limit)
{
    struct worker *worker = &bench.workers[stream->worker];
    if (!stream_ready(stream))
        return 0;
    uint32_t phase = atomic_load_explicit(&bench.phase, memory_order_acquire);
    if (phase == GREETING) {
        const struct packet_bytes *hello = &bench.packets.hello;
        packets[0] = (struct memory_packet){atomic_fetch_add(&bench.warm_ids, 1) + 1, hello->bytes,
                                            hello->length};
        return 1;
    }
    if (phase == LEARNING)
        return next_unlearned(stream, packets, limit);

    const struct packets_list *list = &bench.packets.lists[stream->port][stream->worker];
    const struct packet_bytes *flows = bench.packets.flows[stream->port];
    uint64_t first_id = bench.first_id + stream->lap * PACKETS_PORTS * PACKETS_LAP;
    uint32_t left = list->count - stream->at;
    uint32_t taken = limit < left ? limit : left; /* a batch ends with the lap */
    for (uint32_t i = 0; i < taken; i++) {
        const struct arrival *arrival = &list->arrivals[stream->at + i];
        const struct packet_bytes *packet = &flows[arrival->flow];
        packets[i] =
            (struct memory_packet){first_id + arrival->offset, packet->bytes, packet->length};
    }
    stream->at += taken;
    if (stream->at == list->count) {
        stream->at = 0;
        stream->lap++;
    }
    worker_count(worker, taken);
    return taken;
}

static void learn(struct memory_stream *stream, const uint8_t *bytes, uint32_t length)
{
    uint32_t phase = atomic_load_explicit(&bench.phase, memory_order_acquire);
    if (stream->port != PACKETS_WAN)
        return;
    if (phase == GREETING && packets_is_hello_answer(bytes, length))
        atomic_store(&bench.phase, LEARNING);
    if (phase != LEARNING)
        return;
    int64_t flow = packets_learn(&bench.packets, bytes, length);
    if (flow < 0 || atomic_exchange(&bench.flow_learned[flow], 1))
        return;
    const struct packet_bytes *question = &bench.packets.flows[PACKETS_LAN][flow];
    uint32_t owner = packets_worker(&bench.packets, question);
    atomic_fetch_sub(&bench.workers[owner].unlearned, 1);
    if (atomic_fetch_add(&bench.learned, 1) + 1 < bench.packets.config.flows)
        return;
    if (packets_make_answers(&bench.packets) != 0)
        die("out of memory");
    for (uint32_t w = 0; w < bench.packets.config.workers; w++)
        for (uint32_t port = 0; port < PACKETS_PORTS; port++)
            if (bench.packets.lists[port][w].count < bench.packets.config.flows / 64)
                die("the flows do not spread over the workers: more flows= or another seed=");
    /* A worker may still be numbering a repeated question. */
    bench.first_id = (bench.warm_ids | 0xfffff) + 1;
    atomic_store(&bench.phase, SETTLING);
}

static void stream_send(struct memory_stream *stream, const struct iovec *parts, size_t count)
{
    struct worker *worker = &bench.workers[stream->worker];
    uint8_t *buffer = worker->out[worker->out_at++ % OUT_BUFFERS];
    size_t length = 0;
    for (size_t i = 0; i < count && length + parts[i].iov_len <= sizeof worker->out[0]; i++) {
        memcpy(buffer + length, parts[i].iov_base, parts[i].iov_len);
        length += parts[i].iov_len;
    }
    worker->sent++;
    if (__builtin_expect(atomic_load_explicit(&bench.phase, memory_order_relaxed) < SETTLING, 0))
        learn(stream, buffer, (uint32_t)length);
}

/* ---- start ---- */

static uint64_t number(const char *text, uint64_t least, uint64_t most, const char *wrong)
{
    char *end;
    uint64_t value = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || value < least || value > most)
        die(wrong);
    return value;
}

static void configure(struct packets_config *config, char *text)
{
    for (char *next, *key = strtok_r(text, ",", &next); key; key = strtok_r(NULL, ",", &next)) {
        char *value = strchr(key, '=');
        if (value == NULL)
            die("PALISADE_BENCH is key=value,key=value");
        *value++ = '\0';
        if (strcmp(key, "workers") == 0)
            config->workers = (uint32_t)number(value, 1, PACKETS_WORKERS_MAX, "workers= 1 .. 16");
        else if (strcmp(key, "flows") == 0)
            config->flows = (uint32_t)number(value, 64, PACKETS_FLOWS_MAX, "flows= 64 .. 32768");
        else if (strcmp(key, "packets") == 0)
            bench.count = number(value, 1, UINT64_MAX / 2, "packets= is a count a worker");
        else if (strcmp(key, "settle") == 0)
            bench.settle = number(value, 1, UINT64_MAX / 2, "settle= is a count a worker");
        else if (strcmp(key, "seed") == 0)
            config->seed = number(value, 0, UINT64_MAX / 2, "seed= is a number");
        else if (strcmp(key, "pin") == 0)
            bench.pin = number(value, 0, 1, "pin= 0 or 1") == 1;
        else if (strcmp(key, "profile") == 0 && strcmp(value, "small") == 0)
            config->profile = PACKETS_SMALL;
        else if (strcmp(key, "profile") == 0 && strcmp(value, "mixed") == 0)
            config->profile = PACKETS_MIXED;
        else if (strcmp(key, "arm") == 0)
            bench.arm = value;
        else if (strcmp(key, "file") == 0)
            bench.file = value;
        else
            die("PALISADE_BENCH: an unknown key or value; keys: workers flows packets settle seed "
                "pin profile arm file");
    }
}

/* The warm-up walks the lists of the lan, so each flow must stand in one. */
static void arrivals_check(void)
{
    uint32_t flows = bench.packets.config.flows, found = 0;
    uint8_t *seen = calloc(flows, 1);
    if (seen == NULL)
        die("out of memory");
    for (uint32_t w = 0; w < bench.packets.config.workers; w++)
        for (uint32_t i = 0; i < bench.packets.lists[PACKETS_LAN][w].count; i++) {
            uint8_t *flow = &seen[bench.packets.lists[PACKETS_LAN][w].arrivals[i].flow];
            found += !*flow;
            *flow = 1;
        }
    free(seen);
    if (found < flows)
        die("a flow never arrives: fewer flows= or another seed=");
}

static void start(void)
{
    struct packets_config config = {.workers = 2, .flows = 4096, .seed = 1};
    const char *text = getenv("PALISADE_BENCH");
    bench.arm = "plain";
    bench.count = 1000000;
    bench.settle = 100000;
    if (text != NULL)
        configure(&config, strdup(text));
    bench.flow_learned = calloc(config.flows, 1);
    if (bench.flow_learned == NULL || packets_make(&bench.packets, &config) != 0)
        die("out of memory");
    arrivals_check();
    for (uint32_t flow = 0; flow < config.flows; flow++)
        bench.workers[packets_worker(&bench.packets, &bench.packets.flows[PACKETS_LAN][flow])]
            .unlearned++;
    for (uint32_t w = 0; w < config.workers; w++) {
        struct worker *worker = &bench.workers[w];
        worker->out = calloc(OUT_BUFFERS, sizeof *worker->out);
        if (worker->out == NULL)
            die("out of memory");
        for (uint32_t port = 0; port < PACKETS_PORTS; port++)
            worker->streams[port] = (struct memory_stream){.port = port, .worker = w};
    }
    for (uint32_t port = 0; port < PACKETS_PORTS; port++) {
        strcpy(bench.ports[port].name, port == PACKETS_LAN ? "lan" : "wan");
        memcpy(bench.ports[port].mac, packets_nf_mac[port], 6);
        bench.ports[port].mtu = 1500;
    }
}

const struct memory_io *palisade_memory_io(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    static struct memory_io io = {.version = MEMORY_IO_VERSION,
                                  .port_count = PACKETS_PORTS,
                                  .ports = bench.ports,
                                  .open = stream_open,
                                  .ready = stream_ready,
                                  .next = stream_next,
                                  .send = stream_send,
                                  .note = note,
                                  .at_end = at_end};
    pthread_once(&once, start);
    io.workers = bench.packets.config.workers;
    return &io;
}
