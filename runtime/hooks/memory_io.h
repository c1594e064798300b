/*
 * io=memory: packets come from memory instead of links, so that the cost of recording can be
 * measured without kernel and machine load (bench/run). The packets come from a plug-in, the shared
 * object named by the option io_memory; interface: bench/memory_io.h.
 *
 * The NF's threads do exactly what they do between links: copy in, record, copy into their output
 * ring. The I/O thread drains logs and outputs, as shipping would.
 */
#ifndef PALISADE_HOOKS_MEMORY_IO_H
#define PALISADE_HOOKS_MEMORY_IO_H

#include <poll.h>

#include "bench/memory_io.h"
#include "process.h"

/* Loads the plug-in and its port table. Ends the process with a sentence. I/O thread. */
void memory_io_open(void);
/* Drains logs and outputs for ever; the plug-in ends the process. I/O thread. */
__attribute__((noreturn)) void memory_io_run(void);

/* Up to `limit` packets of a socket, 0 when there are none yet. Its reader's thread. */
uint32_t memory_io_next(uint32_t socket, struct memory_packet *packets, uint32_t limit);
/* True when memory_io_next would return some. Its reader's thread. */
bool memory_io_ready(uint32_t socket);

#endif
