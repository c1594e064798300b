/* The journal: whole lines from many threads, nothing without a path. */
#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "journal.h"

#define WRITERS 4
#define LINES 200

static char why[256];

Test(journal, no_path_no_effect)
{
    static const char *const nothing[] = {NULL, ""};
    for (int i = 0; i < 2; i++) {
        struct journal *journal;
        cr_assert_eq(journal_open(&journal, nothing[i], why), STATUS_OK);
        journal_event(journal, "event", "{s:i}", "a", 1);
        journal_object(journal, "event", json_object());
        journal_close(journal);
    }
    journal_close(NULL);
}

Test(journal, what_cannot_be_written_is_told)
{
    struct journal *journal;
    cr_assert_eq(journal_open(&journal, "/nowhere/at/all", why), STATUS_DISK);
    cr_assert_str_eq(why, "journal /nowhere/at/all: No such file or directory");
    cr_assert_eq(journal_open(&journal, "/dev/full", why), STATUS_OK);
    cr_redirect_stderr();
    journal_event(journal, "event", "{}");
    journal_event(journal, "event", "{}"); /* says so once */
    cr_assert_stderr_eq_str("palisade: journal /dev/full: No space left on device; it ends here\n");
    journal_close(journal);
}

static void *writer(void *argument)
{
    for (int64_t i = 0; i < LINES; i++)
        journal_event(argument, "line", "{s:I}", "i", (json_int_t)i);
    return NULL;
}

Test(journal, lines_are_whole)
{
    char path[] = "/tmp/journal.XXXXXX";
    close(mkstemp(path));
    struct journal *journal;
    struct timespec before, after;
    clock_gettime(CLOCK_MONOTONIC, &before);
    cr_assert_eq(journal_open(&journal, path, why), STATUS_OK);
    journal_event(journal, "go_live", "{s:I,s:s}", "epoch", (json_int_t)INT64_MIN, "from",
                  "co\"ld\n");
    journal_event(journal, "refused", "{s:s}", "text", "\xff");
    pthread_t threads[WRITERS];
    for (int t = 0; t < WRITERS; t++)
        pthread_create(&threads[t], NULL, writer, journal);
    for (int t = 0; t < WRITERS; t++)
        pthread_join(threads[t], NULL);
    journal_close(journal);
    clock_gettime(CLOCK_MONOTONIC, &after);

    FILE *file = fopen(path, "r");
    char line[256];
    uint32_t lines = 0, of[LINES] = {0};
    for (; fgets(line, sizeof line, file); lines++) {
        json_t *object = json_loads(line, 0, NULL);
        cr_assert_not_null(object, "%s", line);
        json_int_t at_ns = json_integer_value(json_object_get(object, "t_ns"));
        cr_assert_geq(at_ns, before.tv_sec * 1000000000ll + before.tv_nsec);
        cr_assert_leq(at_ns, after.tv_sec * 1000000000ll + after.tv_nsec);
        if (lines == 0) {
            cr_assert_str_eq(json_string_value(json_object_get(object, "event")), "go_live");
            cr_assert_eq(json_integer_value(json_object_get(object, "epoch")), INT64_MIN);
            cr_assert_str_eq(json_string_value(json_object_get(object, "from")), "co\"ld\n");
        } else if (lines == 1) { /* what is not UTF-8 does not cost the line */
            cr_assert_not_null(json_object_get(object, "error"));
        } else {
            of[json_integer_value(json_object_get(object, "i"))]++;
        }
        json_decref(object);
    }
    fclose(file);
    unlink(path);
    cr_assert_eq(lines, WRITERS * LINES + 2);
    for (uint32_t i = 0; i < LINES; i++)
        cr_assert_eq(of[i], WRITERS);
}

Test(journal, two_processes_share_a_file)
{
    char path[] = "/tmp/journal.XXXXXX", text[1024] = "";
    close(mkstemp(path));
    struct journal *one, *two;
    cr_assert_eq(journal_open(&one, path, why), STATUS_OK);
    cr_assert_eq(journal_open(&two, path, why), STATUS_OK);
    journal_event(one, "first", "{}");
    journal_event(two, "second", "{}");
    journal_event(one, "third", "{}");
    journal_close(one);
    journal_close(two);
    int fd = open(path, O_RDONLY);
    cr_assert_gt(read(fd, text, sizeof text - 1), 0);
    close(fd);
    unlink(path);
    cr_assert(strstr(text, "first") && strstr(text, "second") && strstr(text, "third"), "%s", text);
}
