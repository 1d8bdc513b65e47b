#include <criterion/criterion.h>
#include <stdlib.h>

#include "bench/stream/wire.h"
#include "protocol/document/document.h"
#include "protocol/frame/frame.h"

static const struct stream_options freshet = {.kind = SERVER_FRESHET,
                                              .collection = "pets",
                                              .keys = 10,
                                              .value_bytes = 3,
                                              .subscribers = 4,
                                              .view = "new"};

Test(wire, a_write_says_how_long_it_is_and_differs_from_every_other)
{
    static uint8_t one_bytes[WIRE_REQUEST_BYTES_MAX];
    static uint8_t other_bytes[WIRE_REQUEST_BYTES_MAX];
    struct writer one = writer_of(one_bytes, sizeof(one_bytes));
    struct writer other = writer_of(other_bytes, sizeof(other_bytes));
    wire_write(&freshet, 25, &one);
    wire_write(&freshet, 35, &other);
    const char *text = (const char *)one.data;
    cr_assert(bytes_starts_with(writer_bytes(&one), BYTES_LITERAL("PUT /pets/5 HTTP/1.1\r\n")));
    const char *body = strstr(text, "\r\n\r\n") + 4;
    const char *length = strstr(text, "Content-Length: ") + strlen("Content-Length: ");
    cr_assert_eq(strtoul(length, NULL, 10), one.size - (size_t)(body - text));
    cr_assert_not_null(strstr(body, "\"serial\":25,"));
    cr_assert_not_null(strstr(body, "\"brand\":\"b-1\""));
    cr_assert_not(bytes_equal(writer_bytes(&one), writer_bytes(&other)));
}

Test(wire, an_answer_is_whole_when_its_body_is)
{
    const char *text = "HTTP/1.1 200 OK\r\nA: b\r\ncontent-length: 2\r\n\r\n{}";
    for (size_t size = 0; size < strlen(text); size++) {
        cr_assert_eq(wire_answer(&freshet, bytes_of(text, size)), WIRE_MORE);
    }
    cr_assert_eq(wire_answer(&freshet, bytes_of_text(text)), WIRE_DONE);
    cr_assert_eq(wire_answer(&freshet, BYTES_LITERAL("HTTP/1.1 503 No\r\n\r\n")), WIRE_BAD);
    const struct stream_options redis = {.kind = SERVER_REDIS_TRACKING};
    cr_assert_eq(wire_answer(&redis, BYTES_LITERAL("+OK\r")), WIRE_MORE);
    cr_assert_eq(wire_answer(&redis, BYTES_LITERAL("+OK\r\n")), WIRE_DONE);
    cr_assert_eq(wire_answer(&redis, BYTES_LITERAL("-ERR\r\n")), WIRE_BAD);
}

Test(wire, a_subscription_begins_with_its_head_and_what_follows_is_kept)
{
    struct bytes rest;
    enum notices_framing framing;
    const char *text = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nid: a";
    cr_assert_eq(wire_subscribed(&freshet, bytes_of_text(text), &framing, &rest), WIRE_DONE);
    cr_assert_eq(framing, NOTICES_CHUNKS);
    cr_assert(bytes_equal(rest, BYTES_LITERAL("5\r\nid: a")));
    cr_assert_eq(wire_subscribed(&freshet, bytes_of(text, 20), &framing, &rest), WIRE_MORE);
    cr_assert_eq(wire_subscribed(&freshet, BYTES_LITERAL("HTTP/1.1 400 Bad Request\r\n\r\n"),
                                 &framing, &rest),
                 WIRE_BAD);
}

Test(wire, the_binary_protocol_greets_writes_and_subscribes_in_whole_frames)
{
    struct stream_options options = freshet;
    static uint8_t bytes[WIRE_REQUEST_BYTES_MAX];
    options.kind = SERVER_WIRE;
    struct writer put = writer_of(bytes, sizeof(bytes));
    wire_write(&options, 25, &put);
    struct frame_header header = frame_header_read(bytes);
    cr_assert_eq(header.opcode, FRAME_PUT);
    cr_assert_eq(header.length + FRAME_HEADER_BYTES, put.size);
    cr_assert_eq(document_validate(bytes_slice(writer_bytes(&put), FRAME_HEADER_BYTES, put.size)),
                 STATUS_OK);
    options.distinct = true;
    struct writer subscribe = writer_of(bytes, sizeof(bytes));
    wire_subscribe(&options, 3, &subscribe);
    header = frame_header_read(bytes);
    cr_assert_eq(header.opcode, FRAME_HELLO);
    size_t at = FRAME_HEADER_BYTES + header.length;
    header = frame_header_read(bytes + at);
    cr_assert_eq(header.opcode, FRAME_SUBSCRIBE);
    cr_assert_eq(at + FRAME_HEADER_BYTES + header.length, subscribe.size);
}

Test(wire, a_subscription_of_the_binary_protocol_begins_behind_two_frames)
{
    struct stream_options options = freshet;
    options.kind = SERVER_WIRE_INVALIDATE;
    uint8_t bytes[64];
    struct writer out = writer_of(bytes, sizeof(bytes));
    const struct frame_header welcome = {.length = 3, .opcode = FRAME_HELLO | FRAME_ANSWER};
    const struct frame_header subscribed = {.length = 0, .opcode = FRAME_SUBSCRIBE | FRAME_ANSWER};
    frame_header_write(&welcome, writer_reserve(&out, FRAME_HEADER_BYTES));
    writer_text(&out, "abc");
    frame_header_write(&subscribed, writer_reserve(&out, FRAME_HEADER_BYTES));
    struct bytes rest;
    enum notices_framing framing;
    for (size_t size = 0; size < out.size; size++) {
        cr_assert_eq(wire_subscribed(&options, bytes_of(bytes, size), &framing, &rest), WIRE_MORE);
    }
    writer_text(&out, "!");
    cr_assert_eq(wire_subscribed(&options, writer_bytes(&out), &framing, &rest), WIRE_DONE);
    cr_assert_eq(framing, NOTICES_FRAMES);
    cr_assert(bytes_equal(rest, BYTES_LITERAL("!")));
    const struct frame_header error = {.opcode = FRAME_ERROR};
    frame_header_write(&error, bytes);
    cr_assert_eq(wire_subscribed(&options, bytes_of(bytes, 16), &framing, &rest), WIRE_BAD);
}
