#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "fake.h"
#include "protocol/document/document.h"
#include "protocol/document/json.h"

static void init(void)
{
    fake_init();
    fake_start();
}

TestSuite(rest, .init = init, .fini = fake_end);

#define JSON_TYPE "\nContent-Type: application/json"

/* ---- routes ---- */

Test(rest, what_is_not_there_is_404_and_what_has_no_such_method_405)
{
    static const struct {
        const char *head;
        uint16_t status;
        const char *allow;
    } cases[] = {
        {"GET /", 404, NULL},
        {"GET /cats", 404, NULL},
        {"GET /cats/1", 404, NULL},
        {"GET /changes/1", 404, NULL},
        {"GET //1", 404, NULL},
        {"GET /pets/1/2", 404, NULL},
        {"GET /healthz/1", 404, NULL},
        {"GET /pet", 404, NULL},
        {"GET /petss", 404, NULL},
        {"GET /Pets", 404, NULL},
        {"PUT /pets", 405, "GET, HEAD, POST, OPTIONS"},
        {"DELETE /pets", 405, "GET, HEAD, POST, OPTIONS"},
        {"PATCH /pets", 405, "GET, HEAD, POST, OPTIONS"},
        {"POST /pets/1", 405, "GET, HEAD, PUT, PATCH, DELETE, OPTIONS"},
        {"POST /healthz", 405, "GET, HEAD, OPTIONS"},
        {"BREW /pets", 501, NULL},
        {"TRACE /", 501, NULL},
        {"GET /products/", 400, NULL},
        {"PUT /products/", 400, NULL},
        {"GET /pets/%00", 400, NULL},
        {"GET /pets/%zz", 400, NULL},
    };
    for (size_t index = 0; index < sizeof(cases) / sizeof(cases[0]); index++) {
        fake_send(cases[index].head, NULL);
        cr_assert_eq(fake_status(), cases[index].status, "%s", cases[index].head);
        cr_assert_str_eq(fake_header("Access-Control-Allow-Origin"), "*");
        const char *allow = fake_header("Allow");
        cr_assert((allow == NULL) == (cases[index].allow == NULL));
        cr_assert(allow == NULL || strcmp(allow, cases[index].allow) == 0);
    }
    fake_send("DELETE /products/", NULL);
    cr_assert(fake_body_has("Product id is required"));
}

Test(rest, a_collection_may_be_percent_encoded)
{
    fake_send("GET /%70ets/1", NULL);
    cr_assert_eq(fake.submitted->collection, &fake.collections[1]);
    fake_done(STATUS_NOT_FOUND, NULL);
    fake_send("GET /%70et%/1", NULL);
    cr_assert_eq(fake_status(), 404);
}

Test(rest, options_answers_anything_with_what_is_allowed)
{
    static const char *const heads[] = {"OPTIONS /pets", "OPTIONS /pets/1", "OPTIONS *",
                                        "OPTIONS /nothing/at/all"};
    for (size_t index = 0; index < 4; index++) {
        fake_send(heads[index], NULL);
        cr_assert_eq(fake_status(), 200);
        cr_assert_str_eq(fake_header("Access-Control-Allow-Methods"),
                         "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
        cr_assert_str_eq(fake_header("Access-Control-Allow-Headers"),
                         "Content-Type, Authorization, X-Requested-With, If-Match, If-None-Match, "
                         "Idempotency-Key, Cache-Control, Last-Event-ID, freshet-min-position");
        cr_assert_str_eq(fake_header("Access-Control-Max-Age"), "86400");
        cr_assert_str_eq(fake_header("Content-Length"), "0");
        cr_assert_str_eq(fake_body(), "");
    }
}

Test(rest, the_origin_and_cache_control_are_as_configured)
{
    fake_end();
    fake.options.cors_origin = BYTES_LITERAL("https://shop.example");
    fake.options.cache_control = BYTES_LITERAL("max-age=5");
    fake_start();
    fake_cache("{}");
    fake_send("GET /pets/1", NULL);
    cr_assert_str_eq(fake_header("Access-Control-Allow-Origin"), "https://shop.example");
    cr_assert_str_eq(fake_header("Cache-Control"), "max-age=5");
}

Test(rest, a_reload_changes_what_the_next_answer_says)
{
    fake_cache("{}");
    cr_assert_eq(rest_headers_set(fake.rest, BYTES_LITERAL("https://new.example"), BYTES_EMPTY,
                                  REST_FAIL_WITH_403),
                 STATUS_OK);
    fake_send("GET /pets/1", NULL);
    cr_assert_str_eq(fake_header("Access-Control-Allow-Origin"), "https://new.example");
    cr_assert_str_eq(fake_header("Cache-Control"), "no-cache");
    cr_assert_str_eq(fake_header("Date"), "Thu, 01 Jan 2026 00:00:00 GMT");
}

Test(rest, settings_over_their_limits_are_refused)
{
    static char setting[REST_CORS_ORIGIN_BYTES_MAX + 1];
    struct rest *rest = NULL;
    struct rest_options options = fake.options;
    memset(setting, 'a', sizeof(setting));
    options.cors_origin = bytes_of(setting, sizeof(setting));
    cr_assert_eq(rest_create(&options, &rest), STATUS_TOO_LARGE);
    cr_assert_null(rest);
    options.cors_origin.size--;
    cr_assert_eq(rest_create(&options, &rest), STATUS_OK);
    rest_destroy(&rest);
    rest_destroy(&rest);
}

Test(rest, a_refused_request_is_a_problem_too)
{
    fake_exchange_begin();
    fake.closes = true;
    rest_refuse(fake.rest, fake.exchange, 431, "the head is over 16 KiB");
    cr_assert_eq(fake_status(), 431);
    cr_assert_str_eq(fake_header("Connection"), "close");
    cr_assert(fake_body_has("\"detail\":\"the head is over 16 KiB\""));
}

/* ---- operations ---- */

Test(rest, health_and_readiness_follow_the_process)
{
    fake_send("GET /healthz", NULL);
    cr_assert_eq(fake_status(), 200);
    cr_assert_str_eq(fake_body(), "{\"status\":\"ok\"}");
    fake_send("GET /readyz", NULL);
    cr_assert_eq(fake_status(), 200);
    fake.draining = true;
    fake_send("GET /readyz", NULL);
    cr_assert_eq(fake_status(), 503);
    cr_assert(fake_body_has("shutting down"));
    cr_assert_str_eq(fake_header("Retry-After"), "1");
    fake.draining = false;
    fake.ready = false;
    fake_send("GET /readyz", NULL);
    cr_assert_eq(fake_status(), 503);
    fake_send("GET /healthz", NULL);
    cr_assert_eq(fake_status(), 200);
}

Test(rest, metrics_are_those_of_rest_the_engine_and_the_server)
{
    fake_send("GET /healthz", NULL);
    rest_finished(fake.rest, &fake.answered, FAKE_NOW_NS);
    fake_send("GET /metrics", NULL);
    cr_assert_eq(fake_status(), 200);
    cr_assert_str_eq(fake_header("Content-Type"), "text/plain; version=0.0.4; charset=utf-8");
    cr_assert(fake_body_has("{route=\"/healthz\",method=\"GET\",status=\"200\"} 1\n"));
    cr_assert(fake_body_has("freshet_published_sequence"));
    cr_assert(fake_body_has("freshet_of_the_server 1\n"));
    char length[32];
    snprintf(length, sizeof(length), "%zu", strlen(fake_body()));
    cr_assert_str_eq(fake_header("Content-Length"), length);
}

Test(rest, the_openapi_document_is_json_and_names_each_route)
{
    static uint8_t document[1 << 18];
    fake_send("GET /openapi.json", NULL);
    cr_assert_eq(fake_status(), 200);
    cr_assert_str_eq(fake_header("Content-Type"), "application/json");
    struct writer out = writer_of(document, sizeof(document));
    cr_assert_eq(json_to_document(bytes_of_text(fake_body()), &out, NULL), STATUS_OK);
    static const char *const paths[] = {"/{collection}", "/{collection}/{id}", "/healthz",
                                        "/readyz",       "/metrics",           "/openapi.json",
                                        "/changes"};
    for (size_t index = 0; index < sizeof(paths) / sizeof(paths[0]); index++) {
        const struct bytes names[] = {BYTES_LITERAL("paths"), bytes_of_text(paths[index])};
        struct bytes value;
        cr_assert(document_find_path(writer_bytes(&out), names, 2, &value), "%s", paths[index]);
    }
}

/* ---- lists ---- */

static void list(const char *head)
{
    fake_send(head, NULL);
}

Test(rest, a_list_is_asked_for_with_its_defaults)
{
    list("GET /products");
    cr_assert_eq(fake.submitted->kind, REQUEST_LIST);
    cr_assert_eq(fake.submitted->list_limit, LIST_RECORDS_MAX);
    cr_assert_eq(fake.submitted->list_field.size, 0);
    cr_assert_eq(fake.submitted->list_after.size, 0);
    fake.submitted->cache = CACHE_MISS_STORED;
    fake_done(STATUS_OK, "[]");
    cr_assert_eq(fake_status(), 200);
    cr_assert_str_eq(fake_header("Cache-Control"), "no-cache, no-store");
    cr_assert_str_eq(fake_header("Content-Type"), "application/json");
    cr_assert_null(fake_header("Link"));
    cr_assert_null(fake_header("ETag"));
    cr_assert_str_eq(fake_body(), "[]");
}

Test(rest, a_page_links_to_the_next_which_keeps_the_rest_of_the_query)
{
    list("GET /products?category=a+b%26c&limit=2");
    cr_assert(bytes_equal(fake.submitted->list_field, BYTES_LITERAL("category")));
    cr_assert(bytes_equal(fake.submitted->list_value, BYTES_LITERAL("a b&c")));
    cr_assert_eq(fake.submitted->list_limit, 2);
    fake.submitted->list_next = BYTES_LITERAL("id\"2>");
    fake_done(STATUS_OK, "[1,2]");
    char link[8192];
    const char *value = fake_header("Link");
    cr_assert_eq(strncmp(value, "</products?category=a%20b%26c&limit=2&cursor=", 45), 0, "%s",
                 value);
    const char *end = strstr(value, ">; rel=\"next\"");
    cr_assert_not_null(end);
    snprintf(link, sizeof(link), "GET %.*s", (int)(end - value - 1), value + 1);
    list(link);
    cr_assert(bytes_equal(fake.submitted->list_after, BYTES_LITERAL("id\"2>")));
    cr_assert(bytes_equal(fake.submitted->list_value, BYTES_LITERAL("a b&c")));
    fake_done(STATUS_OK, "[]");
}

Test(rest, an_empty_value_lists_all)
{
    list("GET /products?category=");
    cr_assert_eq(fake.submitted->list_field.size, 0);
    fake_done(STATUS_OK, "[]");
    list("GET /products?category");
    cr_assert_eq(fake.submitted->list_field.size, 0);
    fake_done(STATUS_OK, "[]");
}

Test(rest, what_a_list_does_not_understand_is_400)
{
    static const char *const queries[] = {"limit=0",
                                          "limit=",
                                          "limit=1001",
                                          "limit=-1",
                                          "limit=1e1",
                                          "limit=5&limit=5",
                                          "limit=99999999999",
                                          "limit=x",
                                          "limit=%31",
                                          "title=x",
                                          "Category=x",
                                          "category=a&category=b",
                                          "category=&category=",
                                          "cursor=",
                                          "cursor=abc",
                                          "cursor=a&cursor=a",
                                          "category=%zz",
                                          "category=%ff",
                                          "x%zz=1",
                                          "=1",
                                          "category=a&color=b"};
    for (size_t index = 0; index < sizeof(queries) / sizeof(queries[0]); index++) {
        char head[100];
        snprintf(head, sizeof(head), "GET /products?%s", queries[index]);
        list(head);
        cr_assert_eq(fake_status(), 400, "%s", queries[index]);
    }
    list("GET /products?title=x");
    cr_assert(fake_body_has("indexes of its collection: category"), "%s", fake_body());
    list("GET /pets?category=x");
    cr_assert_eq(fake_status(), 400);
    cr_assert(fake_body_has("collection: none"));
}

Test(rest, an_indexed_value_has_512_bytes_and_not_one_more)
{
    char head[600] = "GET /products?category=";
    size_t at = strlen(head);
    memset(head + at, 'c', 513);
    list(head);
    cr_assert_eq(fake_status(), 400);
    head[at + 512] = 0;
    list(head);
    cr_assert_eq(fake.submitted->list_value.size, 512);
    fake_done(STATUS_OK, "[]");
}

Test(rest, the_longest_link_fits_into_a_head)
{
    static char head[4000];
    static uint8_t id[ID_BYTES_MAX];
    size_t at = (size_t)snprintf(head, sizeof(head), "GET /products?category=");
    for (size_t index = 0; index < 512; index++) {
        memcpy(head + at + 3 * index, "%22", 3);
    }
    memset(id, '"', sizeof(id));
    list(head);
    fake.submitted->list_next = bytes_of(id, sizeof(id));
    fake_done(STATUS_OK, "[]");
    cr_assert_eq(fake_status(), 200);
    cr_assert_gt(strlen(fake_header("Link")), 3 * 512 + 690);
}

/* ---- the access log ---- */

Test(rest, a_request_is_one_line_of_the_access_log_without_its_query)
{
    rest_access_log_set(fake.rest, true);
    fake_cache("{\"id\":\"1\"}");
    fake_send("GET /pets/%22?secret=1", NULL);
    rest_finished(fake.rest, &fake.answered, FAKE_NOW_NS + 7999);
    cr_assert_eq(fake.log_size, 0, "written at the end of the turn");
    rest_turn_end(fake.rest);
    char expected[400];
    snprintf(expected, sizeof(expected),
             "{\"time\":\"2026-01-01T00:00:00.000Z\",\"method\":\"GET\",\"path\":\"/pets/%%22\","
             "\"status\":200,\"bytes\":%zu,\"duration_us\":12,\"cache\":\"hit\",\"request_id\":"
             "\"abcdef-0-42\"}\n",
             fake.sent_size);
    cr_assert_str_eq(fake.log, expected);
    rest_access_log_set(fake.rest, false);
    fake_send("GET /pets/1", NULL);
    rest_finished(fake.rest, &fake.answered, FAKE_NOW_NS);
    rest_turn_end(fake.rest);
    cr_assert_eq(fake.log_size, strlen(expected));
}
