#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/http/connection.h"
#include "protocol/base/assert.h"

/* ---- memory ---- */

void *memory_take(struct http_server *server, size_t size, enum memory_use use)
{
    uint64_t limit = server->options.memory_bytes_max;
    if (use == MEMORY_FOR_REQUEST) {
        limit = limit / 4 * 3;
    }
    if (server->memory_bytes + size > limit) {
        return NULL;
    }
    void *memory = malloc(size);
    if (memory != NULL) {
        server->memory_bytes += size;
    }
    return memory;
}

void *memory_grow(struct http_server *server, void *memory, size_t old_size, size_t new_size)
{
    ASSERT(new_size > old_size);
    if (server->memory_bytes + new_size - old_size > server->options.memory_bytes_max / 4 * 3) {
        return NULL;
    }
    void *grown = realloc(memory, new_size);
    if (grown != NULL) {
        server->memory_bytes += new_size - old_size;
    }
    return grown;
}

void memory_give(struct http_server *server, void *memory, size_t size)
{
    ASSERT(server->memory_bytes >= size);
    server->memory_bytes -= size;
    free(memory);
}

void memory_hold(struct http_server *server, size_t size)
{
    server->memory_bytes += size;
}

void memory_let_go(struct http_server *server, size_t size)
{
    ASSERT(server->memory_bytes >= size);
    server->memory_bytes -= size;
}

/* ---- the transport over a ring ---- */

static void receive_completed(struct ring_operation *operation, int result, uint32_t flags)
{
    struct http_connection *connection =
        CONTAINER_OF(operation, struct http_connection, receive_operation);
    struct ring *ring = connection->server->ring;
    if (result > 0) {
        connection_received(connection, ring_buffer(ring, flags), (size_t)result);
    }
    if ((flags & RING_BUFFER) != 0) {
        ring_buffer_return(ring, flags);
    }
    if ((flags & RING_MORE) == 0) {
        /* A multishot receive may also end after a buffer: then it only has to be started again. */
        connection_receive_ended(connection, result > 0 ? -EAGAIN : result);
    }
}

static void send_completed(struct ring_operation *operation, int result, uint32_t flags)
{
    (void)flags;
    connection_sent(CONTAINER_OF(operation, struct http_connection, send_operation), result);
}

static void ring_receive_start(struct http_connection *connection)
{
    connection->receive_operation.complete = receive_completed;
    ring_receive(connection->server->ring, &connection->receive_operation, connection->fd);
}

static void ring_receive_stop(struct http_connection *connection)
{
    ring_cancel(connection->server->ring, &connection->receive_operation);
}

static void ring_send_pieces(struct http_connection *connection, const struct iovec *pieces,
                             size_t count)
{
    struct http_server *server = connection->server;
    connection->send_operation.complete = send_completed;
    if (count > 1 && connection->vector == NULL) {
        connection->vector = (struct send_vector *)memory_take(server, sizeof(*connection->vector),
                                                               MEMORY_FOR_ANSWER);
    }
    /* Without memory for a vector the pieces go one by one. */
    if (count == 1 || connection->vector == NULL) {
        ring_send(server->ring, &connection->send_operation, connection->fd,
                  (const uint8_t *)pieces[0].iov_base, pieces[0].iov_len);
        return;
    }
    struct send_vector *vector = connection->vector;
    memcpy(vector->pieces, pieces, count * sizeof(*pieces));
    vector->message = (struct msghdr){.msg_iov = vector->pieces, .msg_iovlen = count};
    ring_send_vector(server->ring, &connection->send_operation, connection->fd, &vector->message);
}

static void ring_send_stop(struct http_connection *connection)
{
    ring_cancel(connection->server->ring, &connection->send_operation);
}

static void ring_shut_write(struct http_connection *connection)
{
    (void)shutdown(connection->fd, SHUT_WR);
}

static void socket_set(int fd, int level, int option, int value)
{
    /* Without it the stream works as well, and costs more. */
    (void)setsockopt(fd, level, option, &value, sizeof(value));
}

static void ring_limit(struct http_connection *connection)
{
    socket_set(connection->fd, SOL_SOCKET, SO_SNDBUF, STREAM_SOCKET_BYTES);
    socket_set(connection->fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    socket_set(connection->fd, IPPROTO_TCP, TCP_KEEPIDLE, STREAM_PROBE_IDLE_S);
    socket_set(connection->fd, IPPROTO_TCP, TCP_KEEPINTVL, STREAM_PROBE_INTERVAL_S);
    socket_set(connection->fd, IPPROTO_TCP, TCP_KEEPCNT, STREAM_PROBES_MAX);
}

static void ring_close_connection(struct http_connection *connection)
{
    if (connection->failed) {
        /* What the client does not take is thrown away; otherwise the kernel would go on offering
         * it, and keep its memory. */
        struct linger reset = {.l_onoff = 1, .l_linger = 0};
        (void)setsockopt(connection->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    }
    ring_close(connection->server->ring, connection->fd);
}

static const struct transport ring_transport = {
    .receive_start = ring_receive_start,
    .receive_stop = ring_receive_stop,
    .send = ring_send_pieces,
    .send_stop = ring_send_stop,
    .shut_write = ring_shut_write,
    .limit = ring_limit,
    .close = ring_close_connection,
};

/* ---- accepting ---- */

static void accept_one(struct http_server *server, int fd)
{
    count_add(&server->statistics.connections_accepted, 1);
    bool over = server->connection_count - server->over_count >= server->options.connections_max;
    if (over) {
        count_add(&server->statistics.connections_refused, 1);
    }
    if (server->draining || (over && server->over_count >= CONNECTIONS_OVER_MAX) ||
        connection_open(server, fd, over) == NULL) {
        ring_close(server->ring, fd);
    }
}

static void accept_completed(struct ring_operation *operation, int result, uint32_t flags)
{
    struct listener *listener = CONTAINER_OF(operation, struct listener, operation);
    struct http_server *server = listener->server;
    if ((flags & RING_MORE) == 0) {
        listener->accepting = false;
        server->accept_due = true;
    }
    if (result >= 0) {
        accept_one(server, result);
    } else if (result != -ECANCELED && result != -ECONNABORTED && result != -EINTR) {
        /* No descriptors or no memory: at once again would only spin. */
        server->accept_retry_ns = server->now_ns + ACCEPT_RETRY_NS;
    }
}

static void accept_again(struct http_server *server)
{
    if (!server->accept_due || server->draining || server->now_ns < server->accept_retry_ns) {
        return;
    }
    server->accept_due = false;
    for (uint32_t i = 0; i < HTTP_LISTENERS_MAX; i++) {
        struct listener *listener = &server->listeners[i];
        if (listener->fd >= 0 && !listener->accepting) {
            listener->accepting = true;
            ring_accept(server->ring, &listener->operation, listener->fd);
        }
    }
}

enum status http_server_accept(struct http_server *server, int listening_fd)
{
    ASSERT(listening_fd >= 0 && !server->draining);
    for (uint32_t i = 0; i < HTTP_LISTENERS_MAX; i++) {
        if (server->listeners[i].fd < 0) {
            server->listeners[i].fd = listening_fd;
            server->accept_due = true;
            return STATUS_OK;
        }
    }
    return STATUS_BUSY;
}

/* ---- life ---- */

enum status server_create(const struct http_options *options, const struct transport *transport,
                          struct ring *ring, struct http_server **out)
{
    ASSERT(options->handle != NULL && options->refuse != NULL);
    ASSERT(options->pipelined_max > 0 && options->connections_max > 0);
    *out = NULL;
    struct http_server *server = calloc(1, sizeof(*server));
    if (server == NULL) {
        return STATUS_NO_MEMORY;
    }
    server->options = *options;
    if (server->options.memory_bytes_max == 0) {
        server->options.memory_bytes_max = HTTP_MEMORY_BYTES_DEFAULT;
    }
    server->transport = transport;
    server->ring = ring;
    link_init(&server->connections);
    link_init(&server->touched);
    link_init(&server->streams);
    link_init(&server->streams_gone);
    wheel_init(&server->wheel);
    for (uint32_t i = 0; i < HTTP_LISTENERS_MAX; i++) {
        server->listeners[i] = (struct listener){
            .operation = {.complete = accept_completed}, .server = server, .fd = -1};
    }
    *out = server;
    return STATUS_OK;
}

enum status http_server_create(const struct http_options *options, struct ring *ring,
                               struct http_server **out)
{
    ASSERT(ring != NULL);
    return server_create(options, &ring_transport, ring, out);
}

/* Without the ring's help: it is about to go, and with it all that is in flight. */
static void connections_free(struct http_server *server)
{
    for (struct link *link = list_pop_front(&server->connections); link != NULL;
         link = list_pop_front(&server->connections)) {
        struct http_connection *connection = CONTAINER_OF(link, struct http_connection, all);
        exchanges_detach(connection);
        connection->sending = false;
        input_drop(connection);
        output_drop(connection);
        (void)close(connection->fd);
        memory_give(server, connection, sizeof(*connection));
    }
}

void http_server_destroy(struct http_server **server_inout)
{
    struct http_server *server = *server_inout;
    *server_inout = NULL;
    if (server == NULL) {
        return;
    }
    connections_free(server);
    streams_close(server);
    while (server->free_exchanges != NULL) {
        struct exchange *exchange = server->free_exchanges;
        server->free_exchanges = (struct exchange *)exchange->owner;
        free(exchange);
    }
    while (server->free_chunks != NULL) {
        struct chunk *chunk = server->free_chunks;
        server->free_chunks = chunk->next;
        free(chunk);
    }
    free(server);
}

void http_server_timeouts_set(struct http_server *server, const struct http_timeouts *timeouts)
{
    ASSERT(timeouts->head_ns > 0 && timeouts->body_ns > 0);
    ASSERT(timeouts->idle_ns > 0 && timeouts->send_ns > 0);
    server->options.head_timeout_ns = timeouts->head_ns;
    server->options.body_timeout_ns = timeouts->body_ns;
    server->options.idle_timeout_ns = timeouts->idle_ns;
    server->options.send_timeout_ns = timeouts->send_ns;
}

/* ---- turns ---- */

void http_server_begin(struct http_server *server, uint64_t now_ns)
{
    ASSERT(now_ns >= server->now_ns);
    server->now_ns = now_ns;
}

static void settle_all(struct http_server *server)
{
    struct link round;
    link_init(&round);
    for (uint32_t i = 0; i < SETTLE_ROUNDS_MAX && !list_is_empty(&server->touched); i++) {
        list_splice_back(&round, &server->touched);
        for (struct link *link = list_pop_front(&round); link != NULL;
             link = list_pop_front(&round)) {
            connection_settle(CONTAINER_OF(link, struct http_connection, settle));
        }
    }
}

uint64_t http_server_step(struct http_server *server)
{
    accept_again(server);
    server->event_run = false;
    /* Settled first: what has come in this turn is not late. */
    settle_all(server);
    wheel_run(server);
    streams_run(server);
    settle_all(server);
    atomic_store_explicit(&server->statistics.memory_bytes, server->memory_bytes,
                          memory_order_relaxed);
    atomic_store_explicit(&server->statistics.streams_bytes, server->stream_bytes,
                          memory_order_relaxed);
    if (!list_is_empty(&server->touched) || !list_is_empty(&server->streams_gone) ||
        server->event_run) {
        return server->now_ns;
    }
    uint64_t next_ns = wheel_next_ns(server);
    if (server->stream_retry_ns != 0 && server->stream_retry_ns < next_ns) {
        next_ns = server->stream_retry_ns;
    }
    if (server->accept_due && !server->draining && server->accept_retry_ns < next_ns) {
        next_ns = server->accept_retry_ns;
    }
    return next_ns;
}

void http_server_drain(struct http_server *server, bool force)
{
    if (!server->draining) {
        server->draining = true;
        for (uint32_t i = 0; i < HTTP_LISTENERS_MAX; i++) {
            if (server->listeners[i].accepting) {
                ring_cancel(server->ring, &server->listeners[i].operation);
            }
        }
    }
    for (struct link *link = server->connections.next; link != &server->connections;
         link = link->next) {
        struct http_connection *connection = CONTAINER_OF(link, struct http_connection, all);
        if (force) {
            connection_abort(connection);
        } else {
            connection_drain(connection);
        }
    }
}

bool http_server_drained(const struct http_server *server)
{
    for (uint32_t i = 0; i < HTTP_LISTENERS_MAX; i++) {
        if (server->listeners[i].accepting) {
            return false;
        }
    }
    return server->draining && server->connection_count == 0;
}

uint64_t http_server_unanswered(const struct http_server *server)
{
    return server->unanswered;
}

const struct http_statistics *http_server_statistics(const struct http_server *server)
{
    return &server->statistics;
}
