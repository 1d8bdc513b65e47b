/* Requests and answers of the binary protocol and of RESP. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "bench/load/request.h"
#include "bench/load/response.h"
#include "protocol/document/document.h"
#include "protocol/frame/frame.h"

static struct requests requests_of(enum protocol protocol, uint32_t value_bytes)
{
    const struct load_options options = {
        .host = "127.0.0.1",
        .port = 8080,
        .protocol = protocol,
        .path = "/products/{key}",
        .keys = {.theta = 0.5, .count = 10, .seed = 3},
        .key_digits = 4,
        .value_bytes = value_bytes,
        .mix = {1, 1, 1, 1, 0},
        .mix_sum = 4,
    };
    struct requests requests;
    cr_assert_eq(requests_create(&options, 0, &requests), STATUS_OK);
    return requests;
}

static struct bytes written(struct requests *requests, enum kind kind, uint64_t random)
{
    uint8_t *out = malloc(requests->size_max);
    cr_assert_not_null(out);
    return bytes_of(out, requests_write(requests, kind, 42, random, out));
}

Test(protocols, a_wire_request_is_a_frame_with_an_array)
{
    struct requests requests = requests_of(PROTOCOL_WIRE, 300);
    static const enum kind kinds[] = {KIND_GET, KIND_PUT, KIND_POST, KIND_DELETE};
    static const uint8_t opcodes[] = {FRAME_GET, FRAME_PUT, FRAME_CREATE, FRAME_DELETE};
    static const uint32_t counts[] = {2, 3, 2, 2};
    for (size_t i = 0; i < 4; i++) {
        struct bytes frame = written(&requests, kinds[i], 7);
        struct frame_header header = frame_header_read(frame.data);
        struct bytes body = bytes_slice(frame, FRAME_HEADER_BYTES, frame.size);
        cr_assert_eq(header.opcode, opcodes[i]);
        cr_assert_eq(header.length, body.size);
        cr_assert_eq(document_validate(body), STATUS_OK);
        cr_assert_eq(document_count(body), counts[i]);
        free((void *)frame.data);
    }
    requests_destroy(&requests);
}

Test(protocols, a_connection_of_the_binary_protocol_says_hello)
{
    struct requests requests = requests_of(PROTOCOL_WIRE, 300);
    struct frame_header header = frame_header_read(requests.preface);
    cr_assert_eq(header.opcode, FRAME_HELLO);
    cr_assert_eq(requests.preface_size, FRAME_HEADER_BYTES + header.length);
    requests_destroy(&requests);
    requests = requests_of(PROTOCOL_REDIS, 300);
    cr_assert_eq(requests.preface_size, 0);
    requests_destroy(&requests);
}

Test(protocols, documents_are_never_equal_and_always_valid)
{
    static const uint32_t sizes[] = {LOAD_VALUE_BYTES_MIN, 300, 70000};
    for (size_t i = 0; i < 3; i++) {
        struct requests requests = requests_of(PROTOCOL_WIRE, sizes[i]);
        struct bytes before = BYTES_EMPTY;
        for (uint64_t random = 1; random != 0; random <<= 1) {
            struct bytes frame = written(&requests, KIND_PUT, random);
            struct bytes body = bytes_slice(frame, FRAME_HEADER_BYTES, frame.size);
            cr_assert_eq(document_validate(body), STATUS_OK);
            cr_assert(before.size == 0 || !bytes_equal(before, frame));
            free((void *)before.data);
            before = frame;
        }
        free((void *)before.data);
        requests_destroy(&requests);
    }
}

Test(protocols, a_redis_request_is_an_array_of_bulk_strings)
{
    struct requests requests = requests_of(PROTOCOL_REDIS, 300);
    struct bytes get = written(&requests, KIND_GET, 0);
    cr_assert(bytes_equal(get, BYTES_LITERAL("*2\r\n$3\r\nGET\r\n$4\r\n0042\r\n")));
    struct bytes set = written(&requests, KIND_PUT, 0);
    struct bytes head = BYTES_LITERAL("*3\r\n$3\r\nSET\r\n$4\r\n0042\r\n$300\r\n{");
    cr_assert(bytes_equal(bytes_slice(set, 0, head.size), head));
    cr_assert_eq(set.size, head.size - 1 + 300 + 2);
    free((void *)get.data);
    free((void *)set.data);
    requests_destroy(&requests);
}

typedef enum status reader_function(struct response *response, struct bytes bytes,
                                    size_t *taken_out, bool *done_out);

/* Reads the stream in pieces of so many bytes; the statuses of the answers, one behind the
 * other. */
static uint32_t read_all(reader_function *read, bool greeting, struct bytes stream, size_t piece,
                         uint16_t *statuses)
{
    struct response response = {.greeting = greeting};
    uint32_t count = 0;
    for (size_t at = 0; at < stream.size;) {
        size_t end = at + piece < stream.size ? at + piece : stream.size;
        while (at < end) {
            size_t taken = 0;
            bool done = false;
            cr_assert_eq(read(&response, bytes_slice(stream, at, end), &taken, &done), STATUS_OK);
            cr_assert(taken > 0);
            at += taken;
            if (done) {
                statuses[count++] = response.status;
            }
        }
    }
    return count;
}

static void frame_write(uint8_t opcode, uint16_t code, uint32_t length, struct writer *out)
{
    const struct frame_header header = {.opcode = opcode, .code = code, .length = length};
    frame_header_write(&header, writer_reserve(out, FRAME_HEADER_BYTES));
    memset(writer_reserve(out, length), 'x', length);
}

Test(protocols, frames_end_where_their_length_says_however_they_come)
{
    uint8_t bytes[256];
    struct writer out = writer_of(bytes, sizeof(bytes));
    frame_write(FRAME_HELLO | FRAME_ANSWER, 200, 9, &out);
    frame_write(FRAME_GET | FRAME_ANSWER, 200, 40, &out);
    frame_write(FRAME_GET | FRAME_ANSWER, 404, 0, &out);
    frame_write(FRAME_ERROR, 503, 3, &out);
    for (size_t piece = 1; piece <= out.size; piece++) {
        uint16_t statuses[8];
        uint32_t count = read_all(response_wire_read, true, writer_bytes(&out), piece, statuses);
        cr_assert_eq(count, 3);
        cr_assert(statuses[0] == 200 && statuses[1] == 404 && statuses[2] == 503);
    }
}

Test(protocols, what_is_no_answer_is_refused)
{
    uint8_t bytes[64];
    size_t taken;
    bool done;
    struct writer out = writer_of(bytes, sizeof(bytes));
    frame_write(FRAME_GET, 0, 1, &out);
    struct response response = {0};
    cr_assert_eq(response_wire_read(&response, writer_bytes(&out), &taken, &done), STATUS_INVALID);
    out.size = 0;
    frame_write(FRAME_GET | FRAME_ANSWER, 200, 1, &out);
    response = (struct response){.greeting = true};
    cr_assert_eq(response_wire_read(&response, writer_bytes(&out), &taken, &done), STATUS_INVALID);
    response = (struct response){0};
    cr_assert_eq(response_redis_read(&response, BYTES_LITERAL("HTTP/1.1\r\n"), &taken, &done),
                 STATUS_INVALID);
    cr_assert_eq(response_redis_read(&response, BYTES_LITERAL("$x\r\n"), &taken, &done),
                 STATUS_INVALID);
}

Test(protocols, replies_of_redis_end_where_they_say_however_they_come)
{
    struct bytes stream =
        BYTES_LITERAL("+OK\r\n$5\r\na\nb\r\n\r\n$-1\r\n-ERR no\r\n:1\r\n$0\r\n\r\n");
    static const uint16_t expected[] = {200, 200, 404, 500, 200, 200};
    for (size_t piece = 1; piece <= stream.size; piece++) {
        uint16_t statuses[8];
        cr_assert_eq(read_all(response_redis_read, false, stream, piece, statuses), 6);
        cr_assert_arr_eq(statuses, expected, sizeof(expected));
    }
}
