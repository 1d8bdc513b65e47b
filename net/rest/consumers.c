/*
 * /consumers: named consumers, whose position the server keeps. See engine/stream/consumers.h; how
 * one is read is in consumers_read.c.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "net/rest/changes_internal.h"
#include "net/rest/consumers_internal.h"
#include "net/rest/target.h"
#include "protocol/document/document.h"
#include "protocol/document/json.h"

#define LIMIT_DIGITS_MAX 4
/* A byte of MessagePack takes at most six of JSON (an escaped control character). */
#define JSON_PER_MSGPACK 6
/* What stands around name and definition. */
#define CONSUMER_JSON_FIXED_BYTES 512

/* One request on its way to the owner of its consumer, and its exchange. */
struct consumer_call {
    struct consumer_request request;
    struct rest *rest;
    struct http_exchange *exchange;
    bool leaves;      /* ACK: the member goes when it is done */
    uint8_t *pattern; /* malloc */
    uint8_t name[CONSUMER_NAME_BYTES_MAX];
    uint8_t member[CONSUMER_MEMBER_BYTES_MAX];
    uint8_t collection[COLLECTION_NAME_BYTES_MAX];
};

/* ---- calls ---- */

void rest_consumer_failure(struct rest *rest, struct http_exchange *exchange, enum status status,
                           const struct detail *detail)
{
    changes_answer_problem(rest, exchange, follow_consumer_problem(status, detail));
}

static void call_free(struct consumer_call *call)
{
    free(call->pattern);
    free(call);
}

/* NULL when answered. */
static struct consumer_call *call_begin(struct rest *rest, struct http_exchange *exchange,
                                        enum consumer_request_kind kind, struct bytes name)
{
    struct consumer_call *call = calloc(1, sizeof(*call));
    if (call == NULL) {
        rest_answer_status(rest, exchange, STATUS_NO_MEMORY, BYTES_EMPTY);
        return NULL;
    }
    ASSERT(name.size <= sizeof(call->name));
    call->rest = rest;
    call->exchange = exchange;
    call->request.kind = kind;
    if (name.size > 0) {
        memcpy(call->name, name.data, name.size);
        call->request.name = bytes_of(call->name, name.size);
    }
    return call;
}

static void call_submit(struct consumer_call *call, void (*done)(struct consumer_request *request))
{
    call->request.done = done;
    call->rest->pending++;
    consumers_submit(call->rest->options.consumers, &call->request);
}

/* First thing in a done. */
static struct consumer_call *call_done(struct consumer_request *request)
{
    struct consumer_call *call = CONTAINER_OF(request, struct consumer_call, request);
    ASSERT(call->rest->pending > 0);
    call->rest->pending--;
    return call;
}

static void call_fail(struct consumer_call *call)
{
    rest_consumer_failure(call->rest, call->exchange, call->request.status, &call->request.detail);
    call_free(call);
}

/* ---- words ---- */

static void answer_json(struct rest *rest, struct http_exchange *exchange, uint16_t status,
                        struct bytes link, struct bytes body, uint8_t *memory)
{
    uint8_t head_bytes[HEAD_BYTES_MAX];
    struct writer head = writer_of(head_bytes, sizeof(head_bytes));
    head_begin(&rest->heads, status, &head);
    writer_put(&head,
               BYTES_LITERAL("Content-Type: application/json\r\nCache-Control: no-store\r\n"));
    head_line_number(&head, "Content-Length", body.size);
    if (link.size > 0) {
        head_line(&head, "Link", link);
    }
    rest_answer_body(exchange, &head, body, status, memory == NULL ? NULL : free, memory);
}

static size_t consumer_json_bytes(const struct consumer_row *row)
{
    return row->name.size + row->definition.size * JSON_PER_MSGPACK + CONSUMER_JSON_FIXED_BYTES;
}

static void lag_write(const struct consumer_lag *lag, struct writer *out)
{
    char text[128];
    int size = snprintf(
        text, sizeof(text),
        "\"lag\":{\"events\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"seconds\":%" PRIu64 ".%03u}",
        lag->events, lag->bytes, lag->age_ms / 1000, (unsigned)(lag->age_ms % 1000));
    ASSERT(size > 0 && (size_t)size < sizeof(text));
    writer_put(out, bytes_of(text, (size_t)size));
}

/* {"name":…,"collection":…,"pattern":…,"group":…,"position":…,"lag":{…}} */
static void consumer_write(const struct consumer_row *row, const struct position *position,
                           struct writer *out)
{
    writer_put(out, BYTES_LITERAL("{\"name\":\""));
    writer_put(out, row->name); /* nothing in it needs an escape */
    writer_put(out, BYTES_LITERAL("\","));
    /* The definition's members, without its braces. */
    size_t before = out->size;
    if (document_to_json(row->definition, out) != STATUS_OK) {
        out->failed = true;
        return;
    }
    ASSERT(out->size > before + 2);
    memmove(out->data + before, out->data + before + 1, out->size - before - 2);
    out->size -= 2;
    writer_put(out, BYTES_LITERAL(",\"position\":\""));
    position_write(position, out);
    writer_put(out, BYTES_LITERAL("\","));
    if (row->is_group) {
        writer_put(out, BYTES_LITERAL("\"members\":"));
        writer_decimal(out, row->member_count);
        writer_u8(out, ',');
    }
    lag_write(&row->lag, out);
    writer_u8(out, '}');
}

/* PUT and GET. */
static void consumer_answer(struct consumer_call *call, uint16_t status)
{
    const struct consumer_request *request = &call->request;
    const struct consumer_row row = {.name = request->name,
                                     .definition = request->definition,
                                     .is_group = request->is_group,
                                     .member_count = request->member_count,
                                     .lag = request->lag};
    size_t capacity = consumer_json_bytes(&row);
    uint8_t *memory = malloc(capacity);
    if (memory == NULL) {
        rest_answer_status(call->rest, call->exchange, STATUS_NO_MEMORY, BYTES_EMPTY);
        return;
    }
    struct writer body = writer_of(memory, capacity);
    consumer_write(&row, &request->position.position, &body);
    ASSERT(!body.failed);
    answer_json(call->rest, call->exchange, status, BYTES_EMPTY, writer_bytes(&body), memory);
}

static void consumer_done(struct consumer_request *request)
{
    struct consumer_call *call = call_done(request);
    if (request->status != STATUS_OK) {
        call_fail(call);
        return;
    }
    if (request->kind == CONSUMER_DELETE) {
        answer_json(call->rest, call->exchange, 200, BYTES_EMPTY,
                    BYTES_LITERAL("{\"message\":\"consumer deleted\"}"), NULL);
    } else {
        consumer_answer(call, request->created ? 201 : 200);
    }
    call_free(call);
}

/* ---- PUT ---- */

static bool refuse(struct consumer_call *call, uint16_t status, const char *detail)
{
    rest_answer_error(call->rest, call->exchange, status, bytes_of_text(detail));
    return false;
}

/* The members of a body; each is false when answered. */

static bool body_collection(struct consumer_call *call, struct bytes value)
{
    struct bytes name;
    if (!document_string(value, &name)) {
        return refuse(call, 400, "collection is the name of a collection, a string");
    }
    if (follow_collection_find(&call->rest->collections, name) == NULL) {
        return refuse(call, 400, "There is no collection of that name");
    }
    ASSERT(name.size <= sizeof(call->collection));
    memcpy(call->collection, name.data, name.size);
    call->request.collection = bytes_of(call->collection, name.size);
    return true;
}

static bool body_pattern(struct consumer_call *call, struct bytes value)
{
    call->pattern = malloc(value.size);
    if (call->pattern == NULL) {
        rest_answer_status(call->rest, call->exchange, STATUS_NO_MEMORY, BYTES_EMPTY);
        return false;
    }
    memcpy(call->pattern, value.data, value.size);
    call->request.pattern = bytes_of(call->pattern, value.size);
    return true;
}

static bool body_from(struct consumer_call *call, struct bytes value)
{
    struct subscription_options place;
    struct bytes text;
    if (!document_string(value, &text) || !changes_from_read(text, &place)) {
        return refuse(call, 400,
                      "from is latest, earliest, a position that this server gave (an SSE id, or "
                      "next of a page), or a time like 2026-01-01T00:00:00Z");
    }
    call->request.from = place.from;
    call->request.time_ms = place.time_ms;
    if (place.from == SUBSCRIBE_TOKEN) {
        call->request.token = place.token;
    }
    return true;
}

static bool body_member(struct consumer_call *call, struct bytes name, struct bytes value)
{
    if (bytes_equal(name, BYTES_LITERAL("collection"))) {
        return body_collection(call, value);
    }
    if (bytes_equal(name, BYTES_LITERAL("pattern"))) {
        return body_pattern(call, value);
    }
    if (bytes_equal(name, BYTES_LITERAL("from"))) {
        return body_from(call, value);
    }
    if (bytes_equal(name, BYTES_LITERAL("group"))) {
        return document_bool(value, &call->request.group) ||
               refuse(call, 400, "group is true or false");
    }
    return refuse(call, 400,
                  "A consumer has collection, pattern, from and group, and nothing else");
}

/* False when answered. */
static bool pattern_check(struct consumer_call *call)
{
    struct consumer_request *request = &call->request;
    if (request->pattern.size == 0) {
        return true;
    }
    enum status status = follow_consumer_pattern_check(
        &call->rest->collections, request->collection, request->pattern, &request->detail);
    if (status == STATUS_NO_MEMORY) {
        rest_answer_status(call->rest, call->exchange, status, BYTES_EMPTY);
        return false;
    }
    return status == STATUS_OK || refuse(call, 400, request->detail.text);
}

/* False when answered. */
static bool put_body_read(struct consumer_call *call)
{
    struct bytes body;
    struct bytes name;
    struct bytes value;
    struct document_cursor cursor;
    if (call->exchange->request.body.size == 0) {
        return true; /* all changes, from now on */
    }
    if (!rest_body_object(call->rest, call->exchange, &body)) {
        return false;
    }
    bool is_object = document_cursor_open(body, &cursor);
    ASSERT(is_object);
    while (document_next_member(&cursor, &name, &value)) {
        if (!body_member(call, name, value)) {
            return false;
        }
    }
    return pattern_check(call);
}

/* ---- POST …/ack ---- */

static void left_done(struct consumer_request *request)
{
    struct consumer_call *call = call_done(request);
    if (request->status != STATUS_OK) {
        call_fail(call);
        return;
    }
    answer_json(call->rest, call->exchange, 200, BYTES_EMPTY,
                BYTES_LITERAL("{\"message\":\"member left\"}"), NULL);
    call_free(call);
}

static void ack_done(struct consumer_request *request)
{
    struct consumer_call *call = call_done(request);
    if (request->status != STATUS_OK) {
        call_fail(call);
        return;
    }
    if (call->leaves) {
        request->kind = CONSUMER_LEAVE;
        call_submit(call, left_done);
        return;
    }
    uint8_t bytes[POSITION_TEXT_BYTES + 32];
    struct writer body = writer_of(bytes, sizeof(bytes));
    writer_put(&body, BYTES_LITERAL("{\"position\":\""));
    position_write(&request->position.position, &body);
    writer_put(&body, BYTES_LITERAL("\"}"));
    ASSERT(!body.failed);
    answer_json(call->rest, call->exchange, 200, BYTES_EMPTY, writer_bytes(&body), NULL);
    call_free(call);
}

static bool ack_member(struct consumer_call *call, struct bytes name, struct bytes value)
{
    struct bytes text;
    if (bytes_equal(name, BYTES_LITERAL("leave"))) {
        return document_bool(value, &call->leaves) || refuse(call, 400, "leave is true or false");
    }
    if (bytes_equal(name, BYTES_LITERAL("position"))) {
        call->request.has_token =
            document_string(value, &text) && token_read(text, &call->request.token) == STATUS_OK;
        return call->request.has_token ||
               refuse(call, 400,
                      "position is one that this server gave: an SSE id, or next of a page");
    }
    if (!bytes_equal(name, BYTES_LITERAL("member"))) {
        return refuse(call, 400,
                      "An acknowledgement has position, member and leave, and nothing "
                      "else");
    }
    if (!document_string(value, &text) || text.size == 0 || text.size > sizeof(call->member)) {
        return refuse(call, 400, "member is a name of 1 to 128 bytes");
    }
    memcpy(call->member, text.data, text.size);
    call->request.member = bytes_of(call->member, text.size);
    return true;
}

/* False when answered. */
static bool ack_body_read(struct consumer_call *call)
{
    struct bytes body;
    struct bytes name;
    struct bytes value;
    struct document_cursor cursor;
    if (!rest_body_object(call->rest, call->exchange, &body)) {
        return false;
    }
    bool is_object = document_cursor_open(body, &cursor);
    ASSERT(is_object);
    while (document_next_member(&cursor, &name, &value)) {
        if (!ack_member(call, name, value)) {
            return false;
        }
    }
    if (!call->request.has_token && !call->leaves) {
        return refuse(call, 400, "An acknowledgement needs position, an SSE id or next of a page");
    }
    if (call->leaves && call->request.member.size == 0) {
        return refuse(call, 400, "leave needs member: who it is that leaves");
    }
    return true;
}

static void consumer_ack(struct rest *rest, struct http_exchange *exchange, struct bytes name)
{
    if (exchange->request.method != HTTP_POST) {
        rest_answer_no_method(rest, exchange, "POST, OPTIONS");
        return;
    }
    struct consumer_call *call = call_begin(rest, exchange, CONSUMER_ACK, name);
    if (call == NULL) {
        return;
    }
    if (!ack_body_read(call)) {
        call_free(call);
    } else if (call->request.has_token) {
        call_submit(call, ack_done);
    } else {
        call->request.kind = CONSUMER_LEAVE;
        call_submit(call, left_done);
    }
}

/* ---- GET /consumers ---- */

static void list_answer(struct consumer_call *call)
{
    const struct consumer_request *request = &call->request;
    size_t capacity = 2;
    for (uint32_t i = 0; i < request->row_count; i++) {
        capacity += consumer_json_bytes(&request->rows[i]) + 1;
    }
    uint8_t *memory = http_has_memory(call->exchange, capacity) ? malloc(capacity) : NULL;
    if (memory == NULL) {
        rest_answer_status(call->rest, call->exchange, STATUS_NO_MEMORY, BYTES_EMPTY);
        return;
    }
    struct writer body = writer_of(memory, capacity);
    struct position position = request->position.position;
    writer_u8(&body, '[');
    for (uint32_t i = 0; i < request->row_count; i++) {
        position.sequence = request->rows[i].sequence;
        writer_put(&body, i == 0 ? BYTES_EMPTY : BYTES_LITERAL(","));
        consumer_write(&request->rows[i], &position, &body);
    }
    writer_u8(&body, ']');
    ASSERT(!body.failed);
    uint8_t link_bytes[CONSUMER_NAME_BYTES_MAX + 64];
    struct writer link = writer_of(link_bytes, sizeof(link_bytes));
    if (request->more) {
        writer_put(&link, BYTES_LITERAL("</consumers?limit="));
        writer_decimal(&link, request->limit);
        writer_put(&link, BYTES_LITERAL("&cursor="));
        writer_put(&link, request->rows[request->row_count - 1].name);
        writer_put(&link, BYTES_LITERAL(">; rel=\"next\""));
        ASSERT(!link.failed);
    }
    answer_json(call->rest, call->exchange, 200, writer_bytes(&link), writer_bytes(&body), memory);
}

static void list_done(struct consumer_request *request)
{
    struct consumer_call *call = call_done(request);
    if (request->status != STATUS_OK) {
        call_fail(call);
        return;
    }
    list_answer(call);
    call_free(call);
}

static bool limit_read(struct bytes value, uint32_t *limit_out)
{
    uint32_t limit = 0;
    for (size_t at = 0; at < value.size; at++) {
        if (value.data[at] < '0' || value.data[at] > '9' || value.size > LIMIT_DIGITS_MAX) {
            return false;
        }
        limit = limit * 10 + value.data[at] - '0';
    }
    *limit_out = limit;
    return limit >= 1 && limit <= CONSUMER_LIST_MAX;
}

/* False when answered. */
static bool list_query_read(struct consumer_call *call)
{
    struct bytes left = call->exchange->request.query;
    struct bytes name;
    struct bytes value;
    while (target_next_parameter(&left, &name, &value)) {
        if (bytes_equal(name, BYTES_LITERAL("limit")) && call->request.limit == 0) {
            if (!limit_read(value, &call->request.limit)) {
                return refuse(call, 400, "limit is a whole number from 1 to 1000");
            }
        } else if (bytes_equal(name, BYTES_LITERAL("cursor")) && call->request.after.size == 0) {
            if (!consumer_name_valid(value)) {
                return refuse(call, 400, "cursor is not one that a page of this list gave");
            }
            memcpy(call->name, value.data, value.size);
            call->request.after = bytes_of(call->name, value.size);
        } else {
            return refuse(call, 400, "The list of consumers takes limit and cursor, each once");
        }
    }
    if (call->request.limit == 0) {
        call->request.limit = CONSUMER_LIST_MAX;
    }
    return true;
}

static void consumers_list(struct rest *rest, struct http_exchange *exchange)
{
    enum http_method method = exchange->request.method;
    if (method != HTTP_GET && method != HTTP_HEAD) {
        rest_answer_no_method(rest, exchange, "GET, HEAD, OPTIONS");
        return;
    }
    struct consumer_call *call = call_begin(rest, exchange, CONSUMER_LIST, BYTES_EMPTY);
    if (call == NULL) {
        return;
    }
    if (list_query_read(call)) {
        call_submit(call, list_done);
    } else {
        call_free(call);
    }
}

/* ---- routes ---- */

static void consumer_itself(struct rest *rest, struct http_exchange *exchange, struct bytes name)
{
    enum http_method method = exchange->request.method;
    if (method != HTTP_GET && method != HTTP_HEAD && method != HTTP_PUT && method != HTTP_DELETE) {
        rest_answer_no_method(rest, exchange, "GET, HEAD, PUT, DELETE, OPTIONS");
        return;
    }
    bool reads = method == HTTP_GET || method == HTTP_HEAD;
    if (!reads && !rest_allowed(rest, PRINCIPAL_WRITE)) {
        rest_answer_error(rest, exchange, 403, BYTES_LITERAL("You may not change this"));
        return;
    }
    enum consumer_request_kind kind = reads                ? CONSUMER_GET
                                      : method == HTTP_PUT ? CONSUMER_PUT
                                                           : CONSUMER_DELETE;
    struct consumer_call *call = call_begin(rest, exchange, kind, name);
    if (call == NULL) {
        return;
    }
    if (kind == CONSUMER_PUT && !put_body_read(call)) {
        call_free(call);
        return;
    }
    call_submit(call, consumer_done);
}

void rest_consumers(struct rest *rest, struct http_exchange *exchange, struct bytes name,
                    struct bytes action)
{
    if (rest->options.consumers == NULL) {
        rest_answer_error(rest, exchange, 501, BYTES_LITERAL("This server keeps no consumers"));
    } else if (!rest_allowed(rest, PRINCIPAL_READ)) {
        rest_answer_error(rest, exchange, 403, BYTES_LITERAL("You may not read this"));
    } else if (name.size == 0 && action.size == 0) {
        consumers_list(rest, exchange);
    } else if (!consumer_name_valid(name)) {
        rest_answer_error(
            rest, exchange, 400,
            BYTES_LITERAL("A consumer's name is 1 to 128 characters of A-Z a-z 0-9 . _ -"));
    } else if (action.size == 0) {
        consumer_itself(rest, exchange, name);
    } else if (bytes_equal(action, BYTES_LITERAL("changes"))) {
        rest_consumer_read(rest, exchange, name);
    } else if (bytes_equal(action, BYTES_LITERAL("ack"))) {
        consumer_ack(rest, exchange, name);
    } else {
        rest_answer_error(rest, exchange, 404,
                          BYTES_LITERAL("A consumer has changes and ack, and nothing else"));
    }
}
