/*
 * timer.c: a wheel of coarse ticks. It is lazy: a deadline that moves on, as it does with each
 * request, only changes a number in the connection; the wheel finds out when it comes to the old
 * tick. So the hot path never touches a list.
 */
#include "net/http/connection.h"
#include "protocol/base/assert.h"

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

void wheel_init(struct wheel *wheel)
{
    wheel->tick = 0;
    for (uint32_t i = 0; i < WHEEL_SLOT_COUNT; i++) {
        link_init(&wheel->slots[i]);
    }
}

void timer_set(struct http_connection *connection)
{
    uint64_t deadline_ns = deadline_of(connection);
    if (deadline_ns == UINT64_MAX) {
        return;
    }
    struct wheel *wheel = &connection->server->wheel;
    /* One later: the tick in which the deadline lies begins before it. */
    uint64_t tick = (deadline_ns >> WHEEL_TICK_SHIFT) + 1;
    if (tick <= wheel->tick) {
        tick = wheel->tick + 1;
    }
    if (tick >= wheel->tick + WHEEL_SLOT_COUNT) {
        tick = wheel->tick + WHEEL_SLOT_COUNT - 1;
    }
    if (link_is_linked(&connection->timer)) {
        if (connection->wheel_tick <= tick) {
            return;
        }
        link_remove(&connection->timer);
    }
    uint32_t slot = (uint32_t)(tick % WHEEL_SLOT_COUNT);
    connection->wheel_tick = tick;
    list_push_back(&wheel->slots[slot], &connection->timer);
    wheel->used[slot / 64] |= 1ull << (slot % 64);
    ASSERT(connection->wheel_tick > wheel->tick);
}

void timer_clear(struct http_connection *connection)
{
    if (link_is_linked(&connection->timer)) {
        link_remove(&connection->timer);
    }
}

static void slot_run(struct http_server *server, uint32_t slot)
{
    struct link due;
    link_init(&due);
    list_splice_back(&due, &server->wheel.slots[slot]);
    server->wheel.used[slot / 64] &= ~(1ull << (slot % 64));
    for (struct link *link = list_pop_front(&due); link != NULL; link = list_pop_front(&due)) {
        struct http_connection *connection = CONTAINER_OF(link, struct http_connection, timer);
        if (deadline_of(connection) <= server->now_ns) {
            connection_expire(connection);
        }
        timer_set(connection);
    }
}

void wheel_run(struct http_server *server)
{
    struct wheel *wheel = &server->wheel;
    uint64_t now_tick = server->now_ns >> WHEEL_TICK_SHIFT;
    if (now_tick <= wheel->tick) {
        return;
    }
    uint64_t first = wheel->tick + 1;
    uint64_t count = now_tick - wheel->tick;
    if (count > WHEEL_SLOT_COUNT) {
        count = WHEEL_SLOT_COUNT;
    }
    /* Moved on first, so that what is set again lands in a tick to come. */
    wheel->tick = now_tick;
    for (uint64_t i = 0; i < count; i++) {
        slot_run(server, (uint32_t)((first + i) % WHEEL_SLOT_COUNT));
    }
}

uint64_t wheel_next_ns(const struct http_server *server)
{
    const struct wheel *wheel = &server->wheel;
    for (uint64_t tick = wheel->tick + 1; tick < wheel->tick + WHEEL_SLOT_COUNT;) {
        uint32_t slot = (uint32_t)(tick % WHEEL_SLOT_COUNT);
        uint64_t word = wheel->used[slot / 64] >> (slot % 64);
        if (word != 0) {
            return (tick + (uint64_t)__builtin_ctzll(word)) << WHEEL_TICK_SHIFT;
        }
        tick += 64 - slot % 64;
    }
    return UINT64_MAX;
}
