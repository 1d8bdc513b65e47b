#include "tests/unit/engine/journal/journal_fixture.h"

#include <criterion/criterion.h>

#define TURNS_MAX 100000u

void fixture_init(struct fixture *fixture, enum journal_durability durability)
{
    *fixture = (struct fixture){.wall_ms = 1000};
    struct faulty_disk_options disk_options = {.seed = 1};
    fixture->disk = faulty_disk_create(&disk_options);
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
    cr_assert_eq(fixture_open(fixture), STATUS_OK, "%s", fixture->problem.text);
    journal_client_init(&fixture->client, fixture->journal);
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
