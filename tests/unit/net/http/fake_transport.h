/*
 * fake_transport.h: one connection of net/http without a socket, for tests and the fuzzer. What is
 * sent is collected; what is received is given in pieces; exchanges are answered at once or kept to
 * be answered later in any order.
 *
 * The handler answers with a text that says what it understood of the request, so that two runs can
 * be compared by what they sent.
 */
#ifndef FRESHET_TESTS_UNIT_NET_HTTP_FAKE_TRANSPORT_H
#define FRESHET_TESTS_UNIT_NET_HTTP_FAKE_TRANSPORT_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/http/connection.h"
#include "protocol/base/assert.h"

#define FAKE_KEPT_MAX  128
#define FAKE_TURNS_MAX 10000
#define FAKE_SECOND_NS 1000000000ull

enum fake_variant { FAKE_ROOM, FAKE_COPIED, FAKE_LARGE, FAKE_STREAM };

struct fake {
    struct http_server *server;
    struct http_connection *connection; /* NULL: closed */
    char *sent;
    size_t sent_size;
    size_t sent_capacity;
    size_t in_flight;
    size_t send_max; /* of one send; the rest is short; 0: no send completes */
    bool keep;       /* exchanges are kept, not answered */
    enum fake_variant variant;
    bool endless; /* streams are */
    bool shut;
    bool closed;
    bool stopping;
    uint32_t handled;
    uint32_t refused;
    uint32_t finished;
    uint32_t given; /* bodies with a release */
    uint32_t released;
    uint32_t limited;  /* sockets of streams */
    uint32_t writable; /* events */
    uint32_t drained;
    uint32_t gone;
    uint16_t last_refusal;
    uint32_t kept_count;
    struct http_exchange *kept[FAKE_KEPT_MAX];
    uint32_t stream_count;
    struct http_exchange *streams[FAKE_KEPT_MAX]; /* begun, and not ended */
    char large[40000];
};

static inline struct http_connection *fake_connection(struct socket *socket)
{
    return CONTAINER_OF(socket, struct http_connection, socket);
}

static inline struct fake *fake_of(struct socket *socket)
{
    return (struct fake *)fake_connection(socket)->server->options.context;
}

static inline void fake_receive_start(struct socket *socket)
{
    ASSERT(fake_connection(socket)->receiving == RECEIVING_ON);
}

static inline void fake_receive_stop(struct socket *socket)
{
    fake_of(socket)->stopping = true;
}

static inline void fake_send(struct socket *socket, const struct iovec *pieces, size_t count)
{
    struct fake *fake = fake_of(socket);
    ASSERT(fake->in_flight == 0 && count > 0);
    size_t left = fake->send_max == 0 ? SIZE_MAX : fake->send_max;
    for (size_t i = 0; i < count && left > 0; i++) {
        size_t size = pieces[i].iov_len < left ? pieces[i].iov_len : left;
        ASSERT(size > 0);
        if (fake->sent_size + size > fake->sent_capacity) {
            fake->sent_capacity = 2 * (fake->sent_size + size);
            fake->sent = (char *)realloc(fake->sent, fake->sent_capacity);
        }
        memcpy(fake->sent + fake->sent_size, pieces[i].iov_base, size);
        fake->sent_size += size;
        fake->in_flight += size;
        left -= size;
    }
}

static inline void fake_send_stop(struct socket *socket)
{
    (void)socket;
}

static inline void fake_shut_write(struct socket *socket)
{
    fake_of(socket)->shut = true;
}

static inline void fake_limit(struct socket *socket)
{
    fake_of(socket)->limited++;
}

static inline void fake_probe(struct socket *socket)
{
    ASSERT(fake_of(socket)->limited > 0);
}

static inline void fake_close(struct socket *socket, bool reset)
{
    struct fake *fake = fake_of(socket);
    ASSERT(reset == fake_connection(socket)->failed);
    ASSERT(!fake->closed && fake->in_flight == 0);
    fake->closed = true;
    fake->connection = NULL;
}

static const struct socket_transport fake_transport = {
    .receive_start = fake_receive_start,
    .receive_stop = fake_receive_stop,
    .send = fake_send,
    .send_stop = fake_send_stop,
    .shut_write = fake_shut_write,
    .limit = fake_limit,
    .probe = fake_probe,
    .close = fake_close,
};

static inline void fake_release(void *owner)
{
    ((struct fake *)owner)->released++;
}

static inline uint32_t fake_hash(struct bytes bytes)
{
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < bytes.size; i++) {
        hash = (hash ^ bytes.data[i]) * 16777619u;
    }
    return hash;
}

/* What an exchange keeps until it is answered. */
struct fake_state {
    char text[512];
    int size;
};

static inline void fake_writable(void *context, struct http_exchange *exchange)
{
    ASSERT(exchange->status == 200);
    ((struct fake *)context)->writable++;
}

static inline void fake_forget(struct fake *fake, struct http_exchange *exchange)
{
    for (uint32_t i = 0; i < fake->stream_count; i++) {
        if (fake->streams[i] == exchange) {
            fake->streams[i] = fake->streams[--fake->stream_count];
            return;
        }
    }
    UNREACHABLE();
}

static inline void fake_gone(void *context, struct http_exchange *exchange)
{
    struct fake *fake = (struct fake *)context;
    fake->gone++;
    fake_forget(fake, exchange);
}

static inline void fake_draining(void *context, struct http_exchange *exchange)
{
    ASSERT(exchange->status == 200);
    ((struct fake *)context)->drained++;
}

static const struct http_stream_events fake_events = {
    .writable = fake_writable, .closed = fake_gone, .draining = fake_draining};
static const struct http_stream_events fake_endless_events = {
    .is_endless = true,
    .writable = fake_writable,
    .closed = fake_gone,
    .draining = fake_draining,
};

static inline bool fake_stream_begin(struct fake *fake, struct http_exchange *exchange)
{
    char head[256];
    if (exchange->request.minor == 0) {
        http_close_after(exchange);
    }
    int size = snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\n%s\r\n",
                        http_closes(exchange) ? "Connection: close\r\n" : "");
    if (!http_stream_begin(exchange, bytes_of(head, (size_t)size), 200,
                           fake->endless ? &fake_endless_events : &fake_events, fake)) {
        return false;
    }
    ASSERT(fake->stream_count < FAKE_KEPT_MAX);
    fake->streams[fake->stream_count++] = exchange;
    return true;
}

static inline void fake_stream_end(struct fake *fake, struct http_exchange *exchange)
{
    fake_forget(fake, exchange);
    http_stream_end(exchange);
}

static inline void fake_answer(struct fake *fake, struct http_exchange *exchange)
{
    struct fake_state *state = (struct fake_state *)(void *)exchange->user;
    char head[256];
    size_t large = fake->variant == FAKE_LARGE ? sizeof(fake->large) : 0;
    int size =
        snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n%s%s\r\n",
                 (size_t)state->size + large, http_closes(exchange) ? "Connection: close\r\n" : "",
                 http_says_keep_alive(exchange) ? "Connection: keep-alive\r\n" : "");
    struct bytes body = bytes_of(state->text, (size_t)state->size);
    if (fake->variant == FAKE_ROOM) {
        uint8_t *room = http_answer_begin(exchange, 1024);
        ASSERT(room != NULL);
        memcpy(room, head, (size_t)size);
        memcpy(room + size, body.data, body.size);
        http_answer_end(exchange, (size_t)size + body.size, 200);
        return;
    }
    if (fake->variant == FAKE_STREAM && fake_stream_begin(fake, exchange)) {
        return;
    }
    fake->given++;
    if (fake->variant == FAKE_COPIED || fake->variant == FAKE_STREAM) {
        http_answer(exchange, bytes_of(head, (size_t)size), body, 200, fake_release, fake);
        return;
    }
    char both[1024];
    memcpy(both, head, (size_t)size);
    memcpy(both + size, body.data, body.size);
    http_answer(exchange, bytes_of(both, (size_t)size + body.size),
                bytes_of(fake->large, sizeof(fake->large)), 200, fake_release, fake);
}

static inline void fake_handle(void *context, struct http_exchange *exchange)
{
    struct fake *fake = (struct fake *)context;
    const struct http_request *request = &exchange->request;
    struct fake_state *state = (struct fake_state *)(void *)exchange->user;
    for (size_t i = 0; i < HTTP_EXCHANGE_USER_BYTES; i++) {
        ASSERT(exchange->user[i] == 0);
    }
    state->size = snprintf(state->text, sizeof(state->text),
                           "%.*s path=%.*s query=%.*s body=%d/%zu/%08x headers=%u",
                           (int)request->method_text.size, (const char *)request->method_text.data,
                           (int)(request->path.size < 100 ? request->path.size : 100),
                           (const char *)request->path.data,
                           (int)(request->query.size < 100 ? request->query.size : 100),
                           (const char *)request->query.data, request->has_body, request->body.size,
                           fake_hash(request->body), request->header_count);
    ASSERT(state->size > 0 && (size_t)state->size < sizeof(state->text));
    fake->handled++;
    if (fake->keep) {
        ASSERT(fake->kept_count < FAKE_KEPT_MAX);
        fake->kept[fake->kept_count++] = exchange;
        return;
    }
    fake_answer(fake, exchange);
}

static inline void fake_refuse(void *context, struct http_exchange *exchange, uint16_t status,
                               const char *detail)
{
    struct fake *fake = (struct fake *)context;
    char head[256];
    ASSERT(http_closes(exchange) && detail != NULL);
    fake->refused++;
    fake->last_refusal = status;
    int size =
        snprintf(head, sizeof(head),
                 "HTTP/1.1 %u Refused\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", status);
    http_answer(exchange, bytes_of(head, (size_t)size), BYTES_EMPTY, status, NULL, NULL);
}

static inline void fake_finished(void *context, struct http_exchange *exchange, uint64_t now_ns)
{
    struct fake *fake = (struct fake *)context;
    ASSERT(exchange->status != 0 && exchange->answer_bytes > 0);
    ASSERT(now_ns >= exchange->started_ns);
    fake->finished++;
}

static inline struct http_options fake_options(struct fake *fake)
{
    return (struct http_options){
        .handle = fake_handle,
        .refuse = fake_refuse,
        .finished = fake_finished,
        .context = fake,
        .connections_max = 10,
        .pipelined_max = 8,
        .head_bytes_max = 16u << 10,
        .body_bytes_max = 1u << 20,
        .head_timeout_ns = 10 * FAKE_SECOND_NS,
        .body_timeout_ns = 20 * FAKE_SECOND_NS,
        .idle_timeout_ns = 60 * FAKE_SECOND_NS,
        .send_timeout_ns = 30 * FAKE_SECOND_NS,
    };
}

/* fake is zeroed, or has its modes set. */
static inline void fake_open(struct fake *fake, const struct http_options *options)
{
    if (server_create(options, &fake_transport, NULL, &fake->server) != STATUS_OK) {
        abort();
    }
    if (fake->send_max == 0) {
        fake->send_max = SIZE_MAX;
    }
    http_server_begin(fake->server, FAKE_SECOND_NS);
    fake->connection = connection_open(fake->server, 3, false);
    ASSERT(fake->connection != NULL);
    (void)http_server_step(fake->server);
}

/* One turn: what the kernel would complete, then a step. */
static inline void fake_turn(struct fake *fake)
{
    if (fake->in_flight > 0 && fake->connection != NULL && fake->send_max > 0) {
        size_t size = fake->in_flight;
        fake->in_flight = 0;
        connection_events.sent(&fake->connection->socket, (int)size);
    }
    if (fake->stopping && fake->connection != NULL) {
        fake->stopping = false;
        connection_events.receive_ended(&fake->connection->socket, -ECANCELED);
    }
    (void)http_server_step(fake->server);
}

/* Turns until nothing is left to send. */
static inline void fake_run(struct fake *fake)
{
    fake_turn(fake);
    for (uint32_t i = 0; i < FAKE_TURNS_MAX && (fake->in_flight > 0 || fake->stopping); i++) {
        fake_turn(fake);
    }
    ASSERT(fake->in_flight == 0 || fake->send_max == 0);
}

/* As from a receive buffer of exactly this size. False when nobody receives. */
static inline bool fake_receive(struct fake *fake, const void *data, size_t size)
{
    if (fake->connection == NULL || fake->connection->receiving == RECEIVING_OFF ||
        fake->connection->ended || size == 0) {
        return false;
    }
    uint8_t *copy = (uint8_t *)malloc(size);
    memcpy(copy, data, size);
    connection_events.received(&fake->connection->socket, copy, size);
    free(copy);
    return true;
}

static inline void fake_end(struct fake *fake)
{
    if (fake->connection != NULL && fake->connection->receiving != RECEIVING_OFF) {
        connection_events.receive_ended(&fake->connection->socket, 0);
    }
}

static inline void fake_advance(struct fake *fake, uint64_t ns)
{
    http_server_begin(fake->server, fake->server->now_ns + ns);
    (void)http_server_step(fake->server);
}

static inline void fake_close_all(struct fake *fake)
{
    if (fake->connection != NULL) {
        fake->send_max = SIZE_MAX;
        connection_abort(fake->connection);
        fake_run(fake);
    }
    for (uint32_t i = 0; i < fake->kept_count; i++) {
        fake_answer(fake, fake->kept[i]);
    }
    fake->kept_count = 0;
    (void)http_server_step(fake->server);
    ASSERT(fake->stream_count == 0 && fake->server->chunks.stream_bytes == 0);
    ASSERT(fake->connection == NULL && fake->closed);
    ASSERT(http_server_unanswered(fake->server) == 0);
    ASSERT(fake->server->memory.used == 0);
    ASSERT(fake->finished == fake->handled + fake->refused);
    ASSERT(fake->given == fake->released);
    http_server_destroy(&fake->server);
    free(fake->sent);
    fake->sent = NULL;
}

/* ---- for tests ---- */

static const char simple[] = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";

static inline bool sent_is(const struct fake *fake, const char *text)
{
    return bytes_equal(bytes_of(fake->sent, fake->sent_size), bytes_of_text(text));
}

static inline uint32_t occurrences(const struct fake *fake, const char *text)
{
    uint32_t count = 0;
    size_t size = strlen(text);
    for (size_t i = 0; i + size <= fake->sent_size; i++) {
        count += memcmp(fake->sent + i, text, size) == 0;
    }
    return count;
}

static inline void receive_text(struct fake *fake, const char *text)
{
    if (!fake_receive(fake, text, strlen(text))) {
        UNREACHABLE();
    }
    fake_run(fake);
}

static inline void open_default(struct fake *fake)
{
    struct http_options options = fake_options(fake);
    fake_open(fake, &options);
}

#endif
