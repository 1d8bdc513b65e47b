#include "net/http/chunked.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#include "protocol/base/assert.h"

static_assert(CHUNK_SIZE_DIGITS_MAX * 4 <= 32, "a chunk's size fits into 32 bits");

/* -1: not a hexadecimal digit. */
static int digit_of(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    uint8_t lower = (uint8_t)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

static enum chunked_result size_byte(struct chunked *chunked, uint8_t c)
{
    int digit = digit_of(c);
    if (digit >= 0) {
        if (chunked->digits == CHUNK_SIZE_DIGITS_MAX) {
            return CHUNKED_TOO_LARGE;
        }
        chunked->left = chunked->left << 4 | (uint32_t)digit;
        chunked->digits++;
        return CHUNKED_MORE;
    }
    if (chunked->digits == 0) {
        return CHUNKED_BAD;
    }
    if (c == '\r') {
        chunked->state = CHUNKED_SIZE_LF;
        return CHUNKED_MORE;
    }
    /* White space before an extension is not in the grammar of a sender. */
    chunked->state = CHUNKED_EXTENSION;
    return c == ';' ? CHUNKED_MORE : CHUNKED_BAD;
}

static bool is_control(uint8_t c)
{
    return (c < 0x20 && c != '\t') || c == 0x7f;
}

static enum chunked_result extension_byte(struct chunked *chunked, uint8_t c)
{
    if (c == '\r') {
        chunked->state = CHUNKED_SIZE_LF;
        return CHUNKED_MORE;
    }
    chunked->extension_bytes++;
    if (is_control(c)) {
        return CHUNKED_BAD;
    }
    return chunked->extension_bytes > CHUNK_EXTENSION_BYTES_MAX ? CHUNKED_BAD : CHUNKED_MORE;
}

static enum chunked_result trailer_byte(struct chunked *chunked, uint8_t c)
{
    bool start = chunked->state == CHUNKED_TRAILER_START;
    if (c == '\r') {
        chunked->state = start ? CHUNKED_END_LF : CHUNKED_TRAILER_LF;
        return CHUNKED_MORE;
    }
    chunked->state = CHUNKED_TRAILER;
    chunked->trailer_bytes++;
    if (is_control(c) || (start && (c == ' ' || c == '\t' || c == ':'))) {
        return CHUNKED_BAD;
    }
    return chunked->trailer_bytes > CHUNK_TRAILER_BYTES_MAX ? CHUNKED_BAD : CHUNKED_MORE;
}

/* All bytes but those of a chunk's data. */
static enum chunked_result frame_byte(struct chunked *chunked, uint8_t c)
{
    switch (chunked->state) {
    case CHUNKED_SIZE:
        return size_byte(chunked, c);
    case CHUNKED_EXTENSION:
        return extension_byte(chunked, c);
    case CHUNKED_SIZE_LF:
        chunked->state = chunked->left == 0 ? CHUNKED_TRAILER_START : CHUNKED_DATA;
        chunked->digits = 0;
        return c == '\n' ? CHUNKED_MORE : CHUNKED_BAD;
    case CHUNKED_DATA:
        UNREACHABLE();
    case CHUNKED_DATA_CR:
        chunked->state = CHUNKED_DATA_LF;
        return c == '\r' ? CHUNKED_MORE : CHUNKED_BAD;
    case CHUNKED_DATA_LF:
        chunked->state = CHUNKED_SIZE;
        return c == '\n' ? CHUNKED_MORE : CHUNKED_BAD;
    case CHUNKED_TRAILER:
    case CHUNKED_TRAILER_START:
        return trailer_byte(chunked, c);
    case CHUNKED_TRAILER_LF:
        chunked->state = CHUNKED_TRAILER_START;
        return c == '\n' ? CHUNKED_MORE : CHUNKED_BAD;
    case CHUNKED_END_LF:
        return c == '\n' ? CHUNKED_DONE : CHUNKED_BAD;
    }
    UNREACHABLE();
}

enum chunked_result chunked_decode(struct chunked *chunked, uint8_t *data, size_t size,
                                   size_t body_max, size_t *raw_inout, size_t *decoded_inout)
{
    size_t raw = *raw_inout;
    size_t decoded = *decoded_inout;
    ASSERT(decoded <= raw && raw <= size);
    ASSERT(decoded <= body_max);
    enum chunked_result result = CHUNKED_MORE;
    while (raw < size && result == CHUNKED_MORE) {
        if (chunked->state != CHUNKED_DATA) {
            result = frame_byte(chunked, data[raw++]);
            if (result == CHUNKED_MORE && chunked->state == CHUNKED_DATA &&
                chunked->left > body_max - decoded) {
                result = CHUNKED_TOO_LARGE;
            }
            continue;
        }
        size_t piece = size - raw < chunked->left ? size - raw : chunked->left;
        memmove(data + decoded, data + raw, piece);
        raw += piece;
        decoded += piece;
        chunked->left -= (uint32_t)piece;
        if (chunked->left == 0) {
            chunked->state = CHUNKED_DATA_CR;
        }
    }
    *raw_inout = raw;
    *decoded_inout = decoded;
    ASSERT(decoded <= raw);
    return result;
}
