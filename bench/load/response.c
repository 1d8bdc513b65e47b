#include "bench/load/response.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "protocol/base/assert.h"

#define BODY_BYTES_MAX (1ull << 40)

/* The text up to and with the first `end`, gathered over several calls where it comes in pieces;
 * empty: more needed. */
static enum status take_until(struct response *response, struct bytes bytes, struct bytes end,
                              size_t *taken_out, struct bytes *text_out)
{
    *text_out = BYTES_EMPTY;
    size_t before = response->gathered_size;
    if (before == 0) {
        const uint8_t *at = (const uint8_t *)memmem(bytes.data, bytes.size, end.data, end.size);
        if (at != NULL) {
            *taken_out = (size_t)(at - bytes.data) + end.size;
            *text_out = bytes_of(bytes.data, *taken_out);
            return *taken_out <= RESPONSE_HEAD_BYTES_MAX ? STATUS_OK : STATUS_TOO_LARGE;
        }
    }
    if (response->gathered == NULL) {
        response->gathered = (uint8_t *)malloc(RESPONSE_HEAD_BYTES_MAX);
        if (response->gathered == NULL) {
            return STATUS_NO_MEMORY;
        }
    }
    size_t room = RESPONSE_HEAD_BYTES_MAX - before;
    size_t copied = bytes.size < room ? bytes.size : room;
    memcpy(response->gathered + before, bytes.data, copied);
    size_t size = before + copied;
    const uint8_t *at = (const uint8_t *)memmem(response->gathered, size, end.data, end.size);
    if (at != NULL) {
        size_t text_size = (size_t)(at - response->gathered) + end.size;
        ASSERT(text_size > before);
        response->gathered_size = 0;
        *taken_out = text_size - before;
        *text_out = bytes_of(response->gathered, text_size);
        return STATUS_OK;
    }
    if (copied < bytes.size) {
        return STATUS_TOO_LARGE;
    }
    response->gathered_size = (uint32_t)size;
    *taken_out = copied;
    return STATUS_OK;
}

static bool parse_digits(struct bytes text, uint32_t base, uint64_t *value_out)
{
    uint64_t value = 0;
    size_t digits = 0;
    for (; digits < text.size; digits++) {
        uint8_t c = text.data[digits];
        uint32_t digit = c >= '0' && c <= '9' ? (uint32_t)(c - '0')
                         : (c | 0x20) >= 'a' && (c | 0x20) <= 'f'
                             ? (uint32_t)((c | 0x20) - 'a' + 10)
                             : 99u;
        if (digit >= base) {
            break;
        }
        if (value > BODY_BYTES_MAX) {
            return false;
        }
        value = value * base + digit;
    }
    *value_out = value;
    return digits > 0;
}

static bool named(struct bytes line, const char *name, size_t name_size, struct bytes *value_out)
{
    if (line.size < name_size || strncasecmp((const char *)line.data, name, name_size) != 0) {
        return false;
    }
    size_t at = name_size;
    while (at < line.size && line.data[at] == ' ') {
        at++;
    }
    *value_out = bytes_of(line.data + at, line.size - at);
    return true;
}

struct framing {
    bool sized;
    bool chunked;
    uint64_t size;
};

/* One header line without its CRLF. Only three names matter; their first letter and length filter
 * the rest. */
static bool read_line(struct response *response, struct bytes line, struct framing *framing)
{
    struct bytes value;
    if (line.size < 11) {
        return true;
    }
    uint8_t first = line.data[0] | 0x20;
    if (first == 'c') {
        if (named(line, "content-length:", 15, &value)) {
            framing->sized = true;
            return parse_digits(value, 10, &framing->size);
        }
        if (named(line, "connection:", 11, &value) && value.size >= 5 &&
            strncasecmp((const char *)value.data, "close", 5) == 0) {
            response->closes = true;
        }
    } else if (first == 't' && named(line, "transfer-encoding:", 18, &value)) {
        framing->chunked =
            value.size >= 7 && strncasecmp((const char *)value.data, "chunked", 7) == 0;
        return framing->chunked;
    }
    return true;
}

static bool read_head(struct response *response, struct bytes head, struct framing *framing)
{
    *framing = (struct framing){0};
    uint64_t status = 0;
    if (head.size < 14 || memcmp(head.data, "HTTP/1.", 7) != 0 ||
        !parse_digits(bytes_of(head.data + 9, 3), 10, &status) || status < 100 || status > 599) {
        return false;
    }
    response->status = (uint16_t)status;
    response->closes = head.data[7] == '0';
    const uint8_t *end = head.data + head.size;
    const uint8_t *line = (const uint8_t *)memchr(head.data, '\n', head.size);
    ASSERT(line != NULL);
    for (line += 1; line < end;) {
        const uint8_t *line_end = (const uint8_t *)memchr(line, '\n', (size_t)(end - line));
        if (line_end == NULL ||
            !read_line(response, bytes_of(line, (size_t)(line_end - line)), framing)) {
            return line_end == NULL;
        }
        line = line_end + 1;
    }
    return true;
}

/* What follows a head. */
static enum status after_head(struct response *response, struct bytes head, bool to_head,
                              bool *done_out)
{
    struct framing framing;
    if (!read_head(response, head, &framing)) {
        return STATUS_INVALID;
    }
    response_body_begin(response);
    bool interim = response->status < 200;
    bool bodiless = to_head || response->status == 204 || response->status == 304;
    if (interim || bodiless) {
        *done_out = !interim;
    } else if (framing.chunked) {
        response->state = RESPONSE_CHUNK_LINE;
    } else if (!framing.sized) {
        return STATUS_INVALID; /* its end would be the connection's end */
    } else {
        response->left = framing.size;
        response->state = framing.size > 0 ? RESPONSE_BODY : RESPONSE_HEAD;
        *done_out = framing.size == 0;
    }
    return STATUS_OK;
}

/* The parts that end with a line: a head, a chunk's size, the end of its data, a trailer. */
static enum status read_text(struct response *response, struct bytes bytes, bool to_head,
                             size_t *taken_out, bool *done_out)
{
    struct bytes text;
    struct bytes end =
        response->state == RESPONSE_HEAD ? BYTES_LITERAL("\r\n\r\n") : BYTES_LITERAL("\r\n");
    enum status status = take_until(response, bytes, end, taken_out, &text);
    if (status != STATUS_OK || text.size == 0) {
        return status;
    }
    if (response->state == RESPONSE_HEAD) {
        return after_head(response, text, to_head, done_out);
    }
    if (response->state == RESPONSE_CHUNK_LINE) {
        if (!parse_digits(text, 16, &response->left)) {
            return STATUS_INVALID;
        }
        response->state = response->left > 0 ? RESPONSE_CHUNK_DATA : RESPONSE_TRAILER;
    } else if (response->state == RESPONSE_CHUNK_END) {
        response->state = RESPONSE_CHUNK_LINE;
        return text.size == 2 ? STATUS_OK : STATUS_INVALID;
    } else if (text.size == 2) {
        response->state = RESPONSE_HEAD;
        *done_out = true;
        return response_body_add(response, BYTES_EMPTY, true);
    }
    return STATUS_OK;
}

enum status response_read(struct response *response, struct bytes bytes, bool to_head,
                          size_t *taken_out, bool *done_out)
{
    size_t offset = 0;
    bool done = false;
    enum status status = STATUS_OK;
    while (offset < bytes.size && !done && status == STATUS_OK) {
        struct bytes rest = bytes_of(bytes.data + offset, bytes.size - offset);
        size_t taken = 0;
        if (response->state == RESPONSE_BODY || response->state == RESPONSE_CHUNK_DATA) {
            taken = response->left < rest.size ? (size_t)response->left : rest.size;
            response->left -= taken;
            done = response->left == 0 && response->state == RESPONSE_BODY;
            status = response_body_add(response, bytes_of(rest.data, taken), done);
            if (response->left == 0) {
                response->state = done ? RESPONSE_HEAD : RESPONSE_CHUNK_END;
            }
        } else {
            status = read_text(response, rest, to_head, &taken, &done);
        }
        offset += taken;
    }
    ASSERT(offset <= bytes.size);
    *taken_out = offset;
    *done_out = done;
    return status;
}
