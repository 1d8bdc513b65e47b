#include "tests/unit/engine/journal/journal_fixture.h"

#include <criterion/criterion.h>

#define TURNS_MAX 100000u

static void executor_take(struct executor *executor, struct store_job *job)
{
    struct fixture *fixture = CONTAINER_OF(executor, struct fixture, executor);
    cr_assert_lt(fixture->job_count, sizeof(fixture->jobs) / sizeof(fixture->jobs[0]));
    fixture->jobs[fixture->job_count++] = job;
}

void fixture_jobs_run(struct fixture *fixture)
{
    for (uint32_t i = 0; i < fixture->job_count; i++) {
        struct mailbox *reply_to = fixture->jobs[i]->reply_to;
        fixture->jobs[i]->run(fixture->jobs[i]);
        mailbox_send(reply_to, &fixture->jobs[i]->message);
    }
    fixture->job_count = 0;
}

static void fixture_begin(struct fixture *fixture, enum journal_durability durability,
                          const struct faulty_disk_options *disk_options)
{
    *fixture = (struct fixture){.wall_ms = 1000, .executor = {.submit = executor_take}};
    fixture->disk = faulty_disk_create(disk_options);
    fixture->options = (struct journal_options){.durability = durability,
                                                .interval_ns = 1000000000,
                                                .segment_bytes = FIXTURE_SEGMENT_BYTES,
                                                .retention_bytes = 2 * FIXTURE_SEGMENT_BYTES,
                                                .retention_ms = UINT64_MAX,
                                                .batch_bytes_max = FIXTURE_BATCH_BYTES,
                                                .entry_bytes_max = FIXTURE_ENTRY_BYTES,
                                                .shard_count = 2,
                                                .new_store_id = {{1, 2, 3}},
                                                .new_store_secret = 4,
                                                .disk = fixture->disk};
}

static void fixture_start(struct fixture *fixture)
{
    cr_assert_eq(fixture_open(fixture), STATUS_OK, "%s", fixture->problem.text);
    journal_client_init(&fixture->client, fixture->journal);
}

void fixture_init(struct fixture *fixture, enum journal_durability durability)
{
    fixture_begin(fixture, durability, &(struct faulty_disk_options){.seed = 1});
    fixture_start(fixture);
}

void fixture_init_windows(struct fixture *fixture, enum journal_durability durability,
                          uint64_t window_bytes)
{
    fixture_begin(fixture, durability, &(struct faulty_disk_options){.seed = 1, .windows = true});
    fixture->options.cached_writes = true;
    fixture->options.window_bytes = window_bytes;
    fixture->options.executor = &fixture->executor;
    fixture_start(fixture);
}

void fixture_deinit(struct fixture *fixture)
{
    if (fixture->journal != NULL) {
        fixture_crash(fixture);
    }
    journal_client_deinit(&fixture->client);
    fixture->disk->vtable->destroy(fixture->disk);
}

enum status fixture_open(struct fixture *fixture)
{
    enum status status =
        journal_segments_open(&fixture->options, NULL, &fixture->journal, &fixture->problem);
    fixture->client.journal = fixture->journal;
    return status;
}

void fixture_step(struct fixture *fixture)
{
    fixture->now_ns += 1000;
    faulty_disk_step(fixture->disk, fixture->now_ns);
    journal_step(fixture->journal, fixture->now_ns, fixture->wall_ms);
    journal_client_receive(&fixture->client);
}

void fixture_settle(struct fixture *fixture)
{
    fixture_step(fixture);
    uint32_t turns = 0;
    while (!journal_idle(fixture->journal)) {
        fixture_jobs_run(fixture);
        fixture_step(fixture);
        cr_assert_lt(++turns, TURNS_MAX);
    }
}

void fixture_write(struct fixture *fixture, uint32_t count, size_t document_bytes)
{
    for (uint32_t i = 0; i < count; i++) {
        journal_client_submit(&fixture->client, document_bytes);
        fixture_settle(fixture);
    }
}

void fixture_close(struct fixture *fixture)
{
    fixture_settle(fixture);
    journal_close(fixture->journal);
    fixture->journal = NULL;
}

void fixture_crash(struct fixture *fixture)
{
    faulty_disk_crash(fixture->disk);
    journal_segments_abandon(fixture->journal);
    fixture->journal = NULL;
    journal_client_crash(&fixture->client);
}

uint64_t fixture_read(struct fixture *fixture, uint64_t from)
{
    struct journal_reader *reader;
    cr_assert_eq(journal_reader_create(fixture->journal, from, &reader), STATUS_OK);
    struct entry entry;
    enum status status;
    uint64_t sequence = from;
    while ((status = journal_reader_next(fixture->journal, reader, &entry)) == STATUS_OK) {
        cr_assert_eq(entry.sequence, sequence);
        cr_assert_eq(journal_client_number(&entry), sequence - 1);
        sequence++;
    }
    cr_assert_eq(status, STATUS_NOT_FOUND, "%s", reader->problem.text);
    journal_reader_destroy(fixture->journal, reader);
    return sequence - from;
}
