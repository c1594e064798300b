/*
 * ratelimit: holds every source address to a rate. The kernel routes packets into a TUN device;
 * ratelimit lets each through at once while its source has tokens, keeps it while it has none,
 * drops it when too many wait already, and writes what may go on to the same device, from where the
 * kernel routes it to its destination.
 *
 * Threads. One reads the device. Each releasing thread serves the sources of one shard: it sleeps
 * until the first waiting packet has its tokens, or one comes for a source that had none. The main
 * thread prints counters.
 *
 * State, and what guards it.
 *   shards[].lock   token buckets and waiting packets of the sources of a shard (shard.h)
 *   totals          atomics
 */
#define _GNU_SOURCE 1
#include <fcntl.h>
#include <inttypes.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "shard.h"

#define TUN_DEVICE "/dev/net/tun"
#define PACKET_BYTES_MAX 2048
#define BUSY_TRIES 100 /* a dead process gives its device back after a while */
#define BUSY_WAIT_US 20000

static struct shard shards[SHARDS_MAX];

static struct {
    _Atomic uint64_t read, foreign; /* packets; not IPv4 */
    _Atomic uint64_t unwritten;
} totals;

static struct config config = {
    .shards = 2, .burst = 65536, .queue = 1048576, .limits = {{.rate = 1000000}}, .limit_count = 1};
static int tun = -1;

static int64_t clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * SECOND_NS + now.tv_nsec;
}

static void tun_open(const char *name)
{
    struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};

    snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
    tun = open(TUN_DEVICE, O_RDWR | O_CLOEXEC);
    if (tun < 0)
        die(TUN_DEVICE);
    for (unsigned tries = 0; ioctl(tun, TUNSETIFF, &request) != 0; tries++) {
        if (errno != EBUSY || tries == BUSY_TRIES)
            die(name);
        usleep(BUSY_WAIT_US);
    }
}

/* ---- threads ---- */

static void *reader_run(void *unused)
{
    static uint8_t packet[PACKET_BYTES_MAX];

    for (;;) {
        ssize_t length = read(tun, packet, sizeof(packet));
        if (length < 0 && errno != EINTR && errno != EAGAIN)
            die("reading the device");
        const struct iphdr *ip = (const struct iphdr *)packet;
        if (length <= 0)
            continue;
        atomic_fetch_add_explicit(&totals.read, 1, memory_order_relaxed);
        if ((size_t)length < sizeof(*ip) || ip->version != 4) {
            atomic_fetch_add_explicit(&totals.foreign, 1, memory_order_relaxed);
            continue;
        }
        struct shard *shard = &shards[source_hash(ip->saddr) % SHARDS_MAX % config.shards];
        int64_t now_ns = clock_ns();
        pthread_mutex_lock(&shard->lock);
        if (shard_accept(shard, &config, packet, (uint32_t)length, ip->saddr, now_ns))
            pthread_cond_signal(&shard->wanted);
        pthread_mutex_unlock(&shard->lock);
    }
    return unused;
}

static void *releaser_run(void *argument)
{
    struct shard *shard = argument;
    int64_t due_ns;

    pthread_mutex_lock(&shard->lock);
    for (;;) {
        struct packet *packet = shard_release(shard, clock_ns(), &due_ns);
        if (packet != NULL) {
            pthread_mutex_unlock(&shard->lock);
            if (write(tun, packet->bytes, packet->length) != (ssize_t)packet->length)
                atomic_fetch_add_explicit(&totals.unwritten, 1, memory_order_relaxed);
            free(packet);
            pthread_mutex_lock(&shard->lock);
        } else if (due_ns == INT64_MAX) {
            pthread_cond_wait(&shard->wanted, &shard->lock);
        } else {
            struct timespec until = {due_ns / SECOND_NS, due_ns % SECOND_NS};
            pthread_cond_timedwait(&shard->wanted, &shard->lock, &until);
        }
    }
    return NULL;
}

/* ---- main ---- */

/* One line a source, and one for all. */
static void counters_print(void)
{
    char text[INET_ADDRSTRLEN];
    uint64_t no_memory = 0;

    for (unsigned s = 0; s < config.shards; s++) {
        pthread_mutex_lock(&shards[s].lock);
        no_memory += shards[s].no_memory;
        for (unsigned c = 0; c < CHAINS; c++)
            for (const struct source *source = shards[s].chains[c]; source != NULL;
                 source = source->next)
                printf("source %s accepted %" PRIu64 " released %" PRIu64 " bytes %" PRIu64
                       " dropped %" PRIu64 " waiting %" PRIu32 " tokens %" PRId64 "\n",
                       inet_ntop(AF_INET, &source->address, text, sizeof(text)), source->accepted,
                       source->released, source->released_bytes, source->dropped, source->queued,
                       (int64_t)(source->bucket.tokens / SECOND_NS));
        pthread_mutex_unlock(&shards[s].lock);
    }
    printf("read %" PRIu64 " foreign %" PRIu64 " no-memory %" PRIu64 " unwritten %" PRIu64 "\n",
           atomic_load(&totals.read), atomic_load(&totals.foreign), no_memory,
           atomic_load(&totals.unwritten));
    fflush(stdout);
}

int main(int argc, char **argv)
{
    const struct timespec second = {1, 0};
    pthread_t thread;

    options_parse(&config, argc, argv);
    tun_open(config.device);
    for (unsigned s = 0; s < config.shards; s++)
        shard_open(&shards[s]);
    for (unsigned s = 0; s < config.shards; s++)
        if (pthread_create(&thread, NULL, releaser_run, &shards[s]) != 0)
            die("releasing thread");
    if (pthread_create(&thread, NULL, reader_run, NULL) != 0)
        die("reading thread");
    printf("ratelimit: ready, %s\n", config.device);
    fflush(stdout);

    for (;;) {
        nanosleep(&second, NULL);
        if (config.verbose)
            counters_print();
    }
}
