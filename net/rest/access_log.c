/*
 * What is kept of a request after its answer: counts, and one line of JSON when the access log is
 * on. The line says where and how, never what: no body, no query, no field.
 */
#include "net/rest/rest_internal.h"
#include "protocol/base/time_text.h"
#include "protocol/base/utf8.h"
#include "protocol/document/json.h"

static const char *outcome_name(uint8_t outcome)
{
    if (outcome == 0) {
        return "none";
    }
    switch ((enum cache_outcome)(outcome - 1)) {
    case CACHE_HIT:
        return "hit";
    case CACHE_MISS_STORED:
    case CACHE_MISS_UNSTORED:
        return "miss";
    case CACHE_REFRESH_STORED:
    case CACHE_REFRESH_UNSTORED:
        return "refresh";
    case CACHE_COLLAPSED:
        return "collapsed";
    case CACHE_OFF:
        return "bypass";
    }
    UNREACHABLE();
}

static void line_write(struct rest *rest, struct http_exchange *exchange, uint64_t duration_ns,
                       struct writer *out)
{
    uint8_t id[REQUEST_ID_BYTES_MAX];
    writer_put(out, BYTES_LITERAL("{\"time\":\""));
    time_text_write(out, rest->wall_ms);
    writer_put(out, BYTES_LITERAL("\",\"method\":\""));
    writer_text(out, metrics_method_name(exchange->request.method));
    writer_put(out, BYTES_LITERAL("\",\"path\":"));
    struct bytes path = exchange->log_path;
    json_string_write(out, bytes_slice(path, 0, utf8_valid_size(path)));
    writer_put(out, BYTES_LITERAL(",\"status\":"));
    writer_decimal(out, exchange->status);
    writer_put(out, BYTES_LITERAL(",\"bytes\":"));
    writer_decimal(out, exchange->answer_bytes);
    writer_put(out, BYTES_LITERAL(",\"duration_us\":"));
    writer_decimal(out, duration_ns / 1000);
    writer_put(out, BYTES_LITERAL(",\"cache\":\""));
    writer_text(out, outcome_name(rest_state_of(exchange)->outcome));
    writer_put(out, BYTES_LITERAL("\",\"request_id\":\""));
    writer_put(out, rest_request_id(rest, exchange, id));
    writer_put(out, BYTES_LITERAL("\"}\n"));
}

void rest_log_flush(struct rest *rest)
{
    if (rest->log_size > 0 && rest->options.probe.log != NULL) {
        rest->options.probe.log(rest->options.probe.context, bytes_of(rest->log, rest->log_size));
    }
    rest->log_size = 0;
}

static void log_add(struct rest *rest, struct http_exchange *exchange, uint64_t duration_ns)
{
    if (LOG_BYTES_MAX - rest->log_size < LOG_LINE_BYTES_MAX) {
        rest_log_flush(rest);
    }
    struct writer out = writer_of(rest->log + rest->log_size, LOG_LINE_BYTES_MAX);
    line_write(rest, exchange, duration_ns, &out);
    if (!out.failed) {
        rest->log_size += out.size;
    }
    ASSERT(rest->log_size <= LOG_BYTES_MAX);
}

void rest_finished(void *context, struct http_exchange *exchange, uint64_t now_ns)
{
    struct rest *rest = context;
    uint64_t duration_ns = now_ns > exchange->started_ns ? now_ns - exchange->started_ns : 0;
    if (rest->metrics != NULL) {
        metrics_count(rest->metrics, exchange->route, exchange->request.method, exchange->status,
                      duration_ns, exchange->answer_bytes);
    }
    if (rest->access_log) {
        log_add(rest, exchange, duration_ns);
    }
}
