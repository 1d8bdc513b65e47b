#include "engine/store/row.h"

#include "protocol/base/assert.h"

#define TAG_APPLIED     'a'
#define TAG_RECORD      'r'
#define TAG_INDEX       'x'
#define TAG_IDEMPOTENCY 'i'

/* The first byte of a record's value. A reader that meets another one refuses, so that a later
 * format can be told. */
#define RECORD_FORMAT 1

static_assert(ROW_RECORD_HEADER_BYTES == 1 + 4 * 8, "format, version, epoch, sequence, time");
static_assert(ROW_APPLIED_BYTES == 2 * 8, "epoch, sequence");
static_assert(INDEX_VALUE_BYTES_MAX <= UINT16_MAX, "an index value's size is a u16");
static_assert(ID_BYTES_MAX <= UINT16_MAX, "an id's size in an idempotency row is a u16");

/* A name or an id inside a key: a zero byte in it would let one collection's rows sort among
 * another's. */
static void put_name(struct writer *key, struct bytes name)
{
    ASSERT(name.size > 0);
    ASSERT_SLOW(memchr(name.data, 0, name.size) == NULL);
    writer_put(key, name);
}

void row_applied_key(struct writer *key_out)
{
    writer_u8(key_out, TAG_APPLIED);
}

void row_record_prefix(struct bytes collection, struct writer *key_out)
{
    ASSERT(collection.size <= COLLECTION_NAME_BYTES_MAX);
    writer_u8(key_out, TAG_RECORD);
    put_name(key_out, collection);
    writer_u8(key_out, 0);
}

void row_record_key(struct bytes collection, struct bytes id, struct writer *key_out)
{
    ASSERT(id.size <= ID_BYTES_MAX);
    row_record_prefix(collection, key_out);
    put_name(key_out, id);
}

void row_index_prefix(struct bytes collection, struct bytes field, struct bytes value,
                      struct writer *key_out)
{
    ASSERT(collection.size <= COLLECTION_NAME_BYTES_MAX);
    ASSERT(field.size <= FIELD_NAME_BYTES_MAX);
    ASSERT(value.size <= INDEX_VALUE_BYTES_MAX);
    writer_u8(key_out, TAG_INDEX);
    put_name(key_out, collection);
    writer_u8(key_out, 0);
    put_name(key_out, field);
    writer_u8(key_out, 0);
    writer_u16(key_out, (uint16_t)value.size);
    writer_put(key_out, value);
}

void row_index_key(struct bytes collection, struct bytes field, struct bytes value, struct bytes id,
                   struct writer *key_out)
{
    ASSERT(id.size <= ID_BYTES_MAX);
    row_index_prefix(collection, field, value, key_out);
    put_name(key_out, id);
}

void row_idempotency_key(struct bytes key, struct writer *key_out)
{
    ASSERT(key.size > 0);
    writer_u8(key_out, TAG_IDEMPOTENCY);
    writer_put(key_out, key);
}

struct bytes row_key_id(struct bytes key, struct bytes prefix)
{
    ASSERT(prefix.size > 0);
    ASSERT(bytes_starts_with(key, prefix));
    return bytes_slice(key, prefix.size, key.size - prefix.size);
}

void row_record_header_write(const struct row_record *record, struct writer *out)
{
    ASSERT(record->version > 0);
    uint8_t *at = writer_reserve(out, ROW_RECORD_HEADER_BYTES);
    if (at == NULL) {
        return;
    }
    at[0] = RECORD_FORMAT;
    put_u64(at + 1, record->version);
    put_u64(at + 9, record->epoch);
    put_u64(at + 17, record->sequence);
    put_u64(at + 25, record->time_ms);
}

enum status row_record_read(struct bytes value, struct row_record *out)
{
    *out = (struct row_record){0};
    /* Even the empty document is one byte of MessagePack. */
    if (value.size <= ROW_RECORD_HEADER_BYTES || value.data[0] != RECORD_FORMAT) {
        return STATUS_DAMAGED;
    }
    if (get_u64(value.data + 1) == 0) {
        return STATUS_DAMAGED;
    }
    out->version = get_u64(value.data + 1);
    out->epoch = get_u64(value.data + 9);
    out->sequence = get_u64(value.data + 17);
    out->time_ms = get_u64(value.data + 25);
    out->document =
        bytes_slice(value, ROW_RECORD_HEADER_BYTES, value.size - ROW_RECORD_HEADER_BYTES);
    return STATUS_OK;
}

void row_idempotency_write(const struct row_idempotency *row, struct writer *out)
{
    ASSERT(row->body_hash.size == ROW_BODY_HASH_BYTES);
    ASSERT(row->id.size > 0);
    ASSERT(row->id.size <= ID_BYTES_MAX);
    writer_u64(out, row->expires_ms);
    writer_put(out, row->body_hash);
    writer_u16(out, (uint16_t)row->id.size);
    writer_put(out, row->id);
    writer_u64(out, row->version);
    writer_u64(out, row->epoch);
    writer_u64(out, row->sequence);
    writer_put(out, row->document);
}

enum status row_idempotency_read(struct bytes value, struct row_idempotency *out)
{
    *out = (struct row_idempotency){0};
    struct reader reader = reader_of(value);
    struct row_idempotency row = {0};
    row.expires_ms = reader_u64(&reader);
    row.body_hash = reader_bytes(&reader, ROW_BODY_HASH_BYTES);
    row.id = reader_bytes(&reader, reader_u16(&reader));
    row.version = reader_u64(&reader);
    row.epoch = reader_u64(&reader);
    row.sequence = reader_u64(&reader);
    row.document = reader_bytes(&reader, reader_left(&reader));
    if (reader.failed || row.id.size == 0 || row.id.size > ID_BYTES_MAX ||
        (row.version == 0) != (row.document.size == 0)) {
        return STATUS_DAMAGED;
    }
    *out = row;
    return STATUS_OK;
}

void row_applied_write(uint64_t epoch, uint64_t sequence, struct writer *out)
{
    writer_u64(out, epoch);
    writer_u64(out, sequence);
}

enum status row_applied_read(struct bytes value, uint64_t *epoch_out, uint64_t *sequence_out)
{
    *epoch_out = 0;
    *sequence_out = 0;
    if (value.size != ROW_APPLIED_BYTES) {
        return STATUS_DAMAGED;
    }
    *epoch_out = get_u64(value.data);
    *sequence_out = get_u64(value.data + 8);
    return STATUS_OK;
}
