/*
 * What a request for changes asks for.
 */
#include <stdio.h>

#include "net/rest/changes_internal.h"
#include "net/rest/field.h"
#include "net/rest/target.h"
#include "net/rest/timestamp.h"
#include "protocol/base/utf8.h"
#include "protocol/document/json.h"

#define TIME_TEXT_BYTES_MAX 64
#define WORD_BYTES_MAX      16
/* Decoded; a target is shorter. */
#define VALUE_BYTES_MAX PATTERN_JSON_BYTES_MAX

struct query {
    struct rest *rest;
    struct http_exchange *exchange;
    uint32_t allowed;
    uint32_t given;
    struct changes_options *options;
};

static const struct {
    enum changes_parameter bit;
    struct bytes name;
} parameters[] = {
    {CHANGES_COLLECTION, BYTES_LITERAL("collection")},
    {CHANGES_PATTERN, BYTES_LITERAL("pattern")},
    {CHANGES_FROM, BYTES_LITERAL("from")},
    {CHANGES_VIEW, BYTES_LITERAL("view")},
    {CHANGES_ENTER_LEAVE, BYTES_LITERAL("enter_leave")},
    {CHANGES_LIMIT, BYTES_LITERAL("limit")},
    {CHANGES_WAIT, BYTES_LITERAL("wait")},
    {CHANGES_MEMBER, BYTES_LITERAL("member")},
};
#define PARAMETER_COUNT (sizeof(parameters) / sizeof(parameters[0]))

/* ---- refusals; all are false: answered ---- */

static bool refuse(const struct query *query, uint16_t status, const char *detail)
{
    rest_answer_error(query->rest, query->exchange, status, bytes_of_text(detail));
    return false;
}

static bool refuse_name(const struct query *query, uint16_t status, const char *before,
                        struct bytes name, const char *after)
{
    uint8_t detail_bytes[PROBLEM_DETAIL_BYTES_MAX];
    struct writer detail = writer_of(detail_bytes, sizeof(detail_bytes));
    writer_text(&detail, before);
    writer_put(&detail, bytes_slice(name, 0, COLLECTION_NAME_BYTES_MAX));
    writer_text(&detail, after);
    rest_answer_error(query->rest, query->exchange, status, writer_bytes(&detail));
    return false;
}

static bool refuse_unknown(const struct query *query)
{
    uint8_t detail_bytes[PROBLEM_DETAIL_BYTES_MAX];
    struct writer detail = writer_of(detail_bytes, sizeof(detail_bytes));
    writer_text(&detail, "There is a parameter that this resource does not have; it takes");
    const char *before = " ";
    for (size_t i = 0; i < PARAMETER_COUNT; i++) {
        if ((query->allowed & parameters[i].bit) != 0) {
            writer_text(&detail, before);
            writer_put(&detail, parameters[i].name);
            before = ", ";
        }
    }
    rest_answer_error(query->rest, query->exchange, 400, writer_bytes(&detail));
    return false;
}

static bool refuse_memory(const struct query *query)
{
    rest_answer_status(query->rest, query->exchange, STATUS_NO_MEMORY, BYTES_EMPTY);
    return false;
}

/* ---- values ---- */

static bool collection_set(const struct query *query, struct bytes value)
{
    query->options->subscription.collection =
        follow_collection_find(&query->rest->collections, value);
    if (query->options->subscription.collection != NULL) {
        return true;
    }
    if (utf8_valid_size(value) != value.size) {
        return refuse(query, 404, "There is no collection of that name");
    }
    return refuse_name(query, 404, "There is no collection '", value, "'");
}

static bool pattern_set(const struct query *query, struct bytes value)
{
    /* The text stands before it. */
    struct writer document =
        writer_of(query->rest->document + VALUE_BYTES_MAX, DOCUMENT_BYTES_MAX - VALUE_BYTES_MAX);
    struct detail detail;
    enum status status =
        follow_pattern_read(value, &document, &query->options->subscription.pattern, &detail);
    if (status == STATUS_NO_MEMORY) {
        return refuse_memory(query);
    }
    return status == STATUS_OK || refuse(query, 400, detail.text);
}

bool changes_from_read(struct bytes value, struct subscription_options *out)
{
    static const struct {
        struct bytes name;
        enum subscription_from from;
    } names[] = {{BYTES_LITERAL("latest"), SUBSCRIBE_LATEST},
                 {BYTES_LITERAL("earliest"), SUBSCRIBE_EARLIEST},
                 {BYTES_LITERAL("snapshot"), SUBSCRIBE_SNAPSHOT}};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (bytes_equal(value, names[i].name)) {
            out->from = names[i].from;
            return true;
        }
    }
    if (token_read(value, &out->token) == STATUS_OK) {
        out->from = SUBSCRIBE_TOKEN;
        return true;
    }
    out->from = SUBSCRIBE_TIME;
    return value.size <= TIME_TEXT_BYTES_MAX && timestamp_read(value, &out->time_ms) == STATUS_OK;
}

static bool from_set(const struct query *query, struct bytes value)
{
    if (changes_from_read(value, &query->options->subscription)) {
        return true;
    }
    return refuse(
        query, 400,
        "from is latest, earliest, snapshot, a position that this server gave (an SSE id, "
        "or next of a page), or a time like 2026-01-01T00:00:00Z");
}

static bool view_set(const struct query *query, struct bytes value)
{
    static const struct {
        struct bytes name;
        enum change_view view;
    } names[] = {{BYTES_LITERAL("keys"), CHANGE_VIEW_KEYS},
                 {BYTES_LITERAL("new"), CHANGE_VIEW_NEW},
                 {BYTES_LITERAL("old"), CHANGE_VIEW_OLD},
                 {BYTES_LITERAL("both"), CHANGE_VIEW_BOTH}};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (bytes_equal(value, names[i].name)) {
            query->options->subscription.view = names[i].view;
            return true;
        }
    }
    return refuse(query, 400, "view is keys, new, old or both");
}

static bool enter_leave_set(const struct query *query, struct bytes value)
{
    bool yes = bytes_equal(value, BYTES_LITERAL("true"));
    if (!yes && !bytes_equal(value, BYTES_LITERAL("false"))) {
        return refuse(query, 400, "enter_leave is true or false");
    }
    query->options->subscription.enter_leave = yes;
    return true;
}

static bool limit_set(const struct query *query, struct bytes value)
{
    uint32_t limit = 0;
    for (size_t at = 0; at < value.size && limit <= CHANGES_LIMIT_MAX; at++) {
        if (value.data[at] < '0' || value.data[at] > '9') {
            limit = 0;
            break;
        }
        limit = limit * 10 + value.data[at] - '0';
    }
    if (limit == 0 || limit > CHANGES_LIMIT_MAX) {
        return refuse(query, 400, "limit is a whole number from 1 to 1000");
    }
    query->options->limit = limit;
    return true;
}

static bool wait_set(const struct query *query, struct bytes value)
{
    uint64_t ns;
    if (duration_read(value, &ns) != STATUS_OK || ns > CHANGES_WAIT_NS_MAX) {
        return refuse(query, 400, "wait is a time like 10s or 500ms, of at most 60s");
    }
    query->options->wait_ns = ns;
    return true;
}

static bool member_set(const struct query *query, struct bytes value)
{
    if (value.size == 0 || value.size > CHANGES_MEMBER_BYTES_MAX || !utf8_is_valid(value)) {
        return refuse(query, 400, "member is a name of 1 to 128 bytes");
    }
    query->options->member = http_keep(query->exchange, value);
    return query->options->member.data != NULL || refuse_memory(query);
}

static bool value_set(const struct query *query, enum changes_parameter bit, struct bytes value)
{
    switch (bit) {
    case CHANGES_COLLECTION:
        return collection_set(query, value);
    case CHANGES_PATTERN:
        return pattern_set(query, value);
    case CHANGES_FROM:
        return from_set(query, value);
    case CHANGES_VIEW:
        return view_set(query, value);
    case CHANGES_ENTER_LEAVE:
        return enter_leave_set(query, value);
    case CHANGES_LIMIT:
        return limit_set(query, value);
    case CHANGES_WAIT:
        return wait_set(query, value);
    case CHANGES_MEMBER:
        return member_set(query, value);
    }
    UNREACHABLE();
}

/* ---- the query ---- */

/* Decoded into rest's memory, where it stands until the next one; false when answered. */
static bool value_decode(const struct query *query, struct bytes name, struct bytes value,
                         struct bytes *out)
{
    struct writer decoded = writer_of(query->rest->document, VALUE_BYTES_MAX);
    enum status status = target_decode(value, true, &decoded);
    if (status == STATUS_TOO_LARGE) {
        return refuse_name(query, 400, "The value of ", name, " is too long");
    }
    if (status != STATUS_OK) {
        return refuse_name(query, 400, "The value of ", name, " is not percent-encoded");
    }
    *out = writer_bytes(&decoded);
    return true;
}

static bool parameter_read(struct query *query, struct bytes name, struct bytes value)
{
    uint8_t name_bytes[WORD_BYTES_MAX];
    struct writer plain = writer_of(name_bytes, sizeof(name_bytes));
    if (target_decode(name, true, &plain) != STATUS_OK) {
        return refuse_unknown(query);
    }
    for (size_t i = 0; i < PARAMETER_COUNT; i++) {
        enum changes_parameter bit = parameters[i].bit;
        if (!bytes_equal(writer_bytes(&plain), parameters[i].name) || (query->allowed & bit) == 0) {
            continue;
        }
        if ((query->given & bit) != 0) {
            return refuse_name(query, 400, "", parameters[i].name, " is given more than once");
        }
        query->given |= bit;
        struct bytes decoded = BYTES_EMPTY;
        return value_decode(query, parameters[i].name, value, &decoded) &&
               value_set(query, bit, decoded);
    }
    return refuse_unknown(query);
}

/* ---- headers ---- */

/* Events only if they are asked for by name, and at least as much as pages. */
static bool asks_for_events(struct http_exchange *exchange)
{
    struct bytes accept = rest_list_field(exchange, HTTP_ACCEPT, BYTES_LITERAL("accept"));
    uint32_t events = field_accept_quality(accept, BYTES_LITERAL("text/event-stream"), true);
    uint32_t pages = field_accept_quality(accept, BYTES_LITERAL("application/json"), false);
    return events > 0 && events >= pages;
}

/* A browser that comes again says what it has seen; that is newer than what its URL says. */
static bool last_event_set(const struct query *query)
{
    struct bytes last = query->exchange->request.known[HTTP_LAST_EVENT_ID];
    if (last.size == 0 || (query->allowed & CHANGES_FROM) == 0) {
        return true;
    }
    struct subscription_options *subscription = &query->options->subscription;
    if (token_read(last, &subscription->token) != STATUS_OK) {
        return refuse(query, 400, "Last-Event-ID is not a position that this server gave");
    }
    subscription->from = SUBSCRIBE_TOKEN;
    return true;
}

static bool query_check(const struct query *query)
{
    if (query->options->sse && (query->given & (CHANGES_LIMIT | CHANGES_WAIT)) != 0) {
        return refuse(query, 400,
                      "limit and wait are of pages, but Accept asks for text/event-stream");
    }
    return true;
}

bool changes_query_read(struct rest *rest, struct http_exchange *exchange, uint32_t allowed,
                        struct changes_options *out)
{
    *out = (struct changes_options){.limit = CHANGES_LIMIT_MAX};
    out->subscription.view = CHANGE_VIEW_BOTH;
    out->subscription.from = SUBSCRIBE_LATEST;
    out->sse = asks_for_events(exchange);
    struct query query = {.rest = rest, .exchange = exchange, .allowed = allowed, .options = out};
    struct bytes left = exchange->request.query;
    struct bytes name;
    struct bytes value;
    bool good = true;
    while (good && target_next_parameter(&left, &name, &value)) {
        good = parameter_read(&query, name, value);
    }
    good = good && query_check(&query) && last_event_set(&query);
    if (!good) {
        changes_options_drop(out);
    }
    return good;
}

void changes_options_drop(struct changes_options *options)
{
    pattern_destroy(&options->subscription.pattern);
    ASSERT(options->subscription.pattern == NULL);
}
