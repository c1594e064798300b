/*
 * Packets from memory: what stands in for the network when CPU time per packet is measured.
 *
 * The plain NF gets it by LD_PRELOAD (memio.c), the recording one by the option
 * io_memory=PATH of a shared object that exports palisade_memory_io(). Both arms run the same
 * generator, and so the same copies: one into the NF's buffer on receive (made by the caller), one
 * out of it on send (made by `send`).
 *
 * A stream is what one socket sees: (port, worker), where worker is the socket's rank among those
 * of its fanout group, in order of joining. All streams of one worker belong to one thread, the
 * one that uses them first; its CPU time is what is measured.
 *
 * Phases: warm-up (neighbours and mappings come to be, the generator learns the external ports from
 * what is sent), measurement, end. The generator itself ends the process after its report.
 */
#ifndef BENCH_MEMORY_IO_H
#define BENCH_MEMORY_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define MEMORY_IO_VERSION 1u

struct memory_packet {
    uint64_t id; /* as an input logger would number it: from 1, growing within a stream */
    const uint8_t *bytes;
    uint16_t length;
};

struct memory_port {
    char name[16];
    uint8_t mac[6];
    uint16_t mtu;
};

struct memory_stream;

struct memory_io {
    uint32_t version; /* MEMORY_IO_VERSION */
    uint32_t port_count;
    const struct memory_port *ports;
    uint32_t workers; /* streams a port */

    /* NULL when there is no such port or worker. The stream lives as long as the process. */
    struct memory_stream *(*open)(uint32_t port, uint32_t worker);
    /*
     * Would `next` return a packet? False only in the warm-up: sleep briefly (100 us), ask again.
     * After the end it does not return.
     */
    bool (*ready)(struct memory_stream *stream);
    /*
     * Up to `limit` packets; their bytes stay valid and unchanged. 0 as with `ready`. The caller
     * copies all of them into the NF's buffers before it calls again.
     */
    uint32_t (*next)(struct memory_stream *stream, struct memory_packet *packets, uint32_t limit);
    /* One packet that the NF sends: gathers and copies. Any thread, one at a time for a stream. */
    void (*send)(struct memory_stream *stream, const struct iovec *parts, size_t count);

    /* A figure for the report; `key` is kept by address. The last value of a key stands. */
    void (*note)(const char *key, double value);
    /* `call` runs once, before the report: the moment for notes. At most one; NULL: none. */
    void (*at_end)(void (*call)(void));
};

/* Configured by the environment variable PALISADE_BENCH; a mistake there ends the process. */
const struct memory_io *palisade_memory_io(void);

#endif
