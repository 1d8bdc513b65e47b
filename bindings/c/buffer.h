/*
 * buffer.h: bytes that come in at the end and go out at the beginning.
 *
 * Owner:     one core; no locks.
 * Memory:    grows by doubling up to the maximum given at each call; an empty buffer gives back
 *            what is over BUFFER_KEEP_BYTES.
 * Invariant: from <= size <= capacity; [from, size) is what has come and has not gone.
 * Tests:     tests/unit/bindings/c/test_buffer.c.
 */
#ifndef FRESHET_BINDINGS_C_BUFFER_H
#define FRESHET_BINDINGS_C_BUFFER_H

#include "protocol/base/bytes.h"
#include "protocol/base/status.h"

#define BUFFER_KEEP_BYTES ((size_t)256 << 10)

struct buffer {
    uint8_t *data;
    size_t from;
    size_t size;
    size_t capacity;
};

void buffer_deinit(struct buffer *buffer);

/*
 * Room for at least `more` bytes behind the last, moving or growing what is there. TOO_LARGE when
 * the content would be over bytes_max, NO_MEMORY; the content is then as it was.
 */
MUST_USE enum status buffer_reserve(struct buffer *buffer, size_t more, size_t bytes_max);

/* The content becomes that of a writer over fresh room: empties the buffer, then reserves. */
MUST_USE enum status buffer_begin(struct buffer *buffer, size_t size, struct writer *writer_out);

MUST_USE enum status buffer_append(struct buffer *buffer, struct bytes bytes, size_t bytes_max);
void buffer_consume(struct buffer *buffer, size_t size);
void buffer_clear(struct buffer *buffer);

static inline size_t buffer_left(const struct buffer *buffer)
{
    return buffer->size - buffer->from;
}

static inline struct bytes buffer_bytes(const struct buffer *buffer)
{
    return bytes_of(buffer->data == NULL ? NULL : buffer->data + buffer->from,
                    buffer->size - buffer->from);
}

#endif
