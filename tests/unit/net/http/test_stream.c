/* Answers without an end that is known: net/http/stream.c. */
#include <criterion/criterion.h>
#include <unistd.h>

#include "tests/unit/net/http/fake_transport.h"

#define PIECE_BYTES 1000

static const char head_11[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

/* A fake whose only request has become a stream. */
static struct http_exchange *open_stream(struct fake *fake, const char *request)
{
    fake->variant = FAKE_STREAM;
    open_default(fake);
    receive_text(fake, request);
    cr_assert_eq(fake->stream_count, 1);
    return fake->streams[0];
}

static bool write_text(struct http_exchange *exchange, const char *text)
{
    return http_stream_write(exchange, bytes_of_text(text));
}

static bool write_piece(struct fake *fake, size_t size)
{
    return http_stream_write(fake->streams[0], bytes_of(fake->large, size));
}

/* Writes pieces until one is refused; returns how many were taken. */
static uint32_t fill(struct fake *fake, size_t size)
{
    uint32_t count = 0;
    while (write_piece(fake, size)) {
        count++;
        cr_assert_lt(count, 1000);
    }
    return count;
}

static void stop_reading(struct fake *fake)
{
    fake_run(fake);
    fake->send_max = 0;
}

Test(stream, sends_pieces_as_chunks_and_ends_with_the_last_one)
{
    struct fake fake = {0};
    struct http_exchange *exchange = open_stream(&fake, simple);
    cr_assert(sent_is(&fake, head_11));
    cr_assert(write_text(exchange, "hello"));
    cr_assert(write_text(exchange, "0123456789abcdef"));
    fake_run(&fake);
    fake_stream_end(&fake, exchange);
    fake_run(&fake);
    char expected[256];
    snprintf(expected, sizeof(expected), "%s5\r\nhello\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n",
             head_11);
    cr_assert(sent_is(&fake, expected));
    cr_assert_eq(fake.finished, 1);
    cr_assert_eq(fake.limited, 1);
    cr_assert_not_null(fake.connection, "a connection is kept behind a stream that has ended");
    receive_text(&fake, simple);
    cr_assert_eq(fake.handled, 2);
    fake_close_all(&fake);
}

Test(stream, what_is_written_in_a_turn_goes_out_in_one_send)
{
    struct fake fake = {0};
    struct http_exchange *exchange = open_stream(&fake, simple);
    fake.sent_size = 0;
    for (uint32_t i = 0; i < 10; i++) {
        cr_assert(write_piece(&fake, 100));
        cr_assert_eq(fake.sent_size, 0);
    }
    fake_turn(&fake);
    cr_assert_eq(fake.in_flight, 10 * (100 + 6));
    cr_assert_eq(fake.sent_size, 10 * (100 + 6));
    (void)exchange;
    fake_close_all(&fake);
}

Test(stream, a_piece_from_several_places_is_one_chunk_and_an_empty_one_is_none)
{
    struct fake fake = {0};
    struct http_exchange *exchange = open_stream(&fake, simple);
    fake.sent_size = 0;
    const struct bytes pieces[] = {BYTES_LITERAL("ab"), BYTES_EMPTY, BYTES_LITERAL("cde")};
    cr_assert(http_stream_write_pieces(exchange, pieces, 3));
    cr_assert(http_stream_write_pieces(exchange, pieces, 0));
    cr_assert(http_stream_write(exchange, BYTES_EMPTY), "a chunk of no bytes would end the body");
    fake_run(&fake);
    cr_assert(sent_is(&fake, "5\r\nabcde\r\n"));
    fake_close_all(&fake);
}

Test(stream, to_http_1_0_it_has_no_chunks_and_ends_with_the_connection)
{
    struct fake fake = {0};
    struct http_exchange *exchange =
        open_stream(&fake, "GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    cr_assert(write_text(exchange, "hello"));
    fake_stream_end(&fake, exchange);
    fake_run(&fake);
    cr_assert(sent_is(&fake, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello"));
    cr_assert(fake.shut);
    fake_close_all(&fake);
}

Test(stream, to_head_no_body_is_sent)
{
    struct fake fake = {0};
    struct http_exchange *exchange = open_stream(&fake, "HEAD /a HTTP/1.1\r\nHost: h\r\n\r\n");
    cr_assert(write_text(exchange, "hello"));
    fake_stream_end(&fake, exchange);
    fake_run(&fake);
    cr_assert(sent_is(&fake, head_11));
    receive_text(&fake, simple);
    cr_assert_eq(fake.handled, 2);
    fake_close_all(&fake);
}

Test(stream, refuses_what_there_is_no_room_for_and_says_when_there_is)
{
    struct fake fake = {0};
    open_stream(&fake, simple);
    stop_reading(&fake);
    uint32_t count = fill(&fake, PIECE_BYTES);
    /* With the ends of lines and three digits before each, and room for the longest of sizes. */
    cr_assert_eq(count, (HTTP_STREAM_ROOM_BYTES - 20) / (PIECE_BYTES + 7));
    for (uint32_t i = 0; i < 10; i++) {
        fake_turn(&fake);
        cr_assert(!write_piece(&fake, PIECE_BYTES));
    }
    cr_assert_eq(fake.writable, 0);
    cr_assert_leq(fake.connection->output.unsent_bytes, HTTP_STREAM_ROOM_BYTES);
    fake.send_max = SIZE_MAX;
    fake_run(&fake);
    cr_assert_eq(fake.writable, 1, "once, until a piece is refused again");
    cr_assert(write_piece(&fake, PIECE_BYTES));
    fake_run(&fake);
    cr_assert_eq(fake.writable, 1);
    fake_close_all(&fake);
}

Test(stream, is_writable_again_when_half_of_its_room_is_free)
{
    struct fake fake = {0};
    open_stream(&fake, simple);
    fake_run(&fake);
    (void)fill(&fake, PIECE_BYTES);
    fake.send_max = HTTP_STREAM_ROOM_BYTES / 4;
    fake_turn(&fake);
    fake_turn(&fake);
    cr_assert_eq(fake.writable, 0);
    fake_turn(&fake);
    cr_assert_eq(fake.writable, 1);
    fake_close_all(&fake);
}

Test(stream, a_piece_larger_than_its_room_is_taken_when_nothing_is_unsent)
{
    struct fake fake = {0};
    open_stream(&fake, simple);
    stop_reading(&fake);
    size_t size = 3u << 20;
    char *large = malloc(size);
    memset(large, 'x', size);
    cr_assert(http_stream_write(fake.streams[0], bytes_of(large, size)));
    cr_assert(!http_stream_write(fake.streams[0], bytes_of(large, size)));
    cr_assert(!write_piece(&fake, 1));
    fake.send_max = SIZE_MAX;
    fake_run(&fake);
    cr_assert_eq(fake.writable, 1);
    cr_assert(write_piece(&fake, 1));
    cr_assert(!http_stream_write(fake.streams[0], bytes_of(large, size)));
    fake_run(&fake);
    cr_assert_eq(fake.writable, 2);
    cr_assert(http_stream_write(fake.streams[0], bytes_of(large, size)));
    free(large);
    fake_close_all(&fake);
}

Test(stream, has_little_room_while_all_of_the_thread_hold_much)
{
    struct fake fake = {0};
    open_stream(&fake, simple);
    stop_reading(&fake);
    fake.server->chunks.stream_bytes += HTTP_STREAMS_BYTES;
    uint64_t before = fake.server->memory.used;
    uint32_t count = fill(&fake, PIECE_BYTES);
    cr_assert_eq(count, (HTTP_STREAM_ROOM_LEAST - 20) / (PIECE_BYTES + 7));
    cr_assert_leq(fake.server->memory.used - before, HTTP_STREAM_ROOM_LEAST + sizeof(struct chunk));
    fake.server->chunks.stream_bytes -= HTTP_STREAMS_BYTES;
    cr_assert_eq(fake.server->chunks.stream_bytes, HTTP_STREAM_ROOM_LEAST);
    fake_close_all(&fake);
}

Test(stream, counts_the_memory_that_all_of_the_thread_hold)
{
    struct fake fake = {0};
    open_stream(&fake, simple);
    const struct http_statistics *statistics = http_server_statistics(fake.server);
    cr_assert_eq(statistics->streams_open, 1);
    stop_reading(&fake);
    (void)fill(&fake, PIECE_BYTES);
    fake_turn(&fake);
    cr_assert_geq(statistics->streams_bytes, HTTP_STREAM_ROOM_BYTES / 16 * 15);
    cr_assert_leq(statistics->streams_bytes, HTTP_STREAM_ROOM_BYTES + CHUNK_BYTES);
    fake.send_max = SIZE_MAX;
    fake_run(&fake);
    cr_assert_eq(statistics->streams_bytes, 0);
    fake_stream_end(&fake, fake.streams[0]);
    cr_assert_eq(statistics->streams_open, 0);
    fake_close_all(&fake);
}

Test(stream, without_memory_it_waits_and_tries_again)
{
    struct fake fake = {.variant = FAKE_STREAM};
    struct http_options options = fake_options(&fake);
    options.memory_bytes_max = 1u << 20;
    fake_open(&fake, &options);
    receive_text(&fake, simple);
    fake_run(&fake);
    memory_hold(&fake.server->memory, 1u << 19);
    cr_assert(!write_piece(&fake, PIECE_BYTES));
    fake_run(&fake);
    cr_assert_eq(fake.writable, 0, "nothing has changed");
    uint64_t next_ns = http_server_step(fake.server);
    cr_assert_eq(next_ns, fake.server->now_ns + STREAM_RETRY_NS);
    memory_let_go(&fake.server->memory, 1u << 19);
    fake_advance(&fake, STREAM_RETRY_NS);
    cr_assert_eq(fake.writable, 1);
    cr_assert(write_piece(&fake, PIECE_BYTES));
    fake_close_all(&fake);
}

Test(stream, streams_leave_memory_to_requests_and_answers)
{
    struct fake fake = {.variant = FAKE_STREAM};
    struct http_options options = fake_options(&fake);
    options.memory_bytes_max = 1u << 20;
    fake_open(&fake, &options);
    receive_text(&fake, simple);
    stop_reading(&fake);
    char *large = calloc(1, 1u << 19);
    cr_assert(!http_stream_write(fake.streams[0], bytes_of(large, 1u << 19)));
    cr_assert(http_stream_write(fake.streams[0], bytes_of(large, 1u << 18)));
    cr_assert(http_has_memory(fake.streams[0], 1u << 18));
    free(large);
    fake_close_all(&fake);
}

Test(stream, the_client_of_one_with_an_end_has_to_read_in_time)
{
    struct fake fake = {0};
    open_stream(&fake, simple);
    fake_advance(&fake, 1000 * FAKE_SECOND_NS);
    cr_assert_neq(fake.connection->phase, PHASE_CLOSING, "there was nothing to read");
    stop_reading(&fake);
    (void)fill(&fake, PIECE_BYTES);
    fake_turn(&fake);
    fake_advance(&fake, 29 * FAKE_SECOND_NS);
    cr_assert_neq(fake.connection->phase, PHASE_CLOSING);
    fake_advance(&fake, 2 * FAKE_SECOND_NS);
    cr_assert_eq(fake.connection->phase, PHASE_CLOSING);
    cr_assert_eq(http_server_statistics(fake.server)->timeouts_send, 1);
    fake_close_all(&fake);
}

Test(stream, a_slow_client_of_an_endless_one_is_not_cut_and_an_idle_one_neither)
{
    struct fake fake = {.endless = true};
    open_stream(&fake, simple);
    fake_advance(&fake, 1000 * FAKE_SECOND_NS);
    cr_assert_not_null(fake.connection);
    stop_reading(&fake);
    (void)fill(&fake, PIECE_BYTES);
    fake_turn(&fake);
    fake_advance(&fake, 1000 * FAKE_SECOND_NS);
    cr_assert_not_null(fake.connection);
    cr_assert_neq(fake.connection->phase, PHASE_CLOSING);
    fake_close_all(&fake);
}

Test(stream, after_its_end_the_client_has_to_read_in_time)
{
    struct fake fake = {.endless = true};
    open_stream(&fake, simple);
    stop_reading(&fake);
    (void)fill(&fake, PIECE_BYTES);
    fake_turn(&fake);
    fake_stream_end(&fake, fake.streams[0]);
    fake_turn(&fake);
    fake_advance(&fake, 31 * FAKE_SECOND_NS);
    cr_assert_eq(fake.connection->phase, PHASE_CLOSING);
    cr_assert_eq(http_server_statistics(fake.server)->timeouts_send, 1);
    fake_close_all(&fake);
}

Test(stream, requests_behind_it_wait_until_it_ends)
{
    struct fake fake = {.variant = FAKE_STREAM};
    open_default(&fake);
    char both[128];
    snprintf(both, sizeof(both), "%s%s", simple, simple);
    receive_text(&fake, both);
    receive_text(&fake, simple);
    cr_assert_eq(fake.handled, 1);
    fake.variant = FAKE_ROOM;
    fake_stream_end(&fake, fake.streams[0]);
    fake_run(&fake);
    cr_assert_eq(fake.handled, 3);
    cr_assert_eq(fake.finished, 3);
    fake_close_all(&fake);
}

Test(stream, unread_input_is_bounded)
{
    struct fake fake = {0};
    open_stream(&fake, simple);
    char text[1000];
    memset(text, 'x', sizeof(text));
    uint32_t taken = 0;
    while (fake_receive(&fake, text, sizeof(text))) {
        fake_run(&fake);
        taken++;
        cr_assert_leq(taken, INPUT_PAUSE_BYTES / sizeof(text) + 2);
    }
    cr_assert_not_null(fake.connection);
    cr_assert(write_piece(&fake, PIECE_BYTES), "the stream goes on");
    fake_close_all(&fake);
}

Test(stream, goes_on_when_the_client_has_shut_its_side)
{
    struct fake fake = {0};
    struct http_exchange *exchange = open_stream(&fake, simple);
    fake_end(&fake);
    fake_run(&fake);
    fake.sent_size = 0;
    cr_assert(write_text(exchange, "a"));
    fake_stream_end(&fake, exchange);
    fake_run(&fake);
    cr_assert(sent_is(&fake, "1\r\na\r\n0\r\n\r\n"));
    cr_assert(fake.closed);
    fake_close_all(&fake);
}

Test(stream, an_endless_one_is_closed_when_the_client_has_shut_its_side)
{
    struct fake fake = {.endless = true};
    open_stream(&fake, simple);
    cr_assert(write_piece(&fake, PIECE_BYTES));
    fake_end(&fake);
    fake_run(&fake);
    cr_assert_eq(fake.gone, 1);
    cr_assert(fake.closed);
    fake_close_all(&fake);
}

Test(stream, an_endless_one_behind_another_answer_lets_that_be_sent_first)
{
    struct fake fake = {.keep = true, .variant = FAKE_STREAM, .endless = true};
    open_default(&fake);
    char both[128];
    snprintf(both, sizeof(both), "%s%s", simple, simple);
    receive_text(&fake, both);
    fake_answer(&fake, fake.kept[1]);
    fake_end(&fake);
    fake_run(&fake);
    cr_assert_eq(fake.gone, 0);
    fake.variant = FAKE_COPIED;
    fake_answer(&fake, fake.kept[0]);
    fake.kept_count = 0;
    fake_run(&fake);
    cr_assert_eq(occurrences(&fake, "path=/a"), 1);
    cr_assert_eq(fake.gone, 1);
    cr_assert(fake.closed);
    fake_close_all(&fake);
}

Test(stream, a_socket_is_limited_once)
{
    struct fake fake = {0};
    fake_stream_end(&fake, open_stream(&fake, simple));
    fake_run(&fake);
    receive_text(&fake, simple);
    cr_assert_eq(fake.handled, 2);
    cr_assert_eq(fake.limited, 1);
    fake_close_all(&fake);
}

Test(stream, behind_another_answer_it_waits_for_its_turn)
{
    struct fake fake = {.keep = true, .variant = FAKE_STREAM};
    open_default(&fake);
    char both[128];
    snprintf(both, sizeof(both), "%s%s", simple, simple);
    receive_text(&fake, both);
    cr_assert_eq(fake.kept_count, 2);
    fake_answer(&fake, fake.kept[1]);
    cr_assert(!write_text(fake.streams[0], "early"));
    fake_run(&fake);
    cr_assert_eq(fake.sent_size, 0);
    fake.variant = FAKE_ROOM;
    fake_answer(&fake, fake.kept[0]);
    fake.kept_count = 0;
    fake_run(&fake);
    cr_assert_eq(fake.writable, 1);
    cr_assert_eq(occurrences(&fake, head_11), 1);
    cr_assert(write_text(fake.streams[0], "late"));
    fake_stream_end(&fake, fake.streams[0]);
    fake_run(&fake);
    cr_assert_eq(occurrences(&fake, "\r\n\r\n4\r\nlate\r\n0\r\n\r\n"), 1);
    fake_close_all(&fake);
}

Test(stream, one_that_ends_before_its_turn_is_an_empty_body)
{
    struct fake fake = {.keep = true, .variant = FAKE_STREAM};
    open_default(&fake);
    char both[128];
    snprintf(both, sizeof(both), "%s%s", simple, simple);
    receive_text(&fake, both);
    fake_answer(&fake, fake.kept[1]);
    fake_stream_end(&fake, fake.streams[0]);
    fake.variant = FAKE_ROOM;
    fake_answer(&fake, fake.kept[0]);
    fake.kept_count = 0;
    fake_run(&fake);
    cr_assert_eq(occurrences(&fake, "chunked\r\n\r\n0\r\n\r\n"), 1);
    cr_assert_eq(fake.finished, 2);
    fake_close_all(&fake);
}

Test(stream, answers_behind_it_follow_when_it_ends)
{
    struct fake fake = {.keep = true, .variant = FAKE_STREAM};
    open_default(&fake);
    char both[128];
    snprintf(both, sizeof(both), "%s%s", simple, simple);
    receive_text(&fake, both);
    fake_answer(&fake, fake.kept[0]);
    fake.variant = FAKE_COPIED;
    fake_answer(&fake, fake.kept[1]);
    fake.kept_count = 0;
    fake_run(&fake);
    cr_assert(sent_is(&fake, head_11));
    fake_stream_end(&fake, fake.streams[0]);
    fake_run(&fake);
    cr_assert_eq(occurrences(&fake, "HTTP/1.1 200 OK"), 2);
    fake_close_all(&fake);
}

Test(stream, the_death_of_its_connection_is_told_once_and_within_a_step)
{
    struct fake fake = {0};
    struct http_exchange *exchange = open_stream(&fake, simple);
    connection_events.receive_ended(&fake.connection->socket, -ECONNRESET);
    cr_assert_eq(fake.gone, 0, "not from within the completion");
    cr_assert(!write_text(exchange, "in vain"));
    cr_assert_eq(http_server_unanswered(fake.server), 1);
    cr_assert_eq(http_server_step(fake.server), fake.server->now_ns, "it has had an effect");
    cr_assert_eq(fake.gone, 1);
    cr_assert_eq(fake.finished, 1);
    cr_assert_eq(http_server_unanswered(fake.server), 0);
    fake_close_all(&fake);
    cr_assert_eq(fake.gone, 1);
}

Test(stream, one_that_ends_after_its_connection_has_gone_is_not_told)
{
    struct fake fake = {0};
    struct http_exchange *exchange = open_stream(&fake, simple);
    connection_events.receive_ended(&fake.connection->socket, -ECONNRESET);
    fake_stream_end(&fake, exchange);
    fake_run(&fake);
    cr_assert_eq(fake.gone, 0);
    cr_assert_eq(fake.finished, 1);
    fake_close_all(&fake);
}

Test(stream, a_failed_send_ends_it)
{
    struct fake fake = {0};
    open_stream(&fake, simple);
    fake_run(&fake);
    cr_assert(write_piece(&fake, PIECE_BYTES));
    fake_turn(&fake);
    fake.in_flight = 0;
    connection_events.sent(&fake.connection->socket, -EPIPE);
    (void)http_server_step(fake.server);
    cr_assert_eq(fake.gone, 1);
    fake_close_all(&fake);
}

Test(stream, is_told_once_of_the_drain_and_ends_as_it_likes)
{
    struct fake fake = {0};
    struct http_exchange *exchange = open_stream(&fake, simple);
    http_server_drain(fake.server, false);
    fake_run(&fake);
    fake_run(&fake);
    cr_assert_eq(fake.drained, 1);
    cr_assert(write_text(exchange, "bye"));
    fake_stream_end(&fake, exchange);
    fake_run(&fake);
    cr_assert_eq(occurrences(&fake, "3\r\nbye\r\n0\r\n\r\n"), 1);
    fake_end(&fake);
    fake_run(&fake);
    cr_assert(http_server_drained(fake.server));
    fake_close_all(&fake);
}

/* In fine steps, as the wheel has them. */
static void advance(struct fake *fake, uint64_t ns)
{
    for (uint64_t past = 0; past < ns; past += FAKE_SECOND_NS / 10) {
        fake_advance(fake, FAKE_SECOND_NS / 10);
    }
}

Test(stream, a_client_that_does_not_read_is_cut_soon_after_the_drain)
{
    struct fake fake = {.endless = true};
    open_stream(&fake, simple);
    stop_reading(&fake);
    (void)fill(&fake, PIECE_BYTES);
    advance(&fake, 100 * FAKE_SECOND_NS);
    cr_assert_eq(fake.gone, 0);
    http_server_drain(fake.server, false);
    fake_run(&fake);
    cr_assert_eq(fake.drained, 1);
    advance(&fake, HTTP_STREAM_DRAIN_NS - FAKE_SECOND_NS / 10);
    cr_assert_eq(fake.gone, 0);
    advance(&fake, FAKE_SECOND_NS / 2);
    cr_assert_eq(fake.gone, 1);
    fake.send_max = SIZE_MAX;
    fake_run(&fake);
    cr_assert(http_server_drained(fake.server));
    fake_close_all(&fake);
}

Test(stream, last_words_that_a_client_does_not_take_are_cut_too)
{
    struct fake fake = {0};
    struct http_exchange *exchange = open_stream(&fake, simple);
    stop_reading(&fake);
    cr_assert(write_piece(&fake, PIECE_BYTES));
    http_server_drain(fake.server, false);
    fake_run(&fake);
    fake_stream_end(&fake, exchange);
    fake_run(&fake);
    advance(&fake, HTTP_STREAM_DRAIN_NS + FAKE_SECOND_NS / 2);
    cr_assert_eq(fake.connection->phase, PHASE_CLOSING);
    fake.send_max = SIZE_MAX;
    fake_run(&fake);
    cr_assert(http_server_drained(fake.server));
    fake_close_all(&fake);
}

Test(stream, a_client_that_takes_its_last_words_in_time_is_not_cut)
{
    struct fake fake = {0};
    struct http_exchange *exchange = open_stream(&fake, simple);
    http_server_drain(fake.server, false);
    fake_run(&fake);
    fake_stream_end(&fake, exchange);
    fake_run(&fake);
    advance(&fake, HTTP_STREAM_DRAIN_NS + FAKE_SECOND_NS / 2);
    cr_assert_eq(fake.connection->phase, PHASE_LINGER);
    fake_end(&fake);
    fake_run(&fake);
    cr_assert(http_server_drained(fake.server));
    fake_close_all(&fake);
}

Test(stream, one_that_begins_during_the_drain_is_told_too)
{
    struct fake fake = {.keep = true, .variant = FAKE_STREAM};
    open_default(&fake);
    receive_text(&fake, simple);
    http_server_drain(fake.server, false);
    fake_run(&fake);
    fake_answer(&fake, fake.kept[0]);
    fake.kept_count = 0;
    fake_run(&fake);
    cr_assert_eq(fake.drained, 1);
    fake_close_all(&fake);
}

Test(stream, a_forced_drain_closes_it)
{
    struct fake fake = {0};
    open_stream(&fake, simple);
    stop_reading(&fake);
    (void)fill(&fake, PIECE_BYTES);
    fake_turn(&fake);
    http_server_drain(fake.server, true);
    (void)http_server_step(fake.server);
    cr_assert_eq(fake.gone, 1);
    cr_assert_eq(http_server_unanswered(fake.server), 0);
    fake_close_all(&fake);
}

Test(stream, cannot_begin_when_the_connection_has_gone)
{
    struct fake fake = {.keep = true, .variant = FAKE_STREAM};
    open_default(&fake);
    receive_text(&fake, simple);
    connection_abort(fake.connection);
    fake_run(&fake);
    cr_assert(!fake_stream_begin(&fake, fake.kept[0]));
    fake_close_all(&fake);
}

Test(stream, cannot_begin_without_memory_and_can_still_be_answered)
{
    struct fake fake = {.keep = true, .variant = FAKE_STREAM};
    struct http_options options = fake_options(&fake);
    options.memory_bytes_max = 1u << 20;
    fake_open(&fake, &options);
    receive_text(&fake, simple);
    uint64_t held = (1u << 20) - fake.server->memory.used;
    memory_hold(&fake.server->memory, held);
    cr_assert(!fake_stream_begin(&fake, fake.kept[0]));
    cr_assert_eq(http_server_statistics(fake.server)->streams_open, 0);
    memory_let_go(&fake.server->memory, held);
    fake.variant = FAKE_ROOM;
    fake_answer(&fake, fake.kept[0]);
    fake.kept_count = 0;
    fake_run(&fake);
    cr_assert_eq(fake.finished, 1);
    fake_close_all(&fake);
}

Test(stream, a_server_that_goes_closes_those_that_are_left)
{
    struct fake fake = {0};
    open_stream(&fake, simple);
    cr_assert(write_piece(&fake, PIECE_BYTES));
    int fd = fake.connection->socket.fd;
    fake.connection->socket.fd = dup(0);
    (void)fd;
    http_server_destroy(&fake.server);
    cr_assert_eq(fake.gone, 1);
    cr_assert_eq(fake.finished, 1);
    free(fake.sent);
}
