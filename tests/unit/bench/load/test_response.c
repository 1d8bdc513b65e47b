#include <criterion/criterion.h>

#include "bench/load/response.h"

static const char answers[] =
    "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"
    "HTTP/1.1 100 Continue\r\n\r\n"
    "HTTP/1.1 201 Created\r\ncontent-length:0\r\n\r\n"
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    "a;x=y\r\n0123456789\r\n1\r\nz\r\n0\r\nTrailer: 1\r\n\r\n"
    "HTTP/1.1 304 Not Modified\r\nContent-Length: 77\r\n\r\n"
    "HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 1\r\n\r\n!";
static const uint16_t statuses[] = {200, 201, 200, 304, 404};
#define ANSWER_COUNT (sizeof(statuses) / sizeof(statuses[0]))

/* Reads one piece and checks each answer that ends in it. */
static void read_piece(struct response *response, struct bytes piece, size_t *seen)
{
    while (piece.size > 0) {
        size_t taken = 0;
        bool done = false;
        cr_assert_eq(response_read(response, piece, false, &taken, &done), STATUS_OK);
        cr_assert(taken > 0);
        if (done) {
            cr_assert_lt(*seen, ANSWER_COUNT);
            cr_assert_eq(response->status, statuses[*seen]);
            *seen += 1;
        }
        piece = bytes_slice(piece, taken, piece.size - taken);
    }
}

Test(response, answers_end_where_they_should_wherever_the_stream_is_cut)
{
    struct bytes text = BYTES_LITERAL(answers);
    for (size_t at = 0; at <= text.size; at++) {
        struct response response = {0};
        size_t seen = 0;
        read_piece(&response, bytes_slice(text, 0, at), &seen);
        read_piece(&response, bytes_slice(text, at, text.size - at), &seen);
        cr_assert_eq(seen, ANSWER_COUNT, "cut at %zu", at);
        cr_assert(response.closes);
        response_reset(&response);
    }
}

Test(response, byte_by_byte_is_the_same)
{
    struct bytes text = BYTES_LITERAL(answers);
    struct response response = {0};
    size_t seen = 0;
    for (size_t at = 0; at < text.size; at++) {
        read_piece(&response, bytes_slice(text, at, 1), &seen);
    }
    cr_assert_eq(seen, ANSWER_COUNT);
    response_reset(&response);
}

Test(response, an_answer_to_head_has_no_body)
{
    struct response response = {0};
    size_t taken = 0;
    bool done = false;
    struct bytes text = BYTES_LITERAL("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n");
    cr_assert_eq(response_read(&response, text, true, &taken, &done), STATUS_OK);
    cr_assert(done);
    cr_assert_eq(taken, text.size);
    response_reset(&response);
}

Test(response, what_is_not_http_is_refused)
{
    static const char *const bad[] = {
        "SSH-2.0-OpenSSH_9.2 and some more\r\n\r\n",
        "HTTP/1.1 abc OK\r\nContent-Length: 3\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nServer: endless\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct response response = {0};
        size_t taken = 0;
        bool done = false;
        cr_assert_eq(response_read(&response, bytes_of_text(bad[i]), false, &taken, &done),
                     STATUS_INVALID, "%s", bad[i]);
        cr_assert_not(done);
        response_reset(&response);
    }
}

Test(response, a_head_without_end_is_refused)
{
    static uint8_t endless[RESPONSE_HEAD_BYTES_MAX];
    struct response response = {0};
    size_t taken = 0;
    bool done = false;
    memset(endless, 'a', sizeof(endless));
    struct bytes text = bytes_of(endless, sizeof(endless));
    cr_assert_eq(response_read(&response, text, false, &taken, &done), STATUS_OK);
    cr_assert_eq(response_read(&response, bytes_of(endless, 1), false, &taken, &done),
                 STATUS_TOO_LARGE);
    response_reset(&response);
}
