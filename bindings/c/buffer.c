#include "bindings/c/buffer.h"

#include <stdlib.h>

#include "protocol/base/assert.h"

#define CAPACITY_MIN ((size_t)4096)

void buffer_deinit(struct buffer *buffer)
{
    free(buffer->data);
    *buffer = (struct buffer){0};
}

static void move_to_front(struct buffer *buffer)
{
    size_t left = buffer_left(buffer);
    if (buffer->from > 0 && left > 0) {
        memmove(buffer->data, buffer->data + buffer->from, left);
    }
    buffer->from = 0;
    buffer->size = left;
}

enum status buffer_reserve(struct buffer *buffer, size_t more, size_t bytes_max)
{
    size_t needed;
    ASSERT(buffer->from <= buffer->size);
    ASSERT(buffer->size <= buffer->capacity);
    if (!size_add(buffer_left(buffer), more, &needed) || needed > bytes_max) {
        return STATUS_TOO_LARGE;
    }
    if (more <= buffer->capacity - buffer->size) {
        return STATUS_OK;
    }
    move_to_front(buffer);
    if (needed <= buffer->capacity) {
        return STATUS_OK;
    }
    /* needed is at most bytes_max, so that doubling ends without an overflow. */
    size_t capacity = buffer->capacity < CAPACITY_MIN ? CAPACITY_MIN : buffer->capacity;
    while (capacity < needed) {
        capacity = capacity > bytes_max / 2 ? needed : capacity * 2;
    }
    uint8_t *data = realloc(buffer->data, capacity);
    if (data == NULL) {
        return STATUS_NO_MEMORY;
    }
    buffer->data = data;
    buffer->capacity = capacity;
    return STATUS_OK;
}

enum status buffer_begin(struct buffer *buffer, size_t size, struct writer *writer_out)
{
    buffer_clear(buffer);
    enum status status = buffer_reserve(buffer, size, size);
    *writer_out = writer_of(buffer->data, status == STATUS_OK ? size : 0);
    return status;
}

enum status buffer_append(struct buffer *buffer, struct bytes bytes, size_t bytes_max)
{
    enum status status = buffer_reserve(buffer, bytes.size, bytes_max);
    if (status == STATUS_OK && bytes.size > 0) {
        memcpy(buffer->data + buffer->size, bytes.data, bytes.size);
        buffer->size += bytes.size;
    }
    return status;
}

void buffer_clear(struct buffer *buffer)
{
    buffer->from = 0;
    buffer->size = 0;
    if (buffer->capacity > BUFFER_KEEP_BYTES) {
        buffer_deinit(buffer);
    }
}

void buffer_consume(struct buffer *buffer, size_t size)
{
    ASSERT(size <= buffer_left(buffer));
    buffer->from += size;
    ASSERT(buffer->from <= buffer->size);
    if (buffer->from == buffer->size) {
        buffer_clear(buffer);
    }
}
