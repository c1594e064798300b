/*
 * One direction of a faulty network: frames are lost, doubled, delayed, reordered and corrupted.
 * Bounded like a real queue: what does not fit is lost.
 */
#ifndef PALISADE_SIM_NETWORK_H
#define PALISADE_SIM_NETWORK_H

#include "core/frame.h"
#include "random.h"

#define NETWORK_FRAMES 64u

struct faults {
    uint32_t drop_percent, double_percent, corrupt_percent;
    int64_t delay_max_ns; /* each frame is delayed on its own: this reorders */
};

struct datagram {
    uint8_t *bytes; /* FRAME_MAX_BYTES, kept for reuse */
    uint32_t length;
    int64_t due_ns;
};

struct network {
    struct datagram frames[NETWORK_FRAMES];
    uint32_t count;
};

void network_send(struct network *network, const struct faults *faults, struct random *random,
                  int64_t now_ns, const uint8_t *bytes, uint32_t length);
/* A frame that is due, any of them; it stays valid until the next call. NULL: none. */
const struct datagram *network_receive(struct network *network, struct random *random,
                                       int64_t now_ns);
/* When the next frame is due; INT64_MAX when empty. */
int64_t network_next(const struct network *network);
void network_free(struct network *network);

#endif
