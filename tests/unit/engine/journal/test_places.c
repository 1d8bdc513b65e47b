/* Places in the journal: the oldest, pins, lag, times, and readers that begin in the middle. */
#include <criterion/criterion.h>

#include "engine/journal/segments_internal.h"
#include "tests/unit/engine/journal/journal_fixture.h"

static struct fixture fixture;

static void begin(void)
{
    fixture_init(&fixture, JOURNAL_SYNC);
}

static void end(void)
{
    fixture_deinit(&fixture);
}

TestSuite(places, .init = begin, .fini = end);

static uint64_t oldest(void)
{
    struct position position;
    journal_oldest(fixture.journal, &position);
    cr_assert_eq(journal_position_check(fixture.journal, &position), STATUS_OK);
    cr_assert_eq(position.epoch, fixture.journal->epoch);
    return position.sequence + 1;
}

/* ---- the oldest, and pins ---- */

Test(places, the_oldest_position_is_where_a_reader_gets_all_that_there_is)
{
    cr_assert_eq(oldest(), 1u, "nothing yet");
    fixture_write(&fixture, 1, 10);
    cr_assert_eq(oldest(), 1u);
    journal_retain(fixture.journal, UINT64_MAX);
    fixture_write(&fixture, 60, 3000);
    cr_assert_gt(oldest(), 1u);
    cr_assert_eq(fixture_read(&fixture, oldest()), 62 - oldest());
    struct journal_reader *reader;
    cr_assert_eq(journal_reader_create(fixture.journal, oldest() - 1, &reader),
                 STATUS_POSITION_EXPIRED);
}

Test(places, what_is_pinned_stays_until_it_is_let_go)
{
    journal_retain(fixture.journal, UINT64_MAX);
    fixture_write(&fixture, 5, 3000);
    struct journal_pin low = {.sequence = 0};
    struct journal_pin high = {.sequence = 0};
    cr_assert_eq(journal_pin(fixture.journal, 15, &high), STATUS_OK, "not there yet");
    cr_assert_eq(journal_pin(fixture.journal, 3, &low), STATUS_OK);
    fixture_write(&fixture, 100, 3000);
    cr_assert_eq(oldest(), 1u, "its segment is the first");
    journal_unpin(fixture.journal, &low);
    fixture_write(&fixture, 20, 3000);
    cr_assert_gt(oldest(), 3u);
    cr_assert_leq(oldest(), 15u);
    cr_assert_eq(fixture_read(&fixture, 15), 111u);
    journal_unpin(fixture.journal, &high);
    fixture_write(&fixture, 20, 3000);
    cr_assert_gt(oldest(), 100u);
    cr_assert_eq(journal_pin(fixture.journal, oldest() - 1, &low), STATUS_POSITION_EXPIRED);
    cr_assert_eq(low.sequence, 0u);
    cr_assert_eq(journal_pin(fixture.journal, oldest(), &low), STATUS_OK);
    journal_unpin(fixture.journal, &low);
}

/* ---- lag ---- */

static void behind_is_about(uint64_t sequence, uint64_t entries, uint64_t entry_bytes)
{
    uint64_t behind = journal_bytes_behind(fixture.journal, sequence);
    uint64_t about = entries * entry_bytes;
    /* Headers and what a segment's end leaves free. */
    uint64_t slack = entries * 1100 + 2 * entry_bytes + 8192;
    cr_assert(
        behind >= about - (about < entry_bytes ? about : entry_bytes) && behind <= about + slack,
        "%zu bytes behind %zu, expected %zu", (size_t)behind, (size_t)sequence, (size_t)about);
}

Test(places, the_lag_in_bytes_is_that_of_the_entries_that_are_behind)
{
    cr_assert_eq(journal_bytes_behind(fixture.journal, 0), 0u);
    fixture_write(&fixture, 1, 3000);
    cr_assert_eq(journal_bytes_behind(fixture.journal, 1), 0u);
    cr_assert_geq(journal_bytes_behind(fixture.journal, 0), 3000u);
    fixture_write(&fixture, 99, 3000);
    cr_assert_eq(journal_bytes_behind(fixture.journal, 100), 0u);
    cr_assert_eq(journal_bytes_behind(fixture.journal, 1000), 0u);
    uint64_t before = UINT64_MAX;
    for (uint64_t at = 0; at <= 100; at++) {
        behind_is_about(at, 100 - at, 3100);
        uint64_t behind = journal_bytes_behind(fixture.journal, at);
        cr_assert_leq(behind, before, "it never grows as one reads on");
        before = behind;
    }
}

Test(places, within_a_segment_all_entries_count_the_same)
{
    fixture_write(&fixture, 6, 3000);
    uint64_t all = journal_bytes_behind(fixture.journal, 0);
    cr_assert_gt(all, 18000u);
    for (uint64_t at = 0; at <= 6; at++) {
        uint64_t behind = journal_bytes_behind(fixture.journal, at);
        cr_assert(behind <= all * (6 - at) / 6 && behind + 1 >= all * (6 - at) / 6, "%zu of %zu",
                  (size_t)behind, (size_t)all);
    }
}

Test(places, the_lag_behind_what_was_trimmed_is_all_that_there_is)
{
    journal_retain(fixture.journal, UINT64_MAX);
    fixture_write(&fixture, 100, 3000);
    cr_assert_eq(journal_bytes_behind(fixture.journal, 0),
                 journal_bytes_behind(fixture.journal, oldest() - 1));
    fixture_close(&fixture);
    cr_assert_eq(fixture_open(&fixture), STATUS_OK);
    behind_is_about(oldest() - 1, 101 - oldest(), 3100);
}

/* ---- times ---- */

static uint64_t found(uint64_t time_ms)
{
    uint64_t sequence;
    cr_assert_eq(journal_find_time(fixture.journal, time_ms, &sequence), STATUS_OK);
    return sequence;
}

/* Entry n (1 to count) gets the time 1000 + 10 * (n / 3): three of each. */
static void write_timed(uint64_t count)
{
    for (uint64_t n = 1; n <= count; n++) {
        fixture.wall_ms = 1000 + 10 * (n / 3);
        fixture_write(&fixture, 1, 2000);
    }
}

static uint64_t first_at(uint64_t time_ms, uint64_t count)
{
    for (uint64_t n = 1; n <= count; n++) {
        if (1000 + 10 * (n / 3) >= time_ms) {
            return n;
        }
    }
    return count + 1;
}

Test(places, a_time_is_found_at_its_first_entry_in_whatever_segment)
{
    cr_assert_eq(found(0), 1u);
    cr_assert_eq(found(5000), 1u, "the next one");
    write_timed(100);
    for (uint64_t time_ms = 990; time_ms < 1400; time_ms++) {
        cr_assert_eq(found(time_ms), first_at(time_ms, 100), "%zu", (size_t)time_ms);
    }
    cr_assert_eq(found(UINT64_MAX), 101u);
}

Test(places, a_time_of_which_something_may_have_been_trimmed_has_expired)
{
    journal_retain(fixture.journal, UINT64_MAX);
    write_timed(100);
    uint64_t first = oldest();
    cr_assert_gt(first, 1u);
    uint64_t trimmed_ms = 1000 + 10 * ((first - 1) / 3);
    for (uint64_t time_ms = 0; time_ms < 1400; time_ms++) {
        uint64_t sequence;
        enum status status = journal_find_time(fixture.journal, time_ms, &sequence);
        if (time_ms <= trimmed_ms) {
            cr_assert_eq(status, STATUS_POSITION_EXPIRED, "%zu", (size_t)time_ms);
        } else {
            cr_assert_eq(status, STATUS_OK, "%zu", (size_t)time_ms);
            cr_assert_eq(sequence, first_at(time_ms, 100));
        }
    }
}

Test(places, the_journal_in_memory_says_the_same)
{
    const struct journal_options options = {.shard_count = 1, .batch_bytes_max = 1u << 20};
    struct journal *journal;
    cr_assert_eq(journal_memory_open(&options, &journal), STATUS_OK);
    struct journal_client client;
    journal_client_init(&client, journal);
    struct position position;
    uint64_t sequence;
    cr_assert_eq(journal_find_time(journal, 1, &sequence), STATUS_OK);
    cr_assert_eq(sequence, 1u);
    for (uint64_t n = 1; n <= 50; n++) {
        journal_client_submit(&client, 100);
        journal_step(journal, n, 1000 + 10 * (n / 3));
        journal_client_receive(&client);
    }
    journal_oldest(journal, &position);
    cr_assert_eq(position.sequence, 0u);
    for (uint64_t time_ms = 990; time_ms < 1200; time_ms++) {
        cr_assert_eq(journal_find_time(journal, time_ms, &sequence), STATUS_OK);
        cr_assert_eq(sequence, first_at(time_ms, 50));
    }
    uint64_t one = journal_bytes_behind(journal, 49);
    cr_assert_gt(one, 100u);
    cr_assert_eq(journal_bytes_behind(journal, 0), 50 * one);
    cr_assert_eq(journal_bytes_behind(journal, 50), 0u);
    struct journal_pin pin = {.sequence = 0};
    cr_assert_eq(journal_pin(journal, 1, &pin), STATUS_OK);
    journal_unpin(journal, &pin);
    journal_close(journal);
    journal_client_deinit(&client);
}

/* ---- readers that begin in the middle ---- */

/* Reads up to `count` from there on. */
static void read_some(uint64_t from, uint64_t count)
{
    struct journal_reader *reader;
    cr_assert_eq(journal_reader_create(fixture.journal, from, &reader), STATUS_OK);
    struct entry entry;
    for (uint64_t i = 0; i < count && from + i <= journal_committed(fixture.journal); i++) {
        cr_assert_eq(journal_reader_next(fixture.journal, reader, &entry), STATUS_OK);
        cr_assert_eq(entry.sequence, from + i);
        cr_assert_eq(journal_client_number(&entry), from + i - 1);
    }
    journal_reader_destroy(fixture.journal, reader);
}

Test(places, readers_begin_anywhere_whatever_others_have_noted_on_their_way)
{
    fixture_write(&fixture, 150, 300);
    for (uint32_t round = 0; round < 2; round++) {
        uint64_t seed = 12345;
        for (uint32_t i = 0; i < 300; i++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            read_some(1 + (seed >> 33) % 150, (seed >> 20) % 20);
        }
        /* Again with what readers alone have found out. */
        fixture_crash(&fixture);
        cr_assert_eq(fixture_open(&fixture), STATUS_OK);
    }
}

Test(places, the_writer_and_readers_note_where_batches_begin)
{
    fixture_write(&fixture, 150, 300);
    struct segments *segments = segments_of(fixture.journal);
    cr_assert_gt(segments->table_count, 1u);
    for (uint32_t round = 0; round < 2; round++) {
        const struct segment_info *info = &segments->table[0];
        uint64_t last = info[1].first_sequence - 1;
        struct segment_hint hint = segment_hint_for(info, last);
        cr_assert_geq(hint.offset, info->file_bytes * 3 / 4, "close before it");
        cr_assert_eq(segment_hint_for(info, 1).sequence, 1u);
        fixture_crash(&fixture);
        cr_assert_eq(fixture_open(&fixture), STATUS_OK);
        segments = segments_of(fixture.journal);
        hint = segment_hint_for(&segments->table[0], last);
        cr_assert_eq(hint.offset, SEGMENT_HEADER_BYTES, "forgotten");
        read_some(1, 149);
    }
}

/* ---- recent entries of a journal of segments ---- */

Test(places, what_was_committed_is_among_the_recent_entries_and_after_a_restart_nothing_is)
{
    struct recent_cursor cursor = {.block = NULL};
    fixture_write(&fixture, 20, 300);
    for (uint32_t i = 0; i < 5; i++) {
        journal_client_submit(&fixture.client, 100); /* one batch */
    }
    fixture_settle(&fixture);
    cr_assert_eq(recent_seek(fixture.journal->recent, 1, &cursor), STATUS_OK);
    struct entry entry;
    uint64_t count = 0;
    while (
        recent_next(fixture.journal->recent, &cursor, journal_committed(fixture.journal), &entry)) {
        cr_assert_eq(journal_client_number(&entry), count);
        cr_assert_eq(entry.epoch, fixture.journal->epoch);
        count++;
    }
    cr_assert_eq(count, 25u);
    recent_release(&cursor);
    fixture_crash(&fixture);
    cr_assert_eq(fixture_open(&fixture), STATUS_OK);
    cr_assert_eq(recent_seek(fixture.journal->recent, 25, &cursor), STATUS_POSITION_EXPIRED);
    cr_assert_eq(recent_seek(fixture.journal->recent, 26, &cursor), STATUS_NOT_FOUND);
    fixture_write(&fixture, 1, 10);
    cr_assert_eq(recent_seek(fixture.journal->recent, 26, &cursor), STATUS_OK);
    cr_assert(recent_next(fixture.journal->recent, &cursor, 26, &entry));
    cr_assert_eq(entry.epoch, 2u);
    recent_release(&cursor);
}

/* A batch that is on its way is not there yet, and one whose write fails never is. */
Test(places, what_is_not_committed_is_not_among_the_recent_entries)
{
    struct recent_cursor cursor = {.block = NULL};
    fixture_write(&fixture, 3, 10);
    journal_client_submit(&fixture.client, 10);
    journal_step(fixture.journal, ++fixture.now_ns, fixture.wall_ms);
    cr_assert_eq(recent_seek(fixture.journal->recent, 4, &cursor), STATUS_NOT_FOUND);
    fixture_settle(&fixture);
    cr_assert_eq(recent_seek(fixture.journal->recent, 4, &cursor), STATUS_OK);
    recent_release(&cursor);
}

/* ---- the bytes of an entry ---- */

Test(places, an_entry_that_was_read_shows_its_bytes_also_without_a_collection)
{
    uint8_t bytes[256];
    struct writer writer = writer_of(bytes, sizeof(bytes));
    const struct entry event = {.kind = ENTRY_EVENT, .id = BYTES_LITERAL("e"), .slot = 7};
    cr_assert_eq(entry_encode(&event, &writer), STATUS_OK);
    struct entry out;
    cr_assert_eq(entry_decode(writer_bytes(&writer), &out), STATUS_OK);
    cr_assert_eq(out.kind, ENTRY_EVENT);
    cr_assert(bytes_equal(entry_stored(&out), writer_bytes(&writer)));
    cr_assert_eq(entry_stored(&out).data, (const uint8_t *)bytes);
}
