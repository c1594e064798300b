/*
 * Results of any length: how long, then the bytes (logged.h). When they are not whole, all begins
 * again with what this process finds.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/assert.h"
#include "hooks/values/value.h"

#define BLOB_MAX_BYTES (1u << 20)

void blob_add(struct blob *blob, const void *bytes, size_t length)
{
    if (blob->length + length > blob->room) {
        blob->room = 2 * (blob->length + length);
        blob->bytes = realloc(blob->bytes, blob->room);
        if (blob->bytes == NULL)
            process_fail(STATUS_MEMORY, "no memory for a result of %zu bytes", blob->room);
    }
    if (length > 0)
        memcpy(blob->bytes + blob->length, bytes, length);
    blob->length += length;
}

void blob_text(struct blob *blob, const char *text)
{
    uint8_t there = text != NULL;
    blob_add(blob, &there, 1);
    if (text)
        blob_add(blob, text, strlen(text) + 1);
}

void blob_take(const struct blob *blob, size_t *at, void *bytes, size_t length)
{
    ASSERT(length <= blob->length - *at);
    memcpy(bytes, blob->bytes + *at, length);
    *at += length;
}

const char *blob_take_text(const struct blob *blob, size_t *at)
{
    uint8_t there;
    blob_take(blob, at, &there, 1);
    if (!there)
        return NULL;
    const char *text = (const char *)blob->bytes + *at;
    size_t length = strnlen(text, blob->length - *at);
    ASSERT(length < blob->length - *at);
    *at += length + 1;
    return text;
}

static void make(struct nf_thread *thread, bool waits,
                 void (*produce)(void *context, struct blob *out), void *context, struct blob *out)
{
    out->length = 0;
    if (waits)
        safe_enter(thread);
    produce(context, out);
    if (waits)
        safe_leave(thread);
    if (out->length > BLOB_MAX_BYTES)
        process_fail(STATUS_UNMODELLED, "a result of %zu bytes is too long to be logged (G8)",
                     out->length);
}

void value_blob(struct nf_thread *thread, const char *what, bool waits,
                void (*produce)(void *context, struct blob *out), void *context, struct blob *out)
{
    *out = (struct blob){0};
    for (;; waits = false) {
        bool whole = false;
        int64_t length = LOGGED_AT(waits ? REPLAY_SAFE : REPLAY_INSIDE, thread, what, 0, (void)0, ({
                                       make(thread, waits, produce, context, out);
                                       whole = true;
                                       (int64_t) out->length;
                                   }));
        if (!whole) {
            ASSERT(length >= 0 && length <= BLOB_MAX_BYTES);
            out->length = 0;
            static const uint8_t nothing[RECORD_VALUE_MAX_BYTES];
            for (int64_t left = length; left > 0; left -= (int64_t)sizeof nothing)
                blob_add(out, nothing,
                         left < (int64_t)sizeof nothing ? (size_t)left : sizeof nothing);
        }
        if (logged_bytes(thread, what, out->bytes, out->length, whole))
            return;
    }
}
