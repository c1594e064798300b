/*
 * io=memory: packets come from memory instead of links, so that the cost of recording can be
 * measured without kernel and machine load (bench/run). The packets come from a plug-in, the shared
 * object named by the option io_memory; interface: bench/memory_io.h.
 *
 * The NF's threads record exactly as they do between links. Both arms of the measurement copy a
 * packet in and out once, by the plug-in; what takes packets to the network (the kernel's socket
 * there, the output ring and the I/O thread here) is in neither. The I/O thread drains the logs.
 */
#ifndef PALISADE_HOOKS_MEMORY_IO_H
#define PALISADE_HOOKS_MEMORY_IO_H

#include <sys/uio.h>

#include "bench/memory_io.h"
#include "process.h"

/* Loads the plug-in and its port table. Ends the process with a sentence. I/O thread. */
void memory_io_open(void);
/* Drains the logs for ever; the plug-in ends the process. I/O thread. */
__attribute__((noreturn)) void memory_io_run(void);

/* Up to `limit` packets of a queue, 0 when there are none yet. Its reader's thread. */
uint32_t memory_io_next(uint32_t queue, struct memory_packet *packets, uint32_t limit);
/* A packet that this thread sends. NF threads. */
void memory_io_send(uint32_t port, const struct iovec *pieces, uint32_t count);
/* True when memory_io_next would return some. Its reader's thread. */
bool memory_io_ready(uint32_t queue);

#endif
