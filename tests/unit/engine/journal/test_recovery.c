#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/journal/disk_blocking.h"
#include "engine/journal/segment.h"
#include "tests/unit/engine/journal/journal_fixture.h"

static struct fixture fixture;

static void begin(void)
{
    fixture_init(&fixture, JOURNAL_SYNC);
}

static void begin_none(void)
{
    fixture_init(&fixture, JOURNAL_NONE);
}

static void end(void)
{
    fixture_deinit(&fixture);
}

TestSuite(recovery, .init = begin, .fini = end);
TestSuite(recovery_none, .init = begin_none, .fini = end);

#define FIRST_SEGMENT "0000000000000001.seg"
/* The first batch stands after the header and the mark that opens the run. */
#define FIRST_BATCH (SEGMENT_HEADER_BYTES + SEGMENT_BLOCK_BYTES)

static enum status reopen(const uint64_t *persisted)
{
    return journal_segments_open(&fixture.options, persisted, &fixture.journal, &fixture.problem);
}

/* ---- the format ---- */

/* The bytes are what is on people's disks: these change only together with the format version. */
Test(segment_format, a_batch_header_has_the_bytes_of_the_format)
{
    struct segment_store store = {.id = {{1, 2, 3}}, .secret = 4};
    struct batch_header header = {.kind = BATCH_ENTRIES,
                                  .count = 2,
                                  .epoch = 3,
                                  .first_sequence = 258,
                                  .durable_through = 257,
                                  .previous_checksum = 0x1122334455667788,
                                  .length = 200,
                                  .stored_bytes = 512,
                                  .content_checksum = 0x99aabbccddeeff00};
    static const uint8_t expected[BATCH_HEADER_BYTES] = {
        'F',  'R',  'B',  'T', 0,    1,    0,    2,    0,    0,    0,    0,    0,
        0,    0,    3,    0,   0,    0,    0,    0,    0,    1,    2,    0,    0,
        0,    0,    0,    0,   1,    1,    0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77,
        0x88, 0,    0,    0,   0xc8, 0,    0,    2,    0,    0x99, 0xaa, 0xbb, 0xcc,
        0xdd, 0xee, 0xff, 0,   0xfa, 0x44, 0x57, 0xa9, 0x9c, 0x9a, 0xa9, 0xf5};
    uint8_t bytes[BATCH_HEADER_BYTES];
    uint64_t checksum = batch_header_encode(&header, batch_seed(&store, 7, 3), bytes);
    cr_assert_arr_eq(bytes, expected, sizeof(expected), "%016lx", checksum);
    struct batch_header out;
    cr_assert_eq(batch_header_decode(bytes, &store, 7, &out), STATUS_OK);
    cr_assert_eq(out.header_checksum, checksum);
    cr_assert_eq(batch_last_sequence(&out), 259);
}

Test(segment_format, a_batch_validates_in_its_own_place_only)
{
    struct segment_store store = {.id = {{1, 2, 3}}, .secret = 4};
    struct batch_header header = {.kind = BATCH_CLEAN,
                                  .epoch = 3,
                                  .first_sequence = 5,
                                  .length = BATCH_HEADER_BYTES,
                                  .stored_bytes = 512};
    uint8_t bytes[BATCH_HEADER_BYTES];
    (void)batch_header_encode(&header, batch_seed(&store, 7, 3), bytes);
    struct batch_header out;
    cr_assert_eq(batch_header_decode(bytes, &store, 7, &out), STATUS_OK);
    cr_assert_eq(batch_header_decode(bytes, &store, 8, &out), STATUS_NOT_FOUND);
    store.secret++;
    cr_assert_eq(batch_header_decode(bytes, &store, 7, &out), STATUS_NOT_FOUND);
    store.secret--;
    store.id.bytes[15]++;
    cr_assert_eq(batch_header_decode(bytes, &store, 7, &out), STATUS_NOT_FOUND);
    store.id.bytes[15]--;
    for (size_t bit = 0; bit < 8 * sizeof(bytes); bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        cr_assert_eq(batch_header_decode(bytes, &store, 7, &out), STATUS_NOT_FOUND);
        bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
}

Test(segment_format, a_segment_header_comes_back_and_keeps_the_newest_epochs)
{
    static struct segment_header header = {.store = {.id = {{9}}, .secret = 8},
                                           .number = 77,
                                           .epoch = 1000,
                                           .segment_bytes = 1u << 26,
                                           .first_sequence = 6000,
                                           .last_time_ms = 5,
                                           .durable_through = 5000,
                                           .previous_checksum = 4,
                                           .durability = JOURNAL_INTERVAL};
    for (uint64_t epoch = 1; epoch < 1000; epoch++) {
        segment_header_epoch_push(&header, (struct epoch_end){epoch, 5 * epoch});
    }
    static uint8_t block[SEGMENT_HEADER_BYTES];
    segment_header_encode(&header, block);
    static struct segment_header out;
    cr_assert_eq(segment_header_decode(block, 77, &out), STATUS_OK);
    cr_assert_eq(memcmp(&out, &header, sizeof(out)), 0);
    cr_assert_eq(out.epoch_count, SEGMENT_EPOCHS_MAX);
    cr_assert_eq(out.epochs[SEGMENT_EPOCHS_MAX - 1].epoch, 999);
    cr_assert_eq(segment_header_decode(block, 78, &out), STATUS_NOT_FOUND);
    for (size_t byte = 0; byte < sizeof(block); byte++) {
        block[byte] ^= 0x10;
        cr_assert_eq(segment_header_decode(block, 77, &out), STATUS_NOT_FOUND);
        block[byte] ^= 0x10;
    }
}

Test(segment_format, only_names_of_sixteen_digits_are_segments)
{
    char name[SEGMENT_NAME_BYTES];
    segment_name(9999999999999999, name);
    cr_assert_str_eq(name, "9999999999999999.seg");
    uint64_t number;
    cr_assert(segment_name_parse("0000000000000042.seg", &number));
    cr_assert_eq(number, 42);
    static const char *others[] = {"",
                                   ".seg",
                                   "1.seg",
                                   "0000000000000000.seg",
                                   "0000000000000001.seg~",
                                   "0000000000000001",
                                   "000000000000000x.seg",
                                   "prepare.tmp"};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        cr_assert(!segment_name_parse(others[i], &number), "%s", others[i]);
    }
}

/* ---- stops and starts ---- */

Test(recovery, a_clean_stop_goes_on_in_the_same_epoch)
{
    cr_assert_eq(journal_segments_recovered(fixture.journal).tail, JOURNAL_TAIL_NEW);
    for (uint64_t run = 0; run < 10; run++) {
        fixture_write(&fixture, 3, 500);
        fixture_close(&fixture);
        cr_assert_eq(fixture_open(&fixture), STATUS_OK, "%s", fixture.problem.text);
        cr_assert_eq(journal_segments_recovered(fixture.journal).tail, JOURNAL_TAIL_CLEAN);
        cr_assert_eq(fixture.journal->epoch, 1);
        cr_assert_eq(journal_committed(fixture.journal), 3 * (run + 1));
        cr_assert_eq(fixture_read(&fixture, 1), 3 * (run + 1));
    }
}

Test(recovery, after_a_clean_stop_and_a_crash_a_new_epoch_opens)
{
    fixture_write(&fixture, 3, 500);
    fixture_close(&fixture);
    cr_assert_eq(fixture_open(&fixture), STATUS_OK);
    fixture_crash(&fixture); /* nothing was written, but something might have been */
    cr_assert_eq(fixture_open(&fixture), STATUS_OK);
    cr_assert_eq(fixture.journal->epoch, 2);
    cr_assert_eq(fixture_read(&fixture, 1), 3);
}

Test(recovery, an_empty_journal_starts_again_too)
{
    fixture_close(&fixture);
    cr_assert_eq(fixture_open(&fixture), STATUS_OK);
    fixture_crash(&fixture);
    cr_assert_eq(fixture_open(&fixture), STATUS_OK);
    cr_assert_eq(journal_committed(fixture.journal), 0);
    fixture_write(&fixture, 1, 1);
    cr_assert_eq(fixture_read(&fixture, 1), 1);
}

Test(recovery, a_segment_that_is_full_to_the_brim_still_restarts)
{
    for (uint32_t run = 0; run < 40; run++) {
        fixture_write(&fixture, 1, 3900);
        if (run % 2 == 0) {
            fixture_close(&fixture);
        } else {
            fixture_crash(&fixture);
        }
        cr_assert_eq(fixture_open(&fixture), STATUS_OK, "%s", fixture.problem.text);
        cr_assert_eq(journal_committed(fixture.journal), run + 1);
    }
    cr_assert_eq(fixture_read(&fixture, 1), 40);
}

Test(recovery, a_disk_with_another_alignment_goes_on)
{
    fixture_write(&fixture, 3, 100);
    fixture_close(&fixture);
    fixture.disk->write_alignment = 4096;
    cr_assert_eq(fixture_open(&fixture), STATUS_OK, "%s", fixture.problem.text);
    fixture_write(&fixture, 3, 100);
    fixture_crash(&fixture);
    fixture.disk->write_alignment = 512;
    cr_assert_eq(fixture_open(&fixture), STATUS_OK, "%s", fixture.problem.text);
    fixture_write(&fixture, 3, 100);
    cr_assert_eq(fixture_read(&fixture, 1), 9);
}

Test(recovery, the_durability_and_the_segment_size_may_change_at_a_restart)
{
    fixture_write(&fixture, 5, 3000);
    fixture_close(&fixture);
    fixture.options.durability = JOURNAL_NONE;
    fixture.options.segment_bytes = 2 * FIXTURE_SEGMENT_BYTES;
    cr_assert_eq(fixture_open(&fixture), STATUS_OK);
    fixture_write(&fixture, 20, 3000);
    fixture_close(&fixture);
    fixture.options.durability = JOURNAL_SYNC;
    fixture.options.segment_bytes = FIXTURE_SEGMENT_BYTES;
    cr_assert_eq(fixture_open(&fixture), STATUS_OK);
    fixture_write(&fixture, 20, 3000);
    cr_assert_eq(fixture_read(&fixture, 1), 45);
}

/* ---- torn, or damaged ---- */

Test(recovery, a_flipped_bit_in_the_last_batch_is_a_torn_end)
{
    fixture_write(&fixture, 3, 100);
    fixture_crash(&fixture);
    cr_assert(faulty_disk_flip(fixture.disk, FIRST_SEGMENT, FIRST_BATCH + 2 * 512 + 200, 3));
    cr_assert_eq(fixture_open(&fixture), STATUS_OK, "%s", fixture.problem.text);
    cr_assert_eq(journal_segments_recovered(fixture.journal).tail, JOURNAL_TAIL_TORN);
    cr_assert_eq(journal_committed(fixture.journal), 2);
    cr_assert_eq(fixture.journal->epoch, 2);
    cr_assert_eq(fixture_read(&fixture, 1), 2);
}

Test(recovery, a_flipped_bit_before_the_last_batch_is_damage_with_its_place)
{
    fixture_write(&fixture, 4, 100);
    fixture_crash(&fixture);
    for (uint64_t batch = 0; batch < 3; batch++) {
        for (uint64_t at = 0; at < BATCH_HEADER_BYTES + ENTRY_HEADER_BYTES + 100; at += 7) {
            uint64_t place = FIRST_BATCH + 512 * batch;
            cr_assert(faulty_disk_flip(fixture.disk, FIRST_SEGMENT, place + at, at % 8));
            cr_assert_eq(fixture_open(&fixture), STATUS_DAMAGED, "batch %lu, byte %lu", batch, at);
            cr_assert_str_eq(fixture.problem.file, FIRST_SEGMENT);
            cr_assert_eq(fixture.problem.offset, place);
            cr_assert_not_null(strstr(fixture.problem.text, FIRST_SEGMENT));
            cr_assert_not_null(strstr(fixture.problem.text, "backup"));
            cr_assert(faulty_disk_flip(fixture.disk, FIRST_SEGMENT, place + at, at % 8));
        }
    }
    cr_assert_eq(fixture_open(&fixture), STATUS_OK, "and without it all is there again");
    cr_assert_eq(fixture_read(&fixture, 1), 4);
}

Test(recovery, after_a_restart_all_before_it_is_covered)
{
    fixture_write(&fixture, 2, 100);
    fixture_crash(&fixture);
    cr_assert_eq(fixture_open(&fixture), STATUS_OK);
    fixture_crash(&fixture);
    cr_assert(faulty_disk_flip(fixture.disk, FIRST_SEGMENT, FIRST_BATCH + 512 + 70, 0));
    cr_assert_eq(fixture_open(&fixture), STATUS_DAMAGED);
    cr_assert_eq(fixture.problem.offset, FIRST_BATCH + 512);
    cr_assert(faulty_disk_flip(fixture.disk, FIRST_SEGMENT, FIRST_BATCH + 512 + 70, 0));
    cr_assert_eq(fixture_open(&fixture), STATUS_OK);
}

Test(recovery, a_store_that_has_applied_a_lost_entry_is_ahead_of_the_journal)
{
    fixture_write(&fixture, 3, 100);
    fixture_crash(&fixture);
    uint64_t persisted[2] = {0, 4};
    cr_assert_eq(reopen(persisted), STATUS_DAMAGED);
    cr_assert_not_null(strstr(fixture.problem.text, "ahead"));
    cr_assert_eq(fixture.problem.offset, FIRST_BATCH + 3 * 512);
    /* The last batch is torn, but the store proves that it was there. */
    cr_assert(faulty_disk_flip(fixture.disk, FIRST_SEGMENT, FIRST_BATCH + 2 * 512 + 100, 0));
    persisted[1] = 3;
    cr_assert_eq(reopen(persisted), STATUS_DAMAGED);
    persisted[1] = 2;
    cr_assert_eq(reopen(persisted), STATUS_OK, "%s", fixture.problem.text);
    fixture.client.journal = fixture.journal;
}

Test(recovery, a_store_without_any_journal_is_ahead_too)
{
    fixture_close(&fixture);
    cr_assert_eq(fixture.disk->vtable->remove(fixture.disk, FIRST_SEGMENT), STATUS_OK);
    cr_assert_eq(fixture.disk->vtable->remove(fixture.disk, "0000000000000002.seg"), STATUS_OK);
    uint64_t persisted[2] = {1, 0};
    cr_assert_eq(reopen(persisted), STATUS_DAMAGED);
    persisted[0] = 0;
    cr_assert_eq(reopen(persisted), STATUS_OK);
    fixture.client.journal = fixture.journal;
    cr_assert_eq(journal_segments_recovered(fixture.journal).tail, JOURNAL_TAIL_NEW);
}

Test(recovery, damage_in_an_older_segment_is_found_when_it_is_read_and_by_a_check)
{
    fixture_write(&fixture, 30, 3000);
    cr_assert(faulty_disk_flip(fixture.disk, FIRST_SEGMENT, FIRST_BATCH + 3584 + 200, 0));
    struct journal_reader *reader;
    struct entry entry;
    cr_assert_eq(journal_reader_create(fixture.journal, 1, &reader), STATUS_OK);
    cr_assert_eq(journal_reader_next(fixture.journal, reader, &entry), STATUS_OK);
    cr_assert_eq(journal_reader_next(fixture.journal, reader, &entry), STATUS_DAMAGED);
    cr_assert_str_eq(reader->problem.file, FIRST_SEGMENT);
    cr_assert_eq(reader->problem.offset, FIRST_BATCH + 3584);
    cr_assert_eq(journal_reader_next(fixture.journal, reader, &entry), STATUS_DAMAGED, "for ever");
    journal_reader_destroy(fixture.journal, reader);

    fixture_close(&fixture);
    fixture.options.read_only = true;
    cr_assert_eq(fixture_open(&fixture), STATUS_DAMAGED);
    cr_assert_eq(fixture.problem.offset, FIRST_BATCH + 3584);
}

Test(recovery, a_missing_or_headless_segment_is_damage)
{
    fixture_write(&fixture, 40, 3000);
    fixture_close(&fixture);
    cr_assert(faulty_disk_flip(fixture.disk, "0000000000000002.seg", 100, 0));
    cr_assert_eq(fixture_open(&fixture), STATUS_DAMAGED);
    cr_assert_str_eq(fixture.problem.file, "0000000000000002.seg");
    cr_assert_eq(fixture.disk->vtable->remove(fixture.disk, "0000000000000002.seg"), STATUS_OK);
    cr_assert_eq(fixture_open(&fixture), STATUS_DAMAGED);
    cr_assert_not_null(strstr(fixture.problem.text, "missing"));
}

Test(recovery, reading_only_changes_nothing_and_takes_nothing)
{
    fixture_write(&fixture, 5, 3000);
    fixture_crash(&fixture);
    uint64_t operations = faulty_disk_operations(fixture.disk);
    fixture.options.read_only = true;
    cr_assert_eq(fixture_open(&fixture), STATUS_OK, "%s", fixture.problem.text);
    cr_assert_eq(fixture_read(&fixture, 1), 5);
    journal_client_submit(&fixture.client, 10);
    fixture_settle(&fixture);
    cr_assert_eq(fixture.client.commits[5]->status, STATUS_NOT_ACCEPTED);
    journal_close(fixture.journal);
    fixture.journal = NULL;
    cr_assert_eq(faulty_disk_operations(fixture.disk), operations);
}

/* ---- a real folder ---- */

static void remove_folder(struct disk *disk, const char *folder);

static enum status remove_one(void *context, const char *name)
{
    struct disk *disk = context;
    return disk->vtable->remove(disk, name);
}

static void remove_folder(struct disk *disk, const char *folder)
{
    cr_assert_eq(disk->vtable->list(disk, remove_one, disk), STATUS_OK);
    rmdir(folder);
}

static void settle_blocking(struct disk *disk, struct journal *journal,
                            struct journal_client *client)
{
    for (uint32_t turn = 0; turn < 3 || !journal_idle(journal); turn++) {
        journal_step(journal, 1, 1);
        disk_blocking_step(disk);
        journal_client_receive(client);
    }
}

Test(disk_blocking, a_journal_lives_in_a_real_folder)
{
    char folder[] = "/tmp/freshet-journal-XXXXXX";
    cr_assert_not_null(mkdtemp(folder));
    struct disk_blocking_options disk_options = {.folder = folder};
    struct disk *disk;
    cr_assert_eq(disk_blocking_create(&disk_options, &disk), STATUS_OK);
    begin();
    struct journal_options options = fixture.options;
    end();
    options.disk = disk;
    struct journal_client client;
    journal_client_init(&client, NULL);
    for (uint64_t run = 0; run < 3; run++) {
        struct journal *journal;
        struct journal_problem problem;
        cr_assert_eq(journal_segments_open(&options, NULL, &journal, &problem), STATUS_OK, "%s",
                     problem.text);
        client.journal = journal;
        cr_assert_eq(journal_committed(journal), 20 * run);
        for (uint64_t i = 0; i < 20; i++) {
            journal_client_submit(&client, 3000);
            settle_blocking(disk, journal, &client);
        }
        cr_assert_eq(client.completed, 20 * (run + 1));
        settle_blocking(disk, journal, &client);
        journal_close(journal);
    }
    journal_client_deinit(&client);
    remove_folder(disk, folder);
    disk->vtable->destroy(disk);
}

Test(disk_blocking, a_folder_that_is_not_there_is_said)
{
    struct disk_blocking_options options = {.folder = "/tmp/freshet-no-such-folder/journal"};
    struct disk *disk;
    cr_assert_eq(disk_blocking_create(&options, &disk), STATUS_NOT_FOUND);
    cr_assert_null(disk);
}
