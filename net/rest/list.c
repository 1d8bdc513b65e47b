/*
 * GET and HEAD of a collection: a page of records in id order, all of them or those that stand
 * under a value of an index.
 */
#include <stdlib.h>

#include "net/rest/cursor.h"
#include "net/rest/rest_internal.h"
#include "net/rest/target.h"
#include "protocol/base/limits.h"
#include "protocol/base/utf8.h"

#define LIMIT_DIGITS_MAX 4

struct list_query {
    struct bytes field; /* the collection's own text; empty: all records */
    struct bytes value; /* in value_bytes */
    struct bytes cursor;
    uint32_t limit; /* 0: not given */
    bool has_field; /* also when its value was empty */
    uint8_t value_bytes[INDEX_VALUE_BYTES_MAX];
    uint8_t cursor_bytes[CURSOR_TEXT_BYTES_MAX];
};

/* A parameter's reason to be refused, or NULL. */
static const char *limit_set(struct list_query *query, struct bytes value)
{
    if (query->limit != 0) {
        return "limit is given more than once";
    }
    uint32_t limit = 0;
    for (size_t at = 0; at < value.size; at++) {
        if (value.data[at] < '0' || value.data[at] > '9' || value.size > LIMIT_DIGITS_MAX) {
            limit = 0;
            break;
        }
        limit = limit * 10 + value.data[at] - '0';
    }
    if (limit == 0 || limit > LIST_RECORDS_MAX) {
        return "limit is a whole number from 1 to 1000";
    }
    query->limit = limit;
    return NULL;
}

static const char *cursor_set(struct list_query *query, struct bytes value)
{
    if (query->cursor.data != NULL) {
        return "cursor is given more than once";
    }
    struct writer cursor = writer_of(query->cursor_bytes, sizeof(query->cursor_bytes));
    if (target_decode(value, true, &cursor) != STATUS_OK) {
        return "cursor is not one that a page of this list gave";
    }
    query->cursor = writer_bytes(&cursor);
    return NULL;
}

static const char *field_set(struct list_query *query, struct bytes field, struct bytes value)
{
    if (query->has_field) {
        return "A list can be asked for by one field and one value at a time";
    }
    query->has_field = true;
    struct writer decoded = writer_of(query->value_bytes, sizeof(query->value_bytes));
    enum status status = target_decode(value, true, &decoded);
    if (status == STATUS_TOO_LARGE) {
        return "An indexed value has at most 512 bytes";
    }
    if (status != STATUS_OK || !utf8_is_valid(writer_bytes(&decoded))) {
        return "The value asked for is not percent-encoded UTF-8";
    }
    if (decoded.size > 0) {
        query->field = field;
        query->value = writer_bytes(&decoded);
    }
    return NULL;
}

static void answer_undeclared(struct rest *rest, struct http_exchange *exchange,
                              const struct collection *collection)
{
    uint8_t detail_bytes[PROBLEM_DETAIL_BYTES_MAX];
    struct writer detail = writer_of(detail_bytes, sizeof(detail_bytes));
    writer_put(&detail, BYTES_LITERAL("A list takes limit, cursor and the declared indexes of its "
                                      "collection: "));
    for (uint32_t index = 0; index < collection->index_count; index++) {
        writer_put(&detail, index == 0 ? BYTES_EMPTY : BYTES_LITERAL(", "));
        writer_put(&detail, collection->indexes[index]);
    }
    if (collection->index_count == 0) {
        writer_put(&detail, BYTES_LITERAL("none"));
    }
    rest_answer_error(rest, exchange, 400, writer_bytes(&detail));
}

/* One parameter; false when answered. */
static bool parameter_set(struct rest *rest, struct http_exchange *exchange,
                          const struct collection *collection, struct list_query *query,
                          struct bytes name, struct bytes value)
{
    uint8_t name_bytes[FIELD_NAME_BYTES_MAX];
    struct writer decoded = writer_of(name_bytes, sizeof(name_bytes));
    const char *reason = NULL;
    bool readable = target_decode(name, true, &decoded) == STATUS_OK;
    struct bytes plain = writer_bytes(&decoded);
    /* An index of that name would hide it, so limit and cursor come first. */
    if (readable && bytes_equal(plain, BYTES_LITERAL("limit"))) {
        reason = limit_set(query, value);
    } else if (readable && bytes_equal(plain, BYTES_LITERAL("cursor"))) {
        reason = cursor_set(query, value);
    } else {
        int index = readable ? collection_index_find(collection, plain) : -1;
        if (index < 0) {
            answer_undeclared(rest, exchange, collection);
            return false;
        }
        reason = field_set(query, collection->indexes[index], value);
    }
    if (reason != NULL) {
        rest_answer_error(rest, exchange, 400, bytes_of_text(reason));
        return false;
    }
    return true;
}

/* False when answered. */
static bool query_read(struct rest *rest, struct http_exchange *exchange,
                       const struct collection *collection, struct list_query *query)
{
    *query = (struct list_query){.limit = 0};
    struct bytes left = exchange->request.query;
    struct bytes name;
    struct bytes value;
    while (target_next_parameter(&left, &name, &value)) {
        if (!parameter_set(rest, exchange, collection, query, name, value)) {
            return false;
        }
    }
    return true;
}

/* Fills in the request's list fields from the query; false when answered. */
static bool list_set(struct rest *rest, struct http_exchange *exchange, struct request *request,
                     const struct list_query *query)
{
    request->list_field = query->field;
    request->list_limit = query->limit == 0 ? LIST_RECORDS_MAX : query->limit;
    bool kept = true;
    if (query->value.size > 0) {
        request->list_value = http_keep(exchange, query->value);
        kept = request->list_value.data != NULL;
    }
    if (query->cursor.data != NULL) {
        const struct cursor_list list = {request->collection->name, query->field, query->value};
        uint8_t id_bytes[CURSOR_BYTES_MAX];
        struct bytes after;
        if (cursor_read(&list, query->cursor, id_bytes, &after) != STATUS_OK) {
            rest_answer_error(rest, exchange, 400,
                              BYTES_LITERAL("cursor is not one that a page of this list gave"));
            return false;
        }
        request->list_after = http_keep(exchange, after);
        kept = kept && request->list_after.data != NULL;
    }
    if (!kept) {
        rest_answer_status(rest, exchange, STATUS_NO_MEMORY, BYTES_EMPTY);
    }
    return kept;
}

/* Link: the same list, from where this page ends. The limit is always said, so that pages stay as
 * long as they were. */
static void link_write(const struct request *request, struct writer *head)
{
    const struct cursor_list list = {request->collection->name, request->list_field,
                                     request->list_value};
    writer_put(head, BYTES_LITERAL("Link: </"));
    writer_put(head, request->collection->name);
    writer_u8(head, '?');
    if (request->list_field.size > 0) {
        target_encode(request->list_field, head);
        writer_u8(head, '=');
        target_encode(request->list_value, head);
        writer_u8(head, '&');
    }
    writer_put(head, BYTES_LITERAL("limit="));
    writer_decimal(head, request->list_limit);
    writer_put(head, BYTES_LITERAL("&cursor="));
    cursor_write(&list, request->list_next, head);
    writer_put(head, BYTES_LITERAL(">; rel=\"next\"\r\n"));
}

static void list_done(struct request *request)
{
    struct rest *rest = rest_request_done(request);
    struct http_exchange *exchange = rest_exchange_of(request);
    rest_state_of(exchange)->outcome = (uint8_t)(1 + request->cache);
    if (request->status != STATUS_OK) {
        request_release(request);
        rest_answer_failure(rest, exchange, request);
        return;
    }
    if (!http_has_memory(exchange, request->answer.size)) {
        request_release(request);
        rest_answer_status(rest, exchange, STATUS_NO_MEMORY, BYTES_EMPTY);
        return;
    }
    const struct head_cache cache = {
        .outcome = request->cache, .made_at_ms = request->made_at_ms, .ttl_ns = request->ttl_ns};
    uint8_t head_bytes[HEAD_BYTES_MAX];
    struct writer head = writer_of(head_bytes, sizeof(head_bytes));
    head_begin(&rest->heads, 200, &head);
    writer_put(&head, BYTES_LITERAL("Content-Type: application/json\r\n"
                                    "Cache-Control: no-cache, no-store\r\n"));
    head_line_number(&head, "Content-Length", request->answer.size);
    if (request->list_next.size > 0) {
        link_write(request, &head);
    }
    head_cache_write(&rest->heads, &cache, rest->wall_ms, &head);
    rest_answer_request(exchange, &head, 200);
}

void rest_list(struct rest *rest, struct http_exchange *exchange,
               const struct collection *collection)
{
    if (!rest_allowed(rest, PRINCIPAL_READ)) {
        rest_answer_error(rest, exchange, 403, BYTES_LITERAL("You may not read this"));
        return;
    }
    struct conditions conditions = {0};
    struct list_query query;
    if (!query_read(rest, exchange, collection, &query) ||
        !rest_freshness_read(rest, exchange, &conditions)) {
        return;
    }
    struct request *request =
        rest_request_begin(rest, exchange, REQUEST_LIST, collection, BYTES_EMPTY);
    if (request == NULL || !list_set(rest, exchange, request, &query)) {
        return;
    }
    request->refresh = conditions.refresh;
    request->minimum_sequence = conditions.minimum_sequence;
    rest_request_submit(rest, request, list_done);
}
