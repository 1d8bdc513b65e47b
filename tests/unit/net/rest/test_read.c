#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/journal/position.h"
#include "fake.h"

static void init(void)
{
    fake_init();
    fake_start();
}

TestSuite(read, .init = init, .fini = fake_end);

#define CHECK_HEADER(name, expected)                                                               \
    do {                                                                                           \
        const char *value = fake_header(name);                                                     \
        cr_assert(value != NULL && strcmp(value, expected) == 0, "%s: %s", name,                   \
                  value == NULL ? "(none)" : value);                                               \
    } while (0)

Test(read, a_hit_is_answered_at_once_with_all_that_the_contract_names)
{
    fake_cache("{\"id\":\"1\",\"message\":\"hi\"}");
    fake_send("GET /pets/1", NULL);
    cr_assert_eq(fake.submits, 0);
    cr_assert_str_eq(fake.sent, "HTTP/1.1 200 OK\r\n"
                                "Date: Thu, 01 Jan 2026 00:00:00 GMT\r\n"
                                "Content-Type: application/json\r\n"
                                "Cache-Control: no-cache\r\n"
                                "Access-Control-Allow-Origin: *\r\n"
                                "Content-Length: 25\r\n"
                                "ETag: \"0-2-1f\"\r\n"
                                "cache-timestamp: Wed, 31 Dec 2025 23:59:50 GMT\r\n"
                                "Age: 10\r\n"
                                "Cache-Status: freshet; hit; ttl=3590\r\n"
                                "\r\n"
                                "{\"id\":\"1\",\"message\":\"hi\"}");
}

Test(read, head_has_the_length_but_not_the_body)
{
    fake_cache("{\"id\":\"1\"}");
    fake_send("HEAD /pets/1", NULL);
    cr_assert_eq(fake_status(), 200);
    CHECK_HEADER("Content-Length", "10");
    cr_assert_str_eq(fake_body(), "");
    fake.cache_status = STATUS_NOT_FOUND;
    fake_send("HEAD /pets/1", NULL);
    fake_done(STATUS_OK, "{\"id\":\"1\",\"a\":2}");
    CHECK_HEADER("Content-Length", "16");
    cr_assert_str_eq(fake_body(), "");
    fake_send("HEAD /pets/2", NULL);
    fake_done(STATUS_NOT_FOUND, NULL);
    cr_assert_eq(fake_status(), 404);
    cr_assert_str_eq(fake_body(), "");
}

Test(read, origin_connection_and_http_1_0_have_their_lines)
{
    fake_cache("{}");
    fake_send("GET /pets/1\nOrigin: http://a.example", NULL);
    CHECK_HEADER("Access-Control-Expose-Headers",
                 "ETag, Location, Link, Age, Cache-Status, cache-timestamp, freshet-position, "
                 "Retry-After");
    fake.closes = true;
    fake_send("GET /pets/1", NULL);
    CHECK_HEADER("Connection", "close");
    cr_assert_null(fake_header("Access-Control-Expose-Headers"));
    fake.closes = false;
    fake.keep_alive = true;
    fake_send("GET /pets/1", NULL);
    CHECK_HEADER("Connection", "keep-alive");
}

Test(read, a_popular_entry_has_its_own_ttl_and_an_eternal_one_none)
{
    fake_cache("{}");
    fake.cached.meta.hits = 100;
    fake.cached.meta.popular_hits = 100;
    fake.cached.meta.popular_expires_at_ns = FAKE_NOW_NS + UINT64_C(7000000000);
    fake_send("GET /pets/1", NULL);
    CHECK_HEADER("Cache-Status", "freshet; hit; ttl=7");
    fake_cache("{}");
    fake.cached.meta.expires_at_ns = UINT64_MAX;
    fake_send("GET /pets/1", NULL);
    CHECK_HEADER("Cache-Status", "freshet; hit");
}

Test(read, a_pinned_body_is_given_back_and_outlives_its_pin)
{
    static char large[200000];
    memset(large, 'x', sizeof(large) - 1);
    fake_cache(large);
    fake.cached.pin = &fake;
    static const size_t sizes[] = {5000, 16384, 16385, 199999};
    for (size_t index = 0; index < 4; index++) {
        fake.cached.body.size = sizes[index];
        fake_send("GET /pets/1", NULL);
        cr_assert_eq(fake_status(), 200);
        cr_assert_eq(strlen(fake_body()), sizes[index]);
        cr_assert_eq(fake.cache_releases, index + 1);
        cr_assert_eq(fake.releases, index < 2 ? 0 : index - 1);
    }
}

Test(read, without_room_in_the_send_buffer_a_hit_takes_a_block)
{
    fake_cache("{\"id\":\"1\"}");
    fake.no_room = true;
    fake_send("GET /pets/1", NULL);
    cr_assert_str_eq(fake_body(), "{\"id\":\"1\"}");
    CHECK_HEADER("ETag", "\"0-2-1f\"");
    cr_assert_eq(fake.releases, 1);
}

Test(read, a_cached_absence_is_a_404_that_says_so)
{
    fake_cache("");
    fake.cached.meta.absent = true;
    fake_send("GET /products/1\nIf-Match: \"0-2-1f\"", NULL);
    cr_assert_eq(fake_status(), 404);
    CHECK_HEADER("Cache-Status", "freshet; hit; ttl=3590");
    CHECK_HEADER("Content-Type", "application/problem+json");
    cr_assert(fake_body_has("\"message\":\"Product not found\""));
    cr_assert(fake_body_has("\"request_id\":\"abcdef-0-42\""));
}

Test(read, conditions_are_judged_on_hits)
{
    static const struct {
        const char *field;
        uint16_t status;
    } cases[] = {
        {"If-None-Match: \"0-2-1f\"", 304},
        {"If-None-Match: W/\"0-2-1f\"", 304},
        {"If-None-Match: *", 304},
        {"If-None-Match: \"0-2-1e\"", 200},
        {"If-None-Match: \"0-1-1f\"", 200},
        {"If-None-Match: \"x\", \"0-2-1f\"", 304},
        {"If-Match: \"0-2-1f\"", 200},
        {"If-Match: W/\"0-2-1f\"", 412},
        {"If-Match: *", 200},
        {"If-Match: \"0-2-20\"", 412},
        {"If-Match: \"abc\"", 412},
        {"If-None-Match: abc", 400},
        {"If-Match: ", 400},
        {"If-None-Match: \"a\"\nIf-None-Match: \"0-2-1f\"", 304},
        {"If-Match: \"0-2-1f\"\nIf-None-Match: \"0-2-1f\"", 304},
        {"If-Match: \"0-2-20\"\nIf-None-Match: \"0-2-1f\"", 412},
    };
    fake_cache("{}");
    for (size_t index = 0; index < sizeof(cases) / sizeof(cases[0]); index++) {
        char head[200];
        snprintf(head, sizeof(head), "GET /pets/1\n%s", cases[index].field);
        fake_send(head, NULL);
        cr_assert_eq(fake_status(), cases[index].status, "%s: %u", cases[index].field,
                     fake_status());
    }
    fake_send("GET /pets/1\nIf-None-Match: \"0-2-1f\"", NULL);
    cr_assert_str_eq(fake_body(), "");
    CHECK_HEADER("ETag", "\"0-2-1f\"");
    CHECK_HEADER("Cache-Control", "no-cache");
    CHECK_HEADER("cache-timestamp", "Wed, 31 Dec 2025 23:59:50 GMT");
    cr_assert_null(fake_header("Content-Length"));
}

Test(read, a_miss_goes_to_the_engine_and_comes_back)
{
    fake_send("GET /pets/a%2Fb", NULL);
    cr_assert_eq(fake_status(), 0);
    cr_assert_eq(fake.submitted->kind, REQUEST_GET);
    cr_assert(bytes_equal(fake.submitted->id, BYTES_LITERAL("a/b")));
    cr_assert_eq(fake.submitted->hash, engine_hash(&fake.collections[1], BYTES_LITERAL("a/b")));
    cr_assert(bytes_equal(fake.submitted->principal->name, BYTES_LITERAL("anonymous")));
    fake.submitted->epoch = 1;
    fake.submitted->sequence = 10;
    fake.submitted->made_at_ms = FAKE_WALL_MS;
    fake.submitted->cache = CACHE_MISS_STORED;
    fake_done(STATUS_OK, "{\"id\":\"a/b\"}");
    cr_assert_eq(fake_status(), 200);
    CHECK_HEADER("ETag", "\"0-1-a\"");
    CHECK_HEADER("Cache-Status", "freshet; fwd=uri-miss; stored");
    CHECK_HEADER("Age", "0");
    CHECK_HEADER("cache-timestamp", "Thu, 01 Jan 2026 00:00:00 GMT");
    CHECK_HEADER("Content-Length", "12");
    cr_assert_str_eq(fake_body(), "{\"id\":\"a/b\"}");
}

Test(read, a_large_answer_of_the_engine_moves_to_the_connection)
{
    char *large = malloc(100001);
    memset(large, 'x', 100000);
    large[100000] = 0;
    fake_send("GET /pets/1", NULL);
    fake_done(STATUS_OK, large);
    cr_assert_eq(strlen(fake_body()), 100000);
    cr_assert_eq(fake.releases, 1);
    free(large);
}

Test(read, memory_of_the_engine_goes_back_when_the_answer_does_not_need_it)
{
    static char large[100001];
    memset(large, 'x', sizeof(large) - 1);
    static const char *const heads[] = {"GET /pets/1\nIf-None-Match: *",
                                        "GET /pets/1\nIf-Match: \"x\"", "HEAD /pets/1"};
    for (size_t index = 0; index < 3; index++) {
        fake_send(heads[index], NULL);
        fake_done(STATUS_OK, large);
        cr_assert_neq(fake_status(), 0);
    }
}

Test(read, conditions_are_judged_on_misses_too)
{
    fake_send("GET /pets/1\nIf-None-Match: \"0-1-a\"", NULL);
    fake.submitted->epoch = 1;
    fake.submitted->sequence = 10;
    fake_done(STATUS_OK, "{}");
    cr_assert_eq(fake_status(), 304);
    fake_send("GET /pets/1\nIf-Match: \"0-1-b\"", NULL);
    fake.submitted->epoch = 1;
    fake.submitted->sequence = 10;
    fake_done(STATUS_OK, "{}");
    cr_assert_eq(fake_status(), 412);
    fake_send("GET /pets/1\nIf-None-Match: \"0-1-a\"", NULL);
    fake_done(STATUS_NOT_FOUND, NULL);
    cr_assert_eq(fake_status(), 404);
    fake_send("GET /pets/1", NULL);
    fake_done(STATUS_NOT_MODIFIED, NULL);
    cr_assert_eq(fake_status(), 304);
}

Test(read, failures_of_the_engine_are_problems)
{
    static const struct {
        enum status status;
        uint16_t http;
    } cases[] = {{STATUS_NOT_FOUND, 404},   {STATUS_BUSY, 503},      {STATUS_IO_ERROR, 500},
                 {STATUS_DAMAGED, 500},     {STATUS_NO_MEMORY, 503}, {STATUS_TIMEOUT, 503},
                 {STATUS_NOT_ACCEPTED, 503}};
    for (size_t index = 0; index < sizeof(cases) / sizeof(cases[0]); index++) {
        fake_send("GET /pets/1", NULL);
        fake_done(cases[index].status, NULL);
        cr_assert_eq(fake_status(), cases[index].http);
        CHECK_HEADER("Content-Type", "application/problem+json");
        cr_assert_eq(fake_header("Retry-After") != NULL, cases[index].http == 503);
    }
}

Test(read, a_refresh_passes_the_cache_by)
{
    static const char *const heads[] = {
        "GET /pets/1\nCache-Control: no-cache", "GET /pets/1\nCache-Control: max-age=0",
        "GET /pets/1\nPragma: no-cache",
        "GET /pets/1\nCache-Control: no-store\nCache-Control: max-age=0"};
    fake_cache("{}");
    for (size_t index = 0; index < 4; index++) {
        fake_send(heads[index], NULL);
        cr_assert_eq(fake.cache_gets, 0);
        cr_assert(fake.submitted->refresh);
        fake.submitted->cache = CACHE_REFRESH_STORED;
        fake_done(STATUS_OK, "{}");
        CHECK_HEADER("Cache-Status", "freshet; fwd=request; stored");
    }
    fake_send("GET /pets/1\nCache-Control: max-age=60\nPragma: no-cache", NULL);
    cr_assert_eq(fake_status(), 200, "Cache-Control makes Pragma mean nothing");
    cr_assert_eq(fake.cache_gets, 1);
}

static void start_as_reader(enum rest_invalidation invalidation)
{
    fake_end();
    fake.options.principal =
        (struct principal){.name = BYTES_LITERAL("reader"), .rights = PRINCIPAL_READ};
    fake.options.unauthorized_invalidation = invalidation;
    fake_start();
    fake_cache("{}");
    fake_send("GET /pets/1\nCache-Control: no-cache", NULL);
}

Test(read, who_may_not_refresh_gets_what_is_configured)
{
    start_as_reader(REST_FAIL_WITH_403);
    cr_assert_eq(fake_status(), 403);
    start_as_reader(REST_SUCCEED_WITH_RESPONSE_HEADER);
    cr_assert_eq(fake_status(), 200);
    cr_assert(strncmp(fake_header("Warning"), "199 freshet \"", 13) == 0);
    CHECK_HEADER("Cache-Status", "freshet; hit; ttl=3590");
    start_as_reader(REST_SUCCEED_WITHOUT_RESPONSE_HEADER);
    cr_assert_eq(fake_status(), 200);
    cr_assert_null(fake_header("Warning"));
    fake_send("PUT /pets/1\nContent-Type: application/json", "{}");
    cr_assert_eq(fake_status(), 403, "and may not write");
}

static void send_position(const char *extra)
{
    char head[400];
    char text[POSITION_TEXT_BYTES_MAX];
    const struct position position = {.epoch = 3, .sequence = 77};
    struct writer out = writer_of(text, sizeof(text));
    position_write(&position, &out);
    snprintf(head, sizeof(head), "GET /pets/1\nfreshet-min-position: %.*s%s", (int)out.size, text,
             extra);
    fake_send(head, NULL);
}

Test(read, a_position_that_was_reached_is_answered_from_the_cache)
{
    fake_cache("{}");
    fake.published = 77;
    send_position("");
    cr_assert_eq(fake_status(), 200);
    fake.published = 76;
    send_position("");
    cr_assert_eq(fake_status(), 0);
    cr_assert_eq(fake.submitted->minimum_sequence, 77);
    fake_done(STATUS_PRECONDITION_FAILED, NULL);
    cr_assert_eq(fake_status(), 412);
    send_position("");
    fake_done(STATUS_TIMEOUT, NULL);
    cr_assert_eq(fake_status(), 412);
    cr_assert_null(fake_header("Retry-After"));
}

Test(read, a_position_that_is_none_is_400)
{
    fake_send("GET /pets/1\nfreshet-min-position: abc", NULL);
    cr_assert_eq(fake_status(), 400);
    fake_send("GET /pets/1\nfreshet-min-position: ", NULL);
    cr_assert_eq(fake_status(), 400);
    send_position("x");
    cr_assert_eq(fake_status(), 400);
    send_position("\nfreshet-min-position: y");
    cr_assert_eq(fake_status(), 400);
    fake.position_status = STATUS_POSITION_EXPIRED;
    send_position("");
    cr_assert_eq(fake_status(), 400);
    cr_assert(fake_body_has("position-expired"));
    fake.position_status = STATUS_INVALID;
    send_position("");
    cr_assert_eq(fake_status(), 400);
}

Test(read, a_collection_without_a_cache_is_not_looked_up)
{
    fake.collections[1].cached = false;
    fake_cache("{}");
    fake_send("GET /pets/1", NULL);
    cr_assert_eq(fake.cache_gets, 0);
    fake.submitted->cache = CACHE_OFF;
    fake_done(STATUS_OK, "{}");
    CHECK_HEADER("Cache-Status", "freshet; fwd=bypass");
}

Test(read, running_out_of_memory_at_any_place_is_503)
{
    for (uint32_t allocations = 0; allocations < 4; allocations++) {
        fake.allocations_left = allocations;
        fake_send("GET /pets/1\nIf-None-Match: \"0-1-1\"\nIf-Match: \"0-1-1\"", NULL);
        if (fake.submitted == NULL) {
            cr_assert_eq(fake_status(), 503);
            continue;
        }
        fake_done(STATUS_NOT_FOUND, NULL);
        cr_assert_eq(fake_status(), 404);
    }
    fake.allocations_left = UINT32_MAX;
}

Test(read, in_a_turn_reads_wait_for_their_entries_and_are_answered_when_it_was_dispatched)
{
    rest_turn(fake.rest, FAKE_NOW_NS, FAKE_WALL_MS);
    fake_cache("{\"id\":\"1\"}");
    fake_send("GET /pets/1%2F2\nOrigin: http://a.example", NULL);
    cr_assert_eq(fake_status(), 0);
    cr_assert_eq(fake.prefetches, 1);
    cr_assert_eq(fake.cache_gets, 0);
    rest_dispatched(fake.rest);
    cr_assert_eq(fake_status(), 200);
    cr_assert_not_null(fake_header("Access-Control-Expose-Headers"));
    fake_send("GET /pets/1", NULL);
    cr_assert_eq(fake_status(), 200, "after the dispatch nothing is held back");
    rest_turn_end(fake.rest);

    rest_turn(fake.rest, FAKE_NOW_NS, FAKE_WALL_MS);
    fake.cache_status = STATUS_NOT_FOUND;
    fake_send("GET /pets/1%2F2", NULL);
    cr_assert_null(fake.submitted);
    rest_dispatched(fake.rest);
    cr_assert(bytes_equal(fake.submitted->id, BYTES_LITERAL("1/2")));
    fake_done(STATUS_NOT_FOUND, NULL);
    cr_assert_eq(fake_status(), 404);
}

Test(read, what_has_conditions_or_no_memory_is_not_held_back)
{
    rest_turn(fake.rest, FAKE_NOW_NS, FAKE_WALL_MS);
    fake_cache("{}");
    fake_send("GET /pets/1\nIf-None-Match: *", NULL);
    cr_assert_eq(fake_status(), 304);
    fake.allocations_left = 0;
    fake_send("GET /pets/1", NULL);
    cr_assert_eq(fake_status(), 200);
    rest_dispatched(fake.rest);
}
