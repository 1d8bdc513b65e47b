#include <stdio.h>

#include "net/webhook/cloudevents.h"
#include "protocol/document/document.h"
#include "webhook_documents.h"

#define CHANGE                                                                                     \
    "{\"eventID\":\"1f3a9c2e-1-123\",\"eventName\":\"MODIFY\",\"eventSource\":\"freshet\","        \
    "\"collection\":\"pets\",\"keys\":{\"id\":\"r\xC3\xA9x \\\"50%\\\"\"},\"sequence\":123,"       \
    "\"version\":3,\"time\":\"2026-01-01T00:00:00.000Z\",\"changed\":[\"age\"],"                   \
    "\"newImage\":{\"id\":\"r\",\"age\":1.50}}"
#define OWN                                                                                        \
    "{\"eventID\":\"1f3a9c2e-1-124\",\"eventName\":\"EVENT\",\"eventSource\":\"freshet\","         \
    "\"source\":\"com.acme/a b%20\\\"\xC3\xA9\",\"detail-type\":\"Pet \\\"Updated\\\"\","          \
    "\"detail\":{\"x\":[1]},\"sequence\":124,\"time\":\"2026-01-01T00:00:00.000Z\"}"

static const char *headers_of(const char *event)
{
    static uint8_t buffer[8192];
    static char text[8192];
    struct cloudevents_header headers[CLOUDEVENTS_HEADERS_MAX];
    size_t count;
    struct writer values = writer_of(buffer, sizeof(buffer));
    cr_assert_eq(cloudevents_headers(document_of(event), &values, headers, &count), STATUS_OK);
    size_t size = 0;
    for (size_t i = 0; i < count; i++) {
        size += (size_t)snprintf(text + size, sizeof(text) - size, "%s: %s\n", headers[i].name,
                                 text_of(headers[i].value));
    }
    return text;
}

Test(cloudevents, binary_mode_has_the_attributes_as_percent_encoded_headers)
{
    cr_assert_str_eq(headers_of(CHANGE), "ce-specversion: 1.0\n"
                                         "ce-id: 1f3a9c2e-1-123\n"
                                         "ce-source: /freshet/pets\n"
                                         "ce-type: freshet.record.modify\n"
                                         "ce-subject: r%C3%A9x%20%2250%25%22\n"
                                         "ce-time: 2026-01-01T00:00:00.000Z\n"
                                         "ce-freshetsequence: 123\n");
}

Test(cloudevents, a_users_own_event_keeps_its_source_and_type)
{
    /* The source is made a URI first, then a header: its own %20 becomes %2520 there. */
    cr_assert_str_eq(headers_of(OWN), "ce-specversion: 1.0\n"
                                      "ce-id: 1f3a9c2e-1-124\n"
                                      "ce-source: com.acme/a%2520b%2520%2522%25C3%25A9\n"
                                      "ce-type: Pet%20%22Updated%22\n"
                                      "ce-time: 2026-01-01T00:00:00.000Z\n"
                                      "ce-freshetsequence: 124\n");
}

static const char *structured(const char *event, const char *data, bool data_is_json)
{
    static uint8_t buffer[8192];
    struct writer out = writer_of(buffer, sizeof(buffer));
    cr_assert_eq(
        cloudevents_structured(document_of(event), bytes_of_text(data), data_is_json, &out),
        STATUS_OK);
    (void)document_of(text_of(writer_bytes(&out))); /* is JSON */
    return text_of(writer_bytes(&out));
}

Test(cloudevents, structured_mode_is_one_json_object)
{
    cr_assert_str_eq(structured(CHANGE, "{\"a\":1.50}", true),
                     "{\"specversion\":\"1.0\",\"id\":\"1f3a9c2e-1-123\","
                     "\"source\":\"/freshet/pets\",\"type\":\"freshet.record.modify\","
                     "\"subject\":\"r\xC3\xA9x \\\"50%\\\"\",\"time\":\"2026-01-01T00:00:00.000Z\","
                     "\"freshetsequence\":\"123\",\"datacontenttype\":\"application/json\","
                     "\"data\":{\"a\":1.50}}");
    cr_assert_str_eq(structured(OWN, "say \"hi\"\n", false),
                     "{\"specversion\":\"1.0\",\"id\":\"1f3a9c2e-1-124\","
                     "\"source\":\"com.acme/a%20b%20%22%C3%A9\",\"type\":\"Pet \\\"Updated\\\"\","
                     "\"time\":\"2026-01-01T00:00:00.000Z\",\"freshetsequence\":\"124\","
                     "\"datacontenttype\":\"text/plain; charset=utf-8\","
                     "\"data\":\"say \\\"hi\\\"\\n\"}");
}

Test(cloudevents, data_is_the_change_or_a_users_detail)
{
    struct bytes change = document_of(CHANGE);
    cr_assert(bytes_equal(cloudevents_data(change), change));
    cr_assert(bytes_equal(cloudevents_data(document_of(OWN)), document_of("{\"x\":[1]}")));
}

Test(cloudevents, types_name_what_happened)
{
    static const char *const names[][2] = {{"INSERT", "freshet.record.insert\n"},
                                           {"MODIFY", "freshet.record.modify\n"},
                                           {"REMOVE", "freshet.record.remove\n"}};
    for (size_t i = 0; i < 3; i++) {
        char event[512];
        snprintf(event, sizeof(event),
                 "{\"eventID\":\"a\",\"eventName\":\"%s\",\"collection\":\"c\",\"keys\":{\"id\":"
                 "\"1\"},\"sequence\":1,\"time\":\"t\"}",
                 names[i][0]);
        cr_assert_not_null(strstr(headers_of(event), names[i][1]));
    }
}

Test(cloudevents, what_is_no_change_is_refused_and_what_does_not_fit_said)
{
    static const char *const wrong[] = {
        "1",
        "{}",
        "{\"eventID\":\"a\",\"eventName\":\"X\",\"collection\":\"c\",\"keys\":{\"id\":\"1\"},"
        "\"sequence\":1,\"time\":\"t\"}",
        "{\"eventID\":\"a\",\"eventName\":\"INSERT\",\"collection\":\"c\",\"keys\":{},"
        "\"sequence\":1,\"time\":\"t\"}",
        "{\"eventID\":\"a\",\"eventName\":\"INSERT\",\"collection\":\"c\",\"keys\":{\"id\":\"1\"},"
        "\"sequence\":\"1\",\"time\":\"t\"}",
        "{\"eventID\":\"a\",\"eventName\":\"EVENT\",\"source\":\"\",\"detail-type\":\"d\","
        "\"sequence\":1,\"time\":\"t\"}",
    };
    uint8_t buffer[4096];
    struct cloudevents_header headers[CLOUDEVENTS_HEADERS_MAX];
    size_t count;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct writer out = writer_of(buffer, sizeof(buffer));
        cr_assert_eq(cloudevents_headers(document_of(wrong[i]), &out, headers, &count),
                     STATUS_INVALID, "%s", wrong[i]);
        cr_assert_eq(cloudevents_structured(document_of(wrong[i]), BYTES_LITERAL("1"), true, &out),
                     STATUS_INVALID);
    }
    struct bytes change = document_of(CHANGE);
    struct writer whole = writer_of(buffer, sizeof(buffer));
    cr_assert_eq(cloudevents_headers(change, &whole, headers, &count), STATUS_OK);
    for (size_t capacity = 0; capacity < whole.size; capacity++) {
        struct writer out = writer_of(buffer, capacity);
        cr_assert_eq(cloudevents_headers(change, &out, headers, &count), STATUS_TOO_LARGE);
        out = writer_of(buffer, capacity);
        cr_assert_eq(cloudevents_structured(change, BYTES_EMPTY, true, &out), STATUS_TOO_LARGE);
    }
}
