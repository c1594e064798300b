/* Control messages: every kind comes back as it went; whatever else arrives is refused. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "message_random.h"

#define ROOM (64u << 10)

/* Bulk lies elsewhere after decoding: compare it by content, the rest as it stands. */
static bool message_same(struct message a, struct message b)
{
    const uint8_t **x = NULL, **y = NULL;
    size_t bytes = 0;
    if (a.kind == MESSAGE_IMAGE_BEGIN) {
        x = &a.image_begin.description;
        y = &b.image_begin.description;
        bytes = a.image_begin.description_bytes;
    } else if (a.kind == MESSAGE_IMAGE_PAGES) {
        x = &a.image_pages.bytes;
        y = &b.image_pages.bytes;
        bytes = (size_t)a.image_pages.count * IMAGE_PAGE_BYTES;
    } else if (a.kind == MESSAGE_STORED_LOG) {
        x = &a.stored_log.bytes;
        y = &b.stored_log.bytes;
        bytes = a.stored_log.length;
    }
    if (x != NULL) {
        if (memcmp(*x, *y, bytes) != 0)
            return false;
        *x = *y = NULL;
    }
    return memcmp(&a, &b, sizeof a) == 0;
}

Test(message, every_kind_comes_back_as_it_went)
{
    uint8_t *bulk = malloc(BULK_BYTES), *bytes = malloc(ROOM);
    struct message *sent = malloc(sizeof *sent), *got = malloc(sizeof *got);
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct random random = {seed};
        random_fill(&random, bulk, BULK_BYTES);
        for (int kind = 1; kind < MESSAGE_KINDS; kind++) {
            message_make(&random, (enum message_kind)kind, bulk, sent);
            int64_t length = message_encode(sent, bytes, ROOM);
            cr_assert_geq(length, (int64_t)MESSAGE_HEADER_BYTES, "seed %lu %s: %ld", seed,
                          message_kind_name(sent->kind), length);
            bytes[length] = 0xEE; /* the next message */
            memset(got, 0xAA, sizeof *got);
            cr_assert_eq(message_decode(bytes, (size_t)length + 1, got), length);
            cr_assert(message_same(*sent, *got), "seed %lu: %s differs", seed,
                      message_kind_name(sent->kind));
            cr_assert_eq(message_encode(got, bytes, (size_t)length), length);
            cr_assert_eq(message_encode(got, bytes, (size_t)length - 1), -ENOSPC);
        }
    }
    free(bulk);
    free(bytes);
    free(sent);
    free(got);
}

Test(message, any_cut_means_not_yet_and_any_other_length_malformed)
{
    uint8_t *bulk = calloc(1, BULK_BYTES), *bytes = malloc(ROOM);
    struct message *message = malloc(sizeof *message);
    struct random random = {5};
    for (int kind = 1; kind < MESSAGE_KINDS; kind++) {
        message_make(&random, (enum message_kind)kind, bulk, message);
        int64_t total = message_encode(message, bytes, ROOM);
        int64_t step = total < 300 ? 1 : total / 100;
        for (int64_t length = 0; length < total; length += step) {
            uint8_t *cut = malloc((size_t)length + 1); /* so that ASan sees a read beyond */
            memcpy(cut, bytes, (size_t)length);
            cr_assert_eq(message_decode(cut, (size_t)length, message), 0, "%s cut at %ld",
                         message_kind_name((enum message_kind)kind), length);
            free(cut);
        }
        for (int wrong = -1; wrong <= 1; wrong += 2) {
            uint32_t follows = (uint32_t)(total - 4 + wrong);
            memcpy(bytes, &follows, 4);
            cr_assert_eq(message_decode(bytes, ROOM, message), -EBADMSG, "%s %+d",
                         message_kind_name((enum message_kind)kind), wrong);
        }
    }
    free(bulk);
    free(bytes);
    free(message);
}

static int64_t decode_head(uint32_t follows, uint8_t version, uint8_t kind, uint8_t reserved)
{
    uint8_t bytes[MESSAGE_HEADER_BYTES] = {0};
    struct message message;
    memcpy(bytes, &follows, 4);
    bytes[4] = version;
    bytes[5] = kind;
    bytes[6] = reserved;
    return message_decode(bytes, sizeof bytes, &message);
}

Test(message, heads_that_make_no_sense_are_refused)
{
    uint8_t version[5] = {8, 0, 0, 0, MESSAGE_VERSION + 1};
    struct message message;
    cr_assert_eq(decode_head(8, MESSAGE_VERSION, MESSAGE_HEARTBEAT, 0), 12);
    cr_assert_eq(decode_head(8, MESSAGE_VERSION + 1, MESSAGE_HEARTBEAT, 0), -EPROTO);
    cr_assert_eq(message_decode(version, 5, &message), -EPROTO);
    cr_assert_eq(decode_head(7, MESSAGE_VERSION, MESSAGE_HEARTBEAT, 0), -EBADMSG);
    cr_assert_eq(decode_head(MESSAGE_MAX_BYTES, MESSAGE_VERSION, MESSAGE_HEARTBEAT, 0), 0);
    cr_assert_eq(decode_head(MESSAGE_MAX_BYTES + 1, MESSAGE_VERSION, MESSAGE_HEARTBEAT, 0),
                 -EBADMSG);
    cr_assert_eq(decode_head(8, MESSAGE_VERSION, 0, 0), -EBADMSG);
    cr_assert_eq(decode_head(8, MESSAGE_VERSION, MESSAGE_KINDS, 0), -EBADMSG);
    cr_assert_eq(decode_head(8, MESSAGE_VERSION, MESSAGE_HEARTBEAT, 1), -EBADMSG);
}

static void refuse_encoding(const struct message *message)
{
    uint8_t *bytes = malloc(ROOM);
    cr_assert_eq(message_encode(message, bytes, ROOM), -EINVAL);
    free(bytes);
}

Test(message, what_exceeds_a_bound_is_not_encoded)
{
    uint8_t page[IMAGE_PAGE_BYTES] = {0};
    struct message m = {.kind = MESSAGE_KINDS};
    refuse_encoding(&m);
    m = (struct message){.kind = MESSAGE_HELLO, .hello = {.role = 3}};
    refuse_encoding(&m);
    m = (struct message){.kind = MESSAGE_HELLO, .hello = {.role = ROLE_MASTER}};
    memset(m.hello.identity, 'x', sizeof m.hello.identity);
    refuse_encoding(&m);
    m = (struct message){.kind = MESSAGE_WELCOME, .welcome = {.port_count = PORTS_MAX + 1}};
    refuse_encoding(&m);
    m = (struct message){.kind = MESSAGE_WELCOME,
                         .welcome = {.port_count = 1, .ports = {{.kind = PORT_TUN}}}};
    memset(m.welcome.ports[0].name, 'x', PORT_NAME_BYTES);
    refuse_encoding(&m);
    m = (struct message){.kind = MESSAGE_WELCOME,
                         .welcome = {.port_count = 1, .ports = {{.kind = PORT_TAP + 1}}}};
    refuse_encoding(&m);
    m = (struct message){.kind = MESSAGE_IMAGE_PAGES, .image_pages = {.bytes = page}};
    refuse_encoding(&m);
    m.image_pages.count = IMAGE_PAGES_MAX + 1;
    refuse_encoding(&m);
    m.image_pages.count = 1;
    m.image_pages.address = 1;
    refuse_encoding(&m);
    m = (struct message){.kind = MESSAGE_CUT, .cut = {.cut = {.threads = THREADS_MAX + 1}}};
    refuse_encoding(&m);
    m = (struct message){.kind = MESSAGE_IMAGE_BEGIN,
                         .image_begin = {.mark = {.threads = THREADS_MAX + 1}}};
    refuse_encoding(&m);
    m = (struct message){.kind = MESSAGE_EFFECTS, .number = {.thread = THREADS_MAX}};
    refuse_encoding(&m);
    m = (struct message){.kind = MESSAGE_STORED_LOG, .stored_log = {.thread = THREADS_MAX}};
    refuse_encoding(&m);
    m = (struct message){.kind = MESSAGE_STORED_LOG,
                         .stored_log = {.offset = UINT64_MAX, .length = 2, .bytes = page}};
    refuse_encoding(&m);
    m = (struct message){
        .kind = MESSAGE_STORED_LOG,
        .stored_log = {.offset = 2, .segment_count = 1, .segments = {{1, 0}}, .bytes = page}};
    refuse_encoding(&m);
    m = (struct message){
        .kind = MESSAGE_STORED_LOG,
        .stored_log = {
            .length = 9, .segment_count = 3, .segments = {{0, 0}, {5, 1}, {4, 2}}, .bytes = page}};
    refuse_encoding(&m);
    m = (struct message){
        .kind = MESSAGE_STORED_LOG,
        .stored_log = {
            .length = 9, .segment_count = 2, .segments = {{0, 0}, {10, 1}}, .bytes = page}};
    refuse_encoding(&m);
    m.stored_log.segment_count = 65;
    refuse_encoding(&m);
}

/* Encodes `message`, changes the byte at `at` of the body and decodes. */
static int64_t decode_changed(const struct message *message, size_t at, uint8_t value)
{
    uint8_t *bytes = malloc(ROOM);
    struct message got;
    int64_t length = message_encode(message, bytes, ROOM);
    cr_assert_gt(length, (int64_t)(MESSAGE_HEADER_BYTES + at));
    bytes[MESSAGE_HEADER_BYTES + at] = value;
    int64_t result = message_decode(bytes, (size_t)length, &got);
    free(bytes);
    return result;
}

Test(message, what_exceeds_a_bound_is_not_decoded)
{
    uint8_t page[IMAGE_PAGE_BYTES] = {0};
    struct message m = {.kind = MESSAGE_HELLO, .hello = {.role = 1, .identity = "abc"}};
    cr_assert_eq(decode_changed(&m, 0, 3), -EBADMSG); /* role */
    cr_assert_eq(decode_changed(&m, 1, STANDBY_KINDS), -EBADMSG);
    cr_assert_eq(decode_changed(&m, 19, '\0'), -EBADMSG); /* NUL within text */
    cr_assert_gt(decode_changed(&m, 19, 'x'), 0);
    m = (struct message){.kind = MESSAGE_WELCOME,
                         .welcome = {.port_count = 1, .ports = {{.kind = PORT_TUN}}}};
    cr_assert_eq(decode_changed(&m, 26 + 15, 'x'), -EBADMSG); /* a name without end */
    cr_assert_eq(decode_changed(&m, 26 + 24, 0), -EBADMSG);   /* no kind of port */
    cr_assert_eq(decode_changed(&m, 26 + 24, PORT_TAP + 1), -EBADMSG);
    cr_assert_gt(decode_changed(&m, 26 + 24, PORT_TAP), 0);
    cr_assert_eq(decode_changed(&m, 22, 17), -EBADMSG); /* ports */
    m = (struct message){.kind = MESSAGE_IMAGE_BEGIN, .image_begin = {.description = page}};
    cr_assert_gt(decode_changed(&m, 33, 1), 0);
    cr_assert_eq(decode_changed(&m, 32, 2), -EBADMSG); /* neither true nor false */
    cr_assert_eq(decode_changed(&m, 33, 2), -EBADMSG);
    m = (struct message){.kind = MESSAGE_IMAGE_PAGES, .image_pages = {.count = 1, .bytes = page}};
    cr_assert_eq(decode_changed(&m, 0, 1), -EBADMSG); /* not a page address */
    cr_assert_eq(decode_changed(&m, 8, 0), -EBADMSG); /* no page */
    m = (struct message){.kind = MESSAGE_EFFECTS};
    cr_assert_eq(decode_changed(&m, 8, THREADS_MAX), -EBADMSG);
    m = (struct message){.kind = MESSAGE_STORED_LOG,
                         .stored_log = {.length = 9, .segment_count = 1, .bytes = page}};
    cr_assert_eq(decode_changed(&m, 0, THREADS_MAX), -EBADMSG);
    cr_assert_eq(decode_changed(&m, 4, 1), -EBADMSG);   /* a segment before the piece */
    cr_assert_eq(decode_changed(&m, 40, 10), -EBADMSG); /* beyond it */
    cr_assert_gt(decode_changed(&m, 40, 9), 0);
    m = (struct message){.kind = MESSAGE_PROGRESS};
    cr_assert_eq(decode_changed(&m, 0, THREADS_MAX + 1), -EBADMSG);
}

Test(message, kinds_have_names)
{
    for (int kind = 1; kind < MESSAGE_KINDS; kind++)
        cr_assert_str_neq(message_kind_name((enum message_kind)kind), "unknown");
    cr_assert_str_eq(message_kind_name(0), "unknown");
    cr_assert_str_eq(message_kind_name(MESSAGE_KINDS), "unknown");
}
