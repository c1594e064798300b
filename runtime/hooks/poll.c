/*
 * poll and ppoll. The outcome is a number: two bits a descriptor (readable, writable), 0 predicted.
 */
#include <poll.h>

#include "abi_internal.h"
#include "hooks/descriptor.h"
#include "hooks/packets.h"

#define POLL_FDS_MAX 31u

static int64_t poll_now(const struct pollfd *fds, uint32_t count)
{
    int64_t ready = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (fds[i].fd < 0)
            continue;
        uint32_t index = descriptor_index(fds[i].fd);
        short events = descriptor_family(index)->ready(index, fds[i].events);
        if (events & (POLLIN | POLLRDNORM))
            ready |= 1ll << (2 * i);
        if (events & (POLLOUT | POLLWRNORM))
            ready |= 2ll << (2 * i);
    }
    return ready;
}

static int poll_result(struct pollfd *fds, uint32_t count, int64_t ready)
{
    int found = 0;
    for (uint32_t i = 0; i < count; i++) {
        fds[i].revents = 0;
        if (ready >> (2 * i) & 1)
            fds[i].revents |= fds[i].events & (POLLIN | POLLRDNORM);
        if (ready >> (2 * i) & 2)
            fds[i].revents |= fds[i].events & (POLLOUT | POLLWRNORM);
        found += fds[i].revents != 0;
    }
    return found;
}

static int poll_event(struct nf_thread *thread, struct pollfd *fds, nfds_t count,
                      int64_t timeout_ns)
{
    uint32_t queues[POLL_FDS_MAX], readable = 0;
    int64_t ready;
    if (count > POLL_FDS_MAX)
        process_fail(STATUS_UNMODELLED, "poll of more than %u descriptors is not supported (G8)",
                     POLL_FDS_MAX);
    safe_point(thread);
    for (uint32_t i = 0; i < count; i++) {
        if (fds[i].fd < 0)
            continue;
        uint32_t index = descriptor_index(fds[i].fd);
        if (!descriptor_is(fds[i].fd) || descriptor_family(index)->ready == NULL)
            process_fail(STATUS_UNMODELLED,
                         "poll: descriptor %d carries no packets and cannot be replayed yet (G8)",
                         fds[i].fd);
        if (fds[i].events & (POLLIN | POLLRDNORM)) {
            queues[readable] = descriptor_queue(index);
            queue_reads(queues[readable++]);
        }
    }
    if (REPLAYED_ALONE(thread, "poll",
                       ev_number_replay(&thread->core, &run_of(thread)->reader, 0, &ready)))
        return poll_result(fds, (uint32_t)count, ready);
    struct log *log = log_ready(thread);
    if (timeout_ns >= 0 && timeout_ns < TICK_NS)
        timeout_ns = TICK_NS;
    if (process.memory_io)
        timeout_ns = 2 * TICK_NS; /* nobody would wake us */
    ready = poll_now(fds, (uint32_t)count);
    int64_t until = ready || timeout_ns < 0 ? -1 : now_ns() + timeout_ns;
    while (ready == 0) {
        packets_wait(thread, queues, readable, until);
        ready = poll_now(fds, (uint32_t)count);
        if (ready || (until >= 0 && now_ns() >= until))
            break;
    }
    ev_number_record(&thread->core, log, ready, 0);
    return poll_result(fds, (uint32_t)count, ready);
}

int palisade_poll_restartable(struct pollfd *fds, nfds_t count, int timeout_ms)
{
    if (nf_self == NULL)
        return poll(fds, count, timeout_ms);
    return poll_event(nf_self, fds, count, timeout_ms < 0 ? -1 : timeout_ms * 1000000ll);
}

int palisade_ppoll_restartable(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
                               const sigset_t *mask)
{
    if (nf_self == NULL)
        return ppoll(fds, count, timeout, mask);
    return poll_event(nf_self, fds, count,
                      timeout ? timeout->tv_sec * 1000000000ll + timeout->tv_nsec : -1);
}
