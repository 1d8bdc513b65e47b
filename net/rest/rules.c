/*
 * /rules: rules are records of an internal collection; the worker (net/webhook) follows it. What it
 * could not deliver is listed and made due again here.
 */
#include <stdio.h>
#include <stdlib.h>

#include "net/rest/cursor.h"
#include "net/rest/rules_internal.h"
#include "net/rest/target.h"
#include "protocol/document/document.h"
#include "protocol/document/json.h"

#define RULE_METHODS     "GET, HEAD, PUT, DELETE, OPTIONS"
#define LIMIT_DIGITS_MAX 4
#define SEPARATOR        0x01 /* of the parts of a dead letter's id */

static const struct collection *internal(const struct rest *rest, enum collection_internal which)
{
    return &rest->options.internal[which];
}

static void answer_no_rule(struct rest *rest, struct http_exchange *exchange)
{
    rest_answer_error(rest, exchange, 404, BYTES_LITERAL("There is no such rule"));
}

/* A body of this module's own memory; the last that touches the exchange. */
static void answer_json(struct rest *rest, struct http_exchange *exchange, uint16_t status,
                        struct writer *head, struct writer *json)
{
    if (json->failed) {
        free(json->data);
        rest_answer_status(rest, exchange, STATUS_NO_MEMORY, BYTES_EMPTY);
        return;
    }
    writer_put(head, BYTES_LITERAL("Content-Type: application/json\r\n"
                                   "Cache-Control: no-cache, no-store\r\n"));
    head_line_number(head, "Content-Length", json->size);
    rest_answer_body(exchange, head, writer_bytes(json), status, free, json->data);
}

/* Room for size bytes; without memory the writer has failed. */
static struct writer text_make(size_t size)
{
    uint8_t *memory = malloc(size);
    struct writer text = writer_of(memory, memory == NULL ? 0 : size);
    text.failed = memory == NULL;
    return text;
}

/* ---- one rule ---- */

/* The rule in the answer of a GET, in rest->document; false when it is none. */
static bool rule_of_answer(struct rest *rest, struct bytes answer, struct bytes *rule_out)
{
    struct writer document = writer_of(rest->document, DOCUMENT_BYTES_MAX);
    return json_to_document(answer, &document, NULL) == STATUS_OK &&
           webhooks_record_rule(writer_bytes(&document), rule_out);
}

static void get_done(struct request *request)
{
    struct rest *rest = rest_request_done(request);
    struct http_exchange *exchange = rest_exchange_of(request);
    struct bytes rule;
    if (request->status != STATUS_OK) {
        request_release(request);
        if (request->status == STATUS_NOT_FOUND) {
            answer_no_rule(rest, exchange);
        } else {
            rest_answer_failure(rest, exchange, request);
        }
        return;
    }
    struct writer json = text_make(request->answer.size + RULES_STATE_BYTES_MAX);
    if (rule_of_answer(rest, request->answer, &rule)) {
        rules_rule_write(rest, request->id, rule, &json);
    } else {
        json.failed = true;
    }
    request_release(request);
    uint8_t head_bytes[HEAD_BYTES_MAX];
    struct writer head = writer_of(head_bytes, sizeof(head_bytes));
    head_begin(&rest->heads, 200, &head);
    answer_json(rest, exchange, 200, &head, &json);
}

static void rule_get(struct rest *rest, struct http_exchange *exchange, struct bytes name)
{
    struct request *request =
        rest_request_begin(rest, exchange, REQUEST_GET, internal(rest, COLLECTION_RULES), name);
    if (request != NULL) {
        rest_request_submit(rest, request, get_done);
    }
}

static void put_done(struct request *request)
{
    struct rest *rest = rest_request_done(request);
    struct http_exchange *exchange = rest_exchange_of(request);
    struct bytes rule;
    request_release(request);
    if (request->status != STATUS_OK) {
        bool is_full = request->status == STATUS_PRECONDITION_FAILED;
        rest_document_free(request);
        if (is_full) {
            rest_answer_error(rest, exchange, 422,
                              BYTES_LITERAL("There are 10,000 rules already; delete one first"));
        } else {
            rest_answer_failure(rest, exchange, request);
        }
        return;
    }
    /* In JSON it takes at most what its MessagePack takes, threefold. */
    struct writer json = text_make(3 * request->document.size + RULES_STATE_BYTES_MAX);
    if (webhooks_record_rule(request->document, &rule)) {
        rules_rule_write(rest, request->id, rule, &json);
    }
    uint16_t status = request->created ? 201 : 200;
    uint8_t head_bytes[HEAD_BYTES_MAX];
    struct writer head = writer_of(head_bytes, sizeof(head_bytes));
    head_begin(&rest->heads, status, &head);
    rest_head_position(rest, request, &head);
    if (status == 201) {
        writer_put(&head, BYTES_LITERAL("Location: /rules/"));
        target_encode(request->id, &head);
        writer_put(&head, BYTES_LITERAL("\r\n"));
    }
    rest_document_free(request);
    answer_json(rest, exchange, status, &head, &json);
}

/* What only the server's collections can tell of a rule; false when answered. */
static bool rule_fits(struct rest *rest, struct http_exchange *exchange, const struct rule *rule)
{
    bool found = rule->collection.size == 0;
    bool drops = false;
    for (uint32_t index = 0; index < rest->options.collection_count; index++) {
        const struct collection *collection = &rest->options.collections[index];
        bool covered =
            rule->collection.size == 0 || bytes_equal(collection->name, rule->collection);
        found = found || covered;
        drops = drops || (covered && !collection->old_images);
    }
    if (!found) {
        rest_answer_error(rest, exchange, 422,
                          BYTES_LITERAL("collection: there is no collection of that name"));
        return false;
    }
    if (drops && rule->pattern != NULL &&
        (pattern_mentions(rule->pattern, BYTES_LITERAL("newImage")) ||
         pattern_mentions(rule->pattern, BYTES_LITERAL("oldImage")))) {
        rest_answer_error(rest, exchange, 422,
                          BYTES_LITERAL("pattern: it asks for an image, and a REMOVE is judged by "
                                        "the old one, which a collection that it covers does not "
                                        "keep"));
        return false;
    }
    return true;
}

/* False when answered. */
static bool rule_check(struct rest *rest, struct http_exchange *exchange, struct bytes name,
                       struct bytes document)
{
    struct rule *rule = NULL;
    struct rule_problem problem = {.text = ""};
    const char *masked = rules_masked_member(document);
    if (masked != NULL) {
        char text[160];
        snprintf(text, sizeof(text),
                 "%s: this is what is shown in place of a secret; send the secret itself", masked);
        rest_answer_error(rest, exchange, 422, bytes_of_text(text));
        return false;
    }
    enum status status = rule_parse(name, document, &rule, &problem);
    if (status != STATUS_OK) {
        rest_answer_status(rest, exchange, status, bytes_of_text(problem.text));
        return false;
    }
    bool fits = rule_fits(rest, exchange, rule);
    rule_destroy(&rule);
    return fits;
}

/* The record of a rule, to where it lives until the engine is done; false when answered. */
static bool record_keep(struct rest *rest, struct http_exchange *exchange, struct bytes rule)
{
    struct writer record = text_make(rule.size + 64);
    if (record.failed) {
        rest_answer_status(rest, exchange, STATUS_NO_MEMORY, BYTES_EMPTY);
        return false;
    }
    webhooks_record_write(rule, rest->wall_ms, &record);
    ASSERT(!record.failed);
    bool kept = rest_document_keep(rest, exchange, writer_bytes(&record), false);
    free(record.data);
    return kept;
}

static void rule_put(struct rest *rest, struct http_exchange *exchange, struct bytes name)
{
    struct bytes document;
    struct request *request =
        rest_request_begin(rest, exchange, REQUEST_PUT, internal(rest, COLLECTION_RULES), name);
    if (request == NULL || !rest_body_object(rest, exchange, &document) ||
        !rule_check(rest, exchange, name, document) || !record_keep(rest, exchange, document)) {
        return;
    }
    if (webhooks_rule_count(rest->options.webhooks) >= RULES_MAX) {
        request->if_match.kind = PRECONDITION_ANY; /* one that is there may be changed */
    }
    rest_request_submit(rest, request, put_done);
}

static void delete_done(struct request *request)
{
    const struct bytes body = BYTES_LITERAL("{\"message\":\"rule deleted\"}");
    struct rest *rest = rest_request_done(request);
    struct http_exchange *exchange = rest_exchange_of(request);
    request_release(request);
    if (request->status != STATUS_OK) {
        rest_answer_failure(rest, exchange, request);
        return;
    }
    rest_answer_written(rest, exchange, request, 200, body);
}

static void rule_delete(struct rest *rest, struct http_exchange *exchange, struct bytes name)
{
    struct request *request =
        rest_request_begin(rest, exchange, REQUEST_DELETE, internal(rest, COLLECTION_RULES), name);
    if (request != NULL) {
        rest_request_submit(rest, request, delete_done);
    }
}

/* ---- pages ---- */

struct page_query {
    uint32_t limit;
    struct bytes cursor; /* decoded, in cursor_bytes */
    uint8_t cursor_bytes[CURSOR_TEXT_BYTES_MAX];
};

static uint32_t limit_read(struct bytes text)
{
    uint32_t limit = 0;
    if (text.size == 0 || text.size > LIMIT_DIGITS_MAX) {
        return 0;
    }
    for (size_t at = 0; at < text.size; at++) {
        if (text.data[at] < '0' || text.data[at] > '9') {
            return 0;
        }
        limit = limit * 10 + text.data[at] - '0';
    }
    return limit > LIST_RECORDS_MAX ? 0 : limit;
}

/* False when answered. */
static bool page_query_read(struct rest *rest, struct http_exchange *exchange,
                            struct page_query *query)
{
    struct bytes left = exchange->request.query;
    struct bytes name;
    struct bytes value;
    query->limit = LIST_RECORDS_MAX;
    query->cursor = BYTES_EMPTY;
    while (target_next_parameter(&left, &name, &value)) {
        if (bytes_equal(name, BYTES_LITERAL("limit"))) {
            query->limit = limit_read(value);
        } else if (bytes_equal(name, BYTES_LITERAL("cursor"))) {
            struct writer cursor = writer_of(query->cursor_bytes, sizeof(query->cursor_bytes));
            if (target_decode(value, true, &cursor) != STATUS_OK) {
                cursor.size = 0;
            }
            query->cursor = writer_bytes(&cursor);
        } else {
            rest_answer_error(rest, exchange, 400,
                              BYTES_LITERAL("A list of rules or dead letters takes limit and "
                                            "cursor"));
            return false;
        }
    }
    if (query->limit == 0) {
        rest_answer_error(rest, exchange, 400,
                          BYTES_LITERAL("limit is a whole number from 1 to 1000"));
        return false;
    }
    return true;
}

/* The ids of dead letters have separators, which no id of a cursor has: there they are points,
 * which ids of dead letters have not. The rule's name in front is left out. */
static struct bytes separators_swap(struct bytes id, uint8_t from, uint8_t to,
                                    uint8_t buffer[ID_BYTES_MAX])
{
    ASSERT(id.size <= ID_BYTES_MAX);
    for (size_t at = 0; at < id.size; at++) {
        buffer[at] = id.data[at] == from ? to : id.data[at];
    }
    return bytes_of(buffer, id.size);
}

/* Of which list a cursor is: all rules, or the dead letters of one. */
static struct cursor_list list_of(const struct request *request, struct bytes rule)
{
    return (struct cursor_list){.collection = request->collection->name, .value = rule};
}

/* Where the page begins; false when answered. */
static bool page_begin(struct rest *rest, struct http_exchange *exchange, struct request *request,
                       const struct page_query *query, struct bytes rule, struct bytes first)
{
    uint8_t cursor_bytes[CURSOR_BYTES_MAX];
    uint8_t last_bytes[ID_BYTES_MAX];
    uint8_t after_bytes[RULE_NAME_BYTES_MAX + 1 + ID_BYTES_MAX];
    struct writer after = writer_of(after_bytes, sizeof(after_bytes));
    struct bytes last = BYTES_EMPTY;
    const struct cursor_list list = list_of(request, rule);
    request->list_limit = query->limit;
    if (query->cursor.data != NULL &&
        cursor_read(&list, query->cursor, cursor_bytes, &last) != STATUS_OK) {
        rest_answer_error(rest, exchange, 400,
                          BYTES_LITERAL("cursor is not one that a page of this list gave"));
        return false;
    }
    writer_put(&after, first);
    writer_put(&after, rule.size > 0 ? separators_swap(last, '.', SEPARATOR, last_bytes) : last);
    ASSERT(!after.failed);
    if (after.size > 0) {
        request->list_after = http_keep(exchange, writer_bytes(&after));
        if (request->list_after.data == NULL) {
            rest_answer_status(rest, exchange, STATUS_NO_MEMORY, BYTES_EMPTY);
            return false;
        }
    }
    return true;
}

static void link_write(const struct request *request, struct bytes rule, struct bytes next,
                       struct writer *head)
{
    uint8_t last[ID_BYTES_MAX];
    const struct cursor_list list = list_of(request, rule);
    writer_put(head, BYTES_LITERAL("Link: </rules"));
    if (rule.size > 0) {
        next = bytes_slice(next, rule.size + 1, next.size);
        next = separators_swap(next, SEPARATOR, '.', last);
        writer_u8(head, '/');
        target_encode(rule, head);
        writer_put(head, BYTES_LITERAL("/dead-letters"));
    }
    writer_put(head, BYTES_LITERAL("?limit="));
    writer_decimal(head, request->list_limit);
    writer_put(head, BYTES_LITERAL("&cursor="));
    cursor_write(&list, next, head);
    writer_put(head, BYTES_LITERAL(">; rel=\"next\"\r\n"));
}

/* One row; false when it is behind the last of this list. */
static bool row_write(const struct rest *rest, struct bytes row, struct bytes first,
                      struct writer *json)
{
    struct bytes value;
    struct bytes id = BYTES_EMPTY;
    struct bytes rule;
    if (!document_find(row, BYTES_LITERAL("id"), &value) || !document_string(value, &id) ||
        !bytes_starts_with(id, first)) {
        return false;
    }
    if (json->size > 1) {
        writer_u8(json, ',');
    }
    if (first.size > 0) {
        rules_dead_letter_write(row, json);
    } else if (webhooks_record_rule(row, &rule)) {
        rules_rule_write(rest, id, rule, json);
    } else {
        json->failed = true;
    }
    return true;
}

/* first: what ids of this list begin with; false when the list ends within the page. */
static bool rows_write(const struct rest *rest, struct bytes page, struct bytes first,
                       struct writer *json_out)
{
    uint8_t *memory;
    struct bytes document;
    struct document_cursor cursor;
    struct bytes row;
    bool more = true;
    if (json_rendered_read(page, &memory, &document) != STATUS_OK ||
        !document_cursor_open(document, &cursor)) {
        free(memory);
        json_out->failed = true;
        return false;
    }
    size_t each = first.size > 0 ? RULES_LETTER_BYTES_MAX : RULES_STATE_BYTES_MAX;
    *json_out = text_make(page.size + cursor.left * each + 16);
    writer_u8(json_out, '[');
    while (more && document_next_element(&cursor, &row)) {
        more = row_write(rest, row, first, json_out);
    }
    writer_u8(json_out, ']');
    free(memory);
    return more;
}

/* The rule whose dead letters are listed; empty: the rules themselves. */
static struct bytes listed_rule(const struct request *request, const struct rest *rest)
{
    return request->collection == internal(rest, COLLECTION_RULES) ? BYTES_EMPTY : request->id;
}

static void page_done(struct request *request)
{
    struct rest *rest = rest_request_done(request);
    struct http_exchange *exchange = rest_exchange_of(request);
    if (request->status != STATUS_OK) {
        request_release(request);
        rest_answer_failure(rest, exchange, request);
        return;
    }
    uint8_t first_bytes[RULE_NAME_BYTES_MAX + 1];
    struct writer first = writer_of(first_bytes, sizeof(first_bytes));
    struct bytes rule = listed_rule(request, rest);
    if (rule.size > 0) {
        webhooks_prefix_write(rule, &first);
    }
    struct writer json = {.failed = false};
    bool more = rows_write(rest, request->answer, writer_bytes(&first), &json);
    uint8_t head_bytes[HEAD_BYTES_MAX];
    struct writer head = writer_of(head_bytes, sizeof(head_bytes));
    head_begin(&rest->heads, 200, &head);
    if (more && request->list_next.size > 0) {
        link_write(request, rule, request->list_next, &head);
    }
    request_release(request);
    answer_json(rest, exchange, 200, &head, &json);
}

static void rules_list(struct rest *rest, struct http_exchange *exchange)
{
    struct page_query query;
    if (!page_query_read(rest, exchange, &query)) {
        return;
    }
    struct request *request = rest_request_begin(rest, exchange, REQUEST_LIST,
                                                 internal(rest, COLLECTION_RULES), BYTES_EMPTY);
    if (request != NULL && page_begin(rest, exchange, request, &query, BYTES_EMPTY, BYTES_EMPTY)) {
        rest_request_submit(rest, request, page_done);
    }
}

/* ---- dead letters ---- */

/* The rule is there: now its dead letters, with the same request. */
static void dead_letters_found(struct request *request)
{
    struct rest *rest = rest_request_done(request);
    struct http_exchange *exchange = rest_exchange_of(request);
    enum status status = request->status;
    request_release(request);
    if (status == STATUS_NOT_FOUND) {
        answer_no_rule(rest, exchange);
        return;
    }
    if (status != STATUS_OK) {
        rest_answer_failure(rest, exchange, request);
        return;
    }
    const struct request before = *request;
    *request = (struct request){
        .kind = REQUEST_LIST,
        .collection = internal(rest, COLLECTION_DEAD_LETTERS),
        .principal = before.principal,
        .id = before.id, /* the rule's name; a list has no use for it */
        .list_after = before.list_after,
        .list_limit = before.list_limit,
    };
    rest_request_submit(rest, request, page_done);
}

static void dead_letters_list(struct rest *rest, struct http_exchange *exchange, struct bytes name)
{
    struct page_query query;
    uint8_t first_bytes[RULE_NAME_BYTES_MAX + 1];
    struct writer first = writer_of(first_bytes, sizeof(first_bytes));
    webhooks_prefix_write(name, &first);
    if (!page_query_read(rest, exchange, &query)) {
        return;
    }
    struct request *request =
        rest_request_begin(rest, exchange, REQUEST_GET, internal(rest, COLLECTION_RULES), name);
    if (request == NULL) {
        return;
    }
    request->collection = internal(rest, COLLECTION_DEAD_LETTERS); /* whose cursor it is */
    if (!page_begin(rest, exchange, request, &query, name, writer_bytes(&first))) {
        return;
    }
    request->collection = internal(rest, COLLECTION_RULES);
    rest_request_submit(rest, request, dead_letters_found);
}

/* ---- redrive ---- */

struct redriving {
    struct webhooks_redrive redrive;
    struct rest *rest;
    struct http_exchange *exchange;
};

static void redrive_done(struct webhooks_redrive *redrive)
{
    struct redriving *redriving = CONTAINER_OF(redrive, struct redriving, redrive);
    struct rest *rest = redriving->rest;
    struct http_exchange *exchange = redriving->exchange;
    ASSERT(rest->pending > 0);
    rest->pending--;
    if (redrive->status == STATUS_NOT_FOUND) {
        answer_no_rule(rest, exchange);
        return;
    }
    if (redrive->status != STATUS_OK) {
        rest_answer_status(rest, exchange, redrive->status,
                           redrive->status == STATUS_BUSY
                               ? BYTES_LITERAL("Another redrive is under way, the rules are still "
                                               "being read after a start, or there are too many "
                                               "parked changes; try again later")
                               : BYTES_EMPTY);
        return;
    }
    if (redrive->count == 0 && redrive->event_id.size > 0) {
        rest_answer_error(rest, exchange, 404, BYTES_LITERAL("There is no such dead letter"));
        return;
    }
    struct writer json = text_make(64);
    writer_text(&json, "{\"redriven\":");
    writer_decimal(&json, redrive->count);
    writer_u8(&json, '}');
    uint8_t head_bytes[HEAD_BYTES_MAX];
    struct writer head = writer_of(head_bytes, sizeof(head_bytes));
    head_begin(&rest->heads, 200, &head);
    answer_json(rest, exchange, 200, &head, &json);
}

/* {"eventID":…}, {}, or no body at all; false when answered. */
static bool redrive_body(struct rest *rest, struct http_exchange *exchange,
                         struct bytes *event_id_out)
{
    struct bytes body;
    struct bytes value;
    *event_id_out = BYTES_EMPTY;
    if (!exchange->request.has_body) {
        return true;
    }
    if (!rest_body_object(rest, exchange, &body)) {
        return false;
    }
    bool is_there = document_find(body, BYTES_LITERAL("eventID"), &value);
    if (document_count(body) != (is_there ? 1 : 0) ||
        (is_there && (!document_string(value, event_id_out) || event_id_out->size == 0))) {
        rest_answer_error(
            rest, exchange, 400,
            BYTES_LITERAL("The body is {\"eventID\":\"…\"} for one dead letter, or {} "
                          "for all of them"));
        return false;
    }
    return true;
}

static void rule_redrive(struct rest *rest, struct http_exchange *exchange, struct bytes name)
{
    struct bytes event_id;
    if (!redrive_body(rest, exchange, &event_id)) {
        return;
    }
    struct redriving *redriving = (void *)http_allocate(exchange, sizeof(*redriving));
    struct bytes kept_name = http_keep(exchange, name);
    struct bytes kept_id = event_id.size == 0 ? BYTES_EMPTY : http_keep(exchange, event_id);
    if (redriving == NULL || kept_name.data == NULL ||
        (event_id.size > 0 && kept_id.data == NULL)) {
        rest_answer_status(rest, exchange, STATUS_NO_MEMORY, BYTES_EMPTY);
        return;
    }
    *redriving = (struct redriving){
        .redrive = {.reply_to = engine_thread_mailbox(rest->options.engine_thread),
                    .done = redrive_done,
                    .rule = kept_name,
                    .event_id = kept_id},
        .rest = rest,
        .exchange = exchange,
    };
    rest->pending++;
    webhooks_redrive_submit(rest->options.webhooks, &redriving->redrive);
}

/* ---- routes ---- */

static bool allowed(struct rest *rest, struct http_exchange *exchange, uint32_t right)
{
    if (rest_allowed(rest, right)) {
        return true;
    }
    rest_answer_error(rest, exchange, 403, BYTES_LITERAL("You may not do this with rules"));
    return false;
}

static void route_rule(struct rest *rest, struct http_exchange *exchange, struct bytes name)
{
    switch (exchange->request.method) {
    case HTTP_GET:
    case HTTP_HEAD:
        if (allowed(rest, exchange, PRINCIPAL_READ)) {
            rule_get(rest, exchange, name);
        }
        return;
    case HTTP_PUT:
        if (allowed(rest, exchange, PRINCIPAL_WRITE)) {
            rule_put(rest, exchange, name);
        }
        return;
    case HTTP_DELETE:
        if (allowed(rest, exchange, PRINCIPAL_WRITE)) {
            rule_delete(rest, exchange, name);
        }
        return;
    case HTTP_POST:
    case HTTP_PATCH:
    case HTTP_OPTIONS:
    case HTTP_OTHER:
        rest_answer_no_method(rest, exchange, RULE_METHODS);
        return;
    }
    UNREACHABLE();
}

static void route_read(struct rest *rest, struct http_exchange *exchange, struct bytes name)
{
    enum http_method method = exchange->request.method;
    if (method != HTTP_GET && method != HTTP_HEAD) {
        rest_answer_no_method(rest, exchange, "GET, HEAD, OPTIONS");
    } else if (!allowed(rest, exchange, PRINCIPAL_READ)) {
        return;
    } else if (name.size == 0) {
        rules_list(rest, exchange);
    } else {
        dead_letters_list(rest, exchange, name);
    }
}

void rest_rules(struct rest *rest, struct http_exchange *exchange, struct bytes name,
                struct bytes action)
{
    ASSERT(rest->options.webhooks != NULL);
    ASSERT(rest->options.internal != NULL);
    if (name.size == 0) {
        route_read(rest, exchange, BYTES_EMPTY);
    } else if (!rule_name_valid(name)) {
        rest_answer_error(rest, exchange, 400,
                          BYTES_LITERAL("A rule's name is 1 to 128 of A-Z, a-z, 0-9, '.', '_' and "
                                        "'-'"));
    } else if (action.size == 0) {
        route_rule(rest, exchange, name);
    } else if (bytes_equal(action, BYTES_LITERAL("dead-letters"))) {
        route_read(rest, exchange, name);
    } else if (!bytes_equal(action, BYTES_LITERAL("redrive"))) {
        rest_answer_error(rest, exchange, 404,
                          BYTES_LITERAL("A rule has /dead-letters and /redrive"));
    } else if (exchange->request.method != HTTP_POST) {
        rest_answer_no_method(rest, exchange, "POST, OPTIONS");
    } else if (allowed(rest, exchange, PRINCIPAL_WRITE)) {
        rule_redrive(rest, exchange, name);
    }
}
