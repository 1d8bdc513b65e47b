/*
 * stream.c: answers whose end is not known. A stream writes to its connection's output as answers
 * do, but only as much as there is room for, and not before its turn has come.
 */
#include "net/http/connection.h"
#include "protocol/base/assert.h"

/* Sixteen hexadecimal digits, and two ends of lines. */
#define CHUNK_FRAME_BYTES_MAX 20

static const char chunked_line[] = "Transfer-Encoding: chunked\r\n\r\n";
static const char last_chunk[] = "0\r\n\r\n";

/* ---- begin and end ---- */

/* The head without its empty line, which goes behind what is added. */
static struct bytes head_open(struct bytes head)
{
    ASSERT(head.size > 4);
    ASSERT(bytes_equal(bytes_slice(head, head.size - 4, 4), BYTES_LITERAL("\r\n\r\n")));
    return bytes_slice(head, 0, head.size - 2);
}

static size_t head_size(const struct exchange *exchange, struct bytes head)
{
    return exchange->chunked ? head.size - 2 + sizeof(chunked_line) - 1 : head.size;
}

enum status stream_start(struct exchange *exchange)
{
    struct http_connection *connection = exchange->connection;
    ASSERT(exchange_is_first(exchange) && !exchange->started);
    size_t size = head_size(exchange, exchange->head);
    uint8_t *room = connection_room(connection, size + sizeof(last_chunk));
    if (room == NULL) {
        return STATUS_NO_MEMORY;
    }
    struct writer out = writer_of(room, size + sizeof(last_chunk));
    if (exchange->chunked) {
        writer_put(&out, head_open(exchange->head));
        writer_put(&out, BYTES_LITERAL(chunked_line));
    } else {
        writer_put(&out, exchange->head);
    }
    if (exchange->answered && exchange->chunked && exchange->public.request.method != HTTP_HEAD) {
        writer_put(&out, BYTES_LITERAL(last_chunk));
    }
    ASSERT(!out.failed);
    connection_commit(connection, out.size);
    exchange->started = true;
    return STATUS_OK;
}

bool http_stream_begin(struct http_exchange *public, struct bytes head, uint16_t status,
                       const struct http_stream_events *events, void *context)
{
    struct exchange *exchange = exchange_of(public);
    struct http_connection *connection = exchange->connection;
    ASSERT(!exchange->answered && !exchange->has_room);
    ASSERT(!exchange->streaming && events != NULL);
    if (connection == NULL || head.size > ROOM_BYTES_MAX) {
        return false;
    }
    exchange->chunked = public->request.minor > 0;
    ASSERT(exchange->chunked || exchange->close);
    if (exchange_is_first(exchange)) {
        exchange->head = head;
        bool fits = stream_start(exchange) == STATUS_OK;
        exchange->head = BYTES_EMPTY;
        if (!fits) {
            return false;
        }
    } else {
        exchange->head = http_keep(public, head);
        if (exchange->head.data == NULL) {
            return false;
        }
    }
    struct http_server *server = exchange->server;
    exchange->streaming = true;
    exchange->events = events;
    exchange->events_context = context;
    exchange->written = head_size(exchange, head);
    public->status = status;
    list_push_back(&server->streams, &exchange->stream);
    connection->stream_count++;
    count_add(&server->statistics.streams_open, 1);
    if (!connection->limited) {
        connection->limited = true;
        server->transport->limit(&connection->socket);
        server->transport->probe(&connection->socket);
    }
    return true;
}

/* It is no stream any more; its exchange and its connection go on. */
static void stream_leave(struct exchange *exchange)
{
    ASSERT(exchange->streaming && link_is_linked(&exchange->stream));
    exchange->streaming = false;
    link_remove(&exchange->stream);
    count_subtract(&exchange->server->statistics.streams_open, 1);
}

/* From here on the connection's client has to read in time, as any other. */
static void send_deadline_set(struct http_connection *connection)
{
    const struct http_server *server = connection->server;
    if (connection->sending && !connection_is_endless(connection)) {
        connection->send_deadline_ns = server->now_ns + server->options.send_timeout_ns;
    }
    connection_touch(connection);
}

void http_stream_end(struct http_exchange *public)
{
    struct exchange *exchange = exchange_of(public);
    struct http_connection *connection = exchange->connection;
    stream_leave(exchange);
    if (connection == NULL) {
        exchange_answered(exchange, exchange->written, public->status);
        exchange_release(exchange);
        return;
    }
    ASSERT(connection->stream_count > 0);
    connection->stream_count--;
    send_deadline_set(connection);
    bool is_first = exchange_is_first(exchange);
    bool sent = true;
    if (is_first && exchange->chunked && public->request.method != HTTP_HEAD) {
        sent = connection_copy(connection, BYTES_LITERAL(last_chunk)) == STATUS_OK;
    }
    exchange_answered(exchange, exchange->written, public->status);
    if (!is_first) {
        return;
    }
    exchange_first_finish(connection);
    if (sent) {
        exchanges_flush(connection);
    } else {
        connection_abort(connection);
    }
}

/* ---- writing ---- */

static bool has_room(const struct exchange *exchange, size_t size)
{
    const struct http_connection *connection = exchange->connection;
    size_t room = exchange->server->chunks.stream_bytes < HTTP_STREAMS_BYTES
                      ? HTTP_STREAM_ROOM_BYTES
                      : HTTP_STREAM_ROOM_LEAST;
    return connection->output.unsent_bytes == 0 || connection->output.unsent_bytes + size <= room;
}

static void chunk_size_write(struct writer *out, size_t size)
{
    static const char digits[] = "0123456789abcdef";
    uint32_t shift = 0;
    while (shift < 60 && size >> (shift + 4) != 0) {
        shift += 4;
    }
    for (uint32_t left = shift + 4; left > 0; left -= 4) {
        writer_u8(out, (uint8_t)digits[size >> (left - 4) & 15]);
    }
    writer_put(out, BYTES_LITERAL("\r\n"));
}

/* No room: `writable` will tell, for which somebody must look again. */
static bool refused(struct exchange *exchange, size_t size, bool is_due)
{
    struct http_server *server = exchange->server;
    exchange->wanted = size;
    if (is_due && exchange->connection->output.unsent_bytes == 0 && server->stream_retry_ns == 0) {
        server->stream_retry_ns = server->now_ns + STREAM_RETRY_NS;
    }
    return false;
}

static bool pieces_write(struct exchange *exchange, const struct bytes *pieces, size_t count,
                         size_t size)
{
    struct http_connection *connection = exchange->connection;
    size_t framed = size + CHUNK_FRAME_BYTES_MAX;
    if (!exchange->started || !has_room(exchange, framed)) {
        return refused(exchange, framed, false);
    }
    uint8_t *room = output_stream_room(&connection->output, &connection->server->chunks, framed);
    if (room == NULL) {
        return refused(exchange, framed, true);
    }
    struct writer out = writer_of(room, framed);
    if (exchange->chunked) {
        chunk_size_write(&out, size);
    }
    for (size_t i = 0; i < count; i++) {
        writer_put(&out, pieces[i]);
    }
    if (exchange->chunked) {
        writer_put(&out, BYTES_LITERAL("\r\n"));
    }
    ASSERT(!out.failed);
    exchange->written += out.size;
    connection_commit(connection, out.size);
    return true;
}

bool http_stream_write_pieces(struct http_exchange *public, const struct bytes *pieces,
                              size_t count)
{
    struct exchange *exchange = exchange_of(public);
    ASSERT(exchange->streaming);
    size_t size = 0;
    for (size_t i = 0; i < count; i++) {
        bool fits = size_add(size, pieces[i].size, &size);
        ASSERT(fits && size < SIZE_MAX - CHUNK_FRAME_BYTES_MAX);
    }
    /* A chunk of no bytes would be the last one. */
    if (size == 0 || public->request.method == HTTP_HEAD) {
        return true;
    }
    return exchange->connection != NULL && pieces_write(exchange, pieces, count, size);
}

bool http_stream_write(struct http_exchange *public, struct bytes bytes)
{
    return http_stream_write_pieces(public, &bytes, 1);
}

/* ---- events ---- */

/* What was written before is still offered, and the connection closed behind it. */
static void client_gone(struct http_connection *connection)
{
    ASSERT(connection->ended && connection->stream_count > 0);
    connection->phase = PHASE_LAST;
    exchanges_detach(connection);
    ASSERT(connection->stream_count == 0);
    send_deadline_set(connection);
}

void stream_settle(struct http_connection *connection)
{
    if (connection->stream_count == 0 || connection->phase == PHASE_CLOSING) {
        return;
    }
    if (connection->ended && connection_is_endless(connection)) {
        client_gone(connection);
        return;
    }
    struct exchange *exchange = CONTAINER_OF(connection->exchanges.first, struct exchange, order);
    /* Half of it at least, so that it is not a piece a turn. */
    if (!exchange->streaming || exchange->wanted == 0 || !has_room(exchange, exchange->wanted) ||
        connection->output.unsent_bytes > HTTP_STREAM_ROOM_BYTES / 2) {
        return;
    }
    if (connection->server->stream_retry_ns != 0 && connection->output.unsent_bytes == 0) {
        return; /* it waits for memory of others, until streams_run looks again */
    }
    exchange->wanted = 0;
    connection->server->event_run = true;
    exchange->events->writable(exchange->events_context, &exchange->public);
}

void stream_detach(struct exchange *exchange)
{
    ASSERT(exchange->streaming && exchange->connection->stream_count > 0);
    exchange->connection->stream_count--;
    link_remove(&exchange->stream);
    list_push_back(&exchange->server->streams_gone, &exchange->stream);
}

static void gone_run(struct http_server *server)
{
    struct link gone;
    link_init(&gone);
    list_splice_back(&gone, &server->streams_gone);
    for (struct link *link = list_first(&gone); link != NULL; link = list_first(&gone)) {
        struct exchange *exchange = CONTAINER_OF(link, struct exchange, stream);
        ASSERT(exchange->connection == NULL && !exchange->answered);
        stream_leave(exchange);
        server->event_run = true;
        exchange->events->closed(exchange->events_context, &exchange->public);
        exchange_answered(exchange, exchange->written, exchange->public.status);
        exchange_release(exchange);
    }
}

static void drain_run(struct http_server *server)
{
    for (struct link *link = server->streams.next; link != &server->streams; link = link->next) {
        struct exchange *exchange = CONTAINER_OF(link, struct exchange, stream);
        struct http_connection *connection = exchange->connection;
        if (exchange->started && connection->cut_ns == 0) {
            connection->cut_ns = server->now_ns + HTTP_STREAM_DRAIN_NS;
            connection_touch(connection);
        }
        if (!exchange->told_drain) {
            exchange->told_drain = true;
            server->event_run = true;
            exchange->events->draining(exchange->events_context, &exchange->public);
        }
    }
}

/* Memory may have come back from others. */
static void retry_run(struct http_server *server)
{
    if (server->stream_retry_ns == 0 || server->now_ns < server->stream_retry_ns) {
        return;
    }
    server->stream_retry_ns = 0;
    for (struct link *link = server->streams.next; link != &server->streams; link = link->next) {
        struct exchange *exchange = CONTAINER_OF(link, struct exchange, stream);
        if (exchange->wanted != 0) {
            connection_touch(exchange->connection);
        }
    }
}

void streams_run(struct http_server *server)
{
    retry_run(server);
    gone_run(server);
    if (server->draining) {
        drain_run(server);
    }
}

void streams_close(struct http_server *server)
{
    ASSERT(list_is_empty(&server->streams));
    gone_run(server);
    ASSERT(list_is_empty(&server->streams_gone));
}
