#include <criterion/criterion.h>
#include <stdlib.h>

#include "bench/stream/dialect.h"
#include "protocol/document/document.h"
#include "protocol/frame/frame.h"

static struct stream_options options_of(enum server_kind kind)
{
    return (struct stream_options){.kind = kind,
                                   .collection = "pets",
                                   .keys = 10,
                                   .value_bytes = 3,
                                   .subscribers = 4,
                                   .self = 77,
                                   .view = "new"};
}

static void expect_answer(const struct dialect *dialect, const char *text, enum dialect_which which)
{
    struct dialect_answer answer;
    char more[512];
    snprintf(more, sizeof(more), "%s+next", text);
    for (size_t size = 0; size < strlen(text); size++) {
        cr_assert_eq(dialect->answer(bytes_of(more, size), &answer), DIALECT_MORE);
    }
    cr_assert_eq(dialect->answer(bytes_of_text(more), &answer), DIALECT_DONE);
    cr_assert_eq(answer.size, strlen(text));
    cr_assert_eq(answer.which, which);
}

static void expect_refusal(const struct dialect *dialect, const char *text)
{
    struct dialect_answer answer;
    cr_assert_eq(dialect->answer(bytes_of_text(text), &answer), DIALECT_BAD);
}

static struct writer request_of(dialect_request *ask, const struct stream_options *options,
                                uint32_t index, char *text, size_t size)
{
    struct writer out = writer_of(text, size - 1);
    ask(options, index, &out);
    cr_assert_not(out.failed);
    text[out.size] = '\0';
    return out;
}

Test(dialects, a_write_over_http_says_how_long_it_is_and_differs_from_every_other)
{
    struct stream_options options = options_of(SERVER_FRESHET);
    static char one_text[DIALECT_REQUEST_BYTES_MAX];
    static char other_text[DIALECT_REQUEST_BYTES_MAX];
    struct writer one = writer_of(one_text, sizeof(one_text));
    struct writer other = writer_of(other_text, sizeof(other_text));
    dialect_http.write(&options, 0, 25, &one);
    dialect_http.write(&options, 0, 35, &other);
    cr_assert(bytes_starts_with(writer_bytes(&one), BYTES_LITERAL("PUT /pets/5 HTTP/1.1\r\n")));
    const char *body = strstr(one_text, "\r\n\r\n") + 4;
    const char *length = strstr(one_text, "Content-Length: ") + strlen("Content-Length: ");
    cr_assert_eq(strtoul(length, NULL, 10), one.size - (size_t)(body - one_text));
    cr_assert_not_null(strstr(body, "\"serial\":25,"));
    cr_assert_not_null(strstr(body, "\"brand\":\"b-1\""));
    cr_assert_not(bytes_equal(writer_bytes(&one), writer_bytes(&other)));
}

Test(dialects, the_longest_write_fits_in_every_dialect)
{
    static char text[DIALECT_REQUEST_BYTES_MAX];
    for (int kind = SERVER_FRESHET; kind <= SERVER_NATS_JETSTREAM; kind++) {
        struct stream_options options = options_of((enum server_kind)kind);
        options.value_bytes = STREAM_VALUE_BYTES_MAX;
        options.self = UINT32_MAX;
        struct writer out = writer_of(text, sizeof(text));
        dialect_of(options.kind)->write(&options, UINT32_MAX, UINT64_MAX, &out);
        cr_assert_not(out.failed);
    }
}

Test(dialects, an_answer_ends_where_it_ends)
{
    expect_answer(&dialect_http, "HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 2\r\n\r\n{}",
                  DIALECT_OLDEST);
    expect_answer(&dialect_redis_pubsub, ":1\r\n", DIALECT_OLDEST);
    expect_answer(&dialect_redis_tracking, "+OK\r\n", DIALECT_OLDEST);
    expect_answer(&dialect_redis_streams, "$4\r\n17-0\r\n", DIALECT_OLDEST);
    expect_answer(&dialect_nats, "PONG\r\n", DIALECT_ALL);
    expect_answer(&dialect_nats, "INFO {}\r\n", DIALECT_NONE);
    expect_answer(&dialect_jetstream,
                  "MSG _INBOX.77.w0 1  27\r\n{\"stream\":\"bench\", \"seq\":1}\r\n",
                  DIALECT_OLDEST);
    struct dialect_answer ping;
    cr_assert_eq(dialect_nats.answer(BYTES_LITERAL("PING\r\n"), &ping), DIALECT_DONE);
    cr_assert_eq(ping.which, DIALECT_NONE);
    cr_assert(bytes_equal(ping.reply, BYTES_LITERAL("PONG\r\n")));
}

Test(dialects, a_refused_write_is_seen)
{
    expect_refusal(&dialect_http, "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n");
    expect_refusal(&dialect_http, "HTTP/1.1 200 OK\r\n\r\n");
    expect_refusal(&dialect_redis_tracking, "-ERR\r\n");
    expect_refusal(&dialect_nats, "-ERR 'Unknown Protocol Operation'\r\n");
    expect_refusal(&dialect_jetstream, "HMSG _INBOX.77.w0 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n");
    expect_refusal(&dialect_jetstream,
                   "MSG _INBOX.77.w0 1 35\r\n{\"error\":{\"code\":503},\"stream\":\"x\"}\r\n");
    const struct frame_header error = {.opcode = FRAME_ERROR};
    uint8_t bytes[FRAME_HEADER_BYTES];
    struct dialect_answer answer;
    frame_header_write(&error, bytes);
    cr_assert_eq(dialect_frames.answer(bytes_of(bytes, sizeof(bytes)), &answer), DIALECT_BAD);
}

Test(dialects, a_subscription_over_http_begins_behind_its_head)
{
    struct stream_options options = options_of(SERVER_FRESHET);
    struct bytes rest;
    const char *text = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nid: a";
    cr_assert_eq(dialect_http.subscribed(&options, bytes_of_text(text), &rest), DIALECT_DONE);
    cr_assert(bytes_equal(rest, BYTES_LITERAL("5\r\nid: a")));
    cr_assert_eq(dialect_http.subscribed(&options, bytes_of(text, 20), &rest), DIALECT_MORE);
    struct bytes refusal = BYTES_LITERAL("HTTP/1.1 400 Bad Request\r\n\r\n");
    cr_assert_eq(dialect_http.subscribed(&options, refusal, &rest), DIALECT_BAD);
}

Test(dialects, only_who_wants_less_than_all_has_a_pattern)
{
    struct stream_options options = options_of(SERVER_FRESHET);
    char text[1024];
    (void)request_of(dialect_http.subscribe, &options, 3, text, sizeof(text));
    cr_assert_null(strstr(text, "pattern"));
    (void)request_of(dialect_http.subscribe, &options, DIALECT_IDLE_INDEX, text, sizeof(text));
    cr_assert_not_null(strstr(text, "b-80000"));
    options.distinct = true;
    (void)request_of(dialect_http.subscribe, &options, 3, text, sizeof(text));
    cr_assert_not_null(strstr(text, "b-3%22"));
}

Test(dialects, the_binary_protocol_greets_writes_and_subscribes_in_whole_frames)
{
    struct stream_options options = options_of(SERVER_WIRE);
    static uint8_t bytes[DIALECT_REQUEST_BYTES_MAX];
    struct writer put = writer_of(bytes, sizeof(bytes));
    dialect_frames.write(&options, 0, (7ull << 32) + 25, &put);
    struct frame_header header = frame_header_read(bytes);
    cr_assert_eq(header.opcode, FRAME_PUT);
    cr_assert_eq(header.id, 25);
    cr_assert_eq(header.length + FRAME_HEADER_BYTES, put.size);
    cr_assert_eq(document_validate(bytes_slice(writer_bytes(&put), FRAME_HEADER_BYTES, put.size)),
                 STATUS_OK);
    options.distinct = true;
    struct writer subscribe = writer_of(bytes, sizeof(bytes));
    dialect_frames.subscribe(&options, 3, &subscribe);
    header = frame_header_read(bytes);
    cr_assert_eq(header.opcode, FRAME_HELLO);
    size_t at = FRAME_HEADER_BYTES + header.length;
    header = frame_header_read(bytes + at);
    cr_assert_eq(header.opcode, FRAME_SUBSCRIBE);
    cr_assert_eq(at + FRAME_HEADER_BYTES + header.length, subscribe.size);
}

Test(dialects, a_subscription_of_the_binary_protocol_begins_behind_two_frames)
{
    struct stream_options options = options_of(SERVER_WIRE_INVALIDATE);
    uint8_t bytes[64];
    struct writer out = writer_of(bytes, sizeof(bytes));
    const struct frame_header welcome = {.length = 3, .opcode = FRAME_HELLO | FRAME_ANSWER};
    const struct frame_header subscribed = {.length = 0, .opcode = FRAME_SUBSCRIBE | FRAME_ANSWER};
    frame_header_write(&welcome, writer_reserve(&out, FRAME_HEADER_BYTES));
    writer_text(&out, "abc");
    frame_header_write(&subscribed, writer_reserve(&out, FRAME_HEADER_BYTES));
    struct bytes rest;
    for (size_t size = 0; size < out.size; size++) {
        cr_assert_eq(dialect_frames.subscribed(&options, bytes_of(bytes, size), &rest),
                     DIALECT_MORE);
    }
    writer_text(&out, "!");
    cr_assert_eq(dialect_frames.subscribed(&options, writer_bytes(&out), &rest), DIALECT_DONE);
    cr_assert(bytes_equal(rest, BYTES_LITERAL("!")));
    const struct frame_header error = {.opcode = FRAME_ERROR};
    frame_header_write(&error, bytes);
    cr_assert_eq(dialect_frames.subscribed(&options, bytes_of(bytes, 16), &rest), DIALECT_BAD);
}

Test(dialects, a_message_of_nats_has_the_size_it_says)
{
    struct stream_options options = options_of(SERVER_NATS_JETSTREAM);
    static char text[DIALECT_REQUEST_BYTES_MAX];
    struct writer out = writer_of(text, sizeof(text) - 1);
    dialect_jetstream.write(&options, 2, 25, &out);
    cr_assert(bytes_starts_with(writer_bytes(&out), BYTES_LITERAL("PUB bench _INBOX.77.w2 ")));
    char *message = strstr(text, "\r\n") + 2;
    unsigned long size = strtoul(strrchr(text, ' '), NULL, 10);
    cr_assert_eq((size_t)(message - text) + size + 2, out.size);
    cr_assert_eq(message[0], '{');
    cr_assert_eq(memcmp(text + out.size - 3, "}\r\n", 3), 0);
}

Test(dialects, every_jetstream_request_says_its_size_and_each_subscriber_has_its_own_inbox)
{
    struct stream_options options = options_of(SERVER_NATS_JETSTREAM);
    char one[2048];
    char other[2048];
    (void)request_of(dialect_jetstream.setup, &options, 0, one, sizeof(one));
    cr_assert_not_null(strstr(one, "\"storage\":\"file\""));
    (void)request_of(dialect_jetstream.subscribe, &options, 0, one, sizeof(one));
    (void)request_of(dialect_jetstream.subscribe, &options, 1, other, sizeof(other));
    const char *request = strstr(one, "PUB $JS.API.CONSUMER.CREATE.bench _INBOX.77.api0 ");
    cr_assert_not_null(request);
    const char *message = strstr(request, "\r\n") + 2;
    cr_assert_eq(strtoul(strstr(request, "api0 ") + 5, NULL, 10) + 2, strlen(message));
    cr_assert_not_null(strstr(one, "SUB _INBOX.77.s0 1\r\n"));
    cr_assert_not_null(strstr(other, "SUB _INBOX.77.s1 1\r\n"));
}

Test(dialects, an_ordered_consumer_has_begun_with_its_answer_or_its_first_message)
{
    struct stream_options options = options_of(SERVER_NATS_JETSTREAM);
    struct bytes rest;
    const char *begun = "INFO {}\r\nMSG _INBOX.77.api0 2 60\r\n"
                        "{\"type\":\"io.nats.jetstream.api.v1.consumer_create_response\"}\r\n";
    const char *early = "INFO {}\r\nMSG bench 1 $JS.ACK 2\r\n{}\r\n";
    const char *refused = "INFO {}\r\nMSG _INBOX.77.api0 2 80\r\n{\"type\":\"io.nats.jetstream.api"
                          ".v1.consumer_create_response\",\"error\":{\"code\":404}}\r\n";
    const char *without = "INFO {}\r\nHMSG _INBOX.77.api0 2 16 16\r\nNATS/1.0 503\r\n\r\n\r\n";
    const struct dialect *dialect = &dialect_jetstream;
    cr_assert_eq(dialect->subscribed(&options, bytes_of_text(begun), &rest), DIALECT_DONE);
    cr_assert_eq(rest.size, 0);
    cr_assert_eq(dialect->subscribed(&options, bytes_of(begun, strlen(begun) - 1), &rest),
                 DIALECT_MORE);
    cr_assert_eq(dialect->subscribed(&options, bytes_of_text(early), &rest), DIALECT_DONE);
    cr_assert(bytes_starts_with(rest, BYTES_LITERAL("MSG bench ")));
    cr_assert_eq(dialect->subscribed(&options, bytes_of_text(refused), &rest), DIALECT_BAD);
    cr_assert_eq(dialect->subscribed(&options, bytes_of_text(without), &rest), DIALECT_BAD);
}
