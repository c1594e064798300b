#include "network.h"

#include <stdlib.h>
#include <string.h>

static void enqueue(struct network *network, const struct faults *faults, struct random *random,
                    int64_t now_ns, const uint8_t *bytes, uint32_t length)
{
    if (network->count == NETWORK_FRAMES)
        return;
    struct datagram *frame = &network->frames[network->count++];
    if (frame->bytes == NULL)
        frame->bytes = malloc(FRAME_MAX_BYTES);
    memcpy(frame->bytes, bytes, length);
    frame->length = length;
    frame->due_ns = now_ns + (int64_t)random_below(random, (uint32_t)faults->delay_max_ns + 1);
    if (random_percent(random, faults->corrupt_percent)) {
        if (random_percent(random, 20))
            frame->length = random_below(random, length);
        else
            frame->bytes[random_below(random, length)] ^= (uint8_t)(1u << random_below(random, 8));
    }
}

void network_send(struct network *network, const struct faults *faults, struct random *random,
                  int64_t now_ns, const uint8_t *bytes, uint32_t length)
{
    if (random_percent(random, faults->drop_percent))
        return;
    enqueue(network, faults, random, now_ns, bytes, length);
    if (random_percent(random, faults->double_percent))
        enqueue(network, faults, random, now_ns, bytes, length);
}

const struct datagram *network_receive(struct network *network, struct random *random,
                                       int64_t now_ns)
{
    uint32_t due[NETWORK_FRAMES], count = 0;

    for (uint32_t i = 0; i < network->count; i++)
        if (network->frames[i].due_ns <= now_ns)
            due[count++] = i;
    if (count == 0)
        return NULL;
    uint32_t taken = due[random_below(random, count)];
    struct datagram frame = network->frames[taken];
    network->frames[taken] = network->frames[--network->count];
    network->frames[network->count] = frame; /* its buffer is reused by the next send */
    return &network->frames[network->count];
}

int64_t network_next(const struct network *network)
{
    int64_t next = INT64_MAX;

    for (uint32_t i = 0; i < network->count; i++)
        if (network->frames[i].due_ns < next)
            next = network->frames[i].due_ns;
    return next;
}

void network_free(struct network *network)
{
    for (uint32_t i = 0; i < NETWORK_FRAMES; i++)
        free(network->frames[i].bytes);
    *network = (struct network){0};
}
