/* RESP2: a line, and behind that of a bulk string its bytes. An error counts as 500, nil as 404. */
#include <stdlib.h>
#include <string.h>

#include "bench/load/response.h"

#define BULK_BYTES_MAX (512 << 20)

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
        enum status status = response_block(response, bytes, true, taken_out);
        *done_out = response->left == 0;
        response->state = response->left == 0 ? RESPONSE_HEAD : RESPONSE_BODY;
        return status;
    }
    struct bytes line;
    enum status status = response_line(response, bytes, taken_out, &line);
    if (status != STATUS_OK || line.size == 0) {
        return status;
    }
    response_body_begin(response);
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
