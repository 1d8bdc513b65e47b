/* memcached's text protocol: a line, or a value behind its line and END behind that. A value counts
 * as 200 and so does what was done; what is not there as 404; every error as 500. */
#include <string.h>

#include "bench/load/response.h"

#define VALUE_BYTES_MAX (1u << 30) /* the largest that memcached can be told to hold */

struct reply {
    struct bytes line;
    uint16_t status;
};

static const struct reply replies[] = {
    {BYTES_LITERAL("STORED\r\n"), 200},     {BYTES_LITERAL("END\r\n"), 404},
    {BYTES_LITERAL("DELETED\r\n"), 200},    {BYTES_LITERAL("NOT_FOUND\r\n"), 404},
    {BYTES_LITERAL("NOT_STORED\r\n"), 500}, {BYTES_LITERAL("ERROR\r\n"), 500},
};

/* VALUE key flags size, perhaps with a number more. */
static enum status value_begin(struct response *response, struct bytes line)
{
    size_t at = 0;
    for (uint32_t word = 0; word < 3; word++) {
        const uint8_t *space =
            at == line.size ? NULL : (const uint8_t *)memchr(line.data + at, ' ', line.size - at);
        if (space == NULL) {
            return STATUS_INVALID;
        }
        at = (size_t)(space - line.data) + 1;
    }
    uint64_t size = 0;
    size_t digits = bytes_decimal(bytes_slice(line, at, line.size), &size);
    uint8_t end = at + digits < line.size ? line.data[at + digits] : 0;
    if (digits == 0 || (end != ' ' && end != '\r') || size > VALUE_BYTES_MAX) {
        return STATUS_INVALID;
    }
    response->status = 200;
    response->left = size + 2; /* with its line's end */
    response->state = RESPONSE_BODY;
    return STATUS_OK;
}

static enum status reply_read(struct response *response, struct bytes line, bool *done_out)
{
    response_body_begin(response);
    if (bytes_starts_with(line, BYTES_LITERAL("VALUE "))) {
        return value_begin(response, line);
    }
    for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
        if (bytes_equal(line, replies[i].line)) {
            response->status = replies[i].status;
            *done_out = true;
            return STATUS_OK;
        }
    }
    response->status = 500;
    *done_out = bytes_starts_with(line, BYTES_LITERAL("SERVER_ERROR ")) ||
                bytes_starts_with(line, BYTES_LITERAL("CLIENT_ERROR "));
    return *done_out ? STATUS_OK : STATUS_INVALID;
}

enum status response_memcached_read(struct response *response, struct bytes bytes,
                                    size_t *taken_out, bool *done_out)
{
    *done_out = false;
    if (response->state == RESPONSE_BODY) {
        enum status status = response_block(response, bytes, false, taken_out);
        response->state = response->left == 0 ? RESPONSE_TRAILER : RESPONSE_BODY;
        return status;
    }
    struct bytes line;
    enum status status = response_line(response, bytes, taken_out, &line);
    if (status != STATUS_OK || line.size == 0) {
        return status;
    }
    if (response->state == RESPONSE_HEAD) {
        return reply_read(response, line, done_out);
    }
    if (!bytes_equal(line, BYTES_LITERAL("END\r\n"))) {
        return STATUS_INVALID;
    }
    response->state = RESPONSE_HEAD;
    *done_out = true;
    return response_body_add(response, BYTES_EMPTY, true);
}
