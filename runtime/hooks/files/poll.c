/*
 * poll, ppoll, select, pselect. The outcome is a number: for few descriptors that are readable or
 * writable and nothing else, two bits each, 0 predicted; for others -1 minus the count of ready
 * ones, which follow as bytes.
 */
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>

#include "abi_internal.h"
#include "hooks/packets/packets.h"
#include "hooks/threads/wait.h"
#include "hooks/values/logged.h"

#define PACKED_MAX 31u
#define CLOSED (UINT32_MAX - 1) /* no descriptor: POLLNVAL */

struct outcome { /* in logs: docs/protocol.md */
    uint16_t which, ready;
};

#define READABLE (POLLIN | POLLRDNORM)
#define WRITABLE (POLLOUT | POLLWRNORM)

static bool pack(const struct interest *interests, uint32_t count, int64_t *packed)
{
    *packed = 0;
    for (uint32_t i = 0; i < count; i++) {
        short ready = interests[i].ready;
        if (ready == 0)
            continue;
        if (i >= PACKED_MAX || (ready & ~(READABLE | WRITABLE)))
            return false;
        *packed |= (int64_t)((ready & READABLE ? 1 : 0) | (ready & WRITABLE ? 2 : 0)) << (2 * i);
    }
    return true;
}

static void unpack(struct interest *interests, uint32_t count, int64_t packed)
{
    for (uint32_t i = 0; i < count; i++) {
        int64_t bits = i < PACKED_MAX ? packed >> (2 * i) & 3 : 0;
        interests[i].ready = (short)((bits & 1 ? interests[i].events & READABLE : 0) |
                                     (bits & 2 ? interests[i].events & WRITABLE : 0));
    }
}

/* Live: looks and waits; leaves `ready` in the interests. */
static void look(struct nf_thread *thread, struct interest *interests, uint32_t count,
                 int64_t timeout_ns)
{
    if (timeout_ns >= 0 && timeout_ns < TICK_NS)
        timeout_ns = TICK_NS; /* an idle NF logs little */
    if (process.memory_io)
        timeout_ns = 2 * TICK_NS; /* nobody would wake us */
    if (wait_look(interests, count) == 0)
        wait_until(thread, interests, count, timeout_ns < 0 ? -1 : now_ns() + timeout_ns,
                   &signal_eintr);
}

/* The outcome as bytes: pairs of which and ready. False: not whole. */
static bool outcome_bytes(struct nf_thread *thread, struct interest *interests, uint32_t count,
                          uint32_t found, bool own)
{
    struct outcome *list = calloc(found + 1, sizeof *list);
    if (list == NULL)
        process_fail(STATUS_MEMORY, "no memory for the outcome of poll");
    for (uint32_t i = 0, n = 0; own && i < count; i++)
        if (interests[i].ready)
            list[n++] = (struct outcome){(uint16_t)i, (uint16_t)interests[i].ready};
    bool whole = logged_bytes(thread, "poll", list, found * sizeof *list, own);
    for (uint32_t i = 0; i < count; i++)
        interests[i].ready = 0;
    for (uint32_t n = 0; whole && n < found; n++)
        if (list[n].which < count)
            interests[list[n].which].ready = (short)list[n].ready;
    free(list);
    return whole;
}

/* What a readable descriptor has for the NF's memory goes there now (packet_ring.h). */
static void fill_rings(struct nf_thread *thread, const struct interest *interests, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if ((interests[i].ready & READABLE) && interests[i].index < DESCRIPTORS_MAX) {
            const struct family *family = descriptor_family(interests[i].index);
            if (family && family->fill)
                family->fill(thread, interests[i].index);
        }
}

/* One poll: `ready` of each interest is what the NF sees, now and in replay. */
static void poll_event(struct nf_thread *thread, struct interest *interests, uint32_t count,
                       int64_t timeout_ns)
{
    safe_point(thread);
    queue_nf_ready();
    for (uint32_t i = 0; i < count; i++)
        if (interests[i].index < DESCRIPTORS_MAX && (interests[i].events & READABLE) &&
            IMAGE->descriptors[interests[i].index].queue)
            queue_reads(descriptor_queue(interests[i].index));
    for (;;) {
        bool own = false;
        int64_t result = LOGGED_WAIT(thread, "poll", 0, &signal_eintr, ({
                                         int64_t packed;
                                         own = true;
                                         look(thread, interests, count, timeout_ns);
                                         if (!pack(interests, count, &packed)) {
                                             packed = -1;
                                             for (uint32_t i = 0; i < count; i++)
                                                 packed -= interests[i].ready != 0;
                                         }
                                         packed;
                                     }));
        if (result >= 0)
            unpack(interests, count, result);
        else if (!outcome_bytes(thread, interests, count, (uint32_t)(-1 - result), own))
            continue;
        fill_rings(thread, interests, count);
        return;
    }
}

#define FEW 64u

static struct interest *interests_for(struct interest *few, uint32_t count)
{
    struct interest *interests = count <= FEW ? few : malloc(sizeof *interests * count);
    if (interests == NULL)
        process_fail(STATUS_MEMORY, "no memory to wait for %u descriptors", count);
    return interests;
}

static int poll_fds(struct nf_thread *thread, struct pollfd *fds, nfds_t count, int64_t timeout_ns)
{
    if (count > UINT16_MAX)
        return fail(EINVAL);
    struct interest few[FEW], *interests = interests_for(few, (uint32_t)count);
    uint32_t used = 0;
    int found = 0;
    bool closed = false;
    for (nfds_t i = 0; i < count; i++) {
        fds[i].revents = 0;
        if (fds[i].fd < 0)
            continue;
        if (!descriptor_is(fds[i].fd)) {
            fds[i].revents = POLLNVAL;
            closed = true;
            continue;
        }
        interests[used++] =
            (struct interest){.index = descriptor_index(fds[i].fd), .events = fds[i].events};
    }
    poll_event(thread, interests, used, closed ? 0 : timeout_ns);
    for (nfds_t i = 0, n = 0; i < count; i++) {
        if (fds[i].fd >= 0 && fds[i].revents == 0)
            fds[i].revents = interests[n++].ready;
        found += fds[i].revents != 0;
    }
    if (interests != few)
        free(interests);
    return found;
}

int palisade_poll_restartable(struct pollfd *fds, nfds_t count, int timeout_ms)
{
    if (nf_self == NULL)
        return poll(fds, count, timeout_ms);
    return poll_fds(nf_self, fds, count, timeout_ms < 0 ? -1 : timeout_ms * 1000000ll);
}

int palisade_ppoll_restartable(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
                               const sigset_t *mask)
{
    if (nf_self == NULL)
        return ppoll(fds, count, timeout, mask);
    signal_mask_swap(nf_self, mask);
    int result = poll_fds(nf_self, fds, count,
                          timeout ? timeout->tv_sec * 1000000000ll + timeout->tv_nsec : -1);
    signal_mask_back(nf_self);
    return result;
}

/* ---- select ---- */

static bool wants(const fd_set *set, int fd)
{
    return set && FD_ISSET(fd, set);
}

static int select_fds(struct nf_thread *thread, int limit, fd_set *in, fd_set *out, fd_set *other,
                      int64_t timeout_ns)
{
    struct interest interests[FD_SETSIZE];
    int numbers[FD_SETSIZE], found = 0;
    uint32_t count = 0;
    if (limit < 0 || limit > FD_SETSIZE)
        return fail(EINVAL);
    for (int fd = 0; fd < limit; fd++) {
        short events = (short)((wants(in, fd) ? POLLIN : 0) | (wants(out, fd) ? POLLOUT : 0) |
                               (wants(other, fd) ? POLLPRI : 0));
        if (events == 0)
            continue;
        if (!descriptor_is(fd))
            return fail(EBADF);
        numbers[count] = fd;
        interests[count++] = (struct interest){.index = descriptor_index(fd), .events = events};
    }
    poll_event(thread, interests, count, timeout_ns);
    for (uint32_t i = 0; i < count; i++) {
        short ready = interests[i].ready;
        int fd = numbers[i];
        bool readable = ready & (POLLIN | POLLHUP | POLLERR),
             writable = ready & (POLLOUT | POLLERR);
        if (wants(in, fd) && !readable)
            FD_CLR(fd, in);
        if (wants(out, fd) && !writable)
            FD_CLR(fd, out);
        if (wants(other, fd) && !(ready & POLLPRI))
            FD_CLR(fd, other);
        found += wants(in, fd) + wants(out, fd) + wants(other, fd);
    }
    return found;
}

int palisade_select_restartable(int limit, fd_set *in, fd_set *out, fd_set *other,
                                struct timeval *timeout)
{
    if (nf_self == NULL)
        return select(limit, in, out, other, timeout);
    return select_fds(nf_self, limit, in, out, other,
                      timeout ? timeout->tv_sec * 1000000000ll + timeout->tv_usec * 1000ll : -1);
}

int palisade_pselect_restartable(int limit, fd_set *in, fd_set *out, fd_set *other,
                                 const struct timespec *timeout, const sigset_t *mask)
{
    if (nf_self == NULL)
        return pselect(limit, in, out, other, timeout, mask);
    signal_mask_swap(nf_self, mask);
    int result = select_fds(nf_self, limit, in, out, other,
                            timeout ? timeout->tv_sec * 1000000000ll + timeout->tv_nsec : -1);
    signal_mask_back(nf_self);
    return result;
}
