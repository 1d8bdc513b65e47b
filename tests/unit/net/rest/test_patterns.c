#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "fake.h"

static void init(void)
{
    fake_init();
    fake_start();
}

TestSuite(patterns, .init = init, .fini = fake_end);

#define POST "POST /patterns/test\nContent-Type: application/json"

Test(patterns, a_pattern_is_tried_on_an_event)
{
    fake_send(POST, "{\"pattern\":{\"a\":[1]},\"event\":{\"a\":1.0}}");
    cr_assert_eq(fake_status(), 200);
    cr_assert_str_eq(fake_header("Content-Type"), "application/json");
    cr_assert_str_eq(fake_body(), "{\"result\":true}");
    fake_send(POST, "{\"pattern\":{\"a\":[1]},\"event\":{\"a\":2}}");
    cr_assert_eq(fake_status(), 200);
    cr_assert_str_eq(fake_body(), "{\"result\":false}");
    cr_assert_eq(fake.submits, 0, "nothing is kept");
}

Test(patterns, the_field_that_failed_is_named_when_it_is_asked_for)
{
    const char *body = "{\"pattern\":{\"a\":{\"b\":[1],\"c\":[{\"prefix\":\"x\"}]}},"
                       "\"event\":{\"a\":{\"b\":1,\"c\":\"y\"}}";
    char text[256];
    snprintf(text, sizeof(text), "%s}", body);
    fake_send("POST /patterns/test?explain=true\nContent-Type: application/json", text);
    cr_assert_str_eq(fake_body(), "{\"result\":false,\"field\":\"a.c\"}");
    snprintf(text, sizeof(text), "%s,\"explain\":true}", body);
    fake_send(POST, text);
    cr_assert_str_eq(fake_body(), "{\"result\":false,\"field\":\"a.c\"}");
    snprintf(text, sizeof(text), "%s,\"explain\":false}", body);
    fake_send(POST, text);
    cr_assert_str_eq(fake_body(), "{\"result\":false}");
    fake_send("POST /patterns/test?explain=true\nContent-Type: application/json",
              "{\"pattern\":{\"a\":[1]},\"event\":{\"a\":1}}");
    cr_assert_str_eq(fake_body(), "{\"result\":true}", "there is nothing to explain");
}

Test(patterns, a_name_in_an_explanation_is_escaped)
{
    fake_send("POST /patterns/test?explain=true\nContent-Type: application/json",
              "{\"pattern\":{\"a\\\"\\n\":[1]},\"event\":{}}");
    cr_assert_str_eq(fake_body(), "{\"result\":false,\"field\":\"a\\\"\\n\"}");
}

Test(patterns, what_cannot_be_tried_is_refused_with_the_reason)
{
    static const struct {
        const char *head;
        const char *body;
        uint16_t status;
        const char *words;
    } cases[] = {
        {POST, "{\"pattern\":{\"a\":[]},\"event\":{}}", 400, "a: "},
        {POST, "{\"pattern\":{\"a\":[{\"prefx\":\"x\"}]},\"event\":{}}", 400, "prefx"},
        {POST, "{\"pattern\":[],\"event\":{}}", 400, "object"},
        {POST, "{\"pattern\":{},\"event\":{}}", 400, ""},
        {POST, "{\"event\":{}}", 400, "pattern"},
        {POST, "{\"pattern\":{\"a\":[1]}}", 400, "event"},
        {POST, "{\"pattern\":{\"a\":[1]},\"event\":[{\"a\":1}]}", 400, "event"},
        {POST, "{\"pattern\":{\"a\":[1]},\"event\":{},\"explain\":1}", 400, "explain"},
        {"POST /patterns/test?explain=yes\nContent-Type: application/json",
         "{\"pattern\":{\"a\":[1]},\"event\":{}}", 400, "explain"},
        {POST, "[1]", 400, "object"},
        {POST, "{\"pattern\":", 400, "line 1, column"},
        {POST, "", 400, "body"},
        {"POST /patterns/test", "{}", 415, "application/json"},
    };
    for (size_t index = 0; index < sizeof(cases) / sizeof(cases[0]); index++) {
        fake_send(cases[index].head, cases[index].body);
        cr_assert_eq(fake_status(), cases[index].status, "%s: %u", cases[index].body,
                     fake_status());
        cr_assert(fake_body_has(cases[index].words), "%s: %s", cases[index].body, fake_body());
        cr_assert_str_eq(fake_header("Content-Type"), "application/problem+json");
    }
}

Test(patterns, a_pattern_over_the_budget_is_refused)
{
    char *text = malloc(40000);
    cr_assert_not_null(text);
    struct writer out = writer_of(text, 40000);
    writer_text(&out, "{\"pattern\":{\"a\":[0");
    for (unsigned number = 1; number <= 4096; number++) {
        writer_text(&out, ",");
        writer_decimal(&out, number);
    }
    writer_text(&out, "]},\"event\":{}}");
    fake_send_bytes(POST, writer_bytes(&out));
    cr_assert_eq(fake_status(), 400);
    cr_assert(fake_body_has("4096"), "%s", fake_body());
    free(text);
}

Test(patterns, only_post_is_there)
{
    fake_send("GET /patterns/test", NULL);
    cr_assert_eq(fake_status(), 405);
    cr_assert_str_eq(fake_header("Allow"), "POST, OPTIONS");
}
