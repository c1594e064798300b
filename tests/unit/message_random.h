/* Random control messages, for the unit tests and the fuzzers' first inputs. */
#ifndef PALISADE_TESTS_MESSAGE_RANDOM_H
#define PALISADE_TESTS_MESSAGE_RANDOM_H

#include "core/message.h"
#include "record_random.h"

#define BULK_BYTES (4 * IMAGE_PAGE_BYTES)

static inline void text_make(struct random *random, char *text, size_t room)
{
    size_t length = random_below(random, room);
    for (size_t i = 0; i < length; i++)
        text[i] = (char)(1 + random_below(random, 255));
    text[length] = '\0';
}

static inline void counters_make(struct random *random, uint64_t *counters, uint32_t threads)
{
    for (uint32_t t = 0; t < threads; t++)
        counters[t] = random_magnitude(random);
}

static inline void mark_make(struct random *random, struct snapshot_mark *mark)
{
    mark->number = random_magnitude(random);
    positions_make(random, &mark->positions);
    mark->threads = (uint32_t)random_below(random, THREADS_MAX + 1);
    counters_make(random, mark->outputs, mark->threads);
    counters_make(random, mark->effects, mark->threads);
    mark->inputs_of = random_magnitude(random);
    mark->inputs_from = random_magnitude(random);
    mark->replayed = random_chance(random, 500);
}

static inline void stored_make(struct random *random, struct message_stored_log *stored)
{
    stored->thread = (uint32_t)random_below(random, THREADS_MAX);
    stored->length = (uint32_t)random_below(random, BULK_BYTES);
    stored->offset = random_chance(random, 500) ? 0 : random_magnitude(random) >> 2;
    stored->to = random_magnitude(random);
    stored->held = random_magnitude(random);
    stored->effects = random_magnitude(random);
    stored->segment_count = (uint32_t)random_below(random, STORED_SEGMENTS_MAX + 1);
    uint64_t last = stored->offset, end = stored->offset + stored->length;
    for (uint32_t i = 0; i < stored->segment_count; i++) {
        last = stored->segments[i].offset = last + random_below(random, end - last + 1) / 2;
        stored->segments[i].start = random_magnitude(random);
    }
}

/* Any valid message of `kind`, zeroed where the kind has no field. Bulk points to `bulk`. */
static inline void message_make(struct random *random, enum message_kind kind, const uint8_t *bulk,
                                struct message *message)
{
    memset(message, 0, sizeof *message);
    message->kind = kind;
    message->epoch = (uint32_t)random_magnitude(random);
    switch (kind) {
    case MESSAGE_HELLO:
        message->hello.role = (uint8_t)(1 + random_below(random, 2));
        message->hello.standby = (uint8_t)random_below(random, STANDBY_KINDS);
        random_fill(random, message->hello.mac, 6);
        message->hello.claimant = random_magnitude(random);
        text_make(random, message->hello.identity, sizeof message->hello.identity);
        break;
    case MESSAGE_WELCOME:
        message->welcome.epoch = (uint32_t)random_magnitude(random);
        message->welcome.session = (uint32_t)random_magnitude(random);
        message->welcome.incarnation = random_magnitude(random);
        random_fill(random, message->welcome.mac, 6);
        message->welcome.port_count = (uint16_t)random_below(random, PORTS_MAX + 1);
        for (uint16_t i = 0; i < message->welcome.port_count; i++) {
            struct port *port = &message->welcome.ports[i];
            text_make(random, port->name, sizeof port->name);
            random_fill(random, port->mac, 6);
            port->mtu = (uint16_t)random_magnitude(random);
            port->kind = (uint16_t)(PORT_ETHERNET + random_below(random, PORT_TAP));
        }
        break;
    case MESSAGE_REFUSE:
        message->refuse.status = (uint8_t)random_below(random, 256);
        text_make(random, message->refuse.text, sizeof message->refuse.text);
        break;
    case MESSAGE_REIGN:
    case MESSAGE_COPY:
        message->reign.claimant = random_magnitude(random);
        message->reign.claim.of = random_magnitude(random);
        message->reign.claim.from = random_magnitude(random);
        break;
    case MESSAGE_IMAGE_BEGIN:
        mark_make(random, &message->image_begin.mark);
        message->image_begin.whole = random_chance(random, 500);
        message->image_begin.description_bytes = (uint32_t)random_below(random, BULK_BYTES);
        message->image_begin.description = bulk;
        break;
    case MESSAGE_IMAGE_PAGES:
        message->image_pages.address = (random_magnitude(random) >> 13) * IMAGE_PAGE_BYTES;
        message->image_pages.count = 1 + (uint32_t)random_below(random, 4);
        message->image_pages.bytes = bulk;
        break;
    case MESSAGE_STORED_LOG:
        stored_make(random, &message->stored_log);
        message->stored_log.bytes = bulk;
        break;
    case MESSAGE_TAKEOVER:
        message->takeover.epoch = (uint32_t)random_magnitude(random);
        mark_make(random, &message->takeover.base);
        positions_make(random, &message->takeover.end);
        counters_make(random, message->takeover.held, THREADS_MAX);
        counters_make(random, message->takeover.effects, THREADS_MAX);
        break;
    case MESSAGE_SENTINEL:
        message->sentinel.claimant = random_magnitude(random);
        message->sentinel.session = (uint32_t)random_magnitude(random);
        break;
    case MESSAGE_PROGRESS:
        positions_make(random, &message->progress.positions);
        counters_make(random, message->progress.consumed, message->progress.positions.threads);
        break;
    case MESSAGE_CUT:
        positions_make(random, &message->cut.cut);
        counters_make(random, message->cut.outputs, message->cut.cut.threads);
        counters_make(random, message->cut.effects, message->cut.cut.threads);
        break;
    case MESSAGE_RESUME:
        mark_make(random, &message->resume.mark);
        counters_make(random, message->resume.shipped, message->resume.mark.threads);
        counters_make(random, message->resume.performed, message->resume.mark.threads);
        break;
    case MESSAGE_TRUNCATE:
    case MESSAGE_IMAGE_END:
    case MESSAGE_IMAGE_STORED:
    case MESSAGE_COMMITTED:
    case MESSAGE_FOLLOW:
    case MESSAGE_STANDBY:
    case MESSAGE_EFFECTS:
        message->number.number = random_magnitude(random);
        message->number.thread = (uint32_t)random_below(random, THREADS_MAX);
        break;
    default:
        break;
    }
}

#endif
