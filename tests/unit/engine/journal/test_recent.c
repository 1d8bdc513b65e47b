/* The newest entries in memory, and blocks outside: bounds, order, pins. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "engine/journal/recent.h"

static struct recent *recent;
static struct recent_cursor cursor;
static uint8_t encoded[2 * RECENT_BLOCK_BYTES];

static void begin(void)
{
    cr_assert_eq(recent_create(0, &recent), STATUS_OK);
}

static void end(void)
{
    recent_release(&cursor);
    recent_destroy(&recent);
    cr_assert_null(recent);
    recent_destroy(&recent);
}

TestSuite(recent, .init = begin, .fini = end);

static uint8_t document[2 * RECENT_BLOCK_BYTES];

/* An entry of that many bytes in all, whose document tells its sequence. */
static struct bytes entry_make(uint8_t *at, uint64_t sequence, size_t size)
{
    size_t fixed = ENTRY_HEADER_BYTES + ENTRY_PAYLOAD_FIXED_BYTES + 4 + 1;
    cr_assert_geq(size, fixed + 8);
    put_u64(document, sequence);
    const struct entry entry = {.kind = ENTRY_PUT,
                                .collection = BYTES_LITERAL("pets"),
                                .id = BYTES_LITERAL("1"),
                                .version = 1,
                                .new_document = bytes_of(document, size - fixed)};
    struct writer writer = writer_of(at, size);
    cr_assert_eq(entry_encode(&entry, &writer), STATUS_OK);
    cr_assert_eq(writer.size, size);
    entry_stamp(at, sequence, 1000 + sequence);
    return writer_bytes(&writer);
}

static void append(uint64_t epoch, uint64_t sequence, size_t size)
{
    recent_append(recent, epoch, sequence, 1, entry_make(encoded, sequence, size));
}

static uint64_t oldest(void)
{
    for (uint64_t at = 1;; at++) {
        recent_release(&cursor); /* what it pins it would find */
        enum status status = recent_seek(recent, at, &cursor);
        if (status != STATUS_POSITION_EXPIRED) {
            return at;
        }
    }
}

/* Reads from the cursor's place; asserts the order; returns how many. */
static uint64_t read_on(uint64_t from, uint64_t through)
{
    struct entry entry;
    uint64_t expected = from;
    while (recent_next(recent, &cursor, through, &entry)) {
        cr_assert_eq(entry.sequence, expected);
        cr_assert_eq(get_u64(entry.new_document.data), expected);
        cr_assert_eq(entry.time_ms, 1000 + expected);
        expected++;
    }
    return expected - from;
}

Test(recent, an_empty_buffer_has_nothing_yet_and_after_its_start_nothing_older)
{
    cr_assert_eq(recent_seek(recent, 1, &cursor), STATUS_NOT_FOUND);
    recent_start(recent, 100);
    cr_assert_eq(recent_seek(recent, 99, &cursor), STATUS_POSITION_EXPIRED);
    cr_assert_eq(recent_seek(recent, 100, &cursor), STATUS_NOT_FOUND);
    cr_assert_null(cursor.block);
    append(1, 100, 100);
    cr_assert_eq(recent_seek(recent, 100, &cursor), STATUS_OK);
    cr_assert_eq(recent_seek(recent, 101, &cursor), STATUS_NOT_FOUND);
    cr_assert_eq(recent_seek(recent, 99, &cursor), STATUS_POSITION_EXPIRED);
}

Test(recent, entries_come_in_order_only_through_what_the_reader_knows_to_be_there)
{
    for (uint64_t i = 1; i <= 100; i++) {
        append(7, i, 100 + i);
    }
    cr_assert_eq(recent_seek(recent, 1, &cursor), STATUS_OK);
    cr_assert_eq(read_on(1, 0), 0u);
    cr_assert_eq(read_on(1, 1), 1u);
    cr_assert_eq(read_on(2, 50), 49u);
    cr_assert_eq(read_on(51, 50), 0u);
    append(7, 101, 100);
    cr_assert_eq(read_on(51, 101), 51u);
    cr_assert_eq(read_on(102, 200), 0u, "not appended yet");
    append(7, 102, 100);
    cr_assert_eq(cursor.next_sequence, 102u);
    cr_assert_eq(recent_seek(recent, 102, &cursor), STATUS_OK);
    struct entry entry;
    cr_assert(recent_next(recent, &cursor, 102, &entry));
    cr_assert_eq(entry.epoch, 7u);
}

Test(recent, a_batch_is_taken_apart_and_every_entry_can_be_found)
{
    uint8_t batch[64 * 128];
    size_t size = 0;
    for (uint64_t i = 1; i <= 64; i++) {
        size += entry_make(batch + size, i, 90 + i % 30).size;
    }
    recent_append(recent, 1, 1, 64, bytes_of(batch, size));
    for (uint64_t i = 1; i <= 64; i++) {
        cr_assert_eq(recent_seek(recent, i, &cursor), STATUS_OK);
        cr_assert_eq(read_on(i, 64), 65 - i);
    }
}

Test(recent, the_oldest_go_when_the_limit_is_reached_and_never_more_is_held)
{
    uint64_t seen_oldest = 1;
    const size_t size = 1000;
    const uint64_t per_block = RECENT_BLOCK_BYTES / (size + 4);
    for (uint64_t i = 1; i <= 10 * per_block; i++) {
        append(1, i, size);
        uint64_t at = oldest();
        cr_assert_geq(at, seen_oldest);
        cr_assert_leq(i + 1 - at, 2 * per_block, "%zu to %zu: two blocks at most", (size_t)at,
                      (size_t)i);
        cr_assert(i < 2 * per_block || i + 1 - at > per_block, "and more than one");
        seen_oldest = at;
    }
    cr_assert_eq(recent_seek(recent, seen_oldest, &cursor), STATUS_OK);
    cr_assert_eq(read_on(seen_oldest, UINT64_MAX), 10 * per_block + 1 - seen_oldest);
}

Test(recent, a_larger_buffer_finds_any_of_its_blocks)
{
    struct recent *large;
    cr_assert_eq(recent_create(9 * RECENT_BLOCK_BYTES, &large), STATUS_OK);
    const size_t size = RECENT_BLOCK_BYTES / 3;
    for (uint64_t i = 1; i <= 60; i++) {
        recent_append(large, 1, i, 1, entry_make(encoded, i, size));
        uint64_t found = 0;
        for (uint64_t at = 1; at <= i; at++) {
            enum status status = recent_seek(large, at, &cursor);
            cr_assert(status == STATUS_OK || (status == STATUS_POSITION_EXPIRED && found == 0));
            if (status == STATUS_OK) {
                struct entry entry;
                cr_assert(recent_next(large, &cursor, i, &entry));
                cr_assert_eq(entry.sequence, at);
                found++;
            }
        }
        cr_assert(found == i || (found >= 16 && found <= 18), "%zu of %zu", (size_t)found,
                  (size_t)i);
    }
    recent_release(&cursor);
    recent_destroy(&large);
}

Test(recent, a_pinned_block_stays_whole_after_it_has_gone_and_its_cursor_then_learns_of_it)
{
    const size_t size = 1000;
    const uint64_t per_block = RECENT_BLOCK_BYTES / (size + 4);
    append(1, 1, size);
    cr_assert_eq(recent_seek(recent, 1, &cursor), STATUS_OK);
    for (uint64_t i = 2; i <= 8 * per_block; i++) {
        append(1, i, size);
    }
    cr_assert_eq(read_on(1, 8 * per_block), per_block, "the rest of its block");
    cr_assert_null(cursor.block);
    cr_assert_eq(cursor.next_sequence, per_block + 1);
    cr_assert_eq(recent_seek(recent, cursor.next_sequence, &cursor), STATUS_POSITION_EXPIRED);
}

Test(recent, a_cursor_that_follows_goes_from_block_to_block_while_they_come_and_go)
{
    const size_t size = 5000;
    append(1, 1, size);
    cr_assert_eq(recent_seek(recent, 1, &cursor), STATUS_OK);
    cr_assert_eq(read_on(1, 1), 1u);
    for (uint64_t i = 2; i <= 1000; i++) {
        append(1, i, size);
        if (recent_seek(recent, i, &cursor) != STATUS_OK || read_on(i, i) != 1) {
            cr_assert_fail("lost at %zu", (size_t)i);
        }
    }
}

Test(recent, an_entry_larger_than_a_block_or_than_the_limit_is_held_alone)
{
    append(1, 1, 100);
    append(1, 2, RECENT_BLOCK_BYTES + 1000);
    cr_assert_eq(oldest(), 2u);
    cr_assert_eq(read_on(2, 3), 1u);
    append(1, 3, 100);
    cr_assert_eq(oldest(), 3u);
    append(1, 4, sizeof(encoded));
    cr_assert_eq(oldest(), 4u, "over the limit, but followers need it");
    cr_assert_eq(read_on(4, 4), 1u);
    append(1, 5, 100);
    cr_assert_eq(oldest(), 5u, "the limit holds again as soon as it can");
    cr_assert_eq(read_on(5, 5), 1u);
}

Test(recent, an_entry_that_fills_a_block_exactly_fits_and_one_byte_more_takes_a_larger_one)
{
    append(1, 1, RECENT_BLOCK_BYTES - 4);
    append(1, 2, RECENT_BLOCK_BYTES - 4);
    cr_assert_eq(oldest(), 1u, "both fit");
    cr_assert_eq(read_on(1, 2), 2u);
    recent_release(&cursor);
    append(1, 3, RECENT_BLOCK_BYTES - 3);
    cr_assert_eq(oldest(), 3u);
    cr_assert_eq(read_on(3, 3), 1u);
}

Test(recent, another_epoch_begins_another_block)
{
    append(1, 1, 100);
    append(2, 2, 100);
    struct entry entry;
    cr_assert_eq(recent_seek(recent, 1, &cursor), STATUS_OK);
    cr_assert(recent_next(recent, &cursor, 2, &entry));
    cr_assert_eq(entry.epoch, 1u);
    cr_assert(recent_next(recent, &cursor, 2, &entry));
    cr_assert_eq(entry.epoch, 2u);
}

Test(recent, a_block_outside_takes_what_fits_and_follows_and_is_read_by_the_same_cursors)
{
    struct recent_block *block;
    cr_assert_eq(recent_block_create(1000, &block), STATUS_OK);
    uint64_t first;
    uint64_t last;
    cr_assert_not(recent_block_range(block, &first, &last));
    cr_assert_eq(recent_block_seek(block, 5, &cursor), STATUS_NOT_FOUND);
    uint64_t sequence = 5;
    for (;; sequence++) {
        struct entry entry;
        cr_assert_eq(entry_view(entry_make(encoded, sequence, 96), &entry), STATUS_OK);
        entry.epoch = 3;
        if (!recent_block_add(block, &entry, entry_stored(&entry))) {
            break;
        }
    }
    cr_assert_eq(sequence, 15u, "ten of 96 bytes, and 4 for each");
    cr_assert(recent_block_range(block, &first, &last));
    cr_assert_eq(first, 5u);
    cr_assert_eq(last, 14u);
    cr_assert_eq(recent_block_seek(block, 4, &cursor), STATUS_NOT_FOUND);
    cr_assert_eq(recent_block_seek(block, 15, &cursor), STATUS_NOT_FOUND);
    cr_assert_eq(recent_block_seek(block, 7, &cursor), STATUS_OK);
    recent_block_unref(block);
    struct entry entry;
    for (uint64_t at = 7; at <= 14; at++) {
        cr_assert(recent_next(NULL, &cursor, 100, &entry), "the cursor keeps the block");
        cr_assert_eq(entry.sequence, at);
        cr_assert_eq(entry.epoch, 3u);
    }
    cr_assert_not(recent_next(NULL, &cursor, 100, &entry));
    cr_assert_null(cursor.block);
    cr_assert_eq(cursor.next_sequence, 15u);
}

Test(recent, a_block_takes_an_entry_only_with_its_offset_whatever_the_capacity)
{
    for (size_t capacity = 96; capacity < 1104; capacity++) {
        struct recent_block *block;
        cr_assert_eq(recent_block_create(capacity, &block), STATUS_OK);
        uint64_t count = 0;
        struct entry entry;
        do {
            cr_assert_eq(entry_view(entry_make(encoded, count + 1, 96), &entry), STATUS_OK);
            entry.epoch = 1;
        } while (recent_block_add(block, &entry, entry_stored(&entry)) && ++count > 0);
        cr_assert_eq(count, (capacity + 3) / 4 * 4 / 100, "capacity %zu", capacity);
        for (uint64_t at = 1; at <= count; at++) {
            cr_assert_eq(recent_block_seek(block, at, &cursor), STATUS_OK);
            cr_assert(recent_next(NULL, &cursor, count, &entry));
            cr_assert_eq(get_u64(entry.new_document.data), at);
        }
        recent_release(&cursor);
        recent_block_unref(block);
    }
}

Test(recent, a_block_outside_takes_neither_another_epoch_nor_a_gap)
{
    struct recent_block *block;
    cr_assert_eq(recent_block_create(4096, &block), STATUS_OK);
    static const struct {
        uint64_t epoch;
        uint64_t sequence;
        bool taken;
    } steps[] = {{1, 10, true},  {1, 12, false}, {1, 10, false},
                 {2, 11, false}, {1, 9, false},  {1, 11, true}};
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        struct entry entry;
        cr_assert_eq(entry_view(entry_make(encoded, steps[i].sequence, 96), &entry), STATUS_OK);
        entry.epoch = steps[i].epoch;
        cr_assert_eq(recent_block_add(block, &entry, entry_stored(&entry)), steps[i].taken,
                     "step %zu", i);
    }
    recent_block_unref(block);
}
