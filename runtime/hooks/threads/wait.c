/* See wait.h. */
#include "hooks/threads/wait.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/assert.h"
#include "hooks/packets/packets.h"

#define FEW 32u

bool wait_asks_kernel(uint32_t index)
{
    const struct family *family = descriptor_family(index);
    return family && family->native;
}

static bool asks_kernel(const struct interest *interest)
{
    return interest->index == WAIT_NATIVE || wait_asks_kernel(interest->index);
}

static int kernel_number(const struct interest *interest)
{
    return interest->index == WAIT_NATIVE
               ? interest->fd
               : descriptor_family(interest->index)->native(interest->index);
}

/* The interests that the kernel answers, as poll wants them; `fds` has room for all and one. */
static uint32_t natives(const struct interest *interests, uint32_t count, struct pollfd *fds)
{
    uint32_t found = 0;
    for (uint32_t i = 0; i < count; i++)
        if (asks_kernel(&interests[i]))
            fds[found++] =
                (struct pollfd){.fd = kernel_number(&interests[i]), .events = interests[i].events};
    return found;
}

static struct pollfd *room_for(struct pollfd *few, uint32_t count)
{
    if (count + 1 <= FEW)
        return few;
    struct pollfd *many = malloc(sizeof *many * (count + 1));
    if (many == NULL)
        process_fail(STATUS_MEMORY, "no memory to wait for %u descriptors", count);
    return many;
}

uint32_t wait_look(struct interest *interests, uint32_t count)
{
    struct pollfd few[FEW], *fds = room_for(few, count);
    uint32_t asked = natives(interests, count, fds), ready = 0, n = 0;
    int saved = errno;
    if (asked && poll(fds, asked, 0) < 0)
        for (uint32_t i = 0; i < asked; i++)
            fds[i].revents = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct interest *interest = &interests[i];
        if (asks_kernel(interest)) {
            interest->ready = fds[n++].revents;
        } else {
            const struct family *family = descriptor_family(interest->index);
            interest->ready = family == NULL ? POLLNVAL
                              : family->ready
                                  ? family->ready(interest->index, interest->events)
                                  : interest->events & (POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM);
        }
        ready += interest->ready != 0;
    }
    errno = saved;
    if (fds != few)
        free(fds);
    return ready;
}

void wait_register(struct nf_thread *thread, uint32_t index)
{
    const struct family *family = descriptor_family(index);
    uint32_t queue = IMAGE->descriptors[index].queue;
    if (queue)
        atomic_fetch_or(&process.queues[queue - 1]->waiters, 1ull << thread->core.index);
    if (family && family->await)
        family->await(index, thread->core.index);
}

static void sleep_in_poll(struct nf_thread *thread, uint32_t seen, struct pollfd *fds,
                          uint32_t count, int64_t left_ns, const struct signal_call *call)
{
    struct thread_run *run = run_of(thread);
    if (run->wake_fd == 0) {
        int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        if (fd < 0)
            process_fail(STATUS_KERNEL, "eventfd: %s", strerror(errno));
        run->wake_fd = fd + 1;
    }
    fds[count] = (struct pollfd){.fd = run->wake_fd - 1, .events = POLLIN};
    struct timespec left = {.tv_sec = left_ns / 1000000000, .tv_nsec = left_ns % 1000000000};
    int saved = errno;
    if (call)
        atomic_store(&run->accepts, signal_unblocked(thread));
    safe_enter(thread);
    atomic_store(&run->polls, 1); /* seq_cst: thread_wake changes `wake` first */
    if (atomic_load(&run->wake) == seen)
        ppoll(fds, count + 1, left_ns < 0 ? NULL : &left, NULL);
    atomic_store(&run->polls, 0);
    uint64_t wakes;
    if (read(run->wake_fd - 1, &wakes, sizeof wakes) < 0)
        ASSERT(errno == EAGAIN);
    safe_leave(thread);
    atomic_store(&run->accepts, 0);
    errno = saved;
}

/* A hook that is not restartable cannot be left. */
static const struct signal_call *leaves(const struct nf_thread *thread,
                                        const struct signal_call *call)
{
    return run_of(thread)->pinned ? NULL : call;
}

void wait_sleep_on(struct nf_thread *thread, uint32_t seen, int fd, int64_t left_ns,
                   const struct signal_call *call)
{
    struct pollfd fds[2] = {{.fd = fd, .events = POLLIN}};
    call = leaves(thread, call);
    if (call)
        signal_check(thread, call);
    sleep_in_poll(thread, seen, fds, 1, left_ns, call);
}

void wait_sleep(struct nf_thread *thread, struct interest *interests, uint32_t count,
                int64_t until_ns, const struct signal_call *call)
{
    struct thread_run *run = run_of(thread);
    uint32_t seen = atomic_load(&run->wake);
    call = leaves(thread, call);
    if (call)
        signal_check(thread, call); /* may leave the hook: nothing is allocated yet */
    struct pollfd few[FEW], *fds = room_for(few, count);
    uint32_t asked = natives(interests, count, fds);
    for (uint32_t i = 0; i < count; i++)
        if (!asks_kernel(&interests[i]))
            wait_register(thread, interests[i].index);
    bool ready = asked < count && wait_look(interests, count) > 0;
    int64_t left = until_ns < 0 ? -1 : until_ns - now_ns();
    if (ready || (until_ns >= 0 && left <= 0))
        safe_point(thread);
    else if (asked > 0)
        sleep_in_poll(thread, seen, fds, asked, left, call);
    else if (call)
        signal_wait(thread, &run->wake, seen, left);
    else
        safe_wait(thread, &run->wake, seen, left);
    if (fds != few)
        free(fds);
}

/* Short waits need no sleep: as packets_wait does for its queues. */
static bool spin(struct interest *interests, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (asks_kernel(&interests[i]))
            return false;
    for (uint32_t spin = 0; spin < process.options.spin; spin++) {
        if (wait_look(interests, count))
            return true;
        __builtin_ia32_pause();
    }
    return false;
}

bool wait_until(struct nf_thread *thread, struct interest *interests, uint32_t count,
                int64_t until_ns, const struct signal_call *call)
{
    while (wait_look(interests, count) == 0) {
        if (until_ns >= 0 && now_ns() >= until_ns)
            return false;
        if (!spin(interests, count))
            wait_sleep(thread, interests, count, until_ns, call);
    }
    return true;
}

bool wait_native(struct nf_thread *thread, int fd, short events, int64_t until_ns,
                 const struct signal_call *call)
{
    struct interest one = {.index = WAIT_NATIVE, .fd = fd, .events = events};
    return wait_until(thread, &one, 1, until_ns, call);
}
