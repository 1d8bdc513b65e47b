#include <criterion/criterion.h>

#include "tests/unit/engine/journal/journal_fixture.h"

#define WINDOW (2u * DISK_WINDOW_ALIGNMENT)

static struct fixture fixture;

static void begin(void)
{
    fixture_init_windows(&fixture, JOURNAL_NONE, WINDOW);
}

static void begin_interval(void)
{
    fixture_init_windows(&fixture, JOURNAL_INTERVAL, WINDOW);
}

static void end(void)
{
    fixture_deinit(&fixture);
}

TestSuite(windows, .init = begin, .fini = end);
TestSuite(windows_interval, .init = begin_interval, .fini = end);

/* Submits one entry and steps the journal once; true when that completed it. */
static bool commits_in_one_step(size_t document_bytes)
{
    journal_client_submit(&fixture.client, document_bytes);
    journal_step(fixture.journal, fixture.now_ns, fixture.wall_ms);
    journal_client_receive(&fixture.client);
    return fixture.client.completed == fixture.client.commit_count;
}

static bool is_written(void)
{
    return faulty_disk_due(fixture.disk) != UINT64_MAX;
}

/* So that the next batch lies in a window. */
static void come_into_the_window(void)
{
    fixture_settle(&fixture);
    for (uint32_t i = 0; i < 16 && !commits_in_one_step(10); i++) {
        fixture_settle(&fixture);
    }
    fixture_settle(&fixture);
}

static void kill_and_open(void)
{
    faulty_disk_kill(fixture.disk);
    journal_segments_abandon(fixture.journal);
    fixture.journal = NULL;
    fixture.job_count = 0;
    journal_client_crash(&fixture.client);
    cr_assert_eq(fixture_open(&fixture), STATUS_OK, "%s", fixture.problem.text);
}

Test(windows, in_the_window_a_commit_completes_in_the_step_that_takes_it)
{
    cr_assert(fixture.journal->commits_at_once);
    come_into_the_window();
    uint64_t before = fixture.client.completed;
    cr_assert(commits_in_one_step(10));
    cr_assert_eq(journal_committed(fixture.journal), before + 1);
    cr_assert_eq(journal_durable(fixture.journal), 0);
    cr_assert_not(is_written());
    cr_assert_eq(fixture_read(&fixture, 1), before + 1);
}

Test(windows, a_kill_leaves_what_was_answered_through_windows_and_over_segments)
{
    uint64_t at_once = 0;
    for (uint32_t i = 0; i < 200; i++) {
        at_once += commits_in_one_step(i * 37 % 3000);
        fixture_settle(&fixture);
    }
    cr_assert_gt(at_once, 100);
    cr_assert_eq(fixture_read(&fixture, 1), 200);
    struct journal_statistics statistics;
    journal_statistics_read(fixture.journal, &statistics);
    cr_assert_gt(statistics.segments, 5);
    kill_and_open();
    cr_assert_eq(journal_committed(fixture.journal), 200);
    cr_assert_eq(fixture_read(&fixture, 1), 200);
    come_into_the_window();
    fixture_close(&fixture);
    cr_assert_eq(fixture_open(&fixture), STATUS_OK, "%s", fixture.problem.text);
    cr_assert_eq(journal_committed(fixture.journal), fixture.client.completed);
}

Test(windows, a_batch_that_reaches_into_a_window_in_the_making_waits_for_it)
{
    fixture_step(&fixture);
    cr_assert_gt(fixture.job_count, 0);
    /* Batch after batch, until one neither completes nor is with the disk. */
    uint32_t submitted = 0;
    do {
        cr_assert_lt(submitted++, 16);
        if (!commits_in_one_step(10)) {
            faulty_disk_step(fixture.disk, fixture.now_ns += 1000);
            journal_step(fixture.journal, fixture.now_ns, 1);
            journal_client_receive(&fixture.client);
        }
    } while (fixture.client.completed == submitted);
    cr_assert_not(is_written());
    for (uint32_t i = 0; i < 20; i++) {
        cr_assert_not(commits_in_one_step(1000));
        cr_assert_not(is_written());
    }
    fixture_jobs_run(&fixture);
    fixture_settle(&fixture);
    cr_assert_eq(fixture.client.completed, submitted + 20);
    cr_assert_eq(fixture_read(&fixture, 1), submitted + 20);
}

Test(windows, a_batch_larger_than_the_window_is_written_and_the_order_kept)
{
    fixture.options.window_bytes = DISK_WINDOW_ALIGNMENT;
    kill_and_open();
    uint32_t count = 0;
    for (uint32_t round = 0; round < 20; round++) {
        for (uint32_t i = 0; i < 2 + round % 2; i++, count++) {
            journal_client_submit(&fixture.client, 2000);
        }
        fixture_settle(&fixture);
        (void)commits_in_one_step(10);
        count++;
        fixture_settle(&fixture);
    }
    cr_assert_eq(fixture.client.completed, count);
    cr_assert_eq(fixture_read(&fixture, 1), count);
    kill_and_open();
    cr_assert_eq(journal_committed(fixture.journal), count);
}

Test(windows, after_a_sync_batches_are_written_until_the_window_is_renewed)
{
    come_into_the_window();
    uint64_t committed = journal_committed(fixture.journal);
    journal_client_sync(&fixture.client);
    cr_assert_not(commits_in_one_step(10));
    cr_assert(is_written());
    faulty_disk_step(fixture.disk, fixture.now_ns += 1000);
    journal_step(fixture.journal, fixture.now_ns, 1);
    journal_client_receive(&fixture.client);
    cr_assert_geq(journal_durable(fixture.journal), committed);
    cr_assert_eq(journal_committed(fixture.journal), committed + 1);
    cr_assert_gt(fixture.job_count, 0, "the sync is over: the window is renewed");
    cr_assert_not(commits_in_one_step(10), "a renewal changes nothing: nobody waits for it");
    cr_assert(is_written());
    fixture_settle(&fixture);
    cr_assert(commits_in_one_step(10));
    cr_assert_eq(fixture_read(&fixture, 1), committed + 3);
}

Test(windows, a_sync_that_begins_while_the_window_is_renewed_makes_it_stale_again)
{
    come_into_the_window();
    cr_assert(commits_in_one_step(10));
    journal_client_sync(&fixture.client);
    fixture_step(&fixture);
    fixture_step(&fixture);
    cr_assert_not(fixture.client.sync_pending);
    cr_assert_gt(fixture.job_count, 0, "the renewal");
    cr_assert_not(commits_in_one_step(10));
    fixture_step(&fixture);
    journal_client_sync(&fixture.client);
    journal_step(fixture.journal, fixture.now_ns, fixture.wall_ms);
    cr_assert(is_written(), "the second sync");
    fixture_jobs_run(&fixture);
    faulty_disk_step(fixture.disk, fixture.now_ns += 1000);
    cr_assert_not(commits_in_one_step(10));
    fixture_settle(&fixture);
    cr_assert(commits_in_one_step(10));
}

Test(windows_interval, a_sync_covers_what_was_stored)
{
    come_into_the_window();
    cr_assert(commits_in_one_step(10));
    uint64_t committed = journal_committed(fixture.journal);
    cr_assert_eq(journal_durable(fixture.journal), 0);
    fixture.now_ns += fixture.options.interval_ns;
    fixture_settle(&fixture);
    cr_assert_eq(journal_durable(fixture.journal), committed);
    cr_assert(commits_in_one_step(10));
    fixture.job_count = 0;
    fixture_crash(&fixture);
    cr_assert_eq(fixture_open(&fixture), STATUS_OK, "%s", fixture.problem.text);
    cr_assert_geq(journal_committed(fixture.journal), committed);
}

static enum status refuse(struct disk *disk, int file, uint64_t offset, size_t size,
                          enum disk_window_content content, uint8_t **data_out)
{
    (void)disk;
    (void)file;
    (void)offset;
    (void)size;
    (void)content;
    *data_out = NULL;
    return STATUS_UNSUPPORTED;
}

Test(windows, where_no_window_can_be_made_batches_are_written)
{
    const struct disk_vtable *before = fixture.disk->vtable;
    struct disk_vtable vtable = *before;
    vtable.window = refuse;
    fixture.disk->vtable = &vtable;
    fixture_write(&fixture, 30, 2000);
    cr_assert_not(commits_in_one_step(10));
    cr_assert(is_written());
    fixture_settle(&fixture);
    cr_assert_eq(fixture_read(&fixture, 1), 31);
    fixture.disk->vtable = before;
}

Test(windows, only_a_journal_that_need_not_sync_on_a_disk_with_windows_commits_at_once)
{
    fixture.options.durability = JOURNAL_SYNC;
    kill_and_open();
    cr_assert_not(fixture.journal->commits_at_once);
    cr_assert_not(commits_in_one_step(10));
    fixture.options.durability = JOURNAL_NONE;
    fixture.options.cached_writes = false;
    fixture_settle(&fixture);
    kill_and_open();
    cr_assert_not(fixture.journal->commits_at_once);
    fixture.options.window_bytes = DISK_WINDOW_ALIGNMENT + 512;
    faulty_disk_kill(fixture.disk);
    journal_segments_abandon(fixture.journal);
    fixture.journal = NULL;
    cr_assert_eq(fixture_open(&fixture), STATUS_INVALID);
}
