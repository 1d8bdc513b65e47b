#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/http/connection.h"
#include "protocol/base/assert.h"

/* ---- accepting ---- */

static void accept_one(struct acceptor *acceptor, int fd)
{
    struct http_server *server = CONTAINER_OF(acceptor, struct http_server, acceptor);
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

enum status http_server_accept(struct http_server *server, int listening_fd)
{
    return acceptor_add(&server->acceptor, listening_fd);
}

/* ---- life ---- */

enum status server_create(const struct http_options *options,
                          const struct socket_transport *transport, struct ring *ring,
                          struct http_server **out)
{
    ASSERT(options->handle != NULL && options->refuse != NULL);
    ASSERT(options->pipelined_max > 0 && options->connections_max > 0);
    *out = NULL;
    struct http_server *server = calloc(1, sizeof(*server));
    if (server == NULL) {
        return STATUS_NO_MEMORY;
    }
    server->options = *options;
    server->memory.max =
        options->memory_bytes_max == 0 ? HTTP_MEMORY_BYTES_DEFAULT : options->memory_bytes_max;
    server->chunks.budget = &server->memory;
    server->transport = transport;
    server->ring = ring;
    link_init(&server->connections);
    link_init(&server->touched);
    link_init(&server->streams);
    link_init(&server->streams_gone);
    wheel_init(&server->wheel);
    acceptor_init(&server->acceptor, ring, accept_one);
    *out = server;
    return STATUS_OK;
}

enum status http_server_create(const struct http_options *options, struct ring *ring,
                               struct http_server **out)
{
    ASSERT(ring != NULL);
    return server_create(options, &socket_ring_transport, ring, out);
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
        output_drop(&connection->output, &server->chunks);
        socket_deinit(&connection->socket);
        (void)close(connection->socket.fd);
        memory_give(&server->memory, connection, sizeof(*connection));
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
    chunk_pool_deinit(&server->chunks);
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
    uint64_t accept_ns = acceptor_step(&server->acceptor, server->now_ns);
    server->event_run = false;
    /* Settled first: what has come in this turn is not late. */
    settle_all(server);
    wheel_run(&server->wheel, server->now_ns, timer_look);
    streams_run(server);
    settle_all(server);
    atomic_store_explicit(&server->statistics.memory_bytes, server->memory.used,
                          memory_order_relaxed);
    atomic_store_explicit(&server->statistics.streams_bytes, server->chunks.stream_bytes,
                          memory_order_relaxed);
    if (!list_is_empty(&server->touched) || !list_is_empty(&server->streams_gone) ||
        server->event_run) {
        return server->now_ns;
    }
    uint64_t next_ns = wheel_next_ns(&server->wheel);
    if (server->stream_retry_ns != 0 && server->stream_retry_ns < next_ns) {
        next_ns = server->stream_retry_ns;
    }
    return accept_ns < next_ns ? accept_ns : next_ns;
}

void http_server_drain(struct http_server *server, bool force)
{
    server->draining = true;
    acceptor_stop(&server->acceptor);
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
    return server->draining && acceptor_is_idle(&server->acceptor) && server->connection_count == 0;
}

uint64_t http_server_unanswered(const struct http_server *server)
{
    return server->unanswered;
}

const struct http_statistics *http_server_statistics(const struct http_server *server)
{
    return &server->statistics;
}
