#include <criterion/criterion.h>
#include <string.h>

#include "tests/unit/net/http/fake_transport.h"

/* ---- time ---- */

static uint64_t stat(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

Test(connection, a_slow_head_is_408_however_busy_it_looks)
{
    struct fake fake = {0};
    open_default(&fake);
    fake_advance(&fake, 50 * FAKE_SECOND_NS);
    for (size_t i = 0; i < 9; i++) {
        cr_assert(fake_receive(&fake, simple + i, 1));
        fake_advance(&fake, FAKE_SECOND_NS);
        cr_assert_eq(fake.refused, 0);
    }
    fake_advance(&fake, 2 * FAKE_SECOND_NS);
    fake_run(&fake);
    cr_assert_eq(fake.last_refusal, 408);
    cr_assert_eq(stat(&fake.server->statistics.timeouts_head), 1);
    cr_assert(fake.shut);
    fake_close_all(&fake);
}

Test(connection, a_body_may_take_its_time_but_not_pause)
{
    struct fake fake = {0};
    open_default(&fake);
    receive_text(&fake, "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n");
    for (int i = 0; i < 5; i++) {
        fake_advance(&fake, 19 * FAKE_SECOND_NS);
        cr_assert(fake_receive(&fake, "x", 1));
        fake_run(&fake);
        cr_assert_eq(fake.refused, 0);
    }
    fake_advance(&fake, 21 * FAKE_SECOND_NS);
    fake_run(&fake);
    cr_assert_eq(fake.last_refusal, 408);
    cr_assert_eq(stat(&fake.server->statistics.timeouts_body), 1);
    fake_close_all(&fake);
}

Test(connection, an_idle_connection_is_closed_without_a_word)
{
    struct fake fake = {0};
    open_default(&fake);
    for (int i = 0; i < 3; i++) {
        fake_advance(&fake, 59 * FAKE_SECOND_NS);
        receive_text(&fake, simple);
    }
    size_t before = fake.sent_size;
    fake_advance(&fake, 59 * FAKE_SECOND_NS);
    cr_assert_not(fake.stopping);
    fake_advance(&fake, 2 * FAKE_SECOND_NS);
    fake_run(&fake);
    cr_assert(fake.closed);
    cr_assert_eq(fake.sent_size, before);
    cr_assert_eq(stat(&fake.server->statistics.timeouts_idle), 1);
    fake_close_all(&fake);
}

Test(connection, no_timeout_strikes_while_a_handler_works)
{
    struct fake fake = {.keep = true};
    open_default(&fake);
    receive_text(&fake, simple);
    fake_advance(&fake, 1000 * FAKE_SECOND_NS);
    cr_assert_not_null(fake.connection);
    fake_answer(&fake, fake.kept[0]);
    fake.kept_count = 0;
    fake_run(&fake);
    cr_assert_eq(occurrences(&fake, "200 OK"), 1);
    fake_close_all(&fake);
}

Test(connection, a_client_that_does_not_read_is_cut)
{
    struct fake fake = {0};
    open_default(&fake);
    cr_assert(fake_receive(&fake, simple, sizeof(simple) - 1));
    (void)http_server_step(fake.server);
    cr_assert_gt(fake.in_flight, 0);
    fake_advance(&fake, 29 * FAKE_SECOND_NS);
    cr_assert_neq(fake.connection->phase, PHASE_CLOSING);
    fake_advance(&fake, 2 * FAKE_SECOND_NS);
    cr_assert_eq(fake.connection->phase, PHASE_CLOSING);
    fake_advance(&fake, 2 * FAKE_SECOND_NS);
    cr_assert_eq(stat(&fake.server->statistics.timeouts_send), 1);
    fake.in_flight = 0;
    connection_events.sent(&fake.connection->socket, -ECANCELED);
    fake_run(&fake);
    cr_assert(fake.closed);
    fake_close_all(&fake);
}

Test(connection, lingering_ends_by_itself)
{
    struct fake fake = {0};
    open_default(&fake);
    receive_text(&fake, "BAD\r\n\r\n");
    cr_assert(fake.shut);
    cr_assert_not(fake.closed);
    fake_advance(&fake, LINGER_NS + FAKE_SECOND_NS);
    fake_run(&fake);
    cr_assert(fake.closed);
    fake_close_all(&fake);
}

Test(connection, the_next_deadline_is_told)
{
    struct fake fake = {0};
    open_default(&fake);
    uint64_t now_ns = fake.server->now_ns;
    uint64_t next_ns = http_server_step(fake.server);
    cr_assert_gt(next_ns, now_ns + 59 * FAKE_SECOND_NS);
    cr_assert_lt(next_ns, now_ns + 61 * FAKE_SECOND_NS);
    cr_assert(fake_receive(&fake, simple, 5));
    next_ns = http_server_step(fake.server);
    cr_assert_gt(next_ns, now_ns + 9 * FAKE_SECOND_NS);
    cr_assert_lt(next_ns, now_ns + 11 * FAKE_SECOND_NS);
    fake_close_all(&fake);
}

/* ---- draining ---- */

Test(connection, draining_answers_what_is_in_flight_and_closes)
{
    struct fake fake = {.keep = true};
    open_default(&fake);
    receive_text(&fake, simple);
    receive_text(&fake, simple);
    http_server_drain(fake.server, false);
    cr_assert_not(http_closes(fake.kept[0]));
    cr_assert(http_closes(fake.kept[1]));
    fake_answer(&fake, fake.kept[0]);
    fake_answer(&fake, fake.kept[1]);
    fake.kept_count = 0;
    fake_run(&fake);
    cr_assert_eq(occurrences(&fake, "200 OK"), 2);
    cr_assert_eq(occurrences(&fake, "Connection: close"), 1);
    cr_assert_not(http_server_drained(fake.server));
    fake_end(&fake);
    fake_run(&fake);
    cr_assert(http_server_drained(fake.server));
    fake_close_all(&fake);
}

Test(connection, draining_closes_idle_connections_and_finishes_half_a_request)
{
    struct fake fake = {0};
    open_default(&fake);
    http_server_drain(fake.server, false);
    fake_run(&fake);
    cr_assert(http_server_drained(fake.server));
    fake_close_all(&fake);

    struct fake half = {0};
    open_default(&half);
    cr_assert(fake_receive(&half, simple, 10));
    fake_run(&half);
    http_server_drain(half.server, false);
    fake_run(&half);
    cr_assert_not(half.closed);
    receive_text(&half, simple + 10);
    cr_assert_eq(occurrences(&half, "Connection: close"), 1);
    fake_close_all(&half);
}

Test(connection, a_forced_drain_waits_for_nobody)
{
    struct fake fake = {.keep = true};
    open_default(&fake);
    receive_text(&fake, simple);
    http_server_drain(fake.server, false);
    http_server_drain(fake.server, true);
    fake_run(&fake);
    cr_assert(http_server_drained(fake.server));
    cr_assert_eq(http_server_unanswered(fake.server), 1);
    fake_close_all(&fake);
}
