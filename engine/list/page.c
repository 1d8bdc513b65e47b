#include "engine/list/page.h"

#include <stdlib.h>

#include "protocol/base/assert.h"
#include "protocol/document/json.h"

#define ITEM_HEAD_BYTES 6
/* The first guess at a record's JSON: what it takes beyond the document's own bytes. */
#define JSON_ROOM_BYTES 256

void page_slice_deinit(struct page_slice *slice)
{
    free(slice->data);
    *slice = (struct page_slice){.data = NULL};
}

static enum status slice_grow(struct page_slice *slice, size_t needed)
{
    if (slice->capacity - slice->size >= needed) {
        return STATUS_OK;
    }
    size_t capacity = slice->capacity * 2;
    if (capacity < slice->size + needed) {
        capacity = slice->size + needed;
    }
    uint8_t *data = realloc(slice->data, capacity);
    if (data == NULL) {
        return STATUS_NO_MEMORY;
    }
    slice->data = data;
    slice->capacity = capacity;
    return STATUS_OK;
}

enum status page_slice_add(struct page_slice *slice, struct bytes id, struct bytes document)
{
    ASSERT(id.size > 0 && id.size <= ID_BYTES_MAX);
    size_t room = ITEM_HEAD_BYTES + id.size + 2 * document.size + JSON_ROOM_BYTES;
    for (;;) {
        enum status status = slice_grow(slice, room);
        if (status != STATUS_OK) {
            return status;
        }
        struct writer out = writer_of(slice->data + slice->size, slice->capacity - slice->size);
        uint8_t *head = writer_reserve(&out, ITEM_HEAD_BYTES);
        writer_put(&out, id);
        size_t json_from = out.size;
        status = document_record_to_json(id, document, &out);
        if (status == STATUS_OK) {
            put_u16(head, (uint16_t)id.size);
            put_u32(head + 2, (uint32_t)(out.size - json_from));
            slice->size += out.size;
            slice->count++;
            return STATUS_OK;
        }
        if (status != STATUS_TOO_LARGE || room > 64u * DOCUMENT_BYTES_MAX) {
            return status;
        }
        room *= 2;
    }
}

/* The item at the front of what a slice has left. */
struct item {
    struct bytes id;
    struct bytes json;
};

static bool item_at(const struct reader *reader, struct item *out)
{
    struct reader copy = *reader;
    if (reader_left(&copy) == 0) {
        return false;
    }
    uint16_t id_size = reader_u16(&copy);
    uint32_t json_size = reader_u32(&copy);
    out->id = reader_bytes(&copy, id_size);
    out->json = reader_bytes(&copy, json_size);
    ASSERT(!copy.failed);
    return true;
}

static void item_skip(struct reader *reader, const struct item *item)
{
    reader_take(reader, ITEM_HEAD_BYTES + item->id.size + item->json.size);
    ASSERT(!reader->failed);
}

/*
 * The slice whose first item has the smallest id; -1 at the end. *blocked_out: a slice that was cut
 * short is used up, so what it left out could come before any other item.
 */
static int smallest(const struct page_slice *slices, const struct reader *readers,
                    uint32_t slice_count, struct item *item_out, bool *blocked_out)
{
    int found = -1;
    *blocked_out = false;
    for (uint32_t i = 0; i < slice_count; i++) {
        struct item item;
        if (!item_at(&readers[i], &item)) {
            *blocked_out = *blocked_out || slices[i].cut;
        } else if (found < 0 || bytes_compare(item.id, item_out->id) < 0) {
            found = (int)i;
            *item_out = item;
        }
    }
    return found;
}

enum status page_merge(const struct page_slice *slices, uint32_t slice_count, uint32_t limit,
                       struct page *out)
{
    ASSERT(slice_count <= SHARD_COUNT_MAX);
    ASSERT(limit >= 1);
    *out = (struct page){.memory = NULL};
    struct reader readers[SHARD_COUNT_MAX];
    size_t total = 2 + ID_BYTES_MAX;
    for (uint32_t i = 0; i < slice_count; i++) {
        readers[i] = reader_of(bytes_of(slices[i].data, slices[i].size));
        total += slices[i].size;
    }
    out->memory = malloc(total);
    if (out->memory == NULL) {
        return STATUS_NO_MEMORY;
    }
    struct writer json = writer_of(out->memory, total);
    writer_u8(&json, '[');
    struct bytes last_id = BYTES_EMPTY;
    bool more = false;
    for (uint32_t count = 0;; count++) {
        struct item item = {BYTES_EMPTY, BYTES_EMPTY};
        bool blocked;
        int from = smallest(slices, readers, slice_count, &item, &blocked);
        more = from >= 0 || blocked;
        bool full = count == limit ||
                    (count > 0 && from >= 0 && json.size + item.json.size + 2 > LIST_BYTES_MAX);
        if (from < 0 || full || (blocked && count > 0)) {
            break;
        }
        if (count > 0) {
            writer_u8(&json, ',');
        }
        writer_put(&json, item.json);
        last_id = item.id;
        item_skip(&readers[from], &item);
    }
    writer_u8(&json, ']');
    out->json = writer_bytes(&json);
    if (more && last_id.size > 0) {
        writer_put(&json, last_id);
        out->next = bytes_slice(writer_bytes(&json), out->json.size, last_id.size);
    }
    ASSERT(!json.failed);
    return STATUS_OK;
}

void page_head_write(const uint64_t *generations, uint32_t count, struct bytes next,
                     struct writer *out)
{
    writer_u32(out, count);
    for (uint32_t i = 0; i < count; i++) {
        writer_u64(out, generations[i]);
    }
    writer_u16(out, (uint16_t)next.size);
    ASSERT(!out->failed);
}

bool page_read(struct bytes cached, uint32_t count, const uint8_t **generations_out,
               struct bytes *body_out, size_t *next_size_out)
{
    struct reader reader = reader_of(cached);
    if (reader_u32(&reader) != count) {
        return false;
    }
    *generations_out = reader_take(&reader, 8u * (size_t)count);
    *next_size_out = reader_u16(&reader);
    *body_out = reader_bytes(&reader, reader_left(&reader));
    return !reader.failed && *next_size_out <= body_out->size;
}
