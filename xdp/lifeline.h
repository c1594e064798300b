/*
 * A lifeline: the TCP connection between an NF process and a logger that carries control messages
 * (core/message.h). Non-blocking, buffered; closing means the peer's process is gone, silence that
 * its host is. One thread at a time, except that lifeline_send may be called by one other thread
 * if the caller locks around it and lifeline_service.
 */
#ifndef PALISADE_XDP_LIFELINE_H
#define PALISADE_XDP_LIFELINE_H

#include "core/message.h"
#include "core/status.h"

struct lifeline;

/* `why` as in wire_open. Address: dotted IPv4 or bracketless IPv6 text. Retries until
 * `timeout_ms` has passed (a logger may start a moment later). */
enum status lifeline_connect(struct lifeline **line, const char *address, uint16_t port,
                             int timeout_ms, char *why);
/*
 * Begins to connect and returns at once: 0 or -errno. Messages may be sent before the peer is
 * there; that nobody is there is told by lifeline_service, as -EPIPE.
 */
int lifeline_connect_start(struct lifeline **line, const char *address, uint16_t port);
/* The peer's host answered: no longer connecting. */
bool lifeline_connected(const struct lifeline *line);
enum status lifeline_listen(int *listener, const char *address, uint16_t port, char *why);
struct lifeline *lifeline_accept(int listener);
void lifeline_close(struct lifeline *line);

/* From now on neither side says anything: only the end is of interest. */
void lifeline_mute(struct lifeline *line);

int lifeline_fd(const struct lifeline *line);
short lifeline_events(const struct lifeline *line);  /* POLLIN, with POLLOUT when bytes wait */
size_t lifeline_queued(const struct lifeline *line); /* bytes not yet handed to the kernel */
/* Local IPv4 address of the connection, to find the link device it came over. */
int lifeline_local_address(const struct lifeline *line, char *text, size_t room);

/* Queues a message (copied). -ENOMEM, -EPIPE. Tries to write at once when nothing is queued. */
int lifeline_send(struct lifeline *line, const struct message *message);
/*
 * Reads, writes and handles messages; sends heartbeats. 0, or: -EPIPE the peer closed or died,
 * -ETIMEDOUT it is silent, -EBADMSG / -EPROTO it speaks nonsense. The handler returns 0 to go on;
 * another value is returned at once, and the message stays: the next call begins with it.
 */
int lifeline_service(struct lifeline *line, int64_t now_ns,
                     int (*handler)(void *context, const struct message *message), void *context);

#endif
