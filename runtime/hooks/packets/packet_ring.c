/* See packet_ring.h. */
#include "hooks/packets/packet_ring.h"

#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "abi_internal.h"
#include "hooks/calls.h"
#include "hooks/packets/packets.h"

#define PAGE 4096u
#define LINK_BYTES_MIN                                                                             \
    16u /* the kernel leaves as much for a link header, so that IP is aligned                      \
         */
#define ALIGNED(bytes) (((bytes) + TPACKET_ALIGNMENT - 1) & ~(uint32_t)(TPACKET_ALIGNMENT - 1))

struct ring {
    uint32_t block_bytes, blocks, frame_bytes, frames;
    uint32_t private_bytes;
    uint32_t at; /* the block to fill, the frame to send next */
    uint64_t sequence;
};

/* In the NF's heap; one mapping holds both rings, receive first. */
struct nf_rings {
    uint8_t *memory;
    uint64_t bytes;
    struct ring receive, transmit;
};

/* ---- set up ---- */

static uint64_t ring_bytes(const struct ring *ring)
{
    return (uint64_t)ring->block_bytes * ring->blocks;
}

int packet_ring_set(uint32_t index, int name, const void *value, socklen_t length)
{
    const struct tpacket_req3 *wanted = value;
    if (IMAGE->descriptors[index].own[PACKET_OWN_VERSION] != TPACKET_V3)
        process_fail(STATUS_UNMODELLED, "setsockopt: packet rings of version 1 and 2 are not "
                                        "supported; use TPACKET_V3 (G8)");
    if (length < sizeof *wanted)
        return fail(EINVAL);
    struct nf_rings *rings = packet_rings(index);
    if (rings == NULL && (rings = __palisade_calloc(1, sizeof *rings)) == NULL)
        return fail(ENOMEM);
    IMAGE->descriptors[index].own[PACKET_OWN_RINGS] = (uint64_t)rings;
    if (rings->memory)
        return fail(EBUSY); /* as the kernel says while rings are mapped */
    if (wanted->tp_block_nr > 0 &&
        (wanted->tp_block_size == 0 || wanted->tp_block_size % PAGE ||
         wanted->tp_frame_size < TPACKET3_HDRLEN || wanted->tp_frame_size % TPACKET_ALIGNMENT ||
         wanted->tp_block_size / wanted->tp_frame_size * wanted->tp_block_nr !=
             wanted->tp_frame_nr ||
         wanted->tp_sizeof_priv >= wanted->tp_block_size / 2 ||
         (uint64_t)wanted->tp_block_size * wanted->tp_block_nr > UINT32_MAX))
        return fail(EINVAL);
    *(name == PACKET_RX_RING ? &rings->receive : &rings->transmit) =
        (struct ring){.block_bytes = wanted->tp_block_size,
                      .blocks = wanted->tp_block_nr,
                      .frame_bytes = wanted->tp_frame_size,
                      .frames = wanted->tp_frame_nr,
                      .private_bytes = wanted->tp_sizeof_priv};
    return 0;
}

void *packet_ring_map(struct nf_thread *thread, uint32_t index, size_t length)
{
    struct nf_rings *rings = packet_rings(index);
    (void)thread;
    uint64_t bytes = rings ? ring_bytes(&rings->receive) + ring_bytes(&rings->transmit) : 0;
    if (bytes == 0 || length != bytes) {
        errno = EINVAL;
        return MAP_FAILED;
    }
    if (rings->memory == NULL) {
        rings->memory = __palisade_aligned_alloc(PAGE, bytes);
        if (rings->memory == NULL)
            return MAP_FAILED;
        memset(rings->memory, 0, bytes);
        rings->bytes = bytes;
    }
    return rings->memory;
}

void packet_ring_close(struct nf_thread *thread, uint32_t index)
{
    struct nf_rings *rings = packet_rings(index);
    (void)thread;
    if (rings) /* the rings' memory stays: the NF may not have unmapped it yet */
        __palisade_free(rings);
}

/* ---- receive ---- */

static struct tpacket_block_desc *block_of(const struct nf_rings *rings, uint32_t number)
{
    return (struct tpacket_block_desc *)(rings->memory +
                                         (size_t)number * rings->receive.block_bytes);
}

bool packet_ring_ready(uint32_t index)
{
    const struct nf_rings *rings = packet_rings(index);
    if (rings == NULL || rings->memory == NULL || rings->receive.blocks == 0)
        return false;
    uint32_t last = (rings->receive.at ? rings->receive.at : rings->receive.blocks) - 1;
    return block_of(rings, last)->hdr.bh1.block_status & TP_STATUS_USER;
}

struct filling {
    struct ring *ring;
    uint8_t *block;
    uint32_t used, count;
    struct tpacket3_hdr *last;
};

static void fill_frame(void *context, uint32_t n, uint16_t port, const uint8_t *bytes,
                       uint16_t length)
{
    struct filling *filling = context;
    struct tpacket3_hdr *head = (struct tpacket3_hdr *)(filling->block + filling->used);
    uint16_t net = (uint16_t)ALIGNED(TPACKET3_HDRLEN + LINK_BYTES_MIN), mac = net - ETH_HLEN;
    (void)n;
    uint32_t room = filling->ring->block_bytes - filling->used;
    uint32_t kept = mac + length <= room ? length : room - mac;
    *head = (struct tpacket3_hdr){.tp_snaplen = kept,
                                  .tp_len = length,
                                  .tp_status = TP_STATUS_USER,
                                  .tp_mac = mac,
                                  .tp_net = net};
    struct sockaddr_ll *address = (struct sockaddr_ll *)((uint8_t *)head + ALIGNED(sizeof *head));
    packet_address(address, port, bytes, length);
    memcpy((uint8_t *)head + mac, bytes, kept);
    if (filling->last)
        filling->last->tp_next_offset = (uint32_t)((uint8_t *)head - (uint8_t *)filling->last);
    filling->last = head;
    filling->used += ALIGNED(mac + kept);
    filling->count++;
}

/* One time for the block, read when it was filled. */
static void stamp(struct tpacket_block_desc *block)
{
    struct timespec now;
    __palisade_clock_gettime(CLOCK_REALTIME, &now);
    struct tpacket_bd_ts time = {.ts_sec = (uint32_t)now.tv_sec, .ts_nsec = (uint32_t)now.tv_nsec};
    struct tpacket_hdr_v1 *head = &block->hdr.bh1;
    head->ts_first_pkt = head->ts_last_pkt = time;
    uint8_t *at = (uint8_t *)block + head->offset_to_first_pkt;
    for (uint32_t i = 0; i < head->num_pkts; i++) {
        struct tpacket3_hdr *packet = (struct tpacket3_hdr *)at;
        packet->tp_sec = time.ts_sec;
        packet->tp_nsec = time.ts_nsec;
        at += packet->tp_next_offset;
    }
}

void packet_ring_fill(struct nf_thread *thread, uint32_t index)
{
    struct nf_rings *rings = packet_rings(index);
    if (rings == NULL || rings->memory == NULL || rings->receive.blocks == 0)
        return;
    struct ring *ring = &rings->receive;
    struct tpacket_block_desc *block = block_of(rings, ring->at);
    if (block->hdr.bh1.block_status != TP_STATUS_KERNEL)
        return; /* the NF has all blocks: packets stay in the queue */
    uint32_t first = ALIGNED((uint32_t)sizeof *block + ring->private_bytes);
    uint32_t frame = ALIGNED(TPACKET3_HDRLEN + LINK_BYTES_MIN + PACKET_MAX_BYTES);
    uint32_t limit = (ring->block_bytes - first) / frame;
    struct filling filling = {.ring = ring, .block = (uint8_t *)block, .used = first};
    packets_receive_now(thread, descriptor_queue(index), limit ? limit : 1, fill_frame, &filling);
    if (filling.count == 0)
        return;
    block->version = TPACKET_V3;
    block->offset_to_priv = (uint32_t)sizeof *block;
    block->hdr.bh1 = (struct tpacket_hdr_v1){.num_pkts = filling.count,
                                             .offset_to_first_pkt = first,
                                             .blk_len = filling.used,
                                             .seq_num = ++ring->sequence};
    stamp(block);
    ring->at = (ring->at + 1) % ring->blocks;
    __atomic_store_n(&block->hdr.bh1.block_status, TP_STATUS_USER | TP_STATUS_BLK_TMO,
                     __ATOMIC_RELEASE);
}

/* ---- send ---- */

static struct tpacket3_hdr *frame_of(const struct nf_rings *rings, uint32_t number)
{
    const struct ring *ring = &rings->transmit;
    uint32_t per_block = ring->block_bytes / ring->frame_bytes;
    return (struct tpacket3_hdr *)(rings->memory + ring_bytes(&rings->receive) +
                                   (size_t)(number / per_block) * ring->block_bytes +
                                   (size_t)(number % per_block) * ring->frame_bytes);
}

/* Of the next marked frames, at most a batch; bytes sent, 0: none is marked. */
static uint32_t flush_batch(struct nf_thread *thread, struct nf_rings *rings, uint16_t port)
{
    struct ring *ring = &rings->transmit;
    uint32_t room = ring->frame_bytes - (TPACKET3_HDRLEN - (uint32_t)sizeof(struct sockaddr_ll));
    struct iovec pieces[PACKETS_BATCH_MAX];
    struct outgoing packets[PACKETS_BATCH_MAX];
    uint32_t count = 0, bytes = 0;
    room = room < port_frame_limit(port) ? room : port_frame_limit(port);
    while (count < PACKETS_BATCH_MAX && count < ring->frames) {
        struct tpacket3_hdr *frame = frame_of(rings, (ring->at + count) % ring->frames);
        if (frame->tp_status != TP_STATUS_SEND_REQUEST || frame->tp_len < ETH_HLEN ||
            frame->tp_len > room)
            break;
        pieces[count] = (struct iovec){.iov_base = (uint8_t *)frame + TPACKET3_HDRLEN -
                                                   sizeof(struct sockaddr_ll),
                                       .iov_len = frame->tp_len};
        packets[count] = (struct outgoing){
            .port = port, .length = (uint16_t)frame->tp_len, .pieces = 1, .iov = &pieces[count]};
        bytes += frame->tp_len;
        count++;
    }
    if (count > 0)
        packets_send(thread, packets, count);
    for (uint32_t i = 0; i < count; i++, ring->at = (ring->at + 1) % ring->frames)
        frame_of(rings, ring->at)->tp_status = TP_STATUS_AVAILABLE;
    if (frame_of(rings, ring->at)->tp_status == TP_STATUS_SEND_REQUEST && count == 0)
        frame_of(rings, ring->at)->tp_status = TP_STATUS_WRONG_FORMAT; /* stops here, as told */
    return bytes;
}

/* What was sent is counted in the image: a thread restored between two batches starts again. */
int packet_ring_flush(struct nf_thread *thread, uint32_t index)
{
    struct nf_rings *rings = packet_rings(index);
    uint64_t *sent = &IMAGE->descriptors[index].own[PACKET_OWN_FLUSHED];
    uint32_t port = IMAGE->queues[descriptor_queue(index)].port, bytes;
    if (port - 1 >= process.port_count)
        return fail(ENXIO);
    while ((bytes = flush_batch(thread, rings, (uint16_t)(port - 1))) > 0)
        *sent += bytes;
    int result = (int)*sent;
    *sent = 0;
    return result;
}
