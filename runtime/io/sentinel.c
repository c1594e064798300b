/*
 * The sentinel: a thread that does nothing but hold one connection to each logger, so that its
 * closing tells of our death at once.
 *
 * A killed process closes its descriptors only after its memory is taken down, some 10 ms for each
 * 100 MiB, or after its core is written. That is so for a table of descriptors that threads share:
 * it goes with the last of them. The sentinel has a table of its own, and wakes first of all when
 * the process is killed (measured: 0.3 ms where the lifeline took 11, 0.8 instead of 44 with 300
 * MiB). It allocates nothing, for its memory would lie where the NF's libraries may want to be.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/io.h"

#define STACK_BYTES (64u << 10)
#define CONNECTS 100 /* attempts, of 20 ms each at least: who listens may be about to come back */
#define CONNECT_REST_US 20000

static _Alignas(4096) uint8_t stack[STACK_BYTES];
static struct {
    _Atomic uint32_t asked; /* futex: times sentinel_watch was called */
    _Atomic uint32_t sessions[LOGGER_SIDES];
    int fds[LOGGER_SIDES];
    uint32_t watched[LOGGER_SIDES]; /* sessions told */
} sentinel = {.fds = {-1, -1}};

static int connect_once(const struct option_link *link, uint32_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || inet_pton(AF_INET, link->address, &address.sin_addr) != 1 ||
        connect(fd, (const struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    close(fd);
    return -1;
}

/* The new one first: the logger forgets the old session with it. Without one a death is only
 * noticed later. */
static void watch(enum logger_side which, uint32_t session)
{
    const struct nf_options *options = &process.options;
    bool output = which == OUTPUT_LOGGER;
    const struct message message = {.kind = MESSAGE_SENTINEL,
                                    .sentinel = {.claimant = io.claimant, .session = session}};
    uint8_t bytes[64];
    int64_t length = message_encode(&message, bytes, sizeof bytes);
    int fd = -1;
    for (int i = 0; i < CONNECTS && fd < 0; i++) {
        fd = connect_once(output ? &options->ol : &options->il,
                          output ? options->ol_port : options->il_port);
        if (fd < 0)
            usleep(CONNECT_REST_US);
    }
    if (fd >= 0 && send(fd, bytes, (size_t)length, MSG_NOSIGNAL) != length) {
        close(fd);
        fd = -1;
    }
    if (sentinel.fds[which] >= 0)
        close(sentinel.fds[which]);
    sentinel.fds[which] = fd;
}

/* Real time where that is allowed: who wakes first dies first. It never computes. */
static void be_first(void)
{
    const struct sched_param least = {.sched_priority = 1};
    if (sched_setscheduler(0, SCHED_FIFO, &least) != 0)
        setpriority(PRIO_PROCESS, (id_t)gettid(), -20);
}

static void *stand(void *unused)
{
    if (unshare(CLONE_FILES) != 0)
        return unused;
    close_range(3, UINT32_MAX, 0);
    be_first();
    for (;;) {
        uint32_t asked = atomic_load(&sentinel.asked);
        for (enum logger_side which = 0; which < LOGGER_SIDES; which++) {
            uint32_t session = atomic_load(&sentinel.sessions[which]);
            if (session != sentinel.watched[which]) {
                sentinel.watched[which] = session;
                watch(which, session);
            }
        }
        futex_wait(&sentinel.asked, asked, -1);
    }
}

void sentinel_start(void)
{
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    int error = pthread_attr_setstack(&attributes, stack, sizeof stack);
    if (error == 0)
        error = pthread_create(&thread, &attributes, stand, NULL);
    if (error)
        process_fail(STATUS_MEMORY, "cannot start the sentinel: %s", strerror(error));
    pthread_attr_destroy(&attributes);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void sentinel_watch(enum logger_side which, uint32_t session)
{
    atomic_store(&sentinel.sessions[which], session);
    atomic_fetch_add(&sentinel.asked, 1);
    futex_wake(&sentinel.asked, 1);
}
