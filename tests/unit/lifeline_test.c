/* Lifelines over the loopback device, with a clock that the test turns. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "lifeline.h"

#define MS 1000000ll

static int listener;
static uint16_t port;
static struct lifeline *near, *far;
static int64_t now = 1000 * MS;

/* A pair of lines: `near` connected, `far` accepted. */
static void setup(void)
{
    char why[256];

    for (int try = 0; try < 100; try++) {
        port = (uint16_t)(20000 + (getpid() * 7 + try * 131) % 20000);
        if (lifeline_listen(&listener, "127.0.0.1", port, why) == STATUS_OK)
            break;
    }
    cr_assert_eq(lifeline_connect(&near, "127.0.0.1", port, 1000, why), STATUS_OK, "%s", why);
    for (int try = 0; !far && try < 1000; try++) {
        far = lifeline_accept(listener);
        usleep(1000);
    }
    cr_assert_not_null(far);
}

static void teardown(void)
{
    lifeline_close(near);
    lifeline_close(far);
    close(listener);
}

TestSuite(lifeline, .init = setup, .fini = teardown, .timeout = 20);

struct seen {
    int count;
    enum message_kind last;
    uint64_t number; /* of the last one */
    bool in_order;
    int answer;
};

static int see(void *context, const struct message *message)
{
    struct seen *seen = context;

    seen->in_order = seen->count == 0 || message->number.number == seen->number + 1;
    seen->count++;
    seen->last = message->kind;
    seen->number = message->number.number;
    return seen->answer;
}

static int64_t wall_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int send_number(struct lifeline *line, uint64_t number)
{
    return lifeline_send(
        line,
        &(struct message){.kind = MESSAGE_TRUNCATE, .epoch = 3, .number = {.number = number}});
}

Test(lifeline, messages_arrive_in_order_and_once)
{
    struct seen seen = {0};

    for (uint64_t i = 1; i <= 1000; i++)
        cr_assert_eq(send_number(near, i), 0);
    for (int round = 0; round < 1000 && seen.count < 1000; round++) {
        cr_assert_eq(lifeline_service(near, now, see, NULL), 0);
        cr_assert_eq(lifeline_service(far, now, see, &seen), 0);
        cr_assert(seen.in_order);
    }
    cr_assert_eq(seen.count, 1000);
    cr_assert_eq(seen.number, 1000);
}

static int check_pages(void *context, const struct message *message)
{
    uint64_t *pages = context;

    cr_assert_eq(message->kind, MESSAGE_IMAGE_PAGES);
    cr_assert_eq(message->image_pages.count, IMAGE_PAGES_MAX);
    cr_assert_eq(message->image_pages.address, *pages * IMAGE_PAGE_BYTES);
    for (uint32_t i = 0; i < IMAGE_PAGES_MAX; i++)
        cr_assert_eq(message->image_pages.bytes[(size_t)i * IMAGE_PAGE_BYTES + 17],
                     (uint8_t)(*pages + i));
    *pages += IMAGE_PAGES_MAX;
    return 0;
}

Test(lifeline, bulk_passes_whole)
{
    const uint64_t all = 40 * IMAGE_PAGES_MAX; /* 40 MiB: more than the kernel buffers */
    uint8_t *bytes = malloc((size_t)IMAGE_PAGES_MAX * IMAGE_PAGE_BYTES);
    uint64_t sent = 0, got = 0;

    for (int round = 0; round < 100000 && got < all; round++) {
        if (sent < all && lifeline_queued(near) < (4u << 20)) {
            for (uint32_t i = 0; i < IMAGE_PAGES_MAX; i++)
                memset(bytes + (size_t)i * IMAGE_PAGE_BYTES, (int)(sent + i), IMAGE_PAGE_BYTES);
            cr_assert_eq(
                lifeline_send(near,
                              &(struct message){.kind = MESSAGE_IMAGE_PAGES,
                                                .image_pages = {.address = sent * IMAGE_PAGE_BYTES,
                                                                .count = IMAGE_PAGES_MAX,
                                                                .bytes = bytes}}),
                0);
            sent += IMAGE_PAGES_MAX;
        }
        cr_assert_eq(lifeline_service(near, now, see, NULL), 0);
        cr_assert_eq(lifeline_service(far, now, check_pages, &got), 0);
    }
    cr_assert_eq(got, all);
    free(bytes);
}

Test(lifeline, closing_is_noticed_after_the_last_message)
{
    struct seen seen = {0};
    int result = 0;

    send_number(near, 5);
    lifeline_close(near);
    near = NULL;
    for (int round = 0; round < 100 && !result; round++) {
        result = lifeline_service(far, now, see, &seen);
        usleep(1000);
    }
    cr_assert_eq(result, -EPIPE);
    cr_assert_eq(seen.count, 1);
    cr_assert_eq(seen.number, 5);
}

/* Its last word, and its end, while the handler is busy with the word before. */
static int see_the_end(void *context, const struct message *message)
{
    see(context, message);
    if (message->number.number == 1) {
        cr_assert_eq(send_number(far, 2), 0);
        lifeline_close(far); /* unread bytes there: a reset */
        far = NULL;
        usleep(20000);
    }
    return 0;
}

Test(lifeline, the_last_word_is_heard_before_a_failed_write_is_told)
{
    struct seen seen = {0};

    cr_assert_eq(send_number(near, 1), 0); /* never read */
    cr_assert_eq(lifeline_service(near, now, see, &seen), 0);
    cr_assert_eq(send_number(far, 1), 0);
    usleep(20000);
    now += HEARTBEAT_EVERY_NS; /* due, and refused by the kernel */
    cr_assert_eq(lifeline_service(near, now, see_the_end, &seen), -EPIPE);
    cr_assert_eq(seen.count, 2);
    cr_assert_eq(seen.number, 2);
}

Test(lifeline, silence_is_noticed_and_heartbeats_break_it)
{
    struct seen seen = {0};

    /* Two seconds of heartbeats: neither side complains, no handler hears of them. */
    for (int tick = 0; tick < 200; tick++) {
        now += 10 * MS;
        cr_assert_eq(lifeline_service(near, now, see, &seen), 0);
        cr_assert_eq(lifeline_service(far, now, see, &seen), 0);
        usleep(100);
    }
    cr_assert_eq(seen.count, 0);
    /* Then `near` stops. */
    int result = 0, ticks = 0;
    for (; ticks < 300 && !result; ticks++) {
        now += 10 * MS;
        result = lifeline_service(far, now, see, &seen);
    }
    cr_assert_eq(result, -ETIMEDOUT);
    /* Counted from the last heartbeat, at most HEARTBEAT_EVERY_NS ago. */
    cr_assert_geq(ticks, (HEARTBEAT_TIMEOUT_NS - HEARTBEAT_EVERY_NS) / (10 * MS));
    cr_assert_leq(ticks, HEARTBEAT_TIMEOUT_NS / (10 * MS) + 15);
}

Test(lifeline, a_busy_reader_does_not_take_its_own_pause_for_silence)
{
    struct seen seen = {0};

    cr_assert_eq(lifeline_service(near, now, see, &seen), 0);
    cr_assert_eq(lifeline_service(far, now, see, &seen), 0);
    send_number(near, 1); /* sent in time, read five seconds later */
    usleep(2000);
    cr_assert_eq(lifeline_service(far, now + 5000 * MS, see, &seen), 0);
    cr_assert_eq(seen.count, 1);
}

Test(lifeline, a_machine_that_stood_still_kills_nobody)
{
    struct seen seen = {0};

    for (int freeze = 0; freeze < 5; freeze++) {
        cr_assert_eq(lifeline_service(near, now, see, &seen), 0);
        cr_assert_eq(lifeline_service(far, now, see, &seen), 0);
        now += 5000 * MS; /* and `far` is the first to run again */
        cr_assert_eq(lifeline_service(far, now, see, &seen), 0);
        cr_assert_eq(lifeline_service(near, now, see, &seen), 0);
        usleep(1000);
    }
}

Test(lifeline, nonsense_ends_the_line)
{
    const uint8_t nonsense[64] = {0xff, 0xff, 0xff, 0xff, 1, 2, 3};
    int result = 0;

    cr_assert_eq(send(lifeline_fd(near), nonsense, sizeof nonsense, 0), (ssize_t)sizeof nonsense);
    for (int round = 0; round < 100 && !result; round++) {
        result = lifeline_service(far, now, see, &(struct seen){0});
        usleep(1000);
    }
    cr_assert(result == -EBADMSG || result == -EPROTO, "%d", result);
}

Test(lifeline, the_handlers_no_is_handed_back)
{
    struct seen seen = {.answer = -ECONNABORTED};

    send_number(near, 1);
    send_number(near, 2);
    usleep(2000);
    cr_assert_eq(lifeline_service(far, now, see, &seen), -ECONNABORTED);
    cr_assert_eq(seen.count, 1);
}

Test(lifeline, what_a_handler_refused_comes_again)
{
    struct seen seen = {.answer = -EAGAIN};
    for (uint64_t n = 1; n <= 3; n++)
        cr_assert_eq(send_number(near, n), 0);
    int result = 0;
    for (int try = 0; try < 1000 && result == 0; try++, usleep(1000))
        result = lifeline_service(far, now, see, &seen);
    cr_assert_eq(result, -EAGAIN);
    cr_assert_eq(seen.number, 1);
    seen = (struct seen){0};
    cr_assert_eq(lifeline_service(far, now, see, &seen), 0, "nothing new has to arrive for it");
    cr_assert_eq(seen.count, 3);
    cr_assert_eq(seen.number, 3);
    cr_assert(seen.in_order);
}

Test(lifeline, the_queue_is_bounded)
{
    uint8_t *bytes = calloc(IMAGE_PAGES_MAX, IMAGE_PAGE_BYTES);
    const struct message message = {
        .kind = MESSAGE_IMAGE_PAGES,
        .image_pages = {.address = 0, .count = IMAGE_PAGES_MAX, .bytes = bytes}};
    int result = 0, sent = 0;

    for (; sent < 200 && !result; sent++)
        result = lifeline_send(near, &message);
    cr_assert_eq(result, -ENOMEM);
    cr_assert_leq(lifeline_queued(near), (size_t)64 << 20);
    cr_assert_gt(lifeline_queued(near), (size_t)32 << 20);
    free(bytes);
}

Test(lifeline, tells_its_local_address)
{
    char text[64];

    cr_assert_eq(lifeline_local_address(far, text, sizeof text), 0);
    cr_assert_str_eq(text, "127.0.0.1");
}

Test(lifeline, trouble_is_named)
{
    struct lifeline *line;
    int other;
    char why[256];

    cr_assert_eq(lifeline_listen(&other, "127.0.0.1", port, why), STATUS_BUSY);
    cr_assert_not_null(strstr(why, "127.0.0.1"), "%s", why);
    cr_assert_eq(lifeline_connect(&line, "nowhere", port, 10, why), STATUS_USAGE);
    cr_assert_not_null(strstr(why, "nowhere"), "%s", why);
    int64_t before = wall_ms();
    cr_assert_eq(lifeline_connect(&line, "127.0.0.1", 1, 100, why), STATUS_UNREACHABLE);
    cr_assert_geq(wall_ms() - before, 50);
    cr_assert_leq(wall_ms() - before, 1000);
    cr_assert_not_null(strstr(why, "127.0.0.1 port 1"), "%s", why);
}

Test(lifeline, a_connection_begins_without_waiting)
{
    struct lifeline *line = NULL, *accepted = NULL;
    struct seen seen = {0};

    cr_assert_eq(lifeline_connect_start(&line, "127.0.0.1", port), 0);
    cr_assert_eq(send_number(line, 7), 0);
    for (int round = 0; round < 1000 && seen.count == 0; round++) {
        cr_assert_eq(lifeline_service(line, now, see, NULL), 0);
        if (!accepted)
            accepted = lifeline_accept(listener);
        else
            cr_assert_eq(lifeline_service(accepted, now, see, &seen), 0);
        usleep(1000);
    }
    cr_assert_eq(seen.number, 7);
    lifeline_close(line);
    lifeline_close(accepted);
}

/* A listener whose queue is full answers nobody: the connection hangs until there is room. */
Test(lifeline, what_is_sent_before_the_connection_stands_arrives)
{
    struct lifeline *waiting[8] = {0}, *accepted[8] = {0};
    uint32_t count = 0;
    struct seen seen = {0};
    int busy = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof at;

    cr_assert_eq(bind(busy, (struct sockaddr *)&at, sizeof at), 0);
    cr_assert_eq(listen(busy, 0), 0);
    cr_assert_eq(getsockname(busy, (struct sockaddr *)&at, &length), 0);
    for (int i = 0; i < 8; i++) {
        cr_assert_eq(lifeline_connect_start(&waiting[i], "127.0.0.1", ntohs(at.sin_port)), 0);
        cr_assert_eq(send_number(waiting[i], 9), 0);
        cr_assert_eq(lifeline_service(waiting[i], now, see, NULL), 0);
    }
    cr_assert_gt(lifeline_queued(waiting[7]), 0, "the last one hangs, with its message");
    cr_assert_not(lifeline_connected(waiting[7]));
    for (int round = 0; round < 15000 && lifeline_queued(waiting[7]) > 0; round++) {
        if (count < 8 && (accepted[count] = lifeline_accept(busy)))
            count++;
        cr_assert_eq(lifeline_service(waiting[7], now, see, &seen), 0);
        usleep(1000);
    }
    cr_assert_eq(lifeline_queued(waiting[7]), 0);
    cr_assert(lifeline_connected(waiting[7]));
    for (int i = 0; i < 8; i++) {
        lifeline_close(waiting[i]);
        lifeline_close(accepted[i]);
    }
    close(busy);
}

Test(lifeline, nobody_there_is_told_by_service)
{
    struct lifeline *line = NULL;
    struct seen seen = {0};
    int result;

    close(listener);
    listener = -1;
    result = lifeline_connect_start(&line, "127.0.0.1", port);
    for (int round = 0; round < 1000 && line && !result; round++) {
        send_number(line, 1);
        result = lifeline_service(line, now, see, &seen);
        usleep(1000);
    }
    cr_assert(result == -EPIPE || result == -ECONNREFUSED, "%d", result);
    lifeline_close(line);
}
