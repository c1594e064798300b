/*
 * epoll: what a set contains is in the image, guarded by descriptors_lock. Members that the kernel
 * knows are in a set of the kernel's as well, so that edges are its own; for queues and pipes the
 * edges are counted here (family.edge). What a wait returns is logged as a whole, with the user's
 * data, so that it depends on nothing else in replay.
 *
 * The kernel's set and the edges seen belong to the process. A takeover begins with new ones: every
 * edge that is ready is told again, which a program must expect anyway.
 */
#include "hooks/files/epoll.h"

#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "abi_internal.h"
#include "hooks/files/file.h"
#include "hooks/memory.h"
#include "hooks/packets/packets.h"
#include "hooks/sharing/lock.h"
#include "hooks/threads/wait.h"
#include "hooks/values/logged.h"

#define ROUND_MAX 64u /* events of one wait: they fit one record */
#define FREE UINT32_MAX

struct member {
    int32_t fd;
    uint32_t index; /* FREE: none */
    uint32_t events;
    uint32_t disabled; /* EPOLLONESHOT has fired */
    uint64_t data;
};

struct nf_epoll {   /* in the NF's heap; own[0] of the descriptor points to it */
    uint32_t count; /* members, free ones among them */
    struct member *members;
};

/* What a member of ours was last seen with, in this process. */
struct seen {
    uint64_t in, out;
    bool told_in, told_out;
};
static struct {
    struct seen *seen; /* as many as members */
    uint32_t room, next;
} live[DESCRIPTORS_MAX]; /* guarded by the word of descriptors_lock */

struct reported { /* in logs: docs/protocol.md */
    uint32_t events;
    uint64_t data;
    uint16_t slot, once; /* once: the member is disabled by it */
} __attribute__((packed));
_Static_assert(sizeof(struct reported) * ROUND_MAX <= RECORD_VALUE_MAX_BYTES, "one record a wait");

static struct nf_epoll *set_of(uint32_t index)
{
    return (struct nf_epoll *)IMAGE->descriptors[index].own[0];
}

/* ---- the kernel's set ---- */

static void kernel_change(uint32_t set, int operation, uint32_t slot)
{
    const struct member *member = &set_of(set)->members[slot];
    int epoll = native_fd(set), fd;
    if (epoll < 0 || !wait_asks_kernel(member->index))
        return;
    fd = descriptor_family(member->index)->native(member->index);
    struct epoll_event event = {.events = member->disabled ? 0 : member->events, .data.u64 = slot};
    if (fd >= 0)
        epoll_ctl(epoll, operation, fd, &event);
}

static void revive(uint32_t index)
{
    struct nf_epoll *set = set_of(index);
    if (set == NULL)
        return; /* epoll_create goes on by itself */
    native_install(index, epoll_create1(EPOLL_CLOEXEC));
    for (uint32_t slot = 0; slot < set->count; slot++)
        if (set->members[slot].index != FREE)
            kernel_change(index, EPOLL_CTL_ADD, slot);
}

static void see_anew(uint32_t set, uint32_t slot)
{
    if (slot < live[set].room)
        live[set].seen[slot] = (struct seen){0};
}

static void make_room(uint32_t set, uint32_t count)
{
    if (count <= live[set].room)
        return;
    struct seen *seen = realloc(live[set].seen, count * sizeof *seen);
    if (seen == NULL)
        process_fail(STATUS_MEMORY, "no memory for an epoll set");
    memset(seen + live[set].room, 0, (count - live[set].room) * sizeof *seen);
    live[set].seen = seen;
    live[set].room = count;
}

/* ---- changes ---- */

HOOK int __palisade_epoll_create1(int flags)
{
    SITE_HERE();
    if (nf_self == NULL)
        return epoll_create1(flags);
    int fd = descriptor_open(nf_self, FAMILY_EPOLL, false, -1);
    if (fd < 0)
        return -1;
    struct nf_epoll *set = __palisade_malloc(sizeof *set);
    if (set == NULL)
        process_fail(STATUS_MEMORY, "no memory for an epoll set; raise heap_mib");
    *set = (struct nf_epoll){0};
    uint32_t index = descriptor_index(fd);
    IMAGE->descriptors[index].own[0] = (uint64_t)set;
    if (process_mode() == MODE_RECORD)
        revive(index);
    return fd;
}

HOOK int __palisade_epoll_create(int size)
{
    SITE_HERE();
    if (nf_self == NULL)
        return epoll_create(size);
    return size > 0 ? __palisade_epoll_create1(0) : fail(EINVAL);
}

static void close_set(struct nf_thread *thread, uint32_t index)
{
    struct nf_epoll *set = set_of(index);
    (void)thread;
    native_close(index, NULL, 0, NULL);
    free(live[index].seen);
    memset(&live[index], 0, sizeof live[index]);
    if (set)
        __palisade_free(set->members);
    __palisade_free(set);
}

static uint32_t find(const struct nf_epoll *set, int fd)
{
    for (uint32_t slot = 0; slot < set->count; slot++)
        if (set->members[slot].index != FREE && set->members[slot].fd == fd)
            return slot;
    return FREE;
}

static uint32_t free_member(struct nf_epoll *set)
{
    for (uint32_t slot = 0; slot < set->count; slot++)
        if (set->members[slot].index == FREE)
            return slot;
    uint32_t count = set->count ? 2 * set->count : 8;
    struct member *members = __palisade_realloc(set->members, count * sizeof *members);
    if (members == NULL)
        return FREE;
    for (uint32_t slot = set->count; slot < count; slot++)
        members[slot].index = FREE;
    set->members = members;
    uint32_t slot = set->count;
    set->count = count;
    return slot;
}

static int change(uint32_t index, int operation, int fd, const struct epoll_event *event)
{
    struct nf_epoll *set = set_of(index);
    uint32_t slot = find(set, fd), target = descriptor_index(fd);
    if ((operation == EPOLL_CTL_ADD) == (slot != FREE))
        return slot != FREE ? EEXIST : ENOENT;
    if (operation == EPOLL_CTL_ADD) {
        slot = free_member(set);
        if (slot == FREE)
            return ENOMEM;
        set->members[slot].fd = fd;
        set->members[slot].index = target;
    }
    struct member *member = &set->members[slot];
    if (operation != EPOLL_CTL_DEL) {
        member->events = event->events;
        member->data = event->data.u64;
        member->disabled = 0;
    }
    if (process_mode() == MODE_RECORD)
        kernel_change(index, operation, slot);
    see_anew(index, slot);
    if (operation == EPOLL_CTL_DEL)
        member->index = FREE;
    return 0;
}

HOOK int __palisade_epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event)
{
    SITE_HERE();
    if (nf_self == NULL)
        return epoll_ctl(epoll, operation, fd, event);
    if (!descriptor_is(epoll) || !descriptor_is(fd))
        return fail(EBADF);
    uint32_t index = descriptor_index(epoll), target = descriptor_index(fd);
    if (descriptor_family(index) != &family_epoll || epoll == fd)
        return fail(EINVAL);
    if (operation != EPOLL_CTL_ADD && operation != EPOLL_CTL_MOD && operation != EPOLL_CTL_DEL)
        return fail(EINVAL);
    if (descriptor_family(target) == &family_epoll)
        process_fail(STATUS_UNMODELLED,
                     "epoll_ctl: a set of descriptors in another set cannot be replayed (G8)");
    if (descriptor_family(target) == &family_file && file_of(target)->kind != FILE_STREAM)
        return fail(EPERM); /* as the kernel: always ready */
    ordered_lock(nf_self, &IMAGE->descriptors_lock);
    int error = change(index, operation, fd, event);
    ordered_unlock(&IMAGE->descriptors_lock);
    if (process_mode() == MODE_RECORD)
        for (uint32_t t = 0; t < IMAGE->thread_count; t++)
            thread_wake(t); /* whoever waits for this set looks again; changes are rare */
    return error ? fail(error) : 0;
}

void epoll_forget(uint32_t target)
{
    for (uint32_t i = 0; i < DESCRIPTORS_MAX; i++) {
        if (IMAGE->descriptors[i].family != FAMILY_EPOLL || set_of(i) == NULL)
            continue;
        struct nf_epoll *set = set_of(i);
        for (uint32_t slot = 0; slot < set->count; slot++)
            if (set->members[slot].index == target) {
                if (process_mode() == MODE_RECORD)
                    kernel_change(i, EPOLL_CTL_DEL, slot);
                set->members[slot].index = FREE;
            }
    }
}

/* ---- waiting ---- */

/* Which edges of `ready` are news; what is told is remembered. */
static uint32_t news(uint32_t set, uint32_t slot, uint32_t ready)
{
    const struct member *member = &set_of(set)->members[slot];
    struct seen *seen = &live[set].seen[slot];
    const struct family *family = descriptor_family(member->index);
    uint32_t queue = IMAGE->descriptors[member->index].queue;
    uint64_t in = queue          ? atomic_load(&process.queues[queue - 1]->head)
                  : family->edge ? family->edge(member->index, false)
                                 : 0;
    uint64_t out = family->edge ? family->edge(member->index, true) : 0;
    uint32_t told = (seen->told_in && seen->in == in ? EPOLLIN | EPOLLRDNORM : 0) |
                    (seen->told_out && seen->out == out ? EPOLLOUT | EPOLLWRNORM : 0);
    uint32_t fresh = ready & ~told;
    if (fresh == 0 || (fresh & (EPOLLHUP | EPOLLERR) && seen->told_in && seen->in == in &&
                       !(fresh & (EPOLLIN | EPOLLOUT))))
        return 0;
    if (ready & EPOLLIN || ready & EPOLLHUP) {
        seen->in = in;
        seen->told_in = true;
    }
    if (ready & EPOLLOUT) {
        seen->out = out;
        seen->told_out = true;
    }
    return ready;
}

/* Our own members that are ready. Live, holding descriptors_lock's word, like collect. */
static uint32_t collect_ours(uint32_t index, struct reported *out, uint32_t limit)
{
    struct nf_epoll *set = set_of(index);
    uint32_t found = 0;
    make_room(index, set->count);
    for (uint32_t i = 0; i < set->count && found < limit; i++) {
        uint32_t slot = (live[index].next + i) % set->count;
        const struct member *member = &set->members[slot];
        if (member->index == FREE || member->disabled || wait_asks_kernel(member->index))
            continue;
        struct interest one = {.index = member->index, .events = (short)(member->events & 0xffff)};
        if (wait_look(&one, 1) == 0)
            continue;
        uint32_t events = (uint16_t)one.ready;
        if (member->events & EPOLLET)
            events = news(index, slot, events);
        if (events)
            out[found++] = (struct reported){.events = events, .slot = (uint16_t)slot};
    }
    if (set->count)
        live[index].next = (live[index].next + 1) % set->count;
    return found;
}

static uint32_t collect(uint32_t index, struct reported *out, uint32_t limit)
{
    struct nf_epoll *set = set_of(index);
    struct epoll_event events[ROUND_MAX];
    uint32_t found = collect_ours(index, out, limit > 1 ? limit / 2 : 1);
    int more = limit > found ? epoll_wait(native_fd(index), events, (int)(limit - found), 0) : 0;
    for (int i = 0; i < more; i++)
        if (events[i].data.u64 < set->count)
            out[found++] =
                (struct reported){.events = events[i].events, .slot = (uint16_t)events[i].data.u64};
    for (uint32_t i = 0; i < found; i++) {
        struct member *member = &set->members[out[i].slot];
        out[i].data = member->data;
        out[i].once = (member->events & EPOLLONESHOT) != 0;
        if (out[i].once)
            member->disabled = 1;
    }
    return found;
}

/*
 * The lock without its event: looking at a set is none. In replay nobody may be between "it is my
 * turn" and "I hold it".
 */
static void hold_sets(struct nf_thread *thread)
{
    struct nf_mutex *mutex = &IMAGE->descriptors_lock;
    for (bool held = false; !held && process_mode() == MODE_REPLAY;) {
        replay_object_lock(mutex);
        held = native_try(mutex);
        replay_object_unlock(mutex);
        if (held)
            return;
        sched_yield();
    }
    native_lock(thread, mutex, false);
}

static uint32_t collect_locked(struct nf_thread *thread, uint32_t index, struct reported *out,
                               uint32_t limit)
{
    int saved = errno;
    hold_sets(thread);
    uint32_t found = collect(index, out, limit);
    native_unlock(&IMAGE->descriptors_lock);
    errno = saved;
    return found;
}

/* Packets are delivered to who waits for them; and `register_thread`: they wake this thread. */
static void want(struct nf_thread *thread, uint32_t index, bool register_thread)
{
    queue_nf_ready();
    hold_sets(thread);
    const struct nf_epoll *set = set_of(index);
    for (uint32_t slot = 0; slot < set->count; slot++) {
        const struct member *member = &set->members[slot];
        if (member->index == FREE || member->disabled)
            continue;
        if (IMAGE->descriptors[member->index].queue && (member->events & EPOLLIN))
            queue_reads(descriptor_queue(member->index));
        if (register_thread && !wait_asks_kernel(member->index))
            wait_register(thread, member->index);
    }
    native_unlock(&IMAGE->descriptors_lock);
}

/* Live. */
static uint32_t wait_live(struct nf_thread *thread, uint32_t index, struct reported *out,
                          uint32_t limit, int64_t timeout_ns)
{
    if (timeout_ns >= 0 && timeout_ns < TICK_NS)
        timeout_ns = TICK_NS; /* an idle NF logs little */
    uint32_t found = collect_locked(thread, index, out, limit);
    int64_t until = timeout_ns < 0 ? -1 : now_ns() + timeout_ns;
    while (found == 0) {
        uint32_t seen = atomic_load(&run_of(thread)->wake);
        want(thread, index, true);
        found = collect_locked(thread, index, out, limit);
        int64_t left = until < 0 ? -1 : until - now_ns();
        if (found || (until >= 0 && left <= 0))
            break;
        wait_sleep_on(thread, seen, native_fd(index), left, &signal_eintr);
        found = collect_locked(thread, index, out, limit);
    }
    return found;
}

static int wait_event(struct nf_thread *thread, int epoll, struct epoll_event *events, int room,
                      int64_t timeout_ns)
{
    struct reported list[ROUND_MAX];
    uint32_t limit = room < (int)ROUND_MAX ? (uint32_t)room : ROUND_MAX;
    if (!descriptor_is(epoll))
        return fail(EBADF);
    uint32_t index = descriptor_index(epoll);
    if (room <= 0 || descriptor_family(index) != &family_epoll)
        return fail(EINVAL);
    safe_point(thread);
    want(thread, index, false);
    for (;;) {
        bool own = false;
        int64_t found = LOGGED_WAIT(thread, "epoll_wait", 0, &signal_eintr, ({
                                        own = true;
                                        (int64_t) wait_live(thread, index, list, limit, timeout_ns);
                                    }));
        if (found > (int64_t)limit)
            process_fail(STATUS_DIVERGED,
                         "replay departs from the log: thread %u: epoll_wait "
                         "returned more than the program takes (G6)",
                         thread->core.index);
        if (found && !logged_bytes(thread, "epoll_wait", list, (size_t)found * sizeof *list, own))
            continue;
        const struct nf_epoll *set = set_of(index);
        for (int64_t i = 0; i < found; i++) {
            events[i].events = list[i].events;
            events[i].data.u64 = list[i].data;
            if (list[i].once && !own && list[i].slot < set->count)
                set->members[list[i].slot].disabled = 1;
        }
        return (int)found;
    }
}

int palisade_epoll_wait_restartable(int epoll, struct epoll_event *events, int room, int timeout_ms)
{
    if (nf_self == NULL)
        return epoll_wait(epoll, events, room, timeout_ms);
    return wait_event(nf_self, epoll, events, room, timeout_ms < 0 ? -1 : timeout_ms * 1000000ll);
}

int palisade_epoll_pwait_restartable(int epoll, struct epoll_event *events, int room,
                                     int timeout_ms, const sigset_t *mask)
{
    if (nf_self == NULL)
        return epoll_pwait(epoll, events, room, timeout_ms, mask);
    signal_mask_swap(nf_self, mask);
    int result = palisade_epoll_wait_restartable(epoll, events, room, timeout_ms);
    signal_mask_back(nf_self);
    return result;
}

int palisade_epoll_pwait2_restartable(int epoll, struct epoll_event *events, int room,
                                      const struct timespec *timeout, const sigset_t *mask)
{
    if (nf_self == NULL)
        return epoll_pwait2(epoll, events, room, timeout, mask);
    signal_mask_swap(nf_self, mask);
    int result = wait_event(nf_self, epoll, events, room,
                            timeout ? timeout->tv_sec * 1000000000ll + timeout->tv_nsec : -1);
    signal_mask_back(nf_self);
    return result;
}

const struct family family_epoll = {
    .name = "epoll set",
    .close = close_set,
    .revive = revive,
};
