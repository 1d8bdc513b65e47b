/*
 * connection.c: what happens to a connection. Events only note what they bring and touch the
 * connection; wire_connection_settle decides, once a turn. See wire_internal.h for the phases.
 */
#include <errno.h>

#include "net/wire/wire_internal.h"
#include "protocol/base/assert.h"

/* How long a client that was refused may still send before the connection is cut. */
#define LINGER_NS 2000000000ull
/* Unread bytes that a blocked connection collects before its receive is stopped. */
#define INPUT_PAUSE_BYTES (64u << 10)

static struct wire_connection *connection_of(struct socket *socket)
{
    return CONTAINER_OF(socket, struct wire_connection, socket);
}

struct wire_connection *wire_connection_open(struct wire_server *server, int fd, bool over)
{
    ASSERT(fd >= 0 && !server->draining);
    struct wire_connection *connection = (struct wire_connection *)memory_take(
        &server->memory, sizeof(*connection), MEMORY_FOR_REQUEST);
    if (connection == NULL) {
        return NULL;
    }
    *connection = (struct wire_connection){.server = server, .over = over};
    connection->socket = (struct socket){
        .ring = server->ring, .memory = &server->memory, .events = &wire_socket_events, .fd = fd};
    link_init(&connection->settle);
    wheel_timer_init(&connection->timer);
    link_init(&connection->calls);
    link_init(&connection->subscriptions);
    connection->deadline_ns = server->now_ns + server->options.hello_timeout_ns;
    connection->read_bytes_mean = WIRE_EXPECTED_BYTES_FIRST;
    list_push_back(&server->connections, &connection->all);
    server->connection_count++;
    server->over_count += over ? 1 : 0;
    wire_count(&server->statistics.connections_open, 1);
    wire_touch(connection);
    if (over) {
        wire_answer_error(connection, 0, 503, BYTES_LITERAL("There are too many connections"));
        wire_connection_end(connection);
    } else {
        /* One that says nothing for days is kept, as long as its client is there. */
        server->transport->probe(&connection->socket);
    }
    return connection;
}

/* Its requests go on without it; their answers are thrown away. */
static void calls_detach(struct wire_connection *connection)
{
    for (struct link *link = list_pop_front(&connection->calls); link != NULL;
         link = list_pop_front(&connection->calls)) {
        CONTAINER_OF(link, struct wire_call, link)->connection = NULL;
        ASSERT(connection->call_count > 0);
        connection->call_count--;
    }
    ASSERT(connection->call_count == 0);
    connection->read_count = 0;
    connection->list_count = 0;
}

/* Nothing more will be sent to it. */
static void connection_detach(struct wire_connection *connection)
{
    calls_detach(connection);
    wire_subscriptions_close(connection);
    ASSERT(list_is_empty(&connection->subscriptions) && connection->subscription_count == 0);
}

void wire_connection_free(struct wire_connection *connection)
{
    struct wire_server *server = connection->server;
    connection_detach(connection);
    wire_input_drop(connection);
    output_drop(&connection->output, &server->chunks);
    socket_deinit(&connection->socket);
    wheel_clear(&connection->timer);
    if (link_is_linked(&connection->all)) {
        link_remove(&connection->all);
    }
    if (link_is_linked(&connection->settle)) {
        link_remove(&connection->settle);
    }
    ASSERT(server->connection_count > 0);
    server->connection_count--;
    server->over_count -= connection->over ? 1 : 0;
    wire_count(&server->statistics.connections_open, (uint64_t)-1);
    memory_give(&server->memory, connection, sizeof(*connection));
}

void wire_connection_abort(struct wire_connection *connection)
{
    connection->phase = WIRE_CLOSING;
    connection->failed = true;
    wire_touch(connection);
}

void wire_connection_end(struct wire_connection *connection)
{
    if (connection->phase == WIRE_OPEN) {
        connection->phase = WIRE_LAST;
        connection->must_linger = true;
        connection->deadline_ns = UINT64_MAX;
    }
    wire_touch(connection);
}

/* ---- events ---- */

static void received(struct socket *socket, uint8_t *data, size_t size)
{
    struct wire_connection *connection = connection_of(socket);
    ASSERT(connection->receiving != RECEIVING_OFF);
    wire_count(&connection->server->statistics.bytes_in, size);
    wire_touch(connection);
    if (connection->phase != WIRE_OPEN) {
        connection->must_linger = true;
        return;
    }
    connection->awaits_frame = false; /* it begins anew */
    wire_input_received(connection, data, size);
}

static void receive_ended(struct socket *socket, int result)
{
    struct wire_connection *connection = connection_of(socket);
    connection->receiving = RECEIVING_OFF;
    wire_touch(connection);
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
        wire_connection_abort(connection);
        return;
    }
}

static void sent(struct socket *socket, int result)
{
    struct wire_connection *connection = connection_of(socket);
    ASSERT(connection->sending);
    connection->sending = false;
    connection->send_stopped = false;
    wire_touch(connection);
    if (result >= 0) {
        wire_count(&connection->server->statistics.bytes_out, (uint64_t)result);
        connection->sent_total += (uint64_t)result;
        output_sent(&connection->output, &connection->server->chunks, (size_t)result);
    } else if (result != -EAGAIN && result != -EINTR && connection->phase != WIRE_CLOSING) {
        wire_connection_abort(connection);
    }
}

const struct socket_events wire_socket_events = {
    .received = received,
    .receive_ended = receive_ended,
    .sent = sent,
};

/* ---- deadlines ---- */

/* A client that does not take what it has asked for; one that only lags behind its subscriptions
 * keeps nothing but its few frames, and TCP tells when it has gone. */
static uint64_t send_deadline_of(const struct wire_connection *connection)
{
    bool waits = connection->sending && connection->answers_end > connection->sent_total;
    return waits ? connection->send_deadline_ns : UINT64_MAX;
}

/* What has come of a frame that never ends would be kept for ever. */
static uint64_t frame_deadline_of(const struct wire_connection *connection)
{
    bool waits = connection->awaits_frame && connection->phase == WIRE_OPEN;
    return waits ? connection->frame_deadline_ns : UINT64_MAX;
}

static uint64_t deadline_of(const struct wire_connection *connection)
{
    if (connection->phase == WIRE_CLOSING) {
        return UINT64_MAX;
    }
    uint64_t send_ns = send_deadline_of(connection);
    uint64_t frame_ns = frame_deadline_of(connection);
    uint64_t first_ns = send_ns < frame_ns ? send_ns : frame_ns;
    return connection->deadline_ns < first_ns ? connection->deadline_ns : first_ns;
}

static void expire(struct wire_connection *connection)
{
    struct wire_server *server = connection->server;
    if (send_deadline_of(connection) <= server->now_ns) {
        wire_count(&server->statistics.timeouts_send, 1);
        wire_connection_abort(connection);
        return;
    }
    if (frame_deadline_of(connection) <= server->now_ns) {
        wire_count(&server->statistics.timeouts_frame, 1);
        wire_answer_error(connection, 0, 408, BYTES_LITERAL("The rest of a frame did not come"));
        wire_connection_end(connection);
        return;
    }
    connection->deadline_ns = UINT64_MAX;
    if (connection->phase == WIRE_LINGER) {
        connection->phase = WIRE_CLOSING;
    } else if (connection->phase == WIRE_OPEN) {
        ASSERT(!connection->welcomed);
        wire_count(&server->statistics.timeouts_hello, 1);
        wire_answer_error(connection, 0, 408, BYTES_LITERAL("No HELLO came in time"));
        wire_connection_end(connection);
    }
    wire_touch(connection);
}

uint64_t wire_connection_look(struct wheel_timer *timer)
{
    struct wire_connection *connection = CONTAINER_OF(timer, struct wire_connection, timer);
    if (deadline_of(connection) <= connection->server->now_ns) {
        expire(connection);
    }
    return deadline_of(connection);
}

/* ---- settling ---- */

static bool is_quiet(const struct wire_connection *connection)
{
    return connection->call_count == 0 && connection->output.unsent_bytes == 0 &&
           !connection->sending;
}

/* What the end of the client's side, or of the server's time, means for an open connection. */
static void settle_open(struct wire_connection *connection)
{
    if (connection->phase != WIRE_OPEN) {
        return;
    }
    if (connection->ended && !wire_input_blocked(connection)) {
        connection->phase = WIRE_LAST;
    } else if (connection->server->draining && is_quiet(connection) &&
               wire_input_size(connection) == 0) {
        wire_connection_end(connection);
    }
}

static void settle_last(struct wire_connection *connection)
{
    if (connection->phase != WIRE_LAST) {
        return;
    }
    wire_subscriptions_close(connection);
    if (!is_quiet(connection)) {
        return;
    }
    wire_input_drop(connection);
    if (!connection->must_linger || connection->ended) {
        connection->phase = WIRE_CLOSING;
        return;
    }
    /* To close with unread bytes would reset the connection, and the client might never see its
     * answer. */
    connection->phase = WIRE_LINGER;
    connection->deadline_ns = connection->server->now_ns + LINGER_NS;
    connection->server->transport->shut_write(&connection->socket);
}

static void settle_room(struct wire_connection *connection)
{
    if (connection->wants_room && connection->phase == WIRE_OPEN &&
        connection->output.unsent_bytes <= WIRE_PUSH_BYTES_MAX / 2) {
        connection->wants_room = false;
        wire_subscriptions_writable(connection);
    }
}

static void settle_send(struct wire_connection *connection)
{
    struct iovec pieces[OUTPUT_PIECES_MAX];
    if (connection->sending || connection->output.unsent_bytes == 0 ||
        connection->phase == WIRE_CLOSING) {
        return;
    }
    struct wire_server *server = connection->server;
    size_t count = output_pieces(&connection->output, pieces, OUTPUT_PIECES_MAX);
    ASSERT(count > 0);
    connection->sending = true;
    connection->send_deadline_ns = server->now_ns + server->options.send_timeout_ns;
    server->transport->send(&connection->socket, pieces, count);
}

static void settle_frame(struct wire_connection *connection)
{
    const struct wire_server *server = connection->server;
    bool waits = connection->welcomed && server->options.frame_timeout_ns > 0 &&
                 (wire_input_size(connection) > 0 || connection->input.skip > 0) &&
                 !wire_input_blocked(connection);
    if (waits && !connection->awaits_frame) {
        connection->frame_deadline_ns = server->now_ns + server->options.frame_timeout_ns;
    }
    connection->awaits_frame = waits;
}

static void settle_receive(struct wire_connection *connection)
{
    const struct socket_transport *transport = connection->server->transport;
    bool paused = connection->phase == WIRE_OPEN && wire_input_blocked(connection) &&
                  wire_input_size(connection) >= INPUT_PAUSE_BYTES;
    if (connection->phase == WIRE_LINGER && connection->ended) {
        connection->phase = WIRE_CLOSING;
    }
    if (connection->phase == WIRE_CLOSING || paused) {
        if (connection->receiving == RECEIVING_ON) {
            connection->receiving = RECEIVING_STOPPING;
            transport->receive_stop(&connection->socket);
        }
    } else if (connection->receiving == RECEIVING_OFF && !connection->ended) {
        connection->receiving = RECEIVING_ON;
        transport->receive_start(&connection->socket);
    }
}

/* True when it is gone. */
static bool settle_closing(struct wire_connection *connection)
{
    struct wire_server *server = connection->server;
    if (connection->phase != WIRE_CLOSING) {
        return false;
    }
    connection_detach(connection);
    if (connection->sending) {
        if (!connection->send_stopped) {
            connection->send_stopped = true;
            server->transport->send_stop(&connection->socket);
        }
        return false;
    }
    if (connection->receiving != RECEIVING_OFF) {
        return false;
    }
    server->transport->close(&connection->socket, connection->failed);
    wire_connection_free(connection);
    return true;
}

void wire_connection_settle(struct wire_connection *connection)
{
    ASSERT(!connection->room_begun);
    wire_input_resume(connection);
    settle_room(connection);
    settle_open(connection);
    settle_last(connection);
    settle_send(connection);
    settle_frame(connection);
    settle_receive(connection);
    if (!settle_closing(connection)) {
        wheel_set(&connection->server->wheel, &connection->timer, deadline_of(connection));
    }
}
