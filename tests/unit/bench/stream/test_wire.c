#include <criterion/criterion.h>
#include <stdlib.h>

#include "bench/stream/wire.h"

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
    bool chunked;
    const char *text = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nid: a";
    cr_assert_eq(wire_subscribed(&freshet, bytes_of_text(text), &chunked, &rest), WIRE_DONE);
    cr_assert(chunked);
    cr_assert(bytes_equal(rest, BYTES_LITERAL("5\r\nid: a")));
    cr_assert_eq(wire_subscribed(&freshet, bytes_of(text, 20), &chunked, &rest), WIRE_MORE);
    cr_assert_eq(wire_subscribed(&freshet, BYTES_LITERAL("HTTP/1.1 400 Bad Request\r\n\r\n"),
                                 &chunked, &rest),
                 WIRE_BAD);
}
