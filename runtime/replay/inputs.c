/* See inputs.h. Everything is guarded by `mutex`; entries do not move once added. */
#include "replay/inputs.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/assert.h"
#include "process.h"

struct input {
    uint16_t port, length;
    bool consumed;
    uint8_t bytes[];
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t arrived = PTHREAD_COND_INITIALIZER;
static struct input **inputs; /* [id - first]; NULL once handed on */
static size_t count, room, cursor;
static packet_id first, base_next;
static packet_id *pending; /* at the base, ascending */
static uint32_t pending_count;
static uint64_t bytes_kept;
static bool kept;

void inputs_begin(packet_id from, packet_id next, const packet_id *unconsumed,
                  uint32_t unconsumed_count)
{
    pthread_mutex_lock(&mutex);
    for (size_t i = 0; i < count; i++)
        free(inputs[i]);
    count = cursor = 0;
    bytes_kept = 0;
    first = from;
    base_next = next;
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

int inputs_add(const struct packet_item *item)
{
    int result = 0;
    pthread_mutex_lock(&mutex);
    if (item->number != first + count) {
        result = -EBADMSG;
        goto out;
    }
    if (count == room) {
        room = room ? 2 * room : 4096;
        inputs = realloc(inputs, sizeof *inputs * room);
    }
    struct input *input = malloc(sizeof *input + item->length);
    if (inputs == NULL || input == NULL)
        process_fail(STATUS_MEMORY, "no memory for the inputs to replay");
    input->port = item->port;
    input->length = item->length;
    input->consumed = consumed_at_base(item->number);
    memcpy(input->bytes, item->bytes, item->length);
    inputs[count++] = input;
    bytes_kept += item->length;
    pthread_cond_broadcast(&arrived);
out:
    pthread_mutex_unlock(&mutex);
    return result;
}

const uint8_t *inputs_consume(packet_id id, uint16_t *port, uint16_t *length)
{
    const uint8_t *bytes = NULL;
    pthread_mutex_lock(&mutex);
    while (id >= first + count)
        pthread_cond_wait(&arrived, &mutex);
    struct input *input = id >= first ? inputs[id - first] : NULL;
    if (input && !input->consumed) {
        input->consumed = true;
        *port = input->port;
        *length = input->length;
        bytes = input->bytes;
    }
    pthread_mutex_unlock(&mutex);
    return bytes;
}

bool inputs_next(struct packet_item *item)
{
    bool found = false;
    pthread_mutex_lock(&mutex);
    for (; cursor < count && inputs[cursor]->consumed; cursor++) {
        free(inputs[cursor]);
        inputs[cursor] = NULL;
    }
    if (cursor < count) {
        const struct input *input = inputs[cursor];
        *item = (struct packet_item){.number = first + cursor,
                                     .port = input->port,
                                     .length = input->length,
                                     .bytes = input->bytes};
        found = true;
    } else {
        kept = false;
        free(inputs);
        inputs = NULL;
        first += count;
        count = room = cursor = 0;
    }
    pthread_mutex_unlock(&mutex);
    return found;
}

void inputs_pop(void)
{
    pthread_mutex_lock(&mutex);
    ASSERT(cursor < count);
    inputs[cursor]->consumed = true;
    pthread_mutex_unlock(&mutex);
}

uint32_t inputs_waiting(packet_id *ids)
{
    uint32_t found = 0;
    pthread_mutex_lock(&mutex);
    for (size_t i = cursor; kept && i < count; i++)
        if (inputs[i] && !inputs[i]->consumed) {
            if (ids)
                ids[found] = first + i;
            found++;
        }
    pthread_mutex_unlock(&mutex);
    return found;
}

uint32_t inputs_discard(void)
{
    uint32_t discarded = inputs_waiting(NULL);
    pthread_mutex_lock(&mutex);
    for (; cursor < count; cursor++) {
        free(inputs[cursor]);
        inputs[cursor] = NULL;
    }
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
    return first + count;
}

uint64_t inputs_bytes(void)
{
    return bytes_kept;
}
