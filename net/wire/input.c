/*
 * input.c: from bytes to frames. A frame that is whole in the receive buffer is handled where it
 * lies. What is not complete is copied to the connection's input, which grows with what really
 * arrives, whatever a header claims.
 */
#include <stdlib.h>

#include "net/wire/wire_internal.h"
#include "protocol/base/assert.h"

#define INPUT_BYTES_MIN 4096
/* What may arrive until a stop of the receive takes effect. */
#define INPUT_SLACK_BYTES (4u << 20)
#define INPUT_BYTES_MAX   (FRAME_HEADER_BYTES + FRAME_REQUEST_BYTES_MAX + INPUT_SLACK_BYTES)

bool wire_input_blocked(const struct wire_connection *connection)
{
    uint64_t reads = connection->read_count + connection->held_count;
    return connection->call_count + connection->held_count >=
               connection->server->options.requests_max ||
           (reads >= WIRE_READS_LEAST &&
            reads * connection->read_bytes_mean >= WIRE_EXPECTED_BYTES_MAX) ||
           connection->list_count >= WIRE_LISTS_MAX ||
           connection->output.unsent_bytes > WIRE_UNSENT_BYTES_MAX ||
           /* What comes behind its writes is carried out behind them. */
           connection->beginning != NULL;
}

void wire_input_drop(struct wire_connection *connection)
{
    struct wire_input *input = &connection->input;
    if (input->data != NULL) {
        memory_give(&connection->server->memory, input->data, input->capacity);
    }
    *input = (struct wire_input){.data = NULL};
}

/* ---- frames ---- */

/* The connection cannot go on: what follows cannot be told apart any more. */
static void input_refuse(struct wire_connection *connection, uint16_t status, struct bytes detail)
{
    wire_answer_error(connection, 0, status, detail);
    wire_connection_end(connection);
}

/* False: the connection ends. */
static bool header_check(struct wire_connection *connection, const struct frame_header *header)
{
    if (!connection->welcomed && header->opcode != FRAME_HELLO) {
        input_refuse(connection, 400,
                     BYTES_LITERAL("The first frame is HELLO; is this the port of another "
                                   "protocol?"));
        return false;
    }
    if (header->length > FRAME_REQUEST_BYTES_MAX) {
        input_refuse(connection, 413, BYTES_LITERAL("A frame has at most 8 MiB"));
        return false;
    }
    return true;
}

static void frame_take(struct wire_connection *connection, const struct frame_header *header,
                       struct bytes body)
{
    if ((header->flags & FRAME_FLAG_CHECKED) != 0 && frame_check(body) != header->check) {
        input_refuse(connection, 400, BYTES_LITERAL("The body does not match its checksum"));
        return;
    }
    const struct wire_frame frame = {
        .id = header->id, .opcode = header->opcode, .flags = header->flags, .body = body};
    wire_frame_handle(connection, &frame);
}

/* Handles the whole frames at the beginning of the bytes, as many as may be; returns how many bytes
 * that were. */
static size_t frames_take(struct wire_connection *connection, const uint8_t *data, size_t size)
{
    size_t done = 0;
    while (size - done >= FRAME_HEADER_BYTES && connection->phase == WIRE_OPEN &&
           !wire_input_blocked(connection)) {
        struct bytes left = bytes_slice(bytes_of(data, size), done, size);
        struct frame_header header = frame_header_read(left.data);
        if (!header_check(connection, &header)) {
            return size;
        }
        if (left.size - FRAME_HEADER_BYTES < header.length) {
            break;
        }
        frame_take(connection, &header, bytes_slice(left, FRAME_HEADER_BYTES, header.length));
        done += FRAME_HEADER_BYTES + header.length;
    }
    ASSERT(done <= size);
    return connection->phase == WIRE_OPEN ? done : size;
}

/* ---- what is kept ---- */

static bool input_reserve(struct wire_connection *connection, size_t size)
{
    struct wire_input *input = &connection->input;
    struct memory_budget *memory = &connection->server->memory;
    if (size <= input->capacity - input->end) {
        return true;
    }
    if (input->start > 0) {
        memmove(input->data, input->data + input->start, input->end - input->start);
        input->end -= input->start;
        input->start = 0;
    }
    size_t wanted = input->end + size;
    if (wanted <= input->capacity) {
        return true;
    }
    if (wanted > INPUT_BYTES_MAX) {
        return false;
    }
    size_t capacity = input->capacity * 2 > wanted ? input->capacity * 2 : wanted;
    capacity = capacity < INPUT_BYTES_MIN ? INPUT_BYTES_MIN : capacity;
    uint8_t *data = input->data == NULL
                        ? (uint8_t *)memory_take(memory, capacity, MEMORY_FOR_REQUEST)
                        : (uint8_t *)memory_grow(memory, input->data, input->capacity, capacity);
    if (data == NULL) {
        return false;
    }
    input->data = data;
    input->capacity = capacity;
    return true;
}

/*
 * No memory for a frame of which a part is there: it is answered 503, and its bytes are thrown away
 * as they come. Returns how many of these bytes are the frame's.
 */
static size_t input_skip(struct wire_connection *connection, const uint8_t *data, size_t size)
{
    struct wire_input *input = &connection->input;
    size_t kept = wire_input_size(connection);
    if (wire_input_blocked(connection) || kept + size < FRAME_HEADER_BYTES) {
        wire_connection_abort(connection);
        return size;
    }
    uint8_t bytes[FRAME_HEADER_BYTES];
    size_t first = kept < FRAME_HEADER_BYTES ? kept : FRAME_HEADER_BYTES;
    if (first > 0) {
        memcpy(bytes, input->data + input->start, first);
    }
    memcpy(bytes + first, data, FRAME_HEADER_BYTES - first);
    const struct frame_header header = frame_header_read(bytes);
    wire_input_drop(connection);
    if (!header_check(connection, &header)) {
        return size;
    }
    ASSERT(kept < FRAME_HEADER_BYTES + (size_t)header.length); /* it is not blocked */
    size_t left = FRAME_HEADER_BYTES + (size_t)header.length - kept;
    size_t taken = left < size ? left : size;
    input->skip = left - taken;
    wire_answer_status(connection, header.id, STATUS_NO_MEMORY, BYTES_EMPTY);
    return taken;
}

/* Returns how many bytes found a place, or are to have none. */
static size_t input_append(struct wire_connection *connection, const uint8_t *data, size_t size)
{
    struct wire_input *input = &connection->input;
    if (!input_reserve(connection, size)) {
        return input_skip(connection, data, size);
    }
    memcpy(input->data + input->end, data, size);
    input->end += size;
    ASSERT(input->end <= input->capacity);
    return size;
}

void wire_input_resume(struct wire_connection *connection)
{
    struct wire_input *input = &connection->input;
    if (input->data == NULL || connection->phase != WIRE_OPEN) {
        return;
    }
    size_t done = frames_take(connection, input->data + input->start, input->end - input->start);
    input->start += done;
    ASSERT(input->start <= input->end);
    if (input->start == input->end || connection->phase != WIRE_OPEN) {
        wire_input_drop(connection);
    }
}

static size_t input_take(struct wire_connection *connection, const uint8_t *data, size_t size)
{
    struct wire_input *input = &connection->input;
    if (input->skip > 0) {
        size_t skipped = input->skip < size ? (size_t)input->skip : size;
        input->skip -= skipped;
        return skipped;
    }
    /* It may be no longer blocked: then half a frame at most stays collected. */
    wire_input_resume(connection);
    if (input->data == NULL) {
        size_t done = frames_take(connection, data, size);
        if (done > 0) {
            return done;
        }
    }
    size_t taken = input_append(connection, data, size);
    wire_input_resume(connection);
    return taken;
}

void wire_input_received(struct wire_connection *connection, const uint8_t *data, size_t size)
{
    while (size > 0 && connection->phase == WIRE_OPEN) {
        size_t taken = input_take(connection, data, size);
        ASSERT(taken > 0 && taken <= size);
        data += taken;
        size -= taken;
    }
}
