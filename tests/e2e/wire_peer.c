/*
 * One end of a wire, for wire.sh: sends COUNT frames and expects COUNT frames, each once, whole and
 * in order. Prints one line; exit status 0 only when all of it came.
 *
 *   wire_peer DEVICE QUEUE PEER-MAC COUNT
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "wire.h"

#define SESSION 0x5e551042u
#define GIVE_UP_NS 20000000000 /* without a frame */

static uint64_t expected = 1, wrong;

static int64_t clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static uint32_t length_of(uint64_t number)
{
    return 8 + (uint32_t)(number * 2654435761u) % (FRAME_PAYLOAD_MAX_BYTES - 8);
}

static void take(void *context, const struct frame *frame, const uint8_t *payload)
{
    uint64_t number;

    (void)context;
    memcpy(&number, payload, sizeof number);
    if (frame->kind != FRAME_OUTPUT || number != expected || frame->length != length_of(number) ||
        payload[frame->length - 1] != (uint8_t)(frame->length > 8 ? number : number >> 56))
        wrong++;
    expected++;
}

static bool give(struct link *link, uint64_t number)
{
    uint8_t *payload = link_reserve(link);
    if (!payload)
        return false;
    uint32_t length = length_of(number);
    memset(payload, (int)number, length);
    memcpy(payload, &number, sizeof number);
    link_commit(link, FRAME_OUTPUT, 3, 0, length);
    return true;
}

int main(int argc, char **argv)
{
    struct wire *wire;
    char why[256];
    uint8_t peer[6];

    if (argc != 5 || sscanf(argv[3], "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", peer, peer + 1, peer + 2,
                            peer + 3, peer + 4, peer + 5) != 6)
        return STATUS_USAGE;
    enum status status = wire_open(&wire, argv[1], (uint32_t)atoi(argv[2]), why);
    if (status != STATUS_OK) {
        fprintf(stderr, "wire_peer: %s\n", why);
        return (int)status;
    }
    uint64_t count = strtoull(argv[4], NULL, 10), given = 0;
    if (wire_session(wire, SESSION, 1, peer))
        return STATUS_MEMORY;
    struct link *link = wire_link(wire);

    int64_t now = clock_ns(), start = now, heard = now;
    /* Stay a little after the last acknowledgement: the peer needs ours. */
    for (int64_t done = 0; now - heard < GIVE_UP_NS && (!done || now - done < 200000000);) {
        now = clock_ns();
        uint32_t work = wire_receive(wire, now, 64, take, NULL);
        heard = work ? now : heard;
        for (int burst = 0; burst < 64 && given < count && give(link, given + 1); burst++)
            given++;
        work += wire_transmit(wire, now);
        if (!done && expected > count && link_acked(link) == count)
            done = now;
        if (work)
            continue;
        int64_t wait = wire_next_wake(wire) - now;
        wait = wait < 0 ? 0 : wait > 50000000 ? 50000000 : wait;
        struct timespec timeout = {.tv_nsec = wait};
        struct pollfd fd = {.fd = wire_fd(wire), .events = POLLIN};
        ppoll(&fd, 1, &timeout, NULL);
    }
    const struct link_counters *counters = link_counters(link);
    printf("%s: sent %llu acknowledged %llu received %llu wrong %llu resent %llu gaps %llu "
           "doubled %llu in %lld ms\n",
           argv[1], (unsigned long long)given, (unsigned long long)link_acked(link),
           (unsigned long long)(expected - 1), (unsigned long long)wrong,
           (unsigned long long)counters->resent, (unsigned long long)counters->dropped_gap,
           (unsigned long long)counters->dropped_duplicate, (long long)((now - start) / 1000000));
    bool whole = given == count && link_acked(link) == count && expected == count + 1 && !wrong;
    wire_close(wire);
    return whole ? 0 : 1;
}
