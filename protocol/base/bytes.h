/*
 * bytes.h: a view of bytes, a reader that cannot pass its end, and a writer that cannot pass its
 * capacity.
 *
 * Owner:     the caller; nothing here allocates. A view is valid as long as the memory it points
 *            into.
 * Errors:    sticky. After the first read or write that does not fit, `failed` is set, reads return
 *            zero or an empty view, writes do nothing; check once at the end.
 * Format:    integers are big-endian, coded byte by byte, so that byte order is number order and
 *            nothing is aligned.
 * Invariant: offset <= size (reader), size <= capacity (writer).
 */
#ifndef FRESHET_PROTOCOL_BASE_BYTES_H
#define FRESHET_PROTOCOL_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "protocol/base/status.h"

struct bytes {
    const uint8_t *data;
    size_t size;
};

#define BYTES_EMPTY ((struct bytes){NULL, 0})
/* A view of a string literal or of an array, without its final NUL. */
#define BYTES_LITERAL(text) ((struct bytes){(const uint8_t *)(text), sizeof(text) - 1})

static inline struct bytes bytes_of(const void *data, size_t size)
{
    return (struct bytes){(const uint8_t *)data, size};
}

static inline struct bytes bytes_of_text(const char *text)
{
    return (struct bytes){(const uint8_t *)text, strlen(text)};
}

static inline bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

/* Byte order, a prefix before what it begins: < 0, 0, > 0. */
static inline int bytes_compare(struct bytes a, struct bytes b)
{
    size_t shared = a.size < b.size ? a.size : b.size;
    int order = shared == 0 ? 0 : memcmp(a.data, b.data, shared);
    if (order != 0) {
        return order;
    }
    return (a.size > b.size) - (a.size < b.size);
}

static inline bool bytes_starts_with(struct bytes whole, struct bytes prefix)
{
    return whole.size >= prefix.size && bytes_equal(bytes_of(whole.data, prefix.size), prefix);
}

/* [from, from + size) of whole, cut at its end. */
static inline struct bytes bytes_slice(struct bytes whole, size_t from, size_t size)
{
    if (from > whole.size) {
        return BYTES_EMPTY;
    }
    size_t left = whole.size - from;
    return bytes_of(whole.data + from, size < left ? size : left);
}

/* Checked arithmetic for lengths that come from outside: false, and *out untouched, on overflow. */
static inline bool size_add(size_t a, size_t b, size_t *out)
{
    size_t sum;
    if (__builtin_add_overflow(a, b, &sum)) {
        return false;
    }
    *out = sum;
    return true;
}

static inline bool size_multiply(size_t a, size_t b, size_t *out)
{
    size_t product;
    if (__builtin_mul_overflow(a, b, &product)) {
        return false;
    }
    *out = product;
    return true;
}

/* ---- big-endian at a fixed place ---- */

static inline void put_u16(uint8_t *at, uint16_t value)
{
    value = __builtin_bswap16(value);
    memcpy(at, &value, sizeof(value));
}

static inline void put_u32(uint8_t *at, uint32_t value)
{
    value = __builtin_bswap32(value);
    memcpy(at, &value, sizeof(value));
}

static inline void put_u64(uint8_t *at, uint64_t value)
{
    value = __builtin_bswap64(value);
    memcpy(at, &value, sizeof(value));
}

static inline uint16_t get_u16(const uint8_t *at)
{
    uint16_t value;
    memcpy(&value, at, sizeof(value));
    return __builtin_bswap16(value);
}

static inline uint32_t get_u32(const uint8_t *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof(value));
    return __builtin_bswap32(value);
}

static inline uint64_t get_u64(const uint8_t *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof(value));
    return __builtin_bswap64(value);
}

/* ---- reader ---- */

struct reader {
    const uint8_t *data;
    size_t size;
    size_t offset;
    bool failed;
};

static inline struct reader reader_of(struct bytes bytes)
{
    return (struct reader){bytes.data, bytes.size, 0, false};
}

static inline size_t reader_left(const struct reader *reader)
{
    return reader->failed ? 0 : reader->size - reader->offset;
}

/* The next size bytes, or NULL (and failed) when there are fewer. */
static inline const uint8_t *reader_take(struct reader *reader, size_t size)
{
    if (reader->failed || size > reader->size - reader->offset) {
        reader->failed = true;
        return NULL;
    }
    const uint8_t *at = reader->data + reader->offset;
    reader->offset += size;
    return at;
}

static inline struct bytes reader_bytes(struct reader *reader, size_t size)
{
    const uint8_t *at = reader_take(reader, size);
    return at == NULL ? BYTES_EMPTY : bytes_of(at, size);
}

static inline uint8_t reader_u8(struct reader *reader)
{
    const uint8_t *at = reader_take(reader, 1);
    return at == NULL ? 0 : *at;
}

static inline uint16_t reader_u16(struct reader *reader)
{
    const uint8_t *at = reader_take(reader, 2);
    return at == NULL ? 0 : get_u16(at);
}

static inline uint32_t reader_u32(struct reader *reader)
{
    const uint8_t *at = reader_take(reader, 4);
    return at == NULL ? 0 : get_u32(at);
}

static inline uint64_t reader_u64(struct reader *reader)
{
    const uint8_t *at = reader_take(reader, 8);
    return at == NULL ? 0 : get_u64(at);
}

/* ---- writer ---- */

struct writer {
    uint8_t *data;
    size_t capacity;
    size_t size;
    bool failed;
};

static inline struct writer writer_of(void *data, size_t capacity)
{
    return (struct writer){(uint8_t *)data, capacity, 0, false};
}

static inline struct bytes writer_bytes(const struct writer *writer)
{
    return bytes_of(writer->data, writer->size);
}

static inline size_t writer_left(const struct writer *writer)
{
    return writer->failed ? 0 : writer->capacity - writer->size;
}

/* Room for size bytes, which count as written; NULL (and failed) when they do not fit. */
static inline uint8_t *writer_reserve(struct writer *writer, size_t size)
{
    if (writer->failed || size > writer->capacity - writer->size) {
        writer->failed = true;
        return NULL;
    }
    uint8_t *at = writer->data + writer->size;
    writer->size += size;
    return at;
}

static inline void writer_put(struct writer *writer, struct bytes bytes)
{
    uint8_t *at = writer_reserve(writer, bytes.size);
    if (at != NULL && bytes.size > 0) {
        memcpy(at, bytes.data, bytes.size);
    }
}

static inline void writer_text(struct writer *writer, const char *text)
{
    writer_put(writer, bytes_of_text(text));
}

static inline void writer_u8(struct writer *writer, uint8_t value)
{
    uint8_t *at = writer_reserve(writer, 1);
    if (at != NULL) {
        *at = value;
    }
}

static inline void writer_u16(struct writer *writer, uint16_t value)
{
    uint8_t *at = writer_reserve(writer, 2);
    if (at != NULL) {
        put_u16(at, value);
    }
}

static inline void writer_u32(struct writer *writer, uint32_t value)
{
    uint8_t *at = writer_reserve(writer, 4);
    if (at != NULL) {
        put_u32(at, value);
    }
}

static inline void writer_u64(struct writer *writer, uint64_t value)
{
    uint8_t *at = writer_reserve(writer, 8);
    if (at != NULL) {
        put_u64(at, value);
    }
}

/* The decimal digits of value. */
void writer_decimal(struct writer *writer, uint64_t value);
/* How many decimal digits text begins with, and their value; 0: none, or more than 64 bits hold. */
size_t bytes_decimal(struct bytes text, uint64_t *value_out);

#endif
