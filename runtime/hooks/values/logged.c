/* See logged.h. */
#include <errno.h>
#include <string.h>

#include "core/assert.h"
#include "hooks/values/logged.h"

/* Where we are in a vector of pieces. */
struct cursor {
    const struct iovec *piece;
    size_t at;
};

static void move(struct cursor *cursor, uint8_t *bytes, size_t length, bool in)
{
    while (length > 0) {
        size_t left = cursor->piece->iov_len - cursor->at, part = left < length ? left : length;
        uint8_t *there = (uint8_t *)cursor->piece->iov_base + cursor->at;
        if (part)
            memcpy(in ? there : bytes, in ? bytes : there, part);
        bytes += part;
        length -= part;
        cursor->at += part;
        if (cursor->at == cursor->piece->iov_len) {
            cursor->piece++;
            cursor->at = 0;
        }
    }
}

bool logged_pieces(struct nf_thread *thread, const char *what, const struct iovec *pieces,
                   size_t length, bool own)
{
    struct cursor cursor = {.piece = pieces};
    uint8_t bytes[RECORD_VALUE_MAX_BYTES];
    for (size_t done = 0; done < length;) {
        uint32_t part = length - done < sizeof bytes ? (uint32_t)(length - done) : sizeof bytes;
        if (REPLAYED_ALONE(thread, what,
                           ev_bytes_replay(&thread->core, &run_of(thread)->reader, bytes, part))) {
            move(&cursor, bytes, part, true);
        } else {
            if (own)
                move(&cursor, bytes, part, false);
            else
                memset(bytes, 0, part);
            ev_bytes_record(&thread->core, log_ready(thread), bytes, part);
            if (!own)
                move(&cursor, bytes, part, true); /* what replay will do */
        }
        done += part;
    }
    return LOGGED(thread, what, 0, own ? 0 : 1) == 0;
}
