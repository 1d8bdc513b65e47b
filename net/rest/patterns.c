/*
 * POST /patterns/test: does an event match a pattern? Nothing is kept.
 */
#include "engine/filter/pattern.h"
#include "net/rest/rest_internal.h"
#include "net/rest/target.h"
#include "protocol/document/document.h"
#include "protocol/document/json.h"

/* A longer path of a field is not told; each byte of it takes at most six as JSON. */
#define PATH_BYTES_MAX   4096
#define ANSWER_BYTES_MAX (6 * PATH_BYTES_MAX + 64)

/* explain may be true or false in the query, or a member of the body; INVALID: something else. */
static enum status explain_of_query(struct bytes query, bool *explain)
{
    struct bytes name;
    struct bytes value;
    while (target_next_parameter(&query, &name, &value)) {
        if (!bytes_equal(name, BYTES_LITERAL("explain"))) {
            continue;
        }
        if (!bytes_equal(value, BYTES_LITERAL("true")) &&
            !bytes_equal(value, BYTES_LITERAL("false"))) {
            return STATUS_INVALID;
        }
        *explain = bytes_equal(value, BYTES_LITERAL("true"));
    }
    return STATUS_OK;
}

static enum status explain_of_body(struct bytes body, bool *explain)
{
    struct bytes value;
    if (!document_find(body, BYTES_LITERAL("explain"), &value)) {
        return STATUS_OK;
    }
    return document_bool(value, explain) ? STATUS_OK : STATUS_INVALID;
}

static void answer_json(struct rest *rest, struct http_exchange *exchange, struct bytes body)
{
    uint8_t head_bytes[HEAD_BYTES_MAX];
    struct writer head = writer_of(head_bytes, sizeof(head_bytes));
    head_begin(&rest->heads, 200, &head);
    writer_put(&head, BYTES_LITERAL("Content-Type: application/json\r\n"));
    head_line_number(&head, "Content-Length", body.size);
    rest_answer_body(exchange, &head, body, 200, NULL, NULL);
}

static void field_write(const struct pattern *pattern, struct bytes event, struct writer *json)
{
    uint8_t path_bytes[PATH_BYTES_MAX];
    struct writer path = writer_of(path_bytes, sizeof(path_bytes));
    if (!pattern_explain(pattern, event, &path) || path.failed) {
        return;
    }
    writer_put(json, BYTES_LITERAL(",\"field\":"));
    json_string_write(json, writer_bytes(&path));
}

static void answer_result(struct rest *rest, struct http_exchange *exchange,
                          const struct pattern *pattern, struct bytes event, bool explain)
{
    uint8_t json_bytes[ANSWER_BYTES_MAX];
    struct writer json = writer_of(json_bytes, sizeof(json_bytes));
    if (pattern_matches(pattern, event)) {
        writer_put(&json, BYTES_LITERAL("{\"result\":true"));
    } else {
        writer_put(&json, BYTES_LITERAL("{\"result\":false"));
        if (explain) {
            field_write(pattern, event, &json);
        }
    }
    writer_u8(&json, '}');
    ASSERT(!json.failed);
    answer_json(rest, exchange, writer_bytes(&json));
}

void rest_patterns_test(struct rest *rest, struct http_exchange *exchange)
{
    struct bytes body;
    struct bytes pattern_document;
    struct bytes event;
    bool explain = false;
    if (exchange->request.method != HTTP_POST) {
        rest_answer_no_method(rest, exchange, "POST, OPTIONS");
        return;
    }
    enum status status = explain_of_query(exchange->request.query, &explain);
    if (status == STATUS_OK && !rest_body_object(rest, exchange, &body)) {
        return;
    }
    if (status != STATUS_OK || explain_of_body(body, &explain) != STATUS_OK) {
        rest_answer_error(rest, exchange, 400, BYTES_LITERAL("explain is true or false"));
        return;
    }
    if (!document_find(body, BYTES_LITERAL("pattern"), &pattern_document) ||
        !document_find(body, BYTES_LITERAL("event"), &event) || !document_is_object(event)) {
        rest_answer_error(rest, exchange, 400,
                          BYTES_LITERAL("The body needs the members pattern and event, both "
                                        "objects: {\"pattern\":{…},\"event\":{…}}"));
        return;
    }
    struct pattern *pattern = NULL;
    struct pattern_problem problem = {.text = ""};
    status = pattern_parse(pattern_document, &pattern, &problem);
    if (status == STATUS_NO_MEMORY) {
        rest_answer_status(rest, exchange, status, BYTES_EMPTY);
        return;
    }
    if (status != STATUS_OK) {
        rest_answer_error(rest, exchange, 400, bytes_of_text(problem.text));
        return;
    }
    answer_result(rest, exchange, pattern, event, explain);
    pattern_destroy(&pattern);
}
