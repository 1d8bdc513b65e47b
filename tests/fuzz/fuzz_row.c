/*
 * fuzz_row.c: the decoders of the store's values, over any bytes.
 *
 * Whatever is accepted lies within the input, and is written again as the same bytes.
 */
#include <stdlib.h>

#include "engine/store/row.h"
#include "protocol/base/assert.h"

#define FUZZ_BYTES_MAX 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void is_within(struct bytes part, struct bytes whole)
{
    ASSERT(part.data >= whole.data);
    ASSERT(part.data + part.size <= whole.data + whole.size);
}

static void record_check(struct bytes value)
{
    uint8_t again[FUZZ_BYTES_MAX];
    struct row_record record;
    if (row_record_read(value, &record) != STATUS_OK) {
        ASSERT(record.document.data == NULL);
        return;
    }
    is_within(record.document, value);
    struct writer writer = writer_of(again, sizeof(again));
    row_record_header_write(&record, &writer);
    writer_put(&writer, record.document);
    ASSERT(bytes_equal(writer_bytes(&writer), value));
}

static void idempotency_check(struct bytes value)
{
    uint8_t again[FUZZ_BYTES_MAX];
    struct row_idempotency row;
    if (row_idempotency_read(value, &row) != STATUS_OK) {
        ASSERT(row.document.data == NULL);
        return;
    }
    is_within(row.body_hash, value);
    is_within(row.id, value);
    is_within(row.document, value);
    struct writer writer = writer_of(again, sizeof(again));
    row_idempotency_write(&row, &writer);
    ASSERT(bytes_equal(writer_bytes(&writer), value));
}

static void applied_check(struct bytes value)
{
    uint8_t again[ROW_APPLIED_BYTES];
    uint64_t epoch;
    uint64_t sequence;
    if (row_applied_read(value, &epoch, &sequence) != STATUS_OK) {
        return;
    }
    struct writer writer = writer_of(again, sizeof(again));
    row_applied_write(epoch, sequence, &writer);
    ASSERT(bytes_equal(writer_bytes(&writer), value));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > FUZZ_BYTES_MAX) {
        return 0;
    }
    struct bytes value = bytes_of(data, size);
    record_check(value);
    idempotency_check(value);
    applied_check(value);
    return 0;
}
