#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/net/http/fake_transport.h"

/* ---- splits ---- */

/* What is sent when text comes in pieces that end at the two offsets. */
static void run_split(struct fake *fake, const char *text, size_t size, size_t first, size_t second,
                      bool turns)
{
    memset(fake, 0, sizeof(*fake));
    open_default(fake);
    size_t ends[] = {first, second, size};
    size_t begin = 0;
    for (int i = 0; i < 3; i++) {
        (void)fake_receive(fake, text + begin, ends[i] - begin);
        begin = ends[i];
        if (turns) {
            fake_run(fake);
        }
    }
    fake_run(fake);
    fake_end(fake);
    fake_run(fake);
}

static const char *const streams[] = {
    "GET /a?b HTTP/1.1\r\nHost: h\r\n\r\n",
    "\r\nGET /a HTTP/1.1\r\nHost: h\r\n\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\n\r\n",
    "PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\nhello worldGET /b HTTP/1.1\r\nHost: "
    "h\r\n\r\n",
    "PUT /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n "
    "world\r\n0\r\nT: "
    "x\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET /a HTTP/1.1\r\nHost: h\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\nX: a\r\n b\r\n\r\nGET /c "
    "HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /b HTTP/1.0\r\n\r\n",
    "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: "
    "chunked\r\n\r\n0\r\n\r\nGET /smuggled "
    "HTTP/1.1\r\nHost: h\r\n\r\n",
    "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello0\r\n\r\nGET "
    "/smuggled HTTP/1.1\r\nHost: "
    "h\r\n\r\n",
    "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nshort",
    "GET /a HTTP/1.1\r\nHost: h\r\nX",
    "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999\r\n\r\nxx",
};

Test(connection, the_result_does_not_depend_on_how_bytes_are_split)
{
    for (size_t s = 0; s < sizeof(streams) / sizeof(streams[0]); s++) {
        size_t size = strlen(streams[s]);
        static struct fake whole;
        run_split(&whole, streams[s], size, size, size, true);
        cr_assert_gt(whole.sent_size, 0);
        for (size_t i = 1; i < size; i++) {
            for (size_t j = i; j <= size; j = j == i ? j + 1 : j + 7) {
                static struct fake split;
                run_split(&split, streams[s], size, i, j, (i + j) % 2 == 0);
                cr_assert_eq(split.sent_size, whole.sent_size,
                             "stream %zu split at %zu, %zu:\n%.*s", s, i, j, (int)split.sent_size,
                             split.sent);
                cr_assert_arr_eq(split.sent, whole.sent, whole.sent_size);
                fake_close_all(&split);
            }
        }
        fake_close_all(&whole);
    }
}

Test(connection, nothing_after_a_refused_request_is_understood)
{
    for (size_t s = 7; s <= 8; s++) {
        struct fake fake = {0};
        open_default(&fake);
        receive_text(&fake, streams[s]);
        cr_assert_eq(fake.refused, 1);
        cr_assert_eq(fake.last_refusal, 400);
        cr_assert_eq(occurrences(&fake, "smuggled"), 0);
        cr_assert(fake.shut);
        fake_close_all(&fake);
    }
}

/* ---- order ---- */

Test(connection, answers_given_out_of_order_are_sent_in_order)
{
    static const enum fake_variant variants[] = {FAKE_ROOM, FAKE_COPIED, FAKE_LARGE};
    for (size_t v = 0; v < 3; v++) {
        static struct fake fake;
        memset(&fake, 0, sizeof(fake));
        fake.keep = true;
        fake.variant = variants[v];
        fake.send_max = 777;
        open_default(&fake);
        for (int i = 0; i < 5; i++) {
            char text[64];
            (void)snprintf(text, sizeof(text), "GET /%d HTTP/1.1\r\nHost: h\r\n\r\n", i);
            receive_text(&fake, text);
        }
        cr_assert_eq(fake.kept_count, 5);
        static const int order[] = {3, 1, 4, 0, 2};
        for (int i = 0; i < 5; i++) {
            fake_answer(&fake, fake.kept[order[i]]);
            fake_run(&fake);
            uint32_t expected = i < 3 ? 0 : i == 3 ? 2 : 5;
            cr_assert_eq(occurrences(&fake, "200 OK"), expected, "after %d", i);
        }
        fake.kept_count = 0;
        const char *at = fake.sent;
        for (int i = 0; i < 5; i++) {
            char text[32];
            (void)snprintf(text, sizeof(text), "path=/%d ", i);
            const char *found =
                memmem(at, fake.sent_size - (size_t)(at - fake.sent), text, strlen(text));
            cr_assert_not_null(found, "%s", text);
            at = found;
        }
        cr_assert_eq(fake.released, fake.given);
        fake_close_all(&fake);
    }
}

Test(connection, all_ready_answers_of_a_turn_go_out_in_one_send)
{
    struct fake fake = {0};
    open_default(&fake);
    char text[4 * sizeof(simple)];
    (void)snprintf(text, sizeof(text), "%s%s%s%s", simple, simple, simple, simple);
    cr_assert(fake_receive(&fake, text, strlen(text)));
    cr_assert_eq(fake.sent_size, 0);
    (void)http_server_step(fake.server);
    cr_assert_eq(occurrences(&fake, "200 OK"), 4);
    cr_assert_eq(fake.in_flight, fake.sent_size);
    fake_close_all(&fake);
}

Test(connection, an_answer_given_while_a_send_is_in_flight_follows_it)
{
    struct fake fake = {.keep = true};
    open_default(&fake);
    receive_text(&fake, simple);
    receive_text(&fake, simple);
    fake_answer(&fake, fake.kept[0]);
    (void)http_server_step(fake.server);
    cr_assert_gt(fake.in_flight, 0);
    fake_answer(&fake, fake.kept[1]);
    (void)http_server_step(fake.server);
    cr_assert_eq(occurrences(&fake, "200 OK"), 1);
    fake_run(&fake);
    cr_assert_eq(occurrences(&fake, "200 OK"), 2);
    fake.kept_count = 0;
    fake_close_all(&fake);
}

Test(connection, short_sends_lose_and_repeat_nothing)
{
    for (size_t send_max = 1; send_max < 4000; send_max = send_max * 3 + 1) {
        static struct fake fake;
        memset(&fake, 0, sizeof(fake));
        fake.send_max = send_max;
        fake.variant = FAKE_LARGE;
        for (size_t i = 0; i < sizeof(fake.large); i++) {
            fake.large[i] = (char)('a' + i % 26);
        }
        open_default(&fake);
        cr_assert(fake_receive(&fake, simple, sizeof(simple) - 1));
        for (int i = 0; i < 100000 && (i < 2 || fake.in_flight > 0); i++) {
            fake_turn(&fake);
        }
        cr_assert_gt(fake.sent_size, sizeof(fake.large));
        cr_assert_arr_eq(fake.sent + fake.sent_size - sizeof(fake.large), fake.large,
                         sizeof(fake.large));
        cr_assert_eq(fake.released, 1);
        fake_close_all(&fake);
    }
}

/* ---- the connection dies ---- */

Test(connection, an_answer_for_a_dead_connection_is_dropped_and_its_body_released_once)
{
    static const enum fake_variant variants[] = {FAKE_ROOM, FAKE_COPIED, FAKE_LARGE};
    for (size_t v = 0; v < 3; v++) {
        static struct fake fake;
        memset(&fake, 0, sizeof(fake));
        fake.keep = true;
        fake.variant = variants[v];
        open_default(&fake);
        receive_text(&fake, simple);
        receive_text(&fake, simple);
        receive_text(&fake, simple);
        fake_answer(&fake, fake.kept[1]); /* waits for the first */
        connection_events.receive_ended(&fake.connection->socket, -ECONNRESET);
        fake_run(&fake);
        cr_assert_null(fake.connection);
        cr_assert_eq(http_server_unanswered(fake.server), 2);
        cr_assert_eq(fake.released, fake.given);
        fake_answer(&fake, fake.kept[2]);
        fake_answer(&fake, fake.kept[0]);
        fake.kept_count = 0;
        cr_assert_eq(fake.released, fake.given);
        cr_assert_eq(fake.sent_size, 0);
        fake_close_all(&fake);
    }
}

Test(connection, a_failed_send_ends_the_connection)
{
    static struct fake fake;
    fake.variant = FAKE_LARGE;
    open_default(&fake);
    cr_assert(fake_receive(&fake, simple, sizeof(simple) - 1));
    (void)http_server_step(fake.server);
    cr_assert_gt(fake.in_flight, 0);
    fake.in_flight = 0;
    connection_events.sent(&fake.connection->socket, -EPIPE);
    fake_run(&fake);
    cr_assert_null(fake.connection);
    cr_assert_eq(fake.released, 1);
    fake_close_all(&fake);
}

Test(connection, a_client_that_has_shut_its_side_still_gets_its_answers)
{
    struct fake fake = {.keep = true};
    open_default(&fake);
    receive_text(&fake, simple);
    receive_text(&fake, simple);
    fake_end(&fake);
    fake_run(&fake);
    cr_assert_not_null(fake.connection);
    fake_answer(&fake, fake.kept[1]);
    fake_answer(&fake, fake.kept[0]);
    fake.kept_count = 0;
    fake_run(&fake);
    cr_assert_eq(occurrences(&fake, "200 OK"), 2);
    cr_assert_null(fake.connection);
    fake_close_all(&fake);
}

Test(connection, an_ended_connection_without_requests_is_closed_at_once)
{
    struct fake fake = {0};
    open_default(&fake);
    fake_end(&fake);
    fake_run(&fake);
    cr_assert(fake.closed);
    cr_assert_eq(fake.sent_size, 0);
    fake_close_all(&fake);
}

/* ---- keep-alive ---- */

Test(connection, close_and_keep_alive_are_said_and_done)
{
    struct fake fake = {0};
    open_default(&fake);
    receive_text(&fake, "GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    cr_assert_eq(occurrences(&fake, "Connection: keep-alive"), 1);
    cr_assert_not(fake.closed);
    receive_text(&fake, simple);
    cr_assert_eq(occurrences(&fake, "Connection:"), 1);
    receive_text(&fake, "GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    cr_assert_eq(occurrences(&fake, "Connection: close"), 1);
    fake.stopping = false;
    fake_end(&fake);
    fake_run(&fake);
    cr_assert(fake.closed);
    cr_assert_eq(fake.handled, 3);
    fake_close_all(&fake);
}

Test(connection, close_after_drops_the_requests_behind)
{
    struct fake fake = {.keep = true};
    open_default(&fake);
    receive_text(&fake, simple);
    receive_text(&fake, simple);
    http_close_after(fake.kept[0]);
    fake_answer(&fake, fake.kept[1]);
    fake_answer(&fake, fake.kept[0]);
    fake.kept_count = 0;
    fake_run(&fake);
    cr_assert_eq(occurrences(&fake, "200 OK"), 1);
    cr_assert_eq(occurrences(&fake, "Connection: close"), 1);
    cr_assert(fake.shut);
    cr_assert(fake_receive(&fake, simple, sizeof(simple) - 1));
    fake_run(&fake);
    cr_assert_eq(fake.handled, 2);
    fake_end(&fake);
    fake_run(&fake);
    cr_assert(fake.closed);
    fake_close_all(&fake);
}

/* ---- limits ---- */

static int refusal_of(const char *text, size_t size, size_t piece)
{
    static struct fake fake;
    memset(&fake, 0, sizeof(fake));
    open_default(&fake);
    for (size_t i = 0; i < size; i += piece) {
        (void)fake_receive(&fake, text + i, size - i < piece ? size - i : piece);
    }
    fake_run(&fake);
    int status = fake.refused > 0 ? fake.last_refusal : 0;
    if (fake.refused + fake.handled == 0) {
        status = -1;
    }
    fake_close_all(&fake);
    return status;
}

Test(connection, a_head_at_its_limit_is_accepted_and_one_byte_more_is_431)
{
    static char text[20000];
    static const size_t pieces[] = {1, 100, 16384, 20000};
    for (size_t over = 0; over <= 1; over++) {
        size_t size = (size_t)snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: h\r\nX: ");
        memset(text + size, 'x', 16384 + over - size - 4);
        memcpy(text + 16384 + over - 4, "\r\n\r\n", 4);
        for (size_t i = 0; i < 4; i++) {
            cr_assert_eq(refusal_of(text, 16384 + over, pieces[i]), over == 0 ? 0 : 431);
        }
    }
}

Test(connection, a_target_over_its_limit_is_414)
{
    static char text[40000];
    static const size_t pieces[] = {1, 100, 16384, 40000};
    static const struct {
        size_t target;
        int status;
    } cases[] = {
        {HEAD_TARGET_BYTES_MAX, 0}, {HEAD_TARGET_BYTES_MAX + 1, 414}, {17000, 414}, {30000, 414}};
    for (size_t c = 0; c < 4; c++) {
        size_t size = (size_t)snprintf(text, sizeof(text), "GET /");
        memset(text + size, 't', cases[c].target - 1);
        size += cases[c].target - 1;
        size += (size_t)snprintf(text + size, 100, " HTTP/1.1\r\nHost: h\r\n\r\n");
        for (size_t i = 0; i < 4; i++) {
            cr_assert_eq(refusal_of(text, size, pieces[i]), cases[c].status,
                         "target %zu in pieces of %zu", cases[c].target, pieces[i]);
        }
    }
}

Test(connection, a_body_over_its_limit_is_413_before_it_is_sent)
{
    static const char over[] =
        "PUT / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 1048577\r\n\r\n";
    cr_assert_eq(refusal_of(over, sizeof(over) - 1, 1000), 413);
    static const char chunked[] =
        "PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n100001\r\n";
    cr_assert_eq(refusal_of(chunked, sizeof(chunked) - 1, 1000), 413);
}

Test(connection, a_body_of_exactly_the_limit_arrives_whole)
{
    size_t body = 1u << 20;
    char *text = malloc(body + 200);
    size_t size = (size_t)snprintf(
        text, 200, "PUT /big HTTP/1.1\r\nHost: h\r\nContent-Length: %zu\r\n\r\n", body);
    for (size_t i = 0; i < body; i++) {
        text[size + i] = (char)(i * 31 % 251);
    }
    char expected[100];
    (void)snprintf(expected, sizeof(expected), "body=1/%zu/%08x", body,
                   fake_hash(bytes_of(text + size, body)));
    struct fake fake = {0};
    open_default(&fake);
    for (size_t i = 0; i < size + body; i += 4096) {
        size_t left = size + body - i;
        cr_assert(fake_receive(&fake, text + i, left < 4096 ? left : 4096));
    }
    fake_run(&fake);
    cr_assert_eq(occurrences(&fake, expected), 1);
    cr_assert_eq(fake.connection->input, NULL);
    fake_close_all(&fake);
    free(text);
}

Test(connection, blank_lines_before_a_request_are_skipped_up_to_a_limit)
{
    static const char four[] = "\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n";
    static const char five[] = "\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n";
    cr_assert_eq(refusal_of(four, sizeof(four) - 1, 1), 0);
    cr_assert_eq(refusal_of(five, sizeof(five) - 1, 100), 400);
}

Test(connection, a_connection_over_the_limit_is_told_so)
{
    struct fake fake = {0};
    open_default(&fake);
    fake_end(&fake);
    fake_run(&fake);
    fake.closed = false;
    fake.connection = connection_open(fake.server, 4, true);
    fake_run(&fake);
    cr_assert_eq(fake.last_refusal, 503);
    cr_assert_eq(occurrences(&fake, "HTTP/1.1 503"), 1);
    cr_assert(fake.shut);
    fake_end(&fake);
    fake_run(&fake);
    fake_close_all(&fake);
}

/* ---- pressure ---- */

Test(connection, more_pipelined_requests_than_allowed_wait_for_answers)
{
    struct fake fake = {.keep = true};
    open_default(&fake);
    for (int i = 0; i < 20; i++) {
        receive_text(&fake, simple);
    }
    cr_assert_eq(fake.kept_count, 8);
    for (int round = 0; round < 20; round++) {
        cr_assert_gt(fake.kept_count, 0);
        struct http_exchange *first = fake.kept[0];
        fake.kept_count--;
        memmove(fake.kept, fake.kept + 1, fake.kept_count * sizeof(fake.kept[0]));
        fake_answer(&fake, first);
        fake_run(&fake);
    }
    cr_assert_eq(fake.handled, 20);
    cr_assert_eq(occurrences(&fake, "200 OK"), 20);
    cr_assert_null(fake.connection->input);
    fake_close_all(&fake);
}

Test(connection, a_client_that_sends_but_is_not_answered_is_no_longer_read)
{
    static struct fake fake;
    static char flood[8192];
    fake.keep = true;
    open_default(&fake);
    for (size_t i = 0; i + sizeof(simple) - 1 <= sizeof(flood); i += sizeof(simple) - 1) {
        memcpy(flood + i, simple, sizeof(simple) - 1);
    }
    size_t flood_size = sizeof(flood) / (sizeof(simple) - 1) * (sizeof(simple) - 1);
    int taken = 0;
    while (taken < 1000 && fake_receive(&fake, flood, flood_size)) {
        fake_run(&fake);
        taken++;
    }
    cr_assert_lt(taken, 20);
    cr_assert_eq(fake.connection->receiving, RECEIVING_OFF);
    while (fake.kept_count > 0) {
        struct http_exchange *kept[FAKE_KEPT_MAX];
        uint32_t count = fake.kept_count;
        memcpy(kept, fake.kept, sizeof(kept));
        fake.kept_count = 0;
        for (uint32_t i = 0; i < count; i++) {
            fake_answer(&fake, kept[i]);
        }
        fake_run(&fake);
    }
    cr_assert_eq(fake.handled, (uint32_t)taken * (uint32_t)(flood_size / (sizeof(simple) - 1)));
    cr_assert_eq(fake.connection->receiving, RECEIVING_ON);
    fake_close_all(&fake);
}

Test(connection, a_client_that_does_not_read_is_no_longer_answered)
{
    static struct fake fake;
    fake.variant = FAKE_LARGE;
    fake.send_max = 1;
    open_default(&fake);
    for (int i = 0; i < 200; i++) {
        if (fake_receive(&fake, simple, sizeof(simple) - 1)) {
            (void)http_server_step(fake.server);
        }
    }
    cr_assert_lt(fake.handled, 40);
    cr_assert_leq(fake.connection->output.unsent_bytes, UNSENT_BYTES_MAX + 2 * sizeof(fake.large));
    fake.send_max = SIZE_MAX;
    fake_run(&fake);
    cr_assert_eq(fake.handled, 200);
    fake_close_all(&fake);
}

Test(connection, without_memory_for_the_body_the_answer_is_503)
{
    struct fake fake = {0};
    struct http_options options = fake_options(&fake);
    options.memory_bytes_max = 400u << 10;
    fake_open(&fake, &options);
    static char piece[65536];
    receive_text(&fake, "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n");
    for (int i = 0; i < 10 && fake.refused == 0; i++) {
        (void)fake_receive(&fake, piece, sizeof(piece));
    }
    fake_run(&fake);
    cr_assert_eq(fake.last_refusal, 503);
    cr_assert_eq(occurrences(&fake, "HTTP/1.1 503"), 1);
    fake_close_all(&fake);
}

Test(connection, an_idle_connection_holds_little_memory)
{
    struct fake fake = {0};
    open_default(&fake);
    for (int i = 0; i < 3; i++) {
        receive_text(&fake, simple);
    }
    cr_assert_leq(fake.server->memory.used, 512);
    cr_assert_leq(sizeof(struct http_connection), 512);
    fake_close_all(&fake);
}

/* ---- 100-continue ---- */

static const char expecting[] =
    "PUT /x HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";

Test(connection, a_client_that_waits_is_told_to_continue)
{
    struct fake fake = {0};
    open_default(&fake);
    receive_text(&fake, expecting);
    cr_assert(sent_is(&fake, "HTTP/1.1 100 Continue\r\n\r\n"));
    receive_text(&fake, "hello");
    cr_assert_eq(occurrences(&fake, "100 Continue"), 1);
    cr_assert_eq(occurrences(&fake, "body=1/5/"), 1);
    fake_close_all(&fake);
}

Test(connection, a_client_that_does_not_wait_is_not_told_to_continue)
{
    struct fake fake = {0};
    char text[200];
    open_default(&fake);
    (void)snprintf(text, sizeof(text), "%shello", expecting);
    receive_text(&fake, text);
    cr_assert_eq(occurrences(&fake, "100 Continue"), 0);
    cr_assert_eq(occurrences(&fake, "200 OK"), 1);
    (void)snprintf(text, sizeof(text), "%she", expecting);
    receive_text(&fake, text);
    receive_text(&fake, "llo");
    cr_assert_eq(occurrences(&fake, "100 Continue"), 0);
    cr_assert_eq(occurrences(&fake, "200 OK"), 2);
    fake_close_all(&fake);
}

Test(connection, continue_waits_for_the_answers_before_it)
{
    struct fake fake = {.keep = true};
    open_default(&fake);
    receive_text(&fake, simple);
    receive_text(&fake, expecting);
    cr_assert_eq(fake.sent_size, 0);
    fake_answer(&fake, fake.kept[0]);
    fake.kept_count = 0;
    fake_run(&fake);
    cr_assert_eq(occurrences(&fake, "200 OK"), 1);
    cr_assert_eq(occurrences(&fake, "100 Continue"), 1);
    fake_close_all(&fake);
}

/* ---- arenas ---- */

Test(connection, what_is_kept_lives_until_the_answer)
{
    struct fake fake = {.keep = true};
    open_default(&fake);
    receive_text(&fake, simple);
    struct http_exchange *exchange = fake.kept[0];
    struct bytes small = http_keep(exchange, BYTES_LITERAL("small"));
    static uint8_t large[300000];
    memset(large, 7, sizeof(large));
    struct bytes kept = http_keep(exchange, bytes_of(large, sizeof(large)));
    for (int i = 0; i < 100; i++) {
        uint8_t *memory = http_allocate(exchange, 1000);
        cr_assert_not_null(memory);
        cr_assert_eq((uintptr_t)memory % 16, 0);
        memset(memory, i, 1000);
    }
    cr_assert(bytes_equal(small, BYTES_LITERAL("small")));
    cr_assert(bytes_equal(kept, bytes_of(large, sizeof(large))));
    cr_assert_null(http_allocate(exchange, EXCHANGE_BYTES_MAX + 1));
    fake_close_all(&fake);
}
