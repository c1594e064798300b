/*
 * See inputs.h. Everything is guarded by `mutex`. Inputs lie in a ring of pointers by id; those
 * that nobody needs any more are freed from its oldest end.
 */
#include "replay/inputs.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/assert.h"
#include "process.h"

enum use { WAITS, CONSUMED, DONE };

struct input {
    uint16_t port, length;
    enum use use;
    uint8_t bytes[];
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t arrived = PTHREAD_COND_INITIALIZER;
static struct input **ring; /* [id & (room - 1)] */
static size_t room;         /* a power of two, or 0 */
static packet_id oldest, end;
static packet_id base_next, consumed_next;
static packet_id *pending; /* at the base, ascending */
static uint32_t pending_count;
static uint64_t bytes_kept, bytes_arrived;
static _Atomic uint32_t awaited; /* threads in inputs_consume for what did not arrive */
static bool kept;

static struct input **input_at(packet_id id)
{
    return &ring[id & (room - 1)];
}

static void drop_oldest(void)
{
    struct input *input = *input_at(oldest++);
    bytes_kept -= input->length;
    free(input);
}

void inputs_begin(packet_id from, packet_id next, const packet_id *unconsumed,
                  uint32_t unconsumed_count)
{
    pthread_mutex_lock(&mutex);
    while (oldest != end)
        drop_oldest();
    bytes_kept = bytes_arrived = 0;
    oldest = end = from;
    base_next = consumed_next = next;
    kept = true;
    free(pending);
    pending = malloc(sizeof *pending * (unconsumed_count + 1));
    if (pending == NULL)
        process_fail(STATUS_MEMORY, "no memory for the inputs to replay");
    if (unconsumed_count)
        memcpy(pending, unconsumed, sizeof *pending * unconsumed_count);
    pending_count = unconsumed_count;
    pthread_mutex_unlock(&mutex);
}

static int compare_ids(const void *a, const void *b)
{
    packet_id x = *(const packet_id *)a, y = *(const packet_id *)b;
    return x < y ? -1 : x > y;
}

static bool consumed_at_base(packet_id id)
{
    return id < base_next && bsearch(&id, pending, pending_count, sizeof id, compare_ids) == NULL;
}

static void make_room(void)
{
    if (end - oldest < room)
        return;
    size_t more = room ? 2 * room : 4096;
    struct input **larger = malloc(sizeof *larger * more);
    if (larger == NULL)
        process_fail(STATUS_MEMORY, "no memory for the inputs to replay");
    for (packet_id id = oldest; id != end; id++)
        larger[id & (more - 1)] = *input_at(id);
    free(ring);
    ring = larger;
    room = more;
}

static struct input *input_create(uint16_t length)
{
    struct input *input = malloc(sizeof *input + length);
    if (input == NULL)
        process_fail(STATUS_MEMORY, "no memory for the inputs to replay");
    input->length = length;
    return input;
}

/* mutex held */
static void append(struct input *input, enum use use)
{
    make_room();
    input->use = use;
    *input_at(end++) = input;
    bytes_kept += input->length;
}

void inputs_skip(packet_id id)
{
    pthread_mutex_lock(&mutex);
    while (end < id)
        append(input_create(0), DONE);
    pthread_mutex_unlock(&mutex);
}

int inputs_add(const struct packet_item *item)
{
    struct input *input = input_create(item->length);
    pthread_mutex_lock(&mutex);
    if (item->number != end) {
        pthread_mutex_unlock(&mutex);
        free(input);
        return -EBADMSG;
    }
    input->port = item->port;
    memcpy(input->bytes, item->bytes, item->length);
    append(input, consumed_at_base(item->number) ? DONE : WAITS);
    bytes_arrived += item->length;
    if (atomic_load(&awaited))
        pthread_cond_broadcast(&arrived);
    pthread_mutex_unlock(&mutex);
    return 0;
}

const uint8_t *inputs_consume(packet_id id, uint16_t *port, uint16_t *length)
{
    const uint8_t *bytes = NULL;
    pthread_mutex_lock(&mutex);
    atomic_fetch_add(&awaited, 1);
    while (id >= end) {
        io_kick();
        pthread_cond_wait(&arrived, &mutex);
    }
    atomic_fetch_sub(&awaited, 1);
    struct input *input = id >= oldest ? *input_at(id) : NULL;
    if (input && input->use == WAITS) {
        input->use = CONSUMED;
        if (consumed_next <= id)
            consumed_next = id + 1;
        *port = input->port;
        *length = input->length;
        bytes = input->bytes;
    }
    pthread_mutex_unlock(&mutex);
    return bytes;
}

void inputs_done(packet_id id)
{
    pthread_mutex_lock(&mutex);
    ASSERT(id >= oldest && (*input_at(id))->use == CONSUMED);
    (*input_at(id))->use = DONE;
    pthread_mutex_unlock(&mutex);
}

void inputs_trim(void)
{
    pthread_mutex_lock(&mutex);
    while (oldest != end && (*input_at(oldest))->use == DONE)
        drop_oldest();
    pthread_mutex_unlock(&mutex);
}

bool inputs_wanted(uint64_t most_bytes)
{
    pthread_mutex_lock(&mutex);
    bool wanted = bytes_kept < most_bytes || atomic_load(&awaited);
    pthread_mutex_unlock(&mutex);
    return wanted;
}

bool inputs_next(struct packet_item *item)
{
    bool found = false;
    pthread_mutex_lock(&mutex);
    while (oldest != end && (*input_at(oldest))->use != WAITS)
        drop_oldest();
    if (oldest != end) {
        const struct input *input = *input_at(oldest);
        *item = (struct packet_item){
            .number = oldest, .port = input->port, .length = input->length, .bytes = input->bytes};
        found = true;
    } else {
        kept = false;
        free(ring);
        ring = NULL;
        room = 0;
    }
    pthread_mutex_unlock(&mutex);
    return found;
}

void inputs_pop(void)
{
    pthread_mutex_lock(&mutex);
    ASSERT(oldest != end);
    (*input_at(oldest))->use = DONE;
    pthread_mutex_unlock(&mutex);
}

uint32_t inputs_waiting(packet_id next, packet_id *ids)
{
    uint32_t found = 0;
    pthread_mutex_lock(&mutex);
    for (packet_id id = oldest; kept && id < end && id < next; id++)
        if ((*input_at(id))->use == WAITS) {
            if (ids)
                ids[found] = id;
            found++;
        }
    pthread_mutex_unlock(&mutex);
    return found;
}

bool inputs_consumed_to(packet_id *next)
{
    pthread_mutex_lock(&mutex);
    *next = consumed_next;
    bool known = kept && end >= consumed_next;
    pthread_mutex_unlock(&mutex);
    return known;
}

uint32_t inputs_discard(void)
{
    uint32_t discarded = inputs_waiting(inputs_end(), NULL);
    pthread_mutex_lock(&mutex);
    while (oldest != end)
        drop_oldest();
    kept = false;
    pthread_mutex_unlock(&mutex);
    return discarded;
}

bool inputs_kept(void)
{
    return kept;
}

packet_id inputs_end(void)
{
    return end;
}

uint64_t inputs_bytes(void)
{
    return bytes_arrived;
}
