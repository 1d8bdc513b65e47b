/* Each answer that is right passes, and each planted wrong one is found. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "bench/load/check.h"
#include "protocol/document/document.h"

#define KEY         42
#define OTHER       (KEY + 32) /* of the same category */
#define SERIAL      0x1234abcd
#define VALUE_BYTES 300
#define TEXT_BYTES  4096

struct bench {
    struct body body;
    uint8_t *pool;
    struct check check;
    uint8_t text[TEXT_BYTES];
    struct writer out;
};

static void open_bench(struct bench *bench, enum protocol protocol)
{
    const struct load_options options = {
        .protocol = protocol,
        .path = "/products/{key}",
        .key_digits = 4,
        .value_bytes = VALUE_BYTES,
        .list_limit = 3,
        .check = CHECK_CONTENT,
    };
    bool wire = protocol == PROTOCOL_WIRE;
    bench->body = body_of(wire ? BODY_MSGPACK : BODY_JSON, VALUE_BYTES);
    bench->pool = body_pool_create(&bench->body);
    cr_assert_not_null(bench->pool);
    cr_assert_eq(check_create(&bench->check, &options, &bench->body, bench->pool), STATUS_OK);
    bench->out = writer_of(bench->text, sizeof(bench->text));
}

static void close_bench(struct bench *bench)
{
    cr_assert_not(bench->out.failed);
    check_destroy(&bench->check);
    free(bench->pool);
}

/* The body of a write, as it is sent. */
static struct bytes body_made(struct bench *bench, uint64_t key, uint64_t serial,
                              uint8_t body[VALUE_BYTES])
{
    struct writer writer = writer_of(body, VALUE_BYTES);
    body_write(&bench->body, &writer);
    body_patch(&bench->body, bench->pool, serial, key, body);
    return writer_bytes(&writer);
}

/* A record as Freshet shows it: the id, then the document's members. */
static void put_record(struct bench *bench, uint64_t id, uint64_t key, uint64_t serial)
{
    uint8_t bytes[VALUE_BYTES];
    uint8_t digits[4];
    struct bytes body = body_made(bench, key, serial, bytes);
    patch_decimal(digits, sizeof(digits), id);
    if (bench->body.form == BODY_MSGPACK) {
        document_write_record(&bench->out, bytes_of(digits, sizeof(digits)), body);
        return;
    }
    writer_text(&bench->out, "{\"id\":\"");
    writer_put(&bench->out, bytes_of(digits, sizeof(digits)));
    writer_text(&bench->out, "\",");
    writer_put(&bench->out, bytes_slice(body, 1, body.size));
}

static void put_read(struct bench *bench, uint64_t id, uint64_t key, uint64_t serial)
{
    bench->out.size = 0;
    if (bench->body.form == BODY_MSGPACK) {
        document_write_array(&bench->out, 4);
        document_write_u64(&bench->out, 1);
        document_write_u64(&bench->out, 70000);
        document_write_u64(&bench->out, 2);
    }
    put_record(bench, id, key, serial);
}

static const char *check_out(struct bench *bench)
{
    return check_record(&bench->check, KEY, writer_bytes(&bench->out));
}

/* Every byte of the answer altered in turn, and every shorter answer. */
static void alter_each_byte(struct bench *bench, size_t from)
{
    for (size_t i = from; i < bench->out.size; i++) {
        bench->text[i] ^= 1;
        cr_assert_not_null(check_out(bench), "byte %zu", i);
        bench->text[i] ^= 1;
        struct bytes cut = bytes_of(bench->text, i);
        cr_assert_not_null(check_record(&bench->check, KEY, cut), "cut at %zu", i);
    }
    cr_assert_null(check_out(bench));
}

Test(check, a_record_over_http)
{
    struct bench bench;
    open_bench(&bench, PROTOCOL_HTTP);
    put_read(&bench, KEY, KEY, SERIAL);
    cr_assert_null(check_out(&bench));
    alter_each_byte(&bench, 0);
    put_read(&bench, KEY + 1, KEY + 1, SERIAL);
    cr_assert_not_null(check_out(&bench), "another record");
    put_read(&bench, KEY, OTHER, SERIAL);
    cr_assert_not_null(check_out(&bench), "another record under this id");
    bench.out.size = 0;
    cr_assert_not_null(check_out(&bench), "nothing");
    close_bench(&bench);
}

Test(check, a_record_over_wire)
{
    struct bench bench;
    open_bench(&bench, PROTOCOL_WIRE);
    put_read(&bench, KEY, KEY, SERIAL);
    cr_assert_null(check_out(&bench));
    alter_each_byte(&bench, 8); /* behind the numbers of the state */
    put_read(&bench, KEY + 1, KEY + 1, SERIAL);
    cr_assert_not_null(check_out(&bench), "another record");
    put_read(&bench, KEY, OTHER, SERIAL);
    cr_assert_not_null(check_out(&bench), "another record under this id");
    close_bench(&bench);
}

Test(check, a_value_of_redis_and_memcached)
{
    static const enum protocol protocols[] = {PROTOCOL_REDIS, PROTOCOL_MEMCACHED};
    for (size_t i = 0; i < 2; i++) {
        struct bench bench;
        uint8_t bytes[VALUE_BYTES];
        open_bench(&bench, protocols[i]);
        writer_put(&bench.out, body_made(&bench, KEY, SERIAL, bytes));
        cr_assert_null(check_out(&bench));
        alter_each_byte(&bench, 0);
        bench.out.size = 0;
        writer_put(&bench.out, body_made(&bench, OTHER, SERIAL, bytes));
        cr_assert_not_null(check_out(&bench), "the value of another key");
        close_bench(&bench);
    }
}

/* The first half of one write and the second of another. */
Test(check, two_writes_that_are_mixed)
{
    struct bench bench;
    uint8_t other[TEXT_BYTES];
    open_bench(&bench, PROTOCOL_HTTP);
    put_read(&bench, KEY, KEY, SERIAL + 1);
    memcpy(other, bench.text, bench.out.size);
    put_read(&bench, KEY, KEY, SERIAL);
    memcpy(bench.text + bench.out.size / 2, other + bench.out.size / 2, bench.out.size / 2);
    cr_assert_not_null(check_out(&bench));
    close_bench(&bench);
}

Test(check, the_answer_to_a_write_over_http_shows_what_was_sent_or_nothing)
{
    struct bench bench;
    open_bench(&bench, PROTOCOL_HTTP);
    put_read(&bench, KEY, KEY, SERIAL);
    struct bytes answer = writer_bytes(&bench.out);
    cr_assert_null(check_written(&bench.check, KEY, SERIAL, answer));
    cr_assert_not_null(check_written(&bench.check, KEY, SERIAL + 1, answer));
    cr_assert_not_null(check_written(&bench.check, KEY + 1, SERIAL, answer));
    cr_assert_null(check_written(&bench.check, KEY, SERIAL, BYTES_EMPTY));
    struct bytes deleted = BYTES_LITERAL("{\"message\":\"item deleted\"}");
    cr_assert_null(check_written(&bench.check, KEY, 0, deleted));
    close_bench(&bench);
}

Test(check, the_answer_to_a_write_over_wire_names_its_record)
{
    struct bench bench;
    open_bench(&bench, PROTOCOL_WIRE);
    document_write_array(&bench.out, 7);
    for (uint64_t i = 1; i <= 3; i++) {
        document_write_u64(&bench.out, i);
    }
    document_write_string(&bench.out, BYTES_LITERAL("0042"));
    struct bytes answer = writer_bytes(&bench.out);
    cr_assert_null(check_written(&bench.check, KEY, SERIAL, answer));
    cr_assert_not_null(check_written(&bench.check, KEY + 1, SERIAL, answer));
    cr_assert_not_null(check_written(&bench.check, KEY, SERIAL, BYTES_EMPTY));
    close_bench(&bench);
}

/* A page of the keys given, each record of the key itself. */
static const char *page_of(struct bench *bench, uint64_t after, const uint64_t *keys,
                           uint32_t count)
{
    bool wire = bench->body.form == BODY_MSGPACK;
    bench->out.size = 0;
    if (wire) {
        document_write_array(&bench->out, 2);
        document_write_null(&bench->out);
        document_write_array(&bench->out, count);
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!wire) {
            writer_text(&bench->out, i == 0 ? "[" : ",");
        }
        put_record(bench, keys[i], keys[i], SERIAL + i);
    }
    if (!wire) {
        writer_text(&bench->out, count == 0 ? "[]" : "]");
    }
    return check_page(&bench->check, after, writer_bytes(&bench->out));
}

Test(check, a_page_is_in_order_behind_its_key_and_not_too_long)
{
    static const enum protocol protocols[] = {PROTOCOL_HTTP, PROTOCOL_WIRE};
    for (size_t i = 0; i < 2; i++) {
        struct bench bench;
        open_bench(&bench, protocols[i]);
        cr_assert_null(page_of(&bench, KEY, (uint64_t[]){43, 50, 9999}, 3));
        cr_assert_null(page_of(&bench, KEY, NULL, 0));
        cr_assert_not_null(page_of(&bench, KEY, (uint64_t[]){42, 43}, 2), "the key itself");
        cr_assert_not_null(page_of(&bench, KEY, (uint64_t[]){7, 43}, 2), "what is before it");
        cr_assert_not_null(page_of(&bench, KEY, (uint64_t[]){50, 43}, 2), "another order");
        cr_assert_not_null(page_of(&bench, KEY, (uint64_t[]){43, 43}, 2), "one twice");
        cr_assert_not_null(page_of(&bench, KEY, (uint64_t[]){43, 44, 45, 46}, 4), "too many");
        close_bench(&bench);
    }
}

Test(check, every_byte_of_a_page_counts)
{
    static const enum protocol protocols[] = {PROTOCOL_HTTP, PROTOCOL_WIRE};
    for (size_t i = 0; i < 2; i++) {
        struct bench bench;
        open_bench(&bench, protocols[i]);
        cr_assert_null(page_of(&bench, KEY, (uint64_t[]){43, 44}, 2));
        /* Over wire, the first byte but two is the cursor. */
        for (size_t at = i == 0 ? 0 : 2; at < bench.out.size; at++) {
            bench.text[at] ^= 1;
            cr_assert_not_null(check_page(&bench.check, KEY, writer_bytes(&bench.out)),
                               "protocol %zu, byte %zu", i, at);
            bench.text[at] ^= 1;
        }
        close_bench(&bench);
    }
}

Test(check, lengths_are_those_of_the_first_answer)
{
    struct bench bench;
    open_bench(&bench, PROTOCOL_HTTP);
    cr_assert_null(check_length(&bench.check, 300));
    cr_assert_null(check_length(&bench.check, 300));
    cr_assert_not_null(check_length(&bench.check, 299));
    cr_assert_not_null(check_length(&bench.check, 0));
    close_bench(&bench);
    open_bench(&bench, PROTOCOL_WIRE);
    cr_assert_null(check_length(&bench.check, 300));
    cr_assert_null(check_length(&bench.check, 320));
    cr_assert_null(check_length(&bench.check, 280));
    cr_assert_not_null(check_length(&bench.check, 400));
    cr_assert_not_null(check_length(&bench.check, 200));
    close_bench(&bench);
}

/* As closely as the options say, and not where lengths say nothing. */
Test(check, the_level_decides_what_is_looked_at)
{
    struct load_options options = {
        .path = "/products/{key}", .key_digits = 4, .value_bytes = VALUE_BYTES};
    const struct body body = body_of(BODY_JSON, VALUE_BYTES);
    uint8_t *pool = body_pool_create(&body);
    const struct slot slot = {.kind = KIND_GET, .request = KIND_GET, .key = KEY};
    static const struct {
        enum check_level level;
        uint32_t headers_size;
        const char *path;
        bool found;
    } cases[] = {
        {CHECK_OFF, 0, "/products/{key}", false},    {CHECK_LENGTH, 0, "/products/{key}", true},
        {CHECK_LENGTH, 9, "/products/{key}", false}, {CHECK_LENGTH, 0, "/products", false},
        {CHECK_CONTENT, 9, "/products/{key}", true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct check check;
        options.check = cases[i].level;
        options.headers_size = cases[i].headers_size;
        options.path = cases[i].path;
        cr_assert_eq(check_create(&check, &options, &body, pool), STATUS_OK);
        struct response response = {.status = 200, .body_size = 5, .body = BYTES_LITERAL("hello")};
        (void)check_answer(&check, &slot, &response);
        response.body_size = 4;
        cr_assert_eq(check_answer(&check, &slot, &response) != NULL, cases[i].found, "case %zu", i);
        response.status = 206;
        cr_assert_null(check_answer(&check, &slot, &response), "case %zu: only 200 is a record", i);
        check_destroy(&check);
    }
    free(pool);
}
