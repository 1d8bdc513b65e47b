/*
 * server.c: the server of one thread: its life, turns and end.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/wire/wire_internal.h"
#include "protocol/base/assert.h"

/* Connections over connections_max that are being told so; more are closed at once. */
#define CONNECTIONS_OVER_MAX 64
#define SETTLE_ROUNDS_MAX    8

/* ---- accepting ---- */

static void accept_one(struct acceptor *acceptor, int fd)
{
    struct wire_server *server = CONTAINER_OF(acceptor, struct wire_server, acceptor);
    wire_count(&server->statistics.connections_accepted, 1);
    bool over = server->connection_count - server->over_count >= server->options.connections_max;
    if (over) {
        wire_count(&server->statistics.connections_refused, 1);
    }
    if (server->draining || (over && server->over_count >= CONNECTIONS_OVER_MAX) ||
        wire_connection_open(server, fd, over) == NULL) {
        ring_close(server->ring, fd);
    }
}

enum status wire_server_accept(struct wire_server *server, int listening_fd)
{
    return acceptor_add(&server->acceptor, listening_fd);
}

/* ---- life ---- */

static void options_set(struct wire_server *server, const struct wire_options *options)
{
    server->options = *options;
    if (options->requests_max == 0) {
        server->options.requests_max = WIRE_REQUESTS_MAX;
    }
    if (options->subscriptions_max == 0) {
        server->options.subscriptions_max = WIRE_SUBSCRIPTIONS_MAX;
    }
    if (options->principal.name.size == 0) {
        server->options.principal = PRINCIPAL_ANONYMOUS;
    }
    server->memory.max =
        options->memory_bytes_max == 0 ? WIRE_MEMORY_BYTES_DEFAULT : options->memory_bytes_max;
    server->chunks.budget = &server->memory;
    collection_names_init(&server->collections, options->collections, options->collection_count);
}

enum status wire_server_make(const struct wire_options *options,
                             const struct socket_transport *transport, struct ring *ring,
                             struct wire_server **out)
{
    ASSERT(options->collection_count <= COLLECTION_COUNT_MAX);
    ASSERT(options->connections_max > 0);
    *out = NULL;
    struct wire_server *server = aligned_alloc(64, (sizeof(*server) + 63) / 64 * 64);
    if (server == NULL) {
        return STATUS_NO_MEMORY;
    }
    memset(server, 0, sizeof(*server));
    server->transport = transport;
    server->ring = ring;
    link_init(&server->connections);
    link_init(&server->touched);
    link_init(&server->lists_waiting);
    wheel_init(&server->wheel);
    acceptor_init(&server->acceptor, ring, accept_one);
    options_set(server, options);
    server->document = malloc(WIRE_DOCUMENT_BYTES);
    server->arena = malloc(WIRE_ARENA_BYTES);
    enum status status = server->document == NULL || server->arena == NULL
                             ? STATUS_NO_MEMORY
                             : wire_subscriptions_create(server);
    if (status != STATUS_OK) {
        wire_server_destroy(&server);
        return status;
    }
    *out = server;
    return STATUS_OK;
}

enum status wire_server_create(const struct wire_options *options, struct ring *ring,
                               struct wire_server **out)
{
    ASSERT(ring != NULL);
    return wire_server_make(options, &socket_ring_transport, ring, out);
}

/* Without the ring's help: it is about to go, and with it all that is in flight. */
static void connections_free(struct wire_server *server)
{
    for (struct link *link = list_pop_front(&server->connections); link != NULL;
         link = list_pop_front(&server->connections)) {
        struct wire_connection *connection = CONTAINER_OF(link, struct wire_connection, all);
        int fd = connection->socket.fd;
        wire_connection_free(connection);
        (void)close(fd);
    }
}

void wire_server_destroy(struct wire_server **server_inout)
{
    struct wire_server *server = *server_inout;
    *server_inout = NULL;
    if (server == NULL) {
        return;
    }
    ASSERT(server->held_count == 0);
    connections_free(server);
    ASSERT(server->pending == 0);
    wire_subscriptions_destroy(server);
    while (server->free_calls != NULL) {
        struct wire_call *call = server->free_calls;
        server->free_calls = call->next_free;
        free(call);
    }
    chunk_pool_deinit(&server->chunks);
    free(server->document);
    free(server->arena);
    free(server);
}

void wire_server_timeouts_set(struct wire_server *server, const struct wire_timeouts *timeouts)
{
    ASSERT(timeouts->hello_ns > 0);
    ASSERT(timeouts->send_ns > 0);
    server->options.hello_timeout_ns = timeouts->hello_ns;
    server->options.frame_timeout_ns = timeouts->frame_ns;
    server->options.send_timeout_ns = timeouts->send_ns;
}

/* ---- turns ---- */

void wire_server_begin(struct wire_server *server, uint64_t now_ns, uint64_t wall_ms)
{
    ASSERT(now_ns >= server->now_ns);
    server->now_ns = now_ns;
    server->wall_ms = wall_ms;
    server->holding = true;
}

void wire_server_dispatched(struct wire_server *server)
{
    wire_held_run(server);
    server->holding = false;
}

static void settle_all(struct wire_server *server)
{
    struct link round;
    link_init(&round);
    for (uint32_t i = 0; i < SETTLE_ROUNDS_MAX && !list_is_empty(&server->touched); i++) {
        list_splice_back(&round, &server->touched);
        for (struct link *link = list_pop_front(&round); link != NULL;
             link = list_pop_front(&round)) {
            wire_connection_settle(CONTAINER_OF(link, struct wire_connection, settle));
        }
    }
}

/* Memory may have come back from others. */
static void room_retry(struct wire_server *server)
{
    if (server->room_retry_ns == 0 || server->now_ns < server->room_retry_ns) {
        return;
    }
    server->room_retry_ns = 0;
    for (struct link *link = server->connections.next; link != &server->connections;
         link = link->next) {
        struct wire_connection *connection = CONTAINER_OF(link, struct wire_connection, all);
        if (connection->wants_room) {
            wire_touch(connection);
        }
    }
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint64_t wire_server_step(struct wire_server *server)
{
    ASSERT(!server->holding && server->held_count == 0);
    room_retry(server);
    uint64_t next_ns = acceptor_step(&server->acceptor, server->now_ns);
    uint64_t subscriptions_ns = wire_subscriptions_step(server, server->now_ns);
    /* Settled first: what has come in this turn is not late. */
    settle_all(server);
    wheel_run(&server->wheel, server->now_ns, wire_connection_look);
    settle_all(server);
    atomic_store_explicit(&server->statistics.memory_bytes, server->memory.used,
                          memory_order_relaxed);
    if (!list_is_empty(&server->touched)) {
        return server->now_ns;
    }
    if (server->room_retry_ns != 0) {
        next_ns = earlier(next_ns, server->room_retry_ns);
    }
    return earlier(earlier(next_ns, subscriptions_ns), wheel_next_ns(&server->wheel));
}

/* ---- the end ---- */

void wire_server_drain(struct wire_server *server, bool force)
{
    bool first = !server->draining;
    server->draining = true;
    acceptor_stop(&server->acceptor);
    if (first) {
        wire_goaway_begin(server);
    }
    for (struct link *link = server->connections.next; link != &server->connections;
         link = link->next) {
        struct wire_connection *connection = CONTAINER_OF(link, struct wire_connection, all);
        if (force) {
            wire_connection_abort(connection);
        } else {
            wire_touch(connection);
        }
    }
}

bool wire_server_drained(const struct wire_server *server)
{
    return server->draining && acceptor_is_idle(&server->acceptor) &&
           server->connection_count == 0 && server->pending == 0;
}

const struct wire_statistics *wire_server_statistics(const struct wire_server *server)
{
    return &server->statistics;
}
