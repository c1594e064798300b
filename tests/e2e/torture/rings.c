/*
 * rings: tortured through AF_XDP. A thread and a socket a port; each holds the frames of up to
 * BATCH requests before it answers them all in one submit, so that an image finds frames in the
 * NF's hands, in the fill ring, and answered ones in the completion ring.
 *
 *   lan  polls its descriptor, kicks with sendto
 *   wan  never waits, looks at the ring again and again
 */
#include "answers.h"

#include <poll.h>
#include <xdp/xsk.h>

#define FRAMES 256u
#define FRAME_BYTES 2048u
#define BATCH 5
#define TICK_US 2000

struct lane {
    struct answerer self;
    struct xsk_ring_prod fill, transmit;
    struct xsk_ring_cons completion, receive;
    struct xsk_umem *umem;
    struct xsk_socket *socket;
    uint8_t *area;
    uint64_t free[FRAMES];
    uint32_t free_count, held_count;
    struct xdp_desc held[BATCH];
};

static struct chain chain = {.lock = PTHREAD_MUTEX_INITIALIZER};
static struct lane lan = {.self = {.chain = &chain, .index = 0}};
static struct lane wan = {.self = {.chain = &chain, .index = 1}};

static void open_lane(struct lane *lane, const char *port)
{
    struct xsk_umem_config umem = {
        .fill_size = 64, .comp_size = 64, .frame_size = FRAME_BYTES, .frame_headroom = 32};
    struct xsk_socket_config socket = {.rx_size = 64, .tx_size = 64};
    if (posix_memalign((void **)&lane->area, 4096, FRAMES * FRAME_BYTES) != 0 ||
        xsk_umem__create(&lane->umem, lane->area, FRAMES * FRAME_BYTES, &lane->fill,
                         &lane->completion, &umem) != 0 ||
        xsk_socket__create(&lane->socket, port, 0, lane->umem, &lane->receive, &lane->transmit,
                           &socket) != 0)
        die("rings: open");
    for (uint32_t i = 0; i < FRAMES; i++)
        lane->free[lane->free_count++] = i * FRAME_BYTES;
}

/* Gives frames to the fill ring, takes answered ones back. */
static void turn_frames(struct lane *lane)
{
    uint32_t index, count = xsk_ring_cons__peek(&lane->completion, 64, &index);
    for (uint32_t i = 0; i < count; i++)
        lane->free[lane->free_count++] =
            *xsk_ring_cons__comp_addr(&lane->completion, index + i) & ~(uint64_t)(FRAME_BYTES - 1);
    if (count)
        xsk_ring_cons__release(&lane->completion, count);
    while (lane->free_count > 0 && xsk_ring_prod__reserve(&lane->fill, 1, &index) == 1) {
        *xsk_ring_prod__fill_addr(&lane->fill, index) = lane->free[--lane->free_count];
        xsk_ring_prod__submit(&lane->fill, 1);
    }
}

/* Answers what is held, in place. */
static void flush(struct lane *lane)
{
    uint32_t index;
    while (xsk_ring_prod__reserve(&lane->transmit, lane->held_count, &index) == 0)
        sendto(xsk_socket__fd(lane->socket), NULL, 0, MSG_DONTWAIT, NULL, 0);
    for (uint32_t i = 0; i < lane->held_count; i++) {
        struct answerer *self = &lane->self;
        uint8_t *bytes = xsk_umem__get_data(lane->area, lane->held[i].addr);
        struct request request;
        if (!answers_request(bytes, lane->held[i].len, &request))
            die("rings: a held frame changed");
        self->digest = mix(self->digest, lane->held[i].addr + lane->free_count);
        size_t length = answers_write(self->chain, &request, self->index, &self->n, self->digest,
                                      48, bytes, self->out);
        memcpy(bytes, self->out, length);
        *xsk_ring_prod__tx_desc(&lane->transmit, index + i) =
            (struct xdp_desc){.addr = lane->held[i].addr, .len = (uint32_t)length};
    }
    xsk_ring_prod__submit(&lane->transmit, lane->held_count);
    if (xsk_ring_prod__needs_wakeup(&lane->transmit))
        sendto(xsk_socket__fd(lane->socket), NULL, 0, MSG_DONTWAIT, NULL, 0);
    lane->held_count = 0;
}

/* One look at the ring; true when there was something. */
static int take(struct lane *lane)
{
    struct request request;
    uint32_t index, count;
    turn_frames(lane);
    count = xsk_ring_cons__peek(&lane->receive, BATCH - lane->held_count, &index);
    for (uint32_t i = 0; i < count; i++) {
        struct xdp_desc found = *xsk_ring_cons__rx_desc(&lane->receive, index + i);
        if (answers_request(xsk_umem__get_data(lane->area, found.addr), found.len, &request))
            lane->held[lane->held_count++] = found;
        else
            lane->free[lane->free_count++] = found.addr & ~(uint64_t)(FRAME_BYTES - 1);
    }
    if (count)
        xsk_ring_cons__release(&lane->receive, count);
    return count > 0;
}

static void *run_lan(void *unused)
{
    struct pollfd readable = {.fd = xsk_socket__fd(lan.socket), .events = POLLIN};
    for (;;) {
        int ready = poll(&readable, 1, 5);
        if (ready < 0)
            die("rings: poll");
        if (ready > 0)
            take(&lan);
        if (lan.held_count == BATCH || (ready == 0 && lan.held_count > 0))
            flush(&lan);
    }
    return unused;
}

static void *run_wan(void *unused)
{
    for (unsigned idle = 0;;) {
        idle = take(&wan) ? 0 : idle + 1;
        if (wan.held_count == BATCH || (idle > 50 && wan.held_count > 0))
            flush(&wan);
    }
    return unused;
}

int main(int argc, char **argv)
{
    pthread_t threads[2];
    if (argc != 3)
        return 64;
    open_lane(&lan, argv[1]);
    open_lane(&wan, argv[2]);
    pthread_create(&threads[0], NULL, run_lan, NULL);
    pthread_create(&threads[1], NULL, run_wan, NULL);
    for (uint64_t tick = 0;; tick++) {
        usleep(TICK_US);
        if (tick % 64 == 0)
            answers_print(&chain, tick, tick);
    }
}
