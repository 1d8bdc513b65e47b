/*
 * The paths of the change stream: /changes, /patterns/test, /events, /consumers and /rules. Records
 * and the operators' pages are routed in rest.c.
 */
#include "net/rest/rest_internal.h"
#include "net/rest/target.h"

/* Longer than the longest name that a consumer, a rule or an action can have, so that what is too
 * long is told by who knows the limit. */
#define NAME_BYTES_MAX 512

/* A segment as text, in the exchange's memory; false when answered. */
static bool segment_text(struct rest *rest, struct http_exchange *exchange, struct bytes segment,
                         struct bytes *text_out)
{
    *text_out = BYTES_EMPTY;
    if (segment.size == 0) {
        return true;
    }
    uint8_t *memory = http_allocate(exchange, NAME_BYTES_MAX);
    if (memory == NULL) {
        rest_answer_status(rest, exchange, STATUS_NO_MEMORY, BYTES_EMPTY);
        return false;
    }
    struct writer text = writer_of(memory, NAME_BYTES_MAX);
    if (target_decode(segment, false, &text) != STATUS_OK) {
        rest_answer_error(rest, exchange, 400,
                          BYTES_LITERAL("A name in the path is too long, or an escape in it is "
                                        "none: % and two hexadecimal digits"));
        return false;
    }
    *text_out = writer_bytes(&text);
    return true;
}

typedef void named_handler(struct rest *rest, struct http_exchange *exchange, struct bytes name,
                           struct bytes action);

/* /consumers, /consumers/{name}, /consumers/{name}/{action}; rules likewise. */
static void route_named(struct rest *rest, struct http_exchange *exchange,
                        const struct target *target, named_handler *handle)
{
    struct bytes name;
    struct bytes action;
    if (segment_text(rest, exchange, target->second, &name) &&
        segment_text(rest, exchange, target->third, &action)) {
        handle(rest, exchange, name, action);
    }
}

bool rest_stream_route(struct rest *rest, struct http_exchange *exchange,
                       const struct target *target)
{
    struct bytes first = target->first;
    bool one = target->shape == TARGET_ONE;
    bool named = one || target->second.size > 0;
    if (one && bytes_equal(first, BYTES_LITERAL("changes"))) {
        exchange->route = METRICS_ROUTE_CHANGES;
        rest_changes(rest, exchange);
    } else if (one && bytes_equal(first, BYTES_LITERAL("events"))) {
        exchange->route = METRICS_ROUTE_EVENTS;
        rest_events(rest, exchange);
    } else if (target->shape == TARGET_TWO && bytes_equal(first, BYTES_LITERAL("patterns")) &&
               bytes_equal(target->second, BYTES_LITERAL("test"))) {
        exchange->route = METRICS_ROUTE_PATTERNS;
        rest_patterns_test(rest, exchange);
    } else if (named && bytes_equal(first, BYTES_LITERAL("consumers"))) {
        exchange->route = METRICS_ROUTE_CONSUMERS;
        route_named(rest, exchange, target, rest_consumers);
    } else if (named && bytes_equal(first, BYTES_LITERAL("rules"))) {
        exchange->route = METRICS_ROUTE_RULES;
        route_named(rest, exchange, target, rest_rules);
    } else {
        return false;
    }
    return true;
}
