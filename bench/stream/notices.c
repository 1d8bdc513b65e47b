#include "bench/stream/notices.h"

#include "protocol/base/assert.h"

#define CHUNK_BYTES_MAX (1ull << 32)

static const struct bytes key_prefix = {(const uint8_t *)"bench:", 6};
static const struct bytes serial_name = {(const uint8_t *)"\"serial\":", 9};
static const struct bytes event_name = {(const uint8_t *)"\"eventID\":", 10};

void notices_init(struct notices *notices, bool chunked)
{
    notices->chunked = chunked;
    notices->bad = false;
    notices->in_size = true;
    notices->chunk_left = 0;
    notices->chunk_size = 0;
    notices->line_size = 0;
}

static size_t find(struct bytes line, struct bytes part)
{
    const uint8_t *at = line.size == 0 ? NULL : memmem(line.data, line.size, part.data, part.size);
    return at == NULL ? SIZE_MAX : (size_t)(at - line.data);
}

static void line_end(struct notices *notices, notices_told *told, void *context)
{
    struct bytes line = bytes_of(notices->line, notices->line_size);
    struct bytes digits = BYTES_EMPTY;
    notices->line_size = 0;
    if (bytes_starts_with(line, key_prefix)) {
        digits = bytes_slice(line, key_prefix.size, line.size);
    } else {
        size_t at = find(line, serial_name);
        if (at != SIZE_MAX) {
            digits = bytes_slice(line, at + serial_name.size, line.size);
        } else if (find(line, event_name) != SIZE_MAX) {
            told(context, 0);
        }
    }
    uint64_t serial = 0;
    size_t count = 0;
    while (count < digits.size && digits.data[count] >= '0' && digits.data[count] <= '9') {
        serial = serial * 10 + (uint64_t)(digits.data[count++] - '0');
    }
    if (count > 0) {
        told(context, serial);
    }
}

static void lines_feed(struct notices *notices, struct bytes bytes, notices_told *told,
                       void *context)
{
    while (bytes.size > 0) {
        const uint8_t *end = memchr(bytes.data, '\n', bytes.size);
        size_t size = end == NULL ? bytes.size : (size_t)(end - bytes.data);
        size_t room = NOTICES_LINE_BYTES_MAX - notices->line_size;
        size_t taken = size < room ? size : room;
        memcpy(notices->line + notices->line_size, bytes.data, taken);
        notices->line_size += taken;
        if (end != NULL) {
            line_end(notices, told, context);
            size++;
        }
        bytes = bytes_slice(bytes, size, bytes.size);
    }
}

/* One byte of "1f4\r\n". */
static void chunk_size_feed(struct notices *notices, uint8_t byte)
{
    uint8_t lower = byte | 0x20;
    if (byte >= '0' && byte <= '9') {
        notices->chunk_size = notices->chunk_size * 16 + (uint64_t)(byte - '0');
    } else if (lower >= 'a' && lower <= 'f') {
        notices->chunk_size = notices->chunk_size * 16 + (uint64_t)(lower - 'a') + 10;
    } else if (byte == '\n') {
        notices->in_size = false;
        notices->chunk_left = notices->chunk_size + 2;
        notices->chunk_size = 0;
    } else if (byte != '\r') {
        notices->bad = true;
    }
    notices->bad = notices->bad || notices->chunk_size > CHUNK_BYTES_MAX;
}

void notices_feed(struct notices *notices, struct bytes bytes, notices_told *told, void *context)
{
    ASSERT(told != NULL);
    if (!notices->chunked) {
        lines_feed(notices, bytes, told, context);
        return;
    }
    while (bytes.size > 0 && !notices->bad) {
        if (notices->in_size) {
            chunk_size_feed(notices, bytes.data[0]);
            bytes = bytes_slice(bytes, 1, bytes.size);
            continue;
        }
        /* The last two bytes are no data. */
        ASSERT(notices->chunk_left > 0);
        uint64_t data_left = notices->chunk_left > 2 ? notices->chunk_left - 2 : 0;
        uint64_t most = data_left > 0 ? data_left : notices->chunk_left;
        size_t size = bytes.size < most ? bytes.size : (size_t)most;
        if (data_left > 0) {
            lines_feed(notices, bytes_slice(bytes, 0, size), told, context);
        }
        notices->chunk_left -= size;
        notices->in_size = notices->chunk_left == 0;
        bytes = bytes_slice(bytes, size, bytes.size);
    }
}
