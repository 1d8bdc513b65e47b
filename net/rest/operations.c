/*
 * The pages by which people and programs watch the process: is it alive, is it ready, what does it
 * count, what can it do.
 */
#include <stdlib.h>

#include "net/rest/openapi.h"
#include "net/rest/rest_internal.h"

static void answer_text(struct rest *rest, struct http_exchange *exchange, struct bytes type,
                        struct bytes body, void (*release)(void *owner), void *owner)
{
    uint8_t head_bytes[HEAD_BYTES_MAX];
    struct writer head = writer_of(head_bytes, sizeof(head_bytes));
    head_begin(&rest->heads, 200, &head);
    head_line(&head, "Content-Type", type);
    head_line_number(&head, "Content-Length", body.size);
    writer_put(&head, BYTES_LITERAL("Cache-Control: no-store\r\n"));
    rest_answer_body(exchange, &head, body, 200, release, owner);
}

static void answer_readiness(struct rest *rest, struct http_exchange *exchange)
{
    const struct rest_probe *probe = &rest->options.probe;
    if (probe->draining != NULL && probe->draining(probe->context)) {
        rest_answer_error(rest, exchange, 503, BYTES_LITERAL("The server is shutting down"));
        return;
    }
    if (probe->ready != NULL && !probe->ready(probe->context)) {
        rest_answer_error(rest, exchange, 503, BYTES_LITERAL("The server is still recovering"));
        return;
    }
    answer_text(rest, exchange, BYTES_LITERAL("application/json"),
                BYTES_LITERAL("{\"status\":\"ready\"}"), NULL, NULL);
}

/* The whole text in a block of that size; NULL when it does not fit, or there is no memory. */
static uint8_t *metrics_text(struct rest *rest, size_t capacity, size_t *size_out)
{
    uint8_t *text = malloc(capacity);
    if (text == NULL) {
        return NULL;
    }
    struct writer out = writer_of(text, capacity);
    if (rest->options.metrics != NULL) {
        metrics_write(rest->options.metrics, rest->options.engine, rest->wall_ms, &out);
    }
    if (rest->options.probe.metrics != NULL) {
        rest->options.probe.metrics(rest->options.probe.context, &out);
    }
    if (out.failed) {
        free(text);
        return NULL;
    }
    *size_out = out.size;
    return text;
}

uint8_t *rest_metrics_text(void *context, size_t *size_out)
{
    uint8_t *text = NULL;
    size_t capacity = METRICS_TEXT_BYTES;
    while (text == NULL && capacity <= METRICS_TEXT_BYTES_MAX) {
        text = metrics_text(context, capacity, size_out);
        capacity *= 4;
    }
    return text;
}

static void answer_metrics(struct rest *rest, struct http_exchange *exchange)
{
    size_t size = 0;
    uint8_t *text = rest_metrics_text(rest, &size);
    if (text == NULL) {
        rest_answer_status(rest, exchange, STATUS_NO_MEMORY, BYTES_EMPTY);
        return;
    }
    answer_text(rest, exchange, BYTES_LITERAL("text/plain; version=0.0.4; charset=utf-8"),
                bytes_of(text, size), free, text);
}

bool rest_operation(struct rest *rest, struct http_exchange *exchange, struct bytes name)
{
    static const struct {
        struct bytes name;
        uint16_t route;
    } pages[] = {
        {{(const uint8_t *)"healthz", 7}, METRICS_ROUTE_HEALTHZ},
        {{(const uint8_t *)"readyz", 6}, METRICS_ROUTE_READYZ},
        {{(const uint8_t *)"metrics", 7}, METRICS_ROUTE_METRICS},
        {{(const uint8_t *)"openapi.json", 12}, METRICS_ROUTE_OPENAPI},
    };
    exchange->route = METRICS_ROUTE_NONE;
    for (size_t index = 0; index < sizeof(pages) / sizeof(pages[0]); index++) {
        if (bytes_equal(pages[index].name, name)) {
            exchange->route = pages[index].route;
        }
    }
    if (exchange->route == METRICS_ROUTE_NONE) {
        return false;
    }
    enum http_method method = exchange->request.method;
    if (method != HTTP_GET && method != HTTP_HEAD) {
        rest_answer_no_method(rest, exchange, "GET, HEAD, OPTIONS");
        return true;
    }
    if (exchange->route == METRICS_ROUTE_HEALTHZ) {
        answer_text(rest, exchange, BYTES_LITERAL("application/json"),
                    BYTES_LITERAL("{\"status\":\"ok\"}"), NULL, NULL);
    } else if (exchange->route == METRICS_ROUTE_READYZ) {
        answer_readiness(rest, exchange);
    } else if (exchange->route == METRICS_ROUTE_METRICS) {
        answer_metrics(rest, exchange);
    } else {
        answer_text(rest, exchange, BYTES_LITERAL("application/json"),
                    bytes_of(openapi_json, openapi_json_size), NULL, NULL);
    }
    return true;
}
