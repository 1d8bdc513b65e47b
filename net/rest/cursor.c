#include "net/rest/cursor.h"

#include <xxhash.h>

#include "engine/shard/collection.h"
#include "protocol/base/assert.h"
#include "protocol/base/base64url.h"

#define CURSOR_VERSION 1
#define PART_COUNT     4
#define CHECKED_BYTES_MAX                                                                          \
    (PART_COUNT * 8 + COLLECTION_NAME_BYTES_MAX + FIELD_NAME_BYTES_MAX + INDEX_VALUE_BYTES_MAX +   \
     ID_BYTES_MAX)

/* Sizes go before the parts, so that no two lists read the same. */
static uint64_t cursor_check(const struct cursor_list *list, struct bytes last_id)
{
    uint8_t text[CHECKED_BYTES_MAX];
    struct writer writer = writer_of(text, sizeof(text));
    const struct bytes parts[PART_COUNT] = {list->collection, list->field, list->value, last_id};
    for (size_t index = 0; index < PART_COUNT; index++) {
        writer_u64(&writer, parts[index].size);
        writer_put(&writer, parts[index]);
    }
    ASSERT(!writer.failed);
    return XXH3_64bits(writer.data, writer.size);
}

void cursor_write(const struct cursor_list *list, struct bytes last_id, struct writer *text_out)
{
    ASSERT(list->collection.size > 0);
    ASSERT(last_id.size > 0);
    ASSERT(last_id.size <= ID_BYTES_MAX);
    uint8_t raw[CURSOR_BYTES_MAX];
    struct writer writer = writer_of(raw, sizeof(raw));
    writer_u8(&writer, CURSOR_VERSION);
    writer_u64(&writer, cursor_check(list, last_id));
    writer_put(&writer, last_id);
    ASSERT(!writer.failed);
    base64url_write(writer_bytes(&writer), text_out);
}

enum status cursor_read(const struct cursor_list *list, struct bytes text, uint8_t *buffer,
                        struct bytes *last_id_out)
{
    *last_id_out = BYTES_EMPTY;
    struct writer raw = writer_of(buffer, CURSOR_BYTES_MAX);
    if (!base64url_read(text, &raw)) {
        return STATUS_INVALID;
    }
    struct reader reader = reader_of(writer_bytes(&raw));
    uint8_t version = reader_u8(&reader);
    uint64_t check = reader_u64(&reader);
    struct bytes last_id = reader_bytes(&reader, reader_left(&reader));
    if (reader.failed || version != CURSOR_VERSION || !record_id_valid(last_id) ||
        check != cursor_check(list, last_id)) {
        return STATUS_INVALID;
    }
    *last_id_out = last_id;
    return STATUS_OK;
}
