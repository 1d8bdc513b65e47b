#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

#include "engine/journal/position.h"
#include "fake.h"
#include "protocol/document/document.h"
#include "protocol/document/json.h"

static void init(void)
{
    fake_init();
    fake_start();
}

TestSuite(write, .init = init, .fini = fake_end);

#define JSON_TYPE "\nContent-Type: application/json"

static const char *document_text(void)
{
    static char text[1 << 16];
    struct writer out = writer_of(text, sizeof(text) - 1);
    cr_assert_eq(document_to_json(fake.submitted->document, &out), STATUS_OK);
    text[out.size] = 0;
    return text;
}

static void answer(uint64_t epoch, uint64_t sequence, const char *body)
{
    fake.submitted->epoch = epoch;
    fake.submitted->sequence = sequence;
    fake_done(STATUS_OK, body);
}

Test(write, a_creation_answers_201_with_its_place_tag_and_position)
{
    fake_send("POST /pets" JSON_TYPE "; charset=utf-8", "{\"message\":\"hi\",\"price\":1.50}");
    cr_assert_eq(fake.submitted->kind, REQUEST_CREATE);
    cr_assert_str_eq(document_text(), "{\"message\":\"hi\",\"price\":1.50}");
    memcpy(fake.submitted->new_id_text, "0190b2d8-42a1-7c3e-9f00-5a6b7c8d9e0f", 36);
    fake.submitted->new_id = bytes_of(fake.submitted->new_id_text, 36);
    answer(3, 9, "{\"id\":\"x\"}");
    cr_assert_eq(fake_status(), 201);
    cr_assert_str_eq(fake_header("Location"), "/pets/0190b2d8-42a1-7c3e-9f00-5a6b7c8d9e0f");
    cr_assert_str_eq(fake_header("ETag"), "\"0-3-9\"");
    cr_assert_str_eq(fake_header("Content-Type"), "application/json");
    struct position position;
    cr_assert_eq(position_read(bytes_of_text(fake_header("freshet-position")), &position),
                 STATUS_OK);
    cr_assert_eq(position.epoch, 3);
    cr_assert_eq(position.sequence, 9);
}

Test(write, a_put_is_201_when_it_made_the_record_and_200_when_not)
{
    fake_send("PUT /pets/a%2Fb%20c" JSON_TYPE, "{\"id\":\"a/b c\",\"m\":1}");
    cr_assert_str_eq(document_text(), "{\"m\":1}", "the id is no part of the document");
    cr_assert(bytes_equal(fake.submitted->id, BYTES_LITERAL("a/b c")));
    fake.submitted->created = true;
    answer(1, 1, "{}");
    cr_assert_eq(fake_status(), 201);
    cr_assert_str_eq(fake_header("Location"), "/pets/a%2Fb%20c");
    fake_send("PUT /pets/1" JSON_TYPE, "{}");
    answer(1, 2, "{}");
    cr_assert_eq(fake_status(), 200);
    cr_assert_null(fake_header("Location"));
}

Test(write, an_id_in_the_body_follows_the_rules_of_its_method)
{
    static const struct {
        const char *head;
        const char *body;
        const char *message; /* NULL: taken */
    } cases[] = {
        {"POST /products" JSON_TYPE, "{\"id\":\"1\"}", "Product id is not allowed"},
        {"POST /products" JSON_TYPE, "{\"a\":1,\"id\":null}", "Product id is not allowed"},
        {"POST /pets" JSON_TYPE, "{\"id\":{}}", "Pet id is not allowed"},
        {"POST /pets" JSON_TYPE, "{\"a\":{\"id\":1},\"b\":\"id\"}", NULL},
        {"PUT /pets/1" JSON_TYPE, "{\"id\":\"1\"}", NULL},
        {"PUT /pets/1" JSON_TYPE, "{\"id\":1}", "Pet id in the body must be"},
        {"PUT /pets/1" JSON_TYPE, "{\"id\":\"2\"}", "Pet id in the body must be"},
        {"PATCH /pets/1" JSON_TYPE, "{\"id\":\"1\",\"a\":null}", NULL},
        {"PATCH /pets/1" JSON_TYPE, "{\"id\":null}", "Pet id in the body must be"},
    };
    for (size_t index = 0; index < sizeof(cases) / sizeof(cases[0]); index++) {
        fake_send(cases[index].head, cases[index].body);
        if (cases[index].message == NULL) {
            cr_assert_eq(fake_status(), 0, "%s", cases[index].body);
            struct bytes id;
            cr_assert_not(document_find(fake.submitted->document, BYTES_LITERAL("id"), &id));
            answer(1, 1, "{}");
        } else {
            cr_assert_eq(fake_status(), 400, "%s", cases[index].body);
            cr_assert(fake_body_has(cases[index].message), "%s", fake_body());
        }
    }
}

Test(write, media_types_and_encodings_that_are_not_taken_are_415)
{
    static const struct {
        const char *head;
        uint16_t status; /* 0: taken */
    } cases[] = {
        {"POST /pets", 415},
        {"POST /pets\nContent-Type: text/plain", 415},
        {"POST /pets\nContent-Type: application/x-www-form-urlencoded", 415},
        {"POST /pets\nContent-Type: APPLICATION/JSON;a=\"b;c\"", 0},
        {"POST /pets\nContent-Type: application/merge-patch+json", 415},
        {"PATCH /pets/1\nContent-Type: application/merge-patch+json", 0},
        {"PATCH /pets/1\nContent-Type: application/json-patch+json", 415},
        {"PUT /pets/1\nContent-Type: application/json\nContent-Type: application/json", 415},
        {"PUT /pets/1" JSON_TYPE "\nContent-Encoding: gzip", 415},
        {"PUT /pets/1" JSON_TYPE "\nContent-Encoding: Identity", 0},
    };
    for (size_t index = 0; index < sizeof(cases) / sizeof(cases[0]); index++) {
        fake_send(cases[index].head, "{}");
        cr_assert_eq(fake_status(), cases[index].status, "%s", cases[index].head);
        if (cases[index].status == 0) {
            answer(1, 1, "{}");
        }
    }
}

Test(write, bodies_that_are_no_json_object_are_refused_in_plain_words)
{
    static const struct {
        const char *body;
        uint16_t status;
        const char *detail;
    } cases[] = {
        {"", 400, "A body with a JSON object is needed"},
        {"{\n  \"a\": 1,\n}", 400, "line 3, column 1"},
        {"[]", 400, "must be a JSON object"},
        {"\"id\"", 400, "must be a JSON object"},
        {"null", 400, "must be a JSON object"},
        {"{\"a\":1,\"a\":2}", 400, "not valid JSON"},
        {"{} {}", 400, "not valid JSON"},
        {"{\"n\":1e400}", 422, "line 1"},
        {"{\"n\":123456789012345678901234567890123456789}", 422, "line 1"},
    };
    for (size_t index = 0; index < sizeof(cases) / sizeof(cases[0]); index++) {
        fake_send("PUT /pets/1" JSON_TYPE, cases[index].body);
        cr_assert_eq(fake_status(), cases[index].status, "%s", cases[index].body);
        cr_assert(fake_body_has(cases[index].detail), "%s: %s", cases[index].body, fake_body());
    }
}

static struct bytes object_of(size_t size)
{
    uint8_t *body = malloc(size);
    memset(body, 'x', size);
    memcpy(body, "{\"a\":\"", 6);
    memcpy(body + size - 2, "\"}", 2);
    return bytes_of(body, size);
}

Test(write, a_document_in_a_block_of_its_own_is_freed_whatever_comes_of_it)
{
    static const enum status outcomes[] = {STATUS_OK, STATUS_BUSY, STATUS_NOT_FOUND};
    struct bytes body = object_of(100000);
    for (size_t index = 0; index < 3; index++) {
        fake_send_bytes("PATCH /pets/1" JSON_TYPE, body);
        cr_assert_gt(fake.submitted->document.size, 99000);
        fake_done(outcomes[index], NULL);
        cr_assert_neq(fake_status(), 0);
    }
    free((void *)body.data);
}

Test(write, a_body_has_a_mebibyte_and_not_one_byte_more)
{
    struct bytes body = object_of(DOCUMENT_JSON_BYTES_MAX + 1);
    fake_send_bytes("PUT /pets/1" JSON_TYPE, body);
    cr_assert_eq(fake_status(), 413);
    free((void *)body.data);
    body = object_of(DOCUMENT_JSON_BYTES_MAX);
    fake_send_bytes("PUT /pets/1" JSON_TYPE, body);
    cr_assert_eq(fake_status(), 0);
    cr_assert_gt(fake.submitted->document.size, DOCUMENT_JSON_BYTES_MAX - 100);
    answer(1, 1, "{}");
    cr_assert_eq(fake_status(), 200);
    free((void *)body.data);
}

Test(write, conditions_go_to_the_engine)
{
    fake_send("PUT /pets/1" JSON_TYPE "\nIf-Match: \"0-1-2\", \"0-1-3\"\nIf-None-Match: *", "{}");
    cr_assert_eq(fake.submitted->if_match.kind, PRECONDITION_TAGS);
    cr_assert_eq(fake.submitted->if_match.tag_count, 2);
    cr_assert_eq(fake.submitted->if_match.tags[1].sequence, 3);
    cr_assert_eq(fake.submitted->if_none_match.kind, PRECONDITION_ANY);
    fake_done(STATUS_PRECONDITION_FAILED, NULL);
    cr_assert_eq(fake_status(), 412);
    fake_send("DELETE /pets/1\nIf-Match: nonsense", NULL);
    cr_assert_eq(fake_status(), 400);
}

Test(write, a_delete_answers_the_same_whether_it_found_something_or_not)
{
    fake_send("DELETE /pets/1", NULL);
    cr_assert_eq(fake.submitted->kind, REQUEST_DELETE);
    answer(1, 5, NULL);
    cr_assert_eq(fake_status(), 200);
    cr_assert_str_eq(fake_body(), "{\"message\":\"item deleted\"}");
    cr_assert_not_null(fake_header("freshet-position"));
    fake_send("DELETE /pets/1", NULL);
    answer(0, 0, NULL);
    cr_assert_eq(fake_status(), 200);
    struct position position;
    cr_assert_eq(position_read(bytes_of_text(fake_header("freshet-position")), &position),
                 STATUS_OK);
    cr_assert_eq(position.sequence, fake.published, "nothing was there, which everyone sees");
    cr_assert_eq(position.epoch, 3);
}

Test(write, an_idempotency_key_is_scoped_and_carries_the_hash_of_the_body)
{
    fake_send("POST /pets" JSON_TYPE "\nIdempotency-Key: \"k 1\"", "{\"a\":1}");
    static const char scope[] = "anonymous\0/pets\0k 1";
    cr_assert(bytes_equal(fake.submitted->idempotency_key, BYTES_LITERAL(scope)));
    XXH128_canonical_t hash;
    XXH128_canonicalFromHash(&hash, XXH3_128bits("{\"a\":1}", 7));
    cr_assert_eq(memcmp(hash.digest, fake.submitted->body_hash, 16), 0);
    snprintf(fake.submitted->detail.text, DETAIL_BYTES_MAX, "used with another body");
    fake_done(STATUS_UNPROCESSABLE, NULL);
    cr_assert_eq(fake_status(), 422);
    cr_assert(fake_body_has("\"detail\":\"used with another body\""));
    fake_send("POST /pets" JSON_TYPE "\nIdempotency-Key: k", "{}");
    fake_done(STATUS_CONFLICT, NULL);
    cr_assert_eq(fake_status(), 422);
    fake_send("POST /pets" JSON_TYPE "\nIdempotency-Key: a b", "{}");
    cr_assert_eq(fake_status(), 400);
    fake_send("POST /pets" JSON_TYPE "\nIdempotency-Key: a\nIdempotency-Key: a", "{}");
    cr_assert_eq(fake_status(), 400);
    fake_send("PUT /pets/1" JSON_TYPE "\nIdempotency-Key: a b", "{}");
    cr_assert_eq(fake.submitted->idempotency_key.size, 0, "of no meaning but on POST");
    answer(1, 1, "{}");
}

Test(write, failures_of_the_journal_have_their_types)
{
    static const struct {
        enum status status;
        uint16_t http;
        const char *type;
    } cases[] = {{STATUS_OUTCOME_UNKNOWN, 503, "problem:outcome-unknown\""},
                 {STATUS_NOT_ACCEPTED, 503, "problem:not-accepted\""},
                 {STATUS_DISK_FULL, 503, "problem:disk-full\""},
                 {STATUS_BUSY, 503, "about:blank"},
                 {STATUS_TOO_LARGE, 413, "about:blank"},
                 {STATUS_UNPROCESSABLE, 422, "about:blank"},
                 {STATUS_NOT_FOUND, 404, "Pet not found"}};
    for (size_t index = 0; index < sizeof(cases) / sizeof(cases[0]); index++) {
        fake_send("PATCH /pets/1" JSON_TYPE, "{\"a\":1}");
        fake_done(cases[index].status, NULL);
        cr_assert_eq(fake_status(), cases[index].http);
        cr_assert(fake_body_has(cases[index].type), "%s", fake_body());
    }
}

Test(write, running_out_of_memory_at_any_place_is_503_or_uses_other_memory)
{
    for (uint32_t allocations = 0; allocations < 6; allocations++) {
        fake.allocations_left = allocations;
        fake_send("POST /pets" JSON_TYPE "\nIdempotency-Key: k\nIf-Match: *", "{\"a\":1}");
        if (fake.submitted == NULL) {
            cr_assert_eq(fake_status(), 503);
            continue;
        }
        answer(1, 1, "{\"id\":\"1\"}");
        cr_assert_eq(fake_status(), 201);
    }
    fake.allocations_left = UINT32_MAX;
}
