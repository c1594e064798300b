/* The epoch survives; damage, a full disk and a second user are refused by name. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "epoch_file.h"

static char directory[64];

static void path_of(char *path, size_t room, const char *name)
{
    snprintf(path, room, "%s/%s", directory, name);
}

static void setup(void)
{
    strcpy(directory, "/tmp/palisade-epoch-XXXXXX");
    cr_assert_not_null(mkdtemp(directory));
}

static void teardown(void)
{
    DIR *listing = opendir(directory);
    char path[512];

    for (struct dirent *entry; (entry = readdir(listing));) {
        path_of(path, sizeof path, entry->d_name);
        unlink(path);
    }
    closedir(listing);
    rmdir(directory);
}

TestSuite(epoch_file, .init = setup, .fini = teardown);

static enum status open_it(struct epoch_file **file, struct epoch_state *state, char *why)
{
    return epoch_file_open(file, directory, "logger", state, why);
}

static struct epoch_state open_epoch(uint32_t number)
{
    return (struct epoch_state){.number = number, .open = true};
}

static void damage(const char *text)
{
    char path[128];
    path_of(path, sizeof path, "logger.epoch");
    FILE *out = fopen(path, "w");
    fputs(text, out);
    fclose(out);
}

static void read_file(const char *path, char bytes[1024])
{
    FILE *in = fopen(path, "r");
    cr_assert_eq(fread(bytes, 1, 1024, in), 1024);
    fclose(in);
}

Test(epoch_file, starts_at_zero_and_keeps_what_was_written)
{
    struct epoch_file *file;
    struct epoch_state state = open_epoch(99);
    char why[256];

    cr_assert_eq(open_it(&file, &state, why), STATUS_OK, "%s", why);
    cr_assert_eq(state.number, 0);
    cr_assert(!state.open);
    cr_assert_eq(epoch_file_write(file, open_epoch(41)), 0);
    cr_assert_eq(epoch_file_write(file, open_epoch(42)), 0);
    epoch_file_close(file);
    cr_assert_eq(open_it(&file, &state, why), STATUS_OK);
    cr_assert_eq(state.number, 42);
    epoch_file_close(file);
}

/* Opening alone must not end a reign, nor open one that ended. */
Test(epoch_file, a_reign_stays_open_until_it_is_ended)
{
    struct epoch_file *file;
    struct epoch_state state;
    char why[256];

    cr_assert_eq(open_it(&file, &state, why), STATUS_OK, "%s", why);
    cr_assert_eq(epoch_file_write(file, open_epoch(3)), 0);
    epoch_file_close(file);
    for (int again = 0; again < 2; again++) {
        cr_assert_eq(open_it(&file, &state, why), STATUS_OK);
        cr_assert(state.open);
        epoch_file_close(file);
    }
    cr_assert_eq(open_it(&file, &state, why), STATUS_OK);
    cr_assert_eq(epoch_file_write(file, (struct epoch_state){.number = 3}), 0);
    epoch_file_close(file);
    for (int again = 0; again < 2; again++) {
        cr_assert_eq(open_it(&file, &state, why), STATUS_OK);
        cr_assert_eq(state.number, 3);
        cr_assert(!state.open);
        epoch_file_close(file);
    }
}

Test(epoch_file, makes_the_directory)
{
    struct epoch_file *file;
    struct epoch_state state;
    char why[256];

    cr_assert_eq(rmdir(directory), 0);
    cr_assert_eq(open_it(&file, &state, why), STATUS_OK, "%s", why);
    epoch_file_close(file);
}

Test(epoch_file, a_second_process_is_refused)
{
    struct epoch_file *file, *second;
    struct epoch_state state;
    char why[256];

    cr_assert_eq(open_it(&file, &state, why), STATUS_OK);
    cr_assert_eq(open_it(&second, &state, why), STATUS_BUSY);
    cr_assert_not_null(strstr(why, directory), "%s", why);
    epoch_file_close(file);
}

Test(epoch_file, damage_is_refused_not_read_as_zero)
{
    static const char *const texts[] = {"",
                                        "palisade-epoch 2 ",
                                        "palisade-epoch 2 12 open",
                                        "palisade-epoch 1 12\n",
                                        "palisade-epoch 3 12 open\n",
                                        "palisade-epoch 2 12\n",
                                        "palisade-epoch 2 12 \n",
                                        "palisade-epoch 2 12 opened\n",
                                        "palisade-epoch 2 12 lost\n",
                                        "palisade-epoch 2 0 open\n",
                                        "palisade-epoch 2 12 ended\nx",
                                        "12\n"};
    struct epoch_file *file;
    struct epoch_state state;
    char why[256];

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        damage(texts[i]);
        cr_assert_eq(open_it(&file, &state, why), STATUS_DISK, "\"%s\"", texts[i]);
        cr_assert_not_null(strstr(why, "damaged"), "%s", why);
    }
    damage("palisade-epoch 2 12 ended\n");
    cr_assert_eq(open_it(&file, &state, why), STATUS_OK);
    cr_assert_eq(state.number, 12);
    epoch_file_close(file);
}

Test(epoch_file, a_write_that_fails_leaves_the_old_epoch)
{
    struct epoch_file *file;
    struct epoch_state state;
    char why[256], path[128], aside[128];

    cr_assert_eq(open_it(&file, &state, why), STATUS_OK);
    cr_assert_eq(epoch_file_write(file, open_epoch(7)), 0);
    path_of(path, sizeof path, "logger.epoch");
    path_of(aside, sizeof aside, "aside");
    cr_assert_eq(rename(path, aside), 0);
    cr_assert_eq(symlink("/dev/full", path), 0);
    for (int again = 0; again < 2; again++)
        cr_assert_lt(epoch_file_write(file, open_epoch(8)), 0);
    cr_assert_eq(rename(aside, path), 0);
    epoch_file_close(file);
    cr_assert_eq(open_it(&file, &state, why), STATUS_OK, "%s", why);
    cr_assert_eq(state.number, 7);
    epoch_file_close(file);
}

/* Nor does a failed write make the next one replace the line that counts. */
Test(epoch_file, of_two_lines_the_older_is_replaced)
{
    struct epoch_file *file;
    struct epoch_state state;
    char why[256], path[128], aside[128], lines[2][1024];

    cr_assert_eq(open_it(&file, &state, why), STATUS_OK);
    path_of(path, sizeof path, "logger.epoch");
    path_of(aside, sizeof aside, "aside");
    for (uint32_t number = 1; number <= 6; number++) {
        read_file(path, lines[0]);
        if (number % 2 == 0) {
            cr_assert_eq(rename(path, aside), 0);
            cr_assert_eq(symlink("/dev/full", path), 0);
            cr_assert_lt(epoch_file_write(file, open_epoch(number)), 0);
            cr_assert_eq(rename(aside, path), 0);
        }
        cr_assert_eq(epoch_file_write(file, open_epoch(number)), 0);
        read_file(path, lines[1]);
        bool first = memcmp(lines[0], lines[1], 512) != 0;
        cr_assert_neq(first, memcmp(lines[0] + 512, lines[1] + 512, 512) != 0, "%u", number);
        cr_assert_eq(first, number % 2 == 0, "%u", number);
    }
    epoch_file_close(file);
    cr_assert_eq(open_it(&file, &state, why), STATUS_OK, "%s", why);
    cr_assert_eq(state.number, 6);
    epoch_file_close(file);
}

Test(epoch_file, a_line_that_is_damaged_is_refused)
{
    struct epoch_file *file;
    struct epoch_state state;
    char why[256], path[128], whole[1024];

    path_of(path, sizeof path, "logger.epoch");
    for (int at = 0; at < 1024; at += 73) {
        unlink(path);
        cr_assert_eq(open_it(&file, &state, why), STATUS_OK);
        cr_assert_eq(epoch_file_write(file, open_epoch(5)), 0);
        epoch_file_close(file);
        read_file(path, whole);
        whole[at] ^= 0x40;
        FILE *out = fopen(path, "w");
        cr_assert_eq(fwrite(whole, 1, sizeof whole - (at == 73), out), sizeof whole - (at == 73));
        fclose(out);
        cr_assert_eq(open_it(&file, &state, why), STATUS_DISK, "byte %d", at);
    }
}

/* What is written over needs no room. */
Test(epoch_file, a_disk_that_filled_up_does_not_matter)
{
    struct epoch_file *file;
    struct epoch_state state;
    char why[256], path[128];

    cr_assert_eq(open_it(&file, &state, why), STATUS_OK);
    path_of(path, sizeof path, "logger.epoch.new");
    cr_assert_eq(symlink("/dev/full", path), 0);
    cr_assert_eq(epoch_file_write(file, open_epoch(8)), 0);
    unlink(path);
    epoch_file_close(file);
    cr_assert_eq(open_it(&file, &state, why), STATUS_OK, "%s", why);
    cr_assert_eq(state.number, 8);
    epoch_file_close(file);
}

Test(epoch_file, a_file_that_was_deleted_comes_again)
{
    struct epoch_file *file;
    struct epoch_state state;
    char why[256], path[128];

    cr_assert_eq(open_it(&file, &state, why), STATUS_OK);
    cr_assert_eq(epoch_file_write(file, open_epoch(3)), 0);
    path_of(path, sizeof path, "logger.epoch");
    unlink(path);
    cr_assert_eq(epoch_file_write(file, open_epoch(4)), 0);
    epoch_file_close(file);
    cr_assert_eq(open_it(&file, &state, why), STATUS_OK, "%s", why);
    cr_assert_eq(state.number, 4);
    epoch_file_close(file);
}
