/*
 * timer.c: which deadlines a connection has.
 */
#include "net/http/connection.h"

uint64_t timer_send_ns(const struct http_connection *connection)
{
    uint64_t send_ns = connection->sending ? connection->send_deadline_ns : UINT64_MAX;
    bool is_cut = connection->cut_ns != 0 && connection->phase != PHASE_LINGER;
    return is_cut && connection->cut_ns < send_ns ? connection->cut_ns : send_ns;
}

static uint64_t deadline_of(const struct http_connection *connection)
{
    uint64_t deadline_ns =
        connection->timer_kind == TIMER_NONE ? UINT64_MAX : connection->deadline_ns;
    if (connection->phase == PHASE_CLOSING) {
        return UINT64_MAX;
    }
    uint64_t send_ns = timer_send_ns(connection);
    return deadline_ns < send_ns ? deadline_ns : send_ns;
}

void timer_set(struct http_connection *connection)
{
    wheel_set(&connection->server->wheel, &connection->timer, deadline_of(connection));
}

uint64_t timer_look(struct wheel_timer *timer)
{
    struct http_connection *connection = CONTAINER_OF(timer, struct http_connection, timer);
    if (deadline_of(connection) <= connection->server->now_ns) {
        connection_expire(connection);
    }
    return deadline_of(connection);
}
