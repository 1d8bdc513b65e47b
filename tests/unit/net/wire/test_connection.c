/* Frames and the life of a connection. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "protocol/document/document.h"
#include "tests/unit/net/wire/turns.h"

#define BIG_BYTES (4u << 20)

static uint8_t big[BIG_BYTES];

static void begin(void)
{
    turns_begin(0);
}

TestSuite(wire_connection, .init = begin, .fini = turns_end);

/* ---- frames of a client ---- */

static void frame_put(struct writer *out, uint8_t opcode, uint32_t id, struct bytes body)
{
    const struct frame_header header = {.length = (uint32_t)body.size, .opcode = opcode, .id = id};
    uint8_t *at = writer_reserve(out, FRAME_HEADER_BYTES);
    cr_assert_not_null(at);
    frame_header_write(&header, at);
    writer_put(out, body);
}

static struct bytes array_of(uint8_t *buffer, size_t size, const char *id, const char *text)
{
    struct writer out = writer_of(buffer, size);
    document_write_array(&out, text == NULL ? 2 : 3);
    document_write_string(&out, BYTES_LITERAL("pets"));
    document_write_string(&out, bytes_of_text(id));
    if (text != NULL) {
        document_write_map(&out, 1);
        document_write_string(&out, BYTES_LITERAL("t"));
        document_write_string(&out, bytes_of_text(text));
    }
    cr_assert(!out.failed);
    return writer_bytes(&out);
}

static void get_put(struct writer *out, uint32_t number, const char *id)
{
    uint8_t body[1024];
    frame_put(out, FRAME_GET, number, array_of(body, sizeof(body), id, NULL));
}

static void put_put(struct writer *out, uint32_t number, const char *id, const char *text)
{
    static uint8_t body[2u << 20];
    frame_put(out, FRAME_PUT, number, array_of(body, sizeof(body), id, text));
}

static void hello_put(struct writer *out)
{
    static const uint8_t body[] = {0x0A, 1, 1}; /* versions: [1] */
    frame_put(out, FRAME_HELLO, 1, bytes_of(body, sizeof(body)));
}

/* Ends it, and all that it was sent. */
static void finish(struct client *client)
{
    if (client->connection != NULL) {
        client_cut(client);
        turns_settle();
    }
    client_forget(client);
}

/* ---- pieces ---- */

static struct bytes conversation(void)
{
    static uint8_t bytes[1024];
    struct writer out = writer_of(bytes, sizeof(bytes));
    hello_put(&out);
    put_put(&out, 2, "rex", "one");
    get_put(&out, 3, "none");
    frame_put(&out, FRAME_PING, 4, BYTES_LITERAL("ping"));
    frame_put(&out, 0x77, 5, BYTES_LITERAL("what"));
    frame_put(&out, FRAME_GET, 6, BYTES_EMPTY);
    cr_assert(!out.failed);
    return writer_bytes(&out);
}

static void hears_all(struct client *client)
{
    uint8_t heard[7] = {0};
    struct sent_frame frame;
    while (client_frame(client, &frame)) {
        static const uint16_t codes[] = {0, 200, 0, 404, 200, 501, 400};
        uint32_t id = frame.header.id;
        cr_assert_leq(id, 6);
        heard[id]++;
        cr_assert(id == 2 ? frame.header.code == 200 || frame.header.code == 201
                          : frame.header.code == codes[id],
                  "%u: %u", id, frame.header.code);
        sent_frame_free(&frame);
    }
    for (uint32_t id = 1; id <= 6; id++) {
        cr_assert_eq(heard[id], 1, "%u", id);
    }
}

Test(wire_connection, half_frames_at_every_byte_are_put_together)
{
    struct bytes all = conversation();
    for (size_t at = 1; at < all.size; at++) {
        struct client *client = client_connect();
        client_send_bytes(client, bytes_slice(all, 0, at));
        turns_step();
        client_send_bytes(client, bytes_slice(all, at, all.size));
        turns_settle();
        hears_all(client);
        cr_assert_null(client->connection->input.data, "an idle connection holds no buffer");
        finish(client);
    }
}

Test(wire_connection, single_bytes_are_put_together)
{
    struct bytes all = conversation();
    struct client *client = client_connect();
    for (size_t at = 0; at < all.size; at++) {
        client_send_bytes(client, bytes_slice(all, at, 1));
    }
    turns_settle();
    hears_all(client);
}

/* ---- sessions ---- */

static void is_refused(struct client *client, const char *text)
{
    turns_settle();
    client_expect(client, text);
    cr_assert(client->shut, "what it still sends is read and thrown away");
    client_send_bytes(client, BYTES_LITERAL("more"));
    client_end(client);
    turns_settle();
    cr_assert_null(client->connection);
}

Test(wire_connection, anything_but_hello_at_the_beginning_ends_it)
{
    struct client *client = client_connect();
    client_send(client, FRAME_PING, 1, BYTES_EMPTY);
    is_refused(client, "ERROR 0 400");
}

Test(wire_connection, a_frame_over_the_limit_ends_it_one_at_the_limit_does_not)
{
    struct client *client = client_open();
    uint8_t bytes[FRAME_HEADER_BYTES];
    struct frame_header header = {.length = FRAME_REQUEST_BYTES_MAX, .opcode = FRAME_PING, .id = 7};
    frame_header_write(&header, bytes);
    client_send_bytes(client, bytes_of(bytes, sizeof(bytes)));
    for (size_t sent = 0; sent < FRAME_REQUEST_BYTES_MAX; sent += BIG_BYTES) {
        client_send_bytes(client, bytes_of(big, BIG_BYTES));
        turns_step();
    }
    turns_settle();
    client_expect(client, "ERROR 7 400");
    header.length++;
    frame_header_write(&header, bytes);
    client_send_bytes(client, bytes_of(bytes, sizeof(bytes)));
    is_refused(client, "ERROR 0 413");
}

Test(wire_connection, a_hello_that_claims_more_than_the_arena_is_refused)
{
    struct client *client = client_connect();
    struct writer out = writer_of(big, sizeof(big));
    struct frame_header header = {.length = 300000, .opcode = FRAME_HELLO, .id = 1};
    frame_header_write(&header, writer_reserve(&out, FRAME_HEADER_BYTES));
    for (uint32_t i = 0; i < 150000; i++) {
        writer_u8(&out, 0x12); /* features: ["", …] */
        writer_u8(&out, 0);
    }
    client_send_bytes(client, writer_bytes(&out));
    is_refused(client, "ERROR 1 400");
}

Test(wire_connection, without_hello_it_is_closed_after_a_time)
{
    struct client *client = client_connect();
    turns_all()->world.now_ns += UINT64_C(9000000000);
    turns_settle();
    cr_assert(!client->shut);
    turns_all()->world.now_ns += UINT64_C(2000000000);
    is_refused(client, "ERROR 0 408");
    struct client *other = client_open();
    turns_all()->world.now_ns += UINT64_C(90000000000);
    turns_settle();
    cr_assert(!other->shut, "who has said HELLO may be silent");
}

Test(wire_connection, a_frame_that_stands_still_ends_it_and_one_that_comes_slowly_does_not)
{
    uint8_t bytes[64];
    struct writer out = writer_of(bytes, sizeof(bytes));
    get_put(&out, 2, "rex");
    struct client *client = client_open();
    for (size_t i = 0; i < out.size; i++) {
        turns_all()->world.now_ns += UINT64_C(29000000000);
        client_send_bytes(client, bytes_of(bytes + i, 1));
        turns_settle();
    }
    client_expect(client, "GET 2 404");
    turns_all()->world.now_ns += UINT64_C(90000000000);
    turns_settle();
    client_send_bytes(client, bytes_of(bytes, out.size - 1));
    turns_settle();
    turns_all()->world.now_ns += UINT64_C(31000000000);
    is_refused(client, "ERROR 0 408");
    cr_assert_eq(wire_server_statistics(turns_all()->server)->timeouts_frame, 1);
}

Test(wire_connection, a_frame_of_which_the_rest_is_not_read_may_wait)
{
    struct client *client = client_open();
    client->slow = true;
    struct writer out = writer_of(big, sizeof(big));
    for (uint32_t i = 0; i < WIRE_LISTS_MAX; i++) {
        frame_put(&out, FRAME_LIST, 2 + i, BYTES_LITERAL("\x91\xa4pets"));
    }
    client_send_bytes(client, writer_bytes(&out));
    cr_assert_eq(client->connection->call_count, WIRE_LISTS_MAX);
    client_send_bytes(client, bytes_of(big, out.size - 1));
    cr_assert_eq(client->connection->call_count, WIRE_LISTS_MAX, "the others are not read");
    wire_connection_settle(client->connection);
    cr_assert(!client->connection->awaits_frame);
    client->slow = false;
    turns_settle();
    cr_assert(client->connection->awaits_frame, "the end of the last one is the client's to send");
    finish(client);
}

Test(wire_connection, reads_of_large_records_are_worked_on_a_few_at_a_time)
{
    struct client *client = client_open();
    struct writer out = writer_of(big, sizeof(big));
    for (uint32_t i = 0; i < 100; i++) {
        frame_put(&out, FRAME_GET, 10 + i,
                  BYTES_LITERAL("\x93\xa4pets\xa3rex\x81\xa5"
                                "fresh\xc3"));
    }
    client->connection->read_bytes_mean = 1u << 20;
    client_send_bytes(client, writer_bytes(&out));
    cr_assert_eq(client->connection->call_count, WIRE_READS_LEAST);
    turns_settle();
    cr_assert_eq(client->connection->call_count, 0);
    cr_assert_null(client->connection->input.data, "all were read");
    cr_assert_lt(client->connection->read_bytes_mean, 1000, "they were small");
    finish(client);
}

Test(wire_connection, a_refused_client_that_stays_is_cut)
{
    struct client *client = client_connect();
    client_send(client, FRAME_GET, 1, BYTES_EMPTY);
    turns_settle();
    cr_assert_not_null(client->connection);
    turns_all()->world.now_ns += UINT64_C(3000000000);
    turns_settle();
    cr_assert_null(client->connection);
}

Test(wire_connection, flags_that_nobody_knows_and_the_id_0_are_refused)
{
    struct client *client = client_open();
    uint8_t bytes[FRAME_HEADER_BYTES];
    struct frame_header header = {.opcode = FRAME_PING, .flags = 0x04, .id = 2};
    frame_header_write(&header, bytes);
    client_send_bytes(client, bytes_of(bytes, sizeof(bytes)));
    header.flags = FRAME_FLAG_JSON; /* without the feature */
    frame_header_write(&header, bytes);
    client_send_bytes(client, bytes_of(bytes, sizeof(bytes)));
    client_send(client, FRAME_PING, 0, BYTES_EMPTY);
    client_send(client, FRAME_PING, 3, BYTES_EMPTY);
    turns_settle();
    client_expect(client, "ERROR 2 400, ERROR 2 400, ERROR 0 400, PING 3 200");
}

/* ---- bounds ---- */

static void pipelined(uint32_t count)
{
    struct client *client = client_open();
    struct writer out = writer_of(big, sizeof(big));
    for (uint32_t i = 0; i < count; i++) {
        put_put(&out, 10 + i, "rex", "x");
    }
    cr_assert(!out.failed);
    uint32_t most = count < WIRE_REQUESTS_MAX ? count : WIRE_REQUESTS_MAX;
    client_send_bytes(client, writer_bytes(&out));
    cr_assert_eq(client->connection->call_count, most);
    cr_assert_eq(client->connection->input.data == NULL, count == most);
    uint32_t answers = 0;
    for (uint32_t i = 0; i < 2000 && answers < count; i++) {
        turns_step();
        cr_assert_leq(client->connection->call_count, WIRE_REQUESTS_MAX);
        struct sent_frame frame;
        while (client_frame(client, &frame)) {
            answers++;
            sent_frame_free(&frame);
        }
    }
    cr_assert_eq(answers, count);
    cr_assert_null(client->connection->input.data);
}

Test(wire_connection, one_request_is_worked_on)
{
    pipelined(1);
}

Test(wire_connection, as_many_as_may_be_are_worked_on)
{
    pipelined(WIRE_REQUESTS_MAX);
}

Test(wire_connection, one_more_is_left_unread)
{
    pipelined(WIRE_REQUESTS_MAX + 1);
}

Test(wire_connection, who_does_not_take_his_answers_is_not_read)
{
    static char text[90001];
    memset(text, 'x', sizeof(text) - 1);
    struct client *writer = client_open();
    struct writer put = writer_of(big, sizeof(big));
    put_put(&put, 2, "large", text);
    client_send_bytes(writer, writer_bytes(&put));
    turns_settle();
    client_expect(writer, "PUT 2 201");
    struct client *client = client_open();
    client->slow = true;
    struct writer out = writer_of(big, sizeof(big));
    uint32_t count = 0;
    while (out.size < 100000) {
        get_put(&out, 10 + count++, "large");
    }
    client_send_bytes(client, writer_bytes(&out));
    turns_settle();
    const struct wire_connection *connection = client->connection;
    cr_assert_leq(connection->output.unsent_bytes, WIRE_UNSENT_BYTES_MAX + 17 * 91000);
    cr_assert_gt(connection->input.end - connection->input.start, 64u << 10);
    cr_assert_eq(client->stops, 1, "its receive is stopped");
    client->slow = false;
    uint32_t answers = 0;
    for (uint32_t i = 0; i < 5000 && answers < count; i++) {
        turns_step();
        struct sent_frame frame;
        while (client_frame(client, &frame)) {
            cr_assert_eq(frame.header.code, 200);
            answers++;
            sent_frame_free(&frame);
        }
    }
    cr_assert_eq(answers, count);
    cr_assert_eq(connection->receiving, RECEIVING_ON, "and started again");
}

Test(wire_connection, who_never_takes_his_answers_is_cut)
{
    turns_put("rex", "{}");
    wire_server_timeouts_set(turns_all()->server,
                             &(struct wire_timeouts){.hello_ns = UINT64_C(1000000000),
                                                     .send_ns = UINT64_C(30000000000)});
    struct client *client = client_open();
    client->slow = true;
    struct writer out = writer_of(big, sizeof(big));
    get_put(&out, 2, "rex");
    client_send_bytes(client, writer_bytes(&out));
    turns_settle();
    turns_all()->world.now_ns += UINT64_C(29000000000);
    turns_settle();
    cr_assert_not_null(client->connection);
    turns_all()->world.now_ns += UINT64_C(2000000000);
    turns_settle();
    cr_assert_null(client->connection);
    cr_assert_eq(wire_server_statistics(turns_all()->server)->timeouts_send, 1);
}

static void begin_small(void)
{
    turns_begin(300u << 10);
}

TestSuite(wire_connection_small, .init = begin_small, .fini = turns_end);

Test(wire_connection_small, a_frame_without_memory_is_refused_and_passed_over)
{
    struct client *client = client_open();
    struct writer out = writer_of(big, sizeof(big));
    static char text[900000];
    memset(text, 'x', sizeof(text) - 1);
    put_put(&out, 2, "rex", text);
    frame_put(&out, FRAME_PING, 3, BYTES_EMPTY);
    struct bytes all = writer_bytes(&out);
    for (size_t at = 0; at < all.size; at += 4096) {
        client_send_bytes(client, bytes_slice(all, at, 4096));
        cr_assert_leq(turns_all()->server->memory.used, 300u << 10);
    }
    turns_settle();
    client_expect(client, "ERROR 2 503, PING 3 200");
}

/* Whole frames that were collected while it was blocked are not the beginning of the one that
 * comes. */
Test(wire_connection_small, frames_that_wait_are_answered_when_there_is_no_memory_for_more)
{
    struct client *client = client_open();
    struct memory_budget *memory = &turns_all()->server->memory;
    struct wire_options *options = &turns_all()->server->options;
    struct writer out = writer_of(big, sizeof(big));
    options->requests_max = 1;
    get_put(&out, 2, "none");
    frame_put(&out, FRAME_PING, 3, BYTES_EMPTY);
    client_send_bytes(client, writer_bytes(&out));
    cr_assert_eq(wire_input_size(client->connection), FRAME_HEADER_BYTES, "one waits");
    options->requests_max = 2;
    size_t held = memory->max / 4 * 3 - memory->used;
    memory_hold(memory, held);
    static const uint8_t zeroes[8192];
    out = writer_of(big, sizeof(big));
    frame_put(&out, 0x77, 4, bytes_of(zeroes, sizeof(zeroes)));
    client_send_bytes(client, writer_bytes(&out));
    memory_let_go(memory, held);
    turns_settle();
    client_expect(client, "PING 3 200, ERROR 4 501, GET 2 404");
}

Test(wire_connection, too_many_connections_are_told_so)
{
    struct wire_connection *connection = wire_connection_open(turns_all()->server, 7, true);
    turns_all()->clients[7].connection = connection;
    is_refused(&turns_all()->clients[7], "ERROR 0 503");
}

/* ---- ends ---- */

Test(wire_connection, a_client_that_has_shut_its_side_gets_its_answers)
{
    struct client *client = client_open();
    struct writer out = writer_of(big, sizeof(big));
    for (uint32_t i = 0; i < 3; i++) {
        put_put(&out, 10 + i, "rex", "x");
    }
    get_put(&out, 20, "none");
    out.size -= 3; /* the last is not whole */
    client_send_bytes(client, writer_bytes(&out));
    client_end(client);
    turns_settle();
    client_expect(client, "PUT 10 201, PUT 11 200, PUT 12 200");
    cr_assert_null(client->connection);
}

Test(wire_connection, answers_of_one_that_is_gone_are_thrown_away)
{
    struct client *client = client_open();
    struct writer out = writer_of(big, sizeof(big));
    for (uint32_t i = 0; i < 100; i++) {
        put_put(&out, 10 + i, "rex", "x");
        get_put(&out, 200 + i, "none");
    }
    client_send_bytes(client, writer_bytes(&out));
    client_cut(client);
    turns_step();
    cr_assert_null(client->connection);
    cr_assert_gt(turns_all()->server->pending, 0);
    turns_settle();
    cr_assert_eq(turns_all()->server->pending, 0);
}

Test(wire_connection, a_drain_answers_what_is_in_flight)
{
    struct client *idle = client_open();
    struct client *busy = client_open();
    struct writer out = writer_of(big, sizeof(big));
    put_put(&out, 10, "rex", "x");
    client_send_bytes(busy, writer_bytes(&out));
    wire_server_drain(turns_all()->server, false);
    turns_settle();
    client_expect(idle, "GOAWAY 0 0");
    client_expect(busy, "GOAWAY 0 0, PUT 10 201");
    cr_assert(idle->shut && busy->shut);
    client_end(idle);
    client_end(busy);
    turns_settle();
    cr_assert(wire_server_drained(turns_all()->server));
}
