#include <criterion/criterion.h>
#include <stdlib.h>

#include "engine/journal/entry.h"

static struct entry example(void)
{
    return (struct entry){
        .kind = ENTRY_PUT,
        .slot = 200,
        .has_old = true,
        .has_old_document = true,
        .collection = BYTES_LITERAL("pets"),
        .id = BYTES_LITERAL("42"),
        .version = 3,
        .new_document = BYTES_LITERAL("\x81\xa1n\x02"),
        .old_document = BYTES_LITERAL("\x81\xa1n\x01"),
        .changed = BYTES_LITERAL("\x91\xa1n"),
        .idempotency_key = BYTES_LITERAL("key"),
        .idempotency_body_hash = BYTES_LITERAL("0123456789abcdef"),
    };
}

/* The bytes are what is on people's disks: this test changes only together with the format
 * version. */
Test(entry, its_bytes_are_the_ones_in_the_format)
{
    static const uint8_t expected[] = {
        /* size of the payload, checksum, sequence, time, slot */
        0x00, 0x00, 0x00, 0x40, 0xf2, 0x27, 0x87, 0x86, 0x9f, 0x20, 0xa5, 0x57, 0, 0, 0, 0, 0, 0, 0,
        7, 0, 0, 0, 0, 0, 0, 0x03, 0xe8, 0, 0, 0, 200,
        /* kind, flags, sizes of collection, id and key, version, sizes of changed, new and old */
        1, 3, 0, 4, 0, 2, 0, 3, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 4,
        /* the parts */
        'p', 'e', 't', 's', '4', '2', 'k', 'e', 'y', '0', '1', '2', '3', '4', '5', '6', '7', '8',
        '9', 'a', 'b', 'c', 'd', 'e', 'f', 0x91, 0xa1, 'n', 0x81, 0xa1, 'n', 2, 0x81, 0xa1, 'n', 1};
    struct entry entry = example();
    uint8_t buffer[256];
    struct writer writer = writer_of(buffer, sizeof(buffer));
    cr_assert_eq(entry_encode(&entry, &writer), STATUS_OK);
    entry_stamp(buffer, 7, 1000);
    cr_assert_eq(writer.size, sizeof(expected));
    cr_assert_eq(writer.size, entry_encoded_size(&entry));
    cr_assert_arr_eq(buffer, expected, sizeof(expected));
}

Test(entry, comes_back_as_it_went)
{
    struct entry entry = example();
    uint8_t buffer[256];
    struct writer writer = writer_of(buffer, sizeof(buffer));
    cr_assert_eq(entry_encode(&entry, &writer), STATUS_OK);
    entry_stamp(buffer, UINT64_MAX, 1234567890123);
    struct entry out;
    cr_assert_eq(entry_decode(writer_bytes(&writer), &out), STATUS_OK);
    cr_assert_eq(out.sequence, UINT64_MAX);
    cr_assert_eq(out.time_ms, 1234567890123);
    cr_assert_eq(out.kind, ENTRY_PUT);
    cr_assert_eq(out.slot, 200);
    cr_assert(out.has_old && out.has_old_document);
    cr_assert_eq(out.version, 3);
    cr_assert(bytes_equal(out.collection, entry.collection));
    cr_assert(bytes_equal(out.id, entry.id));
    cr_assert(bytes_equal(out.changed, entry.changed));
    cr_assert(bytes_equal(out.new_document, entry.new_document));
    cr_assert(bytes_equal(out.old_document, entry.old_document));
    cr_assert(bytes_equal(out.idempotency_key, entry.idempotency_key));
    cr_assert(bytes_equal(out.idempotency_body_hash, entry.idempotency_body_hash));
}

Test(entry, without_optional_parts_has_none_of_their_bytes)
{
    struct entry entry = {.kind = ENTRY_DELETE,
                          .collection = BYTES_LITERAL("c"),
                          .id = BYTES_LITERAL("i"),
                          .version = UINT64_MAX};
    uint8_t buffer[ENTRY_HEADER_BYTES + ENTRY_PAYLOAD_FIXED_BYTES + 2];
    struct writer writer = writer_of(buffer, sizeof(buffer));
    cr_assert_eq(entry_encode(&entry, &writer), STATUS_OK);
    cr_assert_eq(writer.size, sizeof(buffer));
    struct entry out;
    cr_assert_eq(entry_decode(writer_bytes(&writer), &out), STATUS_OK);
    cr_assert_eq(out.version, UINT64_MAX);
    cr_assert(!out.has_old && !out.has_old_document);
    cr_assert_eq(out.idempotency_body_hash.size, 0);
}

Test(entry, that_does_not_fit_is_too_large_and_writes_nothing)
{
    struct entry entry = example();
    uint8_t buffer[256];
    for (size_t room = 0; room < entry_encoded_size(&entry); room++) {
        struct writer writer = writer_of(buffer, room);
        cr_assert_eq(entry_encode(&entry, &writer), STATUS_TOO_LARGE);
        cr_assert_eq(writer.size, 0);
    }
}

Test(entry, may_be_as_long_as_the_limit_and_not_a_byte_longer)
{
    uint8_t *document = calloc(1, ENTRY_BYTES_MAX);
    uint8_t *buffer = malloc(ENTRY_BYTES_MAX + 1);
    struct entry entry = {
        .kind = ENTRY_PUT, .collection = BYTES_LITERAL("c"), .id = BYTES_LITERAL("i")};
    entry.new_document = bytes_of(document, ENTRY_BYTES_MAX - entry_encoded_size(&entry));
    struct writer writer = writer_of(buffer, ENTRY_BYTES_MAX + 1);
    cr_assert_eq(entry_encode(&entry, &writer), STATUS_OK);
    cr_assert_eq(writer.size, ENTRY_BYTES_MAX);
    struct entry out;
    cr_assert_eq(entry_decode(writer_bytes(&writer), &out), STATUS_OK);
    entry.new_document.size++;
    writer = writer_of(buffer, ENTRY_BYTES_MAX + 1);
    cr_assert_eq(entry_encode(&entry, &writer), STATUS_TOO_LARGE);
    free(buffer);
    free(document);
}

Test(entry, with_any_bit_of_its_payload_or_length_flipped_is_damaged)
{
    struct entry entry = example();
    uint8_t buffer[256];
    struct writer writer = writer_of(buffer, sizeof(buffer));
    cr_assert_eq(entry_encode(&entry, &writer), STATUS_OK);
    for (size_t bit = 0; bit < 8 * writer.size; bit++) {
        bool covered_by_the_batch = bit >= 8 * 12 && bit < 8 * ENTRY_HEADER_BYTES;
        if (covered_by_the_batch) {
            continue;
        }
        buffer[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        struct entry out;
        cr_assert_eq(entry_decode(writer_bytes(&writer), &out), STATUS_DAMAGED, "bit %zu", bit);
        buffer[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
}

Test(entry, cut_anywhere_or_with_bytes_after_it_is_damaged)
{
    struct entry entry = example();
    uint8_t buffer[256] = {0};
    struct writer writer = writer_of(buffer, sizeof(buffer));
    cr_assert_eq(entry_encode(&entry, &writer), STATUS_OK);
    struct entry out;
    for (size_t size = 0; size < writer.size; size++) {
        cr_assert_eq(entry_decode(bytes_of(buffer, size), &out), STATUS_DAMAGED);
        cr_assert_eq(entry_view(bytes_of(buffer, size), &out), STATUS_DAMAGED);
    }
    cr_assert_eq(entry_decode(bytes_of(buffer, writer.size + 1), &out), STATUS_DAMAGED);
    cr_assert_eq(entry_view(bytes_of(buffer, writer.size + 1), &out), STATUS_DAMAGED);
}

Test(entry, of_a_kind_flag_or_slot_that_does_not_exist_is_damaged)
{
    struct entry entry = example();
    uint8_t buffer[256];
    struct writer writer = writer_of(buffer, sizeof(buffer));
    cr_assert_eq(entry_encode(&entry, &writer), STATUS_OK);
    struct entry out;
    static const struct {
        size_t offset;
        uint8_t value;
    } wrong[] = {{ENTRY_HEADER_BYTES, 0},
                 {ENTRY_HEADER_BYTES, 5},
                 {ENTRY_HEADER_BYTES + 1, 7},
                 {ENTRY_HEADER_BYTES + 1, 1}, /* an old document without its flag */
                 {30, 1}};                    /* slot 256 and more */
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        uint8_t right = buffer[wrong[i].offset];
        buffer[wrong[i].offset] = wrong[i].value;
        cr_assert_eq(entry_view(writer_bytes(&writer), &out), STATUS_DAMAGED, "case %zu", i);
        buffer[wrong[i].offset] = right;
    }
    cr_assert_eq(entry_view(writer_bytes(&writer), &out), STATUS_OK);
}
