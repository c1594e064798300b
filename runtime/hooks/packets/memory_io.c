/* See memory_io.h. */
#include "hooks/packets/memory_io.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "io/io.h"

#define DRAIN_PAUSE_MS 2

static struct memory_stream *streams[QUEUES_MAX]; /* by the queue's reader */
static uint32_t workers[THREADS_MAX]; /* the worker a thread is, + 1; written by that thread */
static _Atomic uint64_t log_bytes;

void memory_io_open(void)
{
    const char *path = process.options.io_memory;
    void *object = dlopen(path, RTLD_NOW);
    const struct memory_io *(*get)(void) =
        object ? (const struct memory_io *(*)(void))dlsym(object, "palisade_memory_io") : NULL;
    if (get == NULL)
        process_fail(STATUS_USAGE, "io_memory=%s is no packet plug-in: %s", path, dlerror());
    process.memory_io = get();
    if (process.memory_io->version != MEMORY_IO_VERSION)
        process_fail(STATUS_IDENTITY, "io_memory=%s speaks version %u, this library %u", path,
                     process.memory_io->version, MEMORY_IO_VERSION);
    process.port_count = (uint16_t)process.memory_io->port_count;
    process.ports = calloc(process.port_count, sizeof *process.ports);
    if (process.ports == NULL)
        process_fail(STATUS_MEMORY, "no memory for the port table");
    for (uint16_t i = 0; i < process.port_count; i++) {
        const struct memory_port *port = &process.memory_io->ports[i];
        memcpy(process.ports[i].name, port->name, PORT_NAME_BYTES);
        memcpy(process.ports[i].mac, port->mac, 6);
        process.ports[i].mtu = port->mtu;
        process.ports[i].kind = PORT_ETHERNET;
    }
}

/* Its rank among the queues of its port and fanout group. */
static uint32_t rank(uint32_t queue)
{
    uint32_t before = 0;
    for (uint32_t i = 0; i < queue; i++)
        before += IMAGE->queues[i].used && IMAGE->queues[i].port == IMAGE->queues[queue].port;
    return before;
}

static struct memory_stream *stream_of(uint32_t queue)
{
    if (streams[queue] == NULL) {
        uint32_t worker = rank(queue);
        streams[queue] = process.memory_io->open(IMAGE->queues[queue].port - 1, worker);
        if (streams[queue] == NULL)
            process_fail(STATUS_USAGE, "the packet plug-in has no worker %u on port %u", worker,
                         IMAGE->queues[queue].port);
        workers[nf_self->core.index] = worker + 1;
    }
    return streams[queue];
}

uint32_t memory_io_next(uint32_t queue, struct memory_packet *packets, uint32_t limit)
{
    return process.memory_io->next(stream_of(queue), packets, limit);
}

bool memory_io_ready(uint32_t queue)
{
    return process.memory_io->ready(stream_of(queue));
}

void memory_io_send(uint32_t port, const struct iovec *pieces, uint32_t count)
{
    static __thread struct memory_stream *outgoing[PORTS_MAX]
        __attribute__((tls_model("initial-exec")));
    if (__builtin_expect(outgoing[port] == NULL, 0)) {
        uint32_t worker = workers[nf_self->core.index];
        outgoing[port] = process.memory_io->open(port, worker ? worker - 1 : 0);
    }
    process.memory_io->send(outgoing[port], pieces, count);
}

/* ---- draining ---- */

static void report(void)
{
    process.memory_io->note("log_bytes", (double)atomic_load(&log_bytes));
}

void memory_io_run(void)
{
    static uint8_t scratch[FRAME_PAYLOAD_MAX_BYTES];
    struct log_chunk chunk;
    process.memory_io->at_end(report);
    for (;;) {
        uint32_t work = 0;
        for (uint32_t t = 0; t < IMAGE->thread_count; t++) {
            while (log_take(process.logs[t], scratch, sizeof scratch, &chunk)) {
                atomic_fetch_add(&log_bytes, chunk.length);
                work++;
            }
        }
        if (work == 0)
            io_sleep(DRAIN_PAUSE_MS);
    }
}
