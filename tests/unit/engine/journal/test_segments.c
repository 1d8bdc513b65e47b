#include <criterion/criterion.h>

#include "tests/unit/engine/journal/journal_fixture.h"

static struct fixture fixture;

static void begin_sync(void)
{
    fixture_init(&fixture, JOURNAL_SYNC);
}

static void begin_interval(void)
{
    fixture_init(&fixture, JOURNAL_INTERVAL);
}

static void begin_none(void)
{
    fixture_init(&fixture, JOURNAL_NONE);
}

static void end(void)
{
    fixture_deinit(&fixture);
}

static struct journal_statistics statistics_now(void)
{
    struct journal_statistics statistics;
    journal_statistics_read(fixture.journal, &statistics);
    return statistics;
}

TestSuite(segments_sync, .init = begin_sync, .fini = end);
TestSuite(segments_interval, .init = begin_interval, .fini = end);
TestSuite(segments_none, .init = begin_none, .fini = end);

/* ---- commits ---- */

Test(segments_sync, a_commit_is_visible_to_nobody_before_the_disk_has_it)
{
    journal_client_submit(&fixture.client, 100);
    journal_step(fixture.journal, 1, 5000);
    cr_assert_eq(journal_client_receive(&fixture.client), 0);
    cr_assert_eq(journal_committed(fixture.journal), 0);
    cr_assert_eq(journal_shard_committed(fixture.journal, 0), 0);
    struct journal_reader *reader;
    struct entry entry;
    cr_assert_eq(journal_reader_create(fixture.journal, 1, &reader), STATUS_OK);
    cr_assert_eq(journal_reader_next(fixture.journal, reader, &entry), STATUS_NOT_FOUND);

    faulty_disk_step(fixture.disk, 2);
    cr_assert_eq(journal_committed(fixture.journal), 0, "completions are processed by the step");
    journal_step(fixture.journal, 2, 5000);
    cr_assert_eq(journal_client_receive(&fixture.client), 1);
    cr_assert_eq(fixture.client.commits[0]->commit.time_ms, 5000);
    cr_assert_eq(journal_committed(fixture.journal), 1);
    cr_assert_eq(journal_durable(fixture.journal), 1);
    cr_assert_eq(journal_reader_next(fixture.journal, reader, &entry), STATUS_OK);
    cr_assert_eq(entry.epoch, 1);
    cr_assert_eq(journal_reader_next(fixture.journal, reader, &entry), STATUS_NOT_FOUND);
    journal_reader_destroy(fixture.journal, reader);
}

Test(segments_sync, what_comes_while_a_batch_is_written_goes_into_the_next_one_together)
{
    journal_client_submit(&fixture.client, 10);
    journal_step(fixture.journal, 1, 1);
    for (uint32_t i = 0; i < 20; i++) {
        journal_client_submit(&fixture.client, 10);
        journal_step(fixture.journal, 1, 1);
    }
    fixture_settle(&fixture);
    cr_assert_eq(fixture.client.completed, 21);
    cr_assert_eq(statistics_now().batches, 2);
    cr_assert_eq(statistics_now().entries, 21);
    cr_assert_eq(fixture_read(&fixture, 1), 21);
}

Test(segments_sync, more_than_a_batch_holds_waits_its_turn_in_order)
{
    for (uint32_t i = 0; i < 50; i++) {
        journal_client_submit(&fixture.client, 2000);
    }
    fixture_settle(&fixture);
    cr_assert_eq(fixture.client.completed, 50);
    cr_assert_gt(statistics_now().batches, 10);
    cr_assert_eq(atomic_load(&fixture.journal->queued_bytes), 0);
    cr_assert_eq(fixture_read(&fixture, 1), 50);
}

Test(segments_sync, entry_times_never_fall)
{
    fixture_write(&fixture, 1, 1);
    fixture.wall_ms = 10;
    fixture_write(&fixture, 1, 1);
    cr_assert_eq(fixture.client.commits[1]->commit.time_ms,
                 fixture.client.commits[0]->commit.time_ms);
    fixture_close(&fixture);
    cr_assert_eq(fixture_open(&fixture), STATUS_OK);
    fixture_write(&fixture, 1, 1);
    cr_assert_eq(fixture.client.commits[2]->commit.time_ms,
                 fixture.client.commits[0]->commit.time_ms);
}

Test(segments_sync, an_entry_of_the_largest_size_fits_and_rolls_when_the_segment_is_full)
{
    struct entry smallest = {
        .kind = ENTRY_PUT, .collection = BYTES_LITERAL("pets"), .id = BYTES_LITERAL("12345678")};
    size_t document_bytes = FIXTURE_ENTRY_BYTES - entry_encoded_size(&smallest);
    fixture_write(&fixture, 20, document_bytes);
    cr_assert_eq(statistics_now().oldest_sequence, 1);
    cr_assert_gt(statistics_now().segments, 2);
    cr_assert_eq(fixture_read(&fixture, 1), 20);
    cr_assert_eq(fixture_read(&fixture, 9), 12);
}

Test(segments_sync, options_that_cannot_hold_an_entry_are_refused)
{
    struct journal_options options = fixture.options;
    struct journal_problem problem;
    struct journal *journal;
    options.batch_bytes_max = FIXTURE_ENTRY_BYTES;
    cr_assert_eq(journal_segments_open(&options, NULL, &journal, &problem), STATUS_INVALID);
    cr_assert_neq(problem.text[0], '\0');
    options = fixture.options;
    options.segment_bytes = FIXTURE_BATCH_BYTES;
    cr_assert_eq(journal_segments_open(&options, NULL, &journal, &problem), STATUS_INVALID);
    options = fixture.options;
    options.entry_bytes_max = 0; /* ENTRY_BYTES_MAX */
    cr_assert_eq(journal_segments_open(&options, NULL, &journal, &problem), STATUS_INVALID);
    cr_assert_null(journal);
}

/* ---- syncs ---- */

Test(segments_sync, a_sync_has_nothing_to_wait_for)
{
    fixture_write(&fixture, 3, 10);
    journal_client_sync(&fixture.client);
    journal_step(fixture.journal, fixture.now_ns, 1);
    journal_client_receive(&fixture.client);
    cr_assert(!fixture.client.sync_pending);
    cr_assert_eq(fixture.client.sync.status, STATUS_OK);
    cr_assert_eq(fixture.client.sync.durable_sequence, 3);
}

Test(segments_interval, a_write_is_answered_before_it_is_durable_and_synced_when_the_interval_ends)
{
    fixture_write(&fixture, 3, 10);
    cr_assert_eq(journal_committed(fixture.journal), 3);
    cr_assert_eq(journal_durable(fixture.journal), 0);
    uint64_t due = journal_step(fixture.journal, fixture.now_ns, 1);
    cr_assert_leq(due, fixture.now_ns + fixture.options.interval_ns);
    fixture.now_ns = due - 2000;
    fixture_step(&fixture);
    cr_assert(journal_idle(fixture.journal));
    fixture.now_ns = due;
    fixture_settle(&fixture);
    cr_assert_eq(journal_durable(fixture.journal), 3);
}

Test(segments_none, only_a_sync_that_is_asked_for_makes_it_durable)
{
    fixture_write(&fixture, 3, 10);
    fixture.now_ns += 3600000000000;
    fixture_settle(&fixture);
    cr_assert_eq(journal_durable(fixture.journal), 0);
    journal_client_sync(&fixture.client);
    journal_step(fixture.journal, fixture.now_ns, 1);
    journal_client_receive(&fixture.client);
    cr_assert(fixture.client.sync_pending);
    fixture_settle(&fixture);
    cr_assert(!fixture.client.sync_pending);
    cr_assert_eq(fixture.client.sync.status, STATUS_OK);
    cr_assert_eq(journal_durable(fixture.journal), 3);
}

Test(segments_none, a_sync_covers_what_older_segments_hold)
{
    fixture_write(&fixture, 12, 3000);
    cr_assert_gt(statistics_now().segments, 1);
    journal_client_sync(&fixture.client);
    fixture_settle(&fixture);
    cr_assert_eq(fixture.client.sync.durable_sequence, 12);
    fixture_crash(&fixture);
    cr_assert_eq(fixture_open(&fixture), STATUS_OK, "%s", fixture.problem.text);
    cr_assert_eq(journal_committed(fixture.journal), 12);
}

/* ---- the disk fails ---- */

Test(segments_sync, after_a_failed_write_the_batch_is_unknown_and_the_rest_is_not_accepted)
{
    fixture_write(&fixture, 2, 10);
    faulty_disk_fail_write(fixture.disk, 1);
    journal_client_submit(&fixture.client, 10);
    journal_step(fixture.journal, fixture.now_ns, 1);
    for (uint32_t i = 0; i < 5; i++) {
        journal_client_submit(&fixture.client, 3000);
    }
    fixture_settle(&fixture);
    cr_assert(atomic_load(&fixture.journal->read_only));
    cr_assert_eq(fixture.client.commits[2]->status, STATUS_OUTCOME_UNKNOWN);
    for (uint32_t i = 3; i < 8; i++) {
        cr_assert_eq(fixture.client.commits[i]->status, STATUS_NOT_ACCEPTED);
    }
    fixture_write(&fixture, 1, 10);
    cr_assert_eq(fixture.client.commits[8]->status, STATUS_NOT_ACCEPTED);
    cr_assert_eq(fixture_read(&fixture, 1), 2, "reads go on");
    cr_assert_eq(atomic_load(&fixture.journal->queued_bytes), 0);
    fixture_close(&fixture);
    cr_assert_eq(fixture_open(&fixture), STATUS_OK, "%s", fixture.problem.text);
    cr_assert_eq(fixture.journal->epoch, 2, "no mark of a clean stop");
    cr_assert_geq(journal_committed(fixture.journal), 2);
}

Test(segments_interval, after_a_failed_sync_nothing_is_accepted_and_no_sync_is_tried_again)
{
    fixture_write(&fixture, 2, 10);
    journal_client_sync(&fixture.client);
    faulty_disk_fail_sync(fixture.disk, 1);
    fixture_settle(&fixture);
    cr_assert(atomic_load(&fixture.journal->read_only));
    cr_assert_eq(fixture.client.sync.status, STATUS_IO_ERROR);
    cr_assert_eq(journal_durable(fixture.journal), 0);
    uint64_t syncs = statistics_now().syncs;
    fixture_write(&fixture, 1, 10);
    cr_assert_eq(fixture.client.commits[2]->status, STATUS_NOT_ACCEPTED);
    journal_client_sync(&fixture.client);
    fixture.now_ns += 10 * fixture.options.interval_ns;
    fixture_settle(&fixture);
    cr_assert_eq(fixture.client.sync.status, STATUS_IO_ERROR);
    cr_assert_eq(statistics_now().syncs, syncs);
    cr_assert_eq(fixture_read(&fixture, 1), 2);
}

Test(segments_interval,
     a_sync_that_fails_under_a_batch_in_flight_makes_it_unknown_and_keeps_the_order)
{
    fixture_write(&fixture, 1, 10);
    faulty_disk_fail_sync(fixture.disk, 1);
    journal_client_sync(&fixture.client);
    journal_client_submit(&fixture.client, 10);
    journal_step(fixture.journal, fixture.now_ns, 1);
    journal_client_submit(&fixture.client, 10); /* gathers behind it */
    fixture_settle(&fixture);
    cr_assert_eq(fixture.client.commits[1]->status, STATUS_OUTCOME_UNKNOWN);
    cr_assert_eq(fixture.client.commits[2]->status, STATUS_NOT_ACCEPTED);
}

Test(segments_sync, a_full_disk_refuses_writes_until_there_is_room_again)
{
    /* Room for the active segment and one that is prepared. */
    faulty_disk_capacity(fixture.disk, 2 * FIXTURE_SEGMENT_BYTES);
    uint32_t taken = 0;
    while (atomic_load(&fixture.journal->refusing) == 0 && taken < 100) {
        fixture_write(&fixture, 1, 3000);
        taken++;
    }
    cr_assert_eq(atomic_load(&fixture.journal->refusing), STATUS_DISK_FULL);
    cr_assert(!atomic_load(&fixture.journal->read_only));
    uint64_t committed = journal_committed(fixture.journal);
    fixture_write(&fixture, 1, 3000);
    cr_assert_eq(fixture.client.commits[taken]->status, STATUS_NOT_ACCEPTED);
    cr_assert_eq(journal_committed(fixture.journal), committed);

    faulty_disk_capacity(fixture.disk, 0);
    fixture.now_ns += 2000000000;
    fixture_settle(&fixture);
    cr_assert_eq(atomic_load(&fixture.journal->refusing), 0);
    fixture_write(&fixture, 10, 3000);
    for (uint64_t i = taken + 1; i < fixture.client.commit_count; i++) {
        cr_assert_eq(fixture.client.commits[i]->status, STATUS_OK);
    }
    cr_assert_eq(journal_committed(fixture.journal), committed + 10, "no sequence is skipped");
}

Test(segments_sync, what_was_submitted_before_its_shard_heard_of_a_refusal_is_refused_too)
{
    faulty_disk_capacity(fixture.disk, 2 * FIXTURE_SEGMENT_BYTES);
    while (atomic_load(&fixture.journal->refusing) == 0) {
        fixture_write(&fixture, 1, 3000);
    }
    uint64_t first = fixture.client.commit_count;
    journal_client_submit(&fixture.client, 10);
    journal_step(fixture.journal, fixture.now_ns, 1); /* refused, and not yet heard of */
    faulty_disk_capacity(fixture.disk, 0);
    fixture.now_ns += 2000000000;
    journal_step(fixture.journal, fixture.now_ns, 1);
    cr_assert_eq(atomic_load(&fixture.journal->refusing), 0);
    journal_client_submit(&fixture.client, 10); /* built on the refused one */
    fixture.client.shard = 1;
    journal_client_submit(&fixture.client, 10); /* another shard's */
    fixture_settle(&fixture);
    fixture.client.shard = 0;
    journal_client_submit(&fixture.client, 10);
    fixture_settle(&fixture);
    cr_assert_eq(fixture.client.commits[first]->status, STATUS_NOT_ACCEPTED);
    cr_assert_eq(fixture.client.commits[first + 1]->status, STATUS_NOT_ACCEPTED);
    cr_assert_eq(fixture.client.commits[first + 2]->status, STATUS_OK);
    cr_assert_eq(fixture.client.commits[first + 3]->status, STATUS_OK);
}

Test(segments_sync, under_the_disk_reserve_admission_is_told_and_told_again_when_it_is_over)
{
    fixture_close(&fixture);
    fixture.options.disk_reserve_bytes = 4 * FIXTURE_SEGMENT_BYTES;
    faulty_disk_capacity(fixture.disk, 5 * FIXTURE_SEGMENT_BYTES);
    cr_assert_eq(fixture_open(&fixture), STATUS_OK);
    fixture_settle(&fixture);
    fixture.now_ns += 2000000000;
    fixture_settle(&fixture);
    cr_assert_eq(atomic_load(&fixture.journal->refusing), STATUS_BUSY);
    fixture_write(&fixture, 1, 10);
    cr_assert_eq(fixture.client.commits[0]->status, STATUS_OK, "what is submitted is taken");
    faulty_disk_capacity(fixture.disk, 7 * FIXTURE_SEGMENT_BYTES);
    uint64_t due = journal_step(fixture.journal, fixture.now_ns, 1);
    cr_assert_leq(due, fixture.now_ns + 1000000000);
    fixture.now_ns = due;
    fixture_settle(&fixture);
    cr_assert_eq(atomic_load(&fixture.journal->refusing), 0);
}

/* ---- the end ---- */

struct held_executor {
    struct executor executor;
    struct store_job *job;
};

static void hold_job(struct executor *executor, struct store_job *job)
{
    struct held_executor *held = CONTAINER_OF(executor, struct held_executor, executor);
    cr_assert_null(held->job, "one at a time");
    held->job = job;
}

static void run_held_job(struct held_executor *held)
{
    struct store_job *job = held->job;
    held->job = NULL;
    job->run(job);
    mailbox_send(job->reply_to, &job->message);
}

Test(segments_sync, upkeep_that_came_back_after_the_last_turn_is_no_obstacle_to_a_clean_end)
{
    fixture_close(&fixture);
    struct held_executor held = {.executor = {.submit = hold_job}};
    fixture.options.executor = &held.executor;
    cr_assert_eq(fixture_open(&fixture), STATUS_OK);
    fixture_step(&fixture);
    cr_assert_not_null(held.job, "the next segment is prepared");
    run_held_job(&held); /* as a store thread does that ends after the writer's thread */
    journal_close(fixture.journal);
    fixture.options.executor = NULL;
    cr_assert_eq(fixture_open(&fixture), STATUS_OK);
    cr_assert_eq(journal_segments_recovered(fixture.journal).tail, JOURNAL_TAIL_CLEAN);
}

/* ---- retention ---- */

Test(segments_sync, nothing_goes_that_a_store_still_needs)
{
    fixture_write(&fixture, 60, 3000);
    cr_assert_eq(statistics_now().oldest_sequence, 1);
    journal_retain(fixture.journal, 30);
    fixture_write(&fixture, 20, 3000);
    uint64_t oldest = statistics_now().oldest_sequence;
    cr_assert_gt(oldest, 20);
    cr_assert_leq(oldest, 30);
    journal_retain(fixture.journal, 5); /* lower than before */
    journal_retain(fixture.journal, 81);
    fixture_write(&fixture, 20, 3000);
    cr_assert_leq(statistics_now().segments, 3, "two by bytes, and the active one");
    cr_assert_eq(fixture_read(&fixture, statistics_now().oldest_sequence),
                 101 - statistics_now().oldest_sequence);
}

Test(segments_sync, a_segment_goes_when_all_its_entries_are_old)
{
    fixture_close(&fixture);
    fixture.options.retention_bytes = UINT64_MAX;
    fixture.options.retention_ms = 1000;
    cr_assert_eq(fixture_open(&fixture), STATUS_OK);
    journal_retain(fixture.journal, UINT64_MAX);
    fixture_write(&fixture, 30, 3000);
    cr_assert_eq(statistics_now().oldest_sequence, 1);
    fixture.wall_ms += 1001;
    fixture.now_ns += 2000000000;
    fixture_settle(&fixture);
    cr_assert_eq(statistics_now().segments, 1);
    cr_assert_gt(statistics_now().oldest_sequence, 20);
}

Test(segments_sync, recycling_keeps_the_number_of_files_bounded)
{
    journal_retain(fixture.journal, UINT64_MAX);
    fixture_write(&fixture, 300, 3000);
    uint64_t free_bytes;
    faulty_disk_capacity(fixture.disk, 100 * FIXTURE_SEGMENT_BYTES);
    cr_assert_eq(fixture.disk->vtable->free_bytes(fixture.disk, &free_bytes), STATUS_OK);
    cr_assert_geq(free_bytes, 95 * FIXTURE_SEGMENT_BYTES);
    fixture_crash(&fixture);
    cr_assert_eq(fixture_open(&fixture), STATUS_OK, "%s", fixture.problem.text);
    cr_assert_eq(journal_committed(fixture.journal), 300);
}

Test(segments_sync, a_reader_that_is_too_slow_is_told_that_its_place_is_gone)
{
    fixture_write(&fixture, 30, 3000);
    struct journal_reader *reader;
    struct entry entry;
    cr_assert_eq(journal_reader_create(fixture.journal, 1, &reader), STATUS_OK);
    cr_assert_eq(journal_reader_next(fixture.journal, reader, &entry), STATUS_OK);
    journal_retain(fixture.journal, UINT64_MAX);
    fixture_write(&fixture, 100, 3000);
    enum status status;
    while ((status = journal_reader_next(fixture.journal, reader, &entry)) == STATUS_OK) {
        cr_assert_lt(entry.sequence, 3, "only what it had read before");
    }
    cr_assert_eq(status, STATUS_POSITION_EXPIRED);
    journal_reader_destroy(fixture.journal, reader);
    cr_assert_eq(journal_reader_create(fixture.journal, 1, &reader), STATUS_POSITION_EXPIRED);
    cr_assert_null(reader);
}

/* ---- positions ---- */

Test(segments_none, positions_outlive_restarts_and_a_lost_tail_expires)
{
    fixture_write(&fixture, 3, 10);
    journal_client_sync(&fixture.client);
    fixture_settle(&fixture);
    struct position position = {.store_id = fixture.journal->store_id, .epoch = 1, .sequence = 3};
    cr_assert_eq(journal_position_check(fixture.journal, &position), STATUS_OK);
    position.sequence = 4;
    cr_assert_eq(journal_position_check(fixture.journal, &position), STATUS_INVALID);

    /* Large enough that a crash hardly keeps it whole. */
    fixture_write(&fixture, 8, 3500);
    fixture_crash(&fixture);
    cr_assert_eq(fixture_open(&fixture), STATUS_OK, "%s", fixture.problem.text);
    cr_assert_eq(fixture.journal->epoch, 2);
    uint64_t survived = journal_committed(fixture.journal);
    cr_assert_lt(survived, 11);
    position.sequence = survived;
    cr_assert_eq(journal_position_check(fixture.journal, &position), STATUS_OK);
    position.sequence = survived + 1;
    cr_assert_eq(journal_position_check(fixture.journal, &position), STATUS_POSITION_EXPIRED);
    position.epoch = 2;
    cr_assert_eq(journal_position_check(fixture.journal, &position), STATUS_INVALID);
    position.epoch = 3;
    cr_assert_eq(journal_position_check(fixture.journal, &position), STATUS_POSITION_EXPIRED);
    position.epoch = 2;
    position.sequence = 1;
    position.store_id.bytes[0]++;
    cr_assert_eq(journal_position_check(fixture.journal, &position), STATUS_POSITION_EXPIRED);

    /* A clean stop changes nothing. */
    fixture_close(&fixture);
    cr_assert_eq(fixture_open(&fixture), STATUS_OK);
    cr_assert_eq(fixture.journal->epoch, 2);
    position = (struct position){fixture.journal->store_id, 1, survived};
    cr_assert_eq(journal_position_check(fixture.journal, &position), STATUS_OK);
}
