/*
 * io=memory: packets come from memory instead of links, so that the cost of recording can be
 * measured without kernel and machine load (bench/run). The packets come from a plug-in named by
 * the option io_memory; see bench/memory_io.h.
 */
#ifndef PALISADE_HOOKS_MEMORY_IO_H
#define PALISADE_HOOKS_MEMORY_IO_H

#include <poll.h>
#include <sys/socket.h>

#include "process.h"

/* Loads the plug-in and its port table. Ends the process with a sentence. I/O thread. */
void memory_io_open(void);
/* Drains logs and outputs for ever. I/O thread. */
__attribute__((noreturn)) void memory_io_run(void);
/* As in receive.c, live. NF threads. */
int memory_io_receive(struct nf_thread *thread, struct log *log, uint32_t socket,
                      struct mmsghdr *messages, uint32_t limit);
int64_t memory_io_poll(const struct pollfd *fds, uint32_t count);

#endif
