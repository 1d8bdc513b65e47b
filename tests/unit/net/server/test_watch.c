/* watch.h: what stays wrong is said once, and what passes is said when it has. */
#include <criterion/criterion.h>
#include <string.h>
#include <unistd.h>

#include "net/server/watch.h"

static struct log *lines;
static int ends[2];
static struct watch watch;

static void begin(void)
{
    cr_assert_eq(pipe(ends), 0);
    cr_assert_eq(log_create(ends[1], LOG_INFO, &lines), STATUS_OK);
}

TestSuite(watch, .init = begin);

/* Ends the log; how often it said text. */
static int said(const char *text)
{
    char all[8192];
    size_t size = 0;
    ssize_t count;
    log_destroy(&lines);
    (void)close(ends[1]);
    while ((count = read(ends[0], all + size, sizeof(all) - 1 - size)) > 0) {
        size += (size_t)count;
    }
    all[size] = '\0';
    int times = 0;
    for (const char *at = all; (at = strstr(at, text)) != NULL; at++) {
        times++;
    }
    return times;
}

Test(watch, a_healthy_engine_is_not_mentioned)
{
    const struct engine_health well = {.journal_read_only = false};
    watch_step(&watch, &well, lines);
    watch_step(&watch, &well, lines);
    cr_assert_eq(said("level"), 0);
}

Test(watch, a_failed_store_is_said_once_with_its_words)
{
    const struct engine_health failed = {
        .store_failure = STATUS_IO_ERROR, .store_failed_shard = 3, .store_failure_text = "no more"};
    watch_step(&watch, &failed, lines);
    watch_step(&watch, &failed, lines);
    cr_assert_eq(said("\"shard\":3,\"error\":\"no more\""), 1);
}

Test(watch, a_journal_that_became_read_only_is_said_once)
{
    const struct engine_health failed = {.journal_read_only = true};
    watch_step(&watch, &failed, lines);
    watch_step(&watch, &failed, lines);
    cr_assert_eq(said("journal failed"), 1);
}

/* A look at a journal that refuses writes for that, or at one that takes them: STATUS_OK. */
static void look(enum status refusing)
{
    const struct engine_health health = {.journal_refusing = refusing};
    watch_step(&watch, &health, lines);
}

Test(watch, room_on_the_disk_is_said_when_it_goes_and_when_it_is_back)
{
    look(STATUS_BUSY);
    look(STATUS_BUSY);
    look(STATUS_OK);
    look(STATUS_OK);
    cr_assert_eq(said("room on the disk"), 2);
}

Test(watch, what_ended_is_what_writes_were_refused_for)
{
    look(STATUS_DISK_FULL);
    look(STATUS_IO_ERROR);
    look(STATUS_OK);
    cr_assert_eq(said("can be prepared again: writes are accepted\",\"ended\":\"the disk or the "
                      "kernel reported an error\""),
                 1);
}

Test(watch, a_failure_that_was_no_full_disk_does_not_end_with_room)
{
    look(STATUS_IO_ERROR);
    look(STATUS_OK);
    cr_assert_eq(said("room on the disk"), 0);
}

Test(watch, a_full_disk_ends_with_room_whatever_came_before)
{
    look(STATUS_IO_ERROR);
    look(STATUS_DISK_FULL);
    look(STATUS_OK);
    cr_assert_eq(said("there is room on the disk again"), 1);
}
