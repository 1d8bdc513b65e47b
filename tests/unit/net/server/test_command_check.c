#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/journal/disk_blocking.h"
#include "net/server/command_check.h"
#include "tests/support/journal_client.h"

#define PATH_BYTES 256

static char data_folder[PATH_BYTES];
static char journal_folder[PATH_BYTES + sizeof(COMMAND_CHECK_JOURNAL)];
static struct disk *disk;
static char line[4096];

static void begin(void)
{
    snprintf(data_folder, sizeof(data_folder), "/tmp/freshet-check-XXXXXX");
    cr_assert_not_null(mkdtemp(data_folder));
    snprintf(journal_folder, sizeof(journal_folder), "%s/%s", data_folder, COMMAND_CHECK_JOURNAL);
    struct disk_blocking_options options = {.folder = journal_folder, .create = true};
    cr_assert_eq(disk_blocking_create(&options, &disk), STATUS_OK);
}

static enum status remove_one(void *context, const char *name)
{
    (void)context;
    return disk->vtable->remove(disk, name);
}

static void end(void)
{
    cr_assert_eq(disk->vtable->list(disk, remove_one, NULL), STATUS_OK);
    disk->vtable->destroy(disk);
    rmdir(journal_folder);
    rmdir(data_folder);
}

TestSuite(command_check, .init = begin, .fini = end);

/* Ten entries; closed in order, or left as a process that dies leaves it. */
static void write_journal(bool close)
{
    struct journal_options options = {.durability = JOURNAL_SYNC,
                                      .segment_bytes = 64 * 1024,
                                      .retention_bytes = UINT64_MAX,
                                      .retention_ms = UINT64_MAX,
                                      .batch_bytes_max = 8192,
                                      .entry_bytes_max = 4096,
                                      .shard_count = 1,
                                      .disk = disk};
    struct journal *journal;
    struct journal_problem problem;
    cr_assert_eq(journal_segments_open(&options, NULL, &journal, &problem), STATUS_OK);
    struct journal_client client;
    journal_client_init(&client, journal);
    for (uint64_t i = 0; i < 10; i++) {
        journal_client_submit(&client, 100);
        while (client.completed <= i) {
            journal_step(journal, i, i);
            disk_blocking_step(disk);
            journal_step(journal, i, i);
            journal_client_receive(&client);
        }
    }
    if (close) {
        journal_close(journal);
    } else {
        journal_segments_abandon(journal);
    }
    journal_client_deinit(&client);
}

static int check(const struct command_check_visitor *visitor)
{
    memset(line, 0, sizeof(line));
    FILE *out = fmemopen(line, sizeof(line), "w");
    cr_assert_not_null(out);
    int code = command_check_journal(data_folder, visitor, out);
    fclose(out);
    return code;
}

Test(command_check, says_what_is_there_and_that_it_is_whole)
{
    write_journal(true);
    cr_assert_eq(check(NULL), 0);
    cr_assert_str_eq(line, "{\"event\":\"journal\",\"ok\":true,\"segments\":1,\"entries\":10,"
                           "\"first_sequence\":1,\"last_sequence\":10,\"epochs\":1,"
                           "\"tail\":\"clean\"}\n");
    cr_assert_eq(check(NULL), 0, "it changes nothing");
}

Test(command_check, knows_a_stop_that_was_not_clean)
{
    write_journal(false);
    cr_assert_eq(check(NULL), 0);
    cr_assert_not_null(strstr(line, "\"entries\":10,"));
    cr_assert_not_null(strstr(line, "\"tail\":\"unclean\""));
}

Test(command_check, names_file_and_offset_of_damage)
{
    write_journal(true);
    int file;
    cr_assert_eq(disk->vtable->open(disk, "0000000000000001.seg", false, &file), STATUS_OK);
    cr_assert_eq(disk->vtable->write(disk, file, 4096 + 512 + 100, (const uint8_t *)"x", 1),
                 STATUS_OK);
    disk->vtable->close(disk, file);
    cr_assert_eq(check(NULL), 1);
    cr_assert_not_null(strstr(line, "\"ok\":false"));
    cr_assert_not_null(strstr(line, "\"file\":\"0000000000000001.seg\",\"offset\":4608,"));
    cr_assert_not_null(strstr(line, "backup"));
}

static enum status count_entry(void *context, const struct entry *entry)
{
    uint64_t *count = context;
    cr_assert_eq(journal_client_number(entry), *count);
    ++*count;
    return *count == 5 ? STATUS_DAMAGED : STATUS_OK;
}

Test(command_check, shows_each_entry_to_a_visitor_that_may_find_fault)
{
    write_journal(true);
    uint64_t count = 0;
    struct command_check_visitor visitor = {.visit = count_entry, .context = &count};
    cr_assert_eq(check(&visitor), 1);
    cr_assert_eq(count, 5);
    cr_assert_not_null(strstr(line, "\"ok\":false"));
}

Test(command_check, says_that_there_is_no_journal)
{
    cr_assert_eq(command_check_journal("/tmp/freshet-no-such-folder", NULL, stdout), 1);
    cr_assert_eq(check(NULL), 0, "an empty folder is a journal that is still to be");
    cr_assert_not_null(strstr(line, "\"tail\":\"new\""));
}
