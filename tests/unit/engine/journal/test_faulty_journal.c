#include <criterion/criterion.h>

#include "tests/support/faulty_journal.h"
#include "tests/support/journal_client.h"

static struct journal *faulty_open(uint64_t seed)
{
    struct journal_options options = {.shard_count = 4, .new_store_id = {{3}}};
    struct faulty_journal_options faults = {
        .seed = seed, .delay_ns_max = 1000, .refused_per_mille = 30, .unknown_per_mille = 5};
    return faulty_journal_create(&options, &faults);
}

/* Every answer is one of three, and after a restart the journal is the answered ones, in order,
 * with some of the unknown ones in between runs. */
static void answers_match_content(uint64_t seed)
{
    struct journal *journal = faulty_open(seed);
    struct journal_client client;
    journal_client_init(&client, journal);
    uint64_t now_ns = 0;
    for (uint32_t turn = 0; turn < 2000; turn++) {
        client.shard = turn % 4;
        journal_client_submit(&client, 10);
        now_ns += 400;
        journal_step(journal, now_ns, turn);
        journal_client_receive(&client);
        if (atomic_load(&journal->read_only)) {
            journal_client_crash(&client);
            faulty_journal_restart(journal);
            client.journal = journal;
        }
    }
    journal_client_crash(&client);
    faulty_journal_restart(journal);

    struct journal_reader *reader;
    cr_assert_eq(journal_reader_create(journal, 1, &reader), STATUS_OK);
    uint64_t next = 0;
    uint64_t counts[STATUS_UNSUPPORTED + 1] = {0};
    struct entry entry;
    while (journal_reader_next(journal, reader, &entry) == STATUS_OK) {
        uint64_t number = journal_client_number(&entry);
        for (; next < number; next++) {
            cr_assert_neq(client.commits[next]->status, STATUS_OK, "seed %lu", seed);
            counts[client.commits[next]->status]++;
        }
        cr_assert_neq(client.commits[number]->status, STATUS_NOT_ACCEPTED, "seed %lu", seed);
        counts[client.commits[number]->status]++;
        next++;
    }
    cr_assert_gt(counts[STATUS_OK], 0);
    cr_assert_gt(counts[STATUS_NOT_ACCEPTED], 0);
    cr_assert_gt(counts[STATUS_OUTCOME_UNKNOWN], 0);
    journal_reader_destroy(journal, reader);
    journal_client_deinit(&client);
    journal_close(journal);
}

Test(faulty_journal, keeps_what_it_answered_and_some_of_what_it_did_not)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        answers_match_content(seed);
    }
}
