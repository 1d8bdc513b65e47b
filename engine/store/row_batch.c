#include "engine/store/row_batch.h"

#include <stdlib.h>
#include <string.h>

#include "protocol/base/assert.h"

#define ROWS_BYTES_MIN 4096u

struct row_header {
    uint32_t key_size;
    uint32_t value_size;
    bool is_put;
};

struct store_batch *row_batch_create(struct store *store)
{
    ASSERT(store != NULL);
    return calloc(1, sizeof(struct store_batch));
}

/* Room for so many bytes more. */
static bool rows_grow(struct writer *rows, size_t size)
{
    size_t capacity = rows->capacity == 0 ? ROWS_BYTES_MIN : rows->capacity;
    while (capacity - rows->size < size) {
        capacity *= 2;
    }
    uint8_t *data = realloc(rows->data, capacity);
    if (data == NULL) {
        return false;
    }
    rows->data = data;
    rows->capacity = capacity;
    return true;
}

static void row_add(struct store_batch *batch, struct bytes key, struct bytes value, bool is_put)
{
    ASSERT(key.size <= UINT32_MAX && value.size <= UINT32_MAX);
    const struct row_header header = {(uint32_t)key.size, (uint32_t)value.size, is_put};
    size_t size = sizeof(header) + key.size + value.size;
    if (size > batch->rows.capacity - batch->rows.size && !rows_grow(&batch->rows, size)) {
        batch->rows.failed = true;
    }
    if (batch->rows.failed) {
        return;
    }
    writer_put(&batch->rows, bytes_of(&header, sizeof(header)));
    writer_put(&batch->rows, key);
    writer_put(&batch->rows, value);
    ASSERT(!batch->rows.failed);
    batch->keys_bytes += key.size;
    batch->values_bytes += value.size;
    batch->count++;
}

void row_batch_put(struct store_batch *batch, struct bytes key, struct bytes value)
{
    row_add(batch, key, value, true);
}

void row_batch_delete(struct store_batch *batch, struct bytes key)
{
    row_add(batch, key, BYTES_EMPTY, false);
}

void row_batch_clear(struct store_batch *batch)
{
    *batch = (struct store_batch){.rows = writer_of(batch->rows.data, batch->rows.capacity)};
}

void row_batch_destroy(struct store_batch *batch)
{
    if (batch != NULL) {
        free(batch->rows.data);
        free(batch);
    }
}

struct reader row_batch_rows(const struct store_batch *batch)
{
    ASSERT(!batch->rows.failed);
    return reader_of(writer_bytes(&batch->rows));
}

bool row_batch_next(struct reader *rows, struct batch_row *row_out)
{
    if (reader_left(rows) == 0) {
        return false;
    }
    struct row_header header;
    const uint8_t *at = reader_take(rows, sizeof(header));
    ASSERT(at != NULL);
    memcpy(&header, at, sizeof(header));
    row_out->key = reader_bytes(rows, header.key_size);
    row_out->value = reader_bytes(rows, header.value_size);
    row_out->is_put = header.is_put;
    ASSERT(!rows->failed);
    return true;
}
