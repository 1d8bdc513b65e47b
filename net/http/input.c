/*
 * input.c: from bytes to requests. A request that is whole in the receive buffer is handed over
 * where it lies. What is not complete is copied to the connection's input, which grows with what
 * really arrives. A head is parsed when it is complete, to know what follows it, and once more when
 * a body that came later is complete, because the input may have moved meanwhile: that is cheaper
 * than to keep offsets for all that never need them.
 */
#include <string.h>

#include "net/http/connection.h"
#include "protocol/base/assert.h"

enum read_result { READ_REQUEST, READ_MORE, READ_END };

bool input_blocked(const struct http_connection *connection)
{
    return connection->stream_count > 0 ||
           (connection->awaits_turn && connection->exchange_count > 0) ||
           connection->exchange_count >= connection->server->options.pipelined_max ||
           connection->output.unsent_bytes > UNSENT_BYTES_MAX;
}

void input_drop(struct http_connection *connection)
{
    struct input *input = connection->input;
    if (input != NULL) {
        struct http_server *server = connection->server;
        connection->input = NULL;
        memory_give(&server->memory, input->data, input->capacity);
        memory_give(&server->memory, input, sizeof(*input));
    }
}

/* ---- requests ---- */

/* RFC 9112, 9.3.2: pipelined requests may run side by side if their methods are safe. Writes may,
 * too, here: those of one record stay in order, and group commit lives from it. But a read behind a
 * write must see it, and a write must not overtake a read. The method's first byte tells. */
static bool is_safe(uint8_t first)
{
    return first == 'G' || first == 'H' || first == 'O'; /* GET, HEAD, OPTIONS */
}

static bool must_await_turn(const struct http_connection *connection, uint8_t first)
{
    return connection->exchange_count > 0 && first != '\r' &&
           connection->changing == is_safe(first);
}

static void exchange_hand_over(struct http_connection *connection, struct exchange *exchange)
{
    struct http_server *server = connection->server;
    exchange->connection = connection;
    queue_push(&connection->exchanges, &exchange->order);
    connection->exchange_count++;
    connection->blank_lines = 0;
    server->unanswered++;
    ASSERT(connection->exchange_count <= server->options.pipelined_max + 1);
}

void input_refuse(struct http_connection *connection, struct exchange *exchange,
                  struct refusal refusal)
{
    struct http_server *server = connection->server;
    ASSERT(connection->phase == PHASE_OPEN && refusal.status >= 400);
    connection->phase = PHASE_LAST;
    connection->must_linger = true;
    connection->continue_due = false;
    if (exchange == NULL) {
        exchange = exchange_acquire(server);
        if (exchange == NULL) {
            connection_abort(connection);
            return;
        }
        exchange->public.request.method = HTTP_OTHER;
        exchange->public.request.minor = 1;
        exchange->public.started_ns = server->now_ns;
    }
    exchange->close = true;
    exchange->public.request.keep_alive = false;
    exchange_hand_over(connection, exchange);
    server->options.refuse(server->options.context, &exchange->public, refusal.status,
                           refusal.detail);
}

static void request_hand_over(struct http_connection *connection, struct exchange *exchange,
                              const struct partial *partial, struct bytes body)
{
    struct http_server *server = connection->server;
    exchange->public.started_ns = partial->started_ns;
    exchange->public.request.body = body;
    if (partial->framing.chunked) {
        exchange->public.request.has_body = true;
    }
    if (!exchange->public.request.keep_alive || server->draining) {
        exchange->close = true;
        connection->must_linger = connection->must_linger || server->draining;
        connection->phase = PHASE_LAST;
    }
    if (connection->exchange_count == 0) {
        connection->changing = !is_safe(exchange->public.request.method_text.data[0]);
    }
    exchange_hand_over(connection, exchange);
    server->options.handle(server->options.context, &exchange->public);
}

static enum read_result head_too_large(struct http_connection *connection, struct bytes bytes)
{
    size_t head_max = connection->server->options.head_bytes_max;
    ASSERT(bytes.size >= head_max);
    if (memchr(bytes.data, '\r', head_max) == NULL) {
        input_refuse(connection, NULL, refuse_with(414, "the request target is too long"));
    } else {
        input_refuse(connection, NULL, refuse_with(431, "the request's head is too large"));
    }
    return READ_END;
}

/* Where the head ends, and whether it may be that long. READ_END: refused. */
static enum read_result head_find(struct http_connection *connection, struct bytes bytes,
                                  struct partial *partial)
{
    enum head_result result = head_scan(&partial->scan, bytes, &partial->head_size);
    size_t size = result == HEAD_DONE ? partial->head_size : partial->scan.offset;
    /* Before anything else, so that it does not matter how much of it came at once. */
    if (size > connection->server->options.head_bytes_max) {
        return head_too_large(connection, bytes);
    }
    if (result == HEAD_BAD) {
        input_refuse(connection, NULL, refuse_with(400, "the request's head is malformed"));
        return READ_END;
    }
    return result == HEAD_DONE ? READ_REQUEST : READ_MORE;
}

/* NULL: refused. */
static struct exchange *head_read(struct http_connection *connection, struct bytes head,
                                  struct partial *partial)
{
    struct http_server *server = connection->server;
    struct exchange *exchange = exchange_acquire(server);
    if (exchange == NULL) {
        connection_abort(connection);
        return NULL;
    }
    struct http_request *request = &exchange->public.request;
    struct refusal refusal = head_parse(head, server->headers, request, &partial->framing);
    if (refusal.status == 0 && request->target.size > HEAD_TARGET_BYTES_MAX) {
        refusal = refuse_with(414, "the request target is too long");
    }
    if (refusal.status == 0 && partial->framing.content_length > server->options.body_bytes_max) {
        refusal = refuse_with(413, "the request's body is too large");
    }
    if (refusal.status != 0) {
        exchange->public.started_ns = partial->started_ns;
        input_refuse(connection, exchange, refusal);
        return NULL;
    }
    return exchange;
}

/* Whether the body is there. *end_out: where the request ends, or what of the bytes must be
 * kept. */
static enum read_result body_read(struct http_connection *connection, uint8_t *data, size_t size,
                                  struct partial *partial, size_t *end_out)
{
    size_t head_size = partial->head_size;
    if (!partial->framing.chunked) {
        size_t end = head_size + (size_t)partial->framing.content_length;
        *end_out = size < end ? size : end;
        partial->body_size = *end_out - head_size;
        return size < end ? READ_MORE : READ_REQUEST;
    }
    size_t raw = partial->body_size;
    size_t decoded = partial->body_size;
    enum chunked_result result =
        chunked_decode(&partial->chunked, data + head_size, size - head_size,
                       connection->server->options.body_bytes_max, &raw, &decoded);
    partial->body_size = decoded;
    *end_out = head_size + (result == CHUNKED_MORE ? decoded : raw);
    switch (result) {
    case CHUNKED_DONE:
        return READ_REQUEST;
    case CHUNKED_MORE:
        return READ_MORE;
    case CHUNKED_BAD:
        input_refuse(connection, NULL, refuse_with(400, "the chunked body is malformed"));
        return READ_END;
    case CHUNKED_TOO_LARGE:
        input_refuse(connection, NULL, refuse_with(413, "the request's body is too large"));
        return READ_END;
    }
    UNREACHABLE();
}

/* Old clients send an empty line after a body; it belongs to nobody. */
static enum read_result blank_line_read(struct http_connection *connection)
{
    connection->blank_lines++;
    if (connection->blank_lines > BLANK_LINES_MAX) {
        input_refuse(connection, NULL, refuse_with(400, "the request's head is malformed"));
        return READ_END;
    }
    return READ_REQUEST;
}

/* NULL: the head does not repeat the one before, or is to be looked at as any other. */
static struct exchange *repeated_read(struct http_connection *connection, struct bytes bytes,
                                      struct partial *partial, const struct head_before *before)
{
    size_t head_size = head_repeats(before, bytes);
    if (head_size == 0 || head_size > connection->server->options.head_bytes_max) {
        return NULL;
    }
    struct exchange *exchange = exchange_acquire(connection->server);
    if (exchange != NULL) {
        partial->head_size = head_size;
        head_repeat(before, bytes_slice(bytes, 0, head_size), &exchange->public.request);
    }
    return exchange;
}

/* The first request in bytes; NULL: *result_out says why. */
static struct exchange *head_take(struct http_connection *connection, struct bytes bytes,
                                  struct partial *partial, struct head_before *before,
                                  enum read_result *result_out)
{
    struct exchange *exchange = repeated_read(connection, bytes, partial, before);
    if (exchange != NULL) {
        return exchange;
    }
    *result_out = head_find(connection, bytes, partial);
    if (*result_out != READ_REQUEST) {
        return NULL;
    }
    struct bytes head = bytes_slice(bytes, 0, partial->head_size);
    exchange = head_read(connection, head, partial);
    if (exchange == NULL) {
        *result_out = READ_END;
        return NULL;
    }
    head_before_set(before, head, &exchange->public.request, &partial->framing);
    return exchange;
}

static enum read_result request_read(struct http_connection *connection, uint8_t *data, size_t size,
                                     struct partial *partial, struct head_before *before,
                                     size_t *end_out)
{
    struct exchange *exchange = NULL;
    *end_out = size;
    if (partial->head_size == 0) {
        if (partial->scan.offset == 0 && size >= 2 && data[0] == '\r' && data[1] == '\n') {
            *end_out = 2;
            return blank_line_read(connection);
        }
        if (partial->started_ns == 0) {
            partial->started_ns = connection->server->now_ns;
        }
        enum read_result result;
        exchange = head_take(connection, bytes_of(data, size), partial, before, &result);
        if (exchange == NULL) {
            return result;
        }
        connection->continue_due = partial->framing.expects_continue;
    }
    /* A client that has begun to send the body does not wait to be told to. */
    if (size > partial->head_size) {
        connection->continue_due = false;
    }
    enum read_result result = body_read(connection, data, size, partial, end_out);
    if (result != READ_REQUEST) {
        if (exchange != NULL) {
            exchange_release(exchange);
        }
        return result;
    }
    if (exchange == NULL) {
        exchange = head_read(connection, bytes_of(data, partial->head_size), partial);
        if (exchange == NULL) {
            return READ_END;
        }
    }
    connection->continue_due = false;
    request_hand_over(connection, exchange, partial,
                      bytes_of(data + partial->head_size, partial->body_size));
    return READ_REQUEST;
}

/* As many requests as there are and may be. Returns how many bytes at the front are done with; what
 * remains, *end_out of them, must be kept together with partial. */
static size_t requests_read(struct http_connection *connection, uint8_t *data, size_t size,
                            struct partial *partial, size_t *end_out)
{
    size_t done = 0;
    struct head_before before;
    before.rest = BYTES_EMPTY;
    connection->awaits_turn = false;
    while (done < size && connection->phase == PHASE_OPEN && !input_blocked(connection)) {
        size_t end;
        if (must_await_turn(connection, data[done])) {
            connection->awaits_turn = true;
            break;
        }
        enum read_result result =
            request_read(connection, data + done, size - done, partial, &before, &end);
        ASSERT(end <= size - done);
        if (result == READ_MORE) {
            *end_out = done + end;
            return done;
        }
        done += end;
        *partial = (struct partial){0};
    }
    *end_out = size;
    if (connection->phase != PHASE_OPEN && done < size) {
        connection->must_linger = true; /* it goes on sending */
        return size;
    }
    return done;
}

/* ---- what is kept ---- */

static struct input *input_create(struct http_connection *connection, size_t size)
{
    struct http_server *server = connection->server;
    size_t capacity = size < INPUT_BYTES_MIN ? INPUT_BYTES_MIN : size;
    struct input *input =
        (struct input *)memory_take(&server->memory, sizeof(*input), MEMORY_FOR_REQUEST);
    uint8_t *data = (uint8_t *)memory_take(&server->memory, capacity, MEMORY_FOR_REQUEST);
    if (input == NULL || data == NULL) {
        memory_give(&server->memory, input, input == NULL ? 0 : sizeof(*input));
        memory_give(&server->memory, data, data == NULL ? 0 : capacity);
        return NULL;
    }
    *input = (struct input){.data = data, .capacity = capacity};
    connection->input = input;
    return input;
}

static bool input_reserve(struct http_connection *connection, size_t size)
{
    struct input *input = connection->input;
    const struct http_options *options = &connection->server->options;
    if (size <= input->capacity - input->end) {
        return true;
    }
    memmove(input->data, input->data + input->start, input->end - input->start);
    input->end -= input->start;
    input->start = 0;
    if (size <= input->capacity - input->end) {
        return true;
    }
    size_t wanted = input->end + size;
    if (wanted > (size_t)options->head_bytes_max + options->body_bytes_max + INPUT_SLACK_BYTES) {
        return false;
    }
    size_t capacity = input->capacity * 2 > wanted ? input->capacity * 2 : wanted;
    uint8_t *data =
        (uint8_t *)memory_grow(&connection->server->memory, input->data, input->capacity, capacity);
    if (data == NULL) {
        return false;
    }
    input->data = data;
    input->capacity = capacity;
    return true;
}

static void input_append(struct http_connection *connection, const uint8_t *data, size_t size)
{
    struct input *input = connection->input;
    if (input == NULL) {
        input = input_create(connection, size);
    }
    if (input == NULL || !input_reserve(connection, size)) {
        if (input_blocked(connection)) {
            connection_abort(connection);
        } else {
            input_refuse(connection, NULL, refuse_with(503, "the server is out of memory"));
        }
        return;
    }
    memcpy(input->data + input->end, data, size);
    input->end += size;
    ASSERT(input->end <= input->capacity);
}

void input_resume(struct http_connection *connection)
{
    struct input *input = connection->input;
    if (input == NULL || connection->phase != PHASE_OPEN) {
        return;
    }
    size_t end;
    size_t done = requests_read(connection, input->data + input->start, input->end - input->start,
                                &input->partial, &end);
    input->end = input->start + end;
    input->start += done;
    ASSERT(input->start <= input->end);
    if (input->start == input->end || connection->phase != PHASE_OPEN) {
        input_drop(connection);
    }
}

void input_received(struct http_connection *connection, uint8_t *data, size_t size)
{
    ASSERT(connection->phase == PHASE_OPEN);
    if (connection->input != NULL) {
        input_append(connection, data, size);
        input_resume(connection);
        return;
    }
    struct partial partial = {0};
    size_t end;
    size_t done = requests_read(connection, data, size, &partial, &end);
    if (done < end && connection->phase == PHASE_OPEN) {
        input_append(connection, data + done, end - done);
        if (connection->input != NULL) {
            connection->input->partial = partial;
        }
    }
}
