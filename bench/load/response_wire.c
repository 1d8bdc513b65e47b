/* Frames: each is an answer but WELCOME. */
#include <assert.h>
#include <string.h>

#include "bench/load/response.h"
#include "protocol/base/assert.h"
#include "protocol/frame/frame.h"

static_assert(RESPONSE_SHORT_BYTES >= FRAME_HEADER_BYTES, "a header is gathered there");

/* The header, perhaps in pieces; false: more is needed. */
static bool header_read(struct response *response, struct bytes bytes, size_t *taken_out,
                        struct frame_header *header_out)
{
    size_t missing = FRAME_HEADER_BYTES - response->short_size;
    size_t taken = bytes.size < missing ? bytes.size : missing;
    memcpy(response->short_bytes + response->short_size, bytes.data, taken);
    response->short_size += (uint32_t)taken;
    *taken_out = taken;
    if (response->short_size < FRAME_HEADER_BYTES) {
        return false;
    }
    response->short_size = 0;
    *header_out = frame_header_read(response->short_bytes);
    return true;
}

static bool frame_ended(struct response *response)
{
    response->state = RESPONSE_HEAD;
    if (response->greeting) {
        response->greeting = false;
        return false;
    }
    return true;
}

enum status response_wire_read(struct response *response, struct bytes bytes, size_t *taken_out,
                               bool *done_out)
{
    *done_out = false;
    if (response->state == RESPONSE_BODY) {
        *taken_out = response->left < bytes.size ? (size_t)response->left : bytes.size;
        response->left -= *taken_out;
        bool last = response->left == 0;
        enum status status = response_body_add(response, bytes_of(bytes.data, *taken_out), last);
        *done_out = last && frame_ended(response);
        return status;
    }
    struct frame_header header;
    if (!header_read(response, bytes, taken_out, &header)) {
        return STATUS_OK;
    }
    bool welcome = header.opcode == (FRAME_HELLO | FRAME_ANSWER);
    if ((header.opcode & FRAME_ANSWER) == 0 || header.length > FRAME_ANSWER_BYTES_MAX ||
        header.code >= 600 || (response->greeting && !welcome)) {
        return STATUS_INVALID;
    }
    response_body_begin(response);
    response->status = header.code;
    response->id = header.id;
    response->left = header.length;
    response->state = RESPONSE_BODY;
    if (header.length == 0) {
        *done_out = frame_ended(response);
    }
    return STATUS_OK;
}
