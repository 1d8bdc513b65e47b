/* RESP2: a line, and behind that of a bulk string its bytes. An error counts as 500, nil as 404. */
#include <stdlib.h>
#include <string.h>

#include "bench/load/response.h"
#include "protocol/base/assert.h"

#define BULK_BYTES_MAX (512 << 20)

/* A line with its end, perhaps in pieces; empty: more is needed. */
static enum status line_read(struct response *response, struct bytes bytes, size_t *taken_out,
                             struct bytes *line_out)
{
    *line_out = BYTES_EMPTY;
    const uint8_t *end = (const uint8_t *)memchr(bytes.data, '\n', bytes.size);
    size_t taken = end == NULL ? bytes.size : (size_t)(end - bytes.data) + 1;
    *taken_out = taken;
    if (end != NULL && response->short_size == 0) {
        *line_out = bytes_of(bytes.data, taken);
        return STATUS_OK;
    }
    if (taken > RESPONSE_SHORT_BYTES - response->short_size) {
        return STATUS_TOO_LARGE;
    }
    memcpy(response->short_bytes + response->short_size, bytes.data, taken);
    response->short_size += (uint32_t)taken;
    if (end != NULL) {
        *line_out = bytes_of(response->short_bytes, response->short_size);
        response->short_size = 0;
    }
    return STATUS_OK;
}

static enum status bulk_begin(struct response *response, struct bytes line, bool *done_out)
{
    char text[16] = {0};
    if (line.size < 4 || line.size - 3 >= sizeof(text)) {
        return STATUS_INVALID;
    }
    memcpy(text, line.data + 1, line.size - 3);
    char *end = NULL;
    long size = strtol(text, &end, 10);
    if (end == text || *end != '\0' || size < -1 || size > BULK_BYTES_MAX) {
        return STATUS_INVALID;
    }
    response->status = size < 0 ? 404 : 200;
    *done_out = size < 0;
    if (size >= 0) {
        response->left = (uint64_t)size + 2; /* with its line's end */
        response->state = RESPONSE_BODY;
    }
    return STATUS_OK;
}

enum status response_redis_read(struct response *response, struct bytes bytes, size_t *taken_out,
                                bool *done_out)
{
    *done_out = false;
    if (response->state == RESPONSE_BODY) {
        *taken_out = response->left < bytes.size ? (size_t)response->left : bytes.size;
        response->left -= *taken_out;
        *done_out = response->left == 0;
        response->state = response->left == 0 ? RESPONSE_HEAD : RESPONSE_BODY;
        return STATUS_OK;
    }
    struct bytes line;
    enum status status = line_read(response, bytes, taken_out, &line);
    if (status != STATUS_OK || line.size == 0) {
        return status;
    }
    switch (line.data[0]) {
    case '$':
        return bulk_begin(response, line, done_out);
    case '+':
    case ':':
        response->status = 200;
        *done_out = true;
        return STATUS_OK;
    case '-':
        response->status = 500;
        *done_out = true;
        return STATUS_OK;
    default:
        return STATUS_INVALID;
    }
}
