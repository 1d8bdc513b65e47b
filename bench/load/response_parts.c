/* What answers of several protocols have in common. */
#include <stdlib.h>
#include <string.h>

#include "bench/load/response.h"
#include "protocol/base/assert.h"

#define KEPT_BYTES_MIN  4096
#define BLOCK_END_BYTES 2 /* CR and LF */

void response_reset(struct response *response)
{
    free(response->gathered);
    free(response->kept);
    *response = (struct response){.keep = response->keep};
}

enum status response_line(struct response *response, struct bytes bytes, size_t *taken_out,
                          struct bytes *line_out)
{
    *line_out = BYTES_EMPTY;
    const uint8_t *end = (const uint8_t *)memchr(bytes.data, '\n', bytes.size);
    size_t taken = end == NULL ? bytes.size : (size_t)(end - bytes.data) + 1;
    *taken_out = taken;
    if (taken > RESPONSE_SHORT_BYTES - response->short_size) {
        return STATUS_TOO_LARGE;
    }
    if (end != NULL && response->short_size == 0) {
        *line_out = bytes_of(bytes.data, taken);
        return STATUS_OK;
    }
    memcpy(response->short_bytes + response->short_size, bytes.data, taken);
    response->short_size += (uint32_t)taken;
    if (end != NULL) {
        *line_out = bytes_of(response->short_bytes, response->short_size);
        response->short_size = 0;
    }
    return STATUS_OK;
}

void response_body_begin(struct response *response)
{
    response->body_size = 0;
    response->body = BYTES_EMPTY;
}

static enum status kept_grow(struct response *response, size_t size)
{
    if (size <= response->kept_capacity) {
        return STATUS_OK;
    }
    if (size > RESPONSE_BODY_BYTES_MAX) {
        return STATUS_TOO_LARGE;
    }
    size_t capacity = response->kept_capacity == 0 ? KEPT_BYTES_MIN : response->kept_capacity;
    while (capacity < size) {
        capacity *= 2;
    }
    uint8_t *kept = (uint8_t *)realloc(response->kept, capacity);
    if (kept == NULL) {
        return STATUS_NO_MEMORY;
    }
    response->kept = kept;
    response->kept_capacity = capacity;
    return STATUS_OK;
}

enum status response_body_add(struct response *response, struct bytes part, bool last)
{
    uint64_t before = response->body_size;
    response->body_size += part.size;
    if (!response->keep) {
        return STATUS_OK;
    }
    if (last && before == 0) {
        response->body = part; /* whole, where it was received */
        return STATUS_OK;
    }
    enum status status = kept_grow(response, (size_t)response->body_size);
    if (status != STATUS_OK) {
        return status;
    }
    if (part.size > 0) {
        memcpy(response->kept + before, part.data, part.size);
    }
    if (last) {
        response->body = bytes_of(response->kept, (size_t)response->body_size);
    }
    return STATUS_OK;
}

enum status response_block(struct response *response, struct bytes bytes, bool ends_answer,
                           size_t *taken_out)
{
    ASSERT(response->left > 0);
    size_t taken = response->left < bytes.size ? (size_t)response->left : bytes.size;
    uint64_t body_left = response->left > BLOCK_END_BYTES ? response->left - BLOCK_END_BYTES : 0;
    size_t part = body_left < taken ? (size_t)body_left : taken;
    response->left -= taken;
    *taken_out = taken;
    bool last = ends_answer && response->left == 0;
    return response_body_add(response, bytes_of(bytes.data, part), last);
}
