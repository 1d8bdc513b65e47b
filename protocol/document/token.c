#include "protocol/document/token.h"

#include <stdlib.h>

#include "protocol/base/assert.h"

/* The heads that carry a size or a value behind them. */
enum {
    HEAD_NIL = 0xC0,
    HEAD_FALSE = 0xC2,
    HEAD_TRUE = 0xC3,
    HEAD_EXT8 = 0xC7,
    HEAD_EXT16 = 0xC8,
    HEAD_EXT32 = 0xC9,
    HEAD_FLOAT32 = 0xCA,
    HEAD_FLOAT64 = 0xCB,
    HEAD_UINT8 = 0xCC,
    HEAD_UINT16 = 0xCD,
    HEAD_UINT32 = 0xCE,
    HEAD_UINT64 = 0xCF,
    HEAD_INT8 = 0xD0,
    HEAD_INT16 = 0xD1,
    HEAD_INT32 = 0xD2,
    HEAD_INT64 = 0xD3,
    HEAD_FIXEXT1 = 0xD4,
    HEAD_FIXEXT16 = 0xD8,
    HEAD_STR8 = 0xD9,
    HEAD_STR16 = 0xDA,
    HEAD_STR32 = 0xDB,
    HEAD_ARRAY16 = 0xDC,
    HEAD_ARRAY32 = 0xDD,
    HEAD_MAP16 = 0xDE,
    HEAD_MAP32 = 0xDF,
};

static double float_of_bits(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

static double float_of_bits32(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof(value));
    return (double)value;
}

static bool signed_token(struct reader *reader, int64_t value, struct token *token_out)
{
    token_out->kind = value < 0 ? TOKEN_NEGATIVE : TOKEN_UNSIGNED;
    token_out->integer = (uint64_t)value;
    return !reader->failed;
}

static bool unsigned_token(struct reader *reader, uint64_t value, struct token *token_out)
{
    token_out->kind = TOKEN_UNSIGNED;
    token_out->integer = value;
    return !reader->failed;
}

static bool float_token(struct reader *reader, double value, struct token *token_out)
{
    token_out->kind = TOKEN_FLOAT;
    token_out->floating = value;
    return !reader->failed;
}

static bool payload_token(struct reader *reader, enum token_kind kind, uint32_t size,
                          struct token *token_out)
{
    token_out->kind = kind;
    token_out->payload = reader_bytes(reader, size);
    return !reader->failed;
}

static bool extension_token(struct reader *reader, uint32_t size, struct token *token_out)
{
    uint8_t type = reader_u8(reader);
    return type == DOCUMENT_EXT_NUMBER && payload_token(reader, TOKEN_NUMBER_TEXT, size, token_out);
}

static bool container_token(struct reader *reader, enum token_kind kind, uint32_t count,
                            struct token *token_out)
{
    token_out->kind = kind;
    token_out->count = count;
    return !reader->failed;
}

bool token_next_sized(struct reader *reader, uint8_t head, struct token *out)
{
    switch (head) {
    case HEAD_NIL:
        out->kind = TOKEN_NULL;
        return true;
    case HEAD_FALSE:
    case HEAD_TRUE:
        out->kind = TOKEN_BOOL;
        out->boolean = head == HEAD_TRUE;
        return true;
    case HEAD_EXT8:
        return extension_token(reader, reader_u8(reader), out);
    case HEAD_EXT16:
        return extension_token(reader, reader_u16(reader), out);
    case HEAD_EXT32:
        return extension_token(reader, reader_u32(reader), out);
    case HEAD_FLOAT32:
        return float_token(reader, float_of_bits32(reader_u32(reader)), out);
    case HEAD_FLOAT64:
        return float_token(reader, float_of_bits(reader_u64(reader)), out);
    case HEAD_UINT8:
        return unsigned_token(reader, reader_u8(reader), out);
    case HEAD_UINT16:
        return unsigned_token(reader, reader_u16(reader), out);
    case HEAD_UINT32:
        return unsigned_token(reader, reader_u32(reader), out);
    case HEAD_UINT64:
        return unsigned_token(reader, reader_u64(reader), out);
    case HEAD_INT8:
        return signed_token(reader, (int8_t)reader_u8(reader), out);
    case HEAD_INT16:
        return signed_token(reader, (int16_t)reader_u16(reader), out);
    case HEAD_INT32:
        return signed_token(reader, (int32_t)reader_u32(reader), out);
    case HEAD_INT64:
        return signed_token(reader, (int64_t)reader_u64(reader), out);
    case HEAD_STR8:
        return payload_token(reader, TOKEN_STRING, reader_u8(reader), out);
    case HEAD_STR16:
        return payload_token(reader, TOKEN_STRING, reader_u16(reader), out);
    case HEAD_STR32:
        return payload_token(reader, TOKEN_STRING, reader_u32(reader), out);
    case HEAD_ARRAY16:
        return container_token(reader, TOKEN_ARRAY, reader_u16(reader), out);
    case HEAD_ARRAY32:
        return container_token(reader, TOKEN_ARRAY, reader_u32(reader), out);
    case HEAD_MAP16:
        return container_token(reader, TOKEN_OBJECT, reader_u16(reader), out);
    case HEAD_MAP32:
        return container_token(reader, TOKEN_OBJECT, reader_u32(reader), out);
    default: /* a byte from outside, no enum: a fixext, or what no document holds */
        if (head >= HEAD_FIXEXT1 && head <= HEAD_FIXEXT16) {
            return extension_token(reader, UINT32_C(1) << (head - HEAD_FIXEXT1), out);
        }
        return false;
    }
}

bool token_skip(struct reader *reader)
{
    /*
     * At most 2^33 are added per head and each head takes a byte, so that the sum cannot overflow.
     */
    uint64_t left = 1;
    while (left > 0) {
        struct token token;
        if (!token_next(reader, &token)) {
            return false;
        }
        left += token_children(&token);
        left--;
        if (left > reader_left(reader)) {
            return false; /* more values announced than bytes are there */
        }
    }
    return true;
}

/* ---- ends ---- */

static bool ends_push(struct ends *ends, uint32_t from)
{
    if (ends->count == ends->capacity) {
        size_t capacity = ends->capacity * 2;
        struct end *items = malloc(capacity * sizeof(*items));
        if (items == NULL) {
            return false;
        }
        memcpy(items, ends->items, ends->count * sizeof(*items));
        if (ends->items != ends->local) {
            free(ends->items);
        }
        ends->items = items;
        ends->capacity = capacity;
    }
    ends->items[ends->count++] = (struct end){from, from};
    return true;
}

struct ends_frame {
    uint64_t left; /* values that must still come */
    size_t index;
};

/* Closes every container that is complete at `to`; the depth that is left. */
static size_t ends_close(struct ends *ends, struct ends_frame *frames, size_t depth, uint32_t to)
{
    while (depth > 0 && frames[depth - 1].left == 0) {
        struct end *end = &ends->items[frames[depth - 1].index];
        end->to = to;
        if (to - end->from <= ENDS_WALK_BYTES) {
            /* What lies inside is smaller still and was dropped before, so this one is the last. */
            ASSERT(frames[depth - 1].index == ends->count - 1);
            ends->count--;
        }
        depth--;
    }
    return depth;
}

enum status ends_init(struct ends *ends, struct bytes document)
{
    ends->base = document.data;
    ends->items = ends->local;
    ends->count = 0;
    ends->capacity = ENDS_LOCAL_MAX;
    if (document.size > UINT32_MAX) {
        return STATUS_INVALID;
    }
    struct ends_frame frames[DOCUMENT_DEPTH_MAX];
    size_t depth = 0;
    struct reader reader = reader_of(document);
    enum status status = STATUS_INVALID;
    do {
        uint32_t from = (uint32_t)reader.offset;
        struct token token;
        if (!token_next(&reader, &token)) {
            goto fail;
        }
        if (depth > 0) {
            frames[depth - 1].left--;
        }
        if (token_is_container(&token)) {
            uint64_t children = token_children(&token);
            if (depth == DOCUMENT_DEPTH_MAX || children > reader_left(&reader)) {
                goto fail;
            }
            if (!ends_push(ends, from)) {
                status = STATUS_NO_MEMORY;
                goto fail;
            }
            frames[depth++] = (struct ends_frame){children, ends->count - 1};
        }
        depth = ends_close(ends, frames, depth, (uint32_t)reader.offset);
    } while (depth > 0);
    if (reader_left(&reader) == 0) {
        return STATUS_OK;
    }
fail:
    ends_deinit(ends);
    return status;
}

void ends_deinit(struct ends *ends)
{
    if (ends->items != ends->local) {
        free(ends->items);
    }
    ends->items = ends->local;
    ends->count = 0;
    ends->capacity = ENDS_LOCAL_MAX;
}

static const struct end *ends_find(const struct ends *ends, uint32_t from)
{
    size_t low = 0;
    size_t high = ends->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (ends->items[middle].from == from) {
            return &ends->items[middle];
        }
        if (ends->items[middle].from < from) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}

bool ends_skip(const struct ends *ends, struct reader *reader)
{
    const uint8_t *at = reader->data + reader->offset;
    struct reader ahead = *reader;
    struct token token;
    if (!token_next(&ahead, &token)) {
        return false;
    }
    if (!token_is_container(&token)) {
        *reader = ahead;
        return true;
    }
    ASSERT(at >= ends->base);
    const struct end *end = ends_find(ends, (uint32_t)(at - ends->base));
    if (end == NULL) {
        return token_skip(reader);
    }
    return reader_take(reader, end->to - end->from) != NULL;
}

bool ends_next_element(const struct ends *ends, struct document_cursor *cursor,
                       struct bytes *value_out)
{
    if (cursor->left == 0) {
        return false;
    }
    cursor->left--;
    size_t from = cursor->reader.offset;
    if (!ends_skip(ends, &cursor->reader)) {
        cursor->left = 0;
        return false;
    }
    *value_out = bytes_of(cursor->reader.data + from, cursor->reader.offset - from);
    return true;
}

bool ends_next_member(const struct ends *ends, struct document_cursor *cursor,
                      struct bytes *name_out, struct bytes *value_out)
{
    struct token token;
    if (cursor->left == 0) {
        return false;
    }
    if (!token_next(&cursor->reader, &token) || token.kind != TOKEN_STRING) {
        cursor->left = 0;
        return false;
    }
    *name_out = token.payload;
    return ends_next_element(ends, cursor, value_out);
}
