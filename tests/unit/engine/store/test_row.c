/* Keys and values of the store's rows. */
#include "engine/store/row.h"

#include <criterion/criterion.h>

#define PETS  BYTES_LITERAL("pets")
#define FIELD BYTES_LITERAL("category")

struct key {
    uint8_t data[ROW_KEY_BYTES_MAX];
    struct bytes bytes;
};

static void record_key(struct key *key, const char *collection, const char *id)
{
    struct writer writer = writer_of(key->data, sizeof(key->data));
    row_record_key(bytes_of_text(collection), bytes_of_text(id), &writer);
    cr_assert_not(writer.failed);
    key->bytes = writer_bytes(&writer);
}

static void index_key(struct key *key, const char *value, const char *id)
{
    struct writer writer = writer_of(key->data, sizeof(key->data));
    row_index_key(PETS, FIELD, bytes_of_text(value), bytes_of_text(id), &writer);
    cr_assert_not(writer.failed);
    key->bytes = writer_bytes(&writer);
}

Test(row, keys_are_the_documented_bytes)
{
    uint8_t data[ROW_KEY_BYTES_MAX];
    struct writer writer = writer_of(data, sizeof(data));
    row_applied_key(&writer);
    cr_assert(bytes_equal(writer_bytes(&writer), BYTES_LITERAL("a")));
    writer = writer_of(data, sizeof(data));
    row_record_key(PETS, BYTES_LITERAL("7"), &writer);
    cr_assert(bytes_equal(writer_bytes(&writer), BYTES_LITERAL("rpets\0"
                                                               "7")));
    writer = writer_of(data, sizeof(data));
    row_index_key(PETS, FIELD, BYTES_LITERAL("cat"), BYTES_LITERAL("7"), &writer);
    cr_assert(bytes_equal(writer_bytes(&writer), BYTES_LITERAL("xpets\0category\0\0\3cat7")));
    writer = writer_of(data, sizeof(data));
    row_idempotency_key(BYTES_LITERAL("K"), &writer);
    cr_assert(bytes_equal(writer_bytes(&writer), BYTES_LITERAL("iK")));
}

Test(row, records_sort_by_collection_then_by_id)
{
    const char *order[][2] = {{"pet", "z"},  {"pets", "1"},    {"pets", "10"},
                              {"pets", "2"}, {"pets", "\xff"}, {"petsy", "0"}};
    for (size_t i = 1; i < sizeof(order) / sizeof(order[0]); i++) {
        struct key before;
        struct key after;
        record_key(&before, order[i - 1][0], order[i - 1][1]);
        record_key(&after, order[i][0], order[i][1]);
        cr_assert_lt(bytes_compare(before.bytes, after.bytes), 0, "%zu", i);
    }
}

Test(row, an_index_value_is_no_prefix_of_another)
{
    uint8_t data[ROW_KEY_BYTES_MAX];
    struct writer prefix = writer_of(data, sizeof(data));
    row_index_prefix(PETS, FIELD, BYTES_LITERAL("cat"), &prefix);
    struct key key;
    index_key(&key, "cat", "egory");
    cr_assert(bytes_starts_with(key.bytes, writer_bytes(&prefix)));
    struct bytes id = row_key_id(key.bytes, writer_bytes(&prefix));
    cr_assert(bytes_equal(id, BYTES_LITERAL("egory")));
    index_key(&key, "category", "1");
    cr_assert_not(bytes_starts_with(key.bytes, writer_bytes(&prefix)));
    index_key(&key, "ca", "t1");
    cr_assert_not(bytes_starts_with(key.bytes, writer_bytes(&prefix)));
}

Test(row, the_id_of_a_record_is_what_follows_its_prefix)
{
    uint8_t data[ROW_KEY_BYTES_MAX];
    struct writer prefix = writer_of(data, sizeof(data));
    row_record_prefix(PETS, &prefix);
    struct key key;
    record_key(&key, "pets", "1234");
    cr_assert(bytes_equal(row_key_id(key.bytes, writer_bytes(&prefix)), BYTES_LITERAL("1234")));
    cr_assert_eq(row_key_id(writer_bytes(&prefix), writer_bytes(&prefix)).size, 0);
}

Test(row, the_largest_key_fits_and_a_smaller_buffer_fails)
{
    uint8_t text[INDEX_VALUE_BYTES_MAX];
    uint8_t data[ROW_KEY_BYTES_MAX];
    memset(text, 'm', sizeof(text));
    struct bytes collection = bytes_of(text, COLLECTION_NAME_BYTES_MAX);
    struct bytes field = bytes_of(text, FIELD_NAME_BYTES_MAX);
    struct bytes value = bytes_of(text, INDEX_VALUE_BYTES_MAX);
    struct bytes id = bytes_of(text, ID_BYTES_MAX);
    struct writer writer = writer_of(data, sizeof(data));
    row_index_key(collection, field, value, id, &writer);
    cr_assert_not(writer.failed);
    cr_assert_eq(writer.size, ROW_KEY_BYTES_MAX);
    writer = writer_of(data, sizeof(data) - 1);
    row_index_key(collection, field, value, id, &writer);
    cr_assert(writer.failed);
}

Test(row, a_record_comes_back)
{
    uint8_t data[64];
    struct row_record record = {.version = 1, .epoch = 2, .sequence = UINT64_MAX, .time_ms = 4};
    struct writer writer = writer_of(data, sizeof(data));
    row_record_header_write(&record, &writer);
    cr_assert_eq(writer.size, ROW_RECORD_HEADER_BYTES);
    writer_u8(&writer, 0x80);
    struct row_record read;
    cr_assert_eq(row_record_read(writer_bytes(&writer), &read), STATUS_OK);
    cr_assert_eq(read.version, 1);
    cr_assert_eq(read.epoch, 2);
    cr_assert_eq(read.sequence, UINT64_MAX);
    cr_assert_eq(read.time_ms, 4);
    cr_assert(bytes_equal(read.document, BYTES_LITERAL("\x80")));
}

Test(row, a_record_that_cannot_be_one_is_damaged)
{
    uint8_t data[ROW_RECORD_HEADER_BYTES + 1];
    struct row_record record = {.version = 1};
    struct writer writer = writer_of(data, sizeof(data));
    row_record_header_write(&record, &writer);
    writer_u8(&writer, 0x80);
    for (size_t size = 0; size < sizeof(data); size++) {
        cr_assert_eq(row_record_read(bytes_of(data, size), &record), STATUS_DAMAGED);
        cr_assert_null(record.document.data);
    }
    data[0] = 2;
    cr_assert_eq(row_record_read(bytes_of(data, sizeof(data)), &record), STATUS_DAMAGED);
    data[0] = 1;
    memset(data + 1, 0, 8);
    cr_assert_eq(row_record_read(bytes_of(data, sizeof(data)), &record), STATUS_DAMAGED);
    writer = writer_of(data, ROW_RECORD_HEADER_BYTES - 1);
    record.version = 1;
    row_record_header_write(&record, &writer);
    cr_assert(writer.failed);
}

static struct row_idempotency idempotency_example(void)
{
    return (struct row_idempotency){
        .expires_ms = 1,
        .body_hash = BYTES_LITERAL("0123456789abcdef"),
        .id = BYTES_LITERAL("id"),
        .version = 2,
        .epoch = 3,
        .sequence = 4,
        .document = BYTES_LITERAL("\x80"),
    };
}

Test(row, an_idempotency_row_comes_back)
{
    uint8_t data[ROW_IDEMPOTENCY_HEADER_BYTES_MAX + 1];
    struct row_idempotency row = idempotency_example();
    struct writer writer = writer_of(data, sizeof(data));
    row_idempotency_write(&row, &writer);
    cr_assert_not(writer.failed);
    cr_assert_eq(get_u64(data), 1, "the time of expiry comes first");
    struct row_idempotency read;
    cr_assert_eq(row_idempotency_read(writer_bytes(&writer), &read), STATUS_OK);
    cr_assert_eq(read.expires_ms, 1);
    cr_assert(bytes_equal(read.body_hash, row.body_hash));
    cr_assert(bytes_equal(read.id, row.id));
    cr_assert_eq(read.version, 2);
    cr_assert_eq(read.epoch, 3);
    cr_assert_eq(read.sequence, 4);
    cr_assert(bytes_equal(read.document, row.document));
}

Test(row, an_idempotency_row_of_an_event_has_neither_version_nor_document)
{
    for (int i = 0; i < 4; i++) {
        uint8_t data[ROW_IDEMPOTENCY_HEADER_BYTES_MAX + 1];
        struct row_idempotency row = idempotency_example();
        row.version = (i & 1) == 0 ? 0 : 2;
        row.document = (i & 2) == 0 ? BYTES_EMPTY : BYTES_LITERAL("\x80");
        struct writer writer = writer_of(data, sizeof(data));
        row_idempotency_write(&row, &writer);
        cr_assert_not(writer.failed);
        cr_assert_eq(row_idempotency_read(writer_bytes(&writer), &row),
                     i == 0 || i == 3 ? STATUS_OK : STATUS_DAMAGED);
    }
}

Test(row, the_largest_idempotency_row_fits)
{
    uint8_t id[ID_BYTES_MAX];
    uint8_t data[ROW_IDEMPOTENCY_HEADER_BYTES_MAX + 1];
    memset(id, 'x', sizeof(id));
    struct row_idempotency row = idempotency_example();
    row.id = bytes_of(id, sizeof(id));
    struct writer writer = writer_of(data, sizeof(data));
    row_idempotency_write(&row, &writer);
    cr_assert_not(writer.failed);
    cr_assert_eq(writer.size, sizeof(data));
    cr_assert_eq(row_idempotency_read(writer_bytes(&writer), &row), STATUS_OK);
}

Test(row, an_idempotency_row_that_cannot_be_one_is_damaged)
{
    uint8_t data[ROW_IDEMPOTENCY_HEADER_BYTES_MAX + 1];
    struct row_idempotency row = idempotency_example();
    struct writer writer = writer_of(data, sizeof(data));
    row_idempotency_write(&row, &writer);
    for (size_t size = 0; size < writer.size; size++) {
        cr_assert_eq(row_idempotency_read(bytes_of(data, size), &row), STATUS_DAMAGED);
        cr_assert_null(row.document.data);
    }
    put_u16(data + 24, 0);
    cr_assert_eq(row_idempotency_read(writer_bytes(&writer), &row), STATUS_DAMAGED);
    put_u16(data + 24, UINT16_MAX);
    cr_assert_eq(row_idempotency_read(writer_bytes(&writer), &row), STATUS_DAMAGED);
}

Test(row, an_applied_position_comes_back_or_is_damaged)
{
    uint8_t data[ROW_APPLIED_BYTES + 1] = {0};
    struct writer writer = writer_of(data, sizeof(data));
    row_applied_write(5, UINT64_MAX, &writer);
    cr_assert_eq(writer.size, ROW_APPLIED_BYTES);
    uint64_t epoch;
    uint64_t sequence;
    cr_assert_eq(row_applied_read(writer_bytes(&writer), &epoch, &sequence), STATUS_OK);
    cr_assert_eq(epoch, 5);
    cr_assert_eq(sequence, UINT64_MAX);
    for (size_t size = 0; size <= sizeof(data); size++) {
        enum status expected = size == ROW_APPLIED_BYTES ? STATUS_OK : STATUS_DAMAGED;
        cr_assert_eq(row_applied_read(bytes_of(data, size), &epoch, &sequence), expected);
    }
}
