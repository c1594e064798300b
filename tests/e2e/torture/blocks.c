/*
 * blocks: tortured through TPACKET_V3 rings. A thread and a socket a port; blocks are small and
 * few, a thread gives them back late, so that images find full ones.
 *
 *   lan  receives from a ring, sends by sendto
 *   wan  receives from and sends through rings of one mapping, a kick for several frames
 */
#include "answers.h"

#include <poll.h>
#include <sys/mman.h>

#define BLOCK_BYTES 8192u
#define BLOCKS 4u
#define FRAME_BYTES 2048u
#define FRAMES (BLOCKS * BLOCK_BYTES / FRAME_BYTES)
#define TICK_US 2000
#define DATA (TPACKET3_HDRLEN - sizeof(struct sockaddr_ll))

struct lane {
    struct answerer self;
    uint8_t *memory;
    uint32_t block, frame, marked;
    int sends_by_ring;
};

static struct chain chain = {.lock = PTHREAD_MUTEX_INITIALIZER};
static struct lane lan = {.self = {.chain = &chain, .index = 0}};
static struct lane wan = {.self = {.chain = &chain, .index = 1}, .sends_by_ring = 1};

static void open_lane(struct lane *lane, const char *name)
{
    int version = TPACKET_V3;
    struct tpacket_req3 ring = {.tp_block_size = BLOCK_BYTES,
                                .tp_block_nr = BLOCKS,
                                .tp_frame_size = FRAME_BYTES,
                                .tp_frame_nr = FRAMES,
                                .tp_retire_blk_tov = 1};
    size_t bytes = BLOCKS * BLOCK_BYTES * (lane->sends_by_ring ? 2u : 1u);
    struct tpacket_req3 sends = ring;
    sends.tp_retire_blk_tov = 0; /* the kernel insists */
    lane->self.port = answers_port(name);
    struct sockaddr_ll address = {
        .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = lane->self.port};
    int fd = lane->self.socket = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));
    if (fd < 0 || setsockopt(fd, SOL_PACKET, PACKET_VERSION, &version, sizeof version) != 0 ||
        setsockopt(fd, SOL_PACKET, PACKET_RX_RING, &ring, sizeof ring) != 0)
        die("blocks: receive ring");
    if (lane->sends_by_ring &&
        setsockopt(fd, SOL_PACKET, PACKET_TX_RING, &sends, sizeof sends) != 0)
        die("blocks: transmit ring");
    lane->memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (lane->memory == MAP_FAILED || bind(fd, (struct sockaddr *)&address, sizeof address) != 0)
        die("blocks: mmap");
}

static void kick(struct lane *lane)
{
    ssize_t sent = lane->marked ? send(lane->self.socket, NULL, 0, 0) : 0;
    if (sent < 0)
        die("blocks: kick");
    lane->self.digest = mix(lane->self.digest, (uint64_t)sent);
    lane->marked = 0;
}

static void put(struct lane *lane, size_t length)
{
    if (!lane->sends_by_ring) {
        answers_send(lane->self.socket, lane->self.port, lane->self.out, length);
        return;
    }
    struct tpacket3_hdr *frame =
        (struct tpacket3_hdr *)(lane->memory + BLOCKS * BLOCK_BYTES + lane->frame * FRAME_BYTES);
    if (frame->tp_status != TP_STATUS_AVAILABLE)
        die("blocks: no frame is free");
    memcpy((uint8_t *)frame + DATA, lane->self.out, length);
    frame->tp_len = frame->tp_snaplen = (uint32_t)length;
    frame->tp_status = TP_STATUS_SEND_REQUEST;
    lane->frame = (lane->frame + 1) % FRAMES;
    lane->marked++;
}

static void answer_block(struct lane *lane, struct tpacket_block_desc *block)
{
    struct answerer *self = &lane->self;
    uint8_t *at = (uint8_t *)block + block->hdr.bh1.offset_to_first_pkt;
    self->digest = mix(self->digest, block->hdr.bh1.seq_num);
    for (uint32_t i = 0; i < block->hdr.bh1.num_pkts; i++) {
        struct tpacket3_hdr *head = (struct tpacket3_hdr *)at;
        struct request request;
        if (answers_request(at + head->tp_mac, head->tp_snaplen, &request)) {
            self->digest = mix(self->digest, head->tp_sec * 1000000000ull + head->tp_nsec);
            put(lane, answers_write(self->chain, &request, self->index, &self->n, self->digest, 40,
                                    at + head->tp_mac, self->out));
        }
        at += head->tp_next_offset;
    }
    if (lane->sends_by_ring)
        kick(lane);
}

static void *run(void *argument)
{
    struct lane *lane = argument;
    struct pollfd readable = {.fd = lane->self.socket, .events = POLLIN};
    for (;;) {
        struct tpacket_block_desc *block =
            (struct tpacket_block_desc *)(lane->memory + lane->block * BLOCK_BYTES);
        while ((block->hdr.bh1.block_status & TP_STATUS_USER) == 0)
            if (poll(&readable, 1, -1) < 0)
                die("blocks: poll");
        answer_block(lane, block);
        block->hdr.bh1.block_status = TP_STATUS_KERNEL;
        lane->block = (lane->block + 1) % BLOCKS;
    }
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t threads[2];
    if (argc != 3)
        return 64;
    open_lane(&lan, argv[1]);
    open_lane(&wan, argv[2]);
    pthread_create(&threads[0], NULL, run, &lan);
    pthread_create(&threads[1], NULL, run, &wan);
    for (uint64_t tick = 0;; tick++) {
        usleep(TICK_US);
        if (tick % 64 == 0)
            answers_print(&chain, tick, tick);
    }
}
