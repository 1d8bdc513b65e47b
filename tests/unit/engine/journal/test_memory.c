#include <criterion/criterion.h>

#include "engine/journal/journal.h"
#include "tests/support/journal_client.h"

static struct journal *memory_open(void)
{
    struct journal_options options = {.shard_count = 4, .new_store_id = {{1, 2, 3}}};
    struct journal *journal;
    cr_assert_eq(journal_memory_open(&options, &journal), STATUS_OK);
    return journal;
}

Test(journal_memory, completes_a_commit_in_its_next_step_and_not_in_the_submit)
{
    struct journal *journal = memory_open();
    struct journal_client client;
    journal_client_init(&client, journal);
    client.shard = 3;
    journal_client_submit(&client, 100);
    cr_assert_eq(journal_client_receive(&client), 0);
    cr_assert(!journal_idle(journal));
    cr_assert_gt(atomic_load(&journal->queued_bytes), 100);
    cr_assert_eq(journal_committed(journal), 0);

    cr_assert_eq(journal_step(journal, 0, 5000), UINT64_MAX);
    cr_assert_eq(journal_client_receive(&client), 1);
    cr_assert_eq(client.commits[0]->status, STATUS_OK);
    cr_assert_eq(client.commits[0]->commit.sequence, 1);
    cr_assert_eq(client.commits[0]->commit.time_ms, 5000);
    cr_assert_eq(journal_committed(journal), 1);
    cr_assert_eq(journal_shard_committed(journal, 3), 1);
    cr_assert_eq(journal_shard_committed(journal, 0), 0);
    cr_assert_eq(atomic_load(&journal->queued_bytes), 0);
    cr_assert(journal_idle(journal));
    journal_client_deinit(&client);
    journal_close(journal);
}

Test(journal_memory, is_read_in_order_and_a_reader_goes_on_where_it_stopped)
{
    struct journal *journal = memory_open();
    struct journal_client client;
    journal_client_init(&client, journal);
    struct journal_reader *reader;
    cr_assert_eq(journal_reader_create(journal, 0, &reader), STATUS_OK);
    struct entry entry;
    cr_assert_eq(journal_reader_next(journal, reader, &entry), STATUS_NOT_FOUND);
    /* More than one chunk of the implementation. */
    for (uint64_t i = 0; i < 5000; i++) {
        journal_client_submit(&client, i % 50);
        /* The clock falls behind now and then; entry times do not. */
        journal_step(journal, 0, i % 7 == 0 ? 1 : i);
        journal_client_receive(&client);
        cr_assert_eq(journal_reader_next(journal, reader, &entry), STATUS_OK);
        cr_assert_eq(entry.sequence, i + 1);
        cr_assert_eq(entry.time_ms, client.commits[i]->commit.time_ms);
        cr_assert_eq(journal_client_number(&entry), i);
        cr_assert_eq(journal_reader_next(journal, reader, &entry), STATUS_NOT_FOUND);
    }
    journal_reader_destroy(journal, reader);
    cr_assert_eq(journal_reader_create(journal, 4097, &reader), STATUS_OK);
    cr_assert_eq(journal_reader_next(journal, reader, &entry), STATUS_OK);
    cr_assert_eq(entry.sequence, 4097);
    journal_reader_destroy(journal, reader);
    journal_client_deinit(&client);
    journal_close(journal);
}

Test(journal_memory, answers_a_sync_with_what_is_committed)
{
    struct journal *journal = memory_open();
    struct journal_client client;
    journal_client_init(&client, journal);
    journal_client_submit(&client, 1);
    journal_client_submit(&client, 1);
    journal_step(journal, 0, 1);
    journal_client_sync(&client);
    cr_assert(client.sync_pending);
    journal_step(journal, 0, 1);
    journal_client_receive(&client);
    cr_assert(!client.sync_pending);
    cr_assert_eq(client.sync.status, STATUS_OK);
    cr_assert_eq(client.sync.durable_sequence, 2);
    journal_client_deinit(&client);
    journal_close(journal);
}

Test(journal_memory, knows_its_own_positions_only)
{
    struct journal *journal = memory_open();
    struct position position = {.store_id = journal->store_id, .epoch = journal->epoch};
    cr_assert_eq(journal_position_check(journal, &position), STATUS_OK);
    position.sequence = 1;
    cr_assert_eq(journal_position_check(journal, &position), STATUS_INVALID);
    position.sequence = 0;
    position.epoch++;
    cr_assert_eq(journal_position_check(journal, &position), STATUS_POSITION_EXPIRED);
    position.epoch--;
    position.store_id.bytes[15] ^= 1;
    cr_assert_eq(journal_position_check(journal, &position), STATUS_POSITION_EXPIRED);
    journal_close(journal);
}
