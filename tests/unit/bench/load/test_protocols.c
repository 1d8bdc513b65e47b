/* Requests and answers of the binary protocol, of RESP and of memcached's text protocol. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "bench/load/request.h"
#include "bench/load/response.h"
#include "protocol/document/document.h"
#include "protocol/frame/frame.h"

#define ID 0x12345678u

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
        .list_limit = 25,
        .mix = {[KIND_GET] = 1, [KIND_PUT] = 1, [KIND_POST] = 1, [KIND_DELETE] = 1},
        .mix_sum = 4,
    };
    struct load_options kinds = options;
    kinds.mix[KIND_LIST] = kinds.mix[KIND_INSERT] = protocol == PROTOCOL_WIRE;
    struct requests requests;
    cr_assert_eq(requests_create(&kinds, 0, &requests), STATUS_OK);
    return requests;
}

static struct bytes written(struct requests *requests, enum kind kind)
{
    uint8_t *out = malloc(requests->size_max);
    cr_assert_not_null(out);
    return bytes_of(out, requests_write(requests, kind, 42, ID, out));
}

Test(protocols, a_wire_request_is_a_frame_with_an_array)
{
    struct requests requests = requests_of(PROTOCOL_WIRE, 300);
    static const enum kind kinds[] = {KIND_GET,    KIND_PUT,  KIND_POST,
                                      KIND_DELETE, KIND_LIST, KIND_INSERT};
    static const uint8_t opcodes[] = {FRAME_GET,    FRAME_PUT,  FRAME_CREATE,
                                      FRAME_DELETE, FRAME_LIST, FRAME_PUT};
    static const uint32_t counts[] = {2, 3, 2, 2, 2, 3};
    for (size_t i = 0; i < 6; i++) {
        struct bytes frame = written(&requests, kinds[i]);
        struct frame_header header = frame_header_read(frame.data);
        struct bytes body = bytes_slice(frame, FRAME_HEADER_BYTES, frame.size);
        cr_assert_eq(header.opcode, opcodes[i]);
        cr_assert_eq(header.id, ID);
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
        for (uint32_t count = 0; count < 100; count++) {
            struct bytes frame = written(&requests, KIND_PUT);
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
    struct bytes get = written(&requests, KIND_GET);
    cr_assert(bytes_equal(get, BYTES_LITERAL("*2\r\n$3\r\nGET\r\n$4\r\n0042\r\n")));
    struct bytes set = written(&requests, KIND_PUT);
    struct bytes head = BYTES_LITERAL("*3\r\n$3\r\nSET\r\n$4\r\n0042\r\n$300\r\n{");
    cr_assert(bytes_equal(bytes_slice(set, 0, head.size), head));
    cr_assert_eq(set.size, head.size - 1 + 300 + 2);
    free((void *)get.data);
    free((void *)set.data);
    requests_destroy(&requests);
}

Test(protocols, a_memcached_request_is_a_line_and_a_value)
{
    struct requests requests = requests_of(PROTOCOL_MEMCACHED, 300);
    struct bytes get = written(&requests, KIND_GET);
    cr_assert(bytes_equal(get, BYTES_LITERAL("get 0042\r\n")));
    struct bytes delete = written(&requests, KIND_DELETE);
    cr_assert(bytes_equal(delete, BYTES_LITERAL("delete 0042\r\n")));
    struct bytes set = written(&requests, KIND_PUT);
    struct bytes head = BYTES_LITERAL("set 0042 0 0 300\r\n{");
    cr_assert(bytes_starts_with(set, head));
    cr_assert_eq(set.size, head.size - 1 + 300 + 2);
    cr_assert(bytes_equal(bytes_slice(set, set.size - 3, 3), BYTES_LITERAL("}\r\n")));
    free((void *)get.data);
    free((void *)delete.data);
    free((void *)set.data);
    requests_destroy(&requests);
}

typedef enum status reader_function(struct response *response, struct bytes bytes,
                                    size_t *taken_out, bool *done_out);

/* What a stream was read as: each answer's status, and the bodies one behind the other with a bar
 * behind each. */
struct read_answers {
    uint32_t count;
    uint16_t statuses[8];
    uint64_t sizes[8];
    uint32_t ids[8];
    char bodies[128];
};

/* Reads the stream in pieces of so many bytes. Each piece is a copy, gone when the next one comes,
 * as a receive buffer is. */
static void read_all(reader_function *read, bool greeting, struct bytes stream, size_t piece,
                     struct read_answers *answers)
{
    struct response response = {.greeting = greeting, .keep = true};
    struct writer bodies = writer_of(answers->bodies, sizeof(answers->bodies) - 1);
    answers->count = 0;
    for (size_t at = 0; at < stream.size;) {
        size_t size = piece < stream.size - at ? piece : stream.size - at;
        uint8_t *copy = malloc(size);
        cr_assert_not_null(copy);
        memcpy(copy, stream.data + at, size);
        for (size_t offset = 0; offset < size;) {
            size_t taken = 0;
            bool done = false;
            cr_assert_eq(read(&response, bytes_of(copy + offset, size - offset), &taken, &done),
                         STATUS_OK);
            cr_assert(taken > 0);
            offset += taken;
            if (done) {
                answers->sizes[answers->count] = response.body_size;
                answers->ids[answers->count] = response.id;
                answers->statuses[answers->count++] = response.status;
                writer_put(&bodies, response.body);
                writer_u8(&bodies, '|');
            }
        }
        free(copy);
        at += size;
    }
    cr_assert_not(bodies.failed);
    answers->bodies[bodies.size] = '\0';
    response_reset(&response);
    cr_assert(response.keep);
}

static void frame_write(uint8_t opcode, uint16_t code, uint32_t length, struct writer *out)
{
    const struct frame_header header = {
        .opcode = opcode, .code = code, .length = length, .id = 100 + length};
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
        struct read_answers answers;
        read_all(response_wire_read, true, writer_bytes(&out), piece, &answers);
        cr_assert_eq(answers.count, 3);
        cr_assert_arr_eq(answers.statuses, ((uint16_t[]){200, 404, 503}), 3 * sizeof(uint16_t));
        cr_assert_arr_eq(answers.ids, ((uint32_t[]){140, 100, 103}), 3 * sizeof(uint32_t));
        cr_assert_arr_eq(answers.sizes, ((uint64_t[]){40, 0, 3}), 3 * sizeof(uint64_t));
        cr_assert_str_eq(answers.bodies, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx||xxx|");
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
        struct read_answers answers;
        read_all(response_redis_read, false, stream, piece, &answers);
        cr_assert_eq(answers.count, 6);
        cr_assert_arr_eq(answers.statuses, expected, sizeof(expected));
        cr_assert_str_eq(answers.bodies, "|a\nb\r\n|||||");
    }
}

Test(protocols, replies_of_memcached_end_where_they_say_however_they_come)
{
    struct bytes stream = BYTES_LITERAL("STORED\r\nVALUE 0042 0 7\r\nEND\r\n!!\r\nEND\r\n"
                                        "END\r\nVALUE k 1 0 77\r\n\r\nEND\r\nDELETED\r\n"
                                        "NOT_FOUND\r\nSERVER_ERROR object too large\r\n"
                                        "ERROR\r\n");
    static const uint16_t expected[] = {200, 200, 404, 200, 200, 404, 500, 500};
    for (size_t piece = 1; piece <= stream.size; piece++) {
        struct read_answers answers;
        read_all(response_memcached_read, false, stream, piece, &answers);
        cr_assert_eq(answers.count, 8);
        cr_assert_arr_eq(answers.statuses, expected, sizeof(expected));
        cr_assert_str_eq(answers.bodies, "|END\r\n!!|||||||");
    }
}

Test(protocols, what_memcached_never_says_is_refused)
{
    static const char *const bad[] = {
        "HTTP/1.1 200 OK\r\n",
        "END \r\n",
        "STORED\n",
        "\r\n",
        "VALUE\r\n",
        "VALUE k\r\n",
        "VALUE k 0\r\n",
        "VALUE k 0 \r\n",
        "VALUE k 0 x\r\n",
        "VALUE k 0 3x\r\n",
        "VALUE k 0 99999999999\r\n",
        "VALUE k 0 99999999999999999999999\r\n",
        "VALUE k 0 1\r\na\r\nVALUE j 0 1\r\n",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct response response = {0};
        struct bytes left = bytes_of_text(bad[i]);
        enum status status = STATUS_OK;
        while (left.size > 0 && status == STATUS_OK) {
            size_t taken = 0;
            bool done = false;
            status = response_memcached_read(&response, left, &taken, &done);
            cr_assert_not(done, "%s", bad[i]);
            left = bytes_slice(left, taken, left.size);
        }
        cr_assert_eq(status, STATUS_INVALID, "%s", bad[i]);
        response_reset(&response);
    }
}

Test(protocols, a_line_without_an_end_is_refused_however_it_comes)
{
    uint8_t endless[RESPONSE_SHORT_BYTES + 1];
    reader_function *const readers[] = {response_redis_read, response_memcached_read};
    memset(endless, '+', sizeof(endless));
    for (size_t i = 0; i < 2; i++) {
        struct response response = {0};
        size_t taken = 0;
        bool done = false;
        cr_assert_eq(readers[i](&response, bytes_of(endless, sizeof(endless)), &taken, &done),
                     STATUS_TOO_LARGE);
        struct bytes most = bytes_of(endless, sizeof(endless) - 1);
        cr_assert_eq(readers[i](&response, most, &taken, &done), STATUS_OK);
        cr_assert_eq(readers[i](&response, bytes_of(endless, 1), &taken, &done), STATUS_TOO_LARGE);
        response_reset(&response);
    }
}
