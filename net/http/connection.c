/*
 * connection.c: what happens to a connection. Events only note what they bring and touch the
 * connection; connection_settle decides, once a turn. See connection.h for the phases.
 */
#include <errno.h>
#include <stdlib.h>

#include "net/http/connection.h"
#include "protocol/base/assert.h"

struct http_connection *connection_open(struct http_server *server, int fd, bool over)
{
    ASSERT(fd >= 0 && !server->draining);
    struct http_connection *connection = (struct http_connection *)memory_take(
        &server->memory, sizeof(*connection), MEMORY_FOR_REQUEST);
    if (connection == NULL) {
        return NULL;
    }
    *connection = (struct http_connection){.server = server, .over = over};
    link_init(&connection->settle);
    wheel_timer_init(&connection->timer);
    connection->socket = (struct socket){
        .ring = server->ring, .memory = &server->memory, .events = &connection_events, .fd = fd};
    list_push_back(&server->connections, &connection->all);
    server->connection_count++;
    server->over_count += over ? 1 : 0;
    count_add(&server->statistics.connections_open, 1);
    connection_touch(connection);
    if (over) {
        input_refuse(connection, NULL, refuse_with(503, "there are too many connections"));
    }
    return connection;
}

static void connection_free(struct http_connection *connection)
{
    struct http_server *server = connection->server;
    ASSERT(connection->phase == PHASE_CLOSING && !connection->sending);
    ASSERT(connection->receiving == RECEIVING_OFF && connection->exchange_count == 0);
    input_drop(connection);
    output_drop(&connection->output, &server->chunks);
    socket_deinit(&connection->socket);
    wheel_clear(&connection->timer);
    link_remove(&connection->all);
    if (link_is_linked(&connection->settle)) {
        link_remove(&connection->settle);
    }
    server->transport->close(&connection->socket, connection->failed);
    server->connection_count--;
    server->over_count -= connection->over ? 1 : 0;
    count_subtract(&server->statistics.connections_open, 1);
    memory_give(&server->memory, connection, sizeof(*connection));
}

/* ---- events ---- */

void connection_abort(struct http_connection *connection)
{
    connection->phase = PHASE_CLOSING;
    connection->failed = true;
    exchanges_detach(connection);
    connection_touch(connection);
}

static void connection_received(struct socket *socket, uint8_t *data, size_t size)
{
    struct http_connection *connection = CONTAINER_OF(socket, struct http_connection, socket);
    ASSERT(connection->receiving != RECEIVING_OFF || size > 0);
    count_add(&connection->server->statistics.bytes_in, size);
    connection_touch(connection);
    if (connection->phase != PHASE_OPEN) {
        connection->must_linger = true;
        return;
    }
    input_received(connection, data, size);
    /* Each byte of a body earns it more time; a head has to be quick as a whole. */
    if (connection->timer_kind == TIMER_BODY) {
        connection->deadline_ns =
            connection->server->now_ns + connection->server->options.body_timeout_ns;
    }
}

static void connection_receive_ended(struct socket *socket, int result)
{
    struct http_connection *connection = CONTAINER_OF(socket, struct http_connection, socket);
    connection->receiving = RECEIVING_OFF;
    connection_touch(connection);
    switch (-result) {
    case 0:
        connection->ended = true;
        return;
    case ENOBUFS: /* no buffer was free: settling starts it again */
    case ECANCELED:
    case EAGAIN:
    case EINTR:
        return;
    default:
        connection_abort(connection);
        return;
    }
}

static void connection_sent(struct socket *socket, int result)
{
    struct http_connection *connection = CONTAINER_OF(socket, struct http_connection, socket);
    ASSERT(connection->sending);
    connection->sending = false;
    connection->send_stopped = false;
    connection_touch(connection);
    if (result >= 0) {
        count_add(&connection->server->statistics.bytes_out, (uint64_t)result);
        output_sent(&connection->output, &connection->server->chunks, (size_t)result);
    } else if (result != -EAGAIN && result != -EINTR && connection->phase != PHASE_CLOSING) {
        connection_abort(connection);
    }
}

const struct socket_events connection_events = {
    .received = connection_received,
    .receive_ended = connection_receive_ended,
    .sent = connection_sent,
};

void connection_expire(struct http_connection *connection)
{
    struct http_statistics *statistics = &connection->server->statistics;
    enum timer_kind kind = connection->timer_kind;
    if (timer_send_ns(connection) <= connection->server->now_ns) {
        count_add(&statistics->timeouts_send, 1);
        connection_abort(connection);
        return;
    }
    connection->timer_kind = TIMER_NONE;
    connection_touch(connection);
    if (connection->phase != (kind == TIMER_LINGER ? PHASE_LINGER : PHASE_OPEN)) {
        return;
    }
    switch (kind) {
    case TIMER_NONE:
        return;
    case TIMER_HEAD:
        count_add(&statistics->timeouts_head, 1);
        input_refuse(connection, NULL, refuse_with(408, "the request's head took too long"));
        return;
    case TIMER_BODY:
        count_add(&statistics->timeouts_body, 1);
        input_refuse(connection, NULL, refuse_with(408, "the request's body took too long"));
        return;
    case TIMER_IDLE:
        count_add(&statistics->timeouts_idle, 1);
        connection->phase = PHASE_CLOSING;
        return;
    case TIMER_LINGER:
        connection->phase = PHASE_CLOSING;
        return;
    }
}

void connection_drain(struct http_connection *connection)
{
    connection_touch(connection);
    if (connection->phase != PHASE_OPEN || connection->exchange_count == 0) {
        /* settling closes it when it is idle; a request that is half there is still answered */
        return;
    }
    struct exchange *last = CONTAINER_OF(connection->exchanges.last, struct exchange, order);
    last->close = true;
    connection->phase = PHASE_LAST;
    connection->must_linger = true;
}

/* ---- settling ---- */

static bool is_quiet(const struct http_connection *connection)
{
    return connection->exchange_count == 0 && connection->output.unsent_bytes == 0 &&
           !connection->sending;
}

/* What the end of the client's side, or of the server's time, means for an open connection. */
static void settle_open(struct http_connection *connection)
{
    if (connection->phase != PHASE_OPEN) {
        return;
    }
    if (connection->ended && !input_blocked(connection)) {
        if (input_size(connection) > 0) {
            input_refuse(connection, NULL, refuse_with(400, "the request is not complete"));
        } else {
            connection->phase = PHASE_LAST;
        }
        return;
    }
    if (connection->server->draining && is_quiet(connection) && input_size(connection) == 0) {
        connection->phase = PHASE_CLOSING;
    }
}

static void settle_continue(struct http_connection *connection)
{
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
    if (connection->continue_due && connection->exchange_count == 0 &&
        connection->phase == PHASE_OPEN) {
        connection->continue_due = false;
        if (connection_copy(connection, BYTES_LITERAL(text)) != STATUS_OK) {
            connection_abort(connection);
        }
    }
}

static void settle_last(struct http_connection *connection)
{
    if (connection->phase != PHASE_LAST || !is_quiet(connection)) {
        return;
    }
    input_drop(connection);
    if (!connection->must_linger || connection->ended) {
        connection->phase = PHASE_CLOSING;
        return;
    }
    /* To close with unread bytes would reset the connection, and the client might never see its
     * answer. */
    connection->phase = PHASE_LINGER;
    connection->timer_kind = TIMER_LINGER;
    connection->deadline_ns = connection->server->now_ns + LINGER_NS;
    connection->server->transport->shut_write(&connection->socket);
}

static void settle_send(struct http_connection *connection)
{
    struct iovec pieces[OUTPUT_PIECES_MAX];
    if (connection->sending || connection->output.unsent_bytes == 0 ||
        connection->phase == PHASE_CLOSING) {
        return;
    }
    struct http_server *server = connection->server;
    size_t count = output_pieces(&connection->output, pieces, OUTPUT_PIECES_MAX);
    ASSERT(count > 0);
    connection->sending = true;
    connection->send_deadline_ns = connection_is_endless(connection)
                                       ? UINT64_MAX
                                       : server->now_ns + server->options.send_timeout_ns;
    server->transport->send(&connection->socket, pieces, count);
}

static void settle_receive(struct http_connection *connection)
{
    const struct socket_transport *transport = connection->server->transport;
    bool paused = connection->phase == PHASE_OPEN && input_blocked(connection) &&
                  input_size(connection) >= INPUT_PAUSE_BYTES;
    if (connection->phase == PHASE_LINGER && connection->ended) {
        connection->phase = PHASE_CLOSING;
    }
    if (connection->phase == PHASE_CLOSING || paused) {
        if (connection->receiving == RECEIVING_ON) {
            connection->receiving = RECEIVING_STOPPING;
            transport->receive_stop(&connection->socket);
        }
    } else if (connection->receiving == RECEIVING_OFF && !connection->ended) {
        connection->receiving = RECEIVING_ON;
        transport->receive_start(&connection->socket);
    }
}

static void settle_timer(struct http_connection *connection)
{
    const struct http_options *options = &connection->server->options;
    uint64_t now_ns = connection->server->now_ns;
    if (connection->phase == PHASE_OPEN) {
        enum timer_kind before = connection->timer_kind;
        connection->timer_kind = TIMER_NONE;
        if (input_blocked(connection)) {
            /* The delay is ours, or the send's. */
        } else if (connection->input == NULL && is_quiet(connection)) {
            connection->timer_kind = TIMER_IDLE;
            connection->deadline_ns = now_ns + options->idle_timeout_ns;
        } else if (connection->input != NULL && connection->input->partial.head_size == 0) {
            connection->timer_kind = TIMER_HEAD;
            connection->deadline_ns =
                connection->input->partial.started_ns + options->head_timeout_ns;
        } else if (connection->input != NULL) {
            connection->timer_kind = TIMER_BODY;
            if (before != TIMER_BODY) {
                connection->deadline_ns = now_ns + options->body_timeout_ns;
            }
        }
    } else if (connection->phase != PHASE_LINGER) {
        connection->timer_kind = TIMER_NONE;
    }
    timer_set(connection);
}

/* True when it is gone. */
static bool settle_closing(struct http_connection *connection)
{
    if (connection->phase != PHASE_CLOSING) {
        return false;
    }
    exchanges_detach(connection);
    if (connection->sending) {
        if (!connection->send_stopped) {
            connection->send_stopped = true;
            connection->server->transport->send_stop(&connection->socket);
        }
        return false;
    }
    if (connection->receiving != RECEIVING_OFF) {
        return false;
    }
    connection_free(connection);
    return true;
}

void connection_settle(struct http_connection *connection)
{
    if (!input_blocked(connection)) {
        input_resume(connection);
    }
    settle_open(connection);
    settle_continue(connection);
    stream_settle(connection);
    settle_last(connection);
    settle_send(connection);
    settle_receive(connection);
    if (!settle_closing(connection)) {
        settle_timer(connection);
    }
}
