#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/journal/position.h"
#include "fake.h"
#include "protocol/document/json.h"

static void init(void)
{
    fake_init();
    fake_start();
}

TestSuite(events, .init = init, .fini = fake_end);

#define POST "POST /events\nContent-Type: application/json"
#define EVENT                                                                                      \
    "{\"source\":\"shop\",\"detail-type\":\"Order "                                                \
    "Placed\",\"detail\":{\"total\":29.90,\"n\":[1]}}"

Test(events, an_event_goes_into_the_journal_as_it_is)
{
    static char text[4096];
    struct writer out = writer_of(text, sizeof(text) - 1);
    fake_send(POST, EVENT);
    cr_assert_eq(fake_status(), 0, "the answer comes with the commit");
    cr_assert_eq(fake.submitted->kind, REQUEST_EVENT);
    cr_assert_null(fake.submitted->collection);
    cr_assert_eq(document_to_json(fake.submitted->document, &out), STATUS_OK);
    text[out.size] = '\0';
    cr_assert_str_eq(text, EVENT);
    fake.submitted->epoch = 3;
    fake.submitted->sequence = 9;
    fake_done(STATUS_OK, NULL);
    cr_assert_eq(fake_status(), 201);
    cr_assert_str_eq(fake_body(), "{\"eventID\":\"00000000-3-9\"}");
    struct position position;
    cr_assert_eq(position_read(bytes_of_text(fake_header("freshet-position")), &position),
                 STATUS_OK);
    cr_assert_eq(position.epoch, 3);
    cr_assert_eq(position.sequence, 9);
}

Test(events, a_large_event_and_one_without_memory_in_the_exchange_are_taken)
{
    size_t size = 100000;
    char *body = malloc(size + 200);
    cr_assert_not_null(body);
    int head = snprintf(body, 200, "{\"source\":\"s\",\"detail-type\":\"t\",\"detail\":{\"x\":\"");
    memset(body + head, 'x', size);
    memcpy(body + head + size, "\"}}", 4);
    fake_send(POST, body);
    cr_assert_gt(fake.submitted->document.size, size);
    fake.submitted->sequence = 1;
    fake_done(STATUS_OK, NULL);
    cr_assert_eq(fake_status(), 201);
    fake.allocations_left = 0;
    fake_send(POST, EVENT);
    fake.submitted->sequence = 2;
    fake_done(STATUS_OK, NULL);
    cr_assert_eq(fake_status(), 201);
    free(body);
}

Test(events, what_is_no_event_is_refused_with_the_reason)
{
    static const struct {
        const char *body;
        uint16_t status;
        const char *words;
    } cases[] = {
        {"{\"detail-type\":\"t\",\"detail\":{}}", 422, "source"},
        {"{\"source\":\"\",\"detail-type\":\"t\",\"detail\":{}}", 422, "source"},
        {"{\"source\":1,\"detail-type\":\"t\",\"detail\":{}}", 422, "source"},
        {"{\"source\":\"s\",\"detail\":{}}", 422, "detail-type"},
        {"{\"source\":\"s\",\"detail-type\":null,\"detail\":{}}", 422, "detail-type"},
        {"{\"source\":\"s\",\"detail-type\":\"t\"}", 422, "detail, an object"},
        {"{\"source\":\"s\",\"detail-type\":\"t\",\"detail\":[]}", 422, "detail, an object"},
        {"{\"source\":\"s\",\"detail-type\":\"t\",\"detail\":{},\"x\":1}", 422, "only"},
        {"[]", 400, "object"},
        {"{\"source\":\"s\"", 400, "line 1"},
        {"{\"source\":\"s\",\"source\":\"s\",\"detail-type\":\"t\",\"detail\":{}}", 400, "line 1"},
        {"", 400, "body"},
    };
    for (size_t index = 0; index < sizeof(cases) / sizeof(cases[0]); index++) {
        fake_send(POST, cases[index].body);
        cr_assert_eq(fake_status(), cases[index].status, "%s: %u", cases[index].body,
                     fake_status());
        cr_assert(fake_body_has(cases[index].words), "%s: %s", cases[index].body, fake_body());
    }
    cr_assert_eq(fake.submits, 0);
}

Test(events, source_and_detail_type_have_up_to_256_bytes)
{
    for (size_t size = 256; size <= 257; size++) {
        char body[1024];
        char text[300];
        memset(text, 'a', size);
        text[size] = '\0';
        snprintf(body, sizeof(body), "{\"source\":\"%s\",\"detail-type\":\"%s\",\"detail\":{}}",
                 text, text);
        fake_send(POST, body);
        if (size == 256) {
            fake.submitted->sequence = 1;
            fake_done(STATUS_OK, NULL);
        }
        cr_assert_eq(fake_status(), size == 256 ? 201 : 422);
    }
}

Test(events, failures_of_the_journal_are_told)
{
    static const struct {
        enum status status;
        uint16_t http;
    } cases[] = {{STATUS_BUSY, 503},
                 {STATUS_NOT_ACCEPTED, 503},
                 {STATUS_OUTCOME_UNKNOWN, 503},
                 {STATUS_TOO_LARGE, 413}};
    for (size_t index = 0; index < sizeof(cases) / sizeof(cases[0]); index++) {
        fake_send(POST, EVENT);
        fake_done(cases[index].status, NULL);
        cr_assert_eq(fake_status(), cases[index].http);
    }
}

Test(events, other_methods_and_media_types_are_refused)
{
    fake_send("GET /events", NULL);
    cr_assert_eq(fake_status(), 405);
    cr_assert_str_eq(fake_header("Allow"), "POST, OPTIONS");
    fake_send("POST /events\nContent-Type: text/plain", EVENT);
    cr_assert_eq(fake_status(), 415);
    fake_send(POST "\nContent-Encoding: gzip", EVENT);
    cr_assert_eq(fake_status(), 415);
}

static void init_reader(void)
{
    fake_init();
    fake.options.principal =
        (struct principal){.name = BYTES_LITERAL("reader"), .rights = PRINCIPAL_READ};
    fake_start();
}

Test(events_of_a_reader, are_refused, .init = init_reader, .fini = fake_end)
{
    fake_send(POST, EVENT);
    cr_assert_eq(fake_status(), 403);
    cr_assert_eq(fake.submits, 0);
}
